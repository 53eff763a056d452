//! Which files a ring must not read.
//!
//! Linux reads a file that cannot answer at once on a thread of the ring's, which continues a short read by itself. Of
//! a FUSE file that is read past the page cache (`FOPEN_DIRECT_IO`; a virtiofs without cache is one, too) it then reads
//! the same bytes again, as the file's position has not moved (seen on Linux 6.18). The read succeeds, with wrong
//! bytes. So files on FUSE are read by `pread`.
//!
//! Asking every file for its file system would cost a system call each. Instead, the first read of a file is asked not
//! to wait (`RWF_NOWAIT`). A file system that can do so serves it, or says that it must wait and is then asked again;
//! FUSE refuses. Only a file whose read is refused is asked for its file system.

use super::SharedFile;
use crate::fs::is_on_fuse;
use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::sync::{Arc, Weak};

/// Files that are remembered. One that was forgotten is asked again.
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
    /// Newest first. Weak references keep no file open, and keep an address from being used again.
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

    /// Asks the file for its file system, and remembers the answer.
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
