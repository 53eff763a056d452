//! Functions that commands share: how they run a job, what they report besides its rows, and how they end.

use super::advice;
use super::progress::Estimate;
use super::report;
use super::session::Session;
use super::signals::{self, Output};
use gristmill::jobs::Job;
use gristmill::mill::{FileError, FileErrorKind, Mill, RunReport};
use gristmill::ring::lock;
use gristmill::source::{self, FileId, Source};
use std::fs::File;
use std::io::{self, Write};
use std::ops::{Deref, DerefMut};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

/// Flags for what a run reports besides its rows.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct ReportArgs {
    /// At the end, report how files were processed, on standard error: back end, read path, bytes by call, queue depth,
    /// time by stage. The manual explains each line.
    #[arg(long)]
    pub stats: bool,

    /// Show no progress. It is shown on a terminal only, and only when a run takes more than a second.
    #[arg(long)]
    pub no_progress: bool,

    /// Record every slot that runs and its results in this file, which `gristmill replay` runs again. The file is
    /// created, or replaces an earlier log; any other file is left unchanged. The run does not read it. A slot, which
    /// is a chunk of a file, takes 160 bytes, plus the file's path and the slot's results: 1,024 bytes for `stats`, 8
    /// for each record of `scan` and `run` and each accumulator. The bytes of standard input and FIFOs, which cannot be
    /// read again, are all recorded in it. A log keeps scans for lines, and for strings by `scan --all`, digests by BLAKE3
    /// or CRC-32C alone, `stats` and `run`, whether a device or the processor runs them; anything else is refused with it.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,

    /// Whether nothing is said about files that cannot be read: `scan --no-messages`.
    #[arg(skip)]
    pub silent: bool,

    /// Where errors about files are collected, too, if that is wanted.
    #[arg(skip)]
    pub collected: Option<Collected>,

    /// Where rows go.
    #[arg(skip)]
    pub rows: Destination,
}

/// Where a run's rows go, as the run has to know it.
#[derive(Debug, Clone)]
pub struct Destination {
    /// Its name.
    pub name: String,
    /// Whether it is a file that takes its name when it is whole.
    pub is_file: bool,
    /// The files that are written or replaced, which are not read.
    pub written: Vec<FileId>,
}

impl Default for Destination {
    /// Standard output.
    fn default() -> Self {
        Self {
            name: "standard output".into(),
            is_file: false,
            written: Vec::new(),
        }
    }
}

impl Destination {
    /// Says that it could not be written.
    pub fn lost(&self, error: &io::Error) -> String {
        let what = match self.is_file {
            true => "it was not written",
            false => "what was not written is lost",
        };
        format!("{}: {error}; {what}", self.name)
    }
}

/// Errors about files, as they come, and how many there were for which there was no room.
#[derive(Debug, Clone, Default)]
pub struct Collected {
    errors: Arc<Mutex<(Vec<FileError>, u64)>>,
    /// Whether only those are collected that are about what could not be listed.
    of_listings: bool,
}

impl Collected {
    /// The most errors that are kept.
    const MOST: usize = 10_000;

    /// Collects errors about what could not be listed alone.
    pub fn of_listings() -> Self {
        Self {
            of_listings: true,
            ..Self::default()
        }
    }

    /// Adds one.
    pub fn add(&self, error: &FileError) {
        if self.of_listings && !matches!(error.kind, FileErrorKind::Listing { .. }) {
            return;
        }
        let mut all = lock(&self.errors);
        if all.0.len() < Self::MOST {
            all.0.push(error.clone());
        } else {
            all.1 += 1;
        }
    }

    /// The errors that were kept, and the number of the others.
    pub fn take(&self) -> (Vec<FileError>, u64) {
        std::mem::take(&mut *lock(&self.errors))
    }
}

impl ReportArgs {
    /// These, for rows that go there.
    pub fn with_rows(&self, rows: Destination) -> Self {
        Self {
            rows,
            ..self.clone()
        }
    }

    /// Writes an error about files to standard error.
    pub fn complain(&self, error: &str) {
        if !self.silent {
            complain(error);
        }
    }
}

/// Lets the process open as many files as its hard limit allows: the soft limit is low only for programs that use
/// `select`. The number of files that a run has open depends on it.
pub fn raise_descriptor_limit() {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    // If that is refused, the soft limit remains, and a run keeps within it.
    let _ = setrlimit(Resource::Nofile, wanted);
}

/// How a command ended, apart from its own answer.
#[derive(Debug)]
pub struct Ended {
    /// The run's report.
    pub report: RunReport,
    /// How its only job ended.
    pub end: End,
}

impl Deref for Ended {
    type Target = End;

