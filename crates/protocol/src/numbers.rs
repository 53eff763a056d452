//! One list for each group of numbers. The constants, the device source's header (`kernel/numbers.h`) and the tables of
//! `docs/protocol.md` all come from these lists, so that no number is written down twice.

use crate::{
    chunk, completion, control, debug, fault, io, opcode, packed, priority, program, ready, slot,
    stream, tails,
};

/// A number of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number {
    /// The name of its constant.
    pub name: &'static str,
    /// The number.
    pub value: u64,
    /// What it means: its constant's documentation.
    pub meaning: &'static str,
}

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

/// The name of a value, from a list in which each value occurs once.
pub(crate) fn name(numbers: &[Number], value: u32) -> Option<&'static str> {
    let mut numbers = numbers.iter();
    numbers
        .find(|number| number.value == value.into())
        .map(|number| number.name)
}

/// Defines constants, and a list of them.
macro_rules! numbers {
    ($(
        $(#[$about:meta])*
        pub $list:ident {
            $( $(#[doc = $meaning:literal])+ $name:ident: $kind:ty = $value:expr; )+
        }
    )+) => {$(
        $(
            $(#[doc = $meaning])+
            pub const $name: $kind = $value;
        )+
        $(#[$about])*
        pub const $list: &[$crate::numbers::Number] = &[$(
            $crate::numbers::Number {
                name: stringify!($name),
                // The value is a u32 or a usize; both fit in 64 bits.
                value: $name as u64,
                meaning: concat!($($meaning),+),
            }
        ),+];
    )+};
}

/// Defines a structure whose fields are words of an array, its encoder and decoder, the words' numbers as constants,
/// and a list of these constants. A field is one word (`u32`), a number in two words, the low one and the high one
/// (`u64`), or two separate words (`pair`).
macro_rules! layout {
    (
        $(#[$about:meta])*
        pub struct $name:ident: [u32; $words:expr], $(#[$list_about:meta])* $list:ident {
            $(
                #[doc = $meaning:literal]
                $field:ident: $kind:ident at $($word:ident = $at:literal),+;
            )+
        }
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub struct $name {
            $( #[doc = $meaning] pub $field: layout!(@type $kind), )+
        }

        $( $(
            #[doc = concat!("Word of [`", stringify!($name), "::", stringify!($field), "`].")]
            pub const $word: usize = $at;
        )+ )+

        $(#[$list_about])*
        pub const $list: &[$crate::numbers::Number] = &[$( $(
            $crate::numbers::Number {
                name: stringify!($word),
                value: $word as u64,
                meaning: $meaning,
            }
        ),+ ),+];

        impl $name {
            /// The words. Words that belong to no field are zero.
            #[inline]
            #[must_use]
            pub const fn encode(&self) -> [u32; $words] {
                let mut words = [0; $words];
                $( layout!(@put words, self.$field, $kind, $($word),+); )+
                words
            }

            /// Decodes the words. Words that belong to no field are ignored.
            #[inline]
            #[must_use]
            pub const fn decode(words: &[u32; $words]) -> Self {
                Self {
                    $( $field: layout!(@get words, $kind, $($word),+), )+
                }
            }
        }
    };
    (@type pair) => {
        [u32; 2]
    };
    (@type $kind:ident) => {
        $kind
    };
    (@put $words:ident, $value:expr, u32, $word:ident) => {
        $words[$word] = $value;
    };
    (@put $words:ident, $value:expr, u64, $low:ident, $high:ident) => {
        ($words[$low], $words[$high]) = $crate::words::split($value);
    };
    (@put $words:ident, $value:expr, pair, $first:ident, $second:ident) => {
        [$words[$first], $words[$second]] = $value;
    };
    (@get $words:ident, u32, $word:ident) => {
        $words[$word]
    };
    (@get $words:ident, u64, $low:ident, $high:ident) => {
        $crate::words::join($words[$low], $words[$high])
    };
    (@get $words:ident, pair, $first:ident, $second:ident) => {
        [$words[$first], $words[$second]]
    };
}
