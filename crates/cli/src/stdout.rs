//! Standard output, as all commands write to it.

use super::destination::Destination;
use super::signals::Output;
use gristmill::source;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// Standard output, unbuffered, so that its errors are seen. A signal ends a wait for its reader. If the process was
/// started without standard output, each write fails.
///
/// # Errors
/// A message, if standard output cannot be opened.
pub fn open() -> Result<Output, String> {
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
    let mut output = open()?;
    written(output.write_all(bytes).and_then(|()| output.flush()))
}
