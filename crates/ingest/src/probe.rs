//! What this machine's kernel offers to a reader, for reports that must say why something is missing and how to change
//! that.

use crate::setup::{self, SetupFlags};
use crate::tables::memlock_limit;
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkMemory;
use io_uring::{cqueue, squeue};

/// The answer of [`probe`].
#[derive(Debug, Clone)]
pub struct UringProbe {
    /// Why this machine refuses to make a ring, with errno and remedy; `None` if it makes one.
    pub refusal: Option<PipelineError>,
    /// The setup flags that the kernel accepted; no flags without a ring.
    pub setup: SetupFlags,
    /// Why buffers cannot be registered; `None` if a buffer could be registered, and without a ring.
    pub registered_buffers_refusal: Option<PipelineError>,
    /// Why files cannot be registered; `None` if a file could be registered, and without a ring.
    pub registered_files_refusal: Option<PipelineError>,
    /// The limit on locked memory (RLIMIT_MEMLOCK, soft) in bytes, which bounds registered buffers for users without
    /// CAP_IPC_LOCK; `None` if there is no limit.
    pub memlock_limit: Option<u64>,
    /// The sysctl `kernel.io_uring_disabled`: with 0, everybody may use io_uring; with 1, privileged users and one
    /// group; with 2, nobody. `None` if the kernel has no such setting.
    pub io_uring_disabled: Option<u32>,
}

impl UringProbe {
    /// Whether this machine makes a ring.
    pub fn is_available(&self) -> bool {
        self.refusal.is_none()
    }

    /// Whether reads into registered buffers work.
    pub fn has_registered_buffers(&self) -> bool {
        self.is_available() && self.registered_buffers_refusal.is_none()
    }

    /// Whether registered files work.
    pub fn has_registered_files(&self) -> bool {
        self.is_available() && self.registered_files_refusal.is_none()
    }
}

/// Sets up a small ring, registers a page and an empty file table with it, and tears it down.
pub fn probe() -> UringProbe {
    let mut probe = UringProbe {
        refusal: None,
        setup: SetupFlags::default(),
        registered_buffers_refusal: None,
        registered_files_refusal: None,
        memlock_limit: memlock_limit(),
        io_uring_disabled: std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
            .ok()
            .and_then(|text| text.trim().parse().ok()),
    };
    // Made before the ring, so dropped after it.
    let mut chunks = ChunkMemory::map(1, 4096).map(|(_, chunks)| chunks);
    let ring = match setup::build::<squeue::Entry, cqueue::Entry>(1, false) {
        Ok((ring, flags)) => {
            probe.setup = flags;
            ring
        }
        Err(error) => {
            probe.refusal = Some(error);
            return probe;
        }
    };
    let submitter = ring.submitter();
    probe.registered_buffers_refusal = match &mut chunks {
        Ok(chunks) => chunks.first_mut().and_then(|chunk| {
            let iovec = libc::iovec {
                iov_base: chunk.as_mut_ptr().cast(),
                iov_len: chunk.capacity(),
            };
            // SAFETY: the range is a whole chunk, whose arena outlives the ring; nothing is read into it.
            unsafe { submitter.register_buffers(&[iovec]) }
                .map_err(|error| {
                    setup::refused("io_uring_register(BUFFERS)", setup::errno_of(&error))
                })
                .err()
        }),
        Err(error) => Some(error.clone()),
    };
    probe.registered_files_refusal = submitter
        .register_files(&[-1])
        .map_err(|error| setup::refused("io_uring_register(FILES)", setup::errno_of(&error)))
        .err();
    probe
}
