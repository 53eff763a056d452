//! What a command does in a run that it shares with others, and that run.

use crate::collected::Collected;
use crate::destination::Destination;
use crate::end::End;
use crate::engine::EngineArgs;
use crate::progress::Estimate;
use crate::report_args::ReportArgs;
use crate::session::Session;
use crate::{advice, messages, report};
use gristmill::decode::Decode;
use gristmill::mill::{FileError, Mill, Task};
use gristmill::source::Source;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Where a job runs that is no built-in one of the kernel's, and why no log keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Why no device runs a part of it, and what to do; `None` if one does, where the host does the rest.
    pub no_device: Option<&'static str>,
    /// Why no log keeps it, and what to do.
    pub no_log: &'static str,
}

impl Limits {
    /// The mill that runs it.
    ///
    /// # Errors
    /// A message, for a device that does not run it.
    pub fn mill(&self, engine: &EngineArgs, ordered: bool, decode: Decode) -> Result<Mill, String> {
        match self.no_device {
            Some(why) => engine.mill_on_cpu(ordered, decode, why),
            None => engine.mill_shared(ordered, decode),
        }
    }
}

/// One command's share of a run that it has with others: its job, and what it writes beside the rows of files.
pub trait Share {
    /// The job, and the output of its rows.
    fn task(&mut self) -> Task<'_>;
    /// Where the rows go.
    fn destination(&self) -> Destination;
    /// What is told of files that failed, if that is wanted.
    fn collected(&self) -> Option<Collected> {
        None
    }
    /// Writes the last rows, and says what failed. Returns whether the command has found what it looks for; `None` of one
    /// that looks for nothing.
    fn finish(self: Box<Self>, name: &str, end: &mut End) -> Option<bool>;
    /// Where the job runs, and whether a log keeps it; `None` where any back end runs all of it, with a log.
    fn limits(&self) -> Option<Limits> {
        None
    }
    /// Lines for --stats: names and values.
    fn lines(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }
}

/// Runs the shares of several commands over files that are read once. Each has a name of its own.
///
/// # Errors
/// A message, if the run cannot start.
pub fn run(
    mill: &Mill,
    mut source: impl Source + 'static,
    mut shares: Vec<(String, Box<dyn Share>)>,
    args: &ReportArgs,
    estimate: Option<Estimate>,
) -> Result<ExitCode, String> {
    let destinations: Vec<Destination> = (shares.iter())
        .map(|(_, share)| share.destination())
        .collect();
    // Which jobs something has failed for, and which collect what it was.
    let failed: Vec<Arc<AtomicBool>> = shares.iter().map(|_| Arc::default()).collect();
    let hearers: Vec<_> = (shares.iter().zip(&failed))
        .map(|((name, share), failed)| (name.clone(), share.collected(), Arc::clone(failed)))
        .collect();
    let also = move |error: &FileError| {
        let of = |name: &str| error.job.as_ref().is_none_or(|job| **job == *name);
        for (_, collected, failed) in hearers.iter().filter(|(name, ..)| of(name)) {
            failed.fetch_or(!error.is_notice(), Ordering::Relaxed);
            if let Some(collected) = collected {
                collected.add(error);
            }
        }
    };
    let rows: Vec<&Destination> = destinations.iter().collect();
    let session = Session::start(&mut source, &rows, args, estimate, also)?;
    let report = {
        let tasks = shares.iter_mut();
        let tasks = tasks.map(|(name, share)| share.task().named(name.clone()));
        mill.run_all(source, tasks.collect(), &session.control)
    };
    session.shown.finish();
    let report = report.map_err(|error| advice::mill(&error))?;
    let unrecorded = args.is_record_lost(&report);
    // Where no job has an output any more, that ended the run, and nobody else did.
    let some_written = report.jobs.iter().any(|job| job.output.is_ok());
    let stopped = report.stopped && !unrecorded && some_written;
    let mut stats = if args.stats {
        report::text(&report)
    } else {
        String::new()
    };
    let mut all = End {
        failed: unrecorded || report.failures > 0,
        interrupted: stopped,
        unread: false,
        lost: false,
        whole: true,
    };
    let mut found = None;
    for (number, (name, share)) in shares.into_iter().enumerate() {
        let failed = failed[number].load(Ordering::Relaxed);
        let output = &report.jobs[number].output;
        let mut end = session.end(output, &destinations[number], stopped, failed);
        end.whole &= !unrecorded;
        if args.stats {
            for (line, value) in share.lines() {
                stats += &report::line(line, &format!("{name}: {value}"));
            }
        }
        if let Some(some) = share.finish(&name, &mut end) {
            found = Some(found.unwrap_or(false) || some);
        }
        all.failed |= end.failed;
        all.interrupted |= end.interrupted;
    }
    // Nothing can be done where standard error is closed.
    let _ = io::stderr().write_all(stats.as_bytes());
    if stopped && destinations.iter().any(|rows| !rows.is_file) {
        messages::tell_interrupted();
    }
    Ok(all.code(u8::from(found == Some(false))))
}

/// Says what failed in a job alone.
pub fn complain(name: &str, text: &str, end: &mut End) {
    end.failed = true;
    messages::complain(&format!("{name}: {text}"));
}
