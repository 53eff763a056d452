//! The numbers that the device source shares with the Rust crates, as `kernel/numbers.h`: they exist once, there.

use gristmill_protocol::numbers::LISTS;
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
    "IMAGE_", crate::device::program::word: CHUNK ALIGN BEFORE AFTER RECORDS SCRATCH ACCS INSTRUCTIONS FIRST_EACH MINIMA MINIMA_PLACE
        TABLE_BYTES TABLE_PLACE HEADER INSTRUCTION;
    "LAUNCH_", crate::device::layout::launch: SLOTS SLOT_WORDS READY TAILS ENTRIES CONTROL DEBUG DEBUG_RECORDS OBSERVABLES
        TENANTS RECORDS RECORD_WORDS CHUNKS CHUNK_BYTES CHUNK_STRIDE IDLE_POLLS LEASE_SLOTS JOBS PROGRAMS WORKERS
        IO IO_SLOTS COUNTERS_FROM;
    "STATE_", crate::device::layout::state: HEADS AGES TICKET LOCK PARKED EPOCH DONE AGED IO_PARKED IO_USED IO_SEEN
        UNPARK PRIORITIES RUNNING METRICS FAIRNESS IDLE IO SLOTS;
    "WORKER_", crate::device::layout::worker: BEAT MIRRORED SLOTS FAULTS PARKED LEASES LEFT WORDS;
    "DIRECTORY_", crate::device::layout::directory: OPCODE IMAGE LONGEST WORDS ENTRIES;
    "SCAN_", crate::device::job::scan: FLAGS LONGEST INFO MATCH CLASSES NEXT FLAG_ALL FLAG_EVERYTHING;
    "CRC_", crate::device::job::crc: POWERS TABLES;
    "VIR0_", gristmill_vir0::verify: MAX_DEPTH MAX_SCRATCH MAX_SCRATCH_WORDS MAX_ACCS MAX_ARGS;
};

/// The text of `kernel/numbers.h`.
pub fn numbers() -> String {
    let mut text = String::from(
        "/* Generated from the crates gristmill-protocol and gristmill-vir0: do not edit. Run\n \
         * UPDATE_KERNEL=1 cargo test -p gristmill-megakernel --lib header */\n",
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
    use std::path::Path;

    #[test]
    fn the_kernel_has_the_numbers_of_the_crates() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/numbers.h");
        let text = super::numbers();
        if std::env::var_os("UPDATE_KERNEL").is_some() {
            std::fs::write(&path, &text).expect("the kernel's folder can be written");
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            there == text,
            "kernel/numbers.h is stale: see its first lines"
        );
    }
}
