//! The Aho-Corasick automaton of a set of patterns as a table, for the CPU ([`super::runs`]) and for devices
//! (`device/job.rs`). A search makes one load from the table for each byte of the text.
//!
//! Each state has a row, and the state's number is the index of its row's first word. A row has one column for each
//! class of bytes that no pattern distinguishes; the column holds the number of the next state. The last column says
//! which patterns end in the state. States in which no pattern ends come first, so one comparison decides whether a
//! state matches. Within each of the two parts, states are ordered by depth, so that the states that a search visits
//! most lie together.

use super::mode::ScanMode;
use std::collections::VecDeque;
use std::ops::Range;

/// Marks the number of a state that ends a pattern, until it is known where the rows of these states begin.
const ENDING: u32 = 1 << 31;

/// The most words that a table may take, so that row numbers fit into 31 bits.
const MAX_WORDS: usize = 1 << 28;

/// An Aho-Corasick automaton as a table.
#[derive(Clone)]
pub(crate) struct Table {
    byte_classes: [u8; 256],
    words: Vec<u32>,
    rows: usize,
    stride: usize,
    min_match_state: u32,
    longest: usize,
}

/// A state whose row is not yet made: the state of a prefix that patterns share.
struct Prefix {
    len: usize,
    /// The range in sorted order of the patterns that begin with this prefix.
    patterns: Range<usize>,
    /// The state of the longest proper suffix of the prefix that is also a prefix of a pattern.
    suffix: u32,
}

impl Table {
    /// Builds the table of a set in which no pattern is empty. Returns `None` if it would take more than `max_words`
    /// words of four bytes. While the table is built, it takes up to twice as much.
    pub(crate) fn build<'p>(
        patterns: impl Iterator<Item = &'p [u8]> + Clone,
        case_insensitive: bool,
        mode: ScanMode,
        max_words: usize,
    ) -> Option<Self> {
        let (classes, count) = byte_classes(patterns.clone().flatten(), case_insensitive);
        let class = |byte: &u8| classes[usize::from(*byte)];
        let mut sorted: Vec<(Vec<u8>, u32)> = patterns
            .zip(0..)
            .map(|(pattern, number)| (pattern.iter().map(class).collect(), number))
            .collect();
        sorted.sort_unstable();
        Builder {
            sorted: &sorted,
            stride: count + 1,
            mode,
            max_words: max_words.min(MAX_WORDS),
            rows: [Vec::new(), Vec::new()],
            ends: Vec::new(),
        }
        .build(classes)
    }

    /// The class of each byte value: its column in a row.
    pub(crate) fn byte_classes(&self) -> &[u8; 256] {
        &self.byte_classes
    }

    /// The rows. The first row belongs to the state before any pattern.
    pub(crate) fn rows(&self) -> &[u32] {
        &self.words[..self.rows]
    }

    /// The length of a row, in words.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The first state in which a pattern ends. A pattern ends in every state from this one on.
    pub(crate) fn min_match_state(&self) -> u32 {
        self.min_match_state
    }

    /// The length of the longest pattern, in bytes.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// The rows, followed by the data that their last columns refer to. In a set for lines, the last column is the
    /// length of the longest pattern that ends in the state. In a set for all occurrences, it is a place in these
    /// words: the number of patterns that end in the state lies there, followed by the number and the length of each,
    /// in order.
    pub(crate) fn words(&self) -> &[u32] {
        &self.words
    }

    /// The last column of a state's row.
    fn info(&self, state: u32) -> u32 {
        self.words[state as usize + self.stride - 1]
    }

    /// The length of the longest pattern that ends in a state, in bytes. Only for sets for lines.
    pub(crate) fn max_match_len(&self, state: u32) -> usize {
        self.info(state) as usize
    }

    /// The patterns that end in a state, in order: their numbers and lengths. Only for sets for all occurrences.
    pub(crate) fn ends(&self, state: u32) -> &[[u32; 2]] {
        let at = self.info(state) as usize;
        let count = self.words[at] as usize;
        self.words[at + 1..][..2 * count].as_chunks().0
    }
}

/// The class of each byte value, and the number of classes. Bytes that occur in no pattern share a class.
fn byte_classes<'p>(
    bytes: impl Iterator<Item = &'p u8>,
    case_insensitive: bool,
) -> ([u8; 256], usize) {
    let fold = |byte: u8| {
        if case_insensitive {
            byte.to_ascii_lowercase()
        } else {
            byte
        }
    };
    let mut occurs = [false; 256];
    for byte in bytes {
        occurs[usize::from(fold(*byte))] = true;
    }
    let mut classes = [0; 256];
    let mut count = usize::from((0..=u8::MAX).any(|byte| !occurs[usize::from(fold(byte))]));
    for byte in 0..=u8::MAX {
        if occurs[usize::from(byte)] {
            classes[usize::from(byte)] = u8::try_from(count).unwrap_or(u8::MAX);
            count += 1;
        }
    }
    for byte in 0..=u8::MAX {
        classes[usize::from(byte)] = classes[usize::from(fold(byte))];
    }
    (classes, count)
}

