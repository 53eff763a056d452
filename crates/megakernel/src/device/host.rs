//! The host's half of a kernel on a device: it launches the kernel again whenever a lease has ended and work remains, watches
//! for signs of life, and ends it all.
//!
//! Each crew of groups (see [`Driver::crews`]) has a thread that launches it and waits. A watchdog looks at the heartbeats
//! of crews that have work: one that gives none is lost, and the kernel fails with what is known of it. Workers give signs
//! of life by the work that they do, so a program that runs for long is no lost device; and the watchdog counts only time
//! in which no thread of this process waited for a processor (`vigil.rs`), so a machine that is busy is none either. A
//! thread that waits for a lost device cannot be ended; it is left behind, and keeps the memory that the device may still
//! write alive.

use super::driver::{DeviceMemory, Driver, Launch};
use super::layout::{state, worker};
use super::memory::{job_tables, Memory, PROGRAM_WORDS};
use super::tables::ProgramTables;
use super::threads::Threads;
use super::vigil::{Clock, Silence};
use crate::backend::{Feed, FeederFactory, KernelConfig};
use crate::kernel::{Device, Kernel, KernelStats};
use crate::programs::ProgramSink;
use crate::{ProgramTable, StreamJob};
use gristmill_protocol::{control, priority, tails, PipelineError};
use gristmill_ring::{
    live_ring_over, Arena, ChunkBuf, ChunkMemory, ChunkPlan, DeviceRing, SharedWords,
};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Silence after which a device that has begun to run is taken for lost. Workers give signs of life between slots, and as
/// they work within programs and searches; other stream opcodes are silent for as long as their chunk takes. All silences
/// are time that the device could have used: see `vigil.rs`.
const SILENCE: Duration = Duration::from_secs(1);

/// Bytes that the slowest stream opcode reads in a second, at the very least.
const SLOWEST_BYTES: u64 = 32 << 20;

/// The same before the first sign of life of all: a device that others use, too, may start later.
const FIRST_SILENCE: Duration = Duration::from_secs(5);

/// How often the watchdog looks.
const WATCH: Duration = Duration::from_millis(100);

/// How long a shutdown waits for the device to leave the kernel while nothing moves.
const LEAVE: Duration = Duration::from_secs(5);

/// How long a crew waits that has left the kernel without having completed anything, at first and at most.
const CREW_NAPS: (Duration, Duration) = (Duration::from_micros(100), Duration::from_millis(2));

/// How long a feeder with nothing to do waits at first, and at most.
const FEEDER_NAPS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// Chunk memory that a driver's device sees.
///
/// # Errors
/// [`PipelineError`] for a size of zero or out of range, or where the memory is not to be had.
pub fn chunk_memory(
    driver: &dyn Driver,
    count: u32,
    chunk_bytes: usize,
) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), PipelineError> {
    let plan = ChunkPlan::new(count, chunk_bytes)?;
    let mut arena = Arena::new(driver.shared(plan.carved_bytes())?);
    ChunkMemory::carve(plan, &mut arena)
}

/// One crew's launches.
struct Crew {
    first: u32,
    groups: u32,
    launches: AtomicU32,
    /// Whether the kernel is launched now.
    inside: AtomicBool,
}

/// What the threads of a kernel share. Whoever has it keeps everything alive that the device can reach.
struct Host {
    driver: Arc<dyn Driver>,
    ring: DeviceRing,
    workers: SharedWords,
    tables: Arc<ProgramTables>,
    _state: Box<dyn DeviceMemory>,
    _chunks: Arc<ChunkMemory>,
    launch: Launch,
    crews: Vec<Crew>,
    /// Silence after which a crew that has begun to run is taken for lost.
    patience: Duration,
    /// Where the ring's counters begin.
    counters_from: u32,
    stopping: AtomicBool,
    failure: OnceLock<PipelineError>,
    threads: Arc<Threads>,
}

impl Host {
    fn worker(&self, number: u32, word: usize) -> &AtomicU32 {
        &self.workers[number as usize * worker::WORDS + word]
    }

    fn worker_count(&self) -> u32 {
        self.crews.iter().map(|crew| crew.groups).sum()
    }

    /// Slots completed, modulo 2^32.
    fn completed(&self) -> u32 {
        (0..self.worker_count())
            .map(|number| self.worker(number, worker::SLOTS).load(Ordering::Acquire))
            .fold(0, u32::wrapping_add)
    }

    /// Slots published and not completed, at some moment during the call.
    fn in_flight(&self) -> u32 {
        // In this order: what was completed before can only have been published before as well.
        let completed = self.completed();
        self.published().wrapping_sub(completed)
    }

