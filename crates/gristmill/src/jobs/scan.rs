//! Scanning files for strings and regexes, with ripgrep's results.
//!
//! The device searches each chunk as it lands, independently of its neighbours; this job, the host's half, is given the
//! chunks of a file in order and turns them into rows. The results are those of `rg`: which lines match, how they are
//! printed and counted, how binary files are treated. Each file is handled by one of these modules, the cheapest for
//! the requested report:
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
//! - Files are decompressed in the process, not by other programs; `.Z` is not supported. The end of a damaged file's
//!   rows may differ by some bytes.
//! - ripgrep reads decoded text in other portions than plain text, which affects the lines that it prints before a NUL.
//! - Strings are bytes, and need not be UTF-8 (then only ASCII letters match case-insensitively); there may be
//!   1,000,000 patterns.
//! - A regex's anchors of the whole text, `\A` and `\z`, match at the ends of a line wherever matches are shown.
//! - With [`invert`](ScanJobBuilder::invert), a limit and lines after the last match, ripgrep marks one more line as a
//!   match if its buffer ends there.
//! - The automaton that a regex builds while it searches takes at most 32 MiB a thread, not 1 GB.
//! - ripgrep's line buffer stays as large as earlier files' lines made it, so that ripgrep reads further into binary
//!   files before it decides; here each file begins with 64 KiB. A pipe is assumed to deliver as much as each read asks
//!   for.
//!
//! Patterns are strings, unless [`regex`](ScanJobBuilder::regex) makes them regexes. Regexes that are plain strings are
//! searched for as strings, by engines that are faster with many of them. Everything that needs a regex (words, whole
//! lines, case-insensitive non-ASCII letters) is searched for by `grep-regex`, ripgrep's own, on the CPU: no device
//! runs it. It reports which of a chunk's complete lines match; a line that spans chunks is joined and searched by the
//! host.
//!
//! Other lines may be shown, too: those around a match, or all ([`context`](ScanJobBuilder::context),
//! [`all_lines`](ScanJobBuilder::all_lines)). Those of earlier chunks are kept, or read again. If a match may span
//! lines ([`multiline`](ScanJobBuilder::multiline)), files are held in memory as a whole, up to a limit, and searched
//! by `grep-searcher` and `grep-printer`.
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
