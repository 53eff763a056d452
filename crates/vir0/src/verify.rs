//! The verifier: what it accepts cannot hang, cannot reach memory that is not the program's own, and cannot fault but by
//! an index into scratch memory or accumulators that is computed and out of range.
//!
//! One pass over the instructions with a stack of open blocks. Each thing that can be wrong is a [`Rule`]; the first
//! broken one, by instruction, is reported.

mod rule;

use crate::isa::{Instr, Op, Operand};
use crate::program::{is_name, Program};
use crate::work::{Weight, Work};
pub use rule::Rule;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Instructions of a program at most.
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Blocks inside each other at most.
pub const MAX_DEPTH: usize = 16;
/// Trips of a loop at most.
pub const MAX_TRIPS: u32 = 65_535;
/// Bytes of halo on each side at most.
pub const MAX_HALO: u16 = 4096;
/// Bytes of a chunk at most.
pub const MAX_CHUNK: u32 = 1 << 24;
/// Records of a chunk at most.
pub const MAX_RECORDS: u32 = 1 << 16;
/// Bytes of the table at most.
pub const MAX_TABLE: usize = 256 << 10;
/// Arguments at most.
pub const MAX_ARGS: usize = 7;
/// Scratch arrays at most.
pub const MAX_SCRATCH: usize = 16;
/// Scratch words at most, of all arrays together.
pub const MAX_SCRATCH_WORDS: usize = 4096;
/// Accumulators at most, of all arrays together.
pub const MAX_ACCS: usize = 1024;

/// What a mill lets a program cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Instructions for the largest chunk that the program takes. With `u64::MAX`, where costs saturate, none is too many.
    pub cost: u64,
    /// Work for the largest chunk that the program takes, in the units of [`Work`]. With `u64::MAX` none is too much.
    pub work: u64,
}

impl Default for Limits {
    /// 2^34 instructions, and 2^35 units of work, which are about 10 seconds of one core.
    fn default() -> Self {
        Self {
            cost: 1 << 34,
            work: 1 << 35,
        }
    }
}

/// Why a program is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    /// The rule that it breaks.
    pub rule: Rule,
    /// The instruction, where it is about one.
    pub instruction: Option<usize>,
    /// Its line in the source, where that is known.
    pub line: Option<u32>,
    /// What was found.
    pub found: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.instruction, self.line) {
            (Some(index), Some(line)) => write!(f, "instruction {index} (line {line}): ")?,
            (Some(index), None) => write!(f, "instruction {index}: ")?,
            _ => {}
        }
        write!(f, "{}; {}", self.found, self.rule)
    }
}

/// The most instructions that a program executes for a chunk: `fixed`, and for each of its `each` blocks so many for every
/// window. Every instruction counts one each time it is executed, but `else` and `end` nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cost {
    /// Once for each chunk.
    pub fixed: u64,
    /// For each `each` block: bytes of its windows, and instructions for one.
    pub each: Vec<(u32, u64)>,
}

impl Cost {
    /// Instructions for a chunk of `len` own bytes at most; `u64::MAX` for more than fit.
    #[must_use]
    pub fn at(&self, len: u32) -> u64 {
        self.each.iter().fold(self.fixed, |sum, (stride, each)| {
            let windows = u64::from(len.div_ceil((*stride).max(1)));
            sum.saturating_add(each.saturating_mul(windows))
        })
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fixed)?;
        for (stride, each) in &self.each {
            let bytes = if *stride == 1 { "byte" } else { "bytes" };
            write!(f, " + {each} for each window of {stride} {bytes}")?;
        }
        Ok(())
    }
}

/// A program that the verifier has accepted. Cheap to clone.
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
    /// Whether both are the same program, and not only equal ones.
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

    /// How long it runs at most.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.0.work
    }

    /// Where an instruction's block goes on: for `each` and `loop` the index of their `end`, for `if` that of its `else`
    /// or else `end`, for `else` that of the `end`; for others their own.
    #[must_use]
    pub fn target(&self, instruction: usize) -> usize {
        self.0
            .targets
            .get(instruction)
            .copied()
            .unwrap_or(instruction)
    }

    /// The place of a scratch array among all scratch words.
    #[must_use]
    pub fn scratch_range(&self, array: u8) -> std::ops::Range<usize> {
        let array = usize::from(array);
        let start = self.0.scratch_starts.get(array).copied().unwrap_or(0);
        let words = self.0.program.scratch.get(array);
        start..start + words.map_or(0, |array| usize::from(array.words))
    }

    /// The place of an accumulator array among all accumulators.
    #[must_use]
    pub fn acc_range(&self, array: u8) -> std::ops::Range<usize> {
        let array = usize::from(array);
        let start = self.0.acc_starts.get(array).copied().unwrap_or(0);
        let len = self.0.program.accs.get(array);
        start..start + len.map_or(0, |array| usize::from(array.len))
    }
}

