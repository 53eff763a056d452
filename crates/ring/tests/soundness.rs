//! Attempts of safe code to misuse memory and tokens, which must not succeed. Attempts that must not compile are in
//! `refused/`.

#![cfg(not(loom))]

use gristmill_protocol::{opcode, PipelineError};
use gristmill_ring::{
    live_ring, live_ring_over, Arena, ChunkBuf, ChunkMemory, ChunkPlan, ChunkPool, HostVisible,
    RecordMemory, RingConfig, RingMemory, SharedWords, Submission, REGION_ALIGN,
};
use std::alloc::{alloc_zeroed, dealloc, Layout};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::Arc;

#[test]
#[cfg(not(miri))]
fn the_compiler_refuses_what_would_be_unsound() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused");
    gristmill_testing::refused(directory, &["gristmill_ring"]);
}

/// A device's memory, as a back end would provide it.
struct Block {
    base: NonNull<u8>,
    layout: Layout,
}

impl Block {
    fn boxed(bytes: usize) -> Box<dyn HostVisible> {
        let layout = Layout::from_size_align(bytes, REGION_ALIGN).unwrap();
        assert!(bytes > 0);
        // SAFETY: the layout's size is not zero.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap();
        Box::new(Block { base, layout })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: `base` was allocated with this layout, and is freed once.
        unsafe { dealloc(self.base.as_ptr(), self.layout) };
    }
}

// SAFETY: an address and a layout, which no method looks behind.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

// SAFETY: the memory is this block's alone until it is dropped, zeroed, aligned to `REGION_ALIGN`, and its size is that
// of a layout.
unsafe impl HostVisible for Block {
    fn base(&self) -> NonNull<u8> {
        self.base
    }
    fn bytes(&self) -> usize {
        self.layout.size()
    }
}

fn place(words: &SharedWords) -> std::ops::Range<usize> {
    let words = words.as_ptr_range();
    words.start as usize..words.end as usize
}

/// For all sizes and alignments, in any order, no byte is handed out twice, and every part is aligned.
#[test]
fn an_arena_hands_out_each_byte_once_however_it_is_aligned() {
    let odd = [
        usize::MAX,
        129,
        usize::MAX / 2 + 1,
        0,
        1,
        3,
        127,
        4096,
        5000,
        usize::MAX - 127,
    ];
    let odd = if cfg!(miri) { &odd[..3] } else { &odd[..] };
    for &first in odd {
        for &second in odd {
            let mut arena = Arena::new(Block::boxed(1 << 16));
            let mut parts = vec![arena.words(8).unwrap()];
            for step in [first, second] {
                arena.align(step);
                parts.extend(arena.words(8).ok());
            }
            parts.extend(arena.words(0).ok());
            for (number, part) in parts.iter().enumerate() {
                let one = place(part);
                assert_eq!(one.start % REGION_ALIGN, 0, "{first} {second}");
                // Under Miri this also shows that the words are there.
                part.iter()
                    .for_each(|word| word.store(1, Ordering::Relaxed));
                for other in parts.iter().skip(number + 1).map(place) {
                    assert!(one.end <= other.start, "{first} {second}");
                }
            }
        }
    }
}

#[test]
fn an_arena_hands_out_no_more_than_it_has() {
    let mut arena = Arena::new(Block::boxed(4096));
    for words in [1025, usize::MAX / 4, usize::MAX / 2, usize::MAX] {
        assert!(arena.words(words).is_err(), "{words}");
    }
    assert_eq!(arena.words(1024).unwrap().len(), 1024);
    assert!(arena.words(1).is_err());
    let plan = ChunkPlan::new(1, 1).unwrap();
    assert!(ChunkMemory::carve(plan, &mut arena).is_err());
    assert!(ChunkMemory::place(plan, Block::boxed(plan.bytes() - REGION_ALIGN)).is_err());
}

fn fill(chunks: &mut [ChunkBuf]) {
    for (chunk, value) in chunks.iter_mut().zip(1..) {
        chunk.as_mut_slice().fill(value);
    }
    for (chunk, value) in chunks.iter().zip(1..) {
        assert!(holds(chunk.as_slice(), value));
    }
}

fn holds(bytes: &[u8], value: u8) -> bool {
    bytes == vec![value; bytes.len()]
}

