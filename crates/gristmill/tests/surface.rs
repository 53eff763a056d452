//! Calls of the documented names and signatures, which must keep compiling and keep their meaning. Each call runs if
//! this machine can run it; their promises have tests of their own.

use gristmill::megakernel::io;
use gristmill::megakernel::protocol::{
    control, debug, opcode, priority, slot, ARG0_WORD, ARGS_PER_SLOT, CONTROL_MIN_WORDS,
    OPCODE_WORD, PRIORITY_WORD, SLOT_WORDS, STATUS_WORD, TENANT_WORD,
};
use gristmill::megakernel::{
    IoCompletion, IoRequest, Megakernel, MegakernelIoQueue, RingLog, TenantHandle, TenantRegistry,
};
use gristmill::ring::{live_ring, RingConfig};
use gristmill::uring::{
    encode_nvme_read_sqe, AsyncUringStream, CompletedIngest, CompletedRead, GpuDirectCapability,
    GpuMappedBuffer, IoUringState, Iovec, MegakernelIoLoop, NativeReadPath, NvmeGpuIngestDriver,
    NvmeGpuIngestTelemetry, UringMegakernelPump,
};
use gristmill::PipelineError;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

const CHUNK: usize = 4096;

/// Memory in whole pages, as reads past the page cache require.
#[repr(align(4096))]
struct Pages([u8; 4 * CHUNK]);

