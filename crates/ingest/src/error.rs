//! The reasons why a path cannot read a source.

use crate::path::ReadPath;
use gristmill_protocol::PipelineError;

/// Why a source cannot be read in the way that was asked for.
///
/// Where this crate's functions return a [`PipelineError`], it is converted to one with the same text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// This machine has no NVMe passthrough.
    #[error("NVMe passthrough is not available: {reason}; or use registered mapped reads")]
    NoPassthrough {
        /// Why not.
        reason: String,
    },
    /// A descriptor is not a namespace that passthrough can read.
    #[error(
        "no NVMe namespace for passthrough: {why}; open the generic character device of a namespace (/dev/ng0n1), or use \
         registered mapped reads"
    )]
    NotANamespace {
        /// Why not.
        why: String,
    },
    /// A disk's generic character device cannot be used.
    #[error("/dev/{disk} cannot be opened: {error}; run as a user who may read it, or use registered mapped reads")]
    Disk {
        /// The device's name, as in `ng0n1`.
        disk: String,
        /// What the system said.
        error: String,
    },
    /// The path cannot read this source.
    #[error("{}", refusal(*path, why))]
    Source {
        /// The path.
        path: ReadPath,
        /// Why not.
        why: String,
    },
    /// A range of a device cannot be read.
    #[error("the range of {disk} {why}")]
    Range {
        /// The device's name, as in `ng0n1`.
        disk: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Reads by a path report success, but their bytes do not arrive.
    #[error(
        "{what} is refused: its reads report success, but {seen}; let the devices reach each other (both behind one PCIe \
         switch, or the IOMMU off or passing through for them), or use registered mapped reads"
    )]
    Undelivered {
        /// From where to where, by which path.
        what: String,
        /// How many bytes arrived.
        seen: String,
    },
    /// A path could not be checked, because the file ended before there was a byte to compare.
    #[error("{what}: the file ended before its bytes could be compared; read it again")]
    Untried {
        /// From where to where, by which path.
        what: String,
    },
    /// The system refused a call that is needed to check a path.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said, and what to do.
        error: String,
    },
}

/// The message for a source that a path cannot read.
fn refusal(path: ReadPath, why: &str) -> String {
    match path {
        ReadPath::PeerRead => format!(
            "the disk itself would not transfer it into peer memory: {why}; read it into host memory"
        ),
        ReadPath::GpuDirectNvmePassthrough => format!(
            "the file cannot be read by NVMe passthrough: {why}; read it by registered mapped reads"
        ),
        other => format!("it cannot be read by {other} reads: {why}; use another read path"),
    }
}

impl From<ReadError> for PipelineError {
    fn from(error: ReadError) -> Self {
        PipelineError::Backend(error.to_string())
    }
}
