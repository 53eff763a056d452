//! How large a program and its parts may be, and what it may cost.

/// The largest number of instructions of a program.
pub const MAX_INSTRUCTIONS: usize = 4096;
/// The largest number of blocks that are open at once.
pub const MAX_DEPTH: usize = 16;
/// The largest number of trips of a loop.
pub const MAX_TRIPS: u32 = 65_535;
/// The largest halo on each side, in bytes.
pub const MAX_HALO: u16 = 4096;
/// The largest chunk, in bytes.
pub const MAX_CHUNK: u32 = 1 << 24;
/// The largest number of records of a chunk.
pub const MAX_RECORDS: u32 = 1 << 16;
/// The largest table, in bytes.
pub const MAX_TABLE: usize = 256 << 10;
/// The largest number of arguments.
pub const MAX_ARGS: usize = 7;
/// The largest number of scratch arrays.
pub const MAX_SCRATCH: usize = 16;
/// The largest number of scratch words, of all arrays together.
pub const MAX_SCRATCH_WORDS: usize = 4096;
/// The largest number of accumulators, of all arrays together.
pub const MAX_ACCS: usize = 1024;

/// The limits on what a program may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of instructions for the largest chunk that the program accepts; `u64::MAX` means no limit.
    pub cost: u64,
    /// The largest [`Work`](super::Work) for the largest chunk that the program accepts; `u64::MAX` means no limit.
    pub work: u64,
}

impl Default for Limits {
    /// 2^34 instructions, and 2^35 units of work, which are about 10 seconds of one core.
    fn default() -> Self {
        Self {
            cost: 1 << 34,
            work: 1 << 35,
        }
    }
}