/// Checks a program against every [`Rule`].
///
/// # Errors
/// [`Refusal`] with the first rule that it breaks.
pub fn verify(program: Program, limits: &Limits) -> Result<Verified, Refusal> {
    declarations(&program)?;
    let mut checker = Checker {
        program: &program,
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
        return Err(checker.refuse(
            Rule::Unclosed,
            open.index,
            format!("this {} has no end", open.op.mnemonic()),
        ));
    }
    let (cost, work, targets) = (checker.cost, checker.work, checker.targets);
    let too_much = |rule, found: String, fits: &dyn Fn(u32) -> bool| Refusal {
        rule,
        instruction: None,
        line: None,
        found: format!(
            "{found} for a chunk of {} bytes; {}",
            program.chunk,
            cure(&program, fits)
        ),
    };
    let worst = cost.at(program.chunk);
    if worst > limits.cost {
        let found = format!(
            "{worst} instructions, where {} are the limit ({cost}),",
            limits.cost
        );
        return Err(too_much(Rule::Cost, found, &|len| {
            cost.at(len) <= limits.cost
        }));
    }
    let worst = work.at(program.chunk);
    if worst > limits.work {
        let found = format!(
            "about {:.1} seconds of work, where {:.1} are the limit,",
            Work::seconds(worst),
            Work::seconds(limits.work)
        );
        return Err(too_much(Rule::Work, found, &|len| {
            work.at(len) <= limits.work
        }));
    }
    let starts = |sizes: &mut dyn Iterator<Item = u16>| {
        sizes
            .scan(0, |next, size| {
                let start = *next;
                *next += usize::from(size);
                Some(start)
            })
            .collect()
    };
    Ok(Verified(Arc::new(Inner {
        scratch_starts: starts(&mut program.scratch.iter().map(|array| array.words)),
        acc_starts: starts(&mut program.accs.iter().map(|array| array.len)),
        program,
        cost,
        work,
        targets,
    })))
}

/// What a program that is too much for its largest chunk can do about it.
fn cure(program: &Program, fits: &dyn Fn(u32) -> bool) -> String {
    let align = program.align.max(1);
    // Costs never fall with the length, so this is a search for the last multiple of `align` that fits.
    let (mut low, mut high) = (0, program.chunk / align);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle * align) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    if low == 0 {
        return "no smaller chunk would do, so use fewer trips of loops".into();
    }
    format!("a chunk of {} bytes would do (.chunk)", low * align)
}

/// What is declared, before any instruction.
fn declarations(program: &Program) -> Result<(), Refusal> {
    let refuse = |rule, found: String| {
        Err(Refusal {
            rule,
            instruction: None,
            line: None,
            found,
        })
    };
    let instructions = program.code.len();
    if instructions == 0 || instructions > MAX_INSTRUCTIONS {
        return refuse(Rule::CodeSize, format!("there are {instructions}"));
    }
    let halo = program.before.max(program.after);
    if halo > MAX_HALO {
        return refuse(Rule::Halo, format!("a halo of {halo} bytes"));
    }
    let (chunk, align) = (program.chunk, program.align);
    if chunk == 0 || chunk > MAX_CHUNK {
        return refuse(Rule::ChunkSize, format!("a chunk of {chunk} bytes"));
    }
    if !align.is_power_of_two() || !chunk.is_multiple_of(align) {
        let found = format!("align {align} and chunks of {chunk} bytes");
        return refuse(Rule::Align, found);
    }
    if program.records > MAX_RECORDS {
        return refuse(Rule::Records, format!("{} records", program.records));
    }
    if program.table.len() > MAX_TABLE {
        let found = format!("a table of {} bytes", program.table.len());
        return refuse(Rule::TableSize, found);
    }
    if program.args.len() > MAX_ARGS {
        return refuse(Rule::ArgCount, format!("{} arguments", program.args.len()));
    }
    let words = program.scratch_words();
    if program.scratch.len() > MAX_SCRATCH
        || words > MAX_SCRATCH_WORDS
        || program.scratch.iter().any(|array| array.words == 0)
    {
        let found = format!("{} arrays with {words} words", program.scratch.len());
        return refuse(Rule::ScratchSize, found);
    }
    let accs = program.acc_count();
    if accs > MAX_ACCS || program.accs.iter().any(|array| array.len == 0) {
        let found = format!("{} arrays with {accs} accumulators", program.accs.len());
        return refuse(Rule::AccSize, found);
    }
    if !is_name(&program.name) {
        return refuse(
            Rule::Names,
            format!("the program is named {:?}", program.name),
        );
    }
    let mut seen = HashSet::new();
    let args = program.args.iter().map(|arg| &arg.name);
    let scratch = program.scratch.iter().map(|array| &array.name);
    let accs = program.accs.iter().map(|array| &array.name);
    for name in args.chain(scratch).chain(accs) {
        if !is_name(name) || !seen.insert(name) {
            return refuse(Rule::Names, format!("the name {name:?}"));
        }
    }
    Ok(())
}

/// A block that is open.
struct Open {
    op: Op,
    index: usize,
    /// Trips of a loop, bytes of a window.
    count: u32,
    /// What its body costs so far; of an `if`, the part at hand.
    cost: u64,
    /// What its body weighs so far; of an `if`, both parts.
    weight: Weight,
    /// The cost of an `if`'s first part, and where its `else` is.
    first: Option<(u64, usize)>,
}

