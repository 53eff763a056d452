//! Whether this machine has NVMe passthrough, and if not, what is missing.

use crate::error::ReadError;
use crate::memory::peer::PeerDevice;
pub use crate::nvme::encode_nvme_read_sqe;
use crate::nvme::{self, NvmeNamespace};
use gristmill_protocol::PipelineError;
use std::fmt::Write as _;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The statistics of the nvidia-fs driver, if it is loaded.
const NVIDIA_FS_STATS: &str = "/proc/driver/nvidia-fs/stats";

/// The answer of [`GpuDirectCapability::probe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GpuDirectCapability {
    /// At least one namespace can be read by passthrough.
    Available {
        /// What was found, one line each: namespaces with their geometry, devices with peer memory, nvidia-fs.
        stats: String,
    },
    /// No namespace can be read by passthrough.
    Unavailable {
        /// Why not, and how to change that.
        reason: String,
    },
    /// io_uring is disabled, or this kernel's io_uring has no passthrough (Linux 5.19).
    FeatureDisabled,
}

impl GpuDirectCapability {
    /// Tries to make a ring that accepts commands, and asks each NVMe generic character device for its geometry. Reads
    /// nothing from any disk.
    pub fn probe() -> Self {
        let supported = nvme::build_ring(1).is_ok_and(|(ring, _)| nvme::is_supported(&ring));
        if !supported {
            return GpuDirectCapability::FeatureDisabled;
        }
        let (mut stats, mut missing) = (String::new(), String::new());
        for path in NvmeNamespace::devices() {
            match namespace(&path) {
                Ok(namespace) => {
                    let _ = writeln!(
                        stats,
                        "{}: namespace {}, {} blocks of {} bytes, {} bytes a command",
                        path.display(),
                        namespace.id,
                        namespace.blocks,
                        namespace.block_bytes,
                        namespace.max_transfer_bytes
                    );
                }
                Err(why) => {
                    let _ = write!(missing, "{}: {why}; ", path.display());
                }
            }
        }
        if stats.is_empty() {
            let reason = if missing.is_empty() {
                "there is no NVMe generic character device (/dev/ng*); attach an NVMe disk, on Linux 5.13 or later"
                    .to_owned()
            } else {
                missing.trim_end_matches("; ").to_owned()
            };
            return GpuDirectCapability::Unavailable { reason };
        }
        let peers = PeerDevice::list();
        for peer in &peers {
            let _ = writeln!(
                stats,
                "{}: {} of {} bytes of peer memory available",
                peer.address, peer.available_bytes, peer.bytes
            );
        }
        if peers.is_empty() {
            stats.push_str("no device publishes peer memory (p2pmem): reads go to host memory\n");
        }
        if let Ok(text) = std::fs::read_to_string(NVIDIA_FS_STATS) {
            let _ = writeln!(
                stats,
                "nvidia-fs: {}",
                text.lines().next().unwrap_or_default()
            );
        }
        GpuDirectCapability::Available { stats }
    }

    /// Whether at least one namespace can be read by passthrough.
    pub fn is_available(&self) -> bool {
        matches!(self, GpuDirectCapability::Available { .. })
    }
}

fn namespace(path: &Path) -> Result<NvmeNamespace, String> {
    let file = std::fs::File::open(path)
        .map_err(|error| format!("{error}; run as a user who may read it"))?;
    NvmeNamespace::of(file.as_raw_fd()).map_err(|error| error.to_string())
}

/// Whether this machine has passthrough.
///
/// # Errors
/// [`ReadError::NoPassthrough`] or [`PipelineError::NvmePassthroughDisabled`] if it does not.
pub(crate) fn require() -> Result<(), PipelineError> {
    match GpuDirectCapability::probe() {
        GpuDirectCapability::Available { .. } => Ok(()),
        GpuDirectCapability::Unavailable { reason } => {
            Err(ReadError::NoPassthrough { reason }.into())
        }
        GpuDirectCapability::FeatureDisabled => Err(PipelineError::NvmePassthroughDisabled),
    }
}
