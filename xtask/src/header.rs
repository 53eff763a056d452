//! `cargo xtask header`: writes `kernel/numbers.h`, the numbers that the device source shares with the Rust crates.
//!
//! A number is defined once, in its crate. The protocol's numbers come from its lists; any other number that the device
//! source needs is named in [`NUMBERS`]. Afterwards, `scripts/ptx` must compile the device source again.

use gristmill_protocol::numbers::LISTS;
use gristmill_protocol::opcode;
use gristmill_vir0::isa::Op;
use std::fmt::Write;

/// Lists constants of modules, each under the name `GM_` + prefix + its own name.
macro_rules! numbers {
    ($($prefix:literal, $($module:ident)::+: $($name:ident)*;)*) => {
        &[$({
            use $($module)::+ as module;
            &[$((concat!("GM_", $prefix, stringify!($name)), module::$name as u32)),*]
        }),*]
    };
}

const NUMBERS: &[&[(&str, u32)]] = numbers! {
    "IMAGE_", gristmill_megakernel::backend::device::program::word: CHUNK ALIGN BEFORE AFTER RECORDS SCRATCH ACCS INSTRUCTIONS FIRST_EACH MINIMA MINIMA_PLACE
        TABLE_BYTES TABLE_PLACE HEADER INSTRUCTION;
    "LAUNCH_", gristmill_megakernel::backend::device::layout::launch: SLOTS SLOT_WORDS READY TAILS ENTRIES CONTROL DEBUG DEBUG_RECORDS OBSERVABLES
        TENANTS RECORDS RECORD_WORDS CHUNKS CHUNK_BYTES CHUNK_STRIDE IDLE_POLLS LEASE_SLOTS JOBS PROGRAMS WORKERS
        IO IO_SLOTS COUNTERS_FROM;
    "STATE_", gristmill_megakernel::backend::device::layout::state: HEADS AGES TICKET LOCK PARKED EPOCH DONE AGED IO_PARKED IO_USED IO_SEEN
        UNPARK PRIORITIES RUNNING METRICS FAIRNESS IDLE IO SLOTS;
    "WORKER_", gristmill_megakernel::backend::device::layout::worker: BEAT MIRRORED SLOTS FAULTS PARKED LEASES LEFT WORDS;
    "DIRECTORY_", gristmill_megakernel::backend::device::layout::directory: OPCODE IMAGE LONGEST WORDS ENTRIES;
    "SCAN_", gristmill_megakernel::backend::device::job::scan: FLAGS LONGEST INFO MATCH CLASSES NEXT FLAG_ALL FLAG_EVERYTHING;
    "CRC_", gristmill_megakernel::backend::device::job::crc: POWERS TABLES;
    "VIR0_", gristmill_vir0::verify: MAX_DEPTH MAX_SCRATCH MAX_SCRATCH_WORDS MAX_ACCS MAX_ARGS;
};

/// The path of the header, relative to the repository's root.
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
    for list in LISTS {
        for number in list.numbers {
            let (prefix, name, value) = (list.prefix, number.name, number.value);
            let _infallible = writeln!(text, "#define GM_{prefix}{name} {value}u");
        }
    }
    for (name, value) in NUMBERS.iter().copied().flatten() {
        let _infallible = writeln!(text, "#define {name} {value}u");
    }
    let _infallible = writeln!(
        text,
        "/* ROW(opcode, argument words) of each opcode that needs no chunk. */\n#define GM_CORE_OPS(ROW) \\"
    );
    for (name, _, args) in opcode::CORE {
        let _infallible = writeln!(text, "    ROW(GM_OP_{name}, {args}u) \\");
    }
    text.push_str("    /* the end */\n");
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
