//! A completion entry: 16 words in which the device says what became of a slot.
//!
//! The worker that took the entry's ticket writes it, SEQ last. The host reads entries in order, by SEQ: the entry of
//! ticket `n` carries `n + 1`, so that zeroed memory is no entry.

use crate::{words, PipelineError};

numbers! {
    /// Words of an entry, and its flag.
    pub ENTRY {
        /// Words in an entry.
        WORDS: usize = 16;
        /// Word of the sequence number: the entry's ticket plus one.
        SEQ: usize = 0;
        /// Word of the slot's index.
        SLOT: usize = 1;
        /// Word of the slot's final status, DONE or FAULT.
        STATUS: usize = 2;
        /// Word of the fault: the reason in the low half, a detail in the high half.
        FAULT: usize = 3;
        /// First result word.
        RESULT0: usize = 4;
        /// Result words.
        RESULTS: usize = 8;
        /// Word of the number of records written to the slot's area.
        RECORDS: usize = 12;
        /// Word of the flags.
        FLAGS: usize = 13;
        /// The two spare words: the device stores zero, the host does not look.
        SPARE: usize = 14;
        /// Flag: the records area was full. Run the rest again from where the results say.
        FLAG_OVERFLOW: u32 = 1;
    }
}
/// Bytes in an entry.
pub const BYTES: usize = WORDS * words::WORD_BYTES;

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

    /// The entry's words.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u32; WORDS] {
        let mut words = [0; WORDS];
        words[SEQ] = self.seq;
        words[SLOT] = self.slot;
        words[STATUS] = self.status;
        words[FAULT] = self.fault;
        words[RESULT0..RESULT0 + RESULTS].copy_from_slice(&self.results);
        words[RECORDS] = self.records;
        words[FLAGS] = self.flags;
        words
    }

    /// The entry of these words.
    #[inline]
    #[must_use]
    pub const fn decode(words: &[u32; WORDS]) -> Self {
        let [seq, slot, status, fault, r0, r1, r2, r3, r4, r5, r6, r7, records, flags, _, _] =
            *words;
        Self {
            seq,
            slot,
            status,
            fault,
            results: [r0, r1, r2, r3, r4, r5, r6, r7],
            records,
            flags,
        }
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
        let words = self.encode();
        let stored =
            words::write_all(bytes, SLOT, &words[SLOT..]) && words::write(bytes, SEQ, self.seq);
        debug_assert!(stored, "an entry's words lie within its bytes");
        Ok(())
    }

    /// The entry in the first [`BYTES`] of `bytes`.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] where `bytes` is shorter.
    pub fn decode_from(bytes: &[u8]) -> Result<Self, PipelineError> {
        words::read_array(bytes, 0)
            .map(|words| Self::decode(&words))
            .ok_or(PipelineError::Decode {
                what: "a completion entry",
                offset: bytes.len(),
                fix: "hand in all 64 bytes of it",
            })
    }
}

// What `decode` takes apart by position.
const _: () = assert!(SEQ == 0 && SLOT == 1 && STATUS == 2 && FAULT == 3 && RESULT0 == 4);
const _: () = assert!(RECORDS == RESULT0 + RESULTS && FLAGS == RECORDS + 1 && SPARE == FLAGS + 1);
