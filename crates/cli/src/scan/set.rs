//! `scan --set`: what a compiled set holds.

use super::ask::Job;
use super::{rules, search, sweep, Refusal, ScanArgs};
use gristmill::jobs::sweep::{occurrence_schema, SetError, SweepJob, SweepSet, SweepSetError};
use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The flags that say how patterns are read: a set says that itself.
pub const READING: [&str; 6] = [
    "case_sensitive",
    "fixed_strings",
    "ignore_case",
    "no_fixed_strings",
    "regex_size_limit",
    "unicode",
];

/// Flags about compiled sets.
#[derive(Debug, Clone, clap::Args)]
pub struct SetArgs {
    /// Search for what a set holds that `gristmill compile` has written, instead of patterns.
    ///
    /// The answer is that of --all with the patterns of the set, or that of --rules with its rules. What says how patterns
    /// are read, or how lines are searched and shown, is refused. A set is loaded in a small part of the time that it takes
    /// to compile it, and it is checked: docs/set.md says how.
    #[arg(long, value_name = "FILE", conflicts_with_all = rules::LINES, conflicts_with_all = READING)]
    set: Vec<PathBuf>,
}

impl SetArgs {
    /// Whether a set is given.
    pub fn is_given(&self) -> bool {
        !self.set.is_empty()
    }
}

/// What is told of a set that was loaded.
#[derive(Debug, Clone)]
pub struct Loaded {
    path: PathBuf,
    took: Duration,
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.took.as_secs_f64() * 1e3;
        write!(f, "{}, loaded in {millis:.1} ms", self.path.display())
    }
}

/// Loads the set that is given.
///
/// # Errors
/// Why nothing is searched.
pub fn load(args: &ScanArgs) -> Result<(SweepSet, Loaded), Refusal> {
    let refused = |text: &str| Err(Refusal::Line(text.to_owned()));
    let [path] = &args.set.set[..] else {
        return refused("--set is given twice; compile what both sets are made of into one");
    };
    if args.given.are_given() || args.rules.are_given() {
        let flag = if args.rules.are_given() {
            "--rules"
        } else {
            "-e and -f"
        };
        return Err(Refusal::Line(format!(
            "{flag} together with --set: a set holds all that is searched for; compile both into one set, or search twice"
        )));
    }
    let began = Instant::now();
    let set = SweepSet::read(path, args.set_memory).map_err(|error| {
        let advice = match error {
            SweepSetError::Set(SetError::Memory { .. } | SetError::Regex(_)) => " (--set-memory)",
            _ => "",
        };
        Refusal::Line(format!("{}: {error}{advice}", path.display()))
    })?;
    let loaded = Loaded {
        path: path.clone(),
        took: began.elapsed(),
    };
    if set.rules().is_some() {
        let lines = [
            (args.all, "--all"),
            (args.context_bytes.is_some(), "--context-bytes"),
            (args.with_filename, "-H"),
            (args.no_filename, "-I"),
        ];
        if let Some((_, flag)) = lines.iter().find(|(given, _)| *given) {
            return Err(Refusal::Line(format!(
                "{}: the set holds rules, and {flag} is for patterns; leave it out",
                path.display()
            )));
        }
    } else if let Some(flag) = args.rules.shown() {
        return Err(Refusal::Line(format!(
            "{}: the set holds patterns, and {flag} is for findings of rules; leave it out, or compile rules",
            path.display()
        )));
    }
    Ok((set, loaded))
}

/// Searches for what a set holds.
///
/// # Errors
/// Why nothing is searched.
pub fn run(args: &ScanArgs, started: Instant) -> Result<ExitCode, Refusal> {
    let (set, loaded) = load(args)?;
    if let Some(found) = set.rules().map(Arc::clone) {
        return rules::find(args, found, SweepJob::builder().set(set), Some(&loaded));
    }
    if set.patterns().is_empty() {
        args.write_nothing(occurrence_schema())?;
        return Ok(ExitCode::from(1));
    }
    let args = ScanArgs {
        all: true,
        ..args.clone()
    };
    let (paths, default_directory) = args.paths()?;
    let job = sweep::settings(&args, &paths).set(set).build();
    let job = job.map_err(|error| Refusal::Line(error.to_string()))?;
    let mut asked = args.ask(Job::Sweep(Box::new(job)), paths, default_directory)?;
    asked.loaded = Some(loaded);
    search::run(&args, asked, started).map_err(Refusal::Line)
}
