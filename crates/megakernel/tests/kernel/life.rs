//! The life of a kernel: leases, feeders, idling, shutdown.

use super::*;

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
    // This fence can never complete, since it is parked when the kernel ends.
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

/// Has work just after it was asked for some, when nobody sleeps who could be woken.
struct Late {
    left: std::cell::Cell<u32>,
    submitter: Arc<std::sync::OnceLock<gristmill_ring::Submitter>>,
}

impl Feeder for Late {
    fn feed(&mut self) -> Feed {
        let Some(submitter) = self.submitter.get().filter(|_| self.left.get() == 0) else {
            return Feed::Idle;
        };
        let token = submitter.try_acquire().unwrap();
        submitter
            .publish(token, &Submission::new(opcode::ATOMIC_ADD, &[1, 7]))
            .unwrap();
        Feed::Finished
    }

    fn has_work(&self) -> bool {
        self.left.set(self.left.get().saturating_sub(1));
        true
    }
}

#[test]
fn a_worker_does_not_sleep_over_work_that_came_before_it_slept() {
    let cell = Arc::new(std::sync::OnceLock::new());
    let submitter = Arc::clone(&cell);
    let feeder: FeederFactory = Box::new(move |_worker| {
        Box::new(Late {
            left: std::cell::Cell::new(50),
            submitter,
        }) as Box<dyn Feeder>
    });
    let mut world = world(Setup {
        feeders: vec![feeder],
        ..Setup::default()
    });
    cell.set(world.kernel.submitter().clone()).unwrap();
    world.reap();
    assert_eq!(world.kernel.observable(7), Some(1));
}

/// The processor time that this process has used, in ticks.
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
    // This runs in its own process, since other tests use the processor.
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
    // Four polling workers would use 400 ticks.
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
