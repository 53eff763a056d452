//! Files that are searched as a whole, because a match may span lines.
//!
//! As in ripgrep, such a file is in memory when it is searched: its chunks are joined as they land, and the search
//! follows at the file's end, by `grep-searcher` and `grep-printer`, which are ripgrep's own. All open files share one
//! limit ([`Whole`]). A file that does not fit is read again at its end, one at a time; one that is larger than the
//! limit, or cannot be read again, is an error.

mod print;

use super::carry::read_again;
use super::error::ScanErrorKind;
use super::plan::Plan;
use super::room::Whole;
use super::text::Text;
use crate::jobs::{FileEnd, LandedChunk};
use crate::source::{Entry, FileFacts};
use gristmill_ring::lock;
use std::sync::Arc;

/// A file that is searched as a whole.
pub(super) struct WholeFile {
    entry: Arc<Entry>,
    text: Text,
    bytes: Vec<u8>,
    /// Room that is taken for its bytes.
    taken: u64,
    /// It found no room.
    crowded: bool,
}

impl WholeFile {
    pub fn new(plan: &Plan, entry: &Arc<Entry>, facts: &FileFacts) -> Self {
        Self {
            entry: Arc::clone(entry),
            text: Text::new(plan, entry, facts),
            bytes: Vec::new(),
            taken: 0,
            crowded: false,
        }
    }

    /// Takes the next chunk.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>) -> bool {
        let Some(whole) = plan.whole.as_deref().filter(|_| chunk.first_part) else {
            return false;
        };
        if chunk.offset == 0 {
            self.text.sniff(chunk);
        }
        let begin = self.text.begin(chunk.offset).min(chunk.bytes.len());
        let piece = chunk.bytes.get(begin..).unwrap_or_default();
        if self.crowded {
            return false;
        }
        let length = piece.len() as u64;
        if whole.take(length) && self.bytes.try_reserve(piece.len()).is_ok() {
            self.taken += length;
            self.bytes.extend_from_slice(piece);
        } else {
            self.crowded = true;
            self.clear(whole);
        }
        false
    }

    fn clear(&mut self, whole: &Whole) {
        self.bytes = Vec::new();
        whole.give_back(std::mem::take(&mut self.taken));
    }

    /// Ends the file: searches it, if it was read to its end.
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let Some(whole) = plan.whole.as_deref() else {
            return;
        };
        if let FileEnd::Complete { bytes } = end {
            let searched = if self.crowded {
                let _one_more = lock(&whole.one_more);
                self.again(whole, *bytes)
                    .and_then(|bytes| self.search(plan, whole, &bytes, rows))
            } else {
                self.search(plan, whole, &self.bytes, rows)
            };
            if let Err(kind) = searched {
                plan.error(&self.entry.path, 0, kind);
            }
        }
        self.clear(whole);
    }

    /// Reads the file again.
    fn again(&self, whole: &Whole, bytes: u64) -> Result<Vec<u8>, ScanErrorKind> {
        if bytes > whole.most {
            return Err(ScanErrorKind::FileTooLarge { bytes });
        }
        let file = self.text.again();
        let file = file.ok_or(ScanErrorKind::StreamTooLarge { most: whole.most })?;
        let origin = self.text.origin;
        read_again(Some(file), origin, bytes.saturating_sub(origin)).map_err(|kind| match kind {
            ScanErrorKind::LineLost(error) => ScanErrorKind::FileLost(error),
            other => other,
        })
    }
}
