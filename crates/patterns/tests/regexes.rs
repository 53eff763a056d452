//! A set finds for each regex what the `regex` crate finds for it alone.

use fastrand::Rng;
use gristmill_patterns::{Hit, Part, RegexSet, RegexSetBuilder};
use std::ops::Range;
use std::path::Path;

/// Every match of each pattern in a text, by the set.
fn by_set(set: &RegexSet, text: &[u8]) -> Vec<Vec<(usize, usize)>> {
    let mut found = vec![Vec::new(); set.len()];
    let mut cache = set.cache();
    // The second time a cache holds what the first search left.
    for _ in 0..2 {
        found.iter_mut().for_each(Vec::clear);
        set.find(&mut cache, text, |pattern, start, end| {
            found[pattern].push((start, end));
        });
    }
    found
}

fn alone(regex: &regex::bytes::Regex, text: &[u8]) -> Vec<(usize, usize)> {
    let matches = regex.find_iter(text);
    matches.map(|found| (found.start(), found.end())).collect()
}

/// Every match of one pattern in a text that comes bit by bit, and of which what is no longer needed is dropped.
fn bit_by_bit(rng: &mut Rng, set: &RegexSet, pattern: usize, text: &[u8]) -> Vec<(usize, usize)> {
    let mut cache = set.cache();
    let (mut found, mut at, mut before) = (Vec::new(), 0_usize, None);
    let mut end = 0;
    loop {
        end = (end + rng.usize(..24)).min(text.len());
        let ends = end == text.len();
        while at <= end {
            // Of what lies before only a character is kept.
            let begin = at.saturating_sub(4);
            let known = &text[begin..end];
            let limit = match ends {
                true => known.len() + 1,
                false => set.certain(&mut cache, pattern, known, at - begin),
            };
            let Some((start, end)) = set.next(&mut cache, pattern, known, at - begin, limit) else {
                if !ends {
                    at = at.max(limit + begin);
                }
                break;
            };
            let (start, end) = (start + begin, end + begin);
            assert!(start >= at);
            at = end;
            if start == end && before == Some(end) {
                at += 1;
            } else {
                found.push((start, end));
                before = Some(end);
            }
        }
        if ends {
            return found;
        }
    }
}

/// Compares what is certain in a random part of a text with the matches in all of it.
fn check_part(rng: &mut Rng, set: &RegexSet, regexes: &[regex::bytes::Regex], text: &[u8]) {
    let starts = rng.usize(..=text.len());
    let starts = starts..rng.usize(starts..=text.len());
    let begin = starts.start - rng.usize(4..40).min(starts.start);
    let end = text.len().min(starts.end + rng.usize(..60));
    check_part_of(set, regexes, text, starts, begin..end);
}

/// The same for the matches that begin at `starts` in the part `begin..end`; what is open, of each pattern.
fn check_part_of(
    set: &RegexSet,
    regexes: &[regex::bytes::Regex],
    text: &[u8],
    starts: Range<usize>,
    Range { start: begin, end }: Range<usize>,
) -> Vec<Option<usize>> {
    let ends = end == text.len();
    let part = Part {
        text: &text[begin..end],
        starts: starts.start - begin..starts.end - begin,
        ends,
    };
    let mut found = vec![Vec::new(); set.len()];
    let mut open = vec![None; set.len()];
    set.find_in(
        &mut set.cache(),
        &part,
        || true,
        |pattern, hit| match hit {
            Hit::Match { start, end } => found[pattern].push((start + begin, end + begin)),
            Hit::Open { from } => assert_eq!(open[pattern].replace(from + begin), None),
        },
    );
    for (number, regex) in regexes.iter().enumerate() {
        let limit = match open[number] {
            Some(open) => {
                assert!(!ends && open >= starts.start && open < starts.end);
                open
            }
            None if ends && starts.end == end => end + 1,
            None => starts.end,
        };
        let (mut expected, mut at, mut before) = (Vec::new(), starts.start, None);
        while let Some(next) = (at < limit).then(|| regex.find_at(text, at)).flatten() {
            if next.start() >= limit {
                break;
            }
            at = next.end();
            if next.is_empty() && before == Some(at) {
                at += 1;
                continue;
            }
            expected.push((next.start(), next.end()));
            before = Some(at);
        }
        assert!(
            found[number] == expected,
            "{regex:?}, {}, from {starts:?} of {begin}..{end} of {:?}: {:?}, not {expected:?}",
            set.explain().nth(number).unwrap(),
            text.escape_ascii().to_string(),
            found[number],
        );
    }
    open
}

