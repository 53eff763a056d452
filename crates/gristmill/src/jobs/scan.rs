//! Scanning files for strings and regexes, with ripgrep's answers.
//!
//! The device searches each chunk as it lands, without knowing its neighbours; this job, the host's half, is given the
//! chunks of a file in order and makes rows of them. The answers are those of `rg`: which lines, how they are
//! printed and counted, what happens to binary files. Each file is handled by one of these modules, whichever is
//! cheapest for the report that was asked for:
//!
//! - `lines`: every matching line is needed, to be printed or to have its matches counted;
//! - `count`: a number for each file ([`Report::Count`], [`Report::PathsWithout`]), or whether there is a match
//!   ([`Report::Paths`], [`Report::Quiet`]); the host then does nothing for a line;
//! - `whole`: a match may span lines, so the file is searched as a whole, by the host;
//! - `all`: every occurrence, including overlapping ones, without regard to lines.
//!
//! Around them: `text` (where a file's text begins, and how it is read), `facts` (what a slot's results say), `carry`
//! (lines that span chunks), `held_lines` (lines that a NUL may undo), `kept` (lines that may be shown before a match),
//! `shown` (which those are), `room` (the memory of `whole`), `binary` (how far ripgrep would have read), `matcher`
//! (searching on the host, where single matches are shown, and lines of regexes span chunks), `fold` (letters outside
//! ASCII that are ASCII letters in another case), `line`, `printer`, `shaped`, `colored`, `json`, `table` and `decimal`
//! (rows), `separated` (the lines between files), `totals` and `error` (what is reported about all files), `plan` (the
//! settings, from `report` and `builder`), `job` (the job itself).
//!
//! What differs from ripgrep 15:
//!
//! - Files are decompressed in the process, and not by other programs; `.Z` is not. Where a damaged file's rows end may
//!   differ by some bytes.
//! - Of text that is decoded, ripgrep reads other portions than of plain text, which changes the lines before a NUL that
//!   it prints.
//! - Strings are bytes, and need not be UTF-8 (then only ASCII letters match in either case); there may be 1,000,000 patterns.
//! - A regex's anchors of the whole text, `\A` and `\z`, are those of a line wherever matches are shown.
//! - With [`invert`](ScanJobBuilder::invert), a limit and lines after the last one that is found, ripgrep shows a line as
//!   found where its buffer ends.
//! - The automaton that a regex builds while it searches takes at most 32 MiB a thread, and not 1 GB.
//! - ripgrep's line buffer stays as large as earlier files' lines made it, so that ripgrep reads further into binary
//!   files before it decides; here each file begins with 64 KiB. A pipe is assumed to deliver as much as each read asks
//!   for.
//!
//! Patterns are strings, unless [`regex`](ScanJobBuilder::regex) says that they are regexes. Regexes that are no more than
//! strings are searched for as strings, by engines that are faster with many of them. What only a regex can find (words,
//! whole lines, letters outside ASCII in either case) is searched for by `grep-regex`, ripgrep's own, on the CPU: no
//! device runs it. The device then tells which of a chunk's complete lines match; a line that spans chunks is joined and
//! searched by the host.
//!
//! Other lines may be shown, too: those around a match, or all ([`context`](ScanJobBuilder::context),
//! [`all_lines`](ScanJobBuilder::all_lines)). Those of earlier chunks are kept, or read again. Where a match may span lines
//! ([`multiline`](ScanJobBuilder::multiline)), files are in memory as a whole, within a bound, and searched by
//! `grep-searcher` and `grep-printer`.
//!
//! A line longer than 8 MiB is not kept in memory while its end has not been read; if it matches, it is read again, and
//! is in memory as a whole while its row is made. A stream and a file that is decoded cannot be read again, so such a
//! line is counted, but an error is reported instead of a row. The same happens to a line longer than
//! [`max_line_bytes`](ScanJobBuilder::max_line_bytes), which bounds the memory that rows take. Such a line, where it spans
//! chunks, cannot be searched for a regex at all: an error names it, whatever the report.
//!
//! ```
//! use gristmill::jobs::scan::{Report, ScanJob};
//!
//! let job = ScanJob::builder()
//!     .pattern("needle")
//!     .pattern("pin")
//!     .report(Report::Count)
//!     .build()?;
//! assert!(!job.found());
//! # Ok::<(), gristmill::PipelineError>(())
//! ```

mod all;
mod binary;
mod builder;
mod carry;
pub(in crate::jobs) mod colored;
mod count;
pub(in crate::jobs) mod decimal;
mod error;
mod facts;
mod fold;
mod held_lines;
mod job;
pub(in crate::jobs) mod json;
mod kept;
mod line;
mod lines;
mod matcher;
mod plan;
mod printer;
mod report;
mod room;
mod separated;
mod shaped;
mod shown;
mod table;
mod text;
mod totals;
mod whole;

#[cfg(test)]
mod joined_tests;
#[cfg(test)]
mod tests;

pub use builder::ScanJobBuilder;
pub use error::{ScanBuildError, ScanError, ScanErrorKind};
pub use gristmill_patterns::{vector_unit, PatternError, Place};
pub use job::{ScanFile, ScanJob};
pub use report::Report;
pub use separated::Separated;
pub use table::line_schema;
pub use totals::ScanTotals;