/// A file of four chunks.
fn file() -> (tempfile::NamedTempFile, Vec<u8>) {
    let bytes: Vec<u8> = (0..4 * CHUNK).map(|at| (at / 7 % 251) as u8).collect();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

fn ring() -> Option<IoUringState> {
    let entries: u32 = 8;
    IoUringState::new(entries)
        .map_err(|error| gristmill_testing::skipped(format_args!("{error}")))
        .ok()
}

#[test]
fn errors_are_matched_by_name_and_end_in_what_to_do() {
    fn is_error<T: std::error::Error + Clone + Send + Sync + 'static>(_: &T) {}
    let (syscall, errno, fix): (&'static str, i32, &'static str) =
        ("io_uring_setup", 1, "allow it");
    let queue: &'static str = "slots";
    for error in [
        PipelineError::IoUringSyscall {
            syscall,
            errno,
            fix,
        },
        PipelineError::QueueFull { queue, fix },
        PipelineError::NotLinux,
        PipelineError::NvmePassthroughDisabled,
        PipelineError::Backend(String::from("the device is gone: allow it")),
    ] {
        is_error(&error);
        let told = match &error {
            PipelineError::IoUringSyscall { fix, .. } | PipelineError::QueueFull { fix, .. } => fix,
            PipelineError::Backend(text) => text.as_str(),
            PipelineError::NotLinux | PipelineError::NvmePassthroughDisabled => "mapped reads",
            _ => unreachable!("the enum may grow"),
        };
        let text = error.to_string();
        assert!(
            text.ends_with(told) || text.ends_with("positioned reads"),
            "{text}"
        );
    }
}

#[test]
fn a_stream_reads_by_each_of_its_submissions() {
    let Some(state) = ring() else { return };
    let (file, bytes) = file();
    let fd: i32 = file.as_file().as_raw_fd();
    let mut memory = vec![0_u8; 4 * CHUNK];
    let tail = AtomicU32::new(0);
    {
        // SAFETY: `memory` is not touched until buffer and stream are dropped, at the end of this block.
        let whole: GpuMappedBuffer<'_> =
            unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
        assert!(whole.len() == 4 * CHUNK && !whole.is_empty());
        let buffer: Result<GpuMappedBuffer<'_>, PipelineError> = whole.sub_region(0, 4 * CHUNK);
        let mut stream: AsyncUringStream<'_> = AsyncUringStream::new(state, buffer.unwrap(), &tail);
        let iovec = Iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let iovecs: &mut [Iovec] = &mut [iovec];
        let (len, chunk_idx, target_offset): (u32, usize, u64) = (4096, 3, 4096);
        // SAFETY: the file stays open and the memory is left alone until the stream is dropped, which it is.
        unsafe {
            stream
                .submit_read_to_gpu(fd, 0_u64, len, chunk_idx, iovecs)
                .unwrap();
            stream
                .submit_read_to_gpu_at(fd, 4096_u64, len, target_offset, iovecs)
                .unwrap();
            stream
                .submit_read_fixed(fd, 8192_u64, len, 2_usize, 0_u16)
                .unwrap();
            // The file is not an NVMe device, so the command is refused with a reason.
            let command: &[u8] = &encode_nvme_read_sqe(1, 0, 8, 0).unwrap();
            let refused = stream.submit_nvme_passthrough(fd, 7_u64, command);
            assert!(refused.unwrap_err().to_string().contains("/dev/ng0n1"));
        }
        stream.flush_submissions().unwrap();
        let inflight: u32 = stream.inflight();
        assert_eq!(inflight, 3);
        let mut landed = 0;
        while landed < 3 {
            let waited: Result<(), PipelineError> = stream.wait_for_completion();
            waited.unwrap();
            let polled: Result<u32, PipelineError> = stream.poll();
            landed += polled.unwrap();
        }
        assert_eq!((stream.inflight(), tail.load(Ordering::Acquire)), (0, 3));
    }
    for (target, from) in [(3, 0), (1, 1), (2, 2)] {
        let chunk = |at: usize| at * CHUNK..(at + 1) * CHUNK;
        assert!(
            memory[chunk(target)] == bytes[chunk(from)],
            "chunk {target}"
        );
    }
}

#[test]
fn names_are_found_by_the_paths_that_users_import_them_by() {
    use gristmill::uring;
    let _: Option<uring::driver::NvmeGpuIngestDriver<'_>> = None;
    let _: Option<uring::driver::CompletedIngest> = None::<CompletedIngest>;
    let _: Option<uring::driver::NativeReadPath> = None::<NativeReadPath>;
    let _: Option<uring::driver::NvmeGpuIngestTelemetry> = None::<NvmeGpuIngestTelemetry>;
    let _: Option<uring::stream::AsyncUringStream<'_>> = None;
    let _: Option<uring::stream::IoUringState> = None::<IoUringState>;
    let _: Option<uring::stream::GpuMappedBuffer<'_>> = None;
    let _: Option<uring::stream::Iovec> = None::<Iovec>;
    let _: Option<uring::pump::UringMegakernelPump<'_>> = None;
    let _: Option<uring::gpudirect::GpuDirectCapability> = None::<GpuDirectCapability>;
    let encode = uring::gpudirect::encode_nvme_read_sqe;
    assert_eq!(
        encode(1, 0, 8, 0).unwrap(),
        encode_nvme_read_sqe(1, 0, 8, 0).unwrap()
    );
}

/// Asserts `T: !Send` at compile time: if `T` were `Send`, the method would be ambiguous.
macro_rules! assert_not_send {
    ($($kind:ty),*) => {$({
        trait Told<A> { fn told() {} }
        impl<T: ?Sized> Told<()> for T {}
        impl<T: ?Sized + Send> Told<u8> for T {}
        <$kind as Told<_>>::told();
    })*};
}

#[test]
fn who_may_be_moved_to_another_thread_is_known() {
    fn is_send<T: Send>() {}
    is_send::<IoUringState>();
    is_send::<GpuMappedBuffer<'_>>();
    is_send::<MegakernelIoQueue>();
    is_send::<MegakernelIoLoop>();
    is_send::<PipelineError>();
    assert_not_send!(
        AsyncUringStream<'static>,
        UringMegakernelPump<'static>,
        NvmeGpuIngestDriver<'static>
    );
}

#[test]
fn a_stream_of_a_socket_ends_by_waiting_and_tells_reads_by_their_user_data() {
    let Some(state) = ring() else { return };
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let fd: i32 = near.as_raw_fd();
    let (file, _) = file();
    let directory = File::open(std::env::temp_dir()).unwrap();
    let mut memory = vec![0_u8; 4 * CHUNK];
    let tail = AtomicU32::new(0);
    {
        // SAFETY: `memory` is not touched until the stream is dropped, at the end of this block.
        let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
        let mut stream = AsyncUringStream::new(state, buffer, &tail);
        let iovec = Iovec {
            iov_base: std::ptr::null_mut(),
            iov_len: 0,
        };
        let iovecs: &mut [Iovec] = &mut [iovec];
        far.write_all(b"part").unwrap();
        let (offset, len, target, user_data): (u64, u32, u64, u64) = (4096, 4096, 0, u64::MAX - 7);
        // SAFETY: socket and file stay open, and the memory is left alone, until the stream is dropped.
        unsafe {
            stream
                .submit_read_to_gpu_at_with_user_data(fd, offset, len, target, user_data, iovecs)
                .unwrap();
            let (fd, buf_index): (i32, u16) = (file.as_file().as_raw_fd(), 0);
            stream
                .submit_read_fixed_at(fd, offset, len, 4096, buf_index, 8)
                .unwrap();
        }
        while stream.inflight() > 0 {
            stream.wait_for_completion().unwrap();
        }
        assert_eq!(
            (stream.poll().unwrap(), tail.load(Ordering::Acquire)),
            (2, 2)
        );
        far.write_all(b"more").unwrap();
        // SAFETY: as above.
        unsafe { stream.submit_read_to_gpu_at_with_user_data(fd, 0, len, 8192, user_data, iovecs) }
            .unwrap();
        stream.wait_until_ready().unwrap();
        let mut told: Vec<CompletedRead> = Vec::new();
        stream.poll_completions_into(&mut told).unwrap();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].user_data, user_data);
        assert_eq!(told[0].outcome.as_ref().ok(), Some(&4));
        // SAFETY: as above.
        unsafe { stream.submit_read_to_gpu(directory.as_raw_fd(), 0, len, 3, iovecs) }.unwrap();
        let failed = stream.wait_for_completion().unwrap_err();
        let PipelineError::Read { errno, .. } = &failed else {
            panic!("{failed}");
        };
        assert_eq!((*errno, failed.errno()), (Some(21), Some(21)));
    }
    assert!(memory.starts_with(b"part\0") && memory[8192..].starts_with(b"more\0"));
}

