//! The loop that serves the device's requests. The test plays the device, and makes requests that no opcode makes.

mod common;

use common::supervised::with_answers;
use common::{in_child, noise, pipe, refuse_io_uring, Scratch};
use gristmill_ingest::reader::{ReadPath, ReadPathChoice};
use gristmill_ingest::{IoSource, IoTables, MegakernelIoLoop};
use gristmill_protocol::io::{io_op, IoRequest};
use gristmill_protocol::{opcode, PipelineError};
use gristmill_ring::{
    live_ring, ChunkBuf, ChunkMemory, DeviceRing, IoQueue, PendingIo, RingConfig, Submission,
    Submitter,
};
use gristmill_testing::Patience;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

const CHUNK: usize = 4096;

const BOTH: [ReadPathChoice; 2] = [
    ReadPathChoice::Auto,
    ReadPathChoice::Only(ReadPath::PositionedRead),
];

struct World {
    _submitter: Submitter,
    device: DeviceRing,
    queue: Option<IoQueue>,
    chunks: Vec<ChunkBuf>,
    memory: Arc<ChunkMemory>,
    tables: IoTables,
    scratch: Scratch,
}

/// A ring whose slot 0 belongs to tenant 1. Requests name this slot.
fn world(io_slots: u32) -> World {
    let config = RingConfig {
        tenants: 2,
        io_slots,
        ..RingConfig::default()
    };
    let (submitter, _completions, device) = live_ring(config).unwrap();
    let token = submitter.try_acquire().unwrap();
    let submission = Submission {
        tenant: 1,
        ..Submission::new(opcode::NOP, &[])
    };
    submitter.publish(token, &submission).unwrap();
    let (memory, chunks) = ChunkMemory::map(64, CHUNK).unwrap();
    World {
        queue: submitter.take_io_queue(),
        _submitter: submitter,
        device,
        chunks,
        memory,
        tables: IoTables::new(),
        scratch: Scratch::new(),
    }
}

