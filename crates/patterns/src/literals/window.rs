//! Windows and q-grams: their lengths, and their bytes as words.

/// Lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub window: usize,
    pub gram: usize,
}

impl Shape {
    /// The distance of the positions that are looked at.
    pub fn stride(self) -> usize {
        self.window - self.gram + 1
    }
}

/// An odd number whose products scatter: a prime of xxHash.
const WINDOW: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// The bits of the first `bytes` bytes of a little-endian word.
pub(super) fn mask(bytes: usize) -> u64 {
    u64::MAX >> (64 - 8 * bytes.clamp(1, 8))
}

/// A hash of a word.
#[inline(always)]
pub(super) fn window_hash(word: u64) -> u64 {
    let hash = word.wrapping_mul(WINDOW);
    // The lower half must depend on all bytes, too.
    hash ^ (hash >> 32)
}

/// Eight bytes of `text` from `at` on, with zeros for those behind its end.
#[inline(always)]
pub(super) fn load(text: &[u8], at: usize) -> u64 {
    let here = text.get(at..).unwrap_or(&[]);
    match here.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..here.len()].copy_from_slice(here);
            u64::from_le_bytes(bytes)
        }
    }
}

/// The largest distance of the positions that are looked at.
pub(super) const MAX_STRIDE: usize = 16;
