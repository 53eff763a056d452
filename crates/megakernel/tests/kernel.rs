//! The kernel on the CPU back end: opcodes, faults, tenants, fences, leases and shutdown.

use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::{
    Backend, Feed, Feeder, FeederFactory, Kernel, KernelConfig, Lease, ScanMode, ScanSet,
    StreamJob, StreamOpcode, StreamSlot,
};
use gristmill_protocol::{control, fault, opcode, priority::Priority, slot, stream};
use gristmill_ring::{
    ChunkBuf, ChunkMemory, Completion, Completions, Outcome, RecordWriter, RingConfig, Submission,
};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

struct World {
    kernel: Kernel,
    completions: Completions,
    chunks: Vec<ChunkBuf>,
}

#[derive(Default)]
struct Setup {
    workers: usize,
    tenants: u32,
    lease: Lease,
    jobs: Vec<StreamJob>,
    feeders: Vec<FeederFactory>,
    debug_records: u32,
}

fn world(setup: Setup) -> World {
    let (memory, chunks) = ChunkMemory::map(4, 4096).unwrap();
    let mut kernel = CpuBackend
        .launch(
            KernelConfig {
                workers: setup.workers.max(1),
                ring: RingConfig {
                    slots: 64,
                    tenants: setup.tenants.max(1),
                    observables: 64,
                    debug_records: setup.debug_records,
                },
                chunks: memory,
                record_words: 256,
                lease: setup.lease,
            },
            setup.jobs,
            setup.feeders,
        )
        .unwrap();
    let completions = kernel.take_completions().unwrap();
    assert!(kernel.take_completions().is_none());
    World {
        kernel,
        completions,
        chunks,
    }
}

impl World {
    fn publish(&self, submission: &Submission) {
        let submitter = self.kernel.submitter();
        let token = submitter.try_acquire().expect("a free slot");
        submitter.publish(token, submission).unwrap();
    }

    /// The next completion; fails the test rather than hang.
    fn reap(&mut self) -> Completion {
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(done) = self.completions.next() {
                return done;
            }
            assert!(Instant::now() < until, "no completion: a hang");
            self.completions.wait(Duration::from_millis(10));
        }
    }

    /// Publishes one slot and returns its status, fault and first result.
    fn run(&mut self, submission: &Submission) -> (u32, u32, u32) {
        self.publish(submission);
        let done = self.reap();
        let answer = (done.status, done.fault, done.results[0]);
        self.kernel.submitter().release(done.token);
        answer
    }

    fn op(&mut self, number: u32, args: &[u32]) -> (u32, u32, u32) {
        self.run(&Submission::new(number, args))
    }
}

fn tenant(id: u32, number: u32, args: &[u32]) -> Submission {
    Submission {
        tenant: id,
        ..Submission::new(number, args)
    }
}

const OK: u32 = slot::DONE;

#[test]
fn core_opcodes_do_what_the_protocol_says() {
    let mut world = world(Setup::default());
    assert_eq!(world.op(opcode::NOP, &[]), (OK, 0, 0));
    assert_eq!(world.op(opcode::STORE_U32, &[11, 3]), (OK, 0, 0));
    assert_eq!(world.op(opcode::ATOMIC_ADD, &[5, 3]), (OK, 0, 16));
    assert_eq!(world.kernel.observable(3), Some(16));
    assert_eq!(world.op(opcode::COMPARE_SWAP, &[3, 99, 1]).2, 16, "no swap");
    assert_eq!(world.kernel.observable(3), Some(16));
    assert_eq!(world.op(opcode::COMPARE_SWAP, &[3, 16, 7]).2, 16, "swapped");
    assert_eq!(world.kernel.observable(3), Some(7));
    let base = control::TENANT_BASE as u32;
    assert_eq!(
        world.op(opcode::LOAD_U32, &[base, 9]).2,
        control::TENANT_MASK_BASE_VALUE
    );
    assert_eq!(
        world.op(opcode::LOAD_U32, &[160 + 3, 10]).2,
        7,
        "an observable"
    );
    for index in 0..4 {
        world.op(opcode::STORE_U32, &[100 + index, 20 + index]);
    }
    // Overlapping, both ways.
    assert_eq!(world.op(opcode::MEMCPY, &[20, 21, 3]).0, OK);
    let seen: Vec<_> = (20..24)
        .map(|index| world.kernel.observable(index).unwrap())
        .collect();
    assert_eq!(seen, [100, 100, 101, 102]);
    assert_eq!(world.op(opcode::MEMCPY, &[21, 20, 3]).0, OK);
    let seen: Vec<_> = (20..24)
        .map(|index| world.kernel.observable(index).unwrap())
        .collect();
    assert_eq!(seen, [100, 101, 102, 102]);
}

