//! Files that fail in the loop that serves a device's requests. The test plays the device.

use crate::fuse::{mount, Faulty};
use crate::limits::refuse_io_uring;
use crate::world::Scratch;
use gristmill::megakernel::protocol::io::{io_op, IoRequest};
use gristmill::ring::{
    live_ring, ChunkBuf, ChunkMemory, DeviceRing, PendingIo, RingConfig, Submitter,
};
use gristmill::uring::reader::ReadPathChoice;
use gristmill::uring::{IoSource, IoTables, MegakernelIoLoop};
use gristmill_testing::Patience;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

const CHUNK: usize = 4096;

/// A loop, its device, and its chunks.
struct World {
    _submitter: Submitter,
    device: DeviceRing,
    served: Option<MegakernelIoLoop>,
    memory: Arc<ChunkMemory>,
}

/// A loop over these files, with a chunk for each and `more` further chunks.
fn serve(paths: &[&Path], more: u32) -> World {
    let config = RingConfig {
        io_slots: 16,
        ..RingConfig::default()
    };
    let (submitter, _completions, device) = live_ring(config).unwrap();
    let count = paths.len() as u32 + more;
    let (memory, chunks) = ChunkMemory::map(count, CHUNK).unwrap();
    let queue = submitter.take_io_queue().unwrap();
    let tables = tables(paths, chunks);
    let served = MegakernelIoLoop::start(queue, tables, ReadPathChoice::Auto).unwrap();
    World {
        _submitter: submitter,
        device,
        served: Some(served),
        memory,
    }
}

fn tables(paths: &[&Path], chunks: Vec<ChunkBuf>) -> IoTables {
    let mut tables = IoTables::new();
    for path in paths {
        let writable = OpenOptions::new().read(true).write(true).open(path);
        tables.add_source(IoSource {
            writable: writable.is_ok(),
            file: writable.or_else(|_| File::open(path)).unwrap(),
            len: 1 << 20,
            tenants: vec![0],
        });
    }
    for chunk in chunks {
        tables.add_destination(chunk, vec![0]);
    }
    tables
}

impl World {
    fn ask(&self, op_type: u32, file: u32, chunk: u32, offset: u64) -> PendingIo {
        let request = IoRequest {
            op_type,
            src_handle: file,
            dst_handle: chunk,
            offset,
            byte_count: 1000,
            ..IoRequest::default()
        };
        self.device.ask(&request).unwrap()
    }

    /// Asks for bytes of a file into the chunk of the same number.
    fn read(&self, file: u32, offset: u64) -> PendingIo {
        self.ask(io_op::READ, file, file, offset)
    }

    fn fence(&self) -> PendingIo {
        self.ask(io_op::FENCE, 0, 0, 0)
    }
}

fn outcome(pending: &PendingIo) -> Result<u32, u32> {
    await_true(|| pending.outcome().is_some());
    pending.outcome().unwrap()
}

fn await_true(ready: impl Fn() -> bool) {
    let mut patience = Patience::new();
    while !ready() {
        patience.check(());
        std::thread::yield_now();
    }
}

const CHILD: &str = "GRISTMILL_TEST_CHILD";

