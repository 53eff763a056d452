//! `NvmeGpuIngestDriver` on real files: slots, the queue and the device agree at every moment.

#[path = "../common/mod.rs"]
mod common;
mod model;
mod paths;

use common::{noise, pipe, Scratch};
use gristmill_ingest::{
    why_copied, AsyncUringStream, CompletedIngest, GpuMappedBuffer, IngestTransfers, IoUringState,
    NativeReadPath, NvmeGpuIngestDriver, NvmeGpuIngestTelemetry,
};
use gristmill_protocol::io::{self, IoCompletion};
use gristmill_protocol::{MegakernelIoQueue, PipelineError};
use gristmill_ring::ChunkMemory;
use gristmill_testing::Patience;
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

const SLOT: usize = 8192;
const SLOTS: u32 = 4;
const BLANK: u8 = 0xEE;

/// The memory of the slots, for reading it while the driver has it.
#[derive(Clone, Copy)]
struct Memory(*const u8);

impl Memory {
    fn slot(self, slot: u32, bytes: usize) -> Vec<u8> {
        let start = self.0.wrapping_add(slot as usize * SLOT);
        // SAFETY: `with_stream` keeps the memory. The access is volatile because reads may land in it.
        (0..bytes)
            .map(|at| unsafe { start.wrapping_add(at).read_volatile() })
            .collect()
    }
}