/// Private keys, with lines between that begin as they do.
#[test]
fn long_matches_that_end_are_told_though_others_may_go_on() {
    let patterns = [r"(?s)-----BEGIN [A-Z]{3,9}-----.{8,}?END-----", "secret"];
    let set = RegexSet::new(&patterns).unwrap();
    let regexes = patterns.map(|pattern| regex::bytes::Regex::new(pattern).unwrap());
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_LONG_SEED"));
    for _ in 0..60 {
        let mut text = Vec::new();
        while text.len() < 60_000 {
            match rng.usize(..12) {
                0 => text.extend_from_slice(b"-----BEGIN KEY-----"),
                1 => text.extend_from_slice(b"-----END-----"),
                2 => text.extend_from_slice(b"secret"),
                _ => text.extend((0..rng.usize(..2000)).map(|_| rng.alphanumeric() as u8)),
            }
        }
        let begin = rng.usize(..8000);
        let tail = rng.usize(2048..6000);
        let starts = begin + rng.usize(..40)..50_000 - rng.usize(..8000);
        let part = begin..starts.end + tail;
        check_part_of(&set, &regexes, &text, starts, part);
    }
    let mut text = b"-----BEGIN KEY-----0123456789-----END-----\n".repeat(3);
    text.resize(60_000, b' ');
    let open = check_part_of(&set, &regexes, &text, 0..50_000, 0..54_096);
    assert_eq!(open, [None, None]);
    text.extend_from_slice(b"-----BEGIN KEY-----");
    text.resize(120_000, b' ');
    let open = check_part_of(&set, &regexes, &text, 0..100_000, 0..104_096);
    assert_eq!(open, [Some(60_000), None]);
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

const WORDS: &[&str] = &[
    "secret",
    "key-",
    "Token",
    "AKIA",
    "aaaa",
    "abab",
    "straße",
    "kelvin",
    "-----BEGIN",
    "x_y_z",
];

/// A random regex. Repetitions are small, so that few are refused for their size.
fn random_regex(rng: &mut Rng, depth: usize) -> String {
    let last = if depth == 0 { 7 } else { 14 };
    let inner = |rng: &mut Rng| random_regex(rng, depth.saturating_sub(1));
    match rng.usize(..last) {
        0..=3 => pick(rng, WORDS).to_owned(),
        4 => pick(
            rng,
            &[
                r"[a-z]", "[0-9A-F]", r"\w", r"\d", ".", r"[^\n]", r"\s", "[^x]", "[kK]",
            ],
        )
        .to_owned(),
        5 => pick(rng, &["a", "é", "_", "=", r"\n", " ", "K"]).to_owned(),
        6 => pick(
            rng,
            &[
                r"\b",
                r"\B",
                "^",
                "$",
                r"(?-u:\b)",
                r"\b{start}",
                r"\A",
                r"\z",
                "",
            ],
        )
        .to_owned(),
        7 | 8 => format!("{}{}", inner(rng), inner(rng)),
        9 => format!("{}{}{}", inner(rng), inner(rng), inner(rng)),
        10 => format!("(?:{}|{})", inner(rng), inner(rng)),
        11 => format!("({})", inner(rng)),
        12 => format!(
            "(?{}:{})",
            pick(rng, &["i", "s", "m", "-u", "i-u", "U", "ism"]),
            inner(rng)
        ),
        _ => {
            let count = pick(
                rng,
                &[
                    "*", "+", "?", "{2}", "{0,3}", "{1,5}", "{3,}", "*?", "+?", "{1,4}?",
                ],
            );
            format!("(?:{}){count}", inner(rng))
        }
    }
}

/// A text of words, pieces of them, and what stands around them.
fn random_text(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        let word = pick(rng, WORDS);
        match rng.usize(..9) {
            0..=2 => text.extend(word.bytes()),
            3 => text.extend(word.to_uppercase().bytes()),
            4 => text.extend(&word.as_bytes()[..rng.usize(..=word.len())]),
            5 => text.extend(
                word.to_lowercase()
                    .replace('k', "\u{212a}")
                    .replace('s', "\u{17f}")
                    .bytes(),
            ),
            6 => {
                text.extend(pick(rng, &["\n", " ", "=", "\r\n", "é", "_", "aaaaaaaa", "0"]).bytes())
            }
            7 => text.extend((0..rng.usize(..12)).map(|_| rng.alphanumeric() as u8)),
            _ => text.push(rng.u8(..)),
        }
    }
    text
}

