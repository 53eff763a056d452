//! Access to the words of an image by number. Only this module knows that a word is four bytes, little-endian.

/// Bytes in a word.
pub const WORD_BYTES: usize = 4;

/// Word number `word`; `None` where the image ends before it does.
#[must_use]
pub fn read(bytes: &[u8], word: usize) -> Option<u32> {
    let start = word.checked_mul(WORD_BYTES)?;
    bytes
        .get(start..)?
        .first_chunk::<WORD_BYTES>()
        .map(|bytes| u32::from_le_bytes(*bytes))
}

/// Stores word number `word`; false, and nothing stored, where the image ends before it does.
#[must_use = "false means that nothing was stored"]
pub fn write(bytes: &mut [u8], word: usize, value: u32) -> bool {
    let stored = word
        .checked_mul(WORD_BYTES)
        .and_then(|start| bytes.get_mut(start..))
        .and_then(|rest| rest.first_chunk_mut::<WORD_BYTES>());
    match stored {
        Some(stored) => {
            *stored = value.to_le_bytes();
            true
        }
        None => false,
    }
}

/// Exactly `N` words that start at `first`; `None` where the image ends before they do.
#[must_use]
pub fn read_array<const N: usize>(bytes: &[u8], first: usize) -> Option<[u32; N]> {
    let mut words = [0; N];
    for (offset, word) in words.iter_mut().enumerate() {
        *word = read(bytes, first.checked_add(offset)?)?;
    }
    Some(words)
}

/// Stores consecutive words from `first` on; false, and nothing stored, where the image ends before they do.
#[must_use = "false means that nothing was stored"]
pub fn write_all(bytes: &mut [u8], first: usize, values: &[u32]) -> bool {
    let target = first.checked_mul(WORD_BYTES).and_then(|start| {
        let end = start.checked_add(values.len().checked_mul(WORD_BYTES)?)?;
        bytes.get_mut(start..end)
    });
    match target {
        Some(target) => {
            for (stored, value) in target.chunks_exact_mut(WORD_BYTES).zip(values) {
                stored.copy_from_slice(&value.to_le_bytes());
            }
            true
        }
        None => false,
    }
}

/// A 64-bit number as its low and its high word.
#[must_use]
pub const fn split(number: u64) -> (u32, u32) {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = number.to_le_bytes();
    (
        u32::from_le_bytes([b0, b1, b2, b3]),
        u32::from_le_bytes([b4, b5, b6, b7]),
    )
}

/// The 64-bit number of a low and a high word.
#[must_use]
pub const fn join(low: u32, high: u32) -> u64 {
    let ([b0, b1, b2, b3], [b4, b5, b6, b7]) = (low.to_le_bytes(), high.to_le_bytes());
    u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7])
}
