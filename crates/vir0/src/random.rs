//! Random programs that the verifier accepts, for comparing interpreters.
//!
//! The generator follows the rules: it closes every block and declares every array. Most indexes are in range. Only a
//! few registers are used, so that instructions operate on each other's results.

use crate::fault_kind::FaultKind;
use crate::isa::{Class, Instr, Op, Operand, Shape};
use crate::program::{AccArray, AccKind, Arg, Program, Scratch};
use crate::show::{Show, Shown};
use crate::verify::{verify, Limits, Rule};
use fastrand::Rng;

fn pick<T: Copy>(numbers: &mut Rng, of: &[T]) -> T {
    of[numbers.usize(..of.len())]
}

/// The opcodes for which the condition holds.
fn those(condition: impl Fn(Op) -> bool) -> Vec<Op> {
    let all = Op::ALL.iter().copied();
    all.filter(|op| condition(*op)).collect()
}

/// The number of registers that programs use.
const REGISTERS: u8 = 6;

/// The program for a seed. The verifier accepts it.
#[must_use]
pub fn program(seed: u64) -> Program {
    let mut of = seed;
    loop {
        let program = candidate(of);
        // A few in a million have more loops within loops than a host allows.
        let refused = verify(program.clone(), &Limits::default()).err();
        if refused.is_none_or(|refusal| refusal.rule != Rule::Work) {
            return program;
        }
        of = of.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    }
}

fn candidate(seed: u64) -> Program {
    let mut numbers = Rng::with_seed(seed);
    let halos = [0, 0, 1, 3, 64, 4096];
    let mut program = Program {
        name: format!("random_{seed:x}"),
        before: pick(&mut numbers, &halos),
        after: pick(&mut numbers, &halos),
        records: pick(&mut numbers, &[0, 1, 16, 4096, 65_536]),
        table: {
            let len = pick(&mut numbers, &[0, 1, 5, 256, 1000]);
            std::iter::repeat_with(|| numbers.u8(..))
                .take(len)
                .collect::<Vec<u8>>()
        },
        ..Program::default()
    };
    for index in 0..numbers.u32(..8) {
        let default = (numbers.u32(..3) != 0).then(|| numbers.u32(..300));
        program.args.push(Arg {
            name: format!("arg_{index}"),
            default,
        });
    }
    for index in 0..numbers.u32(..4) {
        program.scratch.push(Scratch {
            name: format!("scratch_{index}"),
            words: pick(&mut numbers, &[1, 2, 7, 64]),
        });
    }
    for index in 0..=numbers.u32(..4) {
        program.accs.push(AccArray {
            name: format!("acc_{index}"),
            kind: pick(&mut numbers, &AccKind::ALL),
            len: pick(&mut numbers, &[1, 2, 5, 64]),
        });
    }
    let accs = u8::try_from(program.accs.len()).unwrap_or(0);
    let records = (program.records > 0).then_some(Shown::Records);
    for what in (0..accs).map(Shown::Acc).chain(records) {
        if numbers.u32(..4) == 0 {
            program.shows.push(Show {
                what,
                divisor: pick(&mut numbers, &[1, 10, 65_536, u32::MAX]),
                unit: pick(&mut numbers, &["", "bytes", "\u{b5}s", "a \\ and a \""]).into(),
                title: pick(&mut numbers, &["", "highest"]).into(),
            });
        }
    }
    let mut maker = Maker {
        numbers,
        program,
        uses: Vec::new(),
        in_each: false,
        loops: 0,
        depth: 0,
    };
    for _ in 0..=maker.numbers.u32(..8) {
        if maker.numbers.bool() {
            maker.each();
        } else {
            maker.statement();
        }
    }
    maker.program
}

struct Maker {
    numbers: Rng,
    program: Program,
    /// For each scratch array, the opcode that the current `each` uses it with.
    uses: Vec<Op>,
    in_each: bool,
    loops: u32,
    depth: u32,
}

impl Maker {
    fn push(&mut self, op: Op, dst: u8, a: u8, b: Operand) {
        self.program.code.push(Instr { op, dst, a, b });
    }

    fn register(&mut self) -> u8 {
        self.numbers.u8(..REGISTERS)
    }

    fn immediate(&mut self) -> u32 {
        match self.numbers.u32(..4) {
            0 => self.numbers.u32(..4),
            1 => self.numbers.u32(..300),
            2 => self.numbers.u32(..8).wrapping_neg(),
            _ => self.numbers.u32(..u32::MAX),
        }
    }

    fn operand(&mut self) -> Operand {
        if self.numbers.bool() {
            Operand::Imm(self.immediate())
        } else {
            Operand::Reg(self.register())
        }
    }

    /// An index that is nearly always in range.
    fn index(&mut self, len: u16) -> Operand {
        if self.numbers.u32(..3) == 0 {
            return Operand::Imm(self.numbers.u32(..u32::from(len)));
        }
        let register = self.register();
        if self.numbers.u32(..60) != 0 {
            self.push(Op::Remu, register, register, Operand::Imm(len.into()));
        }
        Operand::Reg(register)
    }