#[test]
fn random_regexes_match_as_each_alone() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_REGEXES_SEED"));
    let (mut matches, mut by_literals) = (0, 0);
    for _ in 0..150 {
        let mut patterns = Vec::new();
        let mut regexes = Vec::new();
        while patterns.len() < 12 {
            let pattern = random_regex(&mut rng, 4);
            if let Ok(regex) = regex::bytes::Regex::new(&pattern) {
                regexes.push(regex);
                patterns.push(pattern);
            }
        }
        let set = RegexSet::new(&patterns).unwrap();
        by_literals += set
            .explain()
            .filter(|plan| plan.literals().is_some())
            .count();
        for _ in 0..4 {
            let length = rng.usize(..600);
            let text = random_text(&mut rng, length);
            let found = by_set(&set, &text);
            check_part(&mut rng, &set, &regexes, &text);
            for (number, regex) in regexes.iter().enumerate() {
                let expected = alone(regex, &text);
                let plan = set.explain().nth(number).unwrap();
                assert!(
                    found[number] == expected,
                    "{regex:?}, {plan}, in {:?}: {:?}, not {expected:?}",
                    text.escape_ascii().to_string(),
                    found[number],
                );
                let bits = bit_by_bit(&mut rng, &set, number, &text);
                assert!(
                    bits == expected,
                    "bit by bit: {regex:?}, {plan}, in {:?}: {bits:?}, not {expected:?}",
                    text.escape_ascii().to_string(),
                );
                matches += expected.len();
            }
        }
    }
    assert!(
        matches > 1000 && by_literals > 300,
        "{matches}, {by_literals}"
    );
}

/// A regex as scanners for secrets have them: it needs a run of bytes, mostly near a literal.
fn secret_regex(rng: &mut Rng) -> String {
    let class = pick(
        rng,
        &[
            "[a-z0-9]",
            "[0-9a-f]",
            r"[\w.-]",
            r"[\w=+/-]",
            "[A-Za-z0-9_-]",
            r"(?i:[a-z])",
            r"\d",
        ],
    );
    let least = rng.usize(7..40);
    let more = rng.usize(..60);
    let count = pick(rng, &["{n}", "{n,}", "{n,m}", "{n,m}?"]);
    let count = count.replace('n', &least.to_string());
    let run = format!("{class}{}", count.replace('m', &(least + more).to_string()));
    let keyword = pick(
        rng,
        &[
            "secret",
            "(?:key|Token)",
            "sk",
            "(?i:kelvin|api_)",
            "AKIA",
            "x[oe]xb-",
        ],
    );
    let between = pick(rng, &["", "_", r"(?:[ \t\w.-]{0,9})", r"\b", ".*?", r"\s*"]);
    let operator = pick(
        rng,
        &["", "(?:=|:=|=>)", r#"[:=]["' ]{0,3}"#, ":", r#"=\s{0,2}""#],
    );
    let ending = pick(
        rng,
        &[
            "",
            r"\b",
            "$",
            r#"(?:["'\s;]|\\n|$)"#,
            "(?m:$)",
            "x?;",
            "[^x]",
            "_end",
        ],
    );
    let flag = pick(rng, &["", "", "(?i)", "(?i-u)"]);
    match rng.usize(..8) {
        0 => format!(r"{flag}\b{run}{ending}"),
        1 => format!("{flag}{run}{operator}{keyword}"),
        2 => format!("{flag}{keyword}{between}{operator}{run}{ending}|{keyword}-{run}"),
        3 => format!(
            r"{flag}[\w.-]{{0,9}}?{keyword}{between}{operator}(?:{run}|{class}{{9}}-{class}{{8}}){ending}"
        ),
        _ => format!(r"{flag}{keyword}{between}{operator}({run}){ending}"),
    }
}

/// A text with what such regexes look for, and what comes near to it.
fn secret_text(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < length {
        let word = pick(
            rng,
            &[
                "secret",
                "key",
                "Token",
                "sk",
                "kelvin",
                "\u{212a}elvin",
                "api_",
                "AKIA",
                "xoxb-",
            ],
        );
        match rng.usize(..7) {
            0 => text.extend(word.bytes()),
            1 => text.extend(word.to_uppercase().bytes()),
            2 | 3 => {
                let parts = [
                    "=", ":=", "=>", ":\"", ": '", ";", "\n", " ", "_", "\"", "\\n", "-", ".", "é",
                    "x",
                ];
                text.extend(pick(rng, &parts).bytes());
            }
            4 => text.push(rng.u8(..)),
            _ => {
                let of = pick(
                    rng,
                    &["0123456789abcdef", "azAZ09", "aZ_-.=+/", "0123456789"],
                );
                let count = rng.usize(..48);
                text.extend((0..count).map(|_| of.as_bytes()[rng.usize(..of.len())]));
            }
        }
    }
    text
}

#[test]
fn regexes_that_need_runs_match_as_each_alone() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_RUNS_SEED"));
    for round in 0..16 {
        let mut patterns = Vec::new();
        let mut regexes = Vec::new();
        while patterns.len() < 24 {
            let pattern = secret_regex(&mut rng);
            if let Ok(regex) = regex::bytes::Regex::new(&pattern) {
                regexes.push(regex);
                patterns.push(pattern);
            }
        }
        let set = RegexSet::new(&patterns).unwrap();
        let long = if round % 8 == 0 { 140_000 } else { 0 };
        for length in [long, rng.usize(..900), rng.usize(..9000)] {
            let text = secret_text(&mut rng, length);
            let found = by_set(&set, &text);
            check_part(&mut rng, &set, &regexes, &text);
            for (number, regex) in regexes.iter().enumerate() {
                let expected = alone(regex, &text);
                assert!(
                    found[number] == expected,
                    "{regex:?}, {}, in {:?}: {:?}, not {expected:?}",
                    set.explain().nth(number).unwrap(),
                    text.escape_ascii().to_string(),
                    found[number],
                );
            }
        }
    }
}

