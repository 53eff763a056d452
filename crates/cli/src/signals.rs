//! Signals that end a command, and waits that a signal ends.
//!
//! SIGINT, SIGTERM and SIGHUP end a run early: its results so far are kept and reported, and the exit code is 128 plus
//! the signal's number. A second signal ends the process at once. A signal that was ignored when the process began
//! stays ignored, as `nohup` requires.
//!
//! A thread that waits for a ring log, or for a reader of its rows, waits in `poll` and periodically checks whether a
//! signal has come. This needs no descriptor, of which a run may have few.

use gristmill::source::{stdin, Ended, LiveList, STDIN_NAME};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// Bytes that a pipe takes without blocking when `poll` says that it is writable (`PIPE_BUF`).
const PIPE_BYTES: usize = 4096;

/// How long a wait goes on before it checks whether a signal has come.
const LOOK_AROUND: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// How many waits of [`LOOK_AROUND`] may find an output full, after a signal has come, before its rows are dropped: the
/// reader may be slow. A second signal ends the process at once.
const LOOKS_FOR_A_READER: u32 = 40;

static WATCH: OnceLock<Result<Watch, String>> = OnceLock::new();

/// The state that the process's signals set, from the first call of [`watch`] on.
struct Watch {
    stop: Arc<AtomicBool>,
    /// The first signal that came, or 0.
    signal: Arc<AtomicUsize>,
}

/// A flag that the first of the signals sets.
///
/// # Errors
/// A message, if the handlers cannot be installed.
pub fn watch() -> Result<Arc<AtomicBool>, String> {
    let begin = || Watch::begin().map_err(|error| format!("cannot watch for signals: {error}"));
    match WATCH.get_or_init(begin) {
        Ok(watch) => Ok(Arc::clone(&watch.stop)),
        Err(error) => Err(error.clone()),
    }
}

fn watching() -> Option<&'static Watch> {
    WATCH.get().and_then(|watch| watch.as_ref().ok())
}

/// The exit code for the signal that came, if one came.
pub fn code() -> Option<u8> {
    let signal = watching().map_or(0, |watch| watch.signal.load(Ordering::Relaxed));
    u8::try_from(signal)
        .ok()
        .filter(|&signal| signal > 0)
        .map(|signal| 128 + signal)
}

impl Watch {
    fn begin() -> io::Result<Self> {
        let watch = Self {
            stop: Arc::default(),
            signal: Arc::default(),
        };
        let ignored = ignored();
        // Set by the first signal; the next one ends the process.
        let second = Arc::<AtomicBool>::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            if ignored & (1 << (signal - 1)) != 0 {
                continue;
            }
            // The first call installs the handler, and actions run in this order. A signal that comes between two calls
            // runs the actions so far, so none may be one that needs a later one: its number is noted first, and the
            // action that ends the process waits for a flag that only an action behind it sets.
            let number = usize::try_from(signal).unwrap_or_default();
            flag::register_usize(signal, Arc::clone(&watch.signal), number)?;
            flag::register(signal, Arc::clone(&watch.stop))?;
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&second))?;
            flag::register(signal, Arc::clone(&second))?;
        }
        if watch.signal.load(Ordering::Relaxed) != 0 {
            watch.stop.store(true, Ordering::Relaxed);
        }
        Ok(watch)
    }
}

/// The signals that are ignored, one bit for each. Only the kernel's own list gives them without replacing a handler;
/// if /proc is not mounted, no signal counts as ignored.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .unwrap_or_default();
    u64::from_str_radix(mask.trim(), 16).unwrap_or(0)
}

/// Waits until a file is ready, or a signal has come. Returns which of them happened.
fn wait(file: BorrowedFd<'_>, wanted: PollFlags) -> io::Result<Now> {
    loop {
        let mut asked = [PollFd::from_borrowed_fd(file, wanted)];
        // A signal interrupts this call only if it is delivered to this thread, so the wait has a limit.
        match poll(&mut asked, Some(&LOOK_AROUND)) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {}
        }
        let now = Now {
            ready: asked.iter().any(|file| !file.revents().is_empty()),
            over: watching().is_some_and(|watch| watch.stop.load(Ordering::Relaxed)),
        };
        if now.ready || now.over {
            return Ok(now);
        }
    }
}

struct Now {
    /// Whether a read or write will not block.
    ready: bool,
    /// Whether a signal has come.
    over: bool,
}

/// Opens a list that is read during a run, which checks for signals itself. `-` is standard input.
///
/// # Errors
/// A message, if the list cannot be opened.
pub fn list(path: &Path) -> Result<LiveList, String> {
    let file = if path == Path::new("-") {
        stdin().map_err(|error| format!("{STDIN_NAME}: {error}; give the list, or name a file"))?
    } else {
        File::open(path)
            .map_err(|error| format!("{}: {error}; name a readable list", path.display()))?
    };
    Ok(LiveList::new(file))
}

/// A file whose reads end when a signal ends the run.
#[derive(Debug)]
pub struct Input(pub File);

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if wait(self.0.as_fd(), PollFlags::IN)?.over {
                return Err(io::Error::other(Ended));
            }
            match self.0.read(into) {
                // Another reader has taken the bytes.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

/// A file whose writes end when a signal ends the run and nobody reads their bytes.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// Whether writes to the file may block, as for a FIFO or a socket.
    waits: bool,
}

impl Output {
    /// Writes to this file.
    pub fn new(file: File) -> Self {
        let waits = file.metadata().is_ok_and(|found| {
            let kind = found.file_type();
            kind.is_fifo() || kind.is_socket()
        });
        Self { file, waits }
    }

    /// Another handle to the same file.
    ///
    /// # Errors
    /// The system's, such as that no more files can be open.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            waits: self.waits,
        })
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.len() == 0)
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.waits {
            return self.file.write(bytes);
        }
        let now = bytes.get(..PIPE_BYTES).unwrap_or(bytes);
        let mut in_vain = 0;
        loop {
            // Even after a signal, results are written if somebody reads them.
            if !wait(self.file.as_fd(), PollFlags::OUT)?.ready {
                in_vain += 1;
                if in_vain < LOOKS_FOR_A_READER {
                    continue;
                }
                return Err(io::Error::other(Ended));
            }
            match self.file.write(now) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
