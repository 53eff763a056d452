//! Measures how long a device has been silent, counting only time that it could have used.
//!
//! A running device gives signs of life, and a device that has given none for too long is lost. Wall-clock time says
//! little about that: on an overloaded machine, the threads of a driver that runs kernels on the processor may get no
//! processor for a second, and neither may the thread that is about to pass a launch to a GPU. So [`Clock::tick`]
//! counts only time in which no thread of this process waited for a processor. Linux reports for each thread how long
//! it has run and how long it has waited to run (`/proc/self/task/N/schedstat`). A thread that is still waiting shows
//! as ready to run (`stat`) without gaining run time. Where Linux reports nothing, a tick counts at most the time for
//! which the watchdog had meant to sleep: a machine that keeps the watchdog waiting keeps other threads waiting as
//! well.
//!
//! A thread that spins in a kernel that never ends is running, so its time counts. So does the time of a driver that
//! sleeps and is never woken.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a device that has begun to run may be silent before it is considered lost. Workers give signs of life
/// between slots, and within programs and searches as they work; other stream opcodes are silent for as long as their
/// chunk takes.
pub(super) const SILENCE: Duration = Duration::from_secs(1);

/// The number of bytes that even the slowest stream opcode reads in a second.
const SLOWEST_BYTES: u64 = 32 << 20;

/// How often the watchdog looks.
pub(super) const WATCH: Duration = Duration::from_millis(100);

/// How long a launch group that has begun to run may be silent before it is considered lost, with chunks of this size.
pub(super) fn patience(chunk_bytes: u64) -> Duration {
    SILENCE + Duration::from_millis(1000 * chunk_bytes / SLOWEST_BYTES)
}

/// What Linux reports about a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Thread {
    /// How long it has run.
    ran: Duration,
    /// How long it has waited for a processor, up to the last time that it got one.
    waited: Duration,
    /// Whether it is running or ready to run.
    ready: bool,
}

impl Thread {
    /// Reads the state of a thread of this process from its folder in /proc.
    fn read(folder: &Path) -> Option<Self> {
        let schedstat = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        let stat = std::fs::read_to_string(folder.join("stat")).ok()?;
        Self::parse(&schedstat, &stat)
    }

    fn parse(schedstat: &str, stat: &str) -> Option<Self> {
        let mut numbers = schedstat.split_ascii_whitespace().map(str::parse);
        let mut next = || Some(Duration::from_nanos(numbers.next()?.ok()?));
        let (ran, waited) = (next()?, next()?);
        // The thread's name precedes its state, in brackets, and may contain any characters.
        let (_, behind) = stat.rsplit_once(')')?;
        let ready = behind.trim_start().starts_with('R');
        Some(Self { ran, waited, ready })
    }

    /// How long it has waited for a processor since `before`, within the last `elapsed`.
    fn starved(self, before: Self, elapsed: Duration) -> Duration {
        let ran = self.ran.saturating_sub(before.ran);
        let told = self.waited.saturating_sub(before.waited);
        let going_on = if self.ready && before.ready {
            elapsed.saturating_sub(ran)
        } else {
            Duration::ZERO
        };
        told.max(going_on).min(elapsed)
    }
}

/// All threads of this process except the calling one, by number.
fn threads() -> HashMap<String, Thread> {
    let own = std::fs::read_link("/proc/thread-self");
    let own = own.as_ref().ok().and_then(|path| path.file_name());
    let Ok(entries) = std::fs::read_dir("/proc/self/task") else {
        return HashMap::new();
    };
    entries
        .flatten()
        .filter(|entry| Some(entry.file_name().as_os_str()) != own)
        .filter_map(|entry| {
            let number = entry.file_name().into_string().ok()?;
            Some((number, Thread::read(&entry.path())?))
        })
        .collect()
}

/// Counts time in which no thread of this process waited for a processor.
#[derive(Debug)]
pub struct Clock {
    looked: Instant,
    before: HashMap<String, Thread>,
    /// The most that one tick counts: the time for which the caller means to sleep between two ticks.
    most: Duration,
}

impl Clock {
    /// Makes a clock that begins now and that is read about once every `most`.
    #[must_use]
    pub fn new(most: Duration) -> Self {
        Self {
            looked: Instant::now(),
            before: threads(),
            most,
        }
    }

    /// The counted time since the clock began or was last read.
    pub fn tick(&mut self) -> Duration {
        let now = Instant::now();
        let elapsed = now - std::mem::replace(&mut self.looked, now);
        let threads = threads();
        let before = std::mem::replace(&mut self.before, threads);
        counted(&before, &self.before, elapsed, self.most)
    }
}

