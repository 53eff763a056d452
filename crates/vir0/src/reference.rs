//! The reference interpreter: scalar, one window after the other, and as short as possible. Every other interpreter is
//! compared with it.

use crate::chunk::{Cancel, Chunk, Fault, FaultKind, Record, Results, Stop, View};
use crate::isa::{match_op, Instr, Op, Operand, REGISTERS};
use crate::verify::Verified;

type Registers = [u32; REGISTERS];

/// How a block of instructions ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Halt,
}

/// The number of instructions after which the interpreter checks again whether the run is cancelled.
const LOOK: usize = 1 << 18;

/// Runs a program over a chunk.
///
/// # Errors
/// [`Stop`]. The results are void in that case.
pub fn run(program: &Verified, chunk: &Chunk<'_>, results: &mut Results) -> Result<(), Stop> {
    run_until(program, chunk, results, &|| false)
}

/// Runs a program over a chunk, until `cancelled` returns true.
///
/// # Errors
/// [`Stop`]. The results are void in that case.
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
    /// The number of instructions executed since `cancelled` was last called.
    work: usize,
    program: &'a Verified,
    view: View<'a>,
    scratch: Vec<u32>,
    results: &'a mut Results,
    overflow: bool,
}

impl Machine<'_> {
    /// Counts the instructions of a trip or window, and checks from time to time whether the run is cancelled.
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

    /// Executes the instructions `from..to`.
    fn block(&mut self, from: usize, to: usize, regs: &mut Registers) -> Result<Flow, Stop> {
        let mut pc = from;
        while pc < to {
            let instr = self.program.program().code[pc];
            let target = self.program.target(pc);
            let a = regs[usize::from(instr.a) % REGISTERS];
            self.results.steps += u64::from(instr.op.cost());
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

    /// Executes an instruction that does not affect which instruction is next.
    fn plain(&mut self, pc: usize, instr: &Instr, regs: &mut Registers) -> Result<(), Stop> {
        let a = regs[usize::from(instr.a) % REGISTERS];
        let b = match instr.b {
            Operand::Reg(register) => regs[usize::from(register)],
            Operand::Imm(imm) => imm,
        };
        let fault = |kind| {
            Stop::Fault(Fault {
                kind,
                instruction: pc,
            })
        };
        // The value that the destination register gets, for each class of instructions.
        macro_rules! value {
            ($name:ident Compute $f:expr) => {
                of($f, a, b)
            };
            ($name:ident Fact $f:expr) => {
                of($f, &self.view, b)
            };
            ($name:ident Load $f:expr) => {
                of($f, &self.view, a.wrapping_add(b))
            };
            ($name:ident Select) => {
                if a == 0 {
                    return Ok(());
                } else {
                    b
                }
            };
            ($name:ident ScratchLoad) => {
                *self
                    .scratch
                    .get(self.program.scratch_range(instr.a))
                    .and_then(|array| array.get(b as usize))
                    .ok_or(fault(FaultKind::Scratch))?
            };
            ($name:ident Scratch $f:expr) => {{
                let word = self
                    .scratch
                    .get_mut(self.program.scratch_range(instr.dst))
                    .and_then(|array| array.get_mut(b as usize))
                    .ok_or(fault(FaultKind::Scratch))?;
                *word = of($f, *word, a);
                return Ok(());
            }};
            ($name:ident Acc) => {{
                let kind = self.program.program().accs[usize::from(instr.dst)].kind;
                let acc = self
                    .results
                    .accs
                    .get_mut(self.program.acc_range(instr.dst))
                    .and_then(|array| array.get_mut(b as usize))
                    .ok_or(fault(FaultKind::Acc))?;
                *acc = kind.merge(*acc, a.into());
                return Ok(());
            }};
            ($name:ident Emit) => {{
                // A later fault takes precedence over an overflow, so the run continues.
                self.overflow |=
                    self.results.records.len() >= self.program.program().records as usize;
                if !self.overflow {
                    self.results.records.push(Record {
                        position: a as i32,
                        value: b,
                    });
                }
                return Ok(());
            }};
            // `block` has already executed it.
            ($name:ident Control) => {
                return Ok(())
            };
        }
        regs[usize::from(instr.dst)] = match_op!(instr.op, value);
        Ok(())
    }
}

/// Calls a closure, whose argument types are those of the values.
fn of<A, B>(f: impl FnOnce(A, B) -> u32, a: A, b: B) -> u32 {
    f(a, b)
}

/// A scratch word after an update.
#[inline(always)]
pub(crate) fn update(op: Op, word: u32, value: u32) -> u32 {
    macro_rules! updated {
        ($name:ident Scratch $f:expr) => {
            of($f, word, value)
        };
        ($name:ident $class:ident $($f:expr)?) => {
            word
        };
    }
    match_op!(op, updated)
}
