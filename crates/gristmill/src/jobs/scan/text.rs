//! How the text of a file is read: where it begins, what a NUL means in it, and which results of the device hold for it.

use super::binary::{Binary, BOM};
use super::facts::{Converted, Facts};
use super::plan::Plan;
use crate::jobs::LandedChunk;
use crate::source::{Entry, FileFacts, Origin};
use std::path::Path;

/// Whether a file has a nonzero size. Files of /proc do not, and cannot be mapped.
fn has_length(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0)
}

/// Where the text of a file begins, and how ripgrep reads it.
#[derive(Debug, Clone)]
pub(super) struct Text {
    pub binary: Binary,
    /// Where the text begins: after a byte order mark, if there is one.
    pub origin: u64,
    /// Whether ripgrep maps the file, rather than reading it.
    pub mapped: bool,
    /// Whether a byte order mark is looked for.
    marked: bool,
    /// Whether bytes of the file can be read again at their offsets.
    rereadable: bool,
    /// The open file.
    facts: FileFacts,
}

impl Text {
    pub fn new(plan: &Plan, entry: &Entry, facts: &FileFacts) -> Self {
        let mapped = plan.maps(entry) && has_length(&entry.path);
        let binary = match (plan.text, entry.explicit || plan.binary) {
            (true, _) => Binary::Text,
            (false, false) => Binary::Quit,
            (false, true) if mapped => Binary::Mapped,
            (false, true) => Binary::Stream,
        };
        Self {
            binary,
            origin: 0,
            mapped,
            marked: !plan.keep_mark,
            rereadable: matches!(entry.origin, Origin::File | Origin::Special),
            facts: facts.clone(),
        }
    }

    /// Looks at how the file begins. `chunk` is its first.
    pub fn sniff(&mut self, chunk: &LandedChunk<'_>) {
        self.rereadable &= !chunk.stream && !chunk.decoded;
        // What is decoded has no mark any more.
        let marked = self.marked && !chunk.decoded && chunk.bytes.starts_with(BOM);
        if marked {
            self.origin = BOM.len() as u64;
        }
        if marked || chunk.decoded {
            self.mapped = false;
            if self.binary == Binary::Mapped {
                self.binary = Binary::Stream;
            }
        }
    }

    /// The open file from which lines can be read again, if they can.
    pub fn again(&self) -> Option<&FileFacts> {
        self.rereadable.then_some(&self.facts)
    }

    /// The first byte of the chunk at `offset` that is text.
    pub fn begin(&self, offset: u64) -> usize {
        usize::try_from(self.origin.saturating_sub(offset)).unwrap_or(0)
    }

    /// The facts about a chunk, without a byte order mark.
    pub fn facts(&self, plan: &Plan, chunk: &LandedChunk<'_>) -> Facts {
        let mut facts = Facts::from_results(&chunk.results);
        if self.binary == Binary::Text {
            facts.first_nul = None;
        }
        let begin = self.begin(chunk.offset);
        // Of a regex the device tells nothing about the line that the chunk begins with.
        if begin > 0 && chunk.first_part && plan.regex.is_none() {
            let end = facts.first_newline.unwrap_or(chunk.bytes.len());
            let head = &chunk.bytes[begin.min(end)..end];
            facts.head_match = plan.matcher().is_match(head);
            facts.first_match = plan.matcher().find_at(chunk.bytes, begin).map(|m| m.0);
            if facts.first_newline.is_none() {
                facts.tail_match = facts.head_match;
            }
        }
        facts
    }

    /// What the host must search itself of a chunk's `original` bytes, from `begin` on, where the device's results are
    /// `facts`; `None` if these hold.
    pub fn converted(
        &self,
        plan: &Plan,
        original: &[u8],
        begin: usize,
        facts: &Facts,
    ) -> Option<Converted> {
        if facts.first_nul.is_some() && self.binary == Binary::Stream {
            return Some(Converted::new(original, begin, plan.matcher()));
        }
        plan.knows_better(original).then(|| {
            let mut searched = Converted::searched(original.to_vec(), begin, plan.matcher());
            searched.facts.first_nul = facts.first_nul;
            searched
        })
    }
}
