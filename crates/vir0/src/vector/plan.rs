//! What is found out about a program before it runs: for each `each`, which registers its lanes begin with.

use crate::isa::{Op, REGISTERS};
use crate::verify::Verified;

/// A set of registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Registers(u32);

impl Registers {
    pub fn contains(self, register: u8) -> bool {
        self.0 >> (register & 31) & 1 != 0
    }

    fn insert(&mut self, register: u8) {
        self.0 |= 1 << (register & 31);
    }

    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..32).filter(move |register| self.contains(*register))
    }
}

/// What an `each` needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct EachPlan {
    /// Registers that its body reads and never writes: copied into the lanes once.
    pub constant: Registers,
    /// Registers that its body may read before it writes them, and writes: copied into the lanes for every block.
    pub fresh: Registers,
    /// Whether the body leaves the register of the window's start alone, so that it counts up from lane to lane.
    pub start_kept: bool,
}

/// What is known of a program, by instruction.
#[derive(Debug)]
pub(super) struct Plan {
    each: Vec<(usize, EachPlan)>,
}

impl Plan {
    pub fn new(program: &Verified) -> Self {
        let code = &program.program().code;
        let each = code
            .iter()
            .enumerate()
            .filter(|(_, instr)| instr.op == Op::Each)
            .map(|(index, _)| (index, each_plan(program, index)))
            .collect();
        Self { each }
    }

    /// The plan of the `each` at an instruction.
    pub fn each(&self, index: usize) -> EachPlan {
        self.each
            .iter()
            .find(|(at, _)| *at == index)
            .map(|(_, plan)| *plan)
            .unwrap_or_default()
    }
}

fn each_plan(program: &Verified, index: usize) -> EachPlan {
    let code = &program.program().code;
    let start = code[index].dst;
    let body = index + 1..program.target(index);
    let mut written = Registers::default();
    for instr in &code[body.clone()] {
        written.0 |= instr.writes().map_or(0, |register| 1 << (register & 31));
    }
    let mut reads = Reads {
        program,
        early: Registers::default(),
    };
    let mut defined = Registers::default();
    defined.insert(start);
    reads.block(body, &mut defined);
    let mut plan = EachPlan {
        start_kept: !written.contains(start),
        ..EachPlan::default()
    };
    for register in 0..REGISTERS as u8 {
        if reads.early.contains(register) && register != start {
            if written.contains(register) {
                plan.fresh.insert(register);
            } else {
                plan.constant.insert(register);
            }
        }
    }
    plan
}

/// Finds registers that may be read before they are written.
struct Reads<'a> {
    program: &'a Verified,
    early: Registers,
}

impl Reads<'_> {
    /// Goes through instructions; `defined` are those that every lane has written.
    fn block(&mut self, range: std::ops::Range<usize>, defined: &mut Registers) {
        let code = &self.program.program().code;
        let mut pc = range.start;
        while pc < range.end {
            let instr = code[pc];
            for register in instr.reads() {
                if !defined.contains(register) {
                    self.early.insert(register);
                }
            }
            let target = self.program.target(pc);
            match instr.op {
                // What a loop writes may be left out by lanes that leave it, what an if writes by those that do not
                // enter: behind them, only what was certain before is certain.
                Op::Loop => {
                    self.block(pc + 1..target, &mut defined.clone());
                    pc = target;
                }
                Op::If => {
                    let end = if code[target].op == Op::Else {
                        self.program.target(target)
                    } else {
                        target
                    };
                    self.block(pc + 1..target, &mut defined.clone());
                    if end > target {
                        self.block(target + 1..end, &mut defined.clone());
                    }
                    pc = end;
                }
                _ => {
                    if let Some(register) = instr.writes() {
                        defined.insert(register);
                    }
                }
            }
            pc += 1;
        }
    }
}