#[test]
fn what_is_out_of_range_or_unknown_is_a_fault_with_its_reason() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Lines],
        ..Setup::default()
    });
    let mut fails = |number, args: &[u32], reason| {
        let (status, fault, _) = world.op(number, args);
        assert_eq!(
            (status, fault),
            (slot::FAULT, reason),
            "opcode {number:#x} {args:?}"
        );
    };
    for (number, args) in [
        (opcode::STORE_U32, vec![1, 64]),
        (opcode::ATOMIC_ADD, vec![1, u32::MAX]),
        (opcode::LOAD_U32, vec![160 + 64, 0]),
        (opcode::LOAD_U32, vec![0, 64]),
        (opcode::COMPARE_SWAP, vec![64, 0, 0]),
        (opcode::MEMCPY, vec![0, 60, 5]),
        (opcode::MEMCPY, vec![u32::MAX, 0, 2]),
        (opcode::MEMCPY, vec![0, 0, u32::MAX]),
    ] {
        fails(number, &args, fault::INDEX_OUT_OF_RANGE);
    }
    fails(opcode::DFA_STEP, &[], fault::NO_SUCH_PROGRAM);
    fails(opcode::LOAD_MISS, &[], fault::UNKNOWN_OPCODE);
    fails(0xFFF3, &[], fault::UNKNOWN_OPCODE);
    fails(0x4000_0000, &[], fault::NO_SUCH_PROGRAM);
    fails(0x4010_0000, &[], fault::FOREIGN_OPCODE);
    fails(opcode::SCAN, &[], fault::NO_SUCH_JOB);
    fails(opcode::LINES, &[0, 0, 1, 9], fault::NO_SUCH_JOB);
    fails(opcode::LINES, &[0, 0, 1, 0], fault::CHUNK_NOT_LENT);
    fails(opcode::LINES, &[99, 0, 1, 0], fault::CHUNK_NOT_LENT);
}

