//! Patterns that are plain strings, for which there are faster engines than a regex.

use super::{Case, LineSettings};
use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange, HirKind};
use regex_syntax::ParserBuilder;

/// Strings that match exactly where the patterns do, in the patterns' order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainStrings {
    /// The strings. An empty one matches everywhere.
    pub strings: Vec<Vec<u8>>,
    /// Whether ASCII letters match in either case. Other letters are the same in either case.
    pub fold: bool,
    /// Whether `k` and `s` also match the two letters outside ASCII that Unicode takes for the same: the Kelvin sign
    /// (U+212A) and the long s (U+017F).
    pub fold_beyond_ascii: bool,
}

impl PlainStrings {
    /// The patterns as strings; `None` if it takes a regex to search for them. Patterns that are refused as a regex are
    /// `None` too.
    ///
    /// With [`LineSettings::fixed_strings`] patterns need not be UTF-8; where one is not, only ASCII letters match in
    /// either case.
    pub fn of<P: AsRef<[u8]>>(patterns: &[P], settings: &LineSettings) -> Option<Self> {
        // A whole line or word is more than a string.
        if settings.boundary.is_some() {
            return None;
        }
        let strings = patterns
            .iter()
            .map(|pattern| string(pattern.as_ref(), settings))
            .collect::<Option<Vec<_>>>()?;
        // With CR LF, where a line ends is the regex's to say.
        if settings.crlf && strings.iter().any(Vec::is_empty) {
            return None;
        }
        if strings.iter().any(|string| refused(string, settings)) {
            return None;
        }
        let texts: Option<Vec<&str>> = strings
            .iter()
            .map(|string| std::str::from_utf8(string).ok())
            .collect();
        let fold = settings.case.folds(&strings);
        if !fold {
            return Some(Self {
                strings,
                fold,
                fold_beyond_ascii: false,
            });
        }
        let beyond = texts.is_some() && settings.unicode;
        if texts.is_some_and(|texts| {
            texts
                .iter()
                .any(|text| !folds_as_ascii(text, settings.unicode))
        }) {
            return None;
        }
        let fold_beyond_ascii =
            beyond && strings.iter().flatten().any(|byte| b"kKsS".contains(byte));
        if fold_beyond_ascii && strings.iter().any(Vec::is_empty) {
            // Where a regex finds an empty match is the regex's to say.
            return None;
        }
        Some(Self {
            strings,
            fold,
            fold_beyond_ascii,
        })
    }
}

/// The string that a pattern is.
fn string(pattern: &[u8], settings: &LineSettings) -> Option<Vec<u8>> {
    if settings.fixed_strings {
        return Some(pattern.to_vec());
    }
    let text = std::str::from_utf8(pattern).ok()?;
    if !settings.unicode && !text.is_ascii() {
        return None;
    }
    if !text.contains([
        '\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$',
    ]) {
        return Some(pattern.to_vec());
    }
    let hir = ParserBuilder::new()
        .nest_limit(super::NEST_LIMIT)
        .utf8(false)
        .unicode(settings.unicode)
        .multi_line(true)
        .crlf(settings.crlf)
        .build()
        .parse(text)
        .ok()?;
    match hir.kind() {
        HirKind::Empty => Some(Vec::new()),
        HirKind::Literal(literal) => Some(literal.0.to_vec()),
        _ => None,
    }
}

/// Whether ripgrep refuses the string: it holds a line end, or, in a regex, a NUL.
fn refused(string: &[u8], settings: &LineSettings) -> bool {
    let ends = |byte: &u8| *byte == b'\n' || (settings.crlf && *byte == b'\r');
    let nul = !settings.fixed_strings && !settings.text;
    string.iter().any(|byte| ends(byte) || (nul && *byte == 0))
}

impl Case {
    /// Whether letters of these strings match in either case.
    pub fn folds<P: AsRef<[u8]>>(self, strings: &[P]) -> bool {
        let mut strings = strings.iter().map(AsRef::as_ref);
        match self {
            Case::Sensitive => false,
            Case::Insensitive => true,
            Case::Smart => {
                let upper = |string: &[u8]| {
                    String::from_utf8_lossy(string)
                        .chars()
                        .any(char::is_uppercase)
                };
                strings.clone().any(|string: &[u8]| !string.is_empty()) && !strings.any(upper)
            }
        }
    }
}

/// Whether no letter outside ASCII has another case.
fn folds_as_ascii(text: &str, unicode: bool) -> bool {
    text.chars().filter(|c| !c.is_ascii()).all(|c| {
        let one = ClassUnicode::new([ClassUnicodeRange::new(c, c)]);
        let mut folded = one.clone();
        unicode && folded.try_case_fold_simple().is_ok() && folded == one
    })
}

#[cfg(test)]
mod tests {
    use super::super::Boundary;
    use super::*;

    fn strings(patterns: &[&str], settings: &LineSettings) -> Option<Vec<String>> {
        PlainStrings::of(patterns, settings).map(|plain| {
            let text = |string: Vec<u8>| String::from_utf8(string).unwrap();
            plain.strings.into_iter().map(text).collect()
        })
    }

    #[test]
    fn a_regex_that_is_one_literal_is_a_string() {
        let settings = LineSettings::default();
        let plain = |pattern: &str| strings(&[pattern], &settings).map(|mut all| all.remove(0));
        for (pattern, string) in [
            ("foo", "foo"),
            ("well-known #1 & ~", "well-known #1 & ~"),
            (r"foo\.bar", "foo.bar"),
            (r"\x{e9}", "é"),
            ("(?:ab)c", "abc"),
            ("[a]b", "ab"),
            ("", ""),
        ] {
            assert_eq!(plain(pattern).as_deref(), Some(string), "{pattern}");
        }
        for pattern in [
            "a.b", "(a)", "a|b", "^a", "a$", r"\ba", "(?i)a", "a\nb", r"\n", "(", r"\x00",
        ] {
            assert_eq!(plain(pattern), None, "{pattern}");
        }
        let whole = LineSettings {
            boundary: Some(Boundary::Line),
            ..settings
        };
        assert_eq!(strings(&["foo"], &whole), None);
    }

    #[test]
    fn case_is_left_to_a_regex_where_letters_outside_ascii_have_one() {
        let insensitive = LineSettings {
            case: Case::Insensitive,
            ..LineSettings::default()
        };
        let of = |pattern: &str| PlainStrings::of(&[pattern], &insensitive);
        assert_eq!(of("café"), None);
        assert!(of("東京 tower").is_some_and(|plain| plain.fold && !plain.fold_beyond_ascii));
        assert!(of("ask").is_some_and(|plain| plain.fold && plain.fold_beyond_ascii));
        let smart = LineSettings {
            case: Case::Smart,
            ..LineSettings::default()
        };
        let fold = |patterns: &[&str]| PlainStrings::of(patterns, &smart).map(|plain| plain.fold);
        assert_eq!(fold(&["abc", "d"]), Some(true));
        assert_eq!(fold(&["abc", "D"]), Some(false));
        assert_eq!(fold(&["CAFÉ"]), Some(false));
        assert_eq!(fold(&["café"]), None);
        assert_eq!(fold(&[""]), Some(false));
        assert!(of("").is_some() && PlainStrings::of(&["", "k"], &insensitive).is_none());
    }
}
