//! The layout of what host and device share: the numbers of words, which the kernel gets through `kernel/numbers.h`.

/// Words of a launch's parameters, at the head of shared memory. Places are counted in words from there.
pub mod launch {
    /// The number of slots in the ring, a power of two.
    pub const SLOTS: usize = 0;
    /// Place of the slots.
    pub const SLOT_WORDS: usize = 1;
    /// Place of the ready rings.
    pub const READY: usize = 2;
    /// Place of the tails.
    pub const TAILS: usize = 3;
    /// Place of the completion entries.
    pub const ENTRIES: usize = 4;
    /// Place of the control words, with the observables behind them.
    pub const CONTROL: usize = 5;
    /// Place of the debug log.
    pub const DEBUG: usize = 6;
    /// The number of records that the debug log can hold.
    pub const DEBUG_RECORDS: usize = 7;
    /// The number of observables.
    pub const OBSERVABLES: usize = 8;
    /// The number of tenants that share the observables.
    pub const TENANTS: usize = 9;
    /// Place of the record areas.
    pub const RECORDS: usize = 10;
    /// The number of words in each record area.
    pub const RECORD_WORDS: usize = 11;
    /// The number of chunks.
    pub const CHUNKS: usize = 12;
    /// The number of bytes in a chunk.
    pub const CHUNK_BYTES: usize = 13;
    /// The number of bytes from the beginning of one chunk to that of the next.
    pub const CHUNK_STRIDE: usize = 14;
    /// The number of consecutive polls without work that ends a lease.
    pub const IDLE_POLLS: usize = 15;
    /// The number of slots that ends a lease.
    pub const LEASE_SLOTS: usize = 16;
    /// Place of the job directory in the tables. It holds the number of jobs, then the place of each image.
    pub const JOBS: usize = 17;
    /// Place of the program directory.
    pub const PROGRAMS: usize = 18;
    /// Place of the workers' words.
    pub const WORKERS: usize = 19;
    /// Place of the IO queue.
    pub const IO: usize = 20;
    /// The number of slots in the IO queue.
    pub const IO_SLOTS: usize = 21;
    /// The first value of counters that wrap around.
    pub const COUNTERS_FROM: usize = 22;
    /// The number of parameter words.
    pub const WORDS: usize = 32;
}

/// Words of the kernel's state, in device memory.
pub mod state {
    /// First of the ready rings' heads.
    pub const HEADS: usize = 0;
    /// First of the priorities' ages.
    pub const AGES: usize = 32;
    /// The number of completion tickets taken.
    pub const TICKET: usize = 64;
    /// The lock of the control words, the observables and the debug log. Its holder writes them.
    pub const LOCK: usize = 96;
    /// The number of parked slots, except those that wait for the IO queue.
    pub const PARKED: usize = 128;
    /// The number of completed BATCH_FENCEs.
    pub const EPOCH: usize = 129;
    /// The number of completed slots.
    pub const DONE: usize = 130;
    /// The number of claims that were made by age.
    pub const AGED: usize = 131;
    /// The number of slots that are parked because the IO queue is full.
    pub const IO_PARKED: usize = 132;
    /// The number of slots of the IO queue that are in use.
    pub const IO_USED: usize = 133;
    /// How many requests the host had ended when the device last found no ended request in the queue.
    pub const IO_SEEN: usize = 134;
    /// The place where the search for a parked slot begins.
    pub const UNPARK: usize = 135;
    /// First of the priorities' counters.
    pub const PRIORITIES: usize = 136;
    /// First of the tenants' counts of running slots.
    pub const RUNNING: usize = 160;
    /// First of the opcodes' counters.
    pub const METRICS: usize = 192;
    /// First of the tenants' counters.
    pub const FAIRNESS: usize = 224;
    /// For each worker that is the first of a launch: the number of idle workers of that launch, and the launch that is
    /// to end.
    pub const IDLE: usize = 256;
    /// The largest number of workers.
    pub const MAX_WORKERS: usize = 1024;
    /// For each slot of the IO queue: 0 if it is free, otherwise which slot waits for its request (see `kernel/io.h`).
    pub const IO: usize = IDLE + 2 * MAX_WORKERS;
    /// For each slot: its generation, and why it is parked. Next come two counters of finished slots for each slot, and
    /// then the workers' own memory, which has as many words for each worker as a record area.
    pub const SLOTS: usize = IO + gristmill_protocol::io::IO_SLOT_COUNT as usize;
}

/// Words of each worker in shared memory. Only that worker writes them.
pub mod worker {
    /// Changes as long as the worker lives.
    pub const BEAT: usize = 0;
    /// The last request for counters that the worker served.
    pub const MIRRORED: usize = 1;
    /// The number of slots run.
    pub const SLOTS: usize = 2;
    /// The number of slots that faulted.
    pub const FAULTS: usize = 3;
    /// The number of slots parked.
    pub const PARKED: usize = 4;
    /// The number of leases that have ended.
    pub const LEASES: usize = 5;
    /// Why the last lease ended: idle 1, spent 2, shut down 3.
    pub const LEFT: usize = 6;
    /// The number of words of a worker: two cache lines.
    pub const WORDS: usize = 32;
}

/// The directory of programs, in shared memory: a hash table by opcode, with linear probing from the opcode modulo its
/// size.
pub mod directory {
    /// Word of the opcode: 0 if the entry was never used, [`GONE`] if its program was unloaded.
    pub const OPCODE: usize = 0;
    /// Word of the image's place in the tables.
    pub const IMAGE: usize = 1;
    /// Word of the largest chunk, in bytes, that the program's budget allows.
    pub const LONGEST: usize = 2;
    /// The number of words in an entry.
    pub const WORDS: usize = 4;
    /// The number of entries.
    pub const ENTRIES: usize = 1024;
    /// The opcode of an entry whose program was unloaded. No program can have this opcode.
    pub const GONE: u32 = 1;
}
