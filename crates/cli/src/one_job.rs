//! Runs one job over its files, as most commands do. Several jobs are run by `mill::share`.

use super::end::End;
use super::messages::tell_interrupted;
use super::progress::Estimate;
use super::report_args::ReportArgs;
use super::session::Session;
use super::{advice, report};
use gristmill::jobs::Job;
use gristmill::mill::{FileError, Mill, RunReport};
use gristmill::source::Source;
use std::io::{self, Write};
use std::sync::Arc;

/// Runs a job. A signal ends it early, progress is shown, and failures are reported. Returns the run's report, and how
/// the job ended.
///
/// # Errors
/// A message, if the run cannot start.
pub fn run<J: Job + 'static>(
    mill: &Mill,
    source: impl Source + 'static,
    job: Arc<J>,
    output: &mut dyn Write,
    args: &ReportArgs,
    estimate: Option<Estimate>,
) -> Result<(RunReport, End), String> {
    let stats = |report: &RunReport| args.stats.then(|| report::text(report));
    run_and_tell(mill, source, job, output, args, estimate, stats)
}

/// As [`run`], but `tell` makes from the report the text, if any, that is written to standard error.
///
/// # Errors
/// As [`run`].
pub fn run_and_tell<J: Job + 'static>(
    mill: &Mill,
    mut source: impl Source + 'static,
    job: Arc<J>,
    output: &mut dyn Write,
    args: &ReportArgs,
    estimate: Option<Estimate>,
    tell: impl FnOnce(&RunReport) -> Option<String>,
) -> Result<(RunReport, End), String> {
    let collected = args.collected.clone();
    let also = move |error: &FileError| {
        if let Some(collected) = &collected {
            collected.add(error);
        }
    };
    let session = Session::start(&mut source, &[&args.rows], args, estimate, also)?;
    let mut output = session.shown.writer(output);
    let result = mill.run(source, job, &mut output, &session.control);
    session.shown.finish();
    let report = result.map_err(|error| advice::mill(&error))?;
    let unrecorded = report.record.is_err();
    let mut end = session.end(
        &report.output,
        &args.rows,
        report.stopped && !unrecorded,
        report.failures > 0,
    );
    end.failed |= args.is_record_lost(&report);
    end.whole &= !unrecorded;
    if let Some(told) = tell(&report) {
        // Nothing can be done where standard error is closed.
        let _ = io::stderr().write_all(told.as_bytes());
    }
    if end.interrupted && !end.lost && !args.rows.is_file {
        tell_interrupted();
    }
    Ok((report, end))
}
