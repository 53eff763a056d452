//! How rows show paths: as they are, escaped in lists, and in JSON.

use serde_json::{json, Value};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path in a list of digests, as coreutils writes one: where it holds a newline, a carriage return or a backslash,
/// these are escaped and the row begins with a backslash. Returns whether it does, and the path's bytes.
pub fn escaped(path: &Path) -> (bool, Vec<u8>) {
    let bytes = path.as_os_str().as_bytes();
    let special = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\\');
    if !bytes.iter().any(special) {
        return (false, bytes.to_vec());
    }
    let mut out = Vec::with_capacity(bytes.len() + 8);
    for byte in bytes {
        match byte {
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b'\\' => out.extend(b"\\\\"),
            other => out.push(*other),
        }
    }
    (true, out)
}

/// The path that [`escaped`] wrote; `None` where an escape is unknown.
pub fn unescaped(bytes: &[u8]) -> Option<PathBuf> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        out.push(match byte {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'r' => b'\r',
                b'\\' => b'\\',
                _ => return None,
            },
            other => *other,
        });
    }
    Some(PathBuf::from(std::ffi::OsString::from_vec(out)))
}

/// A path in JSON: `{"text": ...}`, or where it is not UTF-8 `{"bytes": ...}` in base64, as ripgrep does.
pub fn json(path: &Path) -> Value {
    match path.to_str() {
        Some(text) => json!({ "text": text }),
        None => json!({ "bytes": base64(path.as_os_str().as_bytes()) }),
    }
}

/// The path of which [`json()`] made a value; `None` of any other value.
pub fn of_json(value: &Value) -> Option<Vec<u8>> {
    match value.get("text") {
        Some(text) => Some(text.as_str()?.as_bytes().to_vec()),
        None => unbase64(value.get("bytes")?.as_str()?),
    }
}

/// The bytes of which [`base64`] made a text; `None` of any other text.
pub fn unbase64(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (groups, []) = text.as_bytes().as_chunks::<4>() else {
        return None;
    };
    for (number, group) in groups.iter().enumerate() {
        let padding = group
            .iter()
            .rev()
            .take_while(|digit| **digit == b'=')
            .count();
        if padding > 2 || padding > 0 && number + 1 < groups.len() {
            return None;
        }
        let digits = &group[..4 - padding];
        let word =
            (digits.iter()).try_fold(0_u32, |word, of| Some(word << 6 | u32::from(digit(*of)?)));
        let word = word? << (6 * padding);
        bytes.extend_from_slice(&word.to_be_bytes()[1..4 - padding]);
    }
    Some(bytes)
}

/// Base64 with padding (RFC 4648, section 4).
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |index: usize| u32::from(group.get(index).copied().unwrap_or(0));
        let word = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= group.len() {
                let index = (word >> (18 - 6 * digit)) & 63;
                out.push(char::from(DIGITS[index as usize]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaping_is_undone() {
        for name in ["plain", "new\nline", "back\\slash", "\r\n\\n"] {
            let (marked, bytes) = escaped(Path::new(name));
            assert_eq!(marked, name != "plain");
            assert!(!bytes.contains(&b'\n'));
            if marked {
                assert_eq!(unescaped(&bytes), Some(PathBuf::from(name)));
            }
        }
        assert_eq!(unescaped(b"\\x"), None);
        assert_eq!(unescaped(b"\\"), None);
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let cases = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
        ];
        for (plain, coded) in cases {
            assert_eq!(base64(plain.as_bytes()), coded);
            assert_eq!(unbase64(coded).as_deref(), Some(plain.as_bytes()));
        }
        for wrong in ["Z", "Zg=", "Zg==Zg==", "Z===", "====", "Zm-v"] {
            assert_eq!(unbase64(wrong), None, "{wrong}");
        }
        for path in [&b"a"[..], b"\xff/\n", b""] {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            let bytes = of_json(&json(path));
            assert_eq!(bytes.as_deref(), Some(path.as_os_str().as_bytes()));
        }
    }
}
