//! A compiled set that is searched with, and what is told of it.

use super::args::ScanArgs;
use super::refusal::Refusal;
use gristmill::jobs::sweep::{SetError, SweepSet, SweepSetError};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

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
