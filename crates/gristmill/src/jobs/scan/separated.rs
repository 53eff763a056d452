//! The lines between files, where rows have headings or lines have context.

use std::io::{self, Write};

/// A writer for rows of which each file's begin with a line that separates files: it leaves out the first.
#[derive(Debug)]
pub struct Separated<W> {
    output: W,
    separator: Vec<u8>,
    begun: bool,
}

/// What follows the separator that rows begin with.
pub(super) fn after<'a>(rows: &'a [u8], separator: &[u8]) -> Option<&'a [u8]> {
    let rest = rows.strip_prefix(separator)?;
    rest.strip_prefix(b"\n").or(rest.strip_prefix(b"\r\n"))
}

impl<W: Write> Separated<W> {
    /// Writes to `output`. `separator` is what separates files, without its line end:
    /// [`ScanJob::between_files`](super::ScanJob::between_files).
    pub fn new(output: W, separator: impl Into<Vec<u8>>) -> Self {
        Self {
            output,
            separator: separator.into(),
            begun: false,
        }
    }
}

impl<W: Write> Write for Separated<W> {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if !self.begun {
            if let Some(rest) = after(rows, &self.separator) {
                self.begun = true;
                return Ok(rows.len() - rest.len()
                    + if rest.is_empty() {
                        0
                    } else {
                        self.output.write(rest)?
                    });
            }
            self.begun = !rows.is_empty();
        }
        self.output.write(rows)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
