//! The state word of a chunk, which decides who may touch the chunk's bytes.

numbers! {
    /// States of a chunk.
    pub STATES {
        /// The host owns the chunk.
        HOST: u32 = 0;
        /// The chunk is lent to the device, which may read it.
        LENT: u32 = 1;
        /// A worker on the CPU is reading the chunk. With each further one the word is larger by 1.
        BORROWED: u32 = 2;
    }
}
