// Borrowed memory, and the tail, stay borrowed for as long as reads may land there.

use gristmill_ingest::*;
use std::sync::atomic::AtomicU32;

pub fn memory_that_is_freed_under_a_buffer(mut memory: Vec<u8>) -> usize {
    // SAFETY: none; the borrow must end this.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
    drop(memory); //~ E0505
    buffer.len()
}

pub fn an_owner_that_is_freed_under_a_buffer(mut owner: Vec<u8>) -> usize {
    let (base, len) = (owner.as_mut_ptr(), owner.len());
    // SAFETY: none; the borrow must end this.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_owner(&mut owner, base, len) };
    drop(owner); //~ E0505
    buffer.len()
}

pub fn peer_memory_that_is_freed_under_a_buffer(mut owner: Vec<u8>) -> usize {
    let (base, len) = (owner.as_mut_ptr(), owner.len());
    // SAFETY: none; the borrow must end this.
    let buffer = unsafe { GpuMappedBuffer::from_bar1_peer_with_owner(&mut owner, base, len) };
    drop(owner); //~ E0505
    buffer.len()
}

pub fn memory_that_is_written_under_a_stream(state: IoUringState, tail: &AtomicU32, memory: &mut [u8]) -> u32 {
    // SAFETY: none; the borrow must end this.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut *memory) };
    let stream = AsyncUringStream::new(state, buffer, tail);
    memory.fill(1); //~ E0499
    stream.inflight()
}

pub fn a_part_that_outlives_its_memory(mut memory: Vec<u8>) -> usize {
    // SAFETY: none; the borrow must end this.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
    let part = buffer.sub_region(0, 1).unwrap();
    drop(buffer);
    drop(memory); //~ E0505
    part.len()
}

pub fn a_tail_that_a_stream_outlives<'a>(state: IoUringState, buffer: GpuMappedBuffer<'a>) -> AsyncUringStream<'a> {
    let tail = AtomicU32::new(0);
    AsyncUringStream::new(state, buffer, &tail) //~ E0515
}

pub fn two_buffers_of_one_peer_memory(memory: &mut PeerMemory) -> usize {
    let one = memory.buffer().unwrap();
    let two = memory.buffer().unwrap(); //~ E0499
    one.len() + two.len()
}

pub fn peer_memory_that_is_written_under_a_buffer(memory: &mut PeerMemory) -> usize {
    let buffer = memory.buffer().unwrap();
    memory.write(0, &[1]).unwrap(); //~ E0499
    buffer.len()
}

pub fn peer_memory_that_goes_under_a_buffer(mut memory: PeerMemory) -> usize {
    let buffer = memory.buffer().unwrap();
    drop(memory); //~ E0505
    buffer.len()
}
