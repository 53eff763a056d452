//! The analysis of reads before writes: which registers must hold a value when a window of an `each` begins.
//!
//! A window sees the registers as they were before the `each`, but most bodies write a register before they read it. An
//! interpreter gives windows only the values that [`inputs`] names.

use crate::isa::Op;
use crate::verify::Verified;

/// A set of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers(u32);

impl Registers {
    /// A bit for each register, lowest first.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether a register, by number, is in the set.
    #[must_use]
    pub const fn contains(self, register: u8) -> bool {
        self.0 >> (register & 31) & 1 != 0
    }

    /// The numbers of the registers in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |register| self.contains(*register))
    }
}

/// What the windows of an `each` begin with. A register in neither set needs no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Registers that the body reads and never writes.
    pub constant: Registers,
    /// Registers that the body writes, but may read before.
    pub fresh: Registers,
    /// Whether the body never writes the register of the window's start.
    pub start_kept: bool,
}

/// The inputs of the `each` at an instruction; none for any other instruction.
#[must_use]
pub fn inputs(program: &Verified, each: usize) -> Inputs {
    let code = &program.program().code;
    let block = code.get(each..program.target(each)).unwrap_or_default();
    let Some((start, body)) = block.split_first() else {
        return Inputs::default();
    };
    let bit = |register: u8| 1_u32 << (register & 31);
    let (mut early, mut written) = (0, 0);
    // The registers that every window has written, for each open block. A window may skip an `if`, or leave a loop early,
    // so a write inside of one is certain up to its end only.
    let mut certain = vec![bit(start.dst)];
    for instr in body {
        let known = certain.last().copied().unwrap_or(0);
        for register in instr.reads() {
            early |= bit(register) & !known;
        }
        match instr.op {
            Op::If | Op::Loop => certain.push(known),
            Op::Else | Op::End => {
                certain.pop();
                if instr.op == Op::Else {
                    certain.extend(certain.last().copied());
                }
            }
            _ => {
                let register = instr.writes().map_or(0, bit);
                written |= register;
                if let Some(known) = certain.last_mut() {
                    *known |= register;
                }
            }
        }
    }
    Inputs {
        constant: Registers(early & !written),
        fresh: Registers(early & written),
        start_kept: written & bit(start.dst) == 0,
    }
}