/// Runs a test here, and again in a process of its own in which io_uring is refused.
fn with_and_without_io_uring(name: &str, test: impl FnOnce()) {
    if std::env::var_os(CHILD).is_some() {
        refuse_io_uring(libc::EPERM).unwrap();
        return test();
    }
    test();
    let name = format!("io_loop::{name}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned());
    assert!(output.status.success(), "without io_uring: {said:?}");
    assert!(said[0].contains("1 passed"), "{said:?}");
}

#[test]
fn short_answers_are_continued_and_errors_are_told() {
    let bytes: Vec<u8> = (0..5000u32).map(|at| (at % 251) as u8).collect();
    let Some(mounted) = mount([
        Faulty::new("short", bytes.clone()).short(|_| 7),
        Faulty::new("bad", bytes.clone()).error_at(2000),
    ]) else {
        return;
    };
    let world = serve(&[&mounted.join("short"), &mounted.join("bad")], 0);
    for (file, offset, expected) in [
        (0, 300, Ok(1000)),
        (1, 300, Ok(1000)),
        (1, 1500, Err(5)),
        (0, 4500, Ok(500)),
        (1, 1000, Ok(1000)),
    ] {
        assert_eq!(outcome(&world.read(file, offset)), expected);
        let seen = world.memory.borrow_chunk(file);
        let Ok(landed) = expected else {
            assert!(seen.is_none());
            continue;
        };
        let from = offset as usize;
        assert_eq!(
            seen.unwrap()[..landed as usize],
            bytes[from..from + landed as usize]
        );
    }
    let stats = world.served.unwrap().stats();
    assert_eq!((stats.reads, stats.failed, stats.bytes_read), (4, 1, 3500));
}

/// A gate that opens once, for all threads. It also opens when the test ends, even by a failure: otherwise a thread of
/// this process would wait for ever, and the process could not end.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar, AtomicBool)>);

impl Gate {
    fn pass(&self) {
        let (open, opens, reached) = &*self.0;
        reached.store(true, Ordering::Release);
        let open = open.lock().unwrap();
        drop(opens.wait_while(open, |open| !*open).unwrap());
    }

    fn was_reached(&self) -> bool {
        self.0 .2.load(Ordering::Acquire)
    }
}

struct Opener(Gate);

impl Drop for Opener {
    fn drop(&mut self) {
        let (open, opens, _) = &*self.0 .0;
        *open.lock().unwrap() = true;
        opens.notify_all();
    }
}

/// A gate, its opener, and a file with a pause that waits for it.
fn stuck(name: &str) -> (Gate, Opener, Faulty) {
    let gate = Gate::default();
    let waits = gate.clone();
    let file = Faulty::new(name, vec![7; 5000]).pause(move |_| waits.pass());
    (gate.clone(), Opener(gate), file)
}

fn cancelled() -> Option<Result<u32, u32>> {
    Some(Err(libc::ECANCELED.unsigned_abs()))
}

#[test]
fn a_file_that_is_not_answered_for_holds_up_no_other_and_no_stop() {
    let name = "a_file_that_is_not_answered_for_holds_up_no_other_and_no_stop";
    with_and_without_io_uring(name, || {
        not_answered_for(true);
        not_answered_for(false);
    });
}

fn not_answered_for(stops: bool) {
    const READS: u32 = 7;
    let scratch = Scratch::new();
    let plain = scratch.write("plain", &[3; 5000]);
    let (gate, opener, file) = stuck("stuck");
    let Some(mounted) = mount([file, Faulty::new("well", vec![5; 5000])]) else {
        return;
    };
    let (stuck, well) = (mounted.join("stuck"), mounted.join("well"));
    let mut world = serve(&[&stuck, &well, &plain], READS - 1);
    let mut pending = vec![world.read(0, 0)];
    pending.extend((3..READS + 2).map(|chunk| world.ask(io_op::READ, 0, chunk, 0)));
    await_true(|| gate.was_reached());
    pending.push(world.fence());
    for _ in 0..20 {
        for (file, byte) in [(1, 5), (2, 3)] {
            assert_eq!(outcome(&world.read(file, 100)), Ok(1000));
            let seen = world.memory.borrow_chunk(file).unwrap();
            assert_eq!(seen[..1000], [byte; 1000]);
        }
    }
    assert!(pending.iter().all(|pending| pending.outcome().is_none()));
    // If this waited for the file, it would not return.
    let served = world.served.take().unwrap();
    let stopped = if stops {
        Some(served.stop().unwrap())
    } else {
        drop(served);
        None
    };
    for pending in pending {
        assert_eq!(pending.outcome(), cancelled());
    }
    if let Some(stopped) = stopped {
        let stats = &stopped.stats;
        assert_eq!((stats.cancelled, stats.reads), (u64::from(READS) + 1, 40));
        assert_eq!(stats.reader.bytes(), stats.bytes_read);
        // Some READs of the file were asked for at once; the others had not begun.
        let left = &stopped.left_behind;
        assert!((1..READS as usize).contains(&left.len()), "{left:?}");
        assert!(left.iter().all(|request| request.src_handle == 0));
        assert_eq!(stopped.chunks.len() + left.len(), 2 + READS as usize);
        // The queue is served again, with the chunks that are left.
        let again = tables(&[&plain], stopped.chunks);
        let again = MegakernelIoLoop::start(stopped.queue, again, ReadPathChoice::Auto).unwrap();
        assert_eq!(outcome(&world.read(0, 0)), Ok(1000));
        assert!(again.stop().unwrap().left_behind.is_empty());
    }
    let kept = Arc::downgrade(&world.memory);
    drop(world);
    assert!(kept.upgrade().is_some(), "bytes may land there");
    drop(opener);
    await_true(|| kept.upgrade().is_none());
}

#[test]
fn a_write_and_a_closing_that_are_not_answered_hold_up_no_other_and_no_stop() {
    let name = "a_write_and_a_closing_that_are_not_answered_hold_up_no_other_and_no_stop";
    with_and_without_io_uring(name, || {
        let (written, open_written, file) = stuck("written");
        let (closed, open_closed, _) = stuck("closed");
        let closing = closed.clone();
        let other = Faulty::new("closed", vec![5; 5000]).pause_closing(move || closing.pass());
        let Some(mounted) = mount([file.writable(), other]) else {
            return;
        };
        let (open_written, open_closed) = (open_written, open_closed);
        let world = serve(&[&mounted.join("written"), &mounted.join("closed")], 0);
        let write = world.ask(io_op::WRITE, 0, 0, 0);
        await_true(|| written.was_reached());
        for _ in 0..20 {
            assert_eq!(outcome(&world.read(1, 100)), Ok(1000));
        }
        assert_eq!(write.outcome(), None);
        let stopped = world.served.unwrap().stop().unwrap();
        assert_eq!(write.outcome(), cancelled());
        let [left] = stopped.left_behind[..] else {
            panic!("{:?}", stopped.left_behind);
        };
        assert_eq!((left.op_type, left.src_handle), (io_op::WRITE, 0));
        assert_eq!(stopped.stats.writes, 0);
        assert_eq!(stopped.chunks.len(), 1);
        await_true(|| closed.was_reached());
        drop((open_written, open_closed));
    });
}

#[test]
fn slow_files_are_read_side_by_side_and_hold_up_no_stop() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let name = "slow_files_are_read_side_by_side_and_hold_up_no_stop";
    with_and_without_io_uring(name, || {
        // The first four reads are answered when all four have come, and later ones when the test ends.
        let gate = Gate::default();
        let begun = Arc::new(AtomicUsize::new(0));
        let file = |name| {
            let (waits, begun) = (gate.clone(), Arc::clone(&begun));
            Faulty::new(name, vec![7; 5000]).pause(move |_| {
                if begun.fetch_add(1, Ordering::AcqRel) < NAMES.len() {
                    await_true(|| begun.load(Ordering::Acquire) >= NAMES.len());
                } else {
                    waits.pass();
                }
            })
        };
        let Some(mounted) = mount(NAMES.map(file)) else {
            return;
        };
        let opener = Opener(gate.clone());
        let paths = NAMES.map(|name| mounted.join(name));
        let world = serve(&paths.each_ref().map(|path| path.as_path()), 0);
        let pending = [0, 1, 2, 3].map(|file| world.read(file, 0));
        for pending in &pending {
            assert_eq!(outcome(pending), Ok(1000));
        }
        let served = world.served.as_ref().unwrap();
        let stats = served.stats();
        assert_eq!(stats.reader.depth_max, 4, "{stats:?}");
        assert_eq!(stats.reader.bytes_positioned, stats.bytes_read);
        let told = stats.why.or(stats.reader.unregistered_reason).unwrap();
        assert!(told.contains("FUSE") || told.contains("refused"), "{told}");
        drop(pending);

        let pending = [0, 1, 2, 3].map(|file| world.read(file, 0));
        await_true(|| gate.was_reached());
        // The loop is stopped before they are answered, so none of them lands.
        let stopped = world.served.unwrap().stop().unwrap();
        // Requests that were not claimed yet have not begun, and wait for another loop.
        let outcomes = pending.each_ref().map(|pending| pending.outcome());
        assert!(
            outcomes.iter().all(|it| [cancelled(), None].contains(it)),
            "{outcomes:?}"
        );
        let ended = outcomes.iter().flatten().count();
        assert_eq!(stopped.left_behind.len(), ended);
        assert_eq!(stopped.chunks.len(), 4 - ended);
        drop(opener);
    });
}

#[test]
fn a_fence_waits_for_a_slow_file_and_a_failure_before_it_is_told_first() {
    const ANSWER: Duration = Duration::from_millis(200);
    let slow = Faulty::new("slow", vec![7; 5000]).pause(|_| std::thread::sleep(ANSWER));
    let bad = Faulty::new("bad", vec![7; 5000]).error_at(0);
    let Some(mounted) = mount([slow, bad]) else {
        return;
    };
    let world = serve(&[&mounted.join("slow"), &mounted.join("bad")], 0);
    for _ in 0..3 {
        let before = [world.read(0, 0), world.read(1, 0)];
        assert_eq!(outcome(&world.fence()), Ok(0));
        let ended = before.each_ref().map(|pending| pending.outcome());
        assert_eq!(ended, [Some(Ok(1000)), Some(Err(5))]);
    }
    assert!(world.served.unwrap().stop().unwrap().left_behind.is_empty());
}
