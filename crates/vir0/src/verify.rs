//! The verifier. It accepts only programs that end, that access no memory but their own, and that can fault only
//! because a computed index lies outside of its array.
//!
//! It checks the declarations, then goes through the instructions once with a stack of open blocks, and finally
//! compares cost and work with the limits. A program that breaks several [`Rule`]s is refused for the first one.

mod declarations;
mod instructions;
mod limits;
mod refusal;
mod rule;
mod verified;

pub use limits::{
    Limits, MAX_ACCS, MAX_ARGS, MAX_CHUNK, MAX_DEPTH, MAX_HALO, MAX_INSTRUCTIONS, MAX_RECORDS,
    MAX_SCRATCH, MAX_SCRATCH_WORDS, MAX_TABLE, MAX_TRIPS,
};
pub use refusal::Refusal;
pub use rule::Rule;
pub use verified::Verified;

use crate::cost::{largest, Work};
use crate::program::Program;

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