#[test]
fn a_chunk_is_read_while_it_is_lent_and_within_its_bounds() {
    let set = ScanSet::build(&["needle"], false, ScanMode::Lines).unwrap();
    let mut world = world(Setup {
        jobs: vec![
            StreamJob::Lines,
            StreamJob::Histogram,
            StreamJob::Crc32c,
            StreamJob::Scan(Arc::new(set)),
        ],
        ..Setup::default()
    });
    let mut chunk = world.chunks.pop().unwrap();
    chunk.as_mut_slice()[..31].copy_from_slice(b"one\na needle in it\nneedle\n12345");
    let lent = chunk.lend();
    let index = lent.index();
    assert_eq!(world.op(opcode::LINES, &[index, 0, 31, 0]), (OK, 0, 3));
    assert_eq!(
        world.op(opcode::LINES, &[index, 4, 10, 0]),
        (OK, 0, 0),
        "a part of it"
    );
    let (status, reason, _) = world.op(opcode::LINES, &[index, 4000, 97, 0]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    let (status, reason, _) = world.op(opcode::LINES, &[index, u32::MAX, u32::MAX, 0]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    // The check value of CRC-32C: "123456789"; here of "12345", by the definition.
    assert_eq!(
        world.op(opcode::CRC32C, &[index, 26, 5, 2]).2,
        naive_crc32c(b"12345")
    );
    let (status, _, lines) = world.op(opcode::SCAN, &[index, 0, 31, 3, stream::MODE_COUNT_LINES]);
    assert_eq!((status, lines), (OK, 2));

    world.publish(&Submission::new(opcode::HISTOGRAM, &[index, 0, 31, 1]));
    let done = world.reap();
    let area = done.token.index().get();
    let count = |byte: u8| world.kernel.records().word(area, usize::from(byte));
    assert_eq!((count(b'e'), count(b'\n'), count(b'z')), (7, 3, 0));
    world.kernel.submitter().release(done.token);
    assert!(lent.reclaim().is_ok());
}

fn naive_crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

#[test]
fn packed_slots_run_their_ops_in_order_until_one_faults() {
    let mut world = world(Setup::default());
    // Two ops: STORE 40 at 2, then ADD 2 at 2. Header: ops, words, then (opcode, offset) each.
    let header = |bytes: [u8; 8]| {
        [
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            u32::from_le_bytes(bytes[4..].try_into().unwrap()),
        ]
    };
    let [h0, h1] = header([2, 4, 1, 0, 2, 2, 0, 0]);
    assert_eq!(
        world.op(opcode::PACKED_SLOT, &[h0, h1, 40, 2, 2, 2]),
        (OK, 0, 42)
    );
    assert_eq!(world.kernel.observable(2), Some(42));
    // The second op is out of range: the first has run, the slot faults.
    let (status, reason, _) = world.op(opcode::PACKED_SLOT, &[h0, h1, 50, 2, 2, 64]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    assert_eq!(world.kernel.observable(2), Some(50));
    // Offsets and counts that lie.
    for bytes in [
        [2, 4, 1, 9, 2, 2, 0, 0],
        [200, 4, 1, 0, 2, 2, 0, 0],
        [1, 255, 1, 0, 0, 0, 0, 0],
        [1, 0, 7, 0, 0, 0, 0, 0],
        [1, 0, 0x55, 0, 0, 0, 0, 0],
    ] {
        let [h0, h1] = header(bytes);
        let (status, reason, _) = world.op(opcode::PACKED_SLOT, &[h0, h1]);
        assert_eq!(
            (status, reason),
            (slot::FAULT, fault::BAD_PACKED_SLOT),
            "{bytes:?}"
        );
    }
}

#[test]
fn tenants_run_only_with_a_mask_and_reach_only_their_window() {
    let mut world = world(Setup {
        tenants: 2,
        ..Setup::default()
    });
    assert_eq!(world.run(&tenant(1, opcode::STORE_U32, &[5, 0])).0, OK);
    assert_eq!(
        world.kernel.observable(32),
        Some(5),
        "the second window of 32"
    );
    assert_eq!(world.kernel.observable(0), Some(0));
    let (_, reason, _) = world.run(&tenant(1, opcode::STORE_U32, &[5, 32]));
    assert_eq!(reason, fault::INDEX_OUT_OF_RANGE);
    let (_, reason, _) = world.run(&tenant(2, opcode::NOP, &[]));
    assert_eq!(reason, fault::TENANT_MASKED);
    for id in [29, 1024, u32::MAX] {
        let (_, reason, _) = world.run(&tenant(id, opcode::NOP, &[]));
        assert_eq!(reason, fault::BAD_TENANT, "tenant {id}");
    }
    let handle = world.kernel.tenants().tenant(1).unwrap();
    handle.set_mask(0);
    let (_, reason, _) = world.run(&tenant(1, opcode::NOP, &[]));
    assert_eq!(reason, fault::TENANT_MASKED);
    handle.set_mask(1);
    handle.set_quota(0);
    let (_, reason, _) = world.run(&tenant(1, opcode::NOP, &[]));
    assert_eq!(reason, fault::QUOTA);
    assert!(world.kernel.tenants().tenant(29).is_err());
    assert_eq!(handle.opcodes().start, 0x4010_0000);
}

/// Counts how many of its runs overlap, and gives as many as are awaited the time to.
struct Overlap {
    awaited: u32,
    now: AtomicU32,
    most: AtomicU32,
}

impl StreamOpcode for Overlap {
    fn run(
        &self,
        _bytes: &[u8],
        _slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        let until = Instant::now() + Duration::from_secs(20);
        while self.most.load(Ordering::SeqCst) < self.awaited && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(5));
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(Outcome::default())
    }
}

#[test]
fn a_quota_bounds_the_slots_of_a_tenant_that_run_at_a_time() {
    for (quota, expected) in [(1, 1), (1000, 3)] {
        let overlap = Arc::new(Overlap {
            awaited: expected,
            now: AtomicU32::new(0),
            most: AtomicU32::new(0),
        });
        let mut world = world(Setup {
            workers: 3,
            jobs: vec![StreamJob::Custom(9, overlap.clone())],
            ..Setup::default()
        });
        world.kernel.tenants().tenant(0).unwrap().set_quota(quota);
        let lent: Vec<_> = world.chunks.drain(..).map(ChunkBuf::lend).collect();
        for round in 0..3 {
            for chunk in &lent {
                world.publish(&Submission::new(9, &[chunk.index(), 0, 1, 0]));
            }
            for _ in &lent {
                let done = world.reap();
                assert_eq!(done.status, OK, "round {round}");
                world.kernel.submitter().release(done.token);
            }
        }
        assert_eq!(
            overlap.most.load(Ordering::SeqCst),
            expected,
            "quota {quota}"
        );
    }
}

#[test]
fn a_fence_completes_after_everything_published_before_it() {
    struct Slow;
    impl StreamOpcode for Slow {
        fn run(
            &self,
            _bytes: &[u8],
            _slot: &StreamSlot<'_>,
            _records: &mut RecordWriter<'_>,
        ) -> Result<Outcome, u32> {
            std::thread::sleep(Duration::from_millis(30));
            Ok(Outcome::default())
        }
    }
    for workers in [1, 3] {
        let mut world = world(Setup {
            workers,
            jobs: vec![StreamJob::Custom(8, Arc::new(Slow))],
            ..Setup::default()
        });
        let lent = world.chunks.pop().unwrap().lend();
        // Slow and at the lowest priority; the fence at the highest.
        world.publish(&Submission {
            priority: Priority::Idle,
            ..Submission::new(8, &[lent.index(), 0, 1, 0])
        });
        world.publish(&Submission {
            priority: Priority::Critical,
            ..Submission::new(opcode::BATCH_FENCE, &[1, 5])
        });
        let order: Vec<(u32, u32)> = (0..2)
            .map(|_| {
                let done = world.reap();
                (done.token.index().get(), done.results[0])
            })
            .collect();
        assert_eq!(order[1].1, 1, "the fence came second, with the epoch");
        assert_eq!(world.kernel.epoch(), 1);
    }
}

#[test]
fn metrics_and_the_debug_log_tell_what_ran() {
    let mut world = world(Setup {
        debug_records: 2,
        ..Setup::default()
    });
    for _ in 0..5 {
        world.op(opcode::NOP, &[]);
    }
    for id in 0..3 {
        world.op(opcode::PRINTF, &[id, 10, 20]);
    }
    let words = |index| world.kernel.control_word(index).unwrap();
    assert_eq!(words(control::DONE_COUNT), 8);
    assert_eq!(words(control::METRICS), 5);
    assert_eq!(words(control::TENANT_FAIRNESS), 8);
    assert_eq!(words(control::PRIORITY_FAIRNESS + 2), 8);
    let (records, dropped) = world.kernel.debug_log();
    assert_eq!(dropped, 1);
    assert_eq!(records.len(), 2);
    assert_eq!(records[1][..3], [1, 10, 20]);
}

/// Tells how much there is before, in and behind the own bytes, and the first and last byte of it all.
struct Around;

impl StreamOpcode for Around {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert_eq!(&slot.around[slot.before..][..bytes.len()], bytes);
        let mut told = slot.before * 1000 + bytes.len() * 10;
        told += slot.around.len() - slot.before - bytes.len();
        for byte in [slot.around.first(), slot.around.last()]
            .into_iter()
            .flatten()
        {
            told = told * 1000 + usize::from(*byte);
        }
        u32::try_from(told).map_or(Err(fault::BAD_ARGUMENT), |told| Ok(Outcome::value(told)))
    }
}

#[test]
fn an_opcode_sees_what_the_slot_says_is_around_its_bytes() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Custom(8, Arc::new(Around)), StreamJob::Lines],
        ..Setup::default()
    });
    let mut chunk = world.chunks.pop().unwrap();
    for (byte, at) in chunk.as_mut_slice().iter_mut().zip(0_u8..=255) {
        *byte = at;
    }
    let lent = chunk.lend();
    let index = lent.index();
    let op = |world: &mut World, opcode, job, [before, start, len, after]: [u32; 4]| {
        world.op(opcode, &[index, start, len, job, 0, 0, 0, 0, after, before])
    };
    assert_eq!(op(&mut world, 8, 0, [2, 20, 3, 4]), (OK, 0, 2_034_018_026));
    assert_eq!(op(&mut world, 8, 0, [0, 20, 3, 4]), (OK, 0, 34_020_026));
    assert_eq!(op(&mut world, 8, 0, [0, 0, 1, 0]), (OK, 0, 10_000_000));
    assert_eq!(op(&mut world, 8, 0, [0, 4096, 0, 0]), (OK, 0, 0));
    // The chunk has 4,096 bytes. Opcodes that do not look around are not given what is not there either.
    for outside in [
        [21, 20, 3, 0],
        [1, 0, 3, 0],
        [0, 20, 3, 4074],
        [0, 4096, 0, 1],
        [0, 0, 4097, 0],
        [u32::MAX; 4],
        [u32::MAX, 0, 0, 0],
        [0, 0, 0, u32::MAX],
    ] {
        for (opcode, job) in [(8, 0), (opcode::LINES, 1)] {
            let (status, reason, _) = op(&mut world, opcode, job, outside);
            let faulted = (slot::FAULT, fault::INDEX_OUT_OF_RANGE);
            assert_eq!((status, reason), faulted, "{outside:?}");
        }
    }
    assert_eq!(op(&mut world, opcode::LINES, 1, [5, 8, 5, 9]), (OK, 0, 1));
    assert!(lent.reclaim().is_ok(), "the chunk was let go of each time");
}