    fn deref(&self) -> &End {
        &self.end
    }
}

impl DerefMut for Ended {
    fn deref_mut(&mut self) -> &mut End {
        &mut self.end
    }
}

/// How a job of a run ended, apart from its own answer.
#[derive(Debug, Clone, Copy)]
pub struct End {
    /// Whether something failed, and was reported.
    pub failed: bool,
    /// Whether the user ended it.
    pub interrupted: bool,
    /// Whether the reader of its rows went away.
    pub unread: bool,
    /// Whether its rows could not be written.
    pub lost: bool,
    /// Whether the run came to its end, so that its rows are all there are. Files that failed do not count.
    pub whole: bool,
}

impl End {
    /// The exit code: 128 plus the signal's number after a signal (130 for SIGINT), else 2 for failures, else the
    /// command's own answer.
    pub fn code(&self, answer: u8) -> ExitCode {
        ExitCode::from(self.number(answer))
    }

    /// The exit code as a number.
    pub fn number(&self, answer: u8) -> u8 {
        if self.interrupted {
            signals::code().unwrap_or(130)
        } else if self.failed {
            2
        } else {
            answer
        }
    }
}

/// Standard output, unbuffered, so that its errors are seen. A signal ends a wait for its reader. If the process was
/// started without standard output, each write fails.
///
/// # Errors
/// A message, if standard output cannot be opened.
pub fn stdout() -> Result<Output, String> {
    let stdout = match gristmill_stdio::check(gristmill_stdio::Stream::Out) {
        Ok(()) => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        // A write to a file that is open only for reading fails like a write to a closed descriptor.
        Err(_) => File::open("/dev/null"),
    };
    stdout
        .map(Output::new)
        .map_err(|error| format!("standard output: {error}; open it, or redirect it to /dev/null"))
}

/// The result of writing to standard output. A reader that went away is not a failure: the command ends quietly.
///
/// # Errors
/// A message about any other failure.
pub fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Ok(()) => Ok(()),
        // A signal came before the rows were read; the exit code says so.
        Err(error)
            if error.kind() == io::ErrorKind::BrokenPipe || source::Ended::is_said_by(&error) =>
        {
            Ok(())
        }
        Err(error) => Err(Destination::default().lost(&error)),
    }
}

/// Prints a command's whole answer.
///
/// # Errors
/// As of [`written`].
pub fn print(bytes: &[u8]) -> Result<(), String> {
    let mut output = stdout()?;
    written(output.write_all(bytes).and_then(|()| output.flush()))
}

/// Writes an error to standard error, in one line: control characters in names are escaped.
pub fn complain(error: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {}", escaped(error));
}

/// Writes an error that shows a place in a text to standard error, in several lines.
pub fn complain_in_lines(error: &str) {
    let lines: Vec<String> = error.split('\n').map(escaped).collect();
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {}", lines.join("\n"));
}

/// A text without what would move a terminal's cursor.
pub fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Says that a signal has ended a command.
pub fn tell_interrupted() {
    complain("interrupted: what was done so far is above");
}

/// Says that the log could not be written. Returns whether that is so.
pub fn is_record_lost(report: &RunReport, args: &ReportArgs) -> bool {
    if let (Err(error), Some(path)) = (&report.record, &args.record) {
        complain(&format!("{}: {error}", path.display()));
    }
    report.record.is_err()
}

/// Runs a job. A signal ends it early, progress is shown, and failures are reported.
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
) -> Result<Ended, String> {
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
) -> Result<Ended, String> {
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
    end.failed |= is_record_lost(&report, args);
    end.whole &= !unrecorded;
    if let Some(told) = tell(&report) {
        // Nothing can be done where standard error is closed.
        let _ = io::stderr().write_all(told.as_bytes());
    }
    if end.interrupted && !end.lost && !args.rows.is_file {
        tell_interrupted();
    }
    Ok(Ended { report, end })
}

/// Ends a command that has last rows of its own: writes them, and reports a failure.
pub fn write_last(output: &mut dyn Write, to: &Destination, rows: &[u8], ended: &mut End) {
    if ended.unread || ended.lost {
        return;
    }
    let written = output.write_all(rows).and_then(|()| output.flush());
    note_last(to, written, ended);
}

/// Reports a failure of writing last rows.
pub fn note_last(to: &Destination, written: io::Result<()>, ended: &mut End) {
    let Err(error) = written else { return };
    if error.kind() == io::ErrorKind::BrokenPipe || source::Ended::is_said_by(&error) {
        ended.unread = true;
    } else {
        ended.failed = true;
        complain(&to.lost(&error));
    }
    ended.lost = true;
}
