//! `scan --files` and `scan --type-list`, which search nothing.

use super::super::{messages, signals, stdout};
use super::args::ScanArgs;
use gristmill::source::{FileTypes, Item, Source};
use std::io::{self, BufWriter, IsTerminal, LineWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the list of a list's names is waited for before signals are looked for.
const WAIT: Duration = Duration::from_millis(50);

/// How paths are shown.
struct Shown {
    before: &'static str,
    after: &'static str,
    end: u8,
}

impl Shown {
    fn write(&self, path: &Path, output: &mut dyn Write) -> io::Result<()> {
        output.write_all(self.before.as_bytes())?;
        output.write_all(path.as_os_str().as_bytes())?;
        output.write_all(self.after.as_bytes())?;
        output.write_all(&[self.end])
    }
}

/// Lists the files of a source.
///
/// # Errors
/// A message, if nothing can be listed or written.
pub(super) fn files(args: &ScanArgs, mut source: Box<dyn Source>) -> Result<ExitCode, String> {
    let stop = signals::watch()?;
    let (before, after) = if args.color.colors(io::stdout().is_terminal()) {
        ("\x1b[0m\x1b[35m", "\x1b[0m")
    } else {
        ("", "")
    };
    let shown = Shown {
        before,
        after,
        end: if args.null { 0 } else { b'\n' },
    };
    let stdout = stdout::open()?;
    let mut output: Box<dyn Write> = if io::stdout().is_terminal() {
        Box::new(LineWriter::new(stdout))
    } else {
        Box::new(BufWriter::new(stdout))
    };
    let (mut found, mut failed) = (false, false);
    let complain = |text: &str| {
        if !args.walk.is_silent() {
            messages::complain(text);
        }
    };
    let mut written = Ok(());
    while !stop.load(Ordering::Relaxed) && written.is_ok() {
        match source.next_item() {
            None => break,
            Some(Item::Entry(entry)) => {
                found = true;
                if args.quiet {
                    break;
                }
                written = shown.write(&entry.path, &mut output);
            }
            Some(Item::Error { path, reason }) => {
                failed = true;
                let path = path.map(|path| format!("{}: ", path.display()));
                complain(&format!("{}{reason}", path.unwrap_or_default()));
            }
            Some(Item::Starved { path, reason }) => {
                failed = true;
                let _told = source.give_up();
                complain(&format!("{}: {reason}", path.display()));
            }
            Some(Item::Later) => {
                source.wait(WAIT);
            }
            Some(Item::Notice(text)) => complain(&text),
        }
    }
    stdout::written(written.and_then(|()| output.flush()))?;
    if stop.load(Ordering::Relaxed) {
        messages::tell_interrupted();
        return Ok(ExitCode::from(signals::code().unwrap_or(130)));
    }
    Ok(ExitCode::from(match (found, failed) {
        (true, _) if args.quiet => 0,
        (_, true) => 2,
        (true, false) => 0,
        (false, false) => 1,
    }))
}

/// Lists types of files.
///
/// # Errors
/// A message, if nothing can be written.
pub(super) fn types(types: &FileTypes) -> Result<ExitCode, String> {
    let mut output = BufWriter::new(stdout::open()?);
    let mut any = false;
    let mut write = || {
        for (name, globs) in types.definitions() {
            any = true;
            writeln!(output, "{name}: {}", globs.join(", "))?;
        }
        output.flush()
    };
    stdout::written(write())?;
    Ok(ExitCode::from(u8::from(!any)))
}
