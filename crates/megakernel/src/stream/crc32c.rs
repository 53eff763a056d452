//! CRC32C: the Castagnoli CRC of the chunk (RFC 3720, B.4). The results of a file's chunks can be combined to that of
//! the file.

use super::slot::StreamSlot;
use super::StreamOpcode;
use gristmill_protocol::stream::CrcResults;
use gristmill_ring::{Outcome, RecordWriter};

pub(super) struct Crc32c;

impl StreamOpcode for Crc32c {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let crc = slot.parts(bytes).fold(0, crc32c::crc32c_append);
        Ok(Outcome {
            results: CrcResults { crc }.encode(),
            ..Outcome::default()
        })
    }
}
