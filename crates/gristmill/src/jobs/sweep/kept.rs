//! The bytes of a file that are still needed: the current chunk, and what is kept of those before it.

/// A window on a file.
#[derive(Debug, Default)]
pub(super) struct Kept {
    bytes: Vec<u8>,
    /// Where `bytes` begin in the file.
    from: u64,
}

impl Kept {
    /// Nothing, before the byte at `from`.
    pub fn at(from: u64) -> Self {
        Self {
            bytes: Vec::new(),
            from,
        }
    }

    /// Where the bytes begin in the file.
    pub fn start(&self) -> u64 {
        self.from
    }

    /// Where they end.
    pub fn end(&self) -> u64 {
        self.from + self.bytes.len() as u64
    }

    /// All bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Adds the bytes that follow.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The index in [`bytes`](Self::bytes) of an offset in the file, which lies in them or at their end.
    pub fn index(&self, offset: u64) -> usize {
        let index = offset.saturating_sub(self.from);
        usize::try_from(index).map_or(self.bytes.len(), |index| index.min(self.bytes.len()))
    }

    /// Drops what lies before an offset.
    pub fn drop_before(&mut self, offset: u64) {
        let count = self.index(offset);
        self.bytes.drain(..count);
        self.from += count as u64;
        // A buffer that one long match needed is given back.
        if self.bytes.capacity() > (1 << 16) && self.bytes.len() < self.bytes.capacity() / 8 {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }

    /// Replaces all by the last bytes before `end` in the file.
    pub fn reset(&mut self, last: &[u8], end: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(last);
        self.from = end - last.len() as u64;
    }
}
