//! What a scan found, counted as ripgrep counts.

use std::io::{self, Write};
use std::ops::AddAssign;
use std::time::Duration;

/// Counters of a scan, those of ripgrep's `--stats`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanTotals {
    /// Matches; for a scan for all occurrences, occurrences.
    pub matches: u64,
    /// Lines with a match.
    pub matched_lines: u64,
    /// Files with a match.
    pub searches_with_match: u64,
    /// Files that were searched.
    pub searches: u64,
    /// Bytes of rows.
    pub bytes_printed: u64,
    /// The bytes that decided the answer; for a file that was left early, those before the place where it was left.
    pub bytes_searched: u64,
    /// Time from a file's first chunk to its last row, summed over the files.
    pub elapsed: Duration,
}

impl AddAssign for ScanTotals {
    fn add_assign(&mut self, other: Self) {
        self.matches += other.matches;
        self.matched_lines += other.matched_lines;
        self.searches_with_match += other.searches_with_match;
        self.searches += other.searches;
        self.bytes_printed += other.bytes_printed;
        self.bytes_searched += other.bytes_searched;
        self.elapsed += other.elapsed;
    }
}

impl ScanTotals {
    /// Writes the totals as ripgrep's `--stats` does, after an empty line.
    ///
    /// # Errors
    /// The error of `output`.
    pub fn write_text(&self, output: &mut dyn Write, elapsed: Duration) -> io::Result<()> {
        write!(
            output,
            "\n{} matches\n{} matched lines\n{} files contained matches\n{} files searched\n{} bytes printed\n\
             {} bytes searched\n{:.6} seconds spent searching\n{:.6} seconds total\n",
            self.matches,
            self.matched_lines,
            self.searches_with_match,
            self.searches,
            self.bytes_printed,
            self.bytes_searched,
            self.elapsed.as_secs_f64(),
            elapsed.as_secs_f64()
        )
    }
}
