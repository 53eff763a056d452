//! The run of a search: its rows, its totals, and how it ends.

use super::args::ScanArgs;
use super::ask::{Asked, Asking, Job};
use super::loaded::Loaded;
use super::streams::KEPT_BACK;
use crate::mill::share::Limits;
use crate::report_args::ReportArgs;
use crate::{advice, messages, one_job, report};
use gristmill::jobs::scan::{ScanJob, ScanTotals, Separated};
use gristmill::jobs::sweep::SweepJob;
use gristmill::mill::Mill;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// What is said where the current directory is searched because none was named, and no file is.
pub const NOTHING_SEARCHED: &str =
    "no files were searched: there is none, or all are hidden or ignored; name files, or give \
                                    --hidden or --no-ignore";

/// What bounds a search for every match of a regex, or with the bytes around matches.
pub const LIMITS: Limits = Limits {
    no_device: None,
    no_log: "--record keeps no search for every match of a regex, or with the bytes around matches; leave it out, or \
             search for strings (-F) without --context-bytes",
};

/// The lines of --stats that say what is searched for, and how.
pub fn plan(job: &impl Search, loaded: Option<&Loaded>) -> String {
    let mut text = String::new();
    if let Some(loaded) = loaded {
        text += &report::line("set", &loaded.to_string());
    }
    text += &report::line("search", &job.engine_report());
    if let Some(costs) = job.costs() {
        text += &report::line("costs", &costs);
    }
    text
}

/// A job that searches.
pub trait Search: gristmill::jobs::Job {
    /// Whether something was found.
    fn found(&self) -> bool;
    /// Bytes of the rows of the first file that has any, if all of them were made.
    fn first_rows(&self) -> Option<u64>;
    /// What stands between the rows of two files, if anything does.
    fn between_files(&self) -> Option<&[u8]>;
    /// What was searched and found.
    fn totals(&self) -> ScanTotals;
    /// How is searched, for --stats.
    fn engine_report(&self) -> String;
    /// What is expected to cost most, if that is known.
    fn costs(&self) -> Option<String>;
    /// Whether a device searches for all by itself.
    fn searches_on_device(&self) -> bool;
    /// What failed on the host, as it is told.
    fn take_failures(&self) -> Vec<String>;
}

impl Search for ScanJob {
    fn found(&self) -> bool {
        self.found()
    }

    fn first_rows(&self) -> Option<u64> {
        self.first_rows()
    }

    fn between_files(&self) -> Option<&[u8]> {
        self.between_files()
    }

    fn totals(&self) -> ScanTotals {
        self.totals()
    }

    fn engine_report(&self) -> String {
        self.engine_report()
    }

    fn costs(&self) -> Option<String> {
        None
    }

    fn searches_on_device(&self) -> bool {
        !self.searches_on_host() && !self.is_shared()
    }

    fn take_failures(&self) -> Vec<String> {
        self.take_errors().iter().map(advice::scan).collect()
    }
}

impl Search for SweepJob {
    fn found(&self) -> bool {
        self.found()
    }

    fn first_rows(&self) -> Option<u64> {
        self.found().then_some(0)
    }

    fn between_files(&self) -> Option<&[u8]> {
        None
    }

    fn totals(&self) -> ScanTotals {
        self.totals()
    }

    fn engine_report(&self) -> String {
        self.engine_report()
    }

    fn costs(&self) -> Option<String> {
        self.costs()
    }

    fn searches_on_device(&self) -> bool {
        false
    }

    fn take_failures(&self) -> Vec<String> {
        self.take_errors().iter().map(advice::sweep).collect()
    }
}

/// Runs the search that is asked for.
pub fn run(args: &ScanArgs, asked: Asked, started: Instant) -> Result<ExitCode, String> {
    let Asked { job, over } = asked;
    let decode = args.decoding.decode(args.all);
    let ordered = args.walk.order().is_given();
    match job {
        Job::Scan(job) => {
            let mill = if job.searches_on_host() {
                let refusal =
                    "a device finds no match that spans lines; use --backend cpu, or leave -U out";
                args.engine.mill_on_cpu(ordered, decode, refusal)?
            } else if job.is_shared() {
                args.engine.mill_shared(ordered, decode)?
            } else {
                args.engine.mill_that_decodes(ordered, decode)?
            };
            search(args, &mill, *job, over, started)
        }
        Job::Sweep(job) => {
            let mill = LIMITS.mill(&args.engine, ordered, decode)?;
            if args.ends.record.is_some() {
                return Err(LIMITS.no_log.into());
            }
            search(args, &mill, *job, over, started)
        }
    }
}

fn search<J: Search + 'static>(
    args: &ScanArgs,
    mill: &Mill,
    job: J,
    asked: Asking,
    started: Instant,
) -> Result<ExitCode, String> {
    let job = Arc::new(job);
    let mut output = args.open_rows(args.schema())?;
    let destination = output.destination();
    let mut separated;
    let between_files = job.between_files();
    let rows: &mut dyn Write = if let Some(separator) = between_files {
        separated = Separated::new(&mut output, separator);
        &mut separated
    } else {
        &mut output
    };
    // The report of the path taken comes last, after the totals.
    let ends = ReportArgs {
        stats: false,
        silent: args.walk.is_silent(),
        rows: destination,
        ..args.ends.clone()
    };
    let (ran, mut end) = one_job::run(
        mill,
        asked.source,
        Arc::clone(&job),
        rows,
        &ends,
        asked.estimate,
    )?;
    for failed in job.take_failures() {
        end.failed = true;
        messages::complain(&failed);
    }
    let searched = ran.files + ran.failures;
    if asked.default_directory && searched == 0 && !end.interrupted {
        end.failed = true;
        ends.complain(NOTHING_SEARCHED);
    }
    let mut found = job.found();
    if end.unread && asked.one_thread {
        // As in ripgrep, a file counts only if all its rows could be written.
        let taken = output.bytes + KEPT_BACK;
        found = job.first_rows().is_some_and(|bytes| bytes <= taken);
    }
    let mut last = Vec::new();
    if let (Some(separator), false, true) = (between_files, asked.one_thread, args.ends.stats) {
        if output.bytes > 0 {
            // With several threads, the separator between files is also written before the totals.
            last.extend_from_slice(separator);
            last.push(b'\n');
        }
    }
    // Writing to memory does not fail.
    let _ = if args.json {
        job.totals().write_json(&mut last, started.elapsed())
    } else if args.ends.stats {
        job.totals().write_text(&mut last, started.elapsed())
    } else {
        Ok(())
    };
    output.finish(&last, &mut end);
    if args.ends.stats {
        // Nothing can be done where standard error is closed.
        let mut text = report::text(&ran);
        text += &match &ran.device {
            // A device has no other engine.
            Some(_) if job.searches_on_device() => {
                report::line("search", "aho-corasick table on the device")
            }
            _ => plan(&*job, asked.loaded.as_ref()),
        };
        let _ = io::stderr().write_all(text.as_bytes());
    }
    let answered_early = args.quiet && found && !end.interrupted && ran.record.is_ok();
    if answered_early {
        return Ok(ExitCode::SUCCESS);
    }
    Ok(end.code(u8::from(!found)))
}
