//! Images of stream jobs: what `kernel/stream.h` works with, as words that mean the same wherever they lie. The first word
//! is the opcode.
//!
//! SCAN is an Aho-Corasick automaton as a table: a row for each state, a column for each class of bytes that no pattern
//! tells apart, and in it where the row of the next state begins. A row's last column tells what ends in its state. Rows
//! whose states end no pattern come first, so whether a state matches is one comparison.

use crate::stream::{ScanMode, ScanSet, StreamJob};
use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::noncontiguous::{Builder, NFA};
use aho_corasick::{Anchored, MatchKind};
use gristmill_protocol::PipelineError;
use std::collections::hash_map::{Entry, HashMap};

/// Words of the image of SCAN.
pub mod scan {
    /// `FLAG_ALL` and `FLAG_EVERYTHING`.
    pub const FLAGS: usize = 1;
    /// Length of the longest pattern, in bytes.
    pub const LONGEST: usize = 2;
    /// The column of a row that tells what ends in its state. For a set that is asked for lines, the length of the longest
    /// pattern; for one that is asked for all occurrences, where in the image their number lies and behind it, for each,
    /// its pattern and its length.
    pub const INFO: usize = 3;
    /// Where the first row begins whose state ends a pattern, in words from `NEXT`.
    pub const MATCH: usize = 4;
    /// The class of each byte value, four to a word.
    pub const CLASSES: usize = 8;
    /// The rows. The first is that of the state before any pattern.
    pub const NEXT: usize = CLASSES + 64;
    /// The set is asked for all occurrences.
    pub const FLAG_ALL: u32 = 1;
    /// The empty pattern is in the set: everything matches.
    pub const FLAG_EVERYTHING: u32 = 2;
}

/// Words of the image of CRC32C.
pub mod crc {
    /// For each n below 32, x to the power of 8 * 2^n.
    pub const POWERS: usize = 8;
    /// Eight tables of 256 words: what a byte leaves behind after 0 to 7 more bytes.
    pub const TABLES: usize = 64;
}

/// Most words that the image of a SCAN may take: 1 GiB.
const MAX_WORDS: usize = 1 << 28;

/// The Castagnoli polynomial, its bits reversed: bit 31 is the coefficient of 1.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The image of a job.
///
/// # Errors
/// [`PipelineError::Backend`] for an opcode of the user's, which is host code, and for a set of patterns whose tables are
/// larger than 1 GiB.
pub fn image(job: &StreamJob) -> Result<Vec<u32>, PipelineError> {
    match job {
        StreamJob::Scan(set) => scan_image(job.opcode(), set, MAX_WORDS),
        StreamJob::Crc32c => Ok(crc_image(job.opcode())),
        StreamJob::Histogram | StreamJob::Lines => Ok(vec![job.opcode()]),
        StreamJob::Custom(..) => Err(PipelineError::Backend(
            "an opcode of the user's is host code and cannot run on a device; use a VIR0 program or `--backend cpu`"
                .into(),
        )),
    }
}

fn too_large() -> PipelineError {
    PipelineError::Backend(
        "the tables of these patterns take more than 1 GiB; use fewer or shorter patterns, or `--backend cpu`".into(),
    )
}

/// A number of words as a word; the limit on an image's size lies far below what it holds.
fn word(value: usize) -> Result<u32, PipelineError> {
    u32::try_from(value).map_err(|_| too_large())
}

/// Four bytes to a word, the first lowest.
fn pack(bytes: &[u8; 256]) -> impl Iterator<Item = u32> + '_ {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| u32::from_le_bytes(*four))
}

/// Bytes that no pattern tells apart share a class: class 0 occurs in none.
struct Classes {
    of: [u8; 256],
    /// For each class, a byte of it.
    members: Vec<u8>,
}

impl Classes {
    fn new(set: &ScanSet) -> Self {
        let fold = |byte: u8| {
            if set.case_insensitive() {
                byte.to_ascii_lowercase()
            } else {
                byte
            }
        };
        let mut occurs = [false; 256];
        for byte in set.searched().flatten() {
            occurs[usize::from(fold(*byte))] = true;
        }
        let unused = (0..=u8::MAX).find(|byte| !occurs[usize::from(fold(*byte))]);
        let used = (0..=u8::MAX).filter(|byte| occurs[usize::from(*byte)]);
        let members: Vec<u8> = unused.into_iter().chain(used).collect();
        let mut class_of = [0; 256];
        for (class, member) in (0..=u8::MAX).zip(&members) {
            class_of[usize::from(fold(*member))] = class;
        }
        let mut of = [0; 256];
        for byte in 0..=u8::MAX {
            of[usize::from(byte)] = class_of[usize::from(fold(byte))];
        }
        Self { of, members }
    }
}

