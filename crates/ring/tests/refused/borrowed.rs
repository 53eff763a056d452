// References to shared memory cannot outlive its owner, and exclusive references are unique.

use gristmill_ring::*;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

pub fn two_exclusive_slices(chunk: &mut ChunkBuf) {
    let first = chunk.as_mut_slice();
    let second = chunk.as_mut_slice(); //~ E0499
    first.swap_with_slice(second);
}

pub fn a_slice_beside_an_exclusive_one(chunk: &mut ChunkBuf) {
    let read = chunk.as_slice();
    chunk.as_mut_slice().copy_from_slice(&[]); //~ E0502
    drop(read.len());
}

pub fn a_slice_of_a_chunk_that_is_lent(chunk: ChunkBuf) -> usize {
    let read = chunk.as_slice();
    let _lent = chunk.lend(); //~ E0505
    read.len()
}

pub fn a_slice_of_a_lent_chunk_that_is_reclaimed(lent: LentChunk) -> usize {
    let read = lent.as_slice();
    let _chunk = lent.reclaim_completed(); //~ E0505
    read.len()
}

pub fn a_slice_of_a_chunk_that_returned_home(pool: &Arc<ChunkPool>) -> &'static [u8] {
    pool.take(0).as_ref().map_or(&[], |chunk| chunk.as_slice()) //~ E0515
}

pub fn a_worker_writes(read: &mut ChunkRef<'_>) {
    read[0] = 1; //~ E0594
}

pub fn a_workers_slice_outlives_its_access(memory: &ChunkMemory) -> &[u8] {
    let read = memory.borrow_chunk(0).unwrap();
    &read[..] //~ E0515
}

pub fn a_workers_access_outlives_the_arena() -> Option<ChunkRef<'static>> {
    let (memory, _chunks) = ChunkMemory::map(1, 4096).unwrap();
    memory.borrow_chunk(0) //~ E0515
}

pub fn a_words_reference_outlives_its_mapping(words: SharedWords) -> usize {
    let word: &AtomicU32 = &words[0];
    drop(words); //~ E0505
    word as *const _ as usize
}

pub fn words_are_not_exclusive(words: &mut SharedWords) {
    let _: &mut [AtomicU32] = &mut *words; //~ E0596
}

pub fn a_writer_outlives_its_record_areas(records: RecordMemory) -> u32 {
    let writer = records.writer(0).unwrap();
    drop(records); //~ E0505
    writer.len()
}

pub fn a_claimed_slot_outlives_its_ring(ring: DeviceRing, claimer: &mut Claimer) {
    let slot = ring.claim(claimer);
    drop(ring); //~ E0505
    drop(slot);
}