/// How an `each` uses a scratch array.
type Use = Option<Op>;

struct Checker<'a> {
    program: &'a Program,
    open: Vec<Open>,
    targets: Vec<usize>,
    cost: Cost,
    work: Work,
    /// By scratch array: how the `each` at hand uses it.
    uses: Vec<Use>,
}

impl Checker<'_> {
    fn refuse(&self, rule: Rule, index: usize, found: String) -> Refusal {
        Refusal {
            rule,
            instruction: Some(index),
            line: self.program.line(index),
            found,
        }
    }

    fn in_each(&self) -> bool {
        self.open.first().is_some_and(|open| open.op == Op::Each)
    }

    /// Adds to what the innermost open block costs.
    fn charge(&mut self, cost: u64) {
        match self.open.last_mut() {
            Some(open) => open.cost = open.cost.saturating_add(cost),
            None => self.cost.fixed = self.cost.fixed.saturating_add(cost),
        }
    }

    /// Adds to what the innermost open block weighs.
    fn weigh(&mut self, weight: Weight) {
        match self.open.last_mut() {
            Some(open) => open.weight = open.weight.plus(weight),
            None => self.work.add(weight),
        }
    }

    fn instruction(&mut self, index: usize, instr: &Instr) -> Result<(), Refusal> {
        let op = instr.op;
        if let Err(error) = instr.check() {
            return Err(self.refuse(Rule::Fields, index, format!("{error}")));
        }
        let n = instr.immediate().unwrap_or(0);
        if !matches!(op, Op::Else | Op::End) {
            self.charge(1);
        }
        self.weigh(Weight::of(op));
        match op {
            Op::Arg if n as usize >= self.program.args.len() => {
                return Err(self.refuse(Rule::ArgNumber, index, format!("argument {n}")));
            }
            Op::SLd => self.scratch(index, instr, instr.a)?,
            Op::SSt if self.in_each() => {
                return Err(self.refuse(Rule::StoreAtTop, index, "s.st inside each".into()));
            }
            Op::SSt => self.scratch(index, instr, instr.dst)?,
            _ if op.is_scratch_update() => self.scratch(index, instr, instr.dst)?,
            Op::Acc => {
                let Some(array) = self.program.accs.get(usize::from(instr.dst)) else {
                    let found = format!("accumulator array {}", instr.dst);
                    return Err(self.refuse(Rule::AccArray, index, found));
                };
                self.constant_index(index, instr, &array.name, array.len)?;
            }
            Op::Emit if self.program.records == 0 => {
                let found = "emit in a program that declares no records".into();
                return Err(self.refuse(Rule::EmitDeclared, index, found));
            }
            Op::Each | Op::Loop | Op::If => self.begin(index, op, n)?,
            Op::Else => self.otherwise(index)?,
            Op::End => self.end(index)?,
            Op::Break if !self.open.iter().any(|open| open.op == Op::Loop) => {
                return Err(self.refuse(Rule::BreakInLoop, index, "break outside a loop".into()));
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, index: usize, op: Op, n: u32) -> Result<(), Refusal> {
        if op == Op::Each {
            if !self.open.is_empty() {
                return Err(self.refuse(Rule::EachAtTop, index, "each inside a block".into()));
            }
            if n == 0 {
                return Err(self.refuse(Rule::EachStride, index, "windows of 0 bytes".into()));
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
            _ => Err(self.refuse(Rule::ElseInIf, index, "an else of no if".into())),
        }
    }

    fn end(&mut self, index: usize) -> Result<(), Refusal> {
        let Some(open) = self.open.pop() else {
            return Err(self.refuse(Rule::EndOfBlock, index, "an end of nothing".into()));
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

    fn scratch(&mut self, index: usize, instr: &Instr, array: u8) -> Result<(), Refusal> {
        let Some(declared) = self.program.scratch.get(usize::from(array)) else {
            return Err(self.refuse(Rule::ScratchArray, index, format!("scratch array {array}")));
        };
        self.constant_index(index, instr, &declared.name, declared.words)?;
        if !self.in_each() {
            return Ok(());
        }
        if let Some(used) = self.uses.get_mut(usize::from(array)) {
            match *used {
                Some(other) if other != instr.op => {
                    let found = format!(
                        "{} of {}, which {} used in the same each",
                        instr.op.mnemonic(),
                        declared.name,
                        other.mnemonic()
                    );
                    return Err(self.refuse(Rule::ScratchMixed, index, found));
                }
                _ => *used = Some(instr.op),
            }
        }
        Ok(())
    }

    fn constant_index(
        &self,
        index: usize,
        instr: &Instr,
        name: &str,
        len: u16,
    ) -> Result<(), Refusal> {
        match instr.b {
            Operand::Imm(at) if at >= u32::from(len) => Err(self.refuse(
                Rule::ConstantIndex,
                index,
                format!("index {at} of {name}, which has {len}"),
            )),
            _ => Ok(()),
        }
    }
}