    /// Slots published, modulo 2^32.
    fn published(&self) -> u32 {
        self.ring.tails()[..priority::COUNT]
            .iter()
            .map(|tail| {
                let tail = tail.load(Ordering::Acquire);
                tail.wrapping_sub(self.counters_from)
            })
            .fold(0, u32::wrapping_add)
    }

    /// What moves as long as a crew lives: the number of its launch, and its workers' signs of life.
    fn signs(&self, crew: &Crew) -> (u32, u32) {
        let beats = (crew.first..crew.first + crew.groups)
            .map(|number| self.worker(number, worker::BEAT).load(Ordering::Relaxed))
            .fold(0, u32::wrapping_add);
        (crew.launches.load(Ordering::Relaxed), beats)
    }

    /// Whether the device is to be launched no more.
    fn over(&self) -> bool {
        self.ring.control()[control::SHUTDOWN].load(Ordering::Acquire) != 0
            || self.failure.get().is_some()
    }

    /// The kernel runs no more, for this reason; the first one counts. Feeders go on until they have seen that.
    fn fail(&self, error: PipelineError) {
        if self.failure.set(error).is_ok() {
            self.leave();
        }
    }

    /// Asks everybody to leave.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.leave();
    }

    /// Asks the device to leave.
    fn leave(&self) {
        self.ring.control()[control::SHUTDOWN].store(1, Ordering::Release);
        self.ring.wake_workers();
        self.threads.notify();
    }

    /// A crew's thread: launch after launch while there is work.
    fn run_crew(&self, crew: &Crew) {
        // What the host does that gives the device more to do.
        let ended = &self.ring.tails()[tails::ENDED];
        let news = || (self.published(), ended.load(Ordering::Acquire));
        let mut nap = CREW_NAPS.0;
        while !self.over() {
            if self.in_flight() == 0 {
                self.ring
                    .sleep_unless(WATCH, || self.over() || self.in_flight() != 0);
                continue;
            }
            let before = (self.completed(), news());
            if !self.launch(crew) {
                return;
            }
            if self.completed() == before.0 {
                // Others run what is left, or it waits for them, or for bytes.
                self.ring
                    .sleep_unless(nap, || self.over() || news() != before.1);
                nap = (nap * 2).min(CREW_NAPS.1);
            } else {
                nap = CREW_NAPS.0;
            }
        }
        // A last time, to complete what is parked.
        if self.failure.get().is_none() && self.in_flight() != 0 {
            self.launch(crew);
        }
    }

    /// One launch, from here until all its groups have left; says whether it could be done.
    fn launch(&self, crew: &Crew) -> bool {
        let before = crew.launches.fetch_add(1, Ordering::Relaxed);
        // A launch with number 0 does nothing.
        let number = before.wrapping_add(1).max(1);
        crew.inside.store(true, Ordering::Release);
        let launched = self.driver.launch(&Launch {
            first: crew.first,
            groups: crew.groups,
            number,
            ..self.launch
        });
        crew.inside.store(false, Ordering::Release);
        launched.map_err(|error| self.fail(error)).is_ok()
    }

    /// The watchdog's thread.
    fn watch(&self) {
        // By crew: its signs of life, and whether it has given one at all.
        let mut seen: Vec<_> = self
            .crews
            .iter()
            .map(|crew| (Silence::new(self.signs(crew)), false))
            .collect();
        // Nobody needs to know how long threads have waited while there are signs of life.
        let mut clock = None;
        while !self.over() {
            self.doze();
            if let Some(error) = self.ring.failure() {
                return self.fail(error);
            }
            let counted = clock.as_mut().map_or(Duration::ZERO, Clock::tick);
            let mut silent = false;
            for (crew, (silence, alive)) in self.crews.iter().zip(&mut seen) {
                let signs = self.signs(crew);
                if !crew.inside.load(Ordering::Acquire) {
                    *silence = Silence::new(signs);
                    continue;
                }
                let (of_crew, moved) = silence.look(signs, counted);
                *alive |= moved && signs.1 != 0;
                silent |= !moved;
                let patience = if *alive {
                    self.patience
                } else {
                    FIRST_SILENCE.max(self.patience)
                };
                if of_crew >= patience {
                    self.fail(PipelineError::Backend(format!(
                        "{} ({}) has given no sign of life for {} s while {} slots were in flight; look at the driver's \
                         messages (dmesg), or use --backend cpu",
                        self.driver.info().name,
                        self.driver.info().backend,
                        patience.as_secs(),
                        self.in_flight(),
                    )));
                }
            }
            clock = match (silent, clock) {
                (true, None) => Some(Clock::new(WATCH)),
                (true, clock) => clock,
                (false, _) => None,
            };
        }
    }

    /// Sleeps until it is time to look again, or until the device is to leave. Not at the ring's bell: what that rings
    /// once is meant for a crew.
    fn doze(&self) {
        self.threads.sleep_unless(WATCH, || self.over());
    }

    /// A feeder's thread.
    fn feed(&self, index: usize, make: FeederFactory) {
        let run = AssertUnwindSafe(|| {
            let mut feeder = make(index);
            let mut nap = FEEDER_NAPS.0;
            loop {
                match feeder.feed() {
                    Feed::Progress | Feed::Blocked => nap = FEEDER_NAPS.0,
                    Feed::Finished => return,
                    Feed::Idle => {
                        if self.stopping.load(Ordering::Acquire) {
                            return;
                        }
                        // The device rings no bell, so completions are looked for.
                        std::thread::sleep(nap);
                        nap = (nap * 2).min(FEEDER_NAPS.1);
                    }
                }
            }
        });
        // A feeder that panics is dropped, which is where it tells whoever waits for it.
        drop(catch_unwind(run));
    }

    /// Waits until all threads have ended, or until nothing has moved for [`LEAVE`]; says how many still run.
    fn wait_for_end(&self) -> usize {
        let signs = |running| {
            let crews: Vec<_> = self.crews.iter().map(|crew| self.signs(crew)).collect();
            (running, self.completed(), crews)
        };
        let mut clock = Clock::new(WATCH);
        let mut silence = Silence::new(signs(0));
        self.threads.wait(WATCH, |running| {
            silence.look(signs(running), clock.tick()).0 >= LEAVE
        })
    }
}

