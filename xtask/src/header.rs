//! `cargo xtask header`: writes `kernel/numbers.h`, the numbers that the device source shares with the Rust crates.
//!
//! A number is defined once, in its crate. A new one that the device source needs is a name in [`NUMBERS`]; afterwards
//! `scripts/ptx` compiles the device source again.

use gristmill_protocol::opcode;
use gristmill_vir0::isa::Op;
use std::fmt::Write;

/// Constants of a module, each as `GM_` with a prefix and its own name.
macro_rules! numbers {
    ($($prefix:literal, $($module:ident)::+: $($name:ident)*;)*) => {
        &[$({
            use $($module)::+ as module;
            &[$((concat!("GM_", $prefix, stringify!($name)), module::$name as u32)),*]
        }),*]
    };
}

const NUMBERS: &[&[(&str, u32)]] = numbers! {
    "", gristmill_protocol: SLOT_WORDS STATUS_WORD OPCODE_WORD TENANT_WORD PRIORITY_WORD ARG0_WORD ARGS_PER_SLOT CONTROL_MIN_WORDS;
    "SLOT_", gristmill_protocol::slot: EMPTY PUBLISHED CLAIMED DONE WAIT_IO YIELD REQUEUE FAULT;
    "CONTROL_", gristmill_protocol::control: SHUTDOWN DONE_COUNT TENANT_MASKS TENANT_MASK_WORDS TENANT_QUOTAS TENANT_QUOTA_WORDS
        TENANT_FAIRNESS TENANT_FAIRNESS_WORDS METRICS METRIC_WORDS EPOCH PRIORITY_STARVATION PRIORITY_FAIRNESS;
    "IMAGE_", gristmill_megakernel::device::program::word: CHUNK ALIGN BEFORE AFTER RECORDS SCRATCH ACCS INSTRUCTIONS FIRST_EACH MINIMA MINIMA_PLACE
        TABLE_BYTES TABLE_PLACE HEADER INSTRUCTION;
    "PRIORITY_", gristmill_protocol::priority: COUNT AGEING_CLAIMS;
    "OP_", gristmill_protocol::opcode: NOP STORE_U32 ATOMIC_ADD LOAD_U32 COMPARE_SWAP MEMCPY DFA_STEP BATCH_FENCE SCAN HISTOGRAM
        LINES CRC32C LOAD_MISS PRINTF PACKED_SLOT SHUTDOWN TENANT_BASE TENANT_SHIFT RESERVED_BIT FENCE_ARG_SLOTS
        FENCE_ARG_GENERATION LOAD_ARG_RESOURCE LOAD_ARG_PREFETCH LOAD_ARG_DESTINATION LOAD_ARG_OFFSET_LO
        LOAD_ARG_OFFSET_HI LOAD_ARG_BYTES;
    "FAULT_", gristmill_protocol::fault: NONE UNKNOWN_OPCODE TENANT_MASKED QUOTA INDEX_OUT_OF_RANGE BAD_PACKED_SLOT BAD_ARGUMENT
        CHUNK_NOT_LENT WORKER_PANICKED BAD_TENANT NO_SUCH_JOB NO_SUCH_PROGRAM FOREIGN_OPCODE SCRATCH_INDEX ACC_INDEX
        AREA_TOO_SMALL OVER_BUDGET NO_IO_QUEUE IO_FAILED CANCELLED;
    "COMPLETION_", gristmill_protocol::completion: WORDS SEQ SLOT STATUS FAULT RESULT0 RECORDS FLAGS FLAG_OVERFLOW;
    "DEBUG_", gristmill_protocol::debug: RECORD_WORDS;
    "STREAM_", gristmill_protocol::stream: ARG_CHUNK ARG_START ARG_LEN ARG_JOB ARG_MODE ARG_OFFSET_LO ARG_OFFSET_HI ARG_RESUME
        ARG_AFTER ARG_BEFORE MODE_MASK MODE_ANY MODE_COUNT_LINES MODE_LINES MODE_ALL WANT_NEWLINES WANT_NUL NONE
        RESULT_MATCHES RESULT_NEWLINES RESULT_FIRST_NEWLINE RESULT_LAST_NEWLINE RESULT_EDGES RESULT_FIRST_NUL
        RESULT_RESUME RESULT_FIRST_MATCH HEAD_MATCH TAIL_MATCH RESULT_COUNT RESULT_CRC HISTOGRAM_WORDS
        HISTOGRAM_RECORDS;
    "PROGRAM_", gristmill_protocol::program: ARG_CHUNK_AFTER ARG_START ARG_LEN ARG_OFFSET_LO ARG_OFFSET_HI ARG_FIRST PROGRAM_ARGS
        CHUNK_BITS MAX_CHUNK_INDEX ACC_WORDS;
    "IO_", gristmill_protocol::io: IO_SLOT_WORDS IO_SLOT_COUNT;
    "IO_", gristmill_protocol::io::io_word: OP_TYPE SRC_HANDLE DST_HANDLE OFFSET_LO OFFSET_HI BYTE_COUNT STATUS TAG;
    "IO_OP_", gristmill_protocol::io::io_op: READ WRITE FENCE LANDED;
    "IO_STATUS_", gristmill_protocol::io::io_status: OK ERROR;
    "CHUNK_", gristmill_ring::chunk: LENT;
    "LAUNCH_", gristmill_megakernel::device::layout::launch: SLOTS SLOT_WORDS READY TAILS ENTRIES CONTROL DEBUG DEBUG_RECORDS OBSERVABLES
        TENANTS RECORDS RECORD_WORDS CHUNKS CHUNK_BYTES CHUNK_STRIDE IDLE_POLLS LEASE_SLOTS JOBS PROGRAMS WORKERS
        IO IO_SLOTS COUNTERS_FROM;
    "STATE_", gristmill_megakernel::device::layout::state: HEADS AGES TICKET LOCK PARKED EPOCH DONE AGED IO_PARKED IO_USED IO_SEEN
        UNPARK PRIORITIES RUNNING METRICS FAIRNESS IDLE IO SLOTS;
    "WORKER_", gristmill_megakernel::device::layout::worker: BEAT MIRRORED SLOTS FAULTS PARKED LEASES LEFT WORDS;
    "DIRECTORY_", gristmill_megakernel::device::layout::directory: OPCODE IMAGE LONGEST WORDS ENTRIES;
    "TAILS_", gristmill_megakernel::device::layout::tails: MIRROR ENDED CANCELLED;
    "SCAN_", gristmill_megakernel::device::job::scan: FLAGS LONGEST INFO MATCH CLASSES NEXT FLAG_ALL FLAG_EVERYTHING;
    "CRC_", gristmill_megakernel::device::job::crc: POWERS TABLES;
    "VIR0_", gristmill_vir0::verify: MAX_DEPTH MAX_SCRATCH MAX_SCRATCH_WORDS MAX_ACCS MAX_ARGS;
};

