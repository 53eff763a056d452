//! A run that is about to begin: what it writes, how signals end it, and where its errors go.

use super::destination::Destination;
use super::end::End;
use super::messages::complain;
use super::outputs::{self, Replaces};
use super::progress::{Estimate, Shown};
use super::report_args::ReportArgs;
use super::signals::{self, Output};
use super::{advice, stdout};
use gristmill::megakernel::log::MAGIC;
use gristmill::mill::{Control, FileError, FileErrorKind};
use gristmill::source::{self, FileId, Source};
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// The files that a run writes.
#[derive(Default)]
struct Outputs {
    log: Option<File>,
    /// The identities of these files, and whether they are read as empty ones.
    written: Vec<(FileId, bool)>,
}

/// Opens the log, if one is asked for, and names what is written to the source.
fn open_outputs(
    path: Option<&Path>,
    rows: &[&Destination],
    source: &mut impl Source,
) -> Result<Outputs, String> {
    let mut all = Outputs::default();
    for rows in rows {
        for &file in &rows.written {
            if let Some(named) = source.written(file) {
                return Err(format!(
                    "{}: it would be overwritten, and is {}, which is read; name another output",
                    rows.name,
                    named.display()
                ));
            }
            all.written.push((file, false));
        }
    }
    if let Some(file) = FileId::of_redirected_stdout() {
        let empty = stdout::open()?.is_empty();
        all.written.push((file, empty));
    }
    let Some(path) = path else {
        return Ok(all);
    };
    let shown = path.display();
    let own = Replaces::Own {
        magic: &MAGIC,
        name: "a ring log",
    };
    let opened = outputs::open(path, own, |file| {
        source
            .written(file)
            .map(|named| named.display().to_string())
    });
    let log = opened.map_err(|why| format!("{shown}: {why}; record to another file"))?;
    let file = FileId::of(&log).map_err(|error| format!("{shown}: {error}"))?;
    // An old log has been named to the source already; a new one has not.
    source.written(file);
    all.written.push((file, false));
    all.log = Some(log);
    Ok(all)
}

/// A run that is about to begin: its control, its display of progress, and what it has seen to fail.
pub struct Session {
    /// What the run is followed and ended by.
    pub control: Control,
    /// Its display of progress.
    pub shown: Shown,
    /// Whether the run was cut short by a failure.
    cut_short: Arc<AtomicBool>,
}

impl Session {
    /// Prepares a run whose rows go to these places. Errors about files are told, and given to `also`.
    ///
    /// # Errors
    /// A message about a file that cannot or must not be written.
    pub fn start(
        source: &mut impl Source,
        rows: &[&Destination],
        args: &ReportArgs,
        estimate: Option<Estimate>,
        mut also: impl FnMut(&FileError) + Send + 'static,
    ) -> Result<Self, String> {
        let outputs = open_outputs(args.record.as_deref(), rows, source)?;
        let mut control = Control::with_stop(signals::watch()?);
        for (file, empty) in outputs.written {
            control = control.writing(file, empty);
        }
        if let Some(log) = outputs.log {
            control = control.record(Output::new(log));
        }
        let shown = Shown::start(control.progress(), estimate, !args.no_progress);
        let told = shown.clone();
        let silent = args.silent;
        let cut_short = Arc::new(AtomicBool::new(false));
        let cut = Arc::clone(&cut_short);
        let control = control.on_error(move |error| {
            if matches!(
                error.kind,
                FileErrorKind::KernelFailed(_) | FileErrorKind::ReaderPanicked
            ) {
                cut.store(true, Ordering::Relaxed);
            }
            also(error);
            if silent && advice::is_about_reading(error) {
                return;
            }
            told.aside(|| complain(&advice::file(error)));
        });
        Ok(Self {
            control,
            shown,
            cut_short,
        })
    }

    /// How a job ended whose rows were written with this result. Says what failed of that.
    pub fn end(
        &self,
        output: &io::Result<()>,
        rows: &Destination,
        stopped: bool,
        failed: bool,
    ) -> End {
        let mut end = End {
            failed,
            interrupted: false,
            unread: false,
            lost: output.is_err(),
            whole: false,
        };
        let mut given_up = false;
        if let Err(error) = output {
            end.unread = error.kind() == io::ErrorKind::BrokenPipe;
            given_up = source::Ended::is_said_by(error);
            if !end.unread && !given_up {
                end.failed = true;
                complain(&rows.lost(error));
            }
        }
        end.interrupted = given_up || stopped && output.is_ok();
        if given_up {
            complain("interrupted: rows that nobody took are lost");
        }
        end.whole = !end.interrupted && output.is_ok() && !self.cut_short.load(Ordering::Relaxed);
        end
    }
}