#[test]
fn a_pump_publishes_what_it_has_read() {
    let Some(state) = ring() else { return };
    let (file, _) = file();
    let mut owner = Box::new(Pages([0; 4 * CHUNK]));
    let tail = AtomicU32::new(0);
    let base: *mut u8 = owner.0.as_mut_ptr();
    // SAFETY: the pages are valid and the owner's, and not touched until the pump is dropped.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_owner(&mut owner, base, 4 * CHUNK) };
    let stream = AsyncUringStream::new(state, buffer, &tail);
    let chunk_bytes: u32 = 4096;
    let mut pump: UringMegakernelPump<'_> = UringMegakernelPump::new(stream, chunk_bytes);
    let mut image: Vec<u8> = Megakernel::try_encode_empty_ring(4).unwrap();
    let (fd, opcode, args): (i32, u32, [u32; 3]) =
        (file.as_file().as_raw_fd(), 0x1_0000, [1, 2, 3]);
    let (file_offset, len): (u64, u32) = (4096, chunk_bytes);
    let (chunk_idx, slot_idx, tenant_id): (u32, u32, u32) = (1, 2, 0);
    // SAFETY: the file stays open, and the memory is left alone until the pump is dropped, which it is.
    let submitted: Result<(), PipelineError> = unsafe {
        pump.submit_file_scan(
            fd,
            file_offset,
            len,
            chunk_idx,
            slot_idx,
            tenant_id,
            opcode,
            args,
        )
    };
    submitted.unwrap();
    let inflight: u32 = pump.inflight();
    assert_eq!(inflight, 1);
    while pump.inflight() > 0 {
        let ring_bytes: &mut [u8] = &mut image;
        let drained: Result<u32, PipelineError> = pump.drain_into_ring(ring_bytes);
        drained.unwrap();
    }
    let word = |word: usize| {
        let at = (slot_idx as usize * SLOT_WORDS + word) * 4;
        u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
    };
    assert_eq!(
        [STATUS_WORD, OPCODE_WORD, TENANT_WORD].map(word),
        [slot::PUBLISHED, opcode, 0]
    );
    assert_eq!(
        [ARG0_WORD, ARG0_WORD + 2, PRIORITY_WORD].map(word),
        [1, 3, priority::NORMAL]
    );
    let control: Vec<u8> = Megakernel::encode_control(false, 1, 0).unwrap();
    let epoch: u32 = pump.observe_epoch(&control);
    assert_eq!(epoch, 0);
    let stream: AsyncUringStream<'_> = pump.into_stream();
    assert_eq!(stream.inflight(), 0);
}

