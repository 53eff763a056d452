//! Files that fail the loop which serves a device's requests. The device is the test.

use crate::fuse::{mount, Faulty};
use gristmill::protocol::io::{io_op, IoRequest};
use gristmill::ring::{live_ring, ChunkMemory, DeviceRing, PendingIo, RingConfig};
use gristmill::uring::reader::ReadPathChoice;
use gristmill::uring::{IoSource, IoTables, MegakernelIoLoop};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

const CHUNK: usize = 4096;

/// No wait may take longer.
const LIMIT: Duration = Duration::from_secs(240);

/// A loop over these files, each with a chunk.
fn serve(paths: &[&Path]) -> (DeviceRing, MegakernelIoLoop, Arc<ChunkMemory>) {
    let config = RingConfig {
        io_slots: 4,
        ..RingConfig::default()
    };
    let (submitter, _completions, device) = live_ring(config).unwrap();
    let (memory, chunks) = ChunkMemory::map(4, CHUNK).unwrap();
    let mut tables = IoTables::new();
    for (path, chunk) in paths.iter().zip(chunks) {
        tables.add_source(IoSource {
            file: File::open(path).unwrap(),
            len: 1 << 20,
            tenants: vec![0],
            writable: false,
        });
        tables.add_destination(chunk, vec![0]);
    }
    let queue = submitter.take_io_queue().unwrap();
    let served = MegakernelIoLoop::start(queue, tables, ReadPathChoice::Auto).unwrap();
    (device, served, memory)
}

fn ask(device: &DeviceRing, file: u32, offset: u64) -> PendingIo {
    let request = IoRequest {
        op_type: io_op::READ,
        src_handle: file,
        dst_handle: file,
        offset,
        byte_count: 1000,
        ..IoRequest::default()
    };
    device.ask(&request).unwrap()
}

fn outcome(pending: &PendingIo) -> Result<u32, u32> {
    let begun = Instant::now();
    loop {
        if let Some(outcome) = pending.outcome() {
            return outcome;
        }
        assert!(begun.elapsed() < LIMIT);
        std::thread::yield_now();
    }
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
    let (device, served, memory) = serve(&[&mounted.join("short"), &mounted.join("bad")]);
    for (file, offset, expected) in [
        (0, 300, Ok(1000)),
        (1, 300, Ok(1000)),
        (1, 1500, Err(5)),
        (0, 4500, Ok(500)),
        (1, 1000, Ok(1000)),
    ] {
        assert_eq!(outcome(&ask(&device, file, offset)), expected);
        let seen = memory.borrow_chunk(file);
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
    let stats = served.stats();
    assert_eq!((stats.reads, stats.failed, stats.bytes_read), (4, 1, 3500));
}

/// Opens once, for all.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn pass(&self) {
        let open = self.0.lock().unwrap();
        drop(self.1.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

#[test]
fn a_file_system_that_does_not_answer_keeps_its_memory_and_holds_up_no_stop() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let reached = Arc::new(AtomicBool::new(false));
    let reaches = Arc::clone(&reached);
    let file = Faulty::new("stuck", vec![7; 5000]).pause(move |_| {
        reaches.store(true, Ordering::Release);
        held.pass();
    });
    let Some(mounted) = mount([file]) else {
        return;
    };
    let (device, served, memory) = serve(&[&mounted.join("stuck")]);
    let pending = ask(&device, 0, 0);
    let begun = Instant::now();
    while !reached.load(Ordering::Acquire) {
        assert!(begun.elapsed() < LIMIT);
    }
    let begun = Instant::now();
    let stopped = served.stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
    let error = stopped.unwrap_err().to_string();
    assert!(error.contains("does not answer"), "{error}");
    let kept = Arc::downgrade(&memory);
    drop(memory);
    assert!(kept.upgrade().is_some(), "bytes may land there");
    gate.open();
    let begun = Instant::now();
    while kept.upgrade().is_some() {
        assert!(begun.elapsed() < LIMIT);
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(pending.outcome().is_some());
}

#[test]
fn slow_files_hold_up_no_stop_and_what_they_had_not_answered_is_cancelled() {
    // All four together are less than a loop waits for before it gives a stop up.
    const ANSWER: Duration = Duration::from_millis(400);
    let names = ["a", "b", "c", "d"];
    let file = |name| Faulty::new(name, vec![7; 5000]).pause(|_| std::thread::sleep(ANSWER));
    let Some(mounted) = mount(names.map(file)) else {
        return;
    };
    let paths = names.map(|name| mounted.join(name));
    for stops in [true, false] {
        let (device, served, _memory) = serve(&paths.each_ref().map(|path| path.as_path()));
        let pending = [0, 1, 2, 3].map(|file| ask(&device, file, 0));
        std::thread::sleep(ANSWER / 10);
        let begun = Instant::now();
        if stops {
            served.stop().unwrap();
        } else {
            drop(served);
        }
        // The answer that is awaited, and not those behind it.
        assert!(begun.elapsed() < 2 * ANSWER, "{:?}", begun.elapsed());
        // What was not claimed yet has not begun, and waits for another loop.
        let outcomes = pending.each_ref().map(|pending| pending.outcome());
        let cancelled = Some(Err(libc::ECANCELED.unsigned_abs()));
        for outcome in outcomes {
            assert!(
                [Some(Ok(1000)), cancelled, None].contains(&outcome),
                "{outcomes:?}"
            );
        }
        let read = outcomes.iter().filter(|it| **it == Some(Ok(1000)));
        assert!(read.count() <= 2, "{outcomes:?}");
    }
}

#[test]
fn a_fence_waits_for_a_slow_file_and_a_failure_before_it_is_told_first() {
    const ANSWER: Duration = Duration::from_millis(200);
    let slow = Faulty::new("slow", vec![7; 5000]).pause(|_| std::thread::sleep(ANSWER));
    let bad = Faulty::new("bad", vec![7; 5000]).error_at(0);
    let Some(mounted) = mount([slow, bad]) else {
        return;
    };
    let (device, served, _memory) = serve(&[&mounted.join("slow"), &mounted.join("bad")]);
    for _ in 0..3 {
        let before = [ask(&device, 0, 0), ask(&device, 1, 0)];
        let fence = IoRequest {
            op_type: io_op::FENCE,
            ..IoRequest::default()
        };
        let fence = device.ask(&fence).unwrap();
        assert_eq!(outcome(&fence), Ok(0));
        let ended = before.each_ref().map(|pending| pending.outcome());
        assert_eq!(ended, [Some(Ok(1000)), Some(Err(5))]);
    }
    served.stop().unwrap();
}
