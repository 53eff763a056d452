//! A completion entry: 16 words in which the device says what became of a slot.
//!
//! The worker that took the entry's ticket writes it, SEQ last. The host reads entries in order, by SEQ: the entry of
//! ticket `n` carries `n + 1`, so that zeroed memory is no entry.

use crate::{words, PipelineError};

/// Words in an entry.
pub const WORDS: usize = 16;
/// Bytes in an entry.
pub const BYTES: usize = WORDS * words::WORD_BYTES;
/// Word of the sequence number: the entry's ticket plus one.
pub const SEQ: usize = 0;
/// Word of the slot's index.
pub const SLOT: usize = 1;
/// Word of the slot's final status, DONE or FAULT.
pub const STATUS: usize = 2;
/// Word of the fault: the reason in the low half, a detail in the high half.
pub const FAULT: usize = 3;
/// First result word.
pub const RESULT0: usize = 4;
/// Result words.
pub const RESULTS: usize = 8;
/// Word of the number of records written to the slot's area.
pub const RECORDS: usize = 12;
/// Word of the flags.
pub const FLAGS: usize = 13;
/// The two spare words: the device stores zero, the host does not look.
pub const SPARE: usize = 14;

/// Flag: the records area was full. Run the rest again from where the results say.
pub const FLAG_OVERFLOW: u32 = 1;

/// All words of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CompletionEntry {
    /// The entry's ticket plus one.
    pub seq: u32,
    /// The slot's index.
    pub slot: u32,
    /// The slot's final status.
    pub status: u32,
    /// The fault word: see [`fault`](crate::fault).
    pub fault: u32,
    /// The results.
    pub results: [u32; RESULTS],
    /// Records written.
    pub records: u32,
    /// Flags.
    pub flags: u32,
}

impl CompletionEntry {
    /// Whether the records area was full.
    #[must_use]
    pub const fn overflowed(&self) -> bool {
        self.flags & FLAG_OVERFLOW != 0
    }

    /// Stores the entry over the first [`BYTES`] of `bytes`, SEQ last.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`], and nothing stored, where `bytes` is shorter.
    pub fn encode_into(&self, bytes: &mut [u8]) -> Result<(), PipelineError> {
        let Some(bytes) = bytes.get_mut(..BYTES) else {
            return Err(PipelineError::InvalidArgument {
                what: "a buffer that is shorter than a completion entry",
                fix: "hand in 64 bytes",
            });
        };
        let stored = words::write_all(bytes, SLOT, &[self.slot, self.status, self.fault])
            && words::write_all(bytes, RESULT0, &self.results)
            && words::write_all(bytes, RECORDS, &[self.records, self.flags, 0, 0])
            && words::write(bytes, SEQ, self.seq);
        debug_assert!(stored, "an entry's words lie within its bytes");
        Ok(())
    }

    /// The entry in the first [`BYTES`] of `bytes`.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] where `bytes` is shorter.
    pub fn decode(bytes: &[u8]) -> Result<Self, PipelineError> {
        let Some([seq, slot, status, fault, rest @ ..]) = words::read_array::<WORDS>(bytes, 0)
        else {
            return Err(PipelineError::Decode {
                what: "a completion entry",
                offset: bytes.len(),
                fix: "hand in all 64 bytes of it",
            });
        };
        let [r0, r1, r2, r3, r4, r5, r6, r7, records, flags, _, _] = rest;
        Ok(Self {
            seq,
            slot,
            status,
            fault,
            results: [r0, r1, r2, r3, r4, r5, r6, r7],
            records,
            flags,
        })
    }
}
