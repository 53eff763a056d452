//! The facts about a chunk: the device's result words by name, or the same facts found by the host.

use super::matcher::Matcher;
use crate::jobs::{LandedChunk, Records};
use gristmill_protocol::completion::RESULTS;
use gristmill_protocol::stream::{self, ScanResults, NONE};
use memchr::{memchr, memchr_iter, memrchr};

/// The lines and matches of a chunk. Positions are relative to the chunk's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// Matching lines that lie wholly between the first and the last newline, of this part of the results.
    pub interior: u64,
    /// The number of newlines, if the mode asks for it.
    pub newlines: u64,
    /// The first newline.
    pub first_newline: Option<usize>,
    /// The last newline.
    pub last_newline: Option<usize>,
    /// Whether a match lies before the first newline.
    pub head_match: bool,
    /// Whether a match lies after the last newline.
    pub tail_match: bool,
    /// The first NUL, if the mode asks for it.
    pub first_nul: Option<usize>,
    /// Where the first match begins.
    pub first_match: Option<usize>,
}

fn position(word: u32) -> Option<usize> {
    (word != NONE).then_some(word as usize)
}

impl Facts {
    /// Reads the result words of a SCAN slot.
    pub fn from_results(results: &[u32; RESULTS]) -> Self {
        let results = ScanResults::decode(results);
        Self {
            interior: results.matches.into(),
            newlines: results.newlines.into(),
            first_newline: position(results.first_newline),
            last_newline: position(results.last_newline),
            head_match: results.edges & stream::HEAD_MATCH != 0,
            tail_match: results.edges & stream::TAIL_MATCH != 0,
            first_nul: position(results.first_nul),
            first_match: position(results.first_match),
        }
    }
}

/// A chunk that the host has searched itself: one in which every NUL ends a line, as in ripgrep's view of binary files
/// that it does not map, or one of which the device's results do not hold.
#[derive(Debug, Default)]
pub(super) struct Converted {
    /// The bytes, with a newline in the place of each NUL where that ends a line.
    pub bytes: Vec<u8>,
    /// The facts about these bytes. `first_nul` is that of the original bytes.
    pub facts: Facts,
    /// Start and end of the matching lines between the first and the last newline.
    pub records: Vec<(u32, u32)>,
}

impl Converted {
    /// Converts and searches `original` from byte `begin` on; the bytes before are kept but belong to no line.
    pub fn new(original: &[u8], begin: usize, matcher: &Matcher) -> Self {
        let mut bytes = original.to_vec();
        for byte in bytes.iter_mut().filter(|byte| **byte == 0) {
            *byte = b'\n';
        }
        let mut converted = Self::searched(bytes, begin, matcher);
        converted.facts.first_nul = memchr(0, original);
        converted
    }

    /// Searches bytes as they are.
    pub fn searched(bytes: Vec<u8>, begin: usize, matcher: &Matcher) -> Self {
        let mut facts = Facts {
            newlines: memchr_iter(b'\n', &bytes).count() as u64,
            first_newline: memchr(b'\n', &bytes),
            last_newline: memrchr(b'\n', &bytes),
            ..Facts::default()
        };
        let mut records = Vec::new();
        // Of a regex nothing is told about lines that may go on in other chunks.
        let (mut at, until) = match (facts.first_newline, facts.last_newline) {
            _ if !matcher.needs_lines() => (begin, bytes.len()),
            (Some(first), Some(last)) => (first + 1, last + 1),
            _ => (0, 0),
        };
        while let Some((start, _)) = bytes
            .get(..until)
            .and_then(|text| matcher.find_at(text, at))
        {
            let first = memrchr(b'\n', &bytes[at..start]).map_or(at, |newline| at + newline + 1);
            let end = memchr(b'\n', &bytes[start..]).map(|newline| start + newline + 1);
            facts.first_match = facts.first_match.or(Some(start));
            let Some(end) = end else {
                facts.tail_match = true;
                facts.head_match |= facts.first_newline.is_none();
                break;
            };
            if facts.first_newline.is_some_and(|newline| start <= newline) {
                facts.head_match = true;
            } else {
                facts.interior += 1;
                records.push((narrow(first), narrow(end)));
            }
            at = end;
            if at == until {
                break;
            }
        }
        Self {
            bytes,
            facts,
            records,
        }
    }
}

/// A chunk, as the device or a [`Converted`] describes it.
pub(super) struct View<'a> {
    pub offset: u64,
    pub bytes: &'a [u8],
    /// First byte that is part of the text.
    pub begin: usize,
    pub facts: Facts,
    pub records: Records<'a>,
    pub first: bool,
    pub last: bool,
    /// Whether the chunk's end is the end of one read of a stream.
    pub stream: bool,
}

impl<'a> View<'a> {
    /// A part of a chunk, whose text begins at byte `begin`.
    pub fn of_part(chunk: &LandedChunk<'a>, begin: usize, facts: Facts) -> Self {
        Self {
            offset: chunk.offset,
            bytes: chunk.bytes,
            begin,
            facts,
            records: chunk.records,
            first: chunk.first_part,
            last: chunk.last_part,
            stream: chunk.stream,
        }
    }

    /// All parts of a chunk at once, as they were converted.
    pub fn of_converted(chunk: &LandedChunk<'_>, begin: usize, converted: &'a Converted) -> Self {
        Self {
            offset: chunk.offset,
            bytes: &converted.bytes,
            begin,
            facts: converted.facts,
            records: Records::List(&converted.records),
            first: true,
            last: true,
            stream: chunk.stream,
        }
    }
}

/// A position in a chunk, which is always shorter than 4 GiB.
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(bytes: &[u8], pattern: &str) -> Converted {
        Converted::new(
            bytes,
            0,
            &Matcher::new(&[pattern.as_bytes().to_vec()], false).unwrap(),
        )
    }

    #[test]
    fn every_nul_ends_a_line() {
        let chunk = converted(b"a\0ba\nc\0a", "a");
        assert_eq!(chunk.bytes, b"a\nba\nc\na");
        assert_eq!(chunk.records, [(2, 5)]);
        assert_eq!(
            chunk.facts,
            Facts {
                interior: 1,
                newlines: 3,
                first_newline: Some(1),
                last_newline: Some(6),
                head_match: true,
                tail_match: true,
                first_nul: Some(1),
                first_match: Some(0),
            }
        );
    }

    #[test]
    fn a_chunk_without_a_line_end_is_head_and_tail() {
        let chunk = converted(b"xax", "a");
        assert!(chunk.facts.head_match && chunk.facts.tail_match);
        assert_eq!(chunk.facts.interior, 0);
        let chunk = converted(b"a\n", "a");
        assert!(chunk.facts.head_match && !chunk.facts.tail_match);
    }
}