#[test]
fn a_driver_brings_files_to_slots_and_counts_them() {
    let Some(state) = ring() else { return };
    let (file, _) = file();
    let mut owner = Box::new(Pages([0; 4 * CHUNK]));
    let tail = AtomicU32::new(0);
    let base: *mut u8 = owner.0.as_mut_ptr();
    // SAFETY: the pages are valid and the owner's, and not touched until the driver is dropped.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_owner(&mut owner, base, 4 * CHUNK) };
    let stream = AsyncUringStream::new(state, buffer, &tail);
    let slot_count: u32 = 1;
    let queue: MegakernelIoQueue = MegakernelIoQueue::new(slot_count).unwrap();
    let made: Result<NvmeGpuIngestDriver<'_>, PipelineError> =
        NvmeGpuIngestDriver::new(stream, slot_count, queue);
    let mut driver = made.unwrap();
    let path: &Path = file.path();
    driver.submit_file(path, 0_u32).unwrap();
    let (nvme_fd, namespace_id, starting_lba): (i32, u32, u64) = (file.as_file().as_raw_fd(), 1, 0);
    let (blocks, bytes_per_block, slot): (u32, u32, u32) = (8, 512, 0);
    // SAFETY: the descriptor stays open, and the driver is dropped.
    let refused: Result<(), PipelineError> = unsafe {
        driver.submit_native_nvme_read(
            nvme_fd,
            namespace_id,
            starting_lba,
            blocks,
            bytes_per_block,
            slot,
        )
    };
    assert!(matches!(
        refused,
        Err(PipelineError::NvmePassthroughDisabled)
    ));
    let mut landed: Vec<CompletedIngest> = Vec::new();
    while landed.is_empty() {
        let polled: Result<Vec<CompletedIngest>, PipelineError> = driver.poll_completions();
        landed = polled.unwrap();
    }
    let CompletedIngest {
        slot,
        byte_count,
        tag,
    } = landed[0];
    assert_eq!((slot, byte_count as usize, tag), (0, 4 * CHUNK, 0));
    driver.poll_completions_into(&mut landed).unwrap();
    assert!(landed.is_empty());
    let queue: &MegakernelIoQueue = driver.megakernel_io_queue();
    assert_eq!(queue.completion(0).unwrap().byte_count as usize, 4 * CHUNK);
    let queue: &mut MegakernelIoQueue = driver.megakernel_io_queue_mut();
    io::take_landing(queue.as_mut_bytes()).unwrap();
    let (slot_bytes, slots): (usize, usize) = (driver.slot_bytes(), driver.slot_count());
    assert_eq!((slot_bytes, slots), (4 * CHUNK, 1));
    let path: NativeReadPath = driver.read_path();
    assert_eq!(path, NativeReadPath::RegisteredMappedRead);
    let telemetry: NvmeGpuIngestTelemetry = driver.telemetry_snapshot();
    let bytes = 4 * CHUNK as u64;
    let expected = NvmeGpuIngestTelemetry {
        submitted_bytes: bytes,
        completed_bytes: bytes,
        submitted_reads: 1,
        completed_reads: 1,
        registered_mapped_read_submissions: 1,
        gpudirect_nvme_submissions: 0,
        cpu_bounce_bytes: 0,
        failed_completions: 0,
    };
    assert_eq!(telemetry, expected);
    let (inflight, by_path): (u64, u64) =
        (telemetry.inflight_reads(), telemetry.path_submissions(path));
    assert_eq!((inflight, by_path), (0, 1));
    let valid: Result<(), PipelineError> = telemetry.validate_completed_zero_copy(path);
    valid.unwrap();
    let other = NativeReadPath::GpuDirectNvmePassthrough;
    assert!(telemetry.validate_completed_zero_copy(other).is_err());
    let inflight_by_value: fn(NvmeGpuIngestTelemetry) -> u64 =
        NvmeGpuIngestTelemetry::inflight_reads;
    let by_path_by_value: fn(NvmeGpuIngestTelemetry, NativeReadPath) -> u64 =
        NvmeGpuIngestTelemetry::path_submissions;
    let validate_by_value: fn(NvmeGpuIngestTelemetry, NativeReadPath) -> Result<(), PipelineError> =
        NvmeGpuIngestTelemetry::validate_completed_zero_copy;
    assert_eq!(
        (
            inflight_by_value(telemetry),
            by_path_by_value(telemetry, path)
        ),
        (0, 1)
    );
    validate_by_value(telemetry, path).unwrap();
    driver.reset_telemetry();
    assert_eq!(
        driver.telemetry_snapshot(),
        NvmeGpuIngestTelemetry::default()
    );
}

