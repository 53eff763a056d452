//! A part of a longer text.

use std::ops::Range;

/// A part of a longer text, for [`RegexSet::find_in`](super::RegexSet::find_in).
#[derive(Debug, Clone)]
pub struct Part<'a> {
    /// The bytes that are there: those in which matches may begin, and some around them, which matches may reach into and
    /// which look-arounds see. If there are bytes before these in the longer text, at least 4 of them should be here.
    pub text: &'a [u8],
    /// Where in `text` matches may begin.
    pub starts: Range<usize>,
    /// Whether the longer text ends where `text` does.
    pub ends: bool,
}

impl<'a> Part<'a> {
    /// All of a text.
    #[must_use]
    pub fn whole(text: &'a [u8]) -> Self {
        Self {
            text,
            starts: 0..text.len(),
            ends: true,
        }
    }

    /// No match that is wanted begins here or later. An empty one may begin at the very end.
    pub(super) fn limit(&self) -> usize {
        if self.ends && self.starts.end >= self.text.len() {
            self.text.len() + 1
        } else {
            self.starts.end
        }
    }
}
