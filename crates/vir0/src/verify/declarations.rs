//! The rules about the declarations of a program: its sizes, arrays and names.

use super::{
    Refusal, Rule, MAX_ACCS, MAX_ARGS, MAX_CHUNK, MAX_HALO, MAX_INSTRUCTIONS, MAX_RECORDS,
    MAX_SCRATCH, MAX_SCRATCH_WORDS, MAX_TABLE,
};
use crate::program::{is_name, Program};
use crate::show::{is_text, Shown};
use std::collections::HashSet;

/// Checks the declarations of a program.
///
/// # Errors
/// [`Refusal`] with the first rule that a declaration breaks.
pub(super) fn check(program: &Program) -> Result<(), Refusal> {
    let refuse = |rule, found: String| Err(Refusal::new(rule, found));
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
    let mut last = None;
    for show in &program.shows {
        let declared = match show.what {
            Shown::Acc(number) => usize::from(number) < program.accs.len(),
            Shown::Records => program.records > 0,
        };
        let ordered = last.replace(show.what).is_none_or(|last| last < show.what);
        let readable = is_text(&show.unit) && is_text(&show.title);
        if !declared || !ordered || !readable || show.divisor == 0 {
            return refuse(Rule::Shows, format!("{show:?}"));
        }
    }
    Ok(())
}