#[test]
fn a_driver_for_passthrough_is_made_from_peer_memory_or_says_why_not() {
    let Some(state) = ring() else { return };
    let mut owner = Box::new(Pages([0; 4 * CHUNK]));
    let tail = AtomicU32::new(0);
    let base: *mut u8 = owner.0.as_mut_ptr();
    // SAFETY: the pages are valid and the owner's, and nothing is read into them.
    let buffer = unsafe { GpuMappedBuffer::from_bar1_peer_with_owner(&mut owner, base, 4 * CHUNK) };
    let stream = AsyncUringStream::new(state, buffer, &tail);
    let queue = MegakernelIoQueue::new(4).unwrap();
    let made = NvmeGpuIngestDriver::new_gpudirect(stream, 4, queue);
    let capability: GpuDirectCapability = GpuDirectCapability::probe();
    assert_eq!(made.is_ok(), capability.is_available());
    match capability {
        GpuDirectCapability::Available { stats } => assert!(!stats.is_empty()),
        GpuDirectCapability::Unavailable { reason } => assert!(!reason.is_empty()),
        GpuDirectCapability::FeatureDisabled => {}
    }
    let (namespace_id, starting_lba, blocks, dest): (u32, u64, u32, u64) = (3, 1 << 33, 8, 4096);
    let command = encode_nvme_read_sqe(namespace_id, starting_lba, blocks, dest).unwrap();
    assert_eq!((command.len(), command[0], command[4]), (72, 2, 3));
    assert!(encode_nvme_read_sqe(namespace_id, starting_lba, 0, dest).is_err());
    assert!(encode_nvme_read_sqe(namespace_id, starting_lba, 65_537, dest).is_err());
}

#[test]
fn a_loop_serves_a_queue_and_stops() {
    fn is_a_thing_that_can_be_moved<T: Send>(_: &T) {}
    let config = RingConfig {
        io_slots: 4,
        ..RingConfig::default()
    };
    let (submitter, _completions, _device) = live_ring(config).unwrap();
    let queue = submitter.take_io_queue().unwrap();
    let path = gristmill::uring::reader::ReadPathChoice::Auto;
    let tables = gristmill::uring::IoTables::new();
    let served: MegakernelIoLoop = MegakernelIoLoop::start(queue, tables, path).unwrap();
    is_a_thing_that_can_be_moved(&served);
    served.stop().unwrap();
}

