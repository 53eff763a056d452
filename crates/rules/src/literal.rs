//! Strings as regexes.

/// A regex of Rust's syntax, for an engine that matches bytes, that finds this string and nothing else.
///
/// ```
/// assert_eq!(gristmill_rules::literal(b"a.b\xff"), r"a\.b(?-u:\xFF)");
/// ```
#[must_use]
pub fn literal(string: &[u8]) -> String {
    let mut regex = String::new();
    for chunk in string.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii_punctuation() {
                regex.push('\\');
            }
            regex.push(character);
        }
        for byte in chunk.invalid() {
            regex += &format!("(?-u:\\x{byte:02X})");
        }
    }
    regex
}
