// Each kind of token has one maker, and its fields are private.

use gristmill_ring::*;
use std::ptr::NonNull;

pub fn a_plan_that_is_changed(mut plan: ChunkPlan) {
    plan.stride = 0; //~ E0616
}

pub fn a_second_owner(chunk: &ChunkBuf) -> ChunkBuf {
    ChunkBuf { memory: chunk.memory().clone(), index: chunk.index() } //~ error without a code
}

pub fn a_copied_owner(chunk: &ChunkBuf) -> ChunkBuf {
    ChunkBuf::clone(chunk) //~ E0277
}

pub fn a_chunk_out_of_its_claim(lent: LentChunk) -> ChunkBuf {
    lent.chunk //~ E0616
}

pub fn bytes_to_write_through_a_claim(lent: &mut LentChunk) -> &mut [u8] {
    lent.as_mut_slice() //~ E0599
}

pub fn a_copied_claim(lent: &LentChunk) -> LentChunk {
    LentChunk::clone(lent) //~ E0277
}

pub fn a_state_that_is_set_by_hand(memory: &ChunkMemory) {
    memory.state[0].store(1, std::sync::atomic::Ordering::Relaxed); //~ E0616
}

pub fn a_part_of_an_arena_as_bytes(arena: &mut Arena) {
    let _ = arena.part(4096); //~ E0624
}

pub fn an_arena_that_begins_again(arena: &mut Arena) {
    arena.next = 0; //~ E0616
}

pub fn a_copied_token(token: &SlotToken) -> SlotToken {
    SlotToken::clone(token) //~ E0277
}

pub fn a_copied_slot<'a>(slot: &ClaimedSlot<'a>) -> ClaimedSlot<'a> {
    ClaimedSlot::clone(slot) //~ E0277
}

pub fn a_second_reader_of_completions(completions: &Completions) -> Completions {
    Completions::clone(completions) //~ E0277
}

pub fn a_second_queue(queue: &IoQueue) -> IoQueue {
    IoQueue::clone(queue) //~ E0277
}

pub struct Anywhere;

impl HostVisible for Anywhere { //~ E0200
    fn base(&self) -> NonNull<u8> {
        NonNull::dangling()
    }
    fn bytes(&self) -> usize {
        usize::MAX
    }
}
