//! Which memory and which sources a path accepts.

use super::common::{become_nobody, in_child, noise, Scratch};
use super::{consume, drain, path, with_driver, with_stream, BLANK, SLOT, SLOTS};
use gristmill_ingest::{
    encode_nvme_read_sqe, CompletedIngest, GpuDirectCapability, NativeReadPath, NvmeGpuIngestDriver,
};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::Arc;

#[test]
fn memory_that_the_kernel_does_not_register_is_refused_when_a_driver_is_made() {
    if in_child("paths::memory_that_the_kernel_does_not_register_is_refused_when_a_driver_is_made")
        .is_some()
    {
        return;
    }
    // This is enough for the ring, but not for the slots in addition to it.
    if !become_nobody(SLOT as u64 * u64::from(SLOTS)) {
        return gristmill_testing::skipped("not root, so this process stays what it is");
    }
    with_stream(false, |stream, _, _| {
        let queue = MegakernelIoQueue::new(SLOTS).unwrap();
        let error = NvmeGpuIngestDriver::new(stream, SLOTS, queue).unwrap_err();
        assert!(
            matches!(error, PipelineError::IoUringSyscall { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("memory-lock limit"), "{error}");
    });
}

#[test]
fn peer_memory_is_read_into_by_direct_reads_and_never_registered() {
    let scratch = Scratch::new();
    let contents = [noise(SLOT), noise(5000), noise(1), noise(4096)];
    let paths: Vec<PathBuf> = (0..)
        .zip(&contents)
        .map(|(at, bytes): (u32, _)| path(&scratch, &at.to_string(), bytes))
        .collect();
    with_stream(true, |stream, memory, _| {
        let queue = MegakernelIoQueue::new(SLOTS).unwrap();
        let mut driver = NvmeGpuIngestDriver::new_peer_read(stream, SLOTS, queue).unwrap();
        let mut options = std::fs::OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECT);
        if let Err(error) = options.open(&paths[0]) {
            return gristmill_testing::skipped(format_args!(
                "O_DIRECT in {}: {error}",
                scratch.0.display()
            ));
        }
        let cached = Arc::new(File::open(&paths[0]).unwrap());
        let error = driver
            .submit_file_range(&cached, 0, 4096, 0, 0)
            .unwrap_err();
        assert!(error.to_string().contains("O_DIRECT"), "{error}");
        for (slot, path) in (0..).zip(&paths) {
            driver.submit_file(path, slot).unwrap();
        }
        let counts: Vec<usize> = drain(&mut driver, 4)
            .iter()
            .map(|done| done.byte_count as usize)
            .collect();
        for (slot, bytes) in (0..).zip(&contents) {
            assert_eq!(counts[slot as usize], bytes.len());
            assert!(memory.slot(slot, bytes.len()) == *bytes, "slot {slot}");
        }
        // A part is read in whole blocks, but only the requested bytes count.
        while driver.telemetry_snapshot().completed_reads < 5 {
            consume(&mut driver);
            if driver.megakernel_io_queue().is_recycled(1) {
                let file = options.open(&paths[0]).unwrap();
                driver
                    .submit_file_range(&Arc::new(file), 4096, 100, 1, 5)
                    .unwrap();
                let byte_count = 100;
                let (slot, tag) = (1, 5);
                let expected = CompletedIngest {
                    slot,
                    byte_count,
                    tag,
                };
                assert_eq!(drain(&mut driver, 1), [expected]);
                assert!(memory.slot(1, 100) == contents[0][4096..4196]);
            }
        }
        let telemetry = driver.telemetry_snapshot();
        telemetry
            .validate_completed_zero_copy(NativeReadPath::PeerRead)
            .unwrap();
        assert_eq!(driver.stats().bytes_registered, 0);
    });
    let queue = || MegakernelIoQueue::new(SLOTS).unwrap();
    with_stream(true, |stream, _, _| {
        assert!(NvmeGpuIngestDriver::new(stream, SLOTS, queue()).is_err());
    });
    with_stream(false, |stream, _, _| {
        assert!(NvmeGpuIngestDriver::new_peer_read(stream, SLOTS, queue()).is_err());
    });
}

#[test]
fn only_nvme_reads_of_namespaces_pass_and_only_on_their_path() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(4096));
    with_driver(|mut driver, memory, _| {
        // SAFETY: the file stays open, and the memory is only looked at.
        let result = unsafe { driver.submit_native_nvme_read(file.as_raw_fd(), 1, 0, 8, 512, 0) };
        assert!(matches!(
            result,
            Err(PipelineError::NvmePassthroughDisabled)
        ));
        assert_eq!(memory.slot(0, 1), [BLANK]);
    });
    with_stream(false, |mut stream, memory, _| {
        let address = memory.0.addr() as u64;
        let read = encode_nvme_read_sqe(1, 0, 8, address).unwrap();
        let mut write = read;
        write[0] = 1;
        for (command, words) in [(write, "only NVMe Read"), (read, "/dev/ng0n1")] {
            // SAFETY: as above.
            let result = unsafe { stream.submit_nvme_passthrough(file.as_raw_fd(), 5, &command) };
            let error = result.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        assert_eq!(stream.inflight(), 0);
    });
}

#[test]
fn a_driver_for_passthrough_is_to_be_had_where_the_probe_says_so() {
    let capability = GpuDirectCapability::probe();
    println!("{capability:?}");
    with_stream(false, |stream, _, _| {
        let queue = MegakernelIoQueue::new(SLOTS).unwrap();
        let driver = NvmeGpuIngestDriver::new_gpudirect(stream, SLOTS, queue);
        match capability {
            GpuDirectCapability::Available { .. } => {
                let path = driver.unwrap().read_path();
                assert_eq!(path, NativeReadPath::GpuDirectNvmePassthrough);
            }
            GpuDirectCapability::Unavailable { reason } => {
                assert!(driver.unwrap_err().to_string().contains(&reason));
            }
            GpuDirectCapability::FeatureDisabled => {
                assert!(matches!(
                    driver,
                    Err(PipelineError::NvmePassthroughDisabled)
                ));
            }
        }
    });
}