/// Panics when told to.
struct Fragile;

impl StreamOpcode for Fragile {
    fn run(
        &self,
        _bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert!(slot.mode != 13, "told to panic");
        Ok(Outcome::value(slot.mode))
    }
}

#[test]
fn a_panic_in_an_opcode_faults_its_slot_and_the_worker_lives_on() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Custom(8, Arc::new(Fragile))],
        ..Setup::default()
    });
    let lent = world.chunks.pop().unwrap().lend();
    let index = lent.index();
    for _ in 0..3 {
        let (status, reason, _) = world.op(8, &[index, 0, 1, 0, 13]);
        assert_eq!((status, reason), (slot::FAULT, fault::WORKER_PANICKED));
        assert_eq!(world.op(8, &[index, 0, 1, 0, 12]), (OK, 0, 12));
    }
    assert!(lent.reclaim().is_ok(), "the panic let go of the chunk");
}

#[test]
fn a_spent_lease_is_followed_by_another_and_nothing_is_lost() {
    let mut world = world(Setup {
        lease: Lease {
            idle_polls: 1,
            slots: 3,
            ..Lease::default()
        },
        ..Setup::default()
    });
    for _ in 0..50 {
        assert_eq!(world.op(opcode::ATOMIC_ADD, &[1, 0]).0, OK);
    }
    assert_eq!(world.kernel.observable(0), Some(50));
    let stats = world.kernel.stats();
    assert_eq!(stats.slots, 50);
    assert!(stats.leases >= 16 && stats.launches >= 16, "{stats:?}");
}

