//! `scan --all`, where some of the patterns are regexes, or matches must lie between something.

use super::args::ScanArgs;
use gristmill::jobs::scan::Report;
use gristmill::jobs::sweep::{
    PlainStrings, SweepBuildError, SweepJob, SweepJobBuilder, SweepReport,
};
use std::path::PathBuf;

/// The sweep for these patterns over these paths; `None` if they are searched for otherwise.
pub fn job(
    args: &ScanArgs,
    patterns: &[Vec<u8>],
    paths: &[PathBuf],
) -> Option<Result<SweepJob, SweepBuildError>> {
    let reading = args.reading.line_settings();
    let plain = || reading.fixed_strings || PlainStrings::of(patterns, &reading).is_some();
    let is_plain = || reading.boundary.is_none() && plain();
    if !args.all || args.context_bytes.is_none() && is_plain() {
        return None;
    }
    let job = settings(args, paths).patterns(patterns.to_vec(), &reading);
    Some(job.and_then(SweepJobBuilder::build))
}

/// How a sweep over these paths reports, whatever it searches for.
pub fn settings(args: &ScanArgs, paths: &[PathBuf]) -> SweepJobBuilder {
    let report = match args.report() {
        Report::Count | Report::CountMatches => SweepReport::Count,
        Report::Paths => SweepReport::Paths,
        Report::Quiet => SweepReport::Quiet,
        _ => SweepReport::Matches,
    };
    SweepJob::builder()
        .report(report)
        .with_path(args.shows_path(paths))
        .color(args.color.colors(args.rows_to.to_terminal()))
        .null(args.null)
        .json(args.json)
        .table(args.format.is_table())
        .max_match(args.max_match as u64)
        .context_bytes(args.context_bytes)
        .memory(args.set_memory)
        .totals(args.ends.stats || args.json)
}
