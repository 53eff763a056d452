//! The one error of the pipeline. Every message says what failed and ends in what to do about it.

use alloc::string::String;

/// What can go wrong between a file and a result.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// A call into io_uring was refused.
    #[error("{syscall} failed with errno {errno}: {fix}")]
    IoUringSyscall {
        /// The call.
        syscall: &'static str,
        /// The kernel's error number, positive.
        errno: i32,
        /// What to do.
        fix: &'static str,
    },
    /// A queue, ring or buffer cannot take what was handed to it, now or ever.
    #[error("{queue} refused: {fix}")]
    QueueFull {
        /// Which queue.
        queue: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// The operation needs Linux.
    #[error("io_uring and NVMe passthrough exist on Linux only: run this on Linux, or read with positioned reads")]
    NotLinux,
    /// NVMe passthrough was asked for where it is switched off.
    #[error("NVMe passthrough is disabled: open an NVMe character device (/dev/ng*) with the right to it, or use registered mapped reads")]
    NvmePassthroughDisabled,
    /// A back end or the machine under it failed. The text says what to do.
    #[error("{0}")]
    Backend(String),
    /// A file could not be read further than this.
    #[error(
        "{path}: offset {offset}: {reason}; check the file and its storage, then run again for it"
    )]
    Read {
        /// The file.
        path: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// The system's positive error number, if the system refused the read. Other causes have none.
        errno: Option<i32>,
        /// Why.
        reason: String,
    },
    /// The device refused or failed a slot.
    #[error("slot {slot}: opcode {opcode:#x} of tenant {tenant} faulted: {reason}; correct that submission and publish it again")]
    Fault {
        /// The slot.
        slot: u32,
        /// Whose submission it was.
        tenant: u32,
        /// What it asked for.
        opcode: u32,
        /// Why it faulted, as [`fault::name`](crate::fault::name) says.
        reason: &'static str,
    },
    /// An argument that can never be right.
    #[error("invalid argument: {what}: {fix}")]
    InvalidArgument {
        /// What was handed in.
        what: &'static str,
        /// What to hand in instead.
        fix: &'static str,
    },
    /// Bytes that are not what they should be.
    #[error("cannot decode {what} at byte {offset}: {fix}")]
    Decode {
        /// What was to be decoded.
        what: &'static str,
        /// Where decoding stopped, in bytes from the start of the image.
        offset: usize,
        /// What to do.
        fix: &'static str,
    },
}

impl PipelineError {
    /// The system's positive error number; `None` if the error does not come from the system.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            PipelineError::IoUringSyscall { errno, .. } => Some(*errno),
            PipelineError::Read { errno, .. } => *errno,
            _ => None,
        }
    }
}
