//! Which files a ring must not read.
//!
//! Linux reads a file that cannot answer at once on a thread of the ring's, and there goes on by itself after a short
//! read. Of a FUSE file that is read past the page cache (`FOPEN_DIRECT_IO`; a virtiofs without cache is one, too) it
//! then reads the same bytes again: the file's position is not moved (seen on Linux 6.18). The read succeeds, with wrong
//! bytes. So files on FUSE are read by `pread`.
//!
//! Asking every file for its file system would cost a system call each. Instead, the first read of a file is asked not to
//! wait: file systems that can do so serve it as ever or say that it must wait, and are then asked again; FUSE refuses, and
//! only who refuses is asked what it is.

use std::collections::VecDeque;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Weak};

/// Files that are remembered. One that was forgotten is asked again.
const REMEMBERED: usize = 32;

/// How a file is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    /// By the ring.
    Ring,
    /// By `pread` and `read`.
    Plain,
}

/// What is known of the files that were read last.
#[derive(Default)]
pub(super) struct Manners {
    /// Newest first. Weak references keep no file open, and keep an address from being used again.
    known: VecDeque<(Weak<OwnedFd>, Manner)>,
}

impl Manners {
    pub(super) fn of(&self, file: &Arc<OwnedFd>) -> Option<Manner> {
        let known = self
            .known
            .iter()
            .find(|(known, _)| std::ptr::eq(known.as_ptr(), Arc::as_ptr(file)));
        known.map(|(_, manner)| *manner)
    }

    pub(super) fn learn(&mut self, file: &Arc<OwnedFd>, manner: Manner) {
        if self.of(file).is_none() {
            self.known.truncate(REMEMBERED - 1);
            self.known.push_front((Arc::downgrade(file), manner));
        }
    }

    /// Asks the file for its file system, and remembers the answer.
    pub(super) fn ask(&mut self, file: &Arc<OwnedFd>) -> Manner {
        let manner = if is_on_fuse(file.as_ref()) {
            Manner::Plain
        } else {
            Manner::Ring
        };
        self.learn(file, manner);
        manner
    }
}

/// Whether a file lies on a FUSE file system, where a ring's read that is short may repeat bytes; or may lie there, as its
/// file system cannot be asked.
pub fn is_on_fuse(file: &impl AsFd) -> bool {
    let mut told = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `told` has room for the structure that is written, and lives through the call.
    let result = unsafe { libc::fstatfs(file.as_fd().as_raw_fd(), told.as_mut_ptr()) };
    if result != 0 {
        return true;
    }
    // SAFETY: the call succeeded, so it has filled the structure, which is made of integers.
    let told = unsafe { told.assume_init() };
    told.f_type == libc::FUSE_SUPER_MAGIC
}
