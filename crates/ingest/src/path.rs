//! Read paths: how bytes get from storage to the memory that a kernel sees, and what each way can do.

use gristmill_protocol::PipelineError;
use std::str::FromStr;

/// How bytes get from storage to the memory that a kernel sees. Users of this design know this type as
/// `NativeReadPath`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReadPath {
    /// `IORING_OP_READ_FIXED` into registered memory.
    RegisteredMappedRead,
    /// NVMe Read commands from a namespace's character device, to a plain address: host or peer memory.
    GpuDirectNvmePassthrough,
    /// `IORING_OP_READ` with O_DIRECT into peer memory, which cannot be registered.
    PeerRead,
    /// `pread` and `read` on the calling thread, for machines that refuse io_uring. Readers use this path, drivers do
    /// not.
    PositionedRead,
}

/// What a read path can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// Reads into memory of the host.
    pub const HOST_MEMORY: Self = Capabilities(1);
    /// Reads into memory of another device on the bus.
    pub const PEER_MEMORY: Self = Capabilities(2);
    /// Reads into buffers that are registered with the kernel.
    pub const FIXED_BUFFERS: Self = Capabilities(4);
    /// Reads of files without offsets: pipes, sockets, terminals.
    pub const STREAMS: Self = Capabilities(8);
    /// Reads of blocks of an NVMe namespace by its generic character device.
    pub const RAW_DEVICE: Self = Capabilities(16);
    /// A read blocks the thread that polls for it, for as long as the file system takes.
    pub const BLOCKS_ITS_THREAD: Self = Capabilities(32);

    const fn and(self, other: Self) -> Self {
        Capabilities(self.0 | other.0)
    }

    /// Whether these include all capabilities of `other`.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl ReadPath {
    /// Every path.
    pub const ALL: [ReadPath; 4] = [
        ReadPath::RegisteredMappedRead,
        ReadPath::GpuDirectNvmePassthrough,
        ReadPath::PeerRead,
        ReadPath::PositionedRead,
    ];

    /// The path's name, in reports and in users' input.
    pub const fn name(self) -> &'static str {
        match self {
            ReadPath::RegisteredMappedRead => "registered",
            ReadPath::GpuDirectNvmePassthrough => "passthrough",
            ReadPath::PeerRead => "peer",
            ReadPath::PositionedRead => "positioned",
        }
    }

    /// What the path can do.
    pub const fn capabilities(self) -> Capabilities {
        type C = Capabilities;
        match self {
            ReadPath::RegisteredMappedRead => C::HOST_MEMORY.and(C::FIXED_BUFFERS).and(C::STREAMS),
            ReadPath::GpuDirectNvmePassthrough => {
                C::HOST_MEMORY.and(C::PEER_MEMORY).and(C::RAW_DEVICE)
            }
            ReadPath::PeerRead => C::PEER_MEMORY,
            ReadPath::PositionedRead => C::HOST_MEMORY
                .and(C::PEER_MEMORY)
                .and(C::STREAMS)
                .and(C::BLOCKS_ITS_THREAD),
        }
    }
}

impl std::fmt::Display for ReadPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Which [`ReadPath`] a reader must take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReadPathChoice {
    /// io_uring, or positioned reads if io_uring is refused.
    #[default]
    Auto,
    /// This path, or an error. A source that the path cannot read is refused, with the reason, at submission.
    /// [`GpuDirectNvmePassthrough`](ReadPath::GpuDirectNvmePassthrough) refuses everything except files on ext4 or XFS,
    /// and namespaces. For [`PeerRead`](ReadPath::PeerRead), files must be open with O_DIRECT; it refuses reads that do
    /// not begin at a multiple of 4,096 bytes, and reads that the disk alone could not do
    /// ([`why_copied`](crate::why_copied)).
    Only(ReadPath),
}

impl ReadPathChoice {
    /// The choice's name: a path's, or `auto`.
    pub const fn name(self) -> &'static str {
        match self {
            ReadPathChoice::Auto => "auto",
            ReadPathChoice::Only(path) => path.name(),
        }
    }
}

impl From<ReadPath> for ReadPathChoice {
    fn from(path: ReadPath) -> Self {
        ReadPathChoice::Only(path)
    }
}

impl FromStr for ReadPathChoice {
    type Err = PipelineError;

    /// The choice with this name.
    fn from_str(name: &str) -> Result<Self, PipelineError> {
        if name == ReadPathChoice::Auto.name() {
            return Ok(ReadPathChoice::Auto);
        }
        let path = ReadPath::ALL.into_iter().find(|path| path.name() == name);
        path.map(ReadPathChoice::Only)
            .ok_or(PipelineError::InvalidArgument {
                what: "a read path that does not exist",
                fix: "name auto, registered, positioned, passthrough or peer",
            })
    }
}
