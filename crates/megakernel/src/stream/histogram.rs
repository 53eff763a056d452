//! HISTOGRAM: counts how often each byte value occurs. The results are 256 words of the record area.

use super::slot::StreamSlot;
use super::StreamOpcode;
use gristmill_protocol::{fault, stream::HISTOGRAM_RECORDS};
use gristmill_ring::{Outcome, RecordWriter};

pub(super) struct Histogram;

impl StreamOpcode for Histogram {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        // Four tables are used so that, in a run of one byte value, an increment need not wait for the one before.
        let mut tables = [[0_u32; 256]; 4];
        let [first, second, third, fourth] = &mut tables;
        for part in slot.parts(bytes) {
            let (quads, rest) = part.as_chunks::<4>();
            for [a, b, c, d] in quads {
                first[usize::from(*a)] += 1;
                second[usize::from(*b)] += 1;
                third[usize::from(*c)] += 1;
                fourth[usize::from(*d)] += 1;
            }
            for byte in rest {
                first[usize::from(*byte)] += 1;
            }
        }
        for index in 0..256 {
            let count = tables.iter().map(|table| table[index]).sum();
            if !records.set_word(index, count) {
                return Err(fault::INDEX_OUT_OF_RANGE);
            }
        }
        Ok(Outcome {
            records: HISTOGRAM_RECORDS,
            ..Outcome::default()
        })
    }
}
