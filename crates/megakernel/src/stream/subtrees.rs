//! BLAKE3 as a tree: what a chunk of a file gives to it.
//!
//! A *subtree* is a power of two of leaves, at a multiple of its own size; at the end of a file it may be shorter. A
//! worker hashes the subtrees that a chunk of the file consists of, in any order with those of other chunks, and the host
//! joins their chaining values from the left to the right. Only the root differs: it is finished in another way than the
//! node of a subtree, so of a file whose end may be the chunk's end, there are always two subtrees to be joined, or the
//! root itself. [`gristmill_protocol::stream`] says which parts a chunk has; `kernel/blake3.h` leaves the same on devices.

use super::slot::StreamSlot;
use super::StreamOpcode;
use blake3::hazmat::{max_subtree_len, ChainingValue, HasherExt};
use blake3::Hasher;
use gristmill_protocol::completion::RESULTS;
use gristmill_protocol::fault;
use gristmill_protocol::stream::{
    BLAKE3_LEAF_BYTES, BLAKE3_VALUE_WORDS, RECORD_WORDS, RESULT_PARTS, RESULT_ROOT, WITHOUT_TREE,
};
use gristmill_ring::{Outcome, RecordWriter};

/// Bytes of a leaf. Chunks begin at multiples of it, so that they consist of whole leaves; only the last chunk of a file
/// ends elsewhere. That is so in all files but streams.
pub const LEAF: usize = BLAKE3_LEAF_BYTES as usize;

/// Words of a chaining value and of a root.
const VALUE_WORDS: usize = BLAKE3_VALUE_WORDS as usize;

/// Bytes of a chaining value and of a root.
pub const VALUE: usize = VALUE_WORDS * 4;

/// What a chunk gives to the tree, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The root of a file that consists of this chunk alone.
    Root([u8; VALUE]),
    /// The chaining value of a subtree.
    Subtree(ChainingValue),
}

/// Hashes the chunk at `offset`, and gives its parts. `more` is asked from time to time whether to go on.
pub fn parts(
    mut bytes: &[u8],
    mut offset: u64,
    more: impl Fn() -> bool,
    mut give: impl FnMut(Part),
) {
    // The chunks of a file that is no stream have a size of some blocks of 4,096 bytes, but for the last.
    let last = !bytes.len().is_multiple_of(LEAF);
    if offset == 0 && (last || bytes.len() == LEAF) {
        if let Some(root) = hashed(Hasher::new(), bytes, &more) {
            give(Part::Root(root.finalize().into()));
        }
        if last {
            return;
        }
    }
    while !bytes.is_empty() {
        let size = piece(bytes.len(), offset, last);
        let (subtree, rest) = bytes.split_at(size);
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        let Some(hasher) = hashed(hasher, subtree, &more) else {
            return;
        };
        give(Part::Subtree(hasher.finalize_non_root()));
        bytes = rest;
        offset += size as u64;
    }
}

/// The bytes that are hashed before `more` is asked again.
const LOOK_BYTES: usize = 1 << 20;

/// The hasher with all of `bytes`; `None` if it is not to go on.
fn hashed(mut hasher: Hasher, bytes: &[u8], more: impl Fn() -> bool) -> Option<Hasher> {
    for part in bytes.chunks(LOOK_BYTES) {
        if !more() {
            return None;
        }
        hasher.update(part);
    }
    Some(hasher)
}

/// The length of the next subtree, where `len` bytes are left from `offset` on. `last` says whether the file ends with
/// them.
pub fn piece(len: usize, offset: u64, last: bool) -> usize {
    // Without a remainder, a power of two of leaves; at most a gigabyte.
    let whole = 1 << (usize::BITS - 1 - len.max(1).leading_zeros());
    match max_subtree_len(offset) {
        // At the beginning of a file any size is possible, but a file that ends here needs two subtrees for its root.
        None if whole == len && len > LEAF => len / 2,
        None => whole.min(len),
        Some(most) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            if last && len <= most {
                len
            } else {
                whole.min(most)
            }
        }
    }
}

/// Leaves the parts of a chunk in its slot's area, and their number in the results.
///
/// # Errors
/// [`fault::INDEX_OUT_OF_RANGE`] if the chunk does not begin at a leaf, ends behind the largest offset, or if the area is
/// too small.
pub fn leave(
    bytes: &[u8],
    offset: u64,
    more: impl Fn() -> bool,
    records: &mut RecordWriter<'_>,
    outcome: &mut Outcome,
) -> Result<(), u32> {
    if !offset.is_multiple_of(LEAF as u64) || offset.checked_add(bytes.len() as u64).is_none() {
        // Chunks of files that are no streams begin at multiples of 4,096.
        return Err(fault::INDEX_OUT_OF_RANGE);
    }
    let (mut count, mut fits) = (0, true);
    parts(bytes, offset, more, |part| {
        let value = match part {
            Part::Root(root) => {
                outcome.results[RESULT_ROOT] = 1;
                root
            }
            Part::Subtree(value) => value,
        };
        let (words, _) = value.as_chunks::<4>();
        for (index, word) in words.iter().enumerate() {
            fits &= records.set_word(count * VALUE_WORDS + index, u32::from_le_bytes(*word));
        }
        count += 1;
    });
    // A chunk of a gigabyte has at most 40 parts, and an area 16,384 words.
    let words = u32::try_from(count * VALUE_WORDS).ok().filter(|_| fits);
    let words = words.ok_or(fault::INDEX_OUT_OF_RANGE)?;
    outcome.results[RESULT_PARTS] = words / BLAKE3_VALUE_WORDS;
    outcome.records = words / RECORD_WORDS as u32;
    Ok(())
}

/// The parts that [`leave`] has left, or a device; `word` is a word of the slot's area.
pub fn left<W: Fn(usize) -> u32>(
    results: &[u32; RESULTS],
    word: W,
) -> impl Iterator<Item = Part> + use<W> {
    let (count, root) = (results[RESULT_PARTS] as usize, results[RESULT_ROOT] != 0);
    (0..count).map(move |part| {
        let mut value = [0; VALUE];
        let (words, _) = value.as_chunks_mut::<4>();
        for (index, four) in words.iter_mut().enumerate() {
            *four = word(part * VALUE_WORDS + index).to_le_bytes();
        }
        if part == 0 && root {
            Part::Root(value)
        } else {
            Part::Subtree(value)
        }
    })
}

/// BLAKE3: the parts of the chunk.
pub(super) struct Blake3;

impl StreamOpcode for Blake3 {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let mut outcome = Outcome::default();
        if slot.mode & WITHOUT_TREE == 0 {
            let more = || !slot.cancel.is_cancelled();
            leave(bytes, slot.offset, more, records, &mut outcome)?;
        }
        Ok(outcome)
    }
}