struct Builder<'p> {
    /// For each pattern, the classes of its bytes, and its number.
    sorted: &'p [(Vec<u8>, u32)],
    stride: usize,
    mode: ScanMode,
    max_words: usize,
    /// The rows of states in which no pattern ends, and the rows of those in which one does.
    rows: [Vec<u32>; 2],
    ends: Vec<u32>,
}

impl Builder<'_> {
    fn build(mut self, byte_classes: [u8; 256]) -> Option<Table> {
        let columns = self.stride - 1;
        let root = Prefix {
            len: 0,
            patterns: 0..self.sorted.len(),
            suffix: 0,
        };
        let mut queue = VecDeque::from([(self.add(&root)?, root)]);
        let mut row = vec![0; columns];
        // Breadth first: the suffix is shorter than the prefix, so its row is already complete.
        while let Some((state, prefix)) = queue.pop_front() {
            row.copy_from_slice(&self.row(prefix.suffix)[..columns]);
            let mut rest = prefix.patterns;
            while let Some((class, patterns)) = self.longer(&rest, prefix.len) {
                rest.start = patterns.end;
                let child = Prefix {
                    len: prefix.len + 1,
                    patterns,
                    suffix: row[usize::from(class)],
                };
                let child_state = self.add(&child)?;
                row[usize::from(class)] = child_state;
                queue.push_back((child_state, child));
            }
            self.row_mut(state)[..columns].copy_from_slice(&row);
        }
        Some(self.finish(byte_classes))
    }

    /// The first class that follows a prefix, and the range of patterns that continue with it.
    fn longer(&self, patterns: &Range<usize>, prefix: usize) -> Option<(u8, Range<usize>)> {
        let class = |at: usize| self.sorted[at].0.get(prefix).copied();
        // Patterns that end with this prefix come first.
        let from = patterns.clone().find(|at| class(*at).is_some())?;
        let first = class(from)?;
        let until = (from..patterns.end).find(|at| class(*at) != Some(first));
        Some((first, from..until.unwrap_or(patterns.end)))
    }

    /// Adds the state of a prefix. Its row does not contain the next states yet.
    fn add(&mut self, prefix: &Prefix) -> Option<u32> {
        let own = self.sorted[prefix.patterns.clone()]
            .iter()
            .take_while(|(pattern, _)| pattern.len() == prefix.len);
        let len = u32::try_from(prefix.len).ok()?;
        let mut ends: Vec<[u32; 2]> = own.map(|(_, number)| [*number, len]).collect();
        let info = match (self.mode, ends.is_empty()) {
            (_, true) if prefix.len == 0 => 0,
            (_, true) => self.row(prefix.suffix)[self.stride - 1],
            (ScanMode::Lines, false) => len,
            (ScanMode::All, false) => {
                if prefix.suffix & ENDING != 0 {
                    let at = self.row(prefix.suffix)[self.stride - 1] as usize;
                    let count = self.ends[at] as usize;
                    ends.extend(self.ends[at + 1..][..2 * count].as_chunks().0);
                    ends.sort_unstable();
                }
                let at = self.ends.len();
                self.ends.push(u32::try_from(ends.len()).ok()?);
                self.ends.extend(ends.as_flattened());
                u32::try_from(at).ok()?
            }
        };
        let ending = prefix.suffix & ENDING != 0 || !ends.is_empty();
        let rows = &mut self.rows[usize::from(ending)];
        let state = u32::try_from(rows.len()).ok()? | if ending { ENDING } else { 0 };
        rows.resize(rows.len() + self.stride - 1, 0);
        rows.push(info);
        let words = self.rows[0].len() + self.rows[1].len() + self.ends.len();
        (words <= self.max_words).then_some(state)
    }

    fn row(&self, state: u32) -> &[u32] {
        let rows = &self.rows[usize::from(state & ENDING != 0)];
        &rows[(state & !ENDING) as usize..][..self.stride]
    }

    fn row_mut(&mut self, state: u32) -> &mut [u32] {
        let rows = &mut self.rows[usize::from(state & ENDING != 0)];
        &mut rows[(state & !ENDING) as usize..][..self.stride]
    }

    /// Puts the parts one after the other.
    fn finish(self, byte_classes: [u8; 256]) -> Table {
        let [mut words, ending] = self.rows;
        let min_match_state = words.len();
        words.extend(ending);
        let rows = words.len();
        // All indices are below `MAX_WORDS`.
        let behind = |base: usize| u32::try_from(base).unwrap_or(ENDING);
        for row in words.chunks_exact_mut(self.stride) {
            let (next, _) = row.split_at_mut(self.stride - 1);
            for state in next {
                if *state & ENDING != 0 {
                    *state = (*state & !ENDING) + behind(min_match_state);
                }
            }
        }
        if self.mode == ScanMode::All {
            for row in words[min_match_state..].chunks_exact_mut(self.stride) {
                row[self.stride - 1] += behind(rows);
            }
            words.extend(self.ends);
        }
        Table {
            byte_classes,
            words,
            rows,
            stride: self.stride,
            min_match_state: behind(min_match_state),
            longest: self
                .sorted
                .iter()
                .map(|(pattern, _)| pattern.len())
                .max()
                .unwrap_or(0),
        }
    }
}
