//! The reference interpreter: scalar, one window after the other, the shortest that can be right. Every other interpreter
//! is compared with it.

use crate::chunk::{
    table_byte, table_word, Cancel, Chunk, Fault, FaultKind, Record, Results, Stop, View,
};
use crate::isa::{Instr, Op, Operand, REGISTERS};
use crate::verify::Verified;

type Registers = [u32; REGISTERS];

/// How a run of instructions ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Halt,
}

/// Instructions between two looks at whether to go on.
const LOOK: usize = 1 << 18;

/// Runs a program over a chunk.
///
/// # Errors
/// [`Stop`]; the results are then void.
pub fn run(program: &Verified, chunk: &Chunk<'_>, results: &mut Results) -> Result<(), Stop> {
    run_until(program, chunk, results, &|| false)
}

/// Runs a program over a chunk, for as long as `cancelled` answers that it is not.
///
/// # Errors
/// [`Stop`]; the results are then void.
pub fn run_until(
    program: &Verified,
    chunk: &Chunk<'_>,
    results: &mut Results,
    cancelled: Cancel<'_>,
) -> Result<(), Stop> {
    results.reset(program);
    let mut machine = Machine {
        cancelled,
        work: 0,
        program,
        view: chunk.view(program.program()),
        scratch: vec![0; program.program().scratch_words()],
        results,
        overflow: false,
    };
    let code = program.program().code.len();
    machine.block(0, code, &mut [0; REGISTERS])?;
    if machine.overflow {
        return Err(Stop::Overflow);
    }
    results.records.sort_unstable();
    Ok(())
}

struct Machine<'a> {
    cancelled: Cancel<'a>,
    /// Instructions since it was asked last.
    work: usize,
    program: &'a Verified,
    view: View<'a>,
    scratch: Vec<u32>,
    results: &'a mut Results,
    overflow: bool,
}

