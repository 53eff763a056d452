//! What is wrong with a rule file, and where.

use std::fmt;
use std::path::{Path, PathBuf};

/// The number of characters that are shown of a line, on either side of the fault.
const SHOWN: usize = 60;

/// A rule file that cannot be used.
///
/// It is shown as `FILE:LINE:COLUMN: REASON`, with the line and a caret below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleError {
    path: PathBuf,
    /// What is wrong.
    reason: String,
    place: Option<Place>,
}

/// A place in a file, with the text around it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    line: usize,
    column: usize,
    shown: String,
    /// The number of characters in `shown` before the fault.
    before: usize,
}

impl RuleError {
    /// An error about a whole file.
    pub(crate) fn file(path: &Path, reason: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            place: None,
        }
    }

    /// An error about the place `offset` in `text`, which is all of the file.
    pub(crate) fn at(path: &Path, text: &[u8], offset: usize, reason: impl Into<String>) -> Self {
        let offset = offset.min(text.len());
        let line = memchr::memchr_iter(b'\n', &text[..offset]).count() + 1;
        let begin = memchr::memrchr(b'\n', &text[..offset]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &text[offset..]).map_or(text.len(), |rest| offset + rest);
        Self::in_line(path, &text[begin..end], line, offset - begin, reason)
    }

    /// An error about a line, from 1, of `text`, which is all of the file.
    pub(crate) fn at_line(
        path: &Path,
        text: &[u8],
        line: usize,
        reason: impl Into<String>,
    ) -> Self {
        let mut ends = memchr::memchr_iter(b'\n', text);
        let offset = match line {
            0 | 1 => 0,
            line => ends.nth(line - 2).map_or(text.len(), |newline| newline + 1),
        };
        Self::at(path, text, offset, reason)
    }

    /// An error about the byte `offset` of a line, of which `text` holds all; `line` counts from 1.
    pub(crate) fn in_line(
        path: &Path,
        text: &[u8],
        line: usize,
        offset: usize,
        reason: impl Into<String>,
    ) -> Self {
        let (before, after) = text.split_at(offset.min(text.len()));
        let before = String::from_utf8_lossy(before);
        let after = String::from_utf8_lossy(after);
        let column = before.chars().count();
        let first = column.saturating_sub(SHOWN);
        let visible = |character: char| {
            if character.is_control() {
                char::REPLACEMENT_CHARACTER
            } else {
                character
            }
        };
        let after = after.trim_end_matches('\r');
        let shown = before.chars().skip(first).chain(after.chars().take(SHOWN));
        Self {
            path: path.to_owned(),
            reason: reason.into(),
            place: Some(Place {
                line,
                column: column + 1,
                shown: shown.map(visible).collect(),
                before: column - first,
            }),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Line and column, both from 1; a column is a character. None if the file as a whole is meant.
    #[must_use]
    pub fn place(&self) -> Option<(usize, usize)> {
        let place = self.place.as_ref()?;
        Some((place.line, place.column))
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        let Some(place) = &self.place else {
            return write!(f, " {}", self.reason);
        };
        write!(f, "{}:{}: {}", place.line, place.column, self.reason)?;
        write!(f, "\n    {}\n    {:2$}^", place.shown, "", place.before)
    }
}

impl std::error::Error for RuleError {}
