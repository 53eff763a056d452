//! The empty lines between files, where rows have headings.

use std::io::{self, Write};

/// A writer for rows with headings, which leaves out the empty line before the run's first file.
#[derive(Debug)]
pub struct Separated<W> {
    output: W,
    begun: bool,
}

impl<W: Write> Separated<W> {
    /// Writes to `output`.
    pub fn new(output: W) -> Self {
        Self {
            output,
            begun: false,
        }
    }
}

impl<W: Write> Write for Separated<W> {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if !self.begun {
            if let Some(rest) = rows.strip_prefix(b"\n").or(rows.strip_prefix(b"\r\n")) {
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
