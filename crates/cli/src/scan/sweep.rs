//! `scan --all`, where some of the patterns are regexes.

use super::ScanArgs;
use gristmill::jobs::scan::Report;
use gristmill::jobs::sweep::{PlainStrings, SweepBuildError, SweepJob, SweepReport};
use std::path::PathBuf;

/// The sweep for these patterns over these paths; `None` if they are searched for otherwise.
pub fn job(
    args: &ScanArgs,
    patterns: &[Vec<u8>],
    paths: &[PathBuf],
) -> Option<Result<SweepJob, SweepBuildError>> {
    let settings = args.reading.line_settings();
    let words = settings.boundary.is_some();
    let plain = || settings.fixed_strings || PlainStrings::of(patterns, &settings).is_some();
    if !args.all || args.context_bytes.is_none() && (words || plain()) {
        return None;
    }
    let report = match args.report() {
        Report::Count | Report::CountMatches => SweepReport::Count,
        Report::Paths => SweepReport::Paths,
        Report::Quiet => SweepReport::Quiet,
        _ => SweepReport::Matches,
    };
    let job = SweepJob::builder()
        .report(report)
        .with_path(args.shows_path(paths))
        .color(args.color.colors(args.rows_to.to_terminal()))
        .null(args.null)
        .json(args.json)
        .table(args.format.is_table())
        .max_match(args.max_match as u64)
        .context_bytes(args.context_bytes)
        .memory(args.set_memory)
        .totals(args.ends.stats || args.json);
    Some(
        job.patterns(patterns.to_vec(), &settings)
            .and_then(|job| job.build()),
    )
}