    fn each(&mut self) {
        let shared = those(|op| op.class() == Class::ScratchLoad || op.is_scratch_update());
        self.uses = (0..self.program.scratch.len())
            .map(|_| pick(&mut self.numbers, &shared))
            .collect();
        let register = self.register();
        let stride = pick(&mut self.numbers, &[1, 1, 1, 2, 4, 4, 5, 64, 300]);
        self.push(Op::Each, register, 0, Operand::Imm(stride));
        self.in_each = true;
        self.depth += 1;
        for _ in 0..=self.numbers.u32(..8) {
            self.statement();
        }
        self.depth -= 1;
        self.in_each = false;
        self.push(Op::End, 0, 0, Operand::Reg(0));
    }

    fn block(&mut self) {
        self.depth += 1;
        for _ in 0..=self.numbers.u32(..3) {
            self.statement();
        }
        self.depth -= 1;
    }

    fn statement(&mut self) {
        let end = Operand::Reg(0);
        match self.numbers.u32(..24) {
            0 | 1 if self.depth < 6 => {
                let register = self.register();
                self.push(Op::If, 0, register, end);
                self.block();
                if self.numbers.bool() {
                    self.push(Op::Else, 0, 0, end);
                    self.block();
                }
                self.push(Op::End, 0, 0, end);
            }
            2 if self.depth < 6 && self.loops < 3 => {
                let trips = 1 + self.numbers.u32(..9);
                self.push(Op::Loop, 0, 0, Operand::Imm(trips));
                self.loops += 1;
                self.block();
                self.loops -= 1;
                self.push(Op::End, 0, 0, end);
            }
            3 if self.loops > 0 => {
                let register = self.register();
                self.push(Op::Break, 0, register, end);
            }
            4 if self.depth > 1 && self.numbers.u32(..4) == 0 => self.push(Op::Halt, 0, 0, end),
            5 | 6 => self.acc(),
            7 | 8 => self.scratch(),
            9 if self.program.records > 0 => {
                let (position, value) = (self.register(), self.operand());
                self.push(Op::Emit, 0, position, value);
            }
            10..=12 => {
                let loads = those(|op| op.class() == Class::Load);
                let op = pick(&mut self.numbers, &loads);
                let (dst, a) = (self.register(), self.register());
                let offset = if self.numbers.u32(..4) == 0 {
                    self.operand()
                } else {
                    Operand::Imm(self.numbers.u32(..9).wrapping_sub(4))
                };
                self.push(op, dst, a, offset);
            }
            _ => self.simple(),
        }
    }

    fn acc(&mut self) {
        let arrays = u32::try_from(self.program.accs.len()).unwrap_or(0);
        let number = self.numbers.u32(..arrays);
        let len = self
            .program
            .accs
            .get(number as usize)
            .map_or(1, |array| array.len);
        let index = self.index(len);
        let value = self.register();
        self.push(Op::Acc, number.to_le_bytes()[0], value, index);
    }

    fn scratch(&mut self) {
        let arrays = u32::try_from(self.program.scratch.len()).unwrap_or(0);
        if arrays == 0 {
            return self.simple();
        }
        let number = self.numbers.u32(..arrays);
        let array = number as usize;
        let words = self.program.scratch.get(array).map_or(1, |s| s.words);
        let number = number.to_le_bytes()[0];
        let op = if self.in_each {
            self.uses.get(array).copied().unwrap_or(Op::SLd)
        } else {
            let ops = those(|op| op.indexes() == Some(FaultKind::Scratch));
            pick(&mut self.numbers, &ops)
        };
        let index = self.index(words);
        let register = self.register();
        if op == Op::SLd {
            self.push(op, register, number, index);
        } else {
            self.push(op, number, register, index);
        }
    }

    /// An instruction that only computes.
    fn simple(&mut self) {
        let op = pick(&mut self.numbers, Op::ALL);
        let (dst, a, b) = (self.register(), self.register(), self.operand());
        match op.shape() {
            Shape::Dst => self.push(op, dst, 0, Operand::Reg(0)),
            Shape::DstA => self.push(op, dst, a, Operand::Reg(0)),
            Shape::DstB => self.push(op, dst, 0, b),
            Shape::DstAB => self.push(op, dst, a, b),
            Shape::DstN if op == Op::Arg && !self.program.args.is_empty() => {
                let args = u32::try_from(self.program.args.len()).unwrap_or(0);
                let number = self.numbers.u32(..args);
                self.push(op, dst, 0, Operand::Imm(number));
            }
            _ => self.push(Op::Add, dst, a, b),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_more_work_than_a_host_allows_is_passed_over() {
        let seed = 0xa741_cb03_b5df_f37e;
        let allowed = |program| verify(program, &Limits::default());
        assert_eq!(allowed(candidate(seed)).unwrap_err().rule, Rule::Work);
        assert!(allowed(program(seed)).is_ok());
    }
}
