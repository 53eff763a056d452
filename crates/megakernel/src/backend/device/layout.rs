//! Where host and device find things: the numbers of words, which the kernel gets through `kernel/numbers.h`.

/// Words of a launch's parameters, at the head of shared memory. A place is a number of words from there.
pub mod launch {
    /// Slots of the ring, a power of two.
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
    /// Records that the debug log holds.
    pub const DEBUG_RECORDS: usize = 7;
    /// Observables.
    pub const OBSERVABLES: usize = 8;
    /// Tenants that share the observables.
    pub const TENANTS: usize = 9;
    /// Place of the record areas.
    pub const RECORDS: usize = 10;
    /// Words of each record area.
    pub const RECORD_WORDS: usize = 11;
    /// Chunks.
    pub const CHUNKS: usize = 12;
    /// Bytes of a chunk.
    pub const CHUNK_BYTES: usize = 13;
    /// Bytes from one chunk to the next.
    pub const CHUNK_STRIDE: usize = 14;
    /// Polls in a row that find nothing, after which a lease ends.
    pub const IDLE_POLLS: usize = 15;
    /// Slots after which a lease ends.
    pub const LEASE_SLOTS: usize = 16;
    /// Place of the job directory in the tables: their number, then the place of each image.
    pub const JOBS: usize = 17;
    /// Place of the program directory.
    pub const PROGRAMS: usize = 18;
    /// Place of the workers' words.
    pub const WORKERS: usize = 19;
    /// Place of the IO queue.
    pub const IO: usize = 20;
    /// Slots of the IO queue.
    pub const IO_SLOTS: usize = 21;
    /// Where counters begin that wrap.
    pub const COUNTERS_FROM: usize = 22;
    /// Parameter words.
    pub const WORDS: usize = 32;
}

/// Words of device memory.
pub mod state {
    /// First of the ready rings' heads.
    pub const HEADS: usize = 0;
    /// First of the priorities' ages.
    pub const AGES: usize = 32;
    /// Completion tickets taken.
    pub const TICKET: usize = 64;
    /// The lock of control words, observables and the debug log: its holder writes them.
    pub const LOCK: usize = 96;
    /// Slots that are parked, other than for the IO queue.
    pub const PARKED: usize = 128;
    /// BATCH_FENCEs completed.
    pub const EPOCH: usize = 129;
    /// Slots completed.
    pub const DONE: usize = 130;
    /// Claims by age.
    pub const AGED: usize = 131;
    /// Slots that are parked because the IO queue is full.
    pub const IO_PARKED: usize = 132;
    /// Slots of the IO queue that are in use.
    pub const IO_USED: usize = 133;
    /// How many requests the host had ended when none was left in the queue that has.
    pub const IO_SEEN: usize = 134;
    /// Where to look first for a parked slot.
    pub const UNPARK: usize = 135;
    /// First of the priorities' counters.
    pub const PRIORITIES: usize = 136;
    /// First of the tenants' counts of slots being run.
    pub const RUNNING: usize = 160;
    /// First of the opcodes' counters.
    pub const METRICS: usize = 192;
    /// First of the tenants' counters.
    pub const FAIRNESS: usize = 224;
    /// For each worker: the idle workers of the launch that it is the first of, and the launch that is to end.
    pub const IDLE: usize = 256;
    /// Workers at most.
    pub const MAX_WORKERS: usize = 1024;
    /// For each slot of the IO queue: 0 where it is free, or who waits for its request (see `kernel/io.h`).
    pub const IO: usize = IDLE + 2 * MAX_WORKERS;
    /// For each slot: its generation, and why it is parked. Behind them two counters of finished slots for each slot;
    /// behind those the workers' own memory, as many words each as a record area.
    pub const SLOTS: usize = IO + gristmill_protocol::io::IO_SLOT_COUNT as usize;
}

/// Words of each worker in shared memory, written by that worker.
pub mod worker {
    /// Moves as long as the worker lives.
    pub const BEAT: usize = 0;
    /// The last request for counters that was served.
    pub const MIRRORED: usize = 1;
    /// Slots run.
    pub const SLOTS: usize = 2;
    /// Slots that faulted.
    pub const FAULTS: usize = 3;
    /// Slots parked.
    pub const PARKED: usize = 4;
    /// Leases that ended.
    pub const LEASES: usize = 5;
    /// Why the last one ended: idle 1, spent 2, shut down 3.
    pub const LEFT: usize = 6;
    /// Words of a worker: two cache lines.
    pub const WORDS: usize = 32;
}

/// The directory of programs, in shared memory: a hash table by opcode, linear probing from the opcode modulo its size.
pub mod directory {
    /// Word of the opcode: 0 where the entry was never used, [`GONE`] where its program was unloaded.
    pub const OPCODE: usize = 0;
    /// Word of the image's place in the tables.
    pub const IMAGE: usize = 1;
    /// Word of how many bytes of a chunk the program's budget allows.
    pub const LONGEST: usize = 2;
    /// Words of an entry.
    pub const WORDS: usize = 4;
    /// Entries.
    pub const ENTRIES: usize = 1024;
    /// The opcode of an entry whose program was unloaded: none that a program can have.
    pub const GONE: u32 = 1;
}