#[test]
fn a_run_that_a_regex_needs_is_looked_for_first() {
    for (pattern, how) in [
        (
            r"sk_[a-z0-9]{40}",
            "searched in windows for 43 bytes, found by 40 or more letters and digits in a row, found by literals: \"sk_\"",
        ),
        (
            r"\b[0-9a-f]{40}\b",
            "searched in windows for 40 bytes, found by 40 or more digits to base 16 in a row",
        ),
        (
            r"(?-u)key ?= ?([a-z0-9]{10,20});",
            "searched in windows for 27 bytes, found by 10 or more letters and digits in a row behind one of =, found by \
             literals: \"key =\" \"key=\"",
        ),
        (
            "secret.*",
            "tried where a match would begin, found by literals: \"secret\"",
        ),
    ] {
        let set = RegexSet::new(&[pattern]).unwrap();
        let plan = set.explain().next().unwrap();
        assert_eq!(plan.to_string(), how);
        assert_eq!(plan.by_run(), how.contains("in a row"));
        assert!(!plan.is_alone());
    }
}

/// Texts of several blocks: literals and matches lie across borders, and each way of searching meets a text that it is
/// bad at.
#[test]
fn long_texts_and_all_ways() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_REGEXES_SEED"));
    let patterns = [
        r"secret[a-z]{0,40}=\d",    // window
        r"[a-z]{0,60}Token.{0,20}", // window with a wide start
        r"AKIA[^!]*!",              // tries that read far in vain
        r"AKIA\w*",                 // tries
        r"\bkelvin\b[a-zé]*",       // tries that meet bytes the DFA doesn't know
        r"\w*straße",               // gate
        r"(?i)[^\n]*kelvin",        // gate, either case
        r"(?s)-----BEGIN.*?straße", // tries over long distances
        r"aaaa{1,3}",               // a match at every place
        r"\d*",                     // empty matches
    ];
    let set = RegexSet::new(&patterns).unwrap();
    let plans: Vec<String> = set.explain().map(|plan| plan.to_string()).collect();
    for (number, way) in [
        (0, "windows"),
        (2, "tried"),
        (5, "from the first"),
        (9, "alone"),
    ] {
        assert!(plans[number].contains(way), "{}", plans[number]);
    }
    let mut texts = vec![
        random_text(&mut rng, 300_000),
        vec![b'a'; 200_000],
        "AKIA".repeat(50_000).into_bytes(),
    ];
    for border in [65_536, 131_072] {
        for before in 0..12 {
            let mut text = vec![b'.'; border - before];
            text.extend(b"secretabc=1 -----BEGIN straAKIA! kelvin stra\xc3\x9fe Token");
            text.resize(140_000, b' ');
            texts.push(text);
        }
    }
    for text in &texts {
        let found = by_set(&set, text);
        for (number, pattern) in patterns.iter().enumerate() {
            let regex = regex::bytes::Regex::new(pattern).unwrap();
            assert!(
                found[number] == alone(&regex, text),
                "{pattern}, {}",
                plans[number]
            );
        }
    }
}

