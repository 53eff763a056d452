//! Images of the debug log.

use super::{zeroed, Megakernel};
use crate::{debug, PipelineError};
use alloc::vec::Vec;

impl Megakernel {
    /// An empty debug log with room for `records` records.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for more than [`debug::MAX_RECORDS`].
    pub fn try_encode_empty_debug_log(records: u32) -> Result<Vec<u8>, PipelineError> {
        let mut image = Vec::new();
        Self::try_encode_empty_debug_log_into(records, &mut image)?;
        Ok(image)
    }

    /// As [`Megakernel::try_encode_empty_debug_log`], but reuses the memory of `image` and overwrites its contents.
    ///
    /// # Errors
    /// As there, and `image` is as it was.
    pub fn try_encode_empty_debug_log_into(
        records: u32,
        image: &mut Vec<u8>,
    ) -> Result<(), PipelineError> {
        if records > debug::MAX_RECORDS {
            return Err(PipelineError::InvalidArgument {
                what: "a debug log of more records than one may have",
                fix: "use at most 1,048,576 records",
            });
        }
        let count = usize::try_from(records)
            .ok()
            .and_then(|records| records.checked_mul(debug::RECORD_WORDS)?.checked_add(1));
        zeroed(image, count)
    }

    /// [`Megakernel::try_encode_empty_debug_log`], by its other name.
    ///
    /// # Errors
    /// As there.
    pub fn encode_empty_debug_log(records: u32) -> Result<Vec<u8>, PipelineError> {
        Self::try_encode_empty_debug_log(records)
    }

    /// Appends a record, as PRINTF does. Returns false if the log is full; the record is then dropped and counted.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no debug log.
    pub fn append_debug_record(
        debug_bytes: &mut [u8],
        record: &debug::DebugRecord,
    ) -> Result<bool, PipelineError> {
        debug::append(debug_bytes, record)
    }

    /// The log's records, and the number of records that were dropped. If the log is cut short, only its complete
    /// records are returned.
    #[must_use]
    pub fn read_debug_log(debug_bytes: &[u8]) -> debug::DebugLog {
        debug::decode_lenient(debug_bytes)
    }

    /// As [`Megakernel::read_debug_log`], strictly. Dropped records are not an error.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no debug log.
    pub fn try_read_debug_log(debug_bytes: &[u8]) -> Result<debug::DebugLog, PipelineError> {
        debug::check_shape(debug_bytes)?;
        Ok(debug::decode_lenient(debug_bytes))
    }
}
