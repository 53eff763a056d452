//! How the end of a ring is seen that cannot be entered any more.
//!
//! A kernel that refuses `io_uring_enter` for good (a seccomp filter that was installed meanwhile) still has the reads
//! that it took, and may write to their memory for as long as it likes; their completions may need a call to be
//! delivered (`IORING_SETUP_DEFER_TASKRUN`). What is left is to close the ring: the kernel then cancels what it can,
//! waits for the rest, and gives back the ring's tables last, when no request is left. That moment has a witness: the
//! only writing end of a pipe is in the table of files, so the pipe's reader hangs up then and no earlier.

use crate::setup::{errno_of, refused, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, squeue, IoUring};
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Slots in a ring's table of files that are free for files. One more holds the pipe.
pub(crate) const FILE_SLOTS: usize = 16;

/// A ring with its lifeline: what a queue of reads is made from.
pub(crate) struct Ring<S: squeue::EntryMarker, C: cqueue::EntryMarker> {
    pub(crate) io: IoUring<S, C>,
    pub(crate) flags: SetupFlags,
    pub(crate) lifeline: Lifeline,
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Ring<S, C> {
    /// Gives a new ring, which has no table of files yet, its lifeline.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] where there are no two descriptors more for a moment, or the kernel refuses
    /// the table.
    pub(crate) fn new((io, flags): (IoUring<S, C>, SetupFlags)) -> Result<Self, PipelineError> {
        let lifeline = Lifeline::attach(&io)?;
        Ok(Ring {
            io,
            flags,
            lifeline,
        })
    }
}

/// The reading end of a pipe that hangs up when the kernel has let go of a ring.
pub(crate) struct Lifeline(PipeReader);

/// What a wait for the end of a ring has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The kernel has let go of the ring: no request is left.
    Gone,
    /// Not yet.
    There,
    /// A signal came first.
    Interrupted,
}

impl Lifeline {
    fn attach<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
        ring: &IoUring<S, C>,
    ) -> Result<Self, PipelineError> {
        let (reader, writer) =
            std::io::pipe().map_err(|error| refused("pipe2", errno_of(&error)))?;
        let mut files = [-1; FILE_SLOTS + 1];
        files[FILE_SLOTS] = writer.as_raw_fd();
        ring.submitter()
            .register_files(&files)
            .map_err(|error| refused("io_uring_register(FILES)", errno_of(&error)))?;
        // The table has the only writer from here on.
        drop(writer);
        Ok(Lifeline(reader))
    }

    /// Waits until the kernel has let go of the ring, which must have been closed, or until `timeout`.
    ///
    /// A process that was forked without `exec` while the ring was open has the ring, too, and with it the pipe.
    pub(crate) fn wait(&self, timeout: Duration) -> Seen {
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            // Rounded up, so that a wait of less than a millisecond does not spin.
            let millis = left.as_micros().div_ceil(1000);
            let mut polled = libc::pollfd {
                fd: self.0.as_raw_fd(),
                events: 0,
                revents: 0,
            };
            let millis = libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX);
            // SAFETY: `polled` is one valid entry, and lives through the call.
            let ready = unsafe { libc::poll(&raw mut polled, 1, millis) };
            if ready < 0 {
                return Seen::Interrupted;
            }
            if polled.revents & libc::POLLHUP != 0 {
                return Seen::Gone;
            }
            if left.is_zero() || ready > 0 {
                return Seen::There;
            }
        }
    }
}
