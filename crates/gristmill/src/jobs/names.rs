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
        }
    }
}
