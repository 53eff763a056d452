//! One list for each group of numbers. The constants, the device source's header (`kernel/numbers.h`) and the tables of
//! `docs/protocol.md` all come from these lists, so that no number is written down twice.

use crate::{
    chunk, completion, control, debug, fault, io, opcode, packed, priority, program, ready, slot,
    stream, tails,
};

pub use crate::number::Number;

/// Numbers that belong together.
#[derive(Debug, Clone, Copy)]
pub struct List {
    /// The list's path in this crate, which names its table in `docs/protocol.md`.
    pub path: &'static str,
    /// What stands between `GM_` and a number's name in the device source.
    pub prefix: &'static str,
    /// The numbers.
    pub numbers: &'static [Number],
}

/// Every list of the protocol.
pub const LISTS: &[List] = &[
    list("SLOT", "", crate::SLOT),
    list("slot::STATUSES", "SLOT_", slot::STATUSES),
    list("control::WORDS", "CONTROL_", control::WORDS),
    list("priority::NUMBERS", "PRIORITY_", priority::NUMBERS),
    list("opcode::OPCODES", "OP_", opcode::OPCODES),
    list("opcode::RANGES", "OP_", opcode::RANGES),
    list("opcode::FENCE_WORDS", "OP_", opcode::FENCE_WORDS),
    list("opcode::LOAD_WORDS", "OP_", opcode::LOAD_WORDS),
    list("opcode::RESULTS", "OP_", opcode::RESULTS),
    list("packed::LIMITS", "PACKED_", packed::LIMITS),
    list("fault::REASONS", "FAULT_", fault::REASONS),
    list("fault::PARTS", "FAULT_", fault::PARTS),
    list("completion::ENTRY", "COMPLETION_", completion::ENTRY),
    list("ready::PARTS", "READY_", ready::PARTS),
    list("tails::WORDS", "TAILS_", tails::WORDS),
    list("debug::LAYOUT", "DEBUG_", debug::LAYOUT),
    list("debug::RECORD", "DEBUG_RECORD_", debug::RECORD),
    list("stream::ARGS", "STREAM_", stream::ARGS),
    list("stream::MODES", "STREAM_", stream::MODES),
    list("stream::SCAN_RESULTS", "STREAM_", stream::SCAN_RESULTS),
    list("stream::EDGES", "STREAM_", stream::EDGES),
    list("stream::LINES_RESULTS", "STREAM_", stream::LINES_RESULTS),
    list("stream::CRC_RESULTS", "STREAM_", stream::CRC_RESULTS),
    list("stream::BLAKE3_RESULTS", "STREAM_", stream::BLAKE3_RESULTS),
    list("stream::BLAKE3", "STREAM_", stream::BLAKE3),
    list("stream::HISTOGRAM", "STREAM_", stream::HISTOGRAM),
    list("program::ARGS", "PROGRAM_", program::ARGS),
    list("program::RESULTS", "PROGRAM_", program::RESULTS),
    list("io::LAYOUT", "", io::LAYOUT),
    list("io::io_word::WORDS", "IO_", io::io_word::WORDS),
    list("io::io_op::OPS", "IO_OP_", io::io_op::OPS),
    list(
        "io::io_status::STATUSES",
        "IO_STATUS_",
        io::io_status::STATUSES,
    ),
    list("chunk::STATES", "CHUNK_", chunk::STATES),
];

const fn list(path: &'static str, prefix: &'static str, numbers: &'static [Number]) -> List {
    List {
        path,
        prefix,
        numbers,
    }
}