/// Every way to make chunks, of sizes around a page.
#[test]
fn no_byte_belongs_to_two_chunks() {
    for bytes in [1, 4095, 4096, 4097] {
        let plan = ChunkPlan::new(3, bytes).unwrap();
        assert!(plan.stride() >= bytes && plan.bytes() >= 3 * bytes);
        let (_, mut mapped) = ChunkMemory::map(3, bytes).unwrap();
        fill(&mut mapped);
        let mut arena = Arena::new(Block::boxed(2 * plan.carved_bytes()));
        let (_, mut first) = ChunkMemory::carve(plan, &mut arena).unwrap();
        let (_, mut second) = ChunkMemory::carve(plan, &mut arena).unwrap();
        fill(&mut first);
        fill(&mut second);
        fill(&mut first);
        let (_, mut placed) = ChunkMemory::place(plan, Block::boxed(plan.bytes())).unwrap();
        fill(&mut placed);
    }
    for (count, bytes) in [(0, 4096), (1, 0), (1, (1 << 30) + 1), (1, usize::MAX)] {
        assert!(ChunkPlan::new(count, bytes).is_err(), "{count} {bytes}");
    }
}

/// A chunk's memory lives as long as a token, an access or a pool that has one.
#[test]
fn memory_outlives_its_arena_for_as_long_as_anything_of_it_is_held() {
    let (memory, mut chunks) = ChunkMemory::map(2, 4096).unwrap();
    drop(memory);
    let mut chunk = chunks.pop().unwrap();
    chunk.as_mut_slice().fill(9);
    let pool = ChunkPool::new(chunks, 1);
    let mut pooled = pool.take(0).unwrap();
    drop(pool);
    pooled.as_mut_slice().fill(8);
    assert!(holds(chunk.as_slice(), 9));
    let memory = Arc::clone(chunk.memory());
    let lent = chunk.lend();
    let index = lent.index();
    drop(lent);
    // Nothing will reclaim this chunk, so a worker may read it for as long as it likes.
    let access = memory.borrow_chunk(index).unwrap();
    assert!(holds(&access, 9));
}

/// A slot may carry any number as a chunk's index.
#[test]
fn no_index_reaches_a_chunk_that_the_host_has() {
    let (memory, chunks) = ChunkMemory::map(3, 4096).unwrap();
    for index in [0, 1, 2, 3, 4, u32::MAX - 1, u32::MAX] {
        assert!(memory.borrow_chunk(index).is_none(), "{index}");
    }
    let mut lent: Vec<_> = chunks.into_iter().map(ChunkBuf::lend).collect();
    let access = memory.borrow_chunk(1).unwrap();
    // While it is read, nobody gets it back.
    let _claim = lent.remove(1).reclaim().unwrap_err();
    assert!(holds(&access, 0));
    drop(access);
    let mut back = lent.remove(0).reclaim().unwrap();
    back.as_mut_slice().fill(1);
    assert!(memory.borrow_chunk(back.index()).is_none());
}

/// An access that is forgotten keeps the chunk from its lender, for ever.
#[test]
fn a_forgotten_access_gives_nobody_the_chunk_to_write() {
    let (memory, mut chunks) = ChunkMemory::map(1, 4096).unwrap();
    let lent = chunks.pop().unwrap().lend();
    std::mem::forget(memory.borrow_chunk(0));
    drop(memory.borrow_chunk(0));
    assert!(lent.reclaim().is_err());
}

/// Several workers and the host read a chunk at the same time; whichever ends last, the lender gets it only then.
#[test]
fn a_chunk_that_several_read_goes_back_behind_the_last_of_them() {
    let (memory, mut chunks) = ChunkMemory::map(1, 4096).unwrap();
    let mut chunk = chunks.pop().unwrap();
    for (round, first_ends_first) in [(1, true), (2, false)] {
        chunk.as_mut_slice().fill(round);
        let lent = chunk.lend();
        let (first, second) = (memory.borrow_chunk(0), memory.borrow_chunk(0));
        let (first, second) = (first.unwrap(), second.unwrap());
        assert!(holds(lent.as_slice(), round) && holds(&first, round) && holds(&second, round));
        let lent = lent.reclaim().unwrap_err();
        let (ends, stays) = if first_ends_first {
            (first, second)
        } else {
            (second, first)
        };
        drop(ends);
        let lent = lent.reclaim().unwrap_err();
        assert!(holds(&stays, round));
        drop(stays);
        chunk = lent.reclaim().unwrap();
    }
    assert!(memory.borrow_chunk(0).is_none());
}