impl Machine<'_> {
    /// Counts a trip or a window of so many instructions at most, and asks from time to time whether to go on.
    fn go_on(&mut self, instructions: usize) -> Result<(), Stop> {
        self.work += 1 + instructions;
        if self.work < LOOK {
            return Ok(());
        }
        self.work = 0;
        if (self.cancelled)() {
            return Err(Stop::Cancelled);
        }
        Ok(())
    }

    /// Instructions `from..to`.
    fn block(&mut self, from: usize, to: usize, regs: &mut Registers) -> Result<Flow, Stop> {
        let mut pc = from;
        while pc < to {
            let instr = self.program.program().code[pc];
            let target = self.program.target(pc);
            let a = regs[usize::from(instr.a) % REGISTERS];
            self.results.steps += u64::from(!matches!(instr.op, Op::Else | Op::End));
            match instr.op {
                Op::Each => {
                    let stride = instr.immediate().unwrap_or(1) as usize;
                    for start in (0..self.view.len).step_by(stride) {
                        let mut own = *regs;
                        own[usize::from(instr.dst)] = start as u32;
                        self.go_on(target - pc)?;
                        self.block(pc + 1, target, &mut own)?;
                    }
                    pc = target;
                }
                Op::Loop => {
                    for _ in 0..instr.immediate().unwrap_or(0) {
                        self.go_on(target - pc)?;
                        match self.block(pc + 1, target, regs)? {
                            Flow::Next => {}
                            Flow::Break => break,
                            Flow::Halt => return Ok(Flow::Halt),
                        }
                    }
                    pc = target;
                }
                Op::If => {
                    let is_else = self.program.program().code[target].op == Op::Else;
                    let end = if is_else {
                        self.program.target(target)
                    } else {
                        target
                    };
                    let taken = if a != 0 {
                        pc + 1..target
                    } else {
                        target + 1..end
                    };
                    let flow = self.block(taken.start, taken.end, regs)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                    pc = end;
                }
                Op::Break if a != 0 => return Ok(Flow::Break),
                Op::Halt => return Ok(Flow::Halt),
                Op::Break | Op::Else | Op::End => {}
                _ => self.plain(pc, &instr, regs)?,
            }
            pc += 1;
        }
        Ok(Flow::Next)
    }

    /// An instruction that goes on with the next.
    fn plain(&mut self, pc: usize, instr: &Instr, regs: &mut Registers) -> Result<(), Stop> {
        let a = regs[usize::from(instr.a) % REGISTERS];
        let b = match instr.b {
            Operand::Reg(register) => regs[usize::from(register)],
            Operand::Imm(imm) => imm,
        };
        let table = &self.program.program().table;
        let fault = |kind| {
            Stop::Fault(Fault {
                kind,
                instruction: pc,
            })
        };
        let value = match instr.op {
            Op::Sel if a == 0 => return Ok(()),
            Op::Mov | Op::Sel => b,
            Op::Len => self.view.len as u32,
            Op::AvailBefore => self.view.before as u32,
            Op::AvailAfter => self.view.after as u32,
            Op::BaseLo => (self.view.base & 0xFFFF_FFFF) as u32,
            Op::BaseHi => (self.view.base >> 32) as u32,
            Op::Arg => self.view.args.get(b as usize).copied().unwrap_or(0),
            Op::Ld8 => self.view.byte(a.wrapping_add(b)).into(),
            Op::Ld32 => self.view.word(a.wrapping_add(b)),
            Op::Tb8 => table_byte(table, a.wrapping_add(b)).into(),
            Op::Tb32 => table_word(table, a.wrapping_add(b)),
            Op::SLd => *self
                .scratch
                .get(self.program.scratch_range(instr.a))
                .and_then(|array| array.get(b as usize))
                .ok_or(fault(FaultKind::Scratch))?,
            Op::SSt | Op::SAdd | Op::SMin | Op::SMax | Op::SOr | Op::SXor => {
                let word = self
                    .scratch
                    .get_mut(self.program.scratch_range(instr.dst))
                    .and_then(|array| array.get_mut(b as usize))
                    .ok_or(fault(FaultKind::Scratch))?;
                *word = update(instr.op, *word, a);
                return Ok(());
            }
            Op::Acc => {
                let kind = self.program.program().accs[usize::from(instr.dst)].kind;
                let acc = self
                    .results
                    .accs
                    .get_mut(self.program.acc_range(instr.dst))
                    .and_then(|array| array.get_mut(b as usize))
                    .ok_or(fault(FaultKind::Acc))?;
                *acc = kind.merge(*acc, a.into());
                return Ok(());
            }
            Op::Emit => {
                // A fault further on says more than an overflow does, so the run goes on.
                self.overflow |=
                    self.results.records.len() >= self.program.program().records as usize;
                if !self.overflow {
                    self.results.records.push(Record {
                        position: a as i32,
                        value: b,
                    });
                }
                return Ok(());
            }
            op => compute(op, a, b),
        };
        regs[usize::from(instr.dst)] = value;
        Ok(())
    }
}

/// A scratch word after an update.
#[inline(always)]
pub(crate) fn update(op: Op, word: u32, value: u32) -> u32 {
    match op {
        Op::SAdd => word.wrapping_add(value),
        Op::SMin => word.min(value),
        Op::SMax => word.max(value),
        Op::SOr => word | value,
        Op::SXor => word ^ value,
        _ => value,
    }
}

/// Arithmetic and comparisons: of two words, or of `a` alone.
#[inline(always)]
pub(crate) fn compute(op: Op, a: u32, b: u32) -> u32 {
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Mulhi => ((u64::from(a) * u64::from(b)) >> 32) as u32,
        Op::Divu => a.checked_div(b).unwrap_or(u32::MAX),
        Op::Remu => a.checked_rem(b).unwrap_or(a),
        Op::Min => a.min(b),
        Op::Max => a.max(b),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => a << (b & 31),
        Op::Shr => a >> (b & 31),
        Op::Sar => ((a as i32) >> (b & 31)) as u32,
        Op::Rotl => a.rotate_left(b & 31),
        Op::Not => !a,
        Op::Popcnt => a.count_ones(),
        Op::Clz => a.leading_zeros(),
        Op::Ctz => a.trailing_zeros(),
        Op::Bswap => a.swap_bytes(),
        Op::Eq => (a == b).into(),
        Op::Ne => (a != b).into(),
        Op::Ltu => (a < b).into(),
        Op::Leu => (a <= b).into(),
        Op::Lts => ((a as i32) < b as i32).into(),
        Op::Les => (a as i32 <= b as i32).into(),
        // Everything else was dealt with before.
        _ => 0,
    }
}
