//! The debug log that PRINTF writes: a cursor word, then records of four words.
//!
//! The device owns the log. The cursor counts every append, including the records that were dropped because the log was
//! full. So the number of dropped records is the cursor minus the capacity, where that is positive.

use crate::{words, PipelineError};
use alloc::vec::Vec;
use core::ops::Deref;

numbers! {
    /// The log, and the words of a record.
    pub LAYOUT {
        /// Word of the cursor.
        CURSOR: usize = 0;
        /// First word of the first record.
        RECORDS: usize = 1;
        /// Words in a record.
        RECORD_WORDS: usize = 4;
        /// Records that a log has by default.
        DEFAULT_RECORDS: u32 = 64;
        /// Most records that a log may have (16 MiB of them).
        MAX_RECORDS: u32 = 1 << 20;
    }
}

const RECORD_BYTES: usize = RECORD_WORDS * words::WORD_BYTES;

layout! {
    /// What one PRINTF left.
    pub struct DebugRecord: [u32; RECORD_WORDS],
    /// Words of a record.
    RECORD {
        /// Which message.
        format_id: u32 at FORMAT_ID = 0;
        /// Its two arguments.
        args: pair at FIRST_ARG = 1, SECOND_ARG = 2;
        /// The slot that it came from.
        slot: u32 at SLOT = 3;
    }
}

/// A decoded log: the records that it holds, in order, and the number of records that were dropped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DebugLog {
    /// The records that are there.
    pub records: Vec<DebugRecord>,
    /// Records that were dropped because the log was full.
    pub dropped: u32,
}

impl Deref for DebugLog {
    type Target = [DebugRecord];

    fn deref(&self) -> &[DebugRecord] {
        &self.records
    }
}

impl IntoIterator for DebugLog {
    type Item = DebugRecord;
    type IntoIter = alloc::vec::IntoIter<DebugRecord>;

    fn into_iter(self) -> Self::IntoIter {
        self.records.into_iter()
    }
}

/// Whole records that a log of this many bytes has room for.
#[must_use]
pub fn capacity(log_bytes: usize) -> usize {
    log_bytes.saturating_sub(RECORDS * words::WORD_BYTES) / RECORD_BYTES
}

/// Decodes as much as the bytes hold: if the log is cut short, only its complete records. The cursor is not trusted to
/// say that there are more.
pub(crate) fn decode_lenient(bytes: &[u8]) -> DebugLog {
    let appended = words::read(bytes, CURSOR).unwrap_or(0);
    let room = u32::try_from(capacity(bytes.len())).unwrap_or(u32::MAX);
    let present = appended.min(room);
    let records = bytes
        .get(RECORDS * words::WORD_BYTES..)
        .unwrap_or_default()
        .chunks_exact(RECORD_BYTES)
        .zip(0..present)
        .filter_map(|(record, _)| words::read_array(record, 0))
        .map(|words| DebugRecord::decode(&words))
        .collect();
    DebugLog {
        records,
        dropped: appended - present,
    }
}

/// Refuses bytes that cannot be a log.
pub(crate) fn check_shape(bytes: &[u8]) -> Result<(), PipelineError> {
    let header = RECORDS * words::WORD_BYTES;
    if bytes.len() >= header && (bytes.len() - header).is_multiple_of(RECORD_BYTES) {
        return Ok(());
    }
    Err(PipelineError::Decode {
        what: "a debug log",
        offset: bytes.len(),
        fix: "hand in one word and then whole records of 16 bytes",
    })
}

/// Appends a record. Returns false if the log was full; the record is then dropped and counted.
pub(crate) fn append(bytes: &mut [u8], record: &DebugRecord) -> Result<bool, PipelineError> {
    check_shape(bytes)?;
    let appended = words::read(bytes, CURSOR).unwrap_or(0);
    let kept = usize::try_from(appended)
        .ok()
        .and_then(|index| index.checked_mul(RECORD_WORDS)?.checked_add(RECORDS))
        .is_some_and(|first| words::write_all(bytes, first, &record.encode()));
    let counted = words::write(bytes, CURSOR, appended.saturating_add(1));
    debug_assert!(counted, "the shape was checked");
    Ok(kept)
}
