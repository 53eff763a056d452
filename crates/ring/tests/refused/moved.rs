// Using a token consumes it: lending a chunk, publishing a slot, completing a slot.

use gristmill_ring::*;

pub fn a_chunk_that_was_lent_is_not_written(mut chunk: ChunkBuf) {
    let _lent = chunk.lend();
    chunk.as_mut_slice(); //~ E0382
}

pub fn a_chunk_that_was_lent_is_not_lent_again(chunk: ChunkBuf) {
    let _lent = chunk.lend();
    chunk.lend(); //~ E0382
}

pub fn a_chunk_is_not_taken_back_twice(lent: LentChunk) {
    let _chunk = lent.reclaim();
    lent.reclaim(); //~ E0382
}

pub fn a_completed_chunk_is_not_taken_back_twice(lent: LentChunk) {
    let _chunk = lent.reclaim_completed();
    lent.reclaim_completed(); //~ E0382
}

pub fn a_dropped_chunk_is_not_read(chunk: ChunkBuf) {
    drop(chunk);
    chunk.as_slice(); //~ E0382
}

pub fn a_slot_is_not_published_twice(submitter: &Submitter, token: SlotToken, what: &Submission) {
    let _ = submitter.publish(token, what);
    let _ = submitter.publish(token, what); //~ E0382
}

pub fn a_slot_that_was_given_back_is_not_published(submitter: &Submitter, token: SlotToken, what: &Submission) {
    submitter.release(token);
    let _ = submitter.publish(token, what); //~ E0382
}

pub fn a_slot_is_not_completed_twice(slot: ClaimedSlot<'_>) {
    slot.complete(&Outcome::default());
    slot.complete(&Outcome::default()); //~ E0382
}

pub fn a_parked_slot_is_not_completed(slot: ClaimedSlot<'_>) {
    let _parked = slot.park(3);
    slot.complete(&Outcome::default()); //~ E0382
}

pub fn a_slot_is_not_resumed_twice(ring: &DeviceRing, parked: ParkedSlot) {
    let _first = parked.resume(ring);
    let _second = parked.resume(ring); //~ E0382
}

pub fn a_request_is_not_ended_twice(request: ClaimedIo) {
    request.end(Ok(1));
    request.end(Ok(1)); //~ E0382
}

pub fn memory_of_an_arena_is_not_placed_again(memory: Box<dyn HostVisible>, plan: ChunkPlan) {
    let _arena = Arena::new(memory);
    let _chunks = ChunkMemory::place(plan, memory); //~ E0382
}