#[test]
fn images_are_encoded_published_and_read() {
    let (shutdown, tenant_count, observables): (bool, u32, u32) = (false, 2, 8);
    let control: Vec<u8> =
        Megakernel::try_encode_control(shutdown, tenant_count, observables).unwrap();
    assert_eq!(control.len(), (CONTROL_MIN_WORDS + 8) * 4);
    assert_eq!(
        control,
        Megakernel::encode_control(shutdown, tenant_count, observables).unwrap()
    );
    let mut ring: Vec<u8> = Megakernel::try_encode_empty_ring(8).unwrap();
    assert_eq!(ring, Megakernel::encode_empty_ring(8).unwrap());
    let log: Vec<u8> = Megakernel::try_encode_empty_debug_log(debug::DEFAULT_RECORDS).unwrap();
    assert_eq!(
        log,
        Megakernel::encode_empty_debug_log(debug::DEFAULT_RECORDS).unwrap()
    );
    let mut into = Vec::new();
    Megakernel::try_encode_control_into(shutdown, tenant_count, observables, &mut into).unwrap();
    assert_eq!(into, control);
    Megakernel::try_encode_empty_ring_into(8, &mut into).unwrap();
    assert_eq!(into, ring);
    Megakernel::try_encode_empty_debug_log_into(debug::DEFAULT_RECORDS, &mut into).unwrap();
    assert_eq!(into, log);

    let (slot_idx, tenant, opcode): (u32, u32, u32) = (0, 1, opcode::ATOMIC_ADD);
    let args: &[u32] = &[5, 0];
    Megakernel::publish_slot(&mut ring, slot_idx, tenant, opcode, args).unwrap();
    let packed: &[(u8, Vec<u32>)] = &[(0, vec![]), (1, vec![7, 1])];
    Megakernel::publish_packed_slot(&mut ring, 1, tenant, packed).unwrap();
    let batch: &[(u32, [u32; 2])] = &[(opcode, [1, 0]), (opcode, [2, 0])];
    let tag: u32 = 9;
    let published: Result<u32, PipelineError> =
        Megakernel::batch_publish(&mut ring, 2, tenant, batch, tag);
    assert_eq!(published.unwrap(), 3, "two and their fence");
    let bytes: &[u8] = &control;
    let (epoch, done): (u32, u32) = (
        Megakernel::read_epoch(bytes),
        Megakernel::read_done_count(bytes),
    );
    let observable: u32 = Megakernel::read_observable(bytes, 7);
    assert_eq!((epoch, done, observable), (0, 0, 0));
    let kept: u32 = 0xFFF0;
    let refused = Megakernel::publish_slot(&mut ring, 5, tenant, kept, args);
    assert!(matches!(refused, Err(PipelineError::QueueFull { .. })));
    assert!(Megakernel::encode_control(shutdown, 30, 0).is_err());
    assert!(Megakernel::encode_empty_ring(u32::MAX).is_err());
    assert!(Megakernel::encode_empty_debug_log(u32::MAX).is_err());
    assert!(Megakernel::read_metrics(bytes).is_empty());
    assert_eq!(Megakernel::read_debug_log(&log).records.len(), 0);
    assert_eq!(Megakernel::try_read_epoch(bytes).unwrap(), 0);
    assert_eq!(Megakernel::try_read_done_count(bytes).unwrap(), 0);
    assert_eq!(Megakernel::try_read_observable(bytes, 7).unwrap(), 0);
    assert!(Megakernel::try_read_observable(bytes, 8).is_err());
    assert!(Megakernel::try_read_metrics(bytes).unwrap().is_empty());
    assert_eq!(
        Megakernel::try_read_debug_log(&log).unwrap().records.len(),
        0
    );
    assert_eq!((SLOT_WORDS, ARGS_PER_SLOT, control::EPOCH), (16, 12, 128));
}

