//! Waits that last as long as there is still activity.
//!
//! A limit in seconds is a guess about the speed of a machine. Instead, a wait watches the threads of this process and
//! of all its descendants: a thread that runs, or is ready to run, is alive, however slow it is. A wait is over
//! - when all of them slept in [`STILL_SAMPLES`] samples since the last progress. The waiting thread takes the samples,
//!   so they are less frequent on a slow machine;
//! - or when one of them has used [`BUSY_TICKS`] of processor time since the last progress, because it is then probably
//!   in an endless loop.
//!
//! The caller reports progress by [`Patience::moved`]: for a row, a completion, or a count that rose.

use std::collections::HashMap;
use std::fmt::Debug;
use std::fs;
use std::io::Read;
use std::process::{Child, ExitStatus, Output};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The time between samples.
const LOOK: Duration = Duration::from_millis(250);

/// The number of samples that find everything asleep, after which a wait is over.
const STILL_SAMPLES: u32 = 480;

/// The processor time of a thread after which a wait is over, in ticks of 10 ms.
const BUSY_TICKS: u64 = 30_000;

/// A wait for something that this process and its descendants do.
pub struct Patience {
    looked: Instant,
    /// Samples since the last progress that found everything asleep.
    still: u32,
    /// The processor time of each thread, at the first sample since the last progress and at the latest one.
    first: Option<HashMap<u64, u64>>,
    latest: HashMap<u64, u64>,
    still_limit: u32,
    busy_limit: u64,
}

struct Thread {
    id: u64,
    /// Whether the thread runs or waits for a processor.
    runs: bool,
    /// Processor time so far, in ticks.
    ticks: u64,
}

