//! A line that is shown.

use super::matcher::Replaced;

/// A matching line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    /// Its bytes, with its newline if it has one.
    pub bytes: &'a [u8],
    /// Where it begins in the file's text.
    pub offset: u64,
    /// Its number, from 1, where numbers are shown.
    pub number: u64,
    /// Whether it is shown because it stands near a line that is looked for, or because all lines are.
    pub context: bool,
    /// The line as it is shown, if its matches are replaced.
    pub replaced: Option<&'a Replaced>,
}
