//! How a command ends: its exit code, and its last rows.

use super::destination::Destination;
use super::messages::complain;
use super::signals;
use gristmill::source;
use std::io::{self, Write};
use std::process::ExitCode;

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