impl Patience {
    /// Begins to wait.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "it is not a value but a beginning"
    )]
    pub fn new() -> Self {
        Self {
            looked: Instant::now(),
            still: 0,
            first: None,
            latest: HashMap::new(),
            still_limit: STILL_SAMPLES,
            busy_limit: BUSY_TICKS,
        }
    }

    /// Reports progress, so that the wait starts again.
    pub fn moved(&mut self) {
        self.still = 0;
        self.first = None;
    }

    /// Why the wait is over; `None` while it is not. Cheap enough to call in a polling loop.
    pub fn over(&mut self) -> Option<String> {
        let elapsed = self.looked.elapsed();
        if elapsed >= LOOK {
            self.looked = Instant::now();
            self.look(elapsed);
        }
        let first = self.first.as_ref()?;
        if self.still >= self.still_limit {
            return Some(format!("everything slept in {} looks", self.still));
        }
        // A thread that started later started with 0 ticks.
        let busiest = self.latest.iter().map(|(id, ticks)| {
            let before = first.get(id).copied().unwrap_or(0);
            ticks.saturating_sub(before)
        });
        let busiest = busiest.max().unwrap_or(0);
        (busiest >= self.busy_limit)
            .then(|| format!("a thread has computed for {} s", busiest / 100))
    }

    /// Returns if the wait is not over.
    ///
    /// # Panics
    /// If the wait is over. The message says what was waited for.
    #[track_caller]
    pub fn check(&mut self, what: impl Debug) {
        if let Some(why) = self.over() {
            panic!("no progress: {why}; {what:?}");
        }
    }

    /// Calls `poll` repeatedly until it returns a value, and returns that. `poll` may sleep for a moment.
    ///
    /// # Panics
    /// If the wait is over. The message contains the value of `state`.
    #[track_caller]
    pub fn until<T, S: Debug>(mut poll: impl FnMut() -> Option<T>, state: impl Fn() -> S) -> T {
        let mut patience = Self::new();
        loop {
            if let Some(found) = poll() {
                return found;
            }
            patience.check(state());
        }
    }

    /// Waits until a child has ended. A child that makes no more progress is killed.
    ///
    /// # Panics
    /// If the child was killed.
    #[track_caller]
    pub fn wait(child: &mut Child) -> ExitStatus {
        let mut patience = Self::new();
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if let Some(why) = patience.over() {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("killed: {why}");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits as [`Self::wait`] does, and meanwhile reads what the child writes to its pipes.
    ///
    /// # Panics
    /// If the child was killed, or a pipe cannot be read.
    #[track_caller]
    #[must_use]
    pub fn output(mut child: Child) -> Output {
        fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
            std::thread::spawn(move || {
                let mut bytes = Vec::new();
                if let Some(mut pipe) = pipe {
                    pipe.read_to_end(&mut bytes).unwrap();
                }
                bytes
            })
        }
        let (out, err) = (collect(child.stdout.take()), collect(child.stderr.take()));
        Output {
            status: Self::wait(&mut child),
            stdout: out.join().unwrap(),
            stderr: err.join().unwrap(),
        }
    }

    /// Receives a value from another thread. `None` if that thread ends without sending one, or if the wait is over.
    pub fn receive<T>(mut self, receiver: &Receiver<T>) -> Option<T> {
        loop {
            match receiver.recv_timeout(LOOK) {
                Ok(value) => return Some(value),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if self.over().is_some() => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn look(&mut self, elapsed: Duration) {
        let threads = threads();
        // The limit is a fifth of the time, so that a thread that only wakes up occasionally to poll does not count as
        // active.
        let moves = u64::try_from(elapsed.as_millis() / 50)
            .unwrap_or(u64::MAX)
            .max(1);
        let alive = threads.iter().any(|thread| {
            let before = self.latest.get(&thread.id).copied();
            thread.runs || before.is_some_and(|before| thread.ticks >= before + moves)
        });
        if !alive {
            self.still += 1;
        }
        self.latest = threads.iter().map(|it| (it.id, it.ticks)).collect();
        if self.first.is_none() {
            self.first = Some(self.latest.clone());
        }
    }
}

/// The threads of this process, except the calling one, and of its descendants. Threads that end meanwhile are left
/// out.
fn threads() -> Vec<Thread> {
    let own = fs::read_link("/proc/thread-self").unwrap_or_default();
    let own = own.file_name().and_then(|name| name.to_str()?.parse().ok());
    let mut processes = vec![u64::from(std::process::id())];
    let mut threads = Vec::new();
    while let Some(process) = processes.pop() {
        let tasks = fs::read_dir(format!("/proc/{process}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let children = read("children");
            processes.extend(
                children
                    .split_whitespace()
                    .filter_map(|id| id.parse::<u64>().ok()),
            );
            let id = task.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(id) = id.filter(|_| id != own) else {
                continue;
            };
            threads.extend(thread(id, &read("stat")));
        }
    }
    threads
}

/// Parses a thread's line of proc_pid_stat(5).
fn thread(id: u64, stat: &str) -> Option<Thread> {
    // The name, in parentheses, may contain any characters.
    let (_, fields) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    let ticks = |field: usize| fields.get(field)?.parse::<u64>().ok();
    Some(Thread {
        id,
        runs: *fields.first()? == "R",
        ticks: ticks(11)? + ticks(12)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn shell(script: &str) -> Ended {
        Ended(Command::new("sh").args(["-c", script]).spawn().unwrap())
    }

    fn until_over(mut patience: Patience) -> String {
        loop {
            if let Some(why) = patience.over() {
                return why;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn patience(still_limit: u32, busy_limit: u64) -> Patience {
        Patience {
            still_limit,
            busy_limit,
            ..Patience::new()
        }
    }

    // This is a single test, because a wait watches everything that this process does.
    #[test]
    fn what_sleeps_is_over_and_what_computes_is_alive_until_it_has_computed_for_long() {
        let asleep = shell("exec sleep 1000");
        assert!(until_over(patience(3, u64::MAX)).contains("slept"));
        drop(asleep);

        // The shell's child computes while the shell sleeps.
        let mut busy = shell("(while :; do :; done) & trap 'kill $!' EXIT TERM; wait");
        let over = until_over(patience(20, 50));
        assert!(over.contains("computed"), "{over}");
        let status = Command::new("kill").arg(busy.0.id().to_string()).status();
        assert!(status.unwrap().success());
        // The shell must end its child before it is killed, because the child would otherwise compute for ever.
        busy.0.wait().unwrap();

        let mut moving = patience(2, u64::MAX);
        let mut looks = 0;
        while looks < 6 {
            let before = moving.looked;
            assert_eq!(moving.over(), None);
            looks += u32::from(moving.looked != before);
            moving.moved();
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_thread_is_read_from_its_line_whatever_its_name_holds() {
        let line = "7 (a) R 1 (b) S 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 1 0 5 6 7";
        let thread = thread(7, line).unwrap();
        assert_eq!((thread.runs, thread.ticks), (false, 42));
        assert!(thread_is_none(""));
    }

    fn thread_is_none(line: &str) -> bool {
        thread(1, line).is_none()
    }

    #[test]
    fn what_is_sent_is_received_and_a_sender_that_is_gone_is_not_waited_for() {
        let (sender, receiver) = std::sync::mpsc::channel();
        sender.send(5).unwrap();
        assert_eq!(Patience::new().receive(&receiver), Some(5));
        drop(sender);
        assert_eq!(Patience::new().receive(&receiver), None);
    }
}