impl World {
    /// A file of these bytes, open for reading and writing.
    fn file(&self, name: &str, bytes: &[u8]) -> File {
        let path = self.scratch.0.join(name);
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true);
        let mut file = options.open(path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn add_file(&mut self, file: File, len: u64) -> u32 {
        self.tables.add_source(IoSource {
            file,
            len,
            tenants: vec![1],
            writable: true,
        })
    }

    /// Registers a pipe as a source, which has no bytes until something is written to its other end.
    fn add_pipe(&mut self) -> File {
        let (reads, writes) = pipe(libc::O_CLOEXEC);
        self.add_file(unshared(reads).into(), 1 << 30);
        writes
    }

    /// Registers chunks as destinations. Returns the index of the first chunk.
    fn add_chunks(&mut self, count: usize) -> u32 {
        let first = self.chunks[0].index();
        for chunk in self.chunks.drain(..count) {
            self.tables.add_destination(chunk, vec![1]);
        }
        first
    }

    fn start(&mut self, path: ReadPathChoice) -> MegakernelIoLoop {
        let tables = std::mem::take(&mut self.tables);
        MegakernelIoLoop::start(self.queue.take().unwrap(), tables, path).unwrap()
    }

    fn ask(&self, request: IoRequest) -> PendingIo {
        self.device.ask(&request).unwrap()
    }

    fn run(&self, request: IoRequest) -> Result<u32, u32> {
        outcome(&self.ask(request))
    }

    /// A chunk's bytes, as the device sees them.
    fn bytes(&self, chunk: u32, count: usize) -> Vec<u8> {
        self.memory.borrow_chunk(chunk).unwrap()[..count].to_vec()
    }
}

fn unshared(file: Arc<OwnedFd>) -> OwnedFd {
    Arc::try_unwrap(file).unwrap()
}

fn outcome(pending: &PendingIo) -> Result<u32, u32> {
    let mut patience = Patience::new();
    loop {
        if let Some(outcome) = pending.outcome() {
            return outcome;
        }
        patience.check(pending);
        std::thread::yield_now();
    }
}

fn request(op_type: u32, byte_count: u32) -> IoRequest {
    IoRequest {
        op_type,
        byte_count,
        ..IoRequest::default()
    }
}

fn read(source: u32, destination: u32, offset: u64, bytes: usize) -> IoRequest {
    IoRequest {
        src_handle: source,
        dst_handle: destination,
        offset,
        ..request(io_op::READ, u32::try_from(bytes).unwrap())
    }
}

fn errno(number: i32) -> Result<u32, u32> {
    Err(number.unsigned_abs())
}

/// Whether loops read by io_uring on this machine. Reports a skip if not.
fn by_uring(served: &MegakernelIoLoop) -> bool {
    let why = served.stats().why;
    if let Some(why) = &why {
        gristmill_testing::skipped(why);
    }
    why.is_none()
}

#[test]
fn a_write_reaches_files_that_are_for_writing() {
    let mut world = world(4);
    let kept = world.file("kept", &[0; 10]);
    for (writable, tenants) in [(true, vec![1]), (false, vec![1]), (true, vec![0])] {
        world.tables.add_source(IoSource {
            file: kept.try_clone().unwrap(),
            len: 10,
            tenants,
            writable,
        });
    }
    world.chunks[0].as_mut_slice()[..4].copy_from_slice(b"abcd");
    world.add_chunks(1);
    let served = world.start(ReadPathChoice::Auto);
    let write = |source: u32, offset: u64, bytes: u32| IoRequest {
        src_handle: source,
        offset,
        ..request(io_op::WRITE, bytes)
    };
    for (request, expected) in [
        (write(0, 1, 3), Ok(3)),
        (write(0, 6, 4), Ok(4)),
        // Requests must not exceed the source's length, nor the chunk.
        (write(0, 7, 4), errno(libc::EINVAL)),
        (write(0, u64::MAX, 4), errno(libc::EINVAL)),
        (write(0, 0, CHUNK as u32 + 1), errno(libc::EINVAL)),
        (write(1, 0, 4), errno(libc::EACCES)),
        (write(2, 0, 4), errno(libc::EACCES)),
        (write(3, 0, 4), errno(libc::EBADF)),
        (request(9, 1), errno(libc::EINVAL)),
        (
            IoRequest {
                tag: 64,
                ..write(0, 0, 4)
            },
            errno(libc::EINVAL),
        ),
    ] {
        assert_eq!(world.run(request), expected, "{request:?}");
    }
    let mut there = [1; 10];
    kept.read_exact_at(&mut there, 0).unwrap();
    assert_eq!(&there, b"\0abc\0\0abcd");
    assert_eq!(kept.metadata().unwrap().len(), 10);
    let stats = served.stats();
    assert_eq!((stats.writes, stats.bytes_written), (2, 7));
    assert_eq!((stats.refused, stats.ended()), (8, 10));
}

#[test]
fn a_fence_ends_after_the_requests_before_it() {
    let mut world = world(4);
    let kept = world.file("kept", &[0; 4]);
    world.add_file(kept.try_clone().unwrap(), 4);
    world.chunks[0].as_mut_slice()[..4].copy_from_slice(b"abcd");
    world.add_chunks(1);
    let served = world.start(ReadPathChoice::Auto);
    for _ in 0..300 {
        kept.write_all_at(&[0; 4], 0).unwrap();
        // The device uses the first free slot, so the fence may be in an earlier slot than the request for which it
        // waits.
        let other = world.ask(request(io_op::FENCE, 0));
        let write = world.ask(request(io_op::WRITE, 4));
        drop(other);
        let fence = world.ask(request(io_op::FENCE, 0));
        assert_eq!(outcome(&fence), Ok(0));
        assert_eq!(write.outcome(), Some(Ok(4)));
        let mut there = [0; 4];
        kept.read_exact_at(&mut there, 0).unwrap();
        assert_eq!(&there, b"abcd");
    }
    let mut patience = Patience::new();
    while served.stats().fences < 600 {
        patience.check(());
    }
    assert_eq!(served.stats().ended(), 900);
}

#[test]
fn a_fence_waits_for_reads_in_flight_and_nothing_else_does() {
    let mut world = world(8);
    let mut fills = world.add_pipe();
    let file = world.file("file", b"bytes");
    world.add_file(file, 5);
    let chunk = world.add_chunks(2);
    let served = world.start(ReadPathChoice::Auto);
    if !by_uring(&served) {
        return;
    }
    let slow = world.ask(read(0, 0, 0, 10));
    let queued = world.ask(read(1, 0, 1, 3));
    let fence = world.ask(request(io_op::FENCE, 0));
    // Other requests are served meanwhile, including those after the fence.
    for _ in 0..20 {
        assert_eq!(world.run(read(1, 1, 0, 5)), Ok(5));
    }
    // The pipe returns fewer bytes than requested, so the read is continued.
    fills.write_all(b"01234").unwrap();
    assert_eq!(world.run(read(1, 1, 0, 5)), Ok(5));
    assert_eq!(slow.outcome(), None);
    assert_eq!(queued.outcome(), None, "its destination is taken");
    assert_eq!(fence.outcome(), None);
    assert!(
        world.memory.borrow_chunk(chunk).is_none(),
        "bytes land there"
    );
    fills.write_all(b"56789").unwrap();
    assert_eq!(outcome(&fence), Ok(0));
    assert_eq!(slow.outcome(), Some(Ok(10)));
    assert_eq!(queued.outcome(), Some(Ok(3)));
    assert_eq!(world.bytes(chunk, 10), b"yte3456789");
    let stats = served.stats();
    assert!(stats.reader.short_reads >= 1, "{stats:?}");
    assert!(stats.reader.depth_max >= 2, "{stats:?}");
}

#[test]
fn a_chunk_that_a_worker_reads_is_busy() {
    for path in BOTH {
        let mut world = world(4);
        let file = world.file("sevens", &[7; 100]);
        world.add_file(file, 100);
        let chunk = world.add_chunks(1);
        let _served = world.start(path);
        assert_eq!(world.run(read(0, 0, 0, 5)), Ok(5));
        let memory = Arc::clone(&world.memory);
        let reading = memory.borrow_chunk(chunk).unwrap();
        assert_eq!(world.run(read(0, 0, 0, 9)), errno(libc::EBUSY));
        assert_eq!(&reading[..9], [7, 7, 7, 7, 7, 0, 0, 0, 0]);
        drop(reading);
        assert_eq!(world.run(read(0, 0, 0, 9)), Ok(9));
        assert_eq!(world.bytes(chunk, 9), [7; 9]);
    }
}

#[test]
fn many_reads_at_once_land_where_they_should_and_bad_ones_fail_alone() {
    const DEPTH: usize = 60;
    for path in BOTH {
        let mut world = world(64);
        let bytes = noise(64 * CHUNK);
        let file = world.file("noise", &bytes);
        world.add_file(file, bytes.len() as u64);
        world.add_file(File::open(&world.scratch.0).unwrap(), 1 << 30);
        let first = world.add_chunks(DEPTH);
        let served = world.start(path);
        for round in 0..5 {
            let asked: Vec<IoRequest> = (0..DEPTH)
                .map(|index| {
                    let place = (index * 7 + round) % 63;
                    // Every fourth request names a directory, or no source.
                    let source = if index % 4 == 3 {
                        1 + (index as u32 & 4)
                    } else {
                        0
                    };
                    read(source, index as u32, (place * CHUNK + index) as u64, CHUNK)
                })
                .collect();
            let pending: Vec<_> = asked.iter().map(|request| world.ask(*request)).collect();
            for (pending, asked) in pending.iter().zip(&asked) {
                let expected = match asked.src_handle {
                    0 => Ok(CHUNK as u32),
                    1 => errno(libc::EISDIR),
                    _ => errno(libc::EBADF),
                };
                assert_eq!(outcome(pending), expected, "{asked:?}");
            }
            for asked in &asked {
                if asked.src_handle != 0 {
                    let seen = world.memory.borrow_chunk(first + asked.dst_handle);
                    assert!(seen.is_none(), "nothing has landed");
                    continue;
                }
                let from = asked.offset as usize;
                let there = world.bytes(first + asked.dst_handle, CHUNK);
                assert!(there == bytes[from..from + CHUNK], "{asked:?}");
            }
        }
        let stats = served.stop().unwrap().stats;
        assert_eq!(stats.ended(), 5 * DEPTH as u64);
        assert_eq!(stats.reads, 5 * 45);
        assert!(stats.failed > 0 && stats.refused > 0);
        assert_eq!(stats.bytes_read, 5 * 45 * CHUNK as u64);
        assert_eq!(stats.reader.bytes(), stats.bytes_read);
        let by_path = [stats.reader.bytes_positioned, stats.reader.bytes_registered];
        let (positioned, registered) = match stats.path {
            "positioned" => (stats.bytes_read, 0),
            _ if stats.reader.unregistered_reason.is_none() => (0, stats.bytes_read),
            _ => (0, by_path[1]),
        };
        assert_eq!(by_path, [positioned, registered], "{stats:?}");
    }
}

#[test]
fn stopping_cancels_what_is_in_flight() {
    for stops in [true, false] {
        let mut world = world(8);
        let mut fills = world.add_pipe();
        world.add_chunks(3);
        let chunks = Arc::downgrade(&world.memory);
        let served = world.start(ReadPathChoice::Auto);
        if !by_uring(&served) {
            return;
        }
        let pending = [
            world.ask(read(0, 0, 0, 10)),
            world.ask(read(0, 1, 0, 10)),
            // This request waits for its destination.
            world.ask(read(0, 1, 0, 10)),
            world.ask(request(io_op::FENCE, 0)),
        ];
        // The test cannot see when reads are in flight. But once a later request has been served, these requests have
        // been claimed.
        assert_eq!(world.run(read(1, 0, 0, 0)), errno(libc::EBADF));
        // If this waited for the pipe, it would never return.
        let queue = if stops {
            let stopped = served.stop().unwrap();
            assert_eq!(stopped.stats.cancelled, 4, "{:?}", stopped.stats);
            assert_eq!(stopped.chunks.len(), 1, "the others were being read into");
            Some(stopped.queue)
        } else {
            drop(served);
            None
        };
        for pending in &pending {
            assert_eq!(pending.outcome(), Some(errno(libc::ECANCELED)));
        }
        drop(pending);
        // Nobody holds the pipe's reading end any more, except for a moment a child process that another test starts.
        let mut patience = Patience::new();
        let refused = loop {
            if let Err(error) = fills.write_all(b"late") {
                break error;
            }
            patience.check(());
            std::thread::sleep(Duration::from_millis(1));
        };
        assert_eq!(refused.raw_os_error(), Some(libc::EPIPE));
        // The queue is served again by another loop.
        world.queue = queue;
        if stops {
            let file = world.file("file", b"bytes");
            world.add_file(file, 5);
            let chunk = world.add_chunks(1);
            let _served = world.start(ReadPathChoice::Auto);
            assert_eq!(world.run(read(0, 0, 0, 5)), Ok(5));
            assert_eq!(world.bytes(chunk, 5), b"bytes");
        }
        drop(world);
        assert!(chunks.upgrade().is_none(), "nothing keeps the memory");
    }
}

#[test]
fn an_idle_loop_stops_and_leaves_what_it_was_given() {
    for path in BOTH {
        let mut world = world(4);
        world.add_chunks(64);
        let served = world.start(path);
        let stopped = served.stop().unwrap();
        assert_eq!(stopped.chunks.len(), 64);
        assert_eq!(stopped.stats.ended(), 0);
    }
}

#[test]
fn where_io_uring_is_refused_reads_are_positioned_and_say_so() {
    let name = "where_io_uring_is_refused_reads_are_positioned_and_say_so";
    if in_child(name).is_some() {
        return;
    }
    refuse_io_uring(libc::EPERM);
    let mut first = world(4);
    let file = first.file("file", b"bytes");
    first.add_file(file, 5);
    let chunk = first.add_chunks(1);
    let served = first.start(ReadPathChoice::Auto);
    assert_eq!(first.run(read(0, 0, 1, 5)), Ok(4));
    assert_eq!(first.bytes(chunk, 4), b"ytes");
    let stats = served.stats();
    assert_eq!(stats.path, "positioned");
    assert!(stats.why.unwrap().contains("io_uring_disabled"));
    assert_eq!(stats.reader.bytes_positioned, 4);
    let mut second = world(4);
    let refused = MegakernelIoLoop::start(
        second.queue.take().unwrap(),
        IoTables::new(),
        ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
    );
    assert!(matches!(
        refused,
        Err(PipelineError::IoUringSyscall { errno, .. }) if errno == libc::EPERM
    ));
}

/// The outcomes of READs, and why io_uring was not used.
type Outcomes = (Vec<Result<u32, u32>>, Option<String>);

/// Reads a file chunk by chunk while `io_uring_enter` fails from call number `from` on. What lands is what the file holds.
/// `None` if that cannot be tested here.
fn read_refused(path: ReadPathChoice, from: u32) -> Option<Outcomes> {
    let mut call = 0;
    let answer = || {
        call += 1;
        (call > from).then_some(libc::EPERM)
    };
    let mut result = None;
    with_answers(answer, || {
        let mut world = world(16);
        let bytes = noise(32 * CHUNK);
        let file = world.file("file", &bytes);
        world.add_file(file, bytes.len() as u64);
        let first = world.add_chunks(16);
        let served = world.start(path);
        if from > 0 && !by_uring(&served) {
            return;
        }
        let mut outcomes = Vec::new();
        for round in 0..2 {
            let pending: Vec<_> = (0..16)
                .map(|chunk| {
                    let at = (round * 16 + chunk as usize) * CHUNK;
                    world.ask(read(0, chunk, at as u64, CHUNK))
                })
                .collect();
            for (chunk, pending) in (0..).zip(&pending) {
                let outcome = outcome(pending);
                if outcome == Ok(CHUNK as u32) {
                    let at = (round * 16 + chunk as usize) * CHUNK;
                    assert_eq!(world.bytes(first + chunk, CHUNK), bytes[at..at + CHUNK]);
                }
                outcomes.push(outcome);
            }
        }
        let stats = served.stats();
        assert_eq!(stats.ended(), 32);
        result = Some((outcomes, stats.why));
    });
    result
}

#[test]
fn reads_go_on_without_a_ring_that_fails_for_good() {
    for from in 1..6 {
        let Some((outcomes, why)) = read_refused(ReadPathChoice::Auto, from) else {
            return;
        };
        assert_eq!(outcomes, [Ok(CHUNK as u32); 32]);
        // The calls may all have been made before.
        if let Some(why) = why {
            assert!(why.contains("io_uring failed while the loop ran"), "{why}");
        }
    }
    let (outcomes, why) = read_refused(ReadPathChoice::Auto, 1).unwrap();
    assert_eq!(outcomes, [Ok(CHUNK as u32); 32]);
    assert!(why.is_some());
    let uring = ReadPathChoice::Only(ReadPath::RegisteredMappedRead);
    let (outcomes, why) = read_refused(uring, 1).unwrap();
    assert!(outcomes.contains(&errno(libc::EPERM)), "{outcomes:?}");
    assert_eq!(why, None);
}