/// Where the header is, from the repository's root.
pub(crate) const PATH: &str = "kernel/numbers.h";

/// Writes the header.
pub(crate) fn write() -> Result<(), String> {
    let path = crate::root().join(PATH);
    std::fs::write(&path, numbers()).map_err(|error| format!("{}: {error}", path.display()))
}

/// The text of the header.
pub(crate) fn numbers() -> String {
    let mut text = String::from(
        "/* Generated from the constants of the crates: do not edit. Run\n \
         * cargo xtask header && scripts/ptx */\n",
    );
    for (name, value) in NUMBERS.iter().copied().flatten() {
        let _infallible = writeln!(text, "#define {name} {value}u");
    }
    for (name, value) in [
        ("FIRST", opcode::STREAM.start()),
        ("LAST", opcode::STREAM.end()),
    ] {
        let _infallible = writeln!(text, "#define GM_OP_STREAM_{name} {value}u");
    }
    for op in Op::ALL {
        let name = op.mnemonic().to_uppercase().replace('.', "_");
        let _infallible = writeln!(text, "#define GM_VIR0_{name} {}u", *op as u32);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_has_the_numbers_of_the_crates() {
        let there = std::fs::read_to_string(crate::root().join(super::PATH)).unwrap_or_default();
        assert!(
            there == super::numbers(),
            "{} is stale: run cargo xtask header",
            super::PATH
        );
    }
}
