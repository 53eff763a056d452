//! How much of the bytes is in chunks that are there more than once.

use std::collections::HashSet;

/// How many bytes are in chunks that are there more than once, over all files. A file with several names counts once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkShare {
    /// The bytes of all chunks.
    pub bytes: u64,
    /// The bytes of those that were there before, in the same file or another.
    pub repeated_bytes: u64,
    /// How many chunks there are.
    pub chunks: u64,
    /// How many of them are different.
    pub different: u64,
    /// The beginnings of the digests of those that were there.
    seen: HashSet<[u8; 16]>,
    /// The files with a device and an inode that were counted.
    files: HashSet<(u64, u64)>,
}

impl ChunkShare {
    /// Begins a file. Returns whether it is to be counted.
    pub(super) fn begin(&mut self, id: Option<(u64, u64)>) -> bool {
        id.is_none_or(|id| self.files.insert(id))
    }

    /// Counts a chunk.
    pub(super) fn add(&mut self, length: u64, digest: &[u8]) {
        self.bytes = self.bytes.saturating_add(length);
        self.chunks += 1;
        let mut key = [0; 16];
        key.iter_mut()
            .zip(digest)
            .for_each(|(to, from)| *to = *from);
        match self.seen.insert(key) {
            true => self.different += 1,
            false => self.repeated_bytes = self.repeated_bytes.saturating_add(length),
        }
    }

    /// The bytes of memory that it takes, about.
    pub(super) fn memory(&self) -> u64 {
        40 * (self.seen.len() as u64 + self.files.len() as u64)
    }

    /// Keeps the numbers alone.
    pub(super) fn forget(&mut self) {
        (self.seen, self.files) = Default::default();
    }

    /// The share of bytes that are there more than once, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        match self.bytes {
            0 => 0.0,
            bytes => self.repeated_bytes as f64 / bytes as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_any_size_are_added_up() {
        let mut share = ChunkShare::default();
        for _ in 0..3 {
            share.add(u64::MAX, &[7; 32]);
        }
        let counted = (share.chunks, share.different);
        assert_eq!(counted, (3, 1));
        assert_eq!((share.bytes, share.repeated_bytes), (u64::MAX, u64::MAX));
        assert!(share.share() <= 1.0);
    }
}
