//! The opcode by which workers hash a chunk, with all algorithms that its file is hashed with.

use super::algorithm::{Algorithm, Algorithms};
use super::in_order::{Files, Hashes, STREAM};
use super::tree::{self, Part};
use crate::jobs::{LandedChunk, Records};
use gristmill_megakernel::{StreamOpcode, StreamSlot};
use gristmill_protocol::stream::{RESULT_CRC, RESULT_RESUME};
use gristmill_protocol::{completion, fault};
use gristmill_ring::{Outcome, RecordWriter};
use std::sync::{Arc, Mutex, TryLockError};

/// The number of the opcode, a user's: no slot of another job carries it.
pub const OPCODE: u32 = 0x1_0000;

/// The result word with the number of the parts of a BLAKE3 tree, which are in the slot's area, [`PART_WORDS`] each.
const RESULT_PARTS: usize = 1;

/// The result word that says whether the first part is a root.
const RESULT_ROOT: usize = 2;

/// Words of a part.
const PART_WORDS: usize = tree::VALUE / 4;

/// The word with which a slot is resumed: only the hashes in order are left to be done.
const IN_ORDER: u32 = 1;

/// Which algorithms a slot's file is hashed with.
pub enum Hashed {
    /// All files with the same, none of them in order.
    Alike(Algorithms),
    /// As the file says whose number is in the slot's mode.
    Each(Arc<Files>),
}

/// The opcode.
pub struct DigestOpcode(pub Hashed);

impl StreamOpcode for DigestOpcode {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let mut outcome = Outcome::default();
        let (algorithms, work) = match &self.0 {
            Hashed::Alike(algorithms) => (*algorithms, None),
            Hashed::Each(files) => match files.get(slot.mode & !STREAM) {
                Some(work) => (work.algorithms, Some(work)),
                // Nobody looks at the results of a file that has ended.
                None => return Ok(outcome),
            },
        };
        let more = || !slot.cancel.is_cancelled();
        if slot.resume != IN_ORDER {
            if algorithms.contains(Algorithm::Crc32c) {
                let parts = bytes.chunks(1 << 20).take_while(|_| more());
                outcome.results[RESULT_CRC] = parts.fold(0, crc32c::crc32c_append);
            }
            if algorithms.contains(Algorithm::Blake3) && slot.mode & STREAM == 0 {
                plant(bytes, slot.offset, more, records, &mut outcome)?;
            }
        }
        let Some(hashes) = work.as_ref().and_then(|work| work.hashes.as_ref()) else {
            return Ok(outcome);
        };
        if !hash(hashes, bytes, slot, more) {
            if slot.resume == IN_ORDER {
                // All chunks before this one are hashed, so this would be a bug, which the file's failure shows.
                return Err(fault::INDEX_OUT_OF_RANGE);
            }
            outcome.flags |= completion::FLAG_OVERFLOW;
            outcome.results[RESULT_RESUME] = IN_ORDER;
        }
        Ok(outcome)
    }
}

/// Hashes the chunk if it is its turn; otherwise returns false.
fn hash(
    hashes: &Mutex<Hashes>,
    bytes: &[u8],
    slot: &StreamSlot<'_>,
    more: impl Fn() -> bool,
) -> bool {
    let mut hashes = if slot.resume == IN_ORDER {
        // Others have the lock only while they see that they are not due.
        gristmill_ring::lock(hashes)
    } else {
        match hashes.try_lock() {
            Ok(hashes) => hashes,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        }
    };
    let due = hashes.is_due(slot.offset);
    if due {
        hashes.add(bytes, more);
    }
    due
}

/// Leaves the parts of the tree in the slot's area.
fn plant(
    bytes: &[u8],
    offset: u64,
    more: impl Fn() -> bool,
    records: &mut RecordWriter<'_>,
    outcome: &mut Outcome,
) -> Result<(), u32> {
    if !offset.is_multiple_of(tree::LEAF as u64) {
        // Chunks of files that are no streams begin at multiples of 4,096.
        return Err(fault::INDEX_OUT_OF_RANGE);
    }
    let (mut parts, mut fits) = (0, true);
    tree::parts(bytes, offset, more, |part| {
        let value = match part {
            Part::Root(root) => {
                outcome.results[RESULT_ROOT] = 1;
                root
            }
            Part::Subtree(value) => value,
        };
        let (words, _) = value.as_chunks::<4>();
        for (index, word) in words.iter().enumerate() {
            fits &= records.set_word(parts * PART_WORDS + index, u32::from_le_bytes(*word));
        }
        parts += 1;
    });
    // A chunk of a gigabyte has at most 40 parts, and an area 16,384 words.
    let words = u32::try_from(parts * PART_WORDS).ok().filter(|_| fits);
    let words = words.ok_or(fault::INDEX_OUT_OF_RANGE)?;
    outcome.results[RESULT_PARTS] = words / PART_WORDS as u32;
    // A record is a pair of words.
    outcome.records = words / 2;
    Ok(())
}

/// The parts of the tree that the opcode has left.
pub fn planted<'a>(chunk: &LandedChunk<'a>) -> impl Iterator<Item = Part> + use<'a> {
    let (records, results): (Records<'a>, _) = (chunk.records, chunk.results);
    (0..results[RESULT_PARTS] as usize).map(move |part| {
        let mut value = [0; tree::VALUE];
        let (words, _) = value.as_chunks_mut::<4>();
        for (index, word) in words.iter_mut().enumerate() {
            *word = records.word(part * PART_WORDS + index).to_le_bytes();
        }
        if part == 0 && results[RESULT_ROOT] != 0 {
            Part::Root(value)
        } else {
            Part::Subtree(value)
        }
    })
}
