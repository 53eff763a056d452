//! What the back ends of real devices share: the device source in `kernel/`, what it works with in memory, and the host's
//! half of a kernel that runs there.
//!
//! - `driver`: what a back end brings: memory, and a way to launch; `library`: why there is none.
//! - [`layout`]: the words that host and device share beside the ring. `cargo xtask header` tells the device source the
//!   numbers of all words, and is where a new one is listed.
//! - `memory`: what is where; `host`: launches, leases, heartbeat, shutdown;
//!   `threads`: its threads, and their end.
//! - `tables`, [`job`], [`program`]: images of jobs and programs, as the device reads them.

pub(crate) mod driver;
pub(crate) mod host;
pub mod job;
pub mod layout;
pub(crate) mod library;
mod memory;
pub mod program;
mod tables;
mod threads;
mod vigil;

pub use driver::{DeviceInfo, Found};
pub use vigil::Clock;

/// The device source, in the order in which its parts need each other.
pub const SOURCE: [&str; 9] = [
    include_str!("../../../../kernel/dialect.h"),
    include_str!("../../../../kernel/numbers.h"),
    include_str!("../../../../kernel/vir0.h"),
    include_str!("../../../../kernel/bytes.h"),
    include_str!("../../../../kernel/scan.h"),
    include_str!("../../../../kernel/stream.h"),
    include_str!("../../../../kernel/worker.h"),
    include_str!("../../../../kernel/io.h"),
    include_str!("../../../../kernel/megakernel.h"),
];

/// Local memory that a group needs, in bytes: `GM_GROUP_WORDS` of the device source.
pub(crate) const LOCAL_BYTES: usize = 4 * (8192 + 64);
