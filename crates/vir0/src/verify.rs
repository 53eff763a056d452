//! The verifier. It accepts only programs that end, that access no memory but their own, and that can fault only
//! because a computed index lies outside of its array.
//!
//! It checks the declarations, then goes through the instructions once with a stack of open blocks, and finally
//! compares cost and work with the limits. A program that breaks several [`Rule`]s is refused for the first one.

mod declarations;
mod instructions;
mod rule;
mod verified;

pub use rule::Rule;
pub use verified::Verified;

use crate::cost::{largest, Work};
use crate::program::Program;
use std::fmt;
use thiserror::Error;

/// The largest number of instructions of a program.
pub const MAX_INSTRUCTIONS: usize = 4096;
/// The largest number of blocks that are open at once.
pub const MAX_DEPTH: usize = 16;
/// The largest number of trips of a loop.
pub const MAX_TRIPS: u32 = 65_535;
/// The largest halo on each side, in bytes.
pub const MAX_HALO: u16 = 4096;
/// The largest chunk, in bytes.
pub const MAX_CHUNK: u32 = 1 << 24;
/// The largest number of records of a chunk.
pub const MAX_RECORDS: u32 = 1 << 16;
/// The largest table, in bytes.
pub const MAX_TABLE: usize = 256 << 10;
/// The largest number of arguments.
pub const MAX_ARGS: usize = 7;
/// The largest number of scratch arrays.
pub const MAX_SCRATCH: usize = 16;
/// The largest number of scratch words, of all arrays together.
pub const MAX_SCRATCH_WORDS: usize = 4096;
/// The largest number of accumulators, of all arrays together.
pub const MAX_ACCS: usize = 1024;

/// The limits on what a program may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The largest number of instructions for the largest chunk that the program accepts; `u64::MAX` means no limit.
    pub cost: u64,
    /// The largest [`Work`] for the largest chunk that the program accepts; `u64::MAX` means no limit.
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

/// The reason why a program is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Refusal {
    /// The rule that it breaks.
    pub rule: Rule,
    /// The number of the instruction that breaks it, for rules about single instructions.
    pub instruction: Option<usize>,
    /// The line of that instruction in the source, if it is known.
    pub line: Option<u32>,
    /// What the program has instead of what the rule requires.
    pub found: String,
}

impl Refusal {
    fn new(rule: Rule, found: impl Into<String>) -> Self {
        Self {
            rule,
            instruction: None,
            line: None,
            found: found.into(),
        }
    }
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

/// Checks a program against every [`Rule`].
///
/// # Errors
/// [`Refusal`] with the first rule that it breaks.
pub fn verify(program: Program, limits: &Limits) -> Result<Verified, Refusal> {
    declarations::check(&program)?;
    let (targets, cost, work) = instructions::check(&program)?;
    let chunk = program.chunk;
    let worst = cost.at(chunk);
    if worst > limits.cost {
        let cure = cure(&program, &|len| cost.at(len) <= limits.cost);
        return Err(Refusal::new(
            Rule::Cost,
            format!(
                "{worst} instructions ({cost}), where {} are the limit, for a chunk of {chunk} bytes; {cure}",
                limits.cost
            ),
        ));
    }
    let worst = work.at(chunk);
    if worst > limits.work {
        let cure = cure(&program, &|len| work.at(len) <= limits.work);
        let (seconds, limit) = (Work::seconds(worst), Work::seconds(limits.work));
        return Err(Refusal::new(
            Rule::Work,
            format!(
                "about {seconds:.1} seconds of work, where {limit:.1} are the limit, for a chunk of {chunk} bytes; {cure}"
            ),
        ));
    }
    Ok(Verified::new(program, targets, cost, work))
}

/// Advice on how to change a program that costs too much for its largest chunk.
fn cure(program: &Program, fits: &dyn Fn(u32) -> bool) -> String {
    let align = program.align.max(1);
    match largest(program.chunk / align, |blocks| fits(blocks * align)) {
        0 => "no smaller chunk would do, so use fewer trips of loops".into(),
        blocks => format!("a chunk of {} bytes would do (.chunk)", blocks * align),
    }
}
