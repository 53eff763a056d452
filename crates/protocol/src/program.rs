//! Arguments and results of a slot that runs a VIR0 program over a chunk.
//!
//! Such a slot's opcode lies in its tenant's window ([`opcode::tenant_window`](crate::opcode::tenant_window)), where
//! the program was bound to it. The chunk's *own bytes* are `len` bytes at `start` of its buffer. The bytes before them
//! in the buffer, and `after` bytes behind them, are their neighbours in the same file. The program sees as many of
//! these as it declares.
//!
//! When the slot has completed, its record area begins with the accumulators, each two words (low, high), in the order
//! of their arrays. The records follow. Each consists of the position (signed, relative to the first own byte) and the
//! value, and they are ordered by position and then by value. RECORDS counts records only. If the program emitted more
//! records than it declares, the completion has the flag OVERFLOW, and the contents of the area are invalid: the host
//! splits the chunk and publishes its parts. A fault carries the instruction's number as its detail.

use crate::words::{join, split};
use crate::ARGS_PER_SLOT;

numbers! {
    /// Words of a program's arguments, and the parts of the first.
    pub ARGS {
        /// Argument: the chunk's index in the low [`CHUNK_BITS`] bits, and the number of bytes behind the own ones above.
        ARG_CHUNK_AFTER: usize = 0;
        /// Argument: where the own bytes begin in the chunk's buffer.
        ARG_START: usize = 1;
        /// Argument: how many own bytes there are.
        ARG_LEN: usize = 2;
        /// Argument: the low half of the first own byte's position in the file.
        ARG_OFFSET_LO: usize = 3;
        /// Argument: the high half of it.
        ARG_OFFSET_HI: usize = 4;
        /// First of the program's own arguments.
        ARG_FIRST: usize = 5;
        /// How many arguments a program has at most.
        PROGRAM_ARGS: usize = ARGS_PER_SLOT - ARG_FIRST;
        /// Bits of [`ARG_CHUNK_AFTER`] that are the chunk's index.
        CHUNK_BITS: u32 = 19;
        /// The largest index of a chunk that a program can run over.
        MAX_CHUNK_INDEX: u32 = (1 << CHUNK_BITS) - 1;
        /// The largest number of bytes behind the own ones that can be told.
        MAX_AFTER: u32 = (1 << (32 - CHUNK_BITS)) - 1;
    }
}

numbers! {
    /// What a program leaves in its slot's record area.
    pub RESULTS {
        /// Words that an accumulator takes: low, high.
        ACC_WORDS: usize = 2;
        /// Words that a record takes: its position, relative to the first own byte and signed, and its value.
        RECORD_WORDS: usize = 2;
    }
}

/// An accumulator as the words of the record area.
#[must_use]
pub const fn encode_acc(value: u64) -> [u32; ACC_WORDS] {
    let (low, high) = split(value);
    [low, high]
}

/// Accumulator number `index` of a record area. `word` returns the area's words.
pub fn decode_acc(word: impl Fn(usize) -> u32, index: usize) -> u64 {
    let first = index * ACC_WORDS;
    join(word(first), word(first + 1))
}

/// What a program emitted, as it lies in the record area.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProgramRecord {
    /// Where, relative to the first own byte.
    pub position: i32,
    /// The value.
    pub value: u32,
}

impl ProgramRecord {
    /// The record as the words of the record area.
    #[must_use]
    pub const fn encode(&self) -> [u32; RECORD_WORDS] {
        [self.position.cast_unsigned(), self.value]
    }

    /// Record number `index` of a record area that begins with `accs` accumulators. `word` returns the area's words.
    pub fn decode(word: impl Fn(usize) -> u32, accs: usize, index: usize) -> Self {
        let first = accs * ACC_WORDS + index * RECORD_WORDS;
        Self {
            position: word(first).cast_signed(),
            value: word(first + 1),
        }
    }
}

/// Words of a record area that accumulators and records take.
#[must_use]
pub const fn area_words(accs: usize, records: usize) -> usize {
    accs * ACC_WORDS + records * RECORD_WORDS
}

/// The arguments of a program's slot, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProgramArgs {
    /// The chunk's index, at most [`MAX_CHUNK_INDEX`].
    pub chunk: u32,
    /// Bytes of the file behind the own ones in the buffer, at most [`MAX_AFTER`].
    pub after: u32,
    /// Where the own bytes begin in the buffer.
    pub start: u32,
    /// How many own bytes there are.
    pub len: u32,
    /// The position of the first own byte in the file.
    pub offset: u64,
    /// The program's arguments.
    pub args: [u32; PROGRAM_ARGS],
}

impl ProgramArgs {
    /// The slot's argument words; `None` where the chunk's index or `after` is too large.
    #[must_use]
    pub const fn encode(&self) -> Option<[u32; ARGS_PER_SLOT]> {
        if self.chunk > MAX_CHUNK_INDEX || self.after > MAX_AFTER {
            return None;
        }
        let (low, high) = split(self.offset);
        let [a, b, c, d, e, f, g] = self.args;
        let first = self.chunk | self.after << CHUNK_BITS;
        Some([first, self.start, self.len, low, high, a, b, c, d, e, f, g])
    }

    /// The arguments in a slot's words.
    #[must_use]
    pub const fn decode(args: &[u32; ARGS_PER_SLOT]) -> Self {
        let [first, start, len, low, high, a, b, c, d, e, f, g] = *args;
        Self {
            chunk: first & MAX_CHUNK_INDEX,
            after: first >> CHUNK_BITS,
            start,
            len,
            offset: join(low, high),
            args: [a, b, c, d, e, f, g],
        }
    }
}

/// The same arguments for another chunk. Only the low [`CHUNK_BITS`] bits of its index are used.
#[must_use]
pub const fn with_chunk(mut args: [u32; ARGS_PER_SLOT], chunk: u32) -> [u32; ARGS_PER_SLOT] {
    args[ARG_CHUNK_AFTER] = args[ARG_CHUNK_AFTER] & !MAX_CHUNK_INDEX | chunk & MAX_CHUNK_INDEX;
    args
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arguments_round_trip(
            chunk in 0..=MAX_CHUNK_INDEX,
            after in 0..=MAX_AFTER,
            start: u32,
            len: u32,
            offset: u64,
            args: [u32; PROGRAM_ARGS],
        ) {
            let all = ProgramArgs { chunk, after, start, len, offset, args };
            prop_assert_eq!(ProgramArgs::decode(&all.encode().unwrap()), all);
        }

        #[test]
        fn every_slot_has_one_meaning(words: [u32; ARGS_PER_SLOT]) {
            prop_assert_eq!(ProgramArgs::decode(&words).encode(), Some(words));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let fits = ProgramArgs {
            chunk: MAX_CHUNK_INDEX,
            after: MAX_AFTER,
            ..ProgramArgs::default()
        };
        assert!(fits.encode().is_some());
        let (chunk, after) = (fits.chunk + 1, fits.after + 1);
        assert!(ProgramArgs { chunk, ..fits }.encode().is_none());
        assert!(ProgramArgs { after, ..fits }.encode().is_none());
    }
}
