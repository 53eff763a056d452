//! Regexes whose matches may span all of a text.

use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// Whether a regex has a part that goes on over any text, however long.
pub(super) fn is_endless(hir: &Hir) -> bool {
    let all_ascii = |hir: &Hir| match hir.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let all = ClassUnicode::new([ClassUnicodeRange::new('\0', char::MAX)]);
            *class == all
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges() == [ClassBytesRange::new(0, 0xFF)]
                || class.ranges() == [ClassBytesRange::new(0, 0x7F)]
        }
        _ => false,
    };
    match hir.kind() {
        HirKind::Repetition(repetition) => {
            (repetition.max.is_none() && all_ascii(&repetition.sub)) || is_endless(&repetition.sub)
        }
        HirKind::Capture(capture) => is_endless(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(is_endless),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::parsed;

    #[test]
    fn only_what_goes_on_over_any_text_is_endless() {
        for (pattern, expected) in [
            ("(?s)a.*b", true),
            (r"a[\s\S]+b|c", true),
            ("(?s-u:a(x|.+)b)", true),
            ("(?s)a.{0,500}b", false),
            ("a.*b", false),
            ("\"[^\"]*\"", false),
        ] {
            let hir = parsed(pattern);
            assert_eq!(is_endless(&hir), expected, "{pattern}");
        }
    }
}
