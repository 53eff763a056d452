//! The image of a program: the data that the device source needs to run it, as words that can lie at any address.
//!
//! The image begins with [`word::HEADER`] words, whose numbers are in [`word`]. Next come four words for each
//! instruction:
//!
//! - Word 0: the first four bytes of its encoding, which are the opcode with the immediate bit, `dst`, `a` and `b`.
//! - Word 1: its immediate.
//! - Word 2: the instruction that it leads to, by number. For `if` this is the `else` or `end`; for `else`, `each` and
//!   `loop`, the `end`; for `break`, the loop's `end`; for a loop's `end`, the loop's first instruction; for an `if`'s
//!   `end`, 0. For `s.` and `acc` it is the first word of the array, counted from the first scratch word or
//!   accumulator.
//! - Word 3: for `loop` and its `end`, the number of loops that enclose it; for `each`, the next `each`. For `s.` and
//!   `acc`, the array's length in the low half, and in the high half how the array is updated, as the number of an `s.`
//!   opcode.
//!
//! Instructions are numbered from 0, and the number of instructions stands for "none". The `end` of an `each` carries
//! two sets of registers, with one bit for each register, lowest first. Word 1 holds the registers that the body reads
//! and never writes; word 2 those that it writes, but may read before it writes them. Other registers need no value
//! when a window begins.
//!
//! After the instructions come the arrays of accumulators that begin as all ones, with one word for each array (the
//! number of its first accumulator in the low half, its length in the high half). The table comes last, followed by at
//! least four zero bytes.

use gristmill_vir0::analysis;
use gristmill_vir0::isa::{Instr, Op};
use gristmill_vir0::program::AccKind;
use gristmill_vir0::{FaultKind, Verified};

/// Words of an image's header.
pub mod word {
    /// The largest number of own bytes in a chunk.
    pub const CHUNK: usize = 0;
    /// The alignment of a chunk's base: the base is a multiple of this number.
    pub const ALIGN: usize = 1;
    /// The number of halo bytes before the own bytes.
    pub const BEFORE: usize = 2;
    /// The number of halo bytes after the own bytes.
    pub const AFTER: usize = 3;
    /// The largest number of records.
    pub const RECORDS: usize = 4;
    /// The number of scratch words.
    pub const SCRATCH: usize = 5;
    /// The number of accumulators.
    pub const ACCS: usize = 6;
    /// The number of instructions.
    pub const INSTRUCTIONS: usize = 7;
    /// The number of the first `each`.
    pub const FIRST_EACH: usize = 8;
    /// The number of arrays of accumulators that begin as all ones.
    pub const MINIMA: usize = 9;
    /// The place of the list of those arrays, in words from the beginning of the image.
    pub const MINIMA_PLACE: usize = 10;
    /// The number of bytes in the table.
    pub const TABLE_BYTES: usize = 11;
    /// The place of the table, in words from the beginning of the image.
    pub const TABLE_PLACE: usize = 12;
    /// The number of words in the header.
    pub const HEADER: usize = 16;
    /// The number of words for each instruction.
    pub const INSTRUCTION: usize = 4;
}

/// The image of a program.
#[must_use]
pub fn image(program: &Verified) -> Vec<u32> {
    let declared = program.program();
    let code = &declared.code;
    let mut image = vec![0; word::HEADER];
    let mut loops = Vec::new();
    let mut open = Vec::new();
    for (index, instr) in code.iter().enumerate() {
        if instr.op == Op::Loop {
            loops.push(index);
        }
        let [first, imm] = encoded(instr);
        let mut words = [first, imm, narrow(program.target(index)), 0];
        match instr.op {
            Op::Loop => words[3] = narrow(loops.len() - 1),
            Op::Each => words[3] = narrow(program.next_each(index + 1)),
            Op::Break => words[2] = loops.last().map_or(0, |open| narrow(program.target(*open))),
            Op::End => {
                words[2] = 0;
                match open.pop().map(|open: usize| (open, code[open].op)) {
                    Some((open, Op::Loop)) => {
                        loops.pop();
                        words[2] = narrow(open + 1);
                        words[3] = narrow(loops.len());
                    }
                    Some((open, Op::Each)) => {
                        let inputs = analysis::inputs(program, open);
                        [words[1], words[2]] = [inputs.constant.bits(), inputs.fresh.bits()];
                    }
                    _ => {}
                }
            }
            Op::Acc => {
                let kind = declared
                    .accs
                    .get(usize::from(instr.dst))
                    .map(|array| array.kind);
                let update = kind.map_or(Op::SAdd, update) as u32;
                let range = program.acc_range(instr.dst);
                words[2] = narrow(range.start);
                words[3] = narrow(range.len()) | update << 16;
            }
            op if op.indexes() == Some(FaultKind::Scratch) => {
                let range = program.scratch_range(instr.array().unwrap_or(0));
                words[2] = narrow(range.start);
                words[3] = narrow(range.len()) | (op as u32) << 16;
            }
            _ => {}
        }
        if instr.op.opens() {
            open.push(index);
        }
        image.extend(words);
    }
    image[word::CHUNK] = declared.chunk;
    image[word::ALIGN] = declared.align;
    image[word::BEFORE] = declared.before.into();
    image[word::AFTER] = declared.after.into();
    image[word::RECORDS] = declared.records;
    image[word::SCRATCH] = narrow(declared.scratch_words());
    image[word::ACCS] = narrow(declared.acc_count());
    image[word::INSTRUCTIONS] = narrow(code.len());
    image[word::FIRST_EACH] = narrow(program.next_each(0));
    image[word::MINIMA_PLACE] = narrow(image.len());
    let mut first = 0;
    for array in &declared.accs {
        if array.kind == AccKind::Min {
            image.push(first | u32::from(array.len) << 16);
            image[word::MINIMA] += 1;
        }
        first += u32::from(array.len);
    }
    image[word::TABLE_BYTES] = narrow(declared.table.len());
    image[word::TABLE_PLACE] = narrow(image.len());
    image.extend(declared.table.chunks(4).map(|bytes| {
        let padded = std::array::from_fn(|index| bytes.get(index).copied().unwrap_or(0));
        u32::from_le_bytes(padded)
    }));
    image.push(0);
    image
}

