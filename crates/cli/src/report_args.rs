//! The flags that say what a run reports besides its rows.

use super::collected::Collected;
use super::destination::Destination;
use super::messages::complain;
use gristmill::mill::RunReport;
use std::path::PathBuf;

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

    /// Record every slot that runs and its results in this file, for `gristmill replay` to run again. The file is
    /// created, or replaces an earlier log; any other file is left unchanged. The run does not read it. A slot, which
    /// is a chunk of a file, takes 160 bytes plus the file's path and the slot's results: 1,024 bytes for `stats`, 8
    /// for each record of `scan` and `run` and each accumulator. The bytes of standard input and FIFOs, which cannot be
    /// read again, are all recorded. Logs support scans for lines and for every occurrence of strings, digests by a
    /// single algorithm, which must be BLAKE3 or CRC-32C, `stats` and `run`, whether a device or the CPU runs them; all
    /// other runs are refused with this flag.
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

    /// Whether the log could not be written, which is told.
    pub fn is_record_lost(&self, report: &RunReport) -> bool {
        if let (Err(error), Some(path)) = (&report.record, &self.record) {
            complain(&format!("{}: {error}", path.display()));
        }
        report.record.is_err()
    }
}
