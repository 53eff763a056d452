//! `scan --set`: what a compiled set holds.

pub(super) mod args;

use super::args::ScanArgs;
use super::ask::Job;
use super::refusal::Refusal;
use super::{loaded, rules, search, sweep};
use gristmill::jobs::sweep::{occurrence_schema, SweepJob};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Searches for what a set holds.
///
/// # Errors
/// Why nothing is searched.
pub fn run(args: &ScanArgs, started: Instant) -> Result<ExitCode, Refusal> {
    let (set, loaded) = loaded::load(args)?;
    if let Some(found) = set.rules().map(Arc::clone) {
        return rules::find(args, found, SweepJob::builder().set(set), Some(&loaded));
    }
    if set.patterns().is_empty() {
        args.write_nothing(occurrence_schema())?;
        return Ok(ExitCode::from(1));
    }
    let mut args = args.clone();
    args.all = true;
    let (paths, default_directory) = args.paths()?;
    let job = sweep::settings(&args, &paths).set(set).build();
    let job = job.map_err(|error| Refusal::Line(error.to_string()))?;
    let mut asked = args.ask(Job::Sweep(Box::new(job)), paths, default_directory)?;
    asked.over.loaded = Some(loaded);
    search::run(&args, asked, started).map_err(Refusal::Line)
}