fn scan_image(opcode: u32, set: &ScanSet, max_words: usize) -> Result<Vec<u32>, PipelineError> {
    let all = set.mode() == ScanMode::All;
    let everything = set.searched().any(<[u8]>::is_empty);
    let mut image = vec![0; scan::NEXT];
    image[0] = opcode;
    image[scan::FLAGS] =
        u32::from(all) * scan::FLAG_ALL + u32::from(everything) * scan::FLAG_EVERYTHING;
    image[scan::LONGEST] = word(set.longest())?;
    if everything {
        return Ok(image);
    }
    let nfa = Builder::new()
        .match_kind(MatchKind::Standard)
        .ascii_case_insensitive(set.case_insensitive())
        .prefilter(false)
        .build(set.searched())
        .map_err(|_| too_large())?;
    let classes = Classes::new(set);
    let states = States::walk(&nfa, &classes, max_words)?;
    let stride = classes.members.len() + 1;
    let places = states.places(&nfa, stride)?;
    image[scan::INFO] = word(stride - 1)?;
    image[scan::MATCH] = places.first_match;
    for (at, packed) in pack(&classes.of).enumerate() {
        image[scan::CLASSES + at] = packed;
    }
    let rows = stride * states.ids.len();
    image.resize(scan::NEXT + rows, 0);
    for (state, next) in states.next.chunks_exact(stride - 1).enumerate() {
        let row = scan::NEXT + places.of[state] as usize;
        for (column, next) in next.iter().enumerate() {
            image[row + column] = places.of[*next as usize];
        }
        let id = states.ids[state];
        if !nfa.is_match(id) {
            continue;
        }
        let mut ends: Vec<(u32, u32)> = (0..nfa.match_len(id))
            .map(|index| {
                let pattern = nfa.match_pattern(id, index);
                Ok((pattern.as_u32(), word(nfa.pattern_len(pattern))?))
            })
            .collect::<Result<_, PipelineError>>()?;
        if all {
            ends.sort_unstable();
            image[row + stride - 1] = word(image.len())?;
            image.push(word(ends.len())?);
            image.extend(
                ends.iter()
                    .flat_map(|(pattern, length)| [*pattern, *length]),
            );
            if image.len() > max_words {
                return Err(too_large());
            }
        } else {
            image[row + stride - 1] = ends.iter().map(|(_, length)| *length).max().unwrap_or(0);
        }
    }
    Ok(image)
}

/// The states that can be reached, breadth first, so that those that a search is mostly in lie together.
struct States {
    ids: Vec<StateID>,
    /// For each state, for each class, the number of the next state.
    next: Vec<u32>,
}

/// Where states' rows begin, in words from the first row.
struct Places {
    of: Vec<u32>,
    first_match: u32,
}

impl States {
    fn walk(nfa: &NFA, classes: &Classes, max_words: usize) -> Result<Self, PipelineError> {
        let start = nfa.start_state(Anchored::No).map_err(|_| too_large())?;
        let mut states = Self {
            ids: vec![start],
            next: Vec::new(),
        };
        let mut numbers = HashMap::from([(start, 0)]);
        let mut at = 0;
        while let Some(&state) = states.ids.get(at) {
            for &byte in &classes.members {
                let next = nfa.next_state(Anchored::No, state, byte);
                let number = match numbers.entry(next) {
                    Entry::Occupied(known) => *known.get(),
                    Entry::Vacant(new) => {
                        let number = word(states.ids.len())?;
                        states.ids.push(next);
                        *new.insert(number)
                    }
                };
                states.next.push(number);
            }
            if scan::NEXT + (classes.members.len() + 1) * states.ids.len() > max_words {
                return Err(too_large());
            }
            at += 1;
        }
        Ok(states)
    }

    fn places(&self, nfa: &NFA, stride: usize) -> Result<Places, PipelineError> {
        let mut of = vec![0; self.ids.len()];
        let mut row = 0;
        let mut first_match = 0;
        for matching in [false, true] {
            if matching {
                first_match = word(row)?;
            }
            for (state, id) in self.ids.iter().enumerate() {
                if nfa.is_match(*id) == matching {
                    of[state] = word(row)?;
                    row += stride;
                }
            }
        }
        Ok(Places { of, first_match })
    }
}

/// The register after one more byte of zero: its polynomial times x to the power of 8.
fn shift_byte(register: u32) -> u32 {
    (0..8).fold(register, |register, _| {
        (register >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(register & 1))
    })
}

/// The product of two polynomials, bit 31 the coefficient of 1, by the Castagnoli polynomial.
fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted) = (0, b);
    for bit in (0..32).rev() {
        if a >> bit & 1 != 0 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(shifted & 1));
    }
    product
}

fn crc_image(opcode: u32) -> Vec<u32> {
    let mut image = vec![0; crc::TABLES + 8 * 256];
    image[0] = opcode;
    let mut power = shift_byte(1 << 31);
    for at in 0..32 {
        image[crc::POWERS + at] = power;
        power = multiply(power, power);
    }
    for byte in 0..256_u32 {
        let mut left = byte;
        for table in 0..8 {
            left = shift_byte(left);
            image[crc::TABLES + table * 256 + byte as usize] = left;
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::{image, scan_image};
    use crate::stream::{ScanMode, ScanSet, StreamJob, StreamOpcode, StreamSlot};
    use gristmill_ring::{Outcome, RecordWriter};
    use std::sync::Arc;

    #[test]
    fn tables_above_the_limit_are_refused() {
        for mode in [ScanMode::Lines, ScanMode::All] {
            let set = ScanSet::build(&["abcd", "bcd", "d"], false, mode).unwrap();
            let fits = scan_image(1, &set, usize::MAX).unwrap().len();
            assert_eq!(scan_image(1, &set, fits).unwrap().len(), fits);
            let error = scan_image(1, &set, fits - 1).unwrap_err().to_string();
            assert!(error.contains("--backend cpu"), "{error}");
        }
    }

    struct Own;

    impl StreamOpcode for Own {
        fn run(
            &self,
            _: &[u8],
            _: &StreamSlot<'_>,
            _: &mut RecordWriter<'_>,
        ) -> Result<Outcome, u32> {
            Ok(Outcome::default())
        }
    }

    #[test]
    fn host_code_has_no_image() {
        let error = image(&StreamJob::Custom(0x200, Arc::new(Own)))
            .unwrap_err()
            .to_string();
        assert!(error.contains("--backend cpu"), "{error}");
    }
}
