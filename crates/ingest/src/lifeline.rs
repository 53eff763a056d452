//! Detects the end of a ring that can no longer be entered.
//!
//! A kernel may refuse `io_uring_enter` permanently, for example because a seccomp filter was installed meanwhile. It
//! then still has the reads that it took, and may write to their memory at any time, and it may need a call to deliver
//! their completions (`IORING_SETUP_DEFER_TASKRUN`). The only way out is to close the ring: the kernel then cancels the
//! requests that it can, waits for the others, and releases the ring's tables last, when no request is left. To detect
//! that moment, the only writing end of a pipe is registered in the ring's table of files. The reading end hangs up
//! when the table is released, and not before.

use crate::setup::{errno_of, refused, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, squeue, IoUring};
use std::io::PipeReader;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// Slots in a ring's table of files that can hold files. One further slot holds the pipe.
pub(crate) const FILE_SLOTS: usize = 16;

/// A ring with its lifeline, from which a queue of reads is made.
pub(crate) struct Ring<S: squeue::EntryMarker, C: cqueue::EntryMarker> {
    pub(crate) io: IoUring<S, C>,
    pub(crate) flags: SetupFlags,
    pub(crate) lifeline: Lifeline,
}

impl<S: squeue::EntryMarker, C: cqueue::EntryMarker> Ring<S, C> {
    /// Gives a new ring, which has no table of files yet, its lifeline.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] if the two descriptors that this needs for a moment cannot be opened, or if
    /// the kernel refuses the table.
    pub(crate) fn new((io, flags): (IoUring<S, C>, SetupFlags)) -> Result<Self, PipelineError> {
        let lifeline = Lifeline::attach(&io)?;
        Ok(Ring {
            io,
            flags,
            lifeline,
        })
    }
}

/// The reading end of a pipe, which hangs up when the kernel has released a ring.
pub(crate) struct Lifeline(PipeReader);

/// The result of a wait for the end of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The kernel has released the ring: no request is left.
    Gone,
    /// The kernel has not released the ring yet.
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
        // From here on, the table has the only writing end.
        drop(writer);
        Ok(Lifeline(reader))
    }

    /// Waits until the kernel has released the ring, which must have been closed before, or until `timeout` has passed.
    ///
    /// A process that was forked while the ring was open, and has not called `exec`, also has the ring, and therefore
    /// keeps the pipe open.
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
