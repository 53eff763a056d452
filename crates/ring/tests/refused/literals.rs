// No value that unsafe code relies on can be built by a struct literal.

use gristmill_ring::*;

pub fn a_plan_whose_chunks_overlap() -> ChunkPlan {
    ChunkPlan { count: 2, chunk_bytes: 4096, stride: 0 } //~ E0451
}

pub fn access_that_was_not_asked_for(memory: &ChunkMemory) -> ChunkRef<'_> {
    ChunkRef { memory, index: 0 } //~ E0451
}

pub fn words_of_another_length(words: SharedWords) -> SharedWords {
    SharedWords { len: usize::MAX, ..words } //~ E0451
}