/// Runs `check` with a stream over page-aligned memory for all slots. Reports a skip if io_uring is refused.
fn with_stream(peer: bool, check: impl FnOnce(AsyncUringStream<'_>, Memory, &AtomicU32)) {
    let state = match IoUringState::new(8) {
        Ok(state) => state,
        Err(error) => return gristmill_testing::skipped(format_args!("io_uring: {error}")),
    };
    let bytes = SLOT * SLOTS as usize;
    let (_arena, mut chunks) = ChunkMemory::map(1, bytes).unwrap();
    let mut chunk = chunks.remove(0);
    chunk.as_mut_slice().fill(BLANK);
    let base = chunk.as_mut_ptr();
    let tail = AtomicU32::new(0);
    // SAFETY: nobody else has the chunk until the stream is dropped, except for volatile reads of it.
    let buffer = unsafe {
        if peer {
            GpuMappedBuffer::from_bar1_peer_with_owner(&mut chunk, base, bytes)
        } else {
            GpuMappedBuffer::from_host_visible_owner(&mut chunk, base, bytes)
        }
    };
    check(
        AsyncUringStream::new(state, buffer, &tail),
        Memory(base),
        &tail,
    );
}

fn with_driver(check: impl FnOnce(NvmeGpuIngestDriver<'_>, Memory, &AtomicU32)) {
    with_stream(false, |stream, memory, tail| {
        let queue = MegakernelIoQueue::new(SLOTS + 1).unwrap();
        check(
            NvmeGpuIngestDriver::new(stream, SLOTS, queue).unwrap(),
            memory,
            tail,
        );
    });
}

/// Polls until `want` slots were published; errors are failures of the test.
fn drain(driver: &mut NvmeGpuIngestDriver<'_>, want: usize) -> Vec<CompletedIngest> {
    let mut patience = Patience::new();
    let mut all = Vec::new();
    while all.len() < want {
        driver.wait_for_completion().unwrap();
        all.extend(driver.poll_completions().unwrap());
        patience.check(&all);
    }
    all.sort_by_key(|completed| completed.slot);
    all
}

fn path(scratch: &Scratch, name: &str, bytes: &[u8]) -> PathBuf {
    scratch.file(name, bytes);
    scratch.0.join(name)
}

fn shared(fd: Arc<OwnedFd>) -> Arc<File> {
    Arc::new(File::from(Arc::into_inner(fd).unwrap()))
}

/// The device's side of a slot: takes the landing that waits in it, and recycles it.
fn consume(driver: &mut NvmeGpuIngestDriver<'_>) -> IoCompletion {
    let queue = driver.megakernel_io_queue_mut();
    let landing = io::take_landing(queue.as_mut_bytes()).unwrap().unwrap();
    io::recycle(queue.as_mut_bytes(), landing.slot_idx).unwrap();
    landing
}

fn assert_refused(result: Result<(), PipelineError>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, PipelineError::QueueFull { .. }), "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn landed_files_are_published_with_their_bytes_and_the_tail_rises() {
    let scratch = Scratch::new();
    let contents = [noise(SLOT), noise(5000)[1..].to_vec(), Vec::new(), vec![7]];
    with_driver(|mut driver, memory, tail| {
        for (slot, bytes) in (0..).zip(&contents) {
            driver
                .submit_file(&path(&scratch, &slot.to_string(), bytes), slot)
                .unwrap();
        }
        assert_eq!(tail.load(Ordering::Acquire), 0);
        let completed = drain(&mut driver, 4);
        assert_eq!(tail.load(Ordering::Acquire), 4);
        for (slot, bytes) in (0..).zip(&contents) {
            let byte_count = u32::try_from(bytes.len()).unwrap();
            let expected = CompletedIngest {
                slot,
                byte_count,
                tag: slot,
            };
            assert_eq!(completed[slot as usize], expected);
            let published = driver.megakernel_io_queue().completion(slot).unwrap();
            assert_eq!(
                (published.mapped_slot, published.byte_count, published.tag),
                (slot, byte_count, slot)
            );
            assert_eq!(memory.slot(slot, bytes.len()), *bytes);
        }
        // Bytes after the end of the file are not written.
        assert_eq!(memory.slot(3, 2), [7, BLANK]);
    });
}

/// A read through the page cache counts as a copy by the kernel, whatever its path.
#[test]
fn what_the_kernel_copies_is_told_from_what_the_disk_writes() {
    use std::os::unix::fs::OpenOptionsExt;
    let scratch = Scratch::new();
    let bytes = noise(2 * SLOT);
    let path = scratch.file("f", &bytes);
    let cached = shared(path);
    let direct = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(scratch.0.join("f"));
    with_driver(|mut driver, _, _| {
        let size = SLOT as u64;
        let copied = IngestTransfers {
            direct_bytes: 0,
            kernel_copied_bytes: size,
        };
        driver
            .submit_file_range(&cached, 0, SLOT as u32, 0, 0)
            .unwrap();
        drain(&mut driver, 1);
        assert_eq!(driver.transfers(), copied);
        driver.reset_telemetry();
        assert_eq!(driver.transfers(), IngestTransfers::default());
        let file = match direct {
            Ok(file) => Arc::new(file),
            Err(error) => {
                return gristmill_testing::skipped(format_args!(
                    "O_DIRECT in the temporary directory: {error}"
                ))
            }
        };
        driver
            .submit_file_range(&file, size, SLOT as u32, 1, 1)
            .unwrap();
        drain(&mut driver, 1);
        let expected = match why_copied(&file, size, size) {
            None => IngestTransfers {
                direct_bytes: size,
                kernel_copied_bytes: 0,
            },
            // The file system has no disk, or computes these bytes from other data.
            Some(_) => copied,
        };
        assert_eq!(driver.transfers(), expected);
    });
}

#[test]
fn every_byte_of_the_registered_path_goes_into_registered_memory_and_is_counted() {
    let scratch = Scratch::new();
    let bytes = noise(3 * SLOT);
    let file = shared(scratch.file("f", &bytes));
    with_driver(|mut driver, memory, _| {
        assert_eq!(driver.read_path(), NativeReadPath::RegisteredMappedRead);
        assert_eq!(
            (driver.slot_bytes(), driver.slot_count()),
            (SLOT, SLOTS as usize)
        );
        for slot in 0..3 {
            let offset = u64::from(2 - slot) * SLOT as u64;
            driver
                .submit_file_range(&file, offset, SLOT as u32, slot, 100 + slot)
                .unwrap();
        }
        let during = driver.telemetry_snapshot();
        assert_eq!((during.submitted_reads, during.inflight_reads()), (3, 3));
        assert!(during
            .validate_completed_zero_copy(driver.read_path())
            .is_err());
        let tags: Vec<u32> = drain(&mut driver, 3).iter().map(|done| done.tag).collect();
        assert_eq!(tags, [100, 101, 102]);
        for slot in 0..3 {
            let from = (2 - slot as usize) * SLOT;
            assert!(memory.slot(slot, SLOT) == bytes[from..from + SLOT]);
        }
        let expected = NvmeGpuIngestTelemetry {
            submitted_bytes: 3 * SLOT as u64,
            completed_bytes: 3 * SLOT as u64,
            submitted_reads: 3,
            completed_reads: 3,
            registered_mapped_read_submissions: 3,
            ..Default::default()
        };
        assert_eq!(driver.telemetry_snapshot(), expected);
        driver
            .telemetry_snapshot()
            .validate_completed_zero_copy(driver.read_path())
            .unwrap();
        let stats = driver.stats();
        assert_eq!(
            (stats.bytes_registered, stats.bytes_mapped),
            (3 * SLOT as u64, 0)
        );
        driver.reset_telemetry();
        assert_eq!(
            driver.telemetry_snapshot(),
            NvmeGpuIngestTelemetry::default()
        );
    });
}

#[test]
fn a_slot_that_the_device_owns_is_refused_before_a_byte_lands_in_it() {
    let scratch = Scratch::new();
    let (first, second) = (noise(SLOT), vec![1; SLOT]);
    let (a, b) = (path(&scratch, "a", &first), path(&scratch, "b", &second));
    with_driver(|mut driver, memory, _| {
        driver.submit_file(&a, 2).unwrap();
        assert_refused(driver.submit_file(&b, 2), "poll until");
        drain(&mut driver, 1);
        let before = driver.telemetry_snapshot();
        // The slot is first published, then claimed. The device owns it in both states.
        for _ in 0..2 {
            assert_refused(driver.submit_file(&b, 2), "device owns");
            driver.poll_completions().unwrap();
            assert!(memory.slot(2, SLOT) == first);
            let _ = io::take_landing(driver.megakernel_io_queue_mut().as_mut_bytes()).unwrap();
        }
        assert_eq!(driver.telemetry_snapshot(), before);
        io::recycle(driver.megakernel_io_queue_mut().as_mut_bytes(), 2).unwrap();
        driver.submit_file(&b, 2).unwrap();
        drain(&mut driver, 1);
        assert!(memory.slot(2, SLOT) == second);
    });
}

#[test]
fn one_failed_read_loses_no_other_and_is_told_once() {
    let scratch = Scratch::new();
    let directory = Arc::new(File::open(&scratch.0).unwrap());
    let good = path(&scratch, "good", &noise(100));
    for into in [false, true] {
        with_driver(|mut driver, _, tail| {
            driver.submit_file(&good, 0).unwrap();
            driver.submit_file_range(&directory, 0, 64, 1, 9).unwrap();
            driver.submit_file(&good, 2).unwrap();
            let (mut slots, mut errors) = (Vec::new(), Vec::new());
            let mut patience = Patience::new();
            while slots.len() + errors.len() < 3 {
                patience.check((&slots, &errors));
                driver.wait_for_completion().unwrap();
                // All reads have ended by now, so one poll returns both landed and failed ones.
                std::thread::sleep(Duration::from_millis(50));
                let mut completed = Vec::new();
                let result = if into {
                    driver.poll_completions_into(&mut completed)
                } else {
                    driver.poll_completions().map(|all| completed = all)
                };
                slots.extend(completed.iter().map(|done| done.slot));
                errors.extend(result.err().map(|error| error.to_string()));
            }
            slots.sort_unstable();
            assert_eq!((slots, tail.load(Ordering::Acquire)), (vec![0, 2], 2));
            assert_eq!(errors.len(), 1);
            assert!(
                errors[0].contains("slot 1") && errors[0].contains("directory"),
                "{errors:?}"
            );
            assert!(driver.poll_completions().unwrap().is_empty());
            // The slot of the failed read is free again, and the device never owned it.
            assert!(driver.megakernel_io_queue().is_recycled(1));
            driver.submit_file(&good, 1).unwrap();
            drain(&mut driver, 1);
            let telemetry = driver.telemetry_snapshot();
            assert_eq!(
                (telemetry.failed_completions, telemetry.inflight_reads()),
                (1, 0)
            );
            let error = telemetry.validate_completed_zero_copy(driver.read_path());
            assert!(error.unwrap_err().to_string().contains("1 reads failed"));
        });
    }
}

#[test]
fn each_failure_names_its_slot_and_tag_and_others_land() {
    let scratch = Scratch::new();
    let file = shared(scratch.file("file", &noise(5000)));
    let directory = Arc::new(File::open(&scratch.0).unwrap());
    with_driver(|mut driver, _, _| {
        for (slot, source) in [(0, &directory), (1, &file), (2, &file), (3, &directory)] {
            driver
                .submit_file_range(source, 0, 4096, slot, 100 + slot)
                .unwrap();
        }
        let (mut landed, mut failed) = (Vec::new(), Vec::new());
        let (mut slots, mut refused) = (Vec::new(), Vec::new());
        while driver.telemetry_snapshot().inflight_reads() > 0 {
            driver.wait_for_completion().unwrap();
            driver.poll_outcomes_into(&mut landed, &mut failed).unwrap();
            slots.extend(landed.iter().map(|read| (read.slot, read.tag)));
            for read in &failed {
                let named = matches!(read.error, PipelineError::Read { .. });
                assert!(named, "{}", read.error);
                refused.push((read.slot, read.tag));
            }
        }
        slots.sort_unstable();
        refused.sort_unstable();
        assert_eq!(
            (slots, refused),
            (vec![(1, 101), (2, 102)], vec![(0, 100), (3, 103)])
        );
        // The failure is reported once, and the slot is free again.
        driver.poll_outcomes_into(&mut landed, &mut failed).unwrap();
        assert!(landed.is_empty() && failed.is_empty());
        driver.submit_file_range(&file, 0, 10, 0, 0).unwrap();
    });
}

#[test]
fn a_publication_that_the_queue_refuses_is_kept_and_made_later() {
    let bytes = noise(SLOT);
    with_driver(|mut driver, memory, tail| {
        let (reading, mut writer) = pipe(0);
        let reading = shared(reading);
        driver
            .submit_file_range(&reading, u64::MAX, SLOT as u32, 1, 77)
            .unwrap();
        let queue = driver.megakernel_io_queue_mut();
        queue.publish_slot(1, 9, 9, 9).unwrap();
        writer.write_all(&bytes).unwrap();
        for _ in 0..3 {
            driver.wait_for_completion().unwrap();
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_refused(driver.poll_completions().map(drop), "recycled");
        assert_refused(driver.poll_completions().map(drop), "recycled");
        assert_eq!(tail.load(Ordering::Acquire), 0);
        assert_refused(
            driver.submit_file_range(&reading, u64::MAX, 1, 1, 0),
            "poll until",
        );
        assert_eq!(consume(&mut driver).tag, 9);
        let done = driver.poll_completions().unwrap();
        let byte_count = SLOT as u32;
        assert_eq!(
            done,
            [CompletedIngest {
                slot: 1,
                byte_count,
                tag: 77
            }]
        );
        assert_eq!(tail.load(Ordering::Acquire), 1);
        assert!(memory.slot(1, SLOT) == bytes);
    });
}

#[test]
fn reads_that_end_early_and_resets_in_flight_keep_the_counters_true() {
    with_driver(|mut driver, _, _| {
        let (reading, mut writer) = pipe(0);
        driver
            .submit_file_range(&shared(reading), u64::MAX, 100, 0, 0)
            .unwrap();
        driver.reset_telemetry();
        let telemetry = driver.telemetry_snapshot();
        assert_eq!(
            (telemetry.inflight_reads(), telemetry.submitted_bytes),
            (1, 100)
        );
        writer.write_all(&[1; 60]).unwrap();
        drop(writer);
        assert_eq!(drain(&mut driver, 1)[0].byte_count, 60);
        let telemetry = driver.telemetry_snapshot();
        assert_eq!(
            (telemetry.completed_bytes, telemetry.inflight_reads()),
            (60, 0)
        );
        let error = telemetry.validate_completed_zero_copy(driver.read_path());
        assert!(error
            .unwrap_err()
            .to_string()
            .contains("100 bytes were asked for and 60 landed"));
    });
}

/// Swaps two names until `done`.
fn swap(one: &std::path::Path, other: &std::path::Path, done: &AtomicU32) {
    let name = |path: &std::path::Path| {
        std::ffi::CString::new(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str())).unwrap()
    };
    let (one, other) = (name(one), name(other));
    while done.load(Ordering::Relaxed) == 0 {
        // SAFETY: both names end in a zero, and live through the call.
        let result = unsafe {
            libc::renameat2(
                libc::AT_FDCWD,
                one.as_ptr(),
                libc::AT_FDCWD,
                other.as_ptr(),
                libc::RENAME_EXCHANGE,
            )
        };
        assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        std::thread::yield_now();
    }
}

#[test]
fn a_file_that_is_swapped_for_a_fifo_is_read_or_refused_and_never_waited_for() {
    let scratch = Scratch::new();
    let file = path(&scratch, "file", &[1; 100]);
    let fifo = scratch.0.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    if !made.is_ok_and(|status| status.success()) {
        gristmill_testing::skipped("mkfifo is not there");
        return;
    }
    with_driver(|mut driver, _, _| {
        let done = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| swap(&file, &fifo, &done));
            let (mut read, mut refused) = (0, 0);
            while read < 300 || refused < 300 {
                match driver.submit_file(&file, 0) {
                    Ok(()) => {
                        read += 1;
                        drain(&mut driver, 1);
                        consume(&mut driver);
                    }
                    Err(error) => {
                        refused += 1;
                        assert!(error.to_string().contains("not a regular file"), "{error}");
                    }
                }
            }
            done.store(1, Ordering::Relaxed);
        });
    });
}