fn counted(
    before: &HashMap<String, Thread>,
    after: &HashMap<String, Thread>,
    elapsed: Duration,
    most: Duration,
) -> Duration {
    let starved = after
        .iter()
        .filter_map(|(number, thread)| Some(thread.starved(*before.get(number)?, elapsed)))
        .max();
    elapsed
        .saturating_sub(starved.unwrap_or_default())
        .min(most)
}

/// A value that changes as long as the observed thing is alive, with the time for which it has not changed.
#[derive(Debug)]
pub(super) struct Silence<T> {
    last: T,
    silent: Duration,
}

impl<T: PartialEq> Silence<T> {
    pub fn new(last: T) -> Self {
        Self {
            last,
            silent: Duration::ZERO,
        }
    }

    /// Observes the value again, when `counted` has passed since the last call. Returns for how long it has not
    /// changed, and whether it just has.
    pub fn look(&mut self, now: T, counted: Duration) -> (Duration, bool) {
        let moved = now != self.last;
        if moved {
            *self = Self::new(now);
        } else {
            self.silent += counted;
        }
        (self.silent, moved)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    const TICK: Duration = Duration::from_millis(100);

    fn thread(ran: u64, waited: u64, ready: bool) -> Thread {
        Thread {
            ran: Duration::from_millis(ran),
            waited: Duration::from_millis(waited),
            ready,
        }
    }

    /// How many milliseconds of a tick count if one thread changed in this way.
    fn tick(before: Thread, after: Thread, elapsed: u64) -> u128 {
        let of = |thread| HashMap::from([("1".to_owned(), thread)]);
        let elapsed = Duration::from_millis(elapsed);
        counted(&of(before), &of(after), elapsed, TICK).as_millis()
    }

    #[test]
    fn time_counts_in_which_nobody_waits_for_a_processor() {
        // One thread sleeps all the time; another runs all the time.
        assert_eq!(tick(thread(5, 5, false), thread(5, 5, false), 100), 100);
        assert_eq!(tick(thread(5, 5, true), thread(105, 5, true), 100), 100);
        // The thread got its processor half of the time.
        assert_eq!(tick(thread(5, 5, true), thread(55, 55, true), 100), 50);
        // The thread has waited all the time, and is still waiting.
        assert_eq!(tick(thread(5, 5, true), thread(5, 5, true), 100), 0);
        // The thread's wait of a second has just ended. No more than the tick is subtracted.
        assert_eq!(tick(thread(5, 5, true), thread(6, 1005, true), 100), 0);
        // The watchdog itself came late, for an unknown reason.
        assert_eq!(tick(thread(5, 5, false), thread(5, 5, false), 5000), 100);
        // A new thread says nothing about the time before it existed.
        let new = HashMap::from([("2".to_owned(), thread(0, 90, true))]);
        assert_eq!(counted(&HashMap::new(), &new, TICK, TICK), TICK);
    }

    #[test]
    fn what_linux_says_of_a_thread_is_understood() {
        let stat = "7 (a) R (b)) S 1 7 7";
        let parsed = Thread::parse("12000000 3000000 9\n", stat);
        assert_eq!(parsed, Some(thread(12, 3, false)));
        let parsed = Thread::parse("12000000 3000000 9\n", "7 (x) R 1 7 7");
        assert_eq!(parsed, Some(thread(12, 3, true)));
        for (schedstat, stat) in [("", "7 (x) R"), ("1", "7 (x) R"), ("1 2", "7"), ("a b", "")] {
            assert_eq!(Thread::parse(schedstat, stat), None);
        }
    }

    #[test]
    fn silence_ends_with_what_moves() {
        let mut silence = Silence::new(1);
        assert_eq!(silence.look(1, TICK), (TICK, false));
        assert_eq!(silence.look(1, TICK), (2 * TICK, false));
        assert_eq!(silence.look(2, TICK), (Duration::ZERO, true));
        assert_eq!(silence.look(2, Duration::ZERO), (Duration::ZERO, false));
    }

    #[test]
    fn a_process_that_gets_too_little_time_is_seen_to() {
        if Thread::read(Path::new("/proc/thread-self")).is_none() {
            return gristmill_testing::skipped(
                "this kernel does not say how long threads wait (schedstat)",
            );
        }
        // There are more threads that want to run than processors, so each waits for most of the time.
        let over = AtomicBool::new(false);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            for _ in 0..4 * cores {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                });
            }
            let mut clock = Clock::new(Duration::MAX);
            let (mut elapsed, mut counted) = (Duration::ZERO, Duration::ZERO);
            // Runs until the effect is visible.
            while elapsed < Duration::from_millis(300) || counted > elapsed / 2 {
                let began = Instant::now();
                std::thread::sleep(TICK);
                counted += clock.tick();
                elapsed += began.elapsed();
            }
            over.store(true, Ordering::Relaxed);
        });
    }
}
