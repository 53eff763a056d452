//! The analysis of reads before writes: it finds the registers that must hold a value when a window of an `each`
//! begins.
//!
//! A window sees the registers as they were before the `each`, but most bodies write a register before they read it. So
//! an interpreter passes to the windows only the values of the registers that [`inputs`] names.

use crate::isa::Op;
use crate::verify::Verified;

/// A set of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers(u32);

impl Registers {
    /// The set as bits: one bit for each register, lowest first.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether the set contains the register with this number.
    #[must_use]
    pub const fn contains(self, register: u8) -> bool {
        self.0 >> (register & 31) & 1 != 0
    }

    /// The numbers of the registers in the set, in order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |register| self.contains(*register))
    }
}

/// The registers that need a value when a window of an `each` begins. A register in neither set needs no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inputs {
    /// Registers that the body reads and never writes.
    pub constant: Registers,
    /// Registers that the body writes, but may read before it writes them.
    pub fresh: Registers,
    /// Whether the body never writes the register that holds the window's start.
    pub start_kept: bool,
}

/// The inputs of the `each` at this instruction; no inputs if the instruction is not an `each`.
#[must_use]
pub fn inputs(program: &Verified, each: usize) -> Inputs {
    let code = &program.program().code;
    let block = code.get(each..program.target(each)).unwrap_or_default();
    let Some((start, body)) = block.split_first() else {
        return Inputs::default();
    };
    let bit = |register: u8| 1_u32 << (register & 31);
    let (mut early, mut written) = (0, 0);
    // The registers that every window has written, for each open block. A window may skip an `if`, or leave a loop
    // early, so a write inside one of these is certain only up to the block's end.
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

#[cfg(test)]
mod tests {
    use super::inputs;
    use crate::asm::{assemble, AsmOptions};
    use crate::verify::{verify, Limits};

    /// The constant and the fresh inputs of a program's first `each`, and whether its start is kept.
    fn of(body: &str) -> (Vec<u8>, Vec<u8>, bool) {
        let options = AsmOptions {
            name: "a.vasm",
            files: &|_| Err(std::io::ErrorKind::NotFound.into()),
            debug: false,
        };
        let source = format!("mov r9, 1\neach r1, 1\n{body}\nend\nmov r1, r8");
        let program = assemble(&source, &options).unwrap_or_else(|error| panic!("{error}"));
        let program = verify(program, &Limits::default()).unwrap_or_else(|error| panic!("{error}"));
        let inputs = inputs(&program, 1);
        let list = |registers: super::Registers| registers.iter().collect();
        (list(inputs.constant), list(inputs.fresh), inputs.start_kept)
    }

    #[test]
    fn a_window_begins_with_what_it_may_read_before_it_writes() {
        let none: [u8; 0] = [];
        for (body, constant, fresh, kept) in [
            ("mov r2, r1", &none[..], &none[..], true),
            ("add r2, r3, r4", &[3, 4], &none, true),
            ("mov r1, 7\nadd r2, r1, r2", &none, &[2], false),
            ("mov r2, 7\nadd r2, r2, r1", &none, &none, true),
            // `sel` may leave its register unchanged.
            ("sel r2, r3, 7", &[3], &[2], true),
            // A window that does not enter the block, or that leaves it early, has not written the register.
            ("if r1\nmov r2, 7\nend\nmov r3, r2", &none, &[2], true),
            ("if r1\nmov r2, 7\nmov r3, r2\nend", &none, &none, true),
            ("if r1\nmov r2, 7\nelse\nmov r3, r2\nend", &none, &[2], true),
            (
                "loop 3\nbreak r4\nmov r2, 7\nend\nmov r3, r2",
                &[4],
                &[2],
                true,
            ),
            // The next trip reads the value that this trip writes.
            ("loop 3\nadd r3, r2, 0\nmov r2, 7\nend", &none, &[2], true),
            ("mov r2, 7\nloop 3\nadd r2, r2, 1\nend", &none, &none, true),
        ] {
            assert_eq!(
                of(body),
                (constant.to_vec(), fresh.to_vec(), kept),
                "{body}"
            );
        }
    }
}