/// The words that device memory begins with: where counters begin that wrap around, and else zeros.
fn first_state(slots: usize, counters_from: u32) -> Vec<u32> {
    if counters_from == 0 {
        return Vec::new();
    }
    let mut words = vec![0; state::SLOTS + 4 * slots];
    words[state::HEADS..state::HEADS + priority::COUNT].fill(counters_from);
    words[state::TICKET] = counters_from;
    words[state::IO_SEEN] = counters_from;
    words[state::SLOTS + 2 * slots..].fill(counters_from);
    words
}

/// Launches a kernel on a driver's device.
///
/// # Errors
/// [`PipelineError`] where sizes are out of range, where memory or threads are not to be had, for chunk memory that the
/// device does not see, and for jobs that only the host can run.
pub fn launch(
    driver: Arc<dyn Driver>,
    config: KernelConfig,
    jobs: &[StreamJob],
    feeders: Vec<FeederFactory>,
) -> Result<Kernel, PipelineError> {
    config.ring.check()?;
    if config.workers == 0 {
        return Err(PipelineError::InvalidArgument {
            what: "a kernel without workers",
            fix: "use at least one worker",
        });
    }
    let groups = driver.crews(config.workers);
    let workers: u32 = groups.iter().sum();
    if workers == 0 || workers as usize > state::MAX_WORKERS {
        return Err(PipelineError::Backend(format!(
            "{} would run {workers} workers, and 1 to {} are possible; use another number of workers",
            driver.info().name,
            state::MAX_WORKERS
        )));
    }
    let memory = Memory::lay_out(&*driver, &config, workers)?;
    let (image, programs) = job_tables(jobs)?;
    let tables = driver.tables(programs + PROGRAM_WORDS)?;
    tables.write(0, &image)?;

    let slots = config.ring.slots as usize;
    let state_words = state::SLOTS + 4 * slots + workers as usize * config.record_words as usize;
    let counters_from = config.ring.counters_from;
    let state = driver.state(4 * state_words, &first_state(slots, counters_from))?;
    let (submitter, completions, ring) = live_ring_over(config.ring, memory.ring)?;
    let (chunks, chunk_states) = config.chunks.addresses();
    let chunk_bytes = config.chunks.chunk_bytes() as u64;
    let tables = ProgramTables::new(
        tables,
        (programs, programs + PROGRAM_WORDS),
        memory.directory,
        config.lease.instructions,
        submitter.clone(),
    );
    let mut first = 0;
    let crew = |groups: &u32| {
        first += groups;
        Crew {
            first: first - groups,
            groups: *groups,
            launches: AtomicU32::new(0),
            inside: AtomicBool::new(false),
        }
    };
    let host = Arc::new(Host {
        launch: Launch {
            shared: memory.address,
            chunks: chunks as u64,
            chunk_states: chunk_states as u64,
            state: state.address(),
            tables: tables.address(),
            first: 0,
            groups: 0,
            number: 0,
        },
        crews: groups.iter().map(crew).collect(),
        patience: SILENCE + Duration::from_millis(1000 * chunk_bytes / SLOWEST_BYTES),
        counters_from,
        driver,
        ring,
        workers: memory.workers,
        tables: Arc::new(tables),
        _state: state,
        _chunks: config.chunks,
        stopping: AtomicBool::new(false),
        failure: OnceLock::new(),
        threads: Arc::default(),
    });
    let sink: Arc<dyn ProgramSink> = Arc::clone(&host.tables) as _;
    let device = OnDevice {
        host: Arc::clone(&host),
        stopped: false,
    };
    device.start(feeders)?;
    Ok(Kernel {
        submitter,
        completions: Some(completions.with_most_records(config.record_words / 2)),
        records: memory.records,
        programs: ProgramTable::new(config.record_words, Some(sink)),
        device: Box::new(device),
    })
}

