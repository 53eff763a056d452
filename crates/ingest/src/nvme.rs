//! Reads of NVMe namespaces past the block layer: NVMe Read commands through `IORING_OP_URING_CMD`.
//!
//! | module | what it is |
//! |---|---|
//! | `command` | the 72 bytes of a Read command; nothing else can be encoded |
//! | `status` | what a device answers, in words |
//! | `namespace` | block size, capacity and limits of a namespace, from its character device |
//! | `extents` | where the bytes of a file lie, and when that may not be used |
//! | `fiemap` | the kernel's answers about extents |
//! | `op` | a read as the commands that a ring takes |
//!
//! # Why geometry is never taken on trust
//!
//! The kernel checks the namespace of a passthrough command, and that the command is within the limits of its queue. It
//! does not check that the number of blocks agrees with the length of the memory, so a device could write past the end
//! of the memory. Therefore every command is made from, or checked against, the namespace's own block size before it is
//! submitted. That size is looked up once, so a namespace must not be reformatted while a stream or driver reads it.

mod command;
mod extents;
mod fiemap;
mod namespace;
mod op;
mod status;

pub use command::{encode_nvme_read_sqe, NvmeRead, NVME_COMMAND_BYTES, NVME_MAX_BLOCKS};
pub use extents::{DiskPlace, FileMap};
pub use fiemap::FileExtent;
pub use namespace::{LbaRange, NvmeNamespace};
pub use status::NvmeStatus;

pub(crate) use extents::why_no_disk;
pub(crate) use fiemap::{direct_range, DirectRange};
pub(crate) use namespace::device_number;
pub(crate) use op::{build_ring, is_supported, plan, CommandPlace, NvmeOp};
