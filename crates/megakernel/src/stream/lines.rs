//! LINES: counts newlines.

use super::slot::{word, StreamSlot};
use super::StreamOpcode;
use gristmill_protocol::stream::LinesResults;
use gristmill_ring::{Outcome, RecordWriter};

pub(super) struct Lines;

impl StreamOpcode for Lines {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let count = |part| memchr::memchr_iter(b'\n', part).count();
        let count = word(slot.parts(bytes).map(count).sum())?;
        Ok(Outcome {
            results: LinesResults { count }.encode(),
            ..Outcome::default()
        })
    }
}
