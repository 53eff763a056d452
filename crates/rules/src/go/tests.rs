use super::*;
use regex_automata::{meta::Regex, util::syntax};

fn regex(go: &str) -> Regex {
    let rust = translate(go).unwrap_or_else(|error| panic!("{go}: {error}"));
    Regex::builder()
        .syntax(syntax::Config::new().utf8(false))
        .build(&rust)
        .unwrap_or_else(|error| panic!("{go} as {rust}: {error}"))
}

/// The whole text matches.
fn whole(go: &str, text: impl AsRef<[u8]>) -> bool {
    let text = text.as_ref();
    regex(&format!(r"\A(?:{go})\z")).is_match(text)
}

/// What RE2 and Go's package say of these was looked up in their documentation, which names each of them.
#[test]
fn a_translated_regex_means_what_go_means() {
    for (go, yes, no) in [
        // ASCII only, but folded by Unicode's rules.
        (
            r"\w",
            &["a", "Z", "0", "_"][..],
            &["é", "\u{212A}", "-"][..],
        ),
        (r"(?i)\w", &["\u{212A}", "\u{17F}"], &["é"]),
        (r"(?i)\W", &["é"], &["\u{212A}", "k"]),
        (r"(?i)[^\W]", &["\u{212A}", "k"], &["é"]),
        (r"(?i)k", &["k", "K", "\u{212A}"], &["q"]),
        (r"\s", &["\t", "\n", "\x0C", "\r", " "], &["\x0B", "\u{A0}"]),
        (r"\S", &["\x0B", "é"], &[" "]),
        (r"\d", &["7"], &["٧"]),
        (r"[[:space:]]", &["\x0B"], &["\u{A0}"]),
        (r"[[:^alpha:]]", &["1", "é"], &["a"]),
        (r".", &["é", "\r"], &["\n"]),
        (r"(?s).", &["\n"], &[]),
        (r"[^a]", &["\n", "é"], &["a"]),
        // Braces that repeat nothing.
        (r"\${\d+}", &["${12}"], &["$12"]),
        (r"a{,2}", &["a{,2}"], &["aa", ""]),
        (r"a{2}", &["aa"], &["a{2}"]),
        (r"a{1,}", &["a", "aaaa"], &[""]),
        (r"{{[^}]+}}", &["{{x}}"], &["{x}"]),
        (r"a{ 2}", &["a{ 2}"], &["aa"]),
        // Classes.
        (r"[]a]", &["]", "a"], &["["]),
        (r"[^]a]", &["["], &["]"]),
        (r"[a[b]", &["[", "a", "b"], &["]"]),
        (r"[\w-.]", &["-", ".", "q"], &["/"]),
        (r"[\w.-/]", &[".", "/"], &["-"]),
        (r"[a&&b]", &["a", "&", "b"], &["c"]),
        (r"[a~~b]", &["~"], &["c"]),
        (r"[+-]", &["+", "-"], &[","]),
        (r"[[:word:].-]", &["_", ".", "-"], &[":"]),
        (r"[[:x]", &["[", ":", "x"], &["]"]),
        (r"[\x60'\x{22}]", &["`", "'", "\""], &["x"]),
        (r"[\pL\d]", &["é", "1"], &["-"]),
        (r"[#\s]", &["#", " "], &["x"]),
        // Escapes.
        (r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb*"]),
        (r"\<a\>", &["<a>"], &["a"]),
        (r#"\"\'\/\%\-\_"#, &["\"'/%-_"], &[]),
        (r"\101\0", &["A\0"], &[]),
        (r"\p{^Greek}", &["a"], &["α"]),
        (r"\P{^Greek}", &["α"], &["a"]),
        (r"\pN", &["٧"], &["a"]),
        // Groups and flags.
        (r"(?P<1a>x)(?<b>y)(?P<b2>z)", &["xyz"], &[]),
        (r"a(?i)b|c", &["aB", "C"], &["AB"]),
        (r"(?i-s:A)B", &["aB"], &["ab"]),
        (r"()x(?)", &["x"], &[]),
        (r"a b # c", &["a b # c"], &["ab"]),
    ] {
        for text in yes {
            assert!(whole(go, text), "{go} does not match {text:?}");
        }
        for text in no {
            assert!(!whole(go, text), "{go} matches {text:?}");
        }
    }
}

#[test]
fn words_end_where_ascii_says_so() {
    assert!(regex(r"\bkey\b").is_match("é-key".as_bytes()));
    // `é` is no letter of Go's words.
    assert!(regex(r"\bkey\b").is_match("ékeyé".as_bytes()));
    assert!(!regex(r"\Bkey").is_match("ékey".as_bytes()));
    assert!(!regex(r"\bkey").is_match(b"akey"));
}

#[test]
fn a_byte_that_is_no_text_matches_nothing() {
    assert!(!whole(r".", b"\xFF"));
    assert!(!whole(r"[^a]", b"\xFF"));
    assert!(regex(r"key").is_match(b"\xFFkey\xFE"));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (go, offset, reason) in [
        ("a(", 1, "unclosed group"),
        ("a)", 1, "unopened group"),
        ("ab[c", 2, "without an end"),
        // A range from `a` to `-`.
        ("[a--b]", 1, "ends before it begins"),
        ("x[z-a]", 2, "ends before it begins"),
        ("x[[:nope:]]", 2, "has this name"),
        (r"x\y", 1, "no such escape"),
        (r"x\", 1, "nothing behind it"),
        (r"(a)\1", 3, "no back-references"),
        ("a(?=b)", 1, "no look-around"),
        ("a(?<!b)", 1, "no look-around"),
        ("(?x)a", 0, "flags are"),
        ("(?i-)a", 0, "flags are"),
        ("a++", 2, "repetition of a repetition"),
        ("a*{2}", 2, "repetition of a repetition"),
        ("b|*", 2, "missing expression"),
        (r"\p{Nope}", 0, "Unicode property not found"),
        (r"\x{D800}", 0, "hexadecimal"),
        (r"\x{+1}", 0, "hexadecimal"),
        ("éé[", 4, "without an end"),
        ("a{2,1}", 1, "repetition"),
    ] {
        let error = translate(go).expect_err(go);
        assert_eq!(error.offset, offset, "{go}: {error}");
        assert!(error.reason.contains(reason), "{go}: {error}");
    }
}

/// Whatever is given, the answer is a regex that the engine's parser takes, or an error within the pattern.
#[test]
fn random_patterns_are_translated_or_refused() {
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_RULES_SEED"));
    let pieces = [
        "a", "é", "k", "\\", "[", "]", "^", "-", "(", ")", "(?", ":", "P<", ">", "i", "{", "}",
        "1", ",", "*", "+", "?", "|", "\\Q", "\\E", "\\p", "\\w", "\\x", "[:", "alpha", ":]", "&&",
        ".", "$", "\\b", " ", "#", "\u{0}", "7", "\\0",
    ];
    for _ in 0..20_000 {
        let length = random.usize(..12);
        let go: String = (0..length)
            .map(|_| pieces[random.usize(..pieces.len())])
            .collect();
        match translate(&go) {
            Ok(rust) => assert_eq!(check(&rust), Ok(()), "{go}"),
            Err(error) => assert!(go.is_char_boundary(error.offset), "{go}: {error}"),
        }
    }
    let deep = "(".repeat(100_000);
    assert!(translate(&deep).is_err());
    let deep = format!("{deep}{}", ")".repeat(100_000));
    assert!(translate(&deep).is_err());
}
