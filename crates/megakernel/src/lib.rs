//! The persistent kernel that consumes a Gristmill ring, and its back ends.
//!
//! A [`Backend`] launches a [`Kernel`] once; after that the host only publishes slots and reads completions. What runs
//! is the same on every back end: the opcodes of the protocol ([`opcode`](mod@opcode)), the stream opcodes over landed
//! chunks ([`stream`](mod@stream)), and the programs that tenants have loaded ([`programs`]). Each tenant can do only
//! what its mask, quota and window allow ([`tenant`]).
//!
//! Read [`backend`] first, then `backend/cpu/`: there, the loop of a worker shows the whole kernel in one place. The
//! device source in `kernel/` does the same.
//!
//! - A new core opcode needs a line in `opcode`'s table. A new stream opcode needs a file in `stream` and a line in its
//!   table.
//! - A back end for another kind of device is a folder in `backend/device`, with a type that implements its `Driver`.

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod backend;
mod error;
pub mod kernel;
pub mod log;
pub mod opcode;
pub mod programs;
pub mod stream;
pub mod tenant;

pub use backend::{Backend, Feed, Feeder, FeederFactory, KernelConfig, Lease};
pub use error::KernelError;
pub use gristmill_protocol::{
    self as protocol, io,
    io::{IoCompletion, IoRequest},
    Megakernel, MegakernelIoQueue,
};
pub use gristmill_vir0 as vir0;
pub use kernel::{Kernel, KernelStats};
pub use log::{RingLog, RingLogReader};
pub use programs::ProgramTable;
pub use stream::{
    ScanMode, ScanSet, StreamJob, StreamOpcode, StreamSlot, DEFAULT_TABLE_BYTES, MAX_TABLE_BYTES,
};
pub use tenant::{TenantHandle, TenantRegistry};