#[test]
fn what_cannot_be_a_slot_s_bytes_is_refused_at_submission() {
    let scratch = Scratch::new();
    let large = path(&scratch, "large", &vec![0; SLOT + 1]);
    let fifo = scratch.0.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    with_driver(|mut driver, memory, _| {
        assert_refused(driver.submit_file(&large, 0), "slot_bytes");
        assert_refused(driver.submit_file(&large, SLOTS), "slot_count");
        assert_refused(driver.submit_file(&large, u32::MAX), "slot_count");
        let mut errors = vec![
            driver.submit_file(&scratch.0, 0).unwrap_err(),
            driver
                .submit_file(&scratch.0.join("missing"), 0)
                .unwrap_err(),
            driver
                .submit_file("/proc/self/stat".as_ref(), 0)
                .unwrap_err(),
        ];
        if made.is_ok_and(|status| status.success()) {
            errors.push(driver.submit_file(&fifo, 0).unwrap_err());
        }
        for error in errors {
            assert!(matches!(error, PipelineError::Read { .. }), "{error}");
        }
        assert_eq!(
            driver.telemetry_snapshot(),
            NvmeGpuIngestTelemetry::default()
        );
        assert_eq!(memory.slot(0, 1), [BLANK]);
        // If the file ends earlier than the requested part, the read has only the bytes up to its end.
        let file = Arc::new(File::open(&large).unwrap());
        driver
            .submit_file_range(&file, SLOT as u64, 500, 0, 0)
            .unwrap();
        driver.submit_file_range(&file, 1 << 40, 500, 1, 0).unwrap();
        let counts: Vec<u32> = drain(&mut driver, 2)
            .iter()
            .map(|done| done.byte_count)
            .collect();
        assert_eq!(counts, [1, 0]);
        driver
            .telemetry_snapshot()
            .validate_completed_zero_copy(driver.read_path())
            .unwrap();
    });
}

