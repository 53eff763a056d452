//! `gristmill scan`: patterns in files, with ripgrep's flags and ripgrep's answers.

mod args;
mod ask;
mod color;
mod context;
mod decoding;
mod listing;
mod loaded;
mod output;
mod patterns;
pub mod reading;
mod refusal;
pub mod rules;
mod search;
mod set;
mod share;
mod streams;
mod sweep;
mod walk;

use super::messages;
pub use args::ScanArgs;
pub use patterns::{PatternArgs, Patterns};
pub use refusal::Refusal;
use std::process::ExitCode;
use std::time::Instant;

/// Runs `gristmill scan`.
pub fn run(args: &ScanArgs) -> ExitCode {
    let started = Instant::now();
    let args = &match args.with_format() {
        Ok(args) => args,
        Err(error) => {
            messages::complain(&error);
            return ExitCode::from(2);
        }
    };
    let code = match listing(args) {
        Some(listed) => listed,
        None if args.set.is_given() => set::run(args, started),
        None if args.rules.are_given() => rules::run(args),
        None => args.asked().and_then(|asked| match asked {
            Some(asked) => search::run(args, asked, started).map_err(Refusal::Line),
            None => Ok(args
                .write_nothing(args.schema())
                .map(|()| ExitCode::from(1))?),
        }),
    };
    code.unwrap_or_else(|refusal| refusal.tell())
}

/// What is listed, if something is listed and nothing searched.
fn listing(args: &ScanArgs) -> Option<Result<ExitCode, Refusal>> {
    if args.walk.lists_types() {
        let types = args.walk.select().types();
        let listed = types.and_then(|types| listing::types(&types));
        return Some(listed.map_err(Refusal::Line));
    }
    args.walk.lists_files().then(|| {
        let (paths, default_directory) = args.paths()?;
        let (source, _) = args.source(paths, default_directory)?;
        listing::files(args, source).map_err(Refusal::Line)
    })
}