#[test]
fn shutdown_returns_under_load_and_from_the_ring() {
    let loaded = world(Setup {
        workers: 2,
        ..Setup::default()
    });
    for _ in 0..64 {
        loaded.publish(&Submission::new(opcode::NOP, &[]));
    }
    // A fence that can never complete, as it is parked when the kernel goes.
    loaded.kernel.shutdown().unwrap();

    let mut world = world(Setup::default());
    assert_eq!(world.op(opcode::SHUTDOWN, &[]).0, OK);
    world.kernel.shutdown().unwrap();
}

/// Publishes slots when it is called, then waits to be woken.
struct Publisher {
    left: u32,
    submitter: Arc<std::sync::OnceLock<gristmill_ring::Submitter>>,
}

impl Feeder for Publisher {
    fn feed(&mut self) -> Feed {
        let Some(submitter) = self.submitter.get() else {
            return Feed::Idle;
        };
        if self.left == 0 {
            return Feed::Finished;
        }
        let Some(token) = submitter.try_acquire() else {
            return Feed::Idle;
        };
        self.left -= 1;
        submitter
            .publish(token, &Submission::new(opcode::ATOMIC_ADD, &[1, 7]))
            .unwrap();
        Feed::Progress
    }
}

#[test]
fn feeders_feed_their_workers() {
    let cell = Arc::new(std::sync::OnceLock::new());
    let feeders = (0..2)
        .map(|_| {
            let submitter = Arc::clone(&cell);
            Box::new(move |_worker| {
                Box::new(Publisher {
                    left: 300,
                    submitter,
                }) as Box<dyn Feeder>
            }) as FeederFactory
        })
        .collect();
    let mut world = world(Setup {
        workers: 2,
        feeders,
        ..Setup::default()
    });
    cell.set(world.kernel.submitter().clone()).unwrap();
    world.kernel.submitter().wake_workers();
    for _ in 0..600 {
        let done = world.reap();
        world.kernel.submitter().release(done.token);
        world.kernel.submitter().wake_workers();
    }
    assert_eq!(world.kernel.observable(7), Some(600));
}

