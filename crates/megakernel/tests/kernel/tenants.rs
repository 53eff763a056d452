//! Tenants, quotas, fences, priorities, and the metrics.

use super::*;
use gristmill_testing::Patience;

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

/// Counts how many of its runs overlap, and waits so that as many as are expected have time to do so.
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
        let mut patience = Patience::new();
        while self.most.load(Ordering::SeqCst) < self.awaited && patience.over().is_none() {
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
        // The slots are slow and have the lowest priority; the fence has the highest.
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

#[test]
fn priorities_age_on_a_running_kernel() {
    // One slot holds the only worker until everything has been published. After that, the rule determines the order of
    // claims.
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
    // The slot comes after the gate, which was claimed before it, and after 15 or 16 of the normal slots.
    assert!((15..=17).contains(&low), "claimed as number {low}");
    assert_eq!(world.kernel.stats().aged_claims, 1);
}