/// On real threads: while any of them reads, the lender gets nothing that it could write.
#[test]
fn readers_never_see_what_the_lender_writes_later() {
    let (memory, mut chunks) = ChunkMemory::map(1, 4096).unwrap();
    let mut chunk = chunks.pop().unwrap();
    let rounds = if cfg!(miri) { 3 } else { 200 };
    for round in 0..rounds {
        chunk.as_mut_slice().fill(round);
        let lent = chunk.lend();
        chunk = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    // The lender may have it again before this thread begins.
                    if let Some(access) = memory.borrow_chunk(0) {
                        let first = access[0];
                        assert!(access.iter().all(|byte| *byte == first));
                    }
                });
            }
            let mut chunk = lent.reclaim_completed();
            chunk.as_mut_slice().fill(round.wrapping_add(100));
            chunk
        });
    }
}

#[test]
fn ring_memory_of_other_sizes_is_refused() {
    let config = RingConfig {
        slots: 4,
        io_slots: 2,
        ..RingConfig::default()
    };
    for wrong in 0..7 {
        for change in [-1, 1] {
            let mut part = 0;
            let memory = RingMemory::new(&config, |len| {
                part += 1;
                let len = if part - 1 == wrong {
                    len.saturating_add_signed(change)
                } else {
                    len
                };
                SharedWords::map(len)
            });
            let refused = live_ring_over(config, memory.unwrap());
            assert!(
                matches!(refused, Err(PipelineError::InvalidArgument { .. })),
                "part {wrong}"
            );
        }
    }
}

/// If all parts are the same words, the results are nonsense, but nothing worse happens.
#[test]
fn a_ring_whose_parts_overlap_breaks_and_does_no_harm() {
    let config = RingConfig {
        slots: 4,
        ..RingConfig::default()
    };
    let most = RingMemory::lens(&config).into_iter().max().unwrap();
    let mut arena = Arena::new(Block::boxed((most * 4).next_multiple_of(REGION_ALIGN)));
    let words = arena.words(most).unwrap();
    // Parts have exact sizes, so only parts of equal size can share their words.
    let memory = RingMemory::new(&config, |len| {
        if len == most {
            Ok(words.clone())
        } else {
            SharedWords::map(len)
        }
    });
    let (submitter, mut completions, device) = live_ring_over(config, memory.unwrap()).unwrap();
    for word in words.iter() {
        word.store(u32::MAX, Ordering::Relaxed);
    }
    let token = submitter.try_acquire().unwrap();
    let _ = submitter.publish(token, &Submission::new(opcode::NOP, &[]));
    let mut claimer = Default::default();
    for _ in 0..8 {
        drop(device.claim(&mut claimer));
        let _ = completions.next();
    }
}

/// A dropped token and a forgotten slot are lost, but nothing else is.
#[test]
fn tokens_that_were_lost_are_never_handed_out_again() {
    let (submitter, mut completions, device) = live_ring(RingConfig {
        slots: 2,
        ..RingConfig::default()
    })
    .unwrap();
    let _ = submitter.try_acquire();
    let token = submitter.try_acquire().unwrap();
    submitter
        .publish(token, &Submission::new(opcode::NOP, &[]))
        .unwrap();
    std::mem::forget(device.claim(&mut Default::default()));
    assert!(device.claim(&mut Default::default()).is_none());
    assert!(completions.next().is_none());
    assert!(submitter.try_acquire().is_none());
}

#[test]
fn record_areas_stay_within_their_words() {
    let words = SharedWords::map(10).unwrap();
    for area_words in [0, 1, 3, 5, 10, 11, u32::MAX] {
        let records = RecordMemory::over(words.clone(), area_words);
        for area in [0, 1, 2, 9, 10, u32::MAX] {
            if let Some(mut writer) = records.writer(area) {
                while writer.push(1, 2) && writer.len() < 8 {}
                assert!(!writer.set_word(area_words as usize, 1));
            }
            for index in [0, 1, 4, u32::MAX] {
                records.get(area, index);
                records.word(area, index as usize);
            }
        }
    }
    assert!(RecordMemory::new(u32::MAX, u32::MAX).is_err());
}
