//! Why a slot faulted. A completion entry's FAULT word has the reason in its low half and a detail in its high half
//! (for a program, its instruction; for a request to the host, the error number).

numbers! {
    /// Why a slot faulted.
    pub REASONS {
        /// No fault.
        NONE: u32 = 0;
        /// No handler for the opcode.
        UNKNOWN_OPCODE: u32 = 1;
        /// The tenant's mask is closed, or its mask does not let it use the opcode.
        TENANT_MASKED: u32 = 2;
        /// The tenant has as many slots in flight as its quota allows.
        QUOTA: u32 = 3;
        /// An index beyond the tenant's observables, or beyond the control words.
        INDEX_OUT_OF_RANGE: u32 = 4;
        /// A packed slot whose payload is not well formed.
        BAD_PACKED_SLOT: u32 = 5;
        /// An argument that the opcode cannot take.
        BAD_ARGUMENT: u32 = 6;
        /// The chunk named is not one that the host has lent.
        CHUNK_NOT_LENT: u32 = 7;
        /// The worker that ran the slot panicked.
        WORKER_PANICKED: u32 = 8;
        /// A tenant id that has no mask word.
        BAD_TENANT: u32 = 9;
        /// The job named is not registered with the kernel.
        NO_SUCH_JOB: u32 = 10;
        /// No program is bound to the opcode, or to the number.
        NO_SUCH_PROGRAM: u32 = 11;
        /// The opcode lies in another tenant's window.
        FOREIGN_OPCODE: u32 = 12;
        /// A program's index into a scratch array is out of its range.
        SCRATCH_INDEX: u32 = 13;
        /// A program's index into an accumulator array is out of its range.
        ACC_INDEX: u32 = 14;
        /// The slot's record area is too small for what the program leaves, or for the occurrences that end together.
        AREA_TOO_SMALL: u32 = 15;
        /// The program could cost more on this chunk than the kernel's lease allows.
        OVER_BUDGET: u32 = 16;
        /// The ring has no IO queue.
        NO_IO_QUEUE: u32 = 17;
        /// The host could not serve the request for bytes; the detail is the error number.
        IO_FAILED: u32 = 18;
        /// The host has cancelled what its kernel runs. Nothing is wrong with the slot: it has not been run, or not to its end.
        CANCELLED: u32 = 19;
    }
}

numbers! {
    /// Parts of a FAULT word.
    pub PARTS {
        /// The bits of the reason.
        REASON_MASK: u32 = 0xFFFF;
        /// The lowest bit of the detail.
        DETAIL_SHIFT: u32 = 16;
    }
}

/// A reason in words; takes a bare reason or a whole FAULT word.
#[must_use]
pub const fn name(word: u32) -> &'static str {
    match reason(word) {
        NONE => "no fault",
        UNKNOWN_OPCODE => "no handler for this opcode",
        TENANT_MASKED => "the tenant's mask does not allow it",
        QUOTA => "the tenant's quota is used up",
        INDEX_OUT_OF_RANGE => "an index is out of range",
        BAD_PACKED_SLOT => "the packed slot is not well formed",
        BAD_ARGUMENT => "an argument is not one that the opcode takes",
        CHUNK_NOT_LENT => "the chunk is not lent to the device",
        WORKER_PANICKED => "the worker that ran it panicked",
        BAD_TENANT => "there is no such tenant",
        NO_SUCH_JOB => "the job is not registered with the kernel",
        NO_SUCH_PROGRAM => "no program is bound to it",
        FOREIGN_OPCODE => "the opcode belongs to another tenant",
        SCRATCH_INDEX => "a program's index into a scratch array is out of range",
        ACC_INDEX => "a program's index into an accumulator array is out of range",
        AREA_TOO_SMALL => "the record area is too small for what must be left in it together",
        OVER_BUDGET => "the program could cost more on this chunk than its budget",
        NO_IO_QUEUE => "the ring has no IO queue",
        IO_FAILED => "the bytes that it asked for could not be had",
        CANCELLED => "the host has cancelled it",
        _ => "an unknown reason",
    }
}

/// Combines a reason and a detail into a FAULT word. Only the low half of the reason is used.
#[must_use]
pub const fn word(reason: u32, detail: u16) -> u32 {
    (reason & REASON_MASK) | (detail as u32) << DETAIL_SHIFT
}

/// The reason in a FAULT word.
#[must_use]
pub const fn reason(word: u32) -> u32 {
    word & REASON_MASK
}

/// The detail in a FAULT word.
#[must_use]
pub const fn detail(word: u32) -> u16 {
    let [high, low, _, _] = word.to_be_bytes();
    u16::from_be_bytes([high, low])
}