#[test]
fn slots_must_divide_the_buffer_and_the_queue_must_have_as_many() {
    let bad = [(0, 4), (3, 4), (5, 8), (4, 3), (64, 63)];
    for (slots, queue) in bad {
        with_stream(false, |stream, _, _| {
            let queue = MegakernelIoQueue::new(queue).unwrap();
            let error = NvmeGpuIngestDriver::new(stream, slots, queue).unwrap_err();
            assert!(
                matches!(error, PipelineError::QueueFull { .. }),
                "{slots}: {error}"
            );
        });
    }
    with_stream(false, |stream, _, _| {
        let queue = MegakernelIoQueue::new(64).unwrap();
        assert_eq!(
            NvmeGpuIngestDriver::new(stream, 64, queue)
                .unwrap()
                .slot_bytes(),
            SLOT / 16
        );
    });
    with_stream(false, |mut stream, _, _| {
        let (reading, _writer) = pipe(0);
        let mut iovecs = [gristmill_ingest::Iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        }];
        // SAFETY: the pipe stays open and the memory unused until the stream is dropped.
        unsafe { stream.submit_read_to_gpu(reading.as_raw_fd(), u64::MAX, 10, 0, &mut iovecs) }
            .unwrap();
        let queue = MegakernelIoQueue::new(4).unwrap();
        assert_refused(
            NvmeGpuIngestDriver::new(stream, 4, queue).map(drop),
            "nothing is in flight",
        );
    });
}

#[test]
fn a_dropped_driver_leaves_nothing_in_flight() {
    let (reading, mut writer) = pipe(0);
    let file = Arc::new(File::from(reading.try_clone().unwrap()));
    with_driver(|mut driver, memory, _| {
        driver.submit_file_range(&file, u64::MAX, 10, 0, 0).unwrap();
        driver.poll_completions().unwrap();
        // If this waited for the pipe, it would never return.
        drop(driver);
        writer.write_all(&[1; 10]).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(memory.slot(0, 10), [BLANK; 10]);
        assert_eq!(Arc::strong_count(&file), 1);
    });
}
