//! The bytes of a file at hand: the last of those that came before, which are kept, and those that follow them.

use std::borrow::Cow;
use std::ops::Range;

/// The last bytes of a file that are kept.
#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    /// Where they begin in the file.
    from: u64,
}

/// The bytes at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    /// Those that were kept.
    tail: &'a [u8],
    /// Where they begin in the file.
    pub from: u64,
    /// Those that follow them.
    bytes: &'a [u8],
}

impl Tail {
    /// Nothing, before the byte at `from`.
    pub fn at(from: u64) -> Self {
        Self {
            bytes: Vec::new(),
            from,
        }
    }

    /// What is kept, and behind it `bytes`.
    pub fn text<'a>(&'a self, bytes: &'a [u8]) -> Text<'a> {
        Text {
            tail: &self.bytes,
            from: self.from,
            bytes,
        }
    }

    /// Adds the bytes that follow, and drops those before the offset `keep`.
    pub fn advance(&mut self, bytes: &[u8], keep: u64) {
        let keep = keep.max(self.from);
        let border = self.from + self.bytes.len() as u64;
        if keep >= border {
            self.bytes.clear();
            self.bytes.extend_from_slice(&bytes[index(keep, border)..]);
        } else {
            self.bytes.drain(..index(keep, self.from));
            self.bytes.extend_from_slice(bytes);
        }
        self.from = keep;
        // A buffer that one long match needed is given back.
        if self.bytes.capacity() > 1 << 16 && self.bytes.len() < self.bytes.capacity() / 8 {
            self.bytes.shrink_to(self.bytes.len() * 2);
        }
    }
}

/// How many bytes `place` is behind `from`.
pub(super) fn index(place: u64, from: u64) -> usize {
    usize::try_from(place.saturating_sub(from)).unwrap_or(usize::MAX)
}

impl<'a> Text<'a> {
    /// Where the kept bytes end in the file, and the others begin.
    pub fn border(&self) -> u64 {
        self.from + self.tail.len() as u64
    }

    /// Where the bytes end in the file.
    pub fn end(&self) -> u64 {
        self.border() + self.bytes.len() as u64
    }

    /// The parts of a range in the two pieces, as far as they are there.
    pub fn parts(&self, range: Range<u64>) -> [&'a [u8]; 2] {
        let part = |piece: &'a [u8], from: u64| {
            let (start, end) = (index(range.start, from), index(range.end, from));
            &piece[start.min(piece.len())..end.min(piece.len())]
        };
        [part(self.tail, self.from), part(self.bytes, self.border())]
    }

    /// The bytes of a range, as far as they are there.
    pub fn get(&self, range: Range<u64>) -> Cow<'a, [u8]> {
        match self.parts(range) {
            [part, []] | [[], part] => Cow::Borrowed(part),
            [first, second] => Cow::Owned([first, second].concat()),
        }
    }
}
