//! The opcode by which workers hash a chunk, with all algorithms that its file is hashed with.

use super::algorithm::{Algorithm, Algorithms};
use super::in_order::{Files, Hashes, STREAM};
use gristmill_megakernel::stream::subtrees;
use gristmill_megakernel::{StreamOpcode, StreamSlot};
use gristmill_protocol::stream::{RESULT_CRC, RESULT_RESUME};
use gristmill_protocol::{completion, fault};
use gristmill_ring::{Outcome, RecordWriter};
use std::sync::{Arc, Mutex, TryLockError};

/// The number of the opcode, a user's: no slot of another job carries it.
pub const OPCODE: u32 = 0x1_0000;

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
                subtrees::leave(bytes, slot.offset, more, records, &mut outcome)?;
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
