//! Classes of characters, and how far they reach in a text.

use super::bytes::ByteSet;
use regex_syntax::hir::Class;

/// What stands at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// A character of the class, of so many bytes.
    One(usize),
    Other,
    /// The text ends before that can be told.
    End,
}

/// A class of characters or of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Characters {
    /// Bytes that are characters by themselves.
    single: ByteSet,
    /// Ranges of other characters, ascending.
    others: Vec<(char, char)>,
}

impl Characters {
    pub fn new(class: &Class) -> Self {
        let mut set = Self {
            single: ByteSet::default(),
            others: Vec::new(),
        };
        match class {
            Class::Bytes(class) => {
                let ranges = class.ranges().iter();
                ranges.for_each(|range| set.single.add_range(range.start(), range.end()));
            }
            Class::Unicode(class) => {
                for range in class.ranges() {
                    let (start, end) = (range.start(), range.end());
                    if let Ok(first @ ..0x80) = u8::try_from(start) {
                        let last = u8::try_from(end).unwrap_or(0x7F).min(0x7F);
                        set.single.add_range(first, last);
                    }
                    if !end.is_ascii() {
                        set.others.push((start.max('\u{80}'), end));
                    }
                }
            }
        }
        set
    }

    /// The bytes with which characters begin.
    pub fn first(&self) -> ByteSet {
        let mut first = self.single;
        for (start, end) in &self.others {
            let lead = |character: char| {
                let mut bytes = [0; 4];
                character.encode_utf8(&mut bytes);
                bytes[0]
            };
            first.add_range(lead(*start), lead(*end));
        }
        first
    }

    /// One byte.
    pub fn byte(byte: u8) -> Self {
        let mut single = ByteSet::default();
        single.add(byte);
        Self {
            single,
            others: Vec::new(),
        }
    }

    /// Bytes of memory that it takes.
    pub fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.others[..])
    }

    /// Whether a byte is a character of the class by itself.
    #[inline]
    pub fn has_byte(&self, byte: u8) -> bool {
        self.single.has(byte)
    }

    /// What stands at `at`.
    #[inline]
    pub fn at(&self, text: &[u8], at: usize) -> At {
        match text.get(at) {
            None => At::End,
            Some(byte) if self.single.has(*byte) => At::One(1),
            Some(byte) if byte.is_ascii() || self.others.is_empty() => At::Other,
            Some(byte) => self.long(*byte, text, at),
        }
    }

    /// The same for a character that begins with a byte that is not ASCII.
    fn long(&self, byte: u8, text: &[u8], at: usize) -> At {
        let length = match byte {
            0xC2..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF4 => 4,
            _ => return At::Other,
        };
        let Some(bytes) = text.get(at..at + length) else {
            return At::End;
        };
        let character = std::str::from_utf8(bytes).ok();
        let Some(character) = character.and_then(|text| text.chars().next()) else {
            return At::Other;
        };
        let first = self.others.partition_point(|(_, last)| *last < character);
        match self.others.get(first) {
            Some((start, _)) if *start <= character => At::One(length),
            _ => At::Other,
        }
    }

    /// Where the character before `at` begins, which is known to be one of the class.
    pub fn before(&self, text: &[u8], at: usize) -> usize {
        let mut at = at - 1;
        if !self.others.is_empty() {
            while text[at] & 0xC0 == 0x80 {
                at -= 1;
            }
        }
        at
    }

    /// The first place, from `from` on, from which no more than `most` characters of the class reach to `place`.
    pub fn reach_back(&self, most: u32, text: &[u8], from: usize, place: usize) -> usize {
        let mut at = place;
        for _ in 0..most {
            let lengths = 1..=4.min(at - from);
            let length = lengths
                .into_iter()
                .find(|length| self.at(&text[..at], at - length) == At::One(*length));
            let Some(length) = length else { break };
            at -= length;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use regex_syntax::hir::HirKind;

    #[test]
    fn characters_reach_back_as_far_as_they_are_of_the_class() {
        let hir = regex_syntax::parse(r"[a-c\u{e9}\u{17f}\u{20ac}]").unwrap();
        let HirKind::Class(class) = hir.kind() else {
            panic!("{hir:?}");
        };
        let class = Characters::new(class);
        for (text, most, expected) in [
            (&b"xxabc"[..], 9, 2),
            (b"xxabc", 2, 3),
            (b"abc", 3, 0),
            ("x\u{e9}a\u{20ac}\u{17f}".as_bytes(), 9, 1),
            ("x\u{e9}a\u{20ac}\u{17f}".as_bytes(), 2, 4),
            // Half of a character, and one of another kind.
            (b"\xC3ab", 9, 1),
            (b"a\xA9ab", 9, 2),
            ("\u{e8}ab".as_bytes(), 9, 2),
            (b"x", 9, 1),
        ] {
            assert_eq!(
                class.reach_back(most, text, 0, text.len()),
                expected,
                "{text:?}"
            );
        }
        assert_eq!(class.reach_back(9, "\u{e9}a".as_bytes(), 1, 3), 2);
        assert_eq!(class.at("\u{20ac}".as_bytes(), 0), At::One(3));
        assert_eq!(class.at(b"\xE2\x82", 0), At::End);
        assert_eq!(class.at(b"\xE2\x82x", 0), At::Other);
        assert_eq!(class.before("a\u{20ac}".as_bytes(), 4), 1);
    }
}