/// Ticks of processor time that this process has used.
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn idle_workers_sleep() {
    // In a process of its own, as other tests use the processor.
    if std::env::var_os("GRISTMILL_IDLE_CHILD").is_none() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "idle_workers_sleep"])
            .env("GRISTMILL_IDLE_CHILD", "1")
            .status()
            .unwrap();
        assert!(status.success());
        return;
    }
    let mut world = world(Setup {
        workers: 4,
        ..Setup::default()
    });
    world.op(opcode::NOP, &[]);
    std::thread::sleep(Duration::from_millis(100));
    let before = cpu_ticks();
    std::thread::sleep(Duration::from_millis(1000));
    let used = cpu_ticks() - before;
    // Of 400 ticks that four polling workers would use.
    assert!(used <= 20, "{used} ticks");
    assert_eq!(world.op(opcode::NOP, &[]).0, OK, "and wake up");
}

#[test]
fn a_kernel_without_workers_is_refused() {
    let (chunks, _tokens) = ChunkMemory::map(1, 4096).unwrap();
    let config = KernelConfig {
        workers: 0,
        ring: RingConfig::default(),
        chunks,
        record_words: 16,
        lease: Lease::default(),
    };
    assert!(CpuBackend.launch(config, Vec::new(), Vec::new()).is_err());
}

#[test]
fn priorities_age_on_a_running_kernel() {
    // One worker is held by a slot until everything has been published; then the order of claims is the rule's.
    struct Gate(Arc<Barrier>, AtomicBool);
    impl StreamOpcode for Gate {
        fn run(
            &self,
            _bytes: &[u8],
            _slot: &StreamSlot<'_>,
            _records: &mut RecordWriter<'_>,
        ) -> Result<Outcome, u32> {
            if !self.1.swap(true, Ordering::SeqCst) {
                self.0.wait();
            }
            Ok(Outcome::default())
        }
    }
    let barrier = Arc::new(Barrier::new(2));
    let gate = Gate(Arc::clone(&barrier), AtomicBool::new(false));
    let mut world = world(Setup {
        jobs: vec![StreamJob::Custom(8, Arc::new(gate))],
        ..Setup::default()
    });
    let lent = world.chunks.pop().unwrap().lend();
    world.publish(&Submission {
        priority: Priority::Critical,
        ..Submission::new(8, &[lent.index(), 0, 1, 0])
    });
    world.publish(&Submission {
        priority: Priority::Low,
        ..Submission::new(opcode::LOAD_U32, &[2, 0])
    });
    for _ in 0..40 {
        world.publish(&Submission::new(opcode::NOP, &[]));
    }
    barrier.wait();
    let results: Vec<u32> = (0..42).map(|_| world.reap().results[0]).collect();
    let low = results.iter().position(|result| *result == 3).unwrap();
    // After the gate, which was claimed above both, and 15 or 16 of the normal ones.
    assert!((15..=17).contains(&low), "claimed as number {low}");
    assert_eq!(world.kernel.stats().aged_claims, 1);
}
