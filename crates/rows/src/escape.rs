//! Bytes as text: a form from which the bytes can be had back, and one for reading.

use std::borrow::Cow;

/// Bytes as UTF-8 from which [`unescape`] makes the same bytes: a backslash is written as `\\`, a byte that is not part of
/// valid UTF-8 as `\xHH` with two digits of `0` to `9` and `a` to `f`, and everything else stays as it is, newlines and
/// other control characters too.
///
/// So a text without a backslash is the bytes themselves. What is valid UTF-8 is decided as [`std::str::from_utf8`] does.
#[must_use]
pub fn escape(bytes: &[u8]) -> Cow<'_, str> {
    escaped(bytes, true)
}

/// Bytes as UTF-8 for reading: a byte that is not part of valid UTF-8 is written as `\xHH`, and a backslash stays as it is.
/// Bytes that are valid UTF-8 are unchanged.
#[must_use]
pub fn readable(bytes: &[u8]) -> Cow<'_, str> {
    escaped(bytes, false)
}

fn escaped(bytes: &[u8], backslashes: bool) -> Cow<'_, str> {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f',
    ];
    if !backslashes || memchr::memchr(b'\\', bytes).is_none() {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Cow::Borrowed(text);
        }
    }
    let mut text = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for (number, part) in chunk.valid().split('\\').enumerate() {
            if number > 0 {
                text.push_str(if backslashes { r"\\" } else { r"\" });
            }
            text.push_str(part);
        }
        for byte in chunk.invalid() {
            text.push_str(r"\x");
            text.push(DIGITS[usize::from(byte >> 4)]);
            text.push(DIGITS[usize::from(byte & 15)]);
        }
    }
    Cow::Owned(text)
}

/// The bytes of which [`escape`] made a text. `None` where a backslash is followed by anything but a backslash, or `x` and
/// two hexadecimal digits, which may be of either case.
#[must_use]
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr(b'\\', rest) {
        bytes.extend_from_slice(&rest[..at]);
        rest = match rest[at + 1..] {
            [b'\\', ref rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'x', high, low, ref rest @ ..] => {
                let value = digit(high)? << 4 | digit(low)?;
                bytes.push(u8::try_from(value).ok()?);
                rest
            }
            _ => return None,
        };
    }
    bytes.extend_from_slice(rest);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_had_back() {
        let seed = gristmill_testing::seed("GRISTMILL_ESCAPE_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        let odd = [
            b"\\",
            &b"x"[..],
            b"a",
            b"\xff",
            "é".as_bytes(),
            b"\xc3",
            b"\n",
        ];
        for _ in 0..2000 {
            let mut bytes = Vec::new();
            for _ in 0..random.usize(..12) {
                match random.bool() {
                    true => bytes.extend_from_slice(odd[random.usize(..odd.len())]),
                    false => bytes.push(random.u8(..)),
                }
            }
            let text = escape(&bytes);
            assert_eq!(unescape(&text).unwrap(), bytes, "{text}");
            let plain = std::str::from_utf8(&bytes).ok();
            assert_eq!(plain.is_some_and(|plain| !plain.contains('\\')), {
                !text.contains('\\')
            });
            if let Some(plain) = plain {
                assert_eq!(readable(&bytes), plain);
            }
        }
    }

    #[test]
    fn escapes_are_as_they_are_documented() {
        assert_eq!(escape(b"a\\b\xFF\nc\xc3"), "a\\\\b\\xff\nc\\xc3");
        assert_eq!(readable(b"\\d\xFF"), "\\d\\xff");
        assert_eq!(unescape(r"\xFF\\").unwrap(), b"\xff\\");
        for wrong in [r"\", r"\x", r"\x1", r"\xg0", r"\n", r"a\\\"] {
            assert_eq!(unescape(wrong), None, "{wrong}");
        }
    }
}
