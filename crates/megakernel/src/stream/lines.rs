//! LINES: the number of newlines.

use super::{word, StreamOpcode, StreamSlot};
use gristmill_ring::{Outcome, RecordWriter};

pub(super) struct Lines;

impl StreamOpcode for Lines {
    fn run(
        &self,
        bytes: &[u8],
        _slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        Ok(Outcome::value(word(
            memchr::memchr_iter(b'\n', bytes).count(),
        )?))
    }
}
