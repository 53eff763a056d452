//! Rows that wait, in their order, for a keyword of their rule.

use std::collections::{BTreeMap, VecDeque};

/// The most bytes of rows that wait for keywords in each file.
pub const HELD_BYTES: usize = 1 << 20;

/// What a row that waits takes beside its bytes.
const OVERHEAD: usize = std::mem::size_of::<Row>();

/// Rows that wait.
#[derive(Debug, Default)]
pub(super) struct Held {
    rows: VecDeque<Row>,
    /// Bytes of `rows`, at most [`HELD_BYTES`].
    bytes: usize,
    /// The number of rows that wait only for those before them.
    free: usize,
    /// Whether a keyword was seen since rows were let go.
    pub ripe: bool,
    lost: BTreeMap<u32, Lost>,
}

#[derive(Debug)]
struct Row {
    bytes: Vec<u8>,
    /// The rule for whose keyword the row waits; none if it waits only for those before it.
    rule: Option<u32>,
}

/// Findings of a rule for which there was no room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lost {
    /// Their number.
    pub number: u64,
    /// The place of the first.
    pub first: u64,
}

impl Held {
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a row that waits for a keyword, of a rule and with its place, or for those before it. Returns the number of
    /// rows that were appended to `out`, for want of room: then those that wait for no keyword overtake those that do.
    pub fn push(&mut self, bytes: Vec<u8>, waits: Option<(u32, u64)>, out: &mut Vec<u8>) -> u64 {
        let size = bytes.len() + OVERHEAD;
        let mut written = 0;
        if self.bytes + size > HELD_BYTES {
            written = self.overtake(out);
        }
        match waits {
            Some((rule, offset)) if self.bytes + size > HELD_BYTES => {
                let first = Lost {
                    number: 0,
                    first: offset,
                };
                self.lost.entry(rule).or_insert(first).number += 1;
            }
            None if self.bytes + size > HELD_BYTES => {
                out.extend_from_slice(&bytes);
                written += 1;
            }
            _ => {
                self.bytes += size;
                let rule = waits.map(|(rule, _)| rule);
                self.free += usize::from(rule.is_none());
                self.rows.push_back(Row { bytes, rule });
            }
        }
        written
    }

    /// Appends the rows before the first that still waits for a keyword, if a keyword was seen. `seen` says whether one
    /// of a rule was. Returns their number.
    pub fn ripen(&mut self, seen: impl Fn(u32) -> bool, out: &mut Vec<u8>) -> u64 {
        let mut written = 0;
        if std::mem::take(&mut self.ripe) {
            while let Some(row) = self.rows.pop_front() {
                if row.rule.is_some_and(|rule| !seen(rule)) {
                    self.rows.push_front(row);
                    break;
                }
                self.bytes -= row.bytes.len() + OVERHEAD;
                self.free -= usize::from(row.rule.is_none());
                out.extend_from_slice(&row.bytes);
                written += 1;
            }
            for row in &mut self.rows {
                let waited = row.rule.is_some();
                row.rule = row.rule.filter(|rule| !seen(*rule));
                self.free += usize::from(waited && row.rule.is_none());
            }
        }
        written
    }

    /// No keyword will be seen any more: appends the rows that wait for none. Returns their number.
    pub fn finish(&mut self, out: &mut Vec<u8>) -> u64 {
        self.overtake(out)
    }

    /// The findings for which there was no room, by rule.
    pub fn lost(&self) -> impl Iterator<Item = (u32, Lost)> + '_ {
        self.lost.iter().map(|(rule, lost)| (*rule, *lost))
    }

    fn overtake(&mut self, out: &mut Vec<u8>) -> u64 {
        if std::mem::take(&mut self.free) == 0 {
            return 0;
        }
        let mut written = 0;
        let bytes = &mut self.bytes;
        self.rows.retain(|row| {
            if row.rule.is_none() {
                *bytes -= row.bytes.len() + OVERHEAD;
                out.extend_from_slice(&row.bytes);
                written += 1;
            }
            row.rule.is_some()
        });
        written
    }
}
