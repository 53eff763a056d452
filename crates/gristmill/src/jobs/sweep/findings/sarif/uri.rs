//! Paths as URI references (RFC 3986).

/// The URI of a path that does not begin with `./`: relative to the current directory if the path is, and else with the
/// scheme `file`. Each byte that is not a letter, a digit or one of `-._~/` is percent-encoded, so that paths that are
/// not UTF-8 have a URI, too.
pub(super) fn of(path: &[u8]) -> String {
    use std::fmt::Write;
    let mut uri = String::with_capacity(path.len() + 16);
    if path.starts_with(b"/") {
        uri.push_str("file://");
    }
    for byte in path {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(*byte));
            }
            byte => {
                // Writing to a String does not fail.
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_path_is_a_uri() {
        for (path, uri) in [
            (&b"src/a.rs"[..], "src/a.rs"),
            (b"../a", "../a"),
            (b"/etc/x y", "file:///etc/x%20y"),
            (b"a:b?c#d%", "a%3Ab%3Fc%23d%25"),
            ("é".as_bytes(), "%C3%A9"),
            (b"\xFF\n", "%FF%0A"),
            (b"<stdin>", "%3Cstdin%3E"),
        ] {
            assert_eq!(super::of(path), uri);
        }
    }
}
