// An opcode may use a chunk only while it runs, and a kernel's parts only while they live.

use gristmill_megakernel::*;
use gristmill_ring::{Outcome, RecordWriter};
use std::sync::Mutex;

pub struct Keeps<'a>(Mutex<Vec<&'a [u8]>>);

impl StreamOpcode for Keeps<'static> {
    fn run(&self, bytes: &[u8], _: &StreamSlot<'_>, _: &mut RecordWriter<'_>) -> Result<Outcome, u32> {
        self.0.lock().unwrap().push(bytes); //~ E0521
        Ok(Outcome::default())
    }
}

pub struct KeepsAround(Mutex<Vec<&'static [u8]>>);

impl StreamOpcode for KeepsAround {
    fn run(&self, _: &[u8], slot: &StreamSlot<'_>, _: &mut RecordWriter<'_>) -> Result<Outcome, u32> {
        self.0.lock().unwrap().push(slot.around); //~ E0521
        Ok(Outcome::default())
    }
}

pub fn a_ring_that_outlives_its_kernel(kernel: Kernel) -> u64 {
    let submitter = kernel.submitter();
    drop(kernel); //~ E0505
    submitter.published()
}

pub fn bytes_that_a_slot_does_not_own<'a>(bytes: Vec<u8>) -> StreamSlot<'a> {
    StreamSlot { around: &bytes, ..StreamSlot::default() } //~ E0515
}
