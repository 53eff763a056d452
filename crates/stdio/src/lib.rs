//! Detects which standard streams a process was started with.
//!
//! If a standard stream is closed, Rust's runtime opens `/dev/null` in its place before `main` begins, so that no other
//! file gets its number. The program cannot distinguish this from a `/dev/null` that it was given. It would write its
//! output there and report success. So this crate looks earlier: the loader calls a function of it before the runtime
//! begins (`.init_array`, System V ABI, chapter 5, "Initialization and Termination Functions"), which records which of
//! the three descriptors are closed.

#![deny(unsafe_code)]

#[cfg(not(target_os = "linux"))]
compile_error!("the standard streams are looked at by Linux's means");

use std::io;
use std::sync::atomic::{AtomicU8, Ordering};

/// A bit for each of the descriptors 0, 1 and 2; it is set if the descriptor was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Records which standard streams are closed.
extern "C" fn look() {
    for descriptor in 0..3 {
        // SAFETY: F_GETFD takes numbers only and touches no memory of ours. `fcntl` is async-signal-safe, so it may be
        // called before the runtime has begun.
        #[allow(unsafe_code, reason = "a system call, and nothing else tells")]
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        if flags < 0 {
            CLOSED.fetch_or(1 << descriptor, Ordering::Relaxed);
        }
    }
}

// SAFETY: the loader calls each pointer in this section once, on the first thread, before `main`, with arguments that a
// C function without parameters ignores. `look` has that signature, needs nothing that the runtime sets up, and does
// not panic.
#[allow(
    unsafe_code,
    reason = "the one way to run before the runtime replaces closed streams"
)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// A standard stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard input.
    In,
    /// Standard output.
    Out,
    /// Standard error.
    Error,
}

/// Whether the process was started with this stream.
///
/// # Errors
/// `EBADF` if the stream was closed, which is the error that a read or write would have returned.
pub fn check(stream: Stream) -> io::Result<()> {
    let bit = match stream {
        Stream::In => 0,
        Stream::Out => 1,
        Stream::Error => 2,
    };
    if CLOSED.load(Ordering::Relaxed) & (1 << bit) == 0 {
        return Ok(());
    }
    Err(io::Error::from_raw_os_error(libc::EBADF))
}
