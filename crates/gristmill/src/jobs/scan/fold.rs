//! The two letters outside ASCII that are the same as an ASCII letter in another case: the Kelvin sign is a `k`, and the
//! long s is an `s`.
//!
//! Devices, and the engines for strings, fold only ASCII letters. If patterns contain a `k` or an `s`, the host looks
//! for these two characters in every chunk, and searches chunks that contain one again: a text without them is searched
//! at full speed.

use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::OnceLock;

/// The letters in UTF-8, and the ASCII letter that each of them is.
const LETTERS: [(&[u8], u8); 2] = [(b"\xE2\x84\xAA", b'k'), (b"\xC5\xBF", b's')];

/// The largest number of bytes in which one of the letters is longer than its ASCII letter, as a factor.
pub(super) const LONGER: usize = 3;

/// Where the next of the letters begins.
pub(super) fn next_letter(text: &[u8]) -> Option<usize> {
    static FINDERS: OnceLock<[Finder<'static>; 2]> = OnceLock::new();
    let finders = FINDERS.get_or_init(|| LETTERS.map(|(letter, _)| Finder::new(letter)));
    finders.iter().filter_map(|finder| finder.find(text)).min()
}

/// A text in which the letters are replaced by their ASCII letters.
#[derive(Debug)]
pub(super) struct Replaced<'a> {
    pub text: Cow<'a, [u8]>,
    /// For each replaced letter, its place in the new text, and the bytes that are missing there and before.
    missing: Vec<(usize, usize)>,
}

impl<'a> Replaced<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        let mut missing = Vec::new();
        let Some(first) = next_letter(text) else {
            return Self {
                text: Cow::Borrowed(text),
                missing,
            };
        };
        let (mut replaced, mut rest) = text.split_at(first);
        let mut new = Vec::with_capacity(text.len());
        new.extend_from_slice(replaced);
        while let Some((letter, ascii)) =
            LETTERS.iter().find(|(letter, _)| rest.starts_with(letter))
        {
            let so_far = missing.last().map_or(0, |(_, bytes)| *bytes);
            missing.push((new.len(), so_far + letter.len() - 1));
            new.push(*ascii);
            rest = rest.get(letter.len()..).unwrap_or_default();
            (replaced, rest) = rest.split_at(next_letter(rest).unwrap_or(rest.len()));
            new.extend_from_slice(replaced);
        }
        Self {
            text: Cow::Owned(new),
            missing,
        }
    }

    /// Where the byte at `at` of the new text, or its end, was in the old one.
    pub fn old(&self, at: usize) -> usize {
        let before = self.missing.partition_point(|(place, _)| *place < at);
        let bytes = before
            .checked_sub(1)
            .and_then(|index| self.missing.get(index));
        at + bytes.map_or(0, |(_, bytes)| *bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_a_replaced_text_are_those_of_the_text() {
        let text = "aſK\u{212A}b\u{212A}".as_bytes();
        let replaced = Replaced::new(text);
        assert_eq!(&*replaced.text, b"asKkbk");
        let places: Vec<usize> = (0..=6).map(|at| replaced.old(at)).collect();
        assert_eq!(places, [0, 1, 3, 4, 7, 8, 11]);
        let plain = Replaced::new(b"ab");
        assert_eq!((&*plain.text, plain.old(2)), (&b"ab"[..], 2));
        // Parts of the letters are nothing.
        assert_eq!(next_letter(b"\xE2\x84\xC5"), None);
    }
}