#[test]
fn an_io_queue_goes_both_ways() {
    for bad in [0, 65] {
        let refused: Result<MegakernelIoQueue, PipelineError> = MegakernelIoQueue::new(bad);
        assert!(matches!(refused, Err(PipelineError::QueueFull { .. })));
    }
    let mut queue = MegakernelIoQueue::new(4).unwrap();
    let (queue_slot, mapped_slot, byte_count, tag): (u32, u32, u32, u32) = (1, 3, 512, 7);
    queue
        .publish_slot(queue_slot, mapped_slot, byte_count, tag)
        .unwrap();
    let (src_handle, dst_handle): (u32, u32) = (5, 6);
    queue
        .submit_dma_read(0, src_handle, dst_handle, byte_count, tag)
        .unwrap();
    assert!(queue
        .submit_dma_read(1, src_handle, dst_handle, byte_count, tag)
        .is_err());
    let landed: Option<IoCompletion> = queue.completion(queue_slot);
    let expected = IoCompletion {
        slot_idx: queue_slot,
        mapped_slot,
        byte_count,
        tag,
    };
    assert_eq!(landed, Some(expected));
    let (recycled, count): (bool, u32) = (queue.is_recycled(2), queue.slot_count());
    assert_eq!((recycled, queue.is_recycled(0), count), (true, false, 4));
    let bytes: &[u8] = queue.as_bytes();
    let asked: Vec<IoRequest> = io::poll_io_requests(bytes).unwrap();
    let expected = IoRequest {
        slot_idx: 0,
        op_type: io::io_op::READ,
        src_handle,
        dst_handle,
        offset: 0_u64,
        byte_count,
        tag,
    };
    assert_eq!(asked, [expected]);
    let bytes: &mut [u8] = queue.as_mut_bytes();
    assert_eq!(io::claim_io_requests(bytes).unwrap(), asked);
    io::complete_io_request(bytes, 0, true).unwrap();
    io::recycle(bytes, 0).unwrap();
    io::encode_io_request_into(bytes, &expected).unwrap();
    io::claim_io_requests(bytes).unwrap();
    io::complete_io_requests_batch(bytes, &[(0, true)]).unwrap();
    assert!(queue.completion(0).is_some());
    io::recycle(queue.as_mut_bytes(), 0).unwrap();
    // Of any slot that is not EMPTY.
    queue
        .submit_dma_read(0, src_handle, dst_handle, byte_count, tag)
        .unwrap();
    let asked: Option<IoCompletion> = queue.completion(0);
    assert_eq!(asked.map(|asked| asked.mapped_slot), Some(dst_handle));
    io::claim_io_requests(queue.as_mut_bytes()).unwrap();
    assert!(queue.completion(0).is_some());
    io::complete_io_request(queue.as_mut_bytes(), 0, false).unwrap();
    assert!(queue.completion(0).is_some() && !queue.is_recycled(0));
    io::recycle(queue.as_mut_bytes(), 0).unwrap();
    assert!(queue.completion(0).is_none() && queue.is_recycled(0));
    // Devices and casts read words.
    assert!(queue.as_bytes().as_ptr().cast::<u32>().is_aligned());
}

#[test]
fn tenants_are_wired_to_the_control_words_and_logs_are_written_to_files() {
    let (submitter, _completions, _device) = live_ring(RingConfig::default()).unwrap();
    let registry: TenantRegistry = TenantRegistry::new(submitter.control().clone());
    let tenant: TenantHandle = registry.tenant(3).unwrap();
    tenant.set_mask(5);
    tenant.set_quota(11);
    let word = |index: usize| submitter.control()[index].load(Ordering::Relaxed);
    assert_eq!(
        (
            word(control::TENANT_MASKS + 3),
            word(control::TENANT_QUOTAS + 3)
        ),
        (5, 11)
    );
    assert_eq!(tenant.opcodes().start, 0x4000_0000 + (3 << 20));
    assert!(registry.tenant(29).is_err());
    let _: fn(File, _) -> Result<RingLog<File>, PipelineError> = RingLog::new;
}
