//! The rules about instructions: their fields, arrays and blocks. The same pass adds up their cost.

use super::{Refusal, Rule, MAX_DEPTH, MAX_TRIPS};
use crate::cost::{Cost, Weight, Work};
use crate::fault_kind::FaultKind;
use crate::isa::{Instr, Op, Operand};
use crate::program::Program;

/// An open block.
struct Open {
    op: Op,
    index: usize,
    /// The number of trips of a loop, or the number of bytes in a window.
    count: u32,
    /// The cost of its body so far; for an `if`, the cost of the current part.
    cost: u64,
    /// The weight of its body so far; for an `if`, the weight of both parts together.
    weight: Weight,
    /// For an `if` with an `else`: the cost of the first part, and the number of the `else`.
    first: Option<(u64, usize)>,
}

/// Checks the instructions of a program. Returns the target of each, as [`Verified::target`](super::Verified::target)
/// describes it, and the program's cost and work.
///
/// # Errors
/// [`Refusal`] with the first rule that an instruction breaks.
pub(super) fn check(program: &Program) -> Result<(Vec<usize>, Cost, Work), Refusal> {
    let mut checker = Checker {
        program,
        open: Vec::new(),
        targets: (0..program.code.len()).collect(),
        cost: Cost::default(),
        work: Work::default(),
        uses: Vec::new(),
    };
    for (index, instr) in program.code.iter().enumerate() {
        checker.instruction(index, instr)?;
    }
    if let Some(open) = checker.open.last() {
        let found = format!("this {} has no end", open.op.mnemonic());
        return Err(checker.refuse(Rule::Unclosed, open.index, found));
    }
    Ok((checker.targets, checker.cost, checker.work))
}

struct Checker<'a> {
    program: &'a Program,
    open: Vec<Open>,
    targets: Vec<usize>,
    cost: Cost,
    work: Work,
    /// For each scratch array, the first opcode that the current `each` uses it with.
    uses: Vec<Option<Op>>,
}

impl Checker<'_> {
    fn refuse(&self, rule: Rule, index: usize, found: impl Into<String>) -> Refusal {
        Refusal {
            instruction: Some(index),
            line: self.program.line(index),
            ..Refusal::new(rule, found)
        }
    }

    fn in_each(&self) -> bool {
        self.open.first().is_some_and(|open| open.op == Op::Each)
    }

    /// Adds to the cost of the innermost open block.
    fn charge(&mut self, cost: u64) {
        match self.open.last_mut() {
            Some(open) => open.cost = open.cost.saturating_add(cost),
            None => self.cost.fixed = self.cost.fixed.saturating_add(cost),
        }
    }

    /// Adds to the weight of the innermost open block.
    fn weigh(&mut self, weight: Weight) {
        match self.open.last_mut() {
            Some(open) => open.weight = open.weight.plus(weight),
            None => self.work.add(weight),
        }
    }

    fn instruction(&mut self, index: usize, instr: &Instr) -> Result<(), Refusal> {
        let op = instr.op;
        if let Err(error) = instr.check() {
            return Err(self.refuse(Rule::Fields, index, error.to_string()));
        }
        let n = instr.immediate().unwrap_or(0);
        self.charge(op.cost().into());
        self.weigh(Weight::of(op));
        if op == Op::SSt && self.in_each() {
            return Err(self.refuse(Rule::StoreAtTop, index, "s.st inside each"));
        }
        if let Some(kind) = op.indexes() {
            self.array(index, instr, kind)?;
        }
        match op {
            Op::Arg if n as usize >= self.program.args.len() => {
                Err(self.refuse(Rule::ArgNumber, index, format!("argument {n}")))
            }
            Op::Emit if self.program.records == 0 => {
                let found = "emit in a program that declares no records";
                Err(self.refuse(Rule::EmitDeclared, index, found))
            }
            Op::Each | Op::Loop | Op::If => self.begin(index, op, n),
            Op::Else => self.otherwise(index),
            Op::End => self.end(index),
            Op::Break if !self.open.iter().any(|open| open.op == Op::Loop) => {
                Err(self.refuse(Rule::BreakInLoop, index, "break outside a loop"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, index: usize, op: Op, n: u32) -> Result<(), Refusal> {
        if op == Op::Each {
            if !self.open.is_empty() {
                return Err(self.refuse(Rule::EachAtTop, index, "each inside a block"));
            }
            if n == 0 {
                return Err(self.refuse(Rule::EachStride, index, "windows of 0 bytes"));
            }
            self.uses = vec![None; self.program.scratch.len()];
        }
        if op == Op::Loop && (n == 0 || n > MAX_TRIPS) {
            return Err(self.refuse(Rule::LoopTrips, index, format!("a loop of {n} trips")));
        }
        if self.open.len() == MAX_DEPTH {
            let found = format!("{} inside {MAX_DEPTH} blocks", op.mnemonic());
            return Err(self.refuse(Rule::Depth, index, found));
        }
        self.open.push(Open {
            op,
            index,
            count: n,
            cost: 0,
            weight: Weight::default(),
            first: None,
        });
        Ok(())
    }

    fn otherwise(&mut self, index: usize) -> Result<(), Refusal> {
        match self.open.last_mut() {
            Some(open) if open.op == Op::If && open.first.is_none() => {
                open.first = Some((std::mem::take(&mut open.cost), index));
                if let Some(target) = self.targets.get_mut(open.index) {
                    *target = index;
                }
                Ok(())
            }
            _ => Err(self.refuse(Rule::ElseInIf, index, "an else without an if")),
        }
    }

    fn end(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Err(self.refuse(Rule::EndOfBlock, index, "an end without a block"));
        };
        let (first_cost, from) = open.first.unwrap_or((0, open.index));
        if let Some(target) = self.targets.get_mut(from) {
            *target = index;
        }
        match open.op {
            Op::Each => {
                self.cost.each.push((open.count, open.cost));
                self.work.add_each(open.count, open.weight);
            }
            Op::Loop => {
                self.charge(open.cost.saturating_mul(open.count.into()));
                self.weigh(open.weight.times(open.count));
            }
            _ => {
                self.charge(open.cost.max(first_cost));
                self.weigh(open.weight);
            }
        }
        Ok(())
    }

    /// Checks the array that an instruction indexes, and its index.
    fn array(&mut self, index: usize, instr: &Instr, kind: FaultKind) -> Result<(), Refusal> {
        let number = instr.array().unwrap_or(0);
        let array = usize::from(number);
        let (rule, what) = match kind {
            FaultKind::Scratch => (Rule::ScratchArray, "scratch"),
            FaultKind::Acc => (Rule::AccArray, "accumulator"),
        };
        let Some((name, len)) = self.program.array(kind, array) else {
            return Err(self.refuse(rule, index, format!("{what} array {number}")));
        };
        match instr.b {
            Operand::Imm(at) if at >= u32::from(len) => {
                let found = format!("index {at} of {name}, which has length {len}");
                return Err(self.refuse(Rule::ConstantIndex, index, found));
            }
            _ => {}
        }
        if kind != FaultKind::Scratch || !self.in_each() {
            return Ok(());
        }
        if let Some(used) = self.uses.get_mut(array) {
            let first = *used.get_or_insert(instr.op);
            if first != instr.op {
                let found = format!(
                    "{} of {name}, which {} used in the same each",
                    instr.op.mnemonic(),
                    first.mnemonic()
                );
                return Err(self.refuse(Rule::ScratchMixed, index, found));
            }
        }
        Ok(())
    }
}
