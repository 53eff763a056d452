//! Decides which files a ring must not read.
//!
//! If a file cannot be read without waiting, Linux reads it on a worker thread of the ring, which continues short reads
//! by itself. If the file is on FUSE and is read past the page cache (`FOPEN_DIRECT_IO`; also virtiofs without cache),
//! this continuation reads the same bytes again, because the file's position has not moved (seen on Linux 6.18). The
//! read then succeeds with wrong bytes. So files on FUSE are read by `pread`.
//!
//! Looking up the file system of every file would cost a system call per file. Instead, the first read of a file is
//! submitted with `RWF_NOWAIT`. A file system that supports this serves the read, or answers that it would have to
//! wait; the read is then submitted again without the flag. FUSE refuses the flag. So the file system is looked up only
//! for files whose first read is refused.

use super::SharedFile;
use crate::fs::is_on_fuse;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

/// How many files are remembered. A forgotten file is probed again.
const REMEMBERED: usize = 32;

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadMethod {
    /// By the ring.
    Ring,
    /// By `pread` and `read`.
    Plain,
}

/// What is known of the files that were read last.
#[derive(Default)]
pub(super) struct ReadMethods {
    /// Newest first. A weak reference does not keep its file open, but it prevents the address from being reused.
    known: VecDeque<(Weak<dyn AsFd + Send + Sync>, ReadMethod)>,
}

impl ReadMethods {
    pub(super) fn of(&self, file: &SharedFile) -> Option<ReadMethod> {
        let known = self
            .known
            .iter()
            .find(|(known, _)| std::ptr::addr_eq(known.as_ptr(), Arc::as_ptr(file)));
        known.map(|(_, method)| *method)
    }

    pub(super) fn learn(&mut self, file: &SharedFile, method: ReadMethod) {
        if self.of(file).is_none() {
            self.known.truncate(REMEMBERED - 1);
            self.known.push_front((Arc::downgrade(file), method));
        }
    }

    /// Looks up the file's file system, and remembers the answer.
    pub(super) fn ask(&mut self, file: &SharedFile) -> ReadMethod {
        let method = if is_on_fuse(&file.as_fd()) {
            ReadMethod::Plain
        } else {
            ReadMethod::Ring
        };
        self.learn(file, method);
        method
    }
}
