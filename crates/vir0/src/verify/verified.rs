//! The verifier's result: an accepted program, with the facts that the check has established.

use crate::cost::{Cost, Work};
use crate::isa::Op;
use crate::program::Program;
use std::ops::Range;
use std::sync::Arc;

/// A program that the verifier has accepted. Clones share the program.
#[derive(Debug, Clone)]
pub struct Verified(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    program: Program,
    cost: Cost,
    work: Work,
    targets: Vec<usize>,
    scratch_starts: Vec<usize>,
    acc_starts: Vec<usize>,
}

impl Verified {
    /// The program, with the target of each instruction, its cost and its work.
    pub(super) fn new(program: Program, targets: Vec<usize>, cost: Cost, work: Work) -> Self {
        let starts = |sizes: &mut dyn Iterator<Item = u16>| {
            sizes
                .scan(0, |next, size| {
                    let start = *next;
                    *next += usize::from(size);
                    Some(start)
                })
                .collect()
        };
        Self(Arc::new(Inner {
            scratch_starts: starts(&mut program.scratch.iter().map(|array| array.words)),
            acc_starts: starts(&mut program.accs.iter().map(|array| array.len)),
            program,
            cost,
            work,
            targets,
        }))
    }

    /// Whether one is a clone of the other; an equal program is not enough.
    #[must_use]
    pub fn is_same(&self, other: &Verified) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// The program.
    #[must_use]
    pub fn program(&self) -> &Program {
        &self.0.program
    }

    /// Its static cost.
    #[must_use]
    pub fn cost(&self) -> &Cost {
        &self.0.cost
    }

    /// The bound on its running time.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.0.work
    }

    /// The index of the instruction at which a block continues: the `end` for `each`, `loop` and `else`; for `if` the
    /// `else`, or the `end` if there is no `else`. For any other instruction it is the instruction's own index.
    #[must_use]
    pub fn target(&self, instruction: usize) -> usize {
        self.0
            .targets
            .get(instruction)
            .copied()
            .unwrap_or(instruction)
    }

    /// The number of the first `each` at or after an instruction; if there is none, the number of instructions.
    #[must_use]
    pub fn next_each(&self, from: usize) -> usize {
        let code = &self.0.program.code;
        let rest = code.get(from..).unwrap_or_default();
        let next = rest.iter().position(|instr| instr.op == Op::Each);
        next.map_or(code.len(), |at| from + at)
    }

    /// The range of a scratch array within all scratch words.
    #[must_use]
    pub fn scratch_range(&self, array: u8) -> Range<usize> {
        let array = usize::from(array);
        let start = self.0.scratch_starts.get(array).copied().unwrap_or(0);
        let words = self.0.program.scratch.get(array);
        start..start + words.map_or(0, |array| usize::from(array.words))
    }

    /// The range of an array within all accumulators.
    #[must_use]
    pub fn acc_range(&self, array: u8) -> Range<usize> {
        let array = usize::from(array);
        let start = self.0.acc_starts.get(array).copied().unwrap_or(0);
        let len = self.0.program.accs.get(array);
        start..start + len.map_or(0, |array| usize::from(array.len))
    }
}