/// Converts a size of a verified program to a word. All of its sizes are far below 2^32.
fn narrow(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn encoded(instr: &Instr) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = instr.encode();
    [
        u32::from_le_bytes([a, b, c, d]),
        u32::from_le_bytes([e, f, g, h]),
    ]
}

/// The opcode that updates a scratch word in the same way as the low word of such an accumulator is updated.
fn update(kind: AccKind) -> Op {
    match kind {
        AccKind::Sum => Op::SAdd,
        AccKind::Min => Op::SMin,
        AccKind::Max => Op::SMax,
        AccKind::Or => Op::SOr,
        AccKind::Xor => Op::SXor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_vir0::asm::{assemble, AsmOptions};
    use gristmill_vir0::{verify, Limits};

    /// The four words of an instruction.
    fn instruction(image: &[u32], number: usize) -> [u32; 4] {
        let at = word::HEADER + word::INSTRUCTION * number;
        image[at..at + 4].try_into().unwrap()
    }

    #[test]
    fn an_image_says_where_blocks_lead_and_what_windows_begin_with() {
        let source = "
            .acc low[3] min
            .acc n sum
            .scratch s 5
            .ascii \"abcde\"
            mov  r1, 7
            each r2, 1
              ld8  r3, r2
              if   r3
                mov r4, r1
              else
                add r5, r4, r3
              end
              loop 9
                break r5
              end
              acc  n, r6
            end
            each r0, 4
              s.max s, 2, r0
            end
        ";
        let files = |_: &str| Err(std::io::Error::other("none"));
        let options = AsmOptions {
            name: "a.vasm",
            files: &files,
            debug: false,
        };
        let program = verify(assemble(source, &options).unwrap(), &Limits::default()).unwrap();
        let image = image(&program);
        let end = Op::End as u32;
        assert_eq!(image[word::INSTRUCTIONS], 16);
        assert_eq!(image[word::FIRST_EACH], 1);
        assert_eq!(instruction(&image, 1)[1..], [1, 12, 13], "each");
        assert_eq!(instruction(&image, 3)[2], 5, "if leads to else");
        assert_eq!(instruction(&image, 5)[2], 7, "else leads to end");
        assert_eq!(instruction(&image, 7), [end, 0, 0, 0], "end of if");
        assert_eq!(
            instruction(&image, 9)[2],
            10,
            "break leads to the loop's end"
        );
        assert_eq!(instruction(&image, 10), [end, 0, 9, 0], "end of loop");
        // r1 and r6 are only read. r4 and r5 are read by windows that may not have written them.
        assert_eq!(
            instruction(&image, 12),
            [end, 1 << 1 | 1 << 6, 1 << 4 | 1 << 5, 0]
        );
        assert_eq!(instruction(&image, 13)[3], 16, "no further each");
        assert_eq!(
            instruction(&image, 14)[2..],
            [0, 5 | (Op::SMax as u32) << 16]
        );
        let minima = image[word::MINIMA_PLACE] as usize;
        assert_eq!(
            image[minima..minima + image[word::MINIMA] as usize],
            [3 << 16]
        );
        let table = image[word::TABLE_PLACE] as usize;
        assert_eq!(image[word::TABLE_BYTES], 5);
        assert_eq!(
            image[table..],
            [u32::from_le_bytes(*b"abcd"), u32::from(b'e'), 0]
        );
    }
}