#[test]
fn the_options_hold_for_all_patterns() {
    let text = "KEY-1\nKey-1 \u{212a}ey-1\nkey-1é".as_bytes();
    for bits in 0..8 {
        let (insensitive, unicode, lines) = (bits & 1 > 0, bits & 2 > 0, bits & 4 > 0);
        let pattern = r"^k.?ey-1|key-1$|\w+ey-1";
        let set = RegexSetBuilder::new()
            .case_insensitive(insensitive)
            .unicode(unicode)
            .multi_line(lines)
            .build(&[pattern])
            .unwrap();
        let regex = regex::bytes::RegexBuilder::new(pattern)
            .case_insensitive(insensitive)
            .unicode(unicode)
            .multi_line(lines)
            .build()
            .unwrap();
        assert_eq!(by_set(&set, text), [alone(&regex, text)], "{bits}");
    }
}

#[test]
fn errors_name_pattern_and_place() {
    let error = RegexSet::new(&["fine", "a(b"]).unwrap_err();
    assert_eq!(
        (error.number(), error.pattern(), error.offset()),
        (1, "a(b", Some(1))
    );
    assert_eq!(
        error.to_string(),
        r#"pattern 1, "a(b", at byte 1: unclosed group"#
    );
    let error = RegexSetBuilder::new()
        .size_limit(1000)
        .build(&["ok", r"\w{100}"])
        .unwrap_err();
    assert!(
        error.number() == 1 && error.to_string().contains("limit of 1000 bytes"),
        "{error}"
    );
    let error = RegexSetBuilder::new()
        .total_size_limit(10)
        .build(&[r"\w+"])
        .unwrap_err();
    assert!(error.to_string().contains("limit of 10 bytes"), "{error}");
    let empty: [&str; 0] = [];
    assert!(RegexSet::new(&empty).unwrap().is_empty());
}

/// The rules of a secret scanner over this repository's own sources.
#[test]
fn rules_of_a_scanner_over_source_text() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = std::env::var_os("GRISTMILL_GITLEAKS_RULES")
        .map_or_else(|| root.join("../shared/data/gitleaks.toml"), Into::into);
    let Ok(rules) = std::fs::read_to_string(&path) else {
        return gristmill_testing::skipped(
            "gitleaks' rule file is not there; GRISTMILL_GITLEAKS_RULES can name it",
        );
    };
    let table = toml::de::DeTable::parse(&rules).unwrap();
    let patterns: Vec<&str> = table.get_ref()["rules"]
        .get_ref()
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|rule| rule.get_ref().get("regex")?.get_ref().as_str())
        .filter(|pattern| regex::bytes::Regex::new(pattern).is_ok())
        .collect();
    assert!(patterns.len() > 100, "{}", patterns.len());
    let set = RegexSet::new(&patterns).unwrap();
    let by_literals = set
        .explain()
        .filter(|plan| plan.literals().is_some())
        .count();
    assert!(
        by_literals * 10 > patterns.len() * 8,
        "{by_literals} of {}",
        patterns.len()
    );
    // The rules' own text holds what comes near to them.
    let mut text = rules.as_bytes()[..rules.len().min(60_000)].to_vec();
    for file in ["src/regexes.rs", "src/literals.rs", "tests/regexes.rs"] {
        text.extend(std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap());
    }
    text.extend(b"\ntoken = \"ghp_0123456789abcdefABCDEF0123456789abcd\"\nAKIAQWERTYUIOPASDFGH\n");
    let found = by_set(&set, &text);
    let mut matches = 0;
    for (number, pattern) in patterns.iter().enumerate() {
        let regex = regex::bytes::Regex::new(pattern).unwrap();
        let expected = alone(&regex, &text);
        assert!(
            found[number] == expected,
            "{pattern}: {:?}, not {expected:?}",
            found[number]
        );
        matches += expected.len();
    }
    assert!(matches > 0);
}

