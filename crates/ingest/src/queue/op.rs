//! What a queue of reads submits: entries for a ring, and what their completions say.

use io_uring::squeue::{self, Flags};
use io_uring::{cqueue, opcode, types};
use std::os::fd::RawFd;

/// The file offset of a stream (a pipe, a terminal): a read goes on where the last one ended.
pub const NO_OFFSET: u64 = u64::MAX;

/// A read, as the entries that a ring takes.
pub(crate) trait Operation {
    /// The submission entries of its ring.
    type Submission: squeue::EntryMarker;
    /// The completion entries of its ring.
    type Completion: cqueue::EntryMarker;

    /// Times in a row that a completion may be [`Retry::Passing`] before its errno is the read's.
    const MAX_RETRIES: u32;

    /// The entry that asks for what lies behind the first `done` bytes; or, if `polling`, for word that it is there.
    fn entry(&self, done: u32, polling: bool) -> Self::Submission;

    /// What a completion says about a read of which `done` bytes had landed before.
    fn on_completion(&mut self, done: u32, result: i32) -> Retry;

    /// Whether it goes into a registered buffer.
    fn is_fixed(&self) -> bool;
}

/// What a completion says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// So many more bytes have landed; `whole` if there is nothing left to ask for.
    Landed { bytes: u32, whole: bool },
    /// The file ends here.
    End,
    /// The read is to be asked for once more, which is no retry.
    Again,
    /// An errno that passes: asked for again, after a poll if `polling`.
    Passing { errno: i32, polling: bool },
    /// It has failed.
    Failed(i32),
}

/// One read of a file, as the kernel is asked for it.
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
    /// Whether fewer bytes than asked for are the answer, rather than to be continued: what a stream has is wanted now.
    pub(crate) take_short: bool,
    /// Where the target ends if the file is as long as it was seen to be: a read that brings all up to there, and no
    /// more, has met the file's end, and no further one asks for it.
    pub(crate) known_end: Option<u32>,
    /// Whether to ask first for bytes that come without waiting (`RWF_NOWAIT`): a file system that cannot do so
    /// refuses, with EOPNOTSUPP.
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
            // The file system can read without waiting, and would have to wait for these bytes.
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
