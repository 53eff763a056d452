//! The opcode by which workers hash a chunk, with all algorithms that its file is hashed with.

use super::algorithm::{Algorithm, Algorithms};
use super::in_order::{Files, Hashes, Work, STREAM};
use gristmill_megakernel::stream::subtrees;
use gristmill_megakernel::{KernelError, StreamJob, StreamOpcode, StreamSlot};
use gristmill_protocol::stream::{StreamArgs, RESULT_CRC, RESULT_RESUME, WITHOUT_TREE};
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
pub struct DigestOpcode {
    /// How files are hashed.
    pub hashed: Hashed,
    /// What a device can do of it: the digest of one of the algorithms that all files are hashed with.
    pub part: Option<Algorithm>,
    /// What all files are hashed with, if that is known, and whether they are cut into chunks: for reports.
    pub told: (Algorithms, bool),
}

impl DigestOpcode {
    /// Which work there is for a slot; `None` of a file that has ended, whose results nobody looks at.
    fn work(&self, slot: &StreamSlot<'_>) -> Option<(Algorithms, Option<Arc<Work>>)> {
        match &self.hashed {
            Hashed::Alike(algorithms) => Some((*algorithms, None)),
            Hashed::Each(files) => {
                let work = files.get(slot.mode & !STREAM)?;
                Some((work.algorithms, Some(work)))
            }
        }
    }

    /// Does what is left of a slot, of which `outcome` has what was done already; a device may have done a part.
    fn rest(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        done: Option<Algorithm>,
        mut outcome: Outcome,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let Some((algorithms, work)) = self.work(slot) else {
            return Ok(outcome);
        };
        let more = || !slot.cancel.is_cancelled();
        let wants = |algorithm| algorithms.contains(algorithm) && done != Some(algorithm);
        if slot.resume != IN_ORDER {
            if wants(Algorithm::Crc32c) {
                let parts = bytes.chunks(1 << 20).take_while(|_| more());
                outcome.results[RESULT_CRC] = parts.fold(0, crc32c::crc32c_append);
            }
            if wants(Algorithm::Blake3) && slot.mode & STREAM == 0 {
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

impl StreamOpcode for DigestOpcode {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        self.rest(bytes, slot, None, Outcome::default(), records)
    }

    fn device_part(&self) -> Result<Option<StreamJob>, KernelError> {
        Ok(match self.part {
            Some(Algorithm::Blake3) => Some(StreamJob::Blake3),
            Some(Algorithm::Crc32c) => Some(StreamJob::Crc32c),
            _ => None,
        })
    }

    fn part_args(&self, args: StreamArgs) -> StreamArgs {
        // In its turn only the hashes in order are left to be done, by the host.
        let over = args.resume == IN_ORDER;
        StreamArgs {
            len: if over { 0 } else { args.len },
            mode: if over {
                WITHOUT_TREE
            } else {
                args.mode & STREAM
            },
            resume: 0,
            ..args
        }
    }

    fn finish(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        part: &Outcome,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        self.rest(bytes, slot, self.part, *part, records)
    }

    fn explain_parts(&self) -> String {
        let (algorithms, cut) = &self.told;
        let by_host = algorithms
            .iter()
            .filter(|algorithm| self.part != Some(*algorithm));
        let by_host = by_host
            .map(Algorithm::name)
            .chain(cut.then_some("the cuts of chunks"));
        let by_device = self.part.map_or("nothing", Algorithm::name);
        let by_host: Vec<&str> = by_host.collect();
        format!(
            "the device made {by_device}, and the host {}, over the same chunks",
            by_host.join(", ")
        )
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