/// Regexes that count have many states, which are made as texts need them: for any text, only so many are kept.
#[test]
fn what_searches_keep_is_bounded() {
    let patterns: Vec<String> = (0..60)
        .map(|number| {
            format!(r"(?i)[\w.-]{{0,50}}?(?:key{number:02})(?:[ \t\w.-]{{0,20}})[\s']{{0,3}}(?:=|:)[\s']{{0,5}}([a-z0-9]{{32}})(?:[\s']|$)")
        })
        .collect();
    let set = RegexSetBuilder::new().build(&patterns).unwrap();
    let mut rng = Rng::with_seed(7);
    let mut text = Vec::new();
    let letters = |rng: &mut Rng, text: &mut Vec<u8>, alphabet: &[u8], count: usize| {
        text.extend((0..count).map(|_| alphabet[rng.usize(..alphabet.len())]));
    };
    while text.len() < 3 << 17 {
        let (before, behind) = (rng.usize(..60), rng.usize(..20));
        letters(&mut rng, &mut text, b"abcKEYkey01.-_ ", before);
        text.extend(format!("key{:02}", rng.usize(..60)).as_bytes());
        letters(&mut rng, &mut text, b"abcKEYkey01.-_ ", behind);
        text.extend([&b" = "[..], b"=", b": '"][rng.usize(..3)]);
        letters(&mut rng, &mut text, b"0123456789abcdef", 32);
        text.extend(b"'\n");
    }
    let mut cache = set.cache();
    let (mut most, mut found) = (0, 0);
    for part in text.chunks(64 << 10) {
        set.find(&mut cache, part, |_, _, _| found += 1);
        most = most.max(cache.memory_usage());
    }
    println!("{found} matches, {most} bytes");
    assert!(found > 1000);
    assert!(most < 40 << 20, "{most}");
}

/// Regexes that begin with some characters of a class and go on with a literal, over texts in which those characters and the
/// literal stand in every order.
#[test]
fn some_characters_before_a_literal_reach_as_far_as_they_do_alone() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_REGEXES_SEED"));
    let pieces: [&[u8]; 16] = [
        b"key",
        b"KEY",
        b"keykey",
        "\u{212a}ey".as_bytes(),
        b"k",
        b"a",
        b"z9",
        b".",
        b" ",
        b"\n",
        b"=",
        b":",
        "\u{e4}\u{df}".as_bytes(),
        b"\xff",
        b"\x84\xaa",
        b"=abcd",
    ];
    for _ in 0..60 {
        let class = [r"[\w.-]", r"\w", "[a-z]", r"(?-u:[a-z\x80-\xff])", "."][rng.usize(..5)];
        let most = [1, 2, 5, 50][rng.usize(..4)];
        let flags = ["", "(?i)"][rng.usize(..2)];
        let between = ["", r"[ \t\w.-]{0,4}", r"\w*?", " ?"][rng.usize(..4)];
        let behind = ["[=:]", "[=:][a-z]{2,4}", "=?", r"(?:=|\b)"][rng.usize(..4)];
        let pattern = format!("{flags}{class}{{0,{most}}}?(?:key){between}{behind}");
        let set = RegexSetBuilder::new().build(&[&pattern]).unwrap();
        let regex = regex::bytes::Regex::new(&pattern).unwrap();
        for _ in 0..30 {
            let count = rng.usize(..120);
            let text: Vec<u8> = (0..count)
                .flat_map(|_| pieces[rng.usize(..16)])
                .copied()
                .collect();
            let expected = alone(&regex, &text);
            let found = by_set(&set, &text);
            assert!(
                found[0] == expected,
                "{pattern} in {}: {:?}, not {expected:?}",
                text.escape_ascii(),
                found[0]
            );
        }
    }
}