/// A kernel on a device, as its handle knows it.
struct OnDevice {
    host: Arc<Host>,
    stopped: bool,
}

impl OnDevice {
    /// Starts a thread that has the host's half in its hands until it ends.
    fn spawn(
        &self,
        name: String,
        run: impl FnOnce(&Host) + Send + 'static,
    ) -> Result<(), PipelineError> {
        let spawned = self
            .host
            .threads
            .spawn(name.clone(), &self.host, move |host| {
                // Drivers are foreign code: a panic there must not keep the others waiting.
                if catch_unwind(AssertUnwindSafe(|| run(host))).is_err() {
                    host.fail(PipelineError::Backend(format!(
                        "thread {} ended in a panic; please report this",
                        std::thread::current().name().unwrap_or("of a kernel")
                    )));
                }
                if host.failure.get().is_some() {
                    // The device may still write its memory: it is never released.
                    std::mem::forget(Arc::clone(host));
                }
            });
        spawned.map_err(|error| {
            PipelineError::Backend(format!(
                "cannot start thread {name}: {error}; use fewer workers"
            ))
        })
    }

    fn start(&self, feeders: Vec<FeederFactory>) -> Result<(), PipelineError> {
        let backend = self.host.driver.info().backend;
        for index in 0..self.host.crews.len() {
            self.spawn(format!("gm-{backend}-{index}"), move |host| {
                host.run_crew(&host.crews[index]);
            })?;
        }
        self.spawn(format!("gm-{backend}-watch"), Host::watch)?;
        for (index, feeder) in feeders.into_iter().enumerate() {
            self.spawn(format!("gm-feeder-{index}"), move |host| {
                host.feed(index, feeder)
            })?;
        }
        Ok(())
    }
}

impl Device for OnDevice {
    fn stats(&self) -> KernelStats {
        let host = &self.host;
        let aged = &host.ring.control()[control::PRIORITY_STARVATION];
        let mut stats = KernelStats {
            launches: host
                .crews
                .iter()
                .map(|crew| u64::from(crew.launches.load(Ordering::Relaxed)))
                .sum(),
            aged_claims: u64::from(aged.load(Ordering::Relaxed)),
            ..KernelStats::default()
        };
        for number in 0..host.worker_count() {
            let word = |word| u64::from(host.worker(number, word).load(Ordering::Acquire));
            let slots = word(worker::SLOTS);
            stats.slots += slots;
            stats.slots_by_worker.push(slots);
            stats.leases += word(worker::LEASES);
            stats.faults += word(worker::FAULTS);
            stats.parked += word(worker::PARKED);
        }
        stats
    }

    fn mirror(&self) {
        let host = &self.host;
        let request = host.ring.tails()[tails::MIRROR]
            .fetch_add(1, Ordering::AcqRel)
            .wrapping_add(1);
        let begun = Instant::now();
        // Whoever left the kernel has mirrored then; one worker that is inside is enough for all. A worker that is busy
        // answers after its slot.
        while host.failure.get().is_none() && begun.elapsed() < SILENCE {
            let answered = (0..host.worker_count()).any(|number| {
                host.worker(number, worker::MIRRORED)
                    .load(Ordering::Acquire)
                    .wrapping_sub(request)
                    < 1 << 31
            });
            if answered
                || !host
                    .crews
                    .iter()
                    .any(|crew| crew.inside.load(Ordering::Acquire))
            {
                return;
            }
            std::thread::yield_now();
        }
    }

    fn failure(&self) -> Option<PipelineError> {
        self.host.failure.get().cloned()
    }

    fn stop(&mut self) -> Result<(), PipelineError> {
        let host = &self.host;
        host.stop();
        if !std::mem::replace(&mut self.stopped, true) {
            let left = host.wait_for_end();
            if left == 0 {
                // The driver of a device that was lost may never be done with a thread.
                if host.failure.get().is_none() {
                    host.threads.join();
                }
            } else {
                host.fail(PipelineError::Backend(format!(
                    "{} ({}) did not leave the kernel, and gave no sign of life for {} s; {left} threads are left behind",
                    host.driver.info().name,
                    host.driver.info().backend,
                    LEAVE.as_secs(),
                )));
            }
        }
        host.failure
            .get()
            .map_or(Ok(()), |error| Err(error.clone()))
    }
}

impl Drop for OnDevice {
    fn drop(&mut self) {
        drop(self.stop());
    }
}
