//! The operations that a queue of reads submits: their entries for a ring, and the meaning of their completions.

use io_uring::squeue::{self, Flags};
use io_uring::{cqueue, opcode, types};
use std::os::fd::RawFd;

/// The file offset of a stream (a pipe, a terminal), where each read continues where the last one ended.
pub const NO_OFFSET: u64 = u64::MAX;

/// A read, as a sequence of entries for a ring.
pub(crate) trait Operation {
    /// The submission entries of its ring.
    type Submission: squeue::EntryMarker;
    /// The completion entries of its ring.
    type Completion: cqueue::EntryMarker;

    /// How often in a row a completion may be [`Retry::Passing`] before the read fails with its errno.
    const MAX_RETRIES: u32;

    /// The entry that reads the bytes after the first `done` ones or, if `polling`, the entry that waits until there
    /// are some.
    fn entry(&self, done: u32, polling: bool) -> Self::Submission;

    /// Interprets a completion of a read for which `done` bytes had landed before.
    fn on_completion(&mut self, done: u32, result: i32) -> Retry;

    /// Whether the read goes into a registered buffer.
    fn is_fixed(&self) -> bool;
}

/// What happens after a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// This many more bytes have landed; `whole` if no bytes are left to read.
    Landed { bytes: u32, whole: bool },
    /// The file ends here.
    End,
    /// The read must be submitted once more, which does not count as a retry.
    Again,
    /// A temporary errno: the read is submitted again, after a poll if `polling`.
    Passing { errno: i32, polling: bool },
    /// The read has failed.
    Failed(i32),
}

/// One read of a file, with the parameters of its entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadOp {
    /// A file descriptor, or an index in the ring's file table if `fixed_file`.
    pub(crate) fd: RawFd,
    pub(crate) fixed_file: bool,
    pub(crate) address: *mut u8,
    pub(crate) len: u32,
    /// [`NO_OFFSET`] for a stream.
    pub(crate) offset: u64,
    /// Index in the ring's buffer table of the registered buffer that holds the target.
    pub(crate) fixed_buffer: Option<u16>,
    /// Whether a short read is final and not continued, because the user wants the bytes that a stream has now.
    pub(crate) take_short: bool,
    /// The offset in the target at which the file ends, if its size has not changed. A read that returns exactly the
    /// bytes up to this offset has reached the end of the file, and no further read is needed to find it.
    pub(crate) known_end: Option<u32>,
    /// Whether the first attempt must not wait (`RWF_NOWAIT`). A file system that does not support this refuses with
    /// EOPNOTSUPP.
    pub(crate) probing: bool,
}

impl Operation for ReadOp {
    type Submission = squeue::Entry;
    type Completion = cqueue::Entry;
    const MAX_RETRIES: u32 = 10_000;

    fn entry(&self, done: u32, polling: bool) -> squeue::Entry {
        let fd = types::Fd(self.fd);
        let entry = if polling {
            opcode::PollAdd::new(fd, u32::from(libc::POLLIN.unsigned_abs())).build()
        } else {
            let address = self.address.wrapping_add(done as usize);
            let len = self.len.saturating_sub(done);
            let offset = match self.offset {
                NO_OFFSET => NO_OFFSET,
                offset => offset.saturating_add(u64::from(done)),
            };
            let flags = if self.probing { libc::RWF_NOWAIT } else { 0 };
            match self.fixed_buffer {
                Some(index) => opcode::ReadFixed::new(fd, address, len, index)
                    .offset(offset)
                    .rw_flags(flags)
                    .build(),
                None => opcode::Read::new(fd, address, len)
                    .offset(offset)
                    .rw_flags(flags)
                    .build(),
            }
        };
        if self.fixed_file {
            entry.flags(Flags::FIXED_FILE)
        } else {
            entry
        }
    }

    fn on_completion(&mut self, done: u32, result: i32) -> Retry {
        let was_probe = std::mem::replace(&mut self.probing, false);
        match u32::try_from(result) {
            Ok(0) => Retry::End,
            Ok(bytes) => {
                let left = self.len.saturating_sub(done);
                Retry::Landed {
                    bytes: bytes.min(left),
                    whole: bytes >= left
                        || self.take_short
                        || self.known_end == done.checked_add(bytes),
                }
            }
            // The file system supports reads without waiting, but would have to wait for these bytes.
            Err(_) if was_probe && result == -libc::EAGAIN => Retry::Again,
            Err(_) => match result.wrapping_neg() {
                errno @ (libc::EINTR | libc::EAGAIN) => Retry::Passing {
                    errno,
                    polling: errno == libc::EAGAIN,
                },
                errno => Retry::Failed(errno),
            },
        }
    }

    fn is_fixed(&self) -> bool {
        self.fixed_buffer.is_some()
    }
}
