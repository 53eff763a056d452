//! A search that begins at a border finds what a search of the whole text finds from there on.

use fastrand::Rng;
use gristmill_patterns::{RegexSet, RegexSetBuilder};

/// Patterns whose matches depend on each other, and others.
const PATTERNS: &[&str] = &[
    "aa",
    "a.{0,50}b",
    "a{3}|aaaaab",
    "[ab]+c",
    "(ab|ba)+",
    r"\bab\b",
    r"(?-u)\Ba+",
    "a?",
    "a*b*",
    "",
    "^a|b$",
    "(?m)^[ab]+$",
    r"\Aab",
    "(?s)a.*c",
    "(?s)c.*?b",
    "ab??|b",
    "a[^c]{2,9}c?",
    "(?s).{3}",
    "\u{e9}a|a\u{e9}",
    "[^\n]*c|b",
];

fn text(rng: &mut Rng) -> Vec<u8> {
    let alphabet: &[u8] = rng
        .choice([&b"a"[..], b"ab", b"abc", b"ab c\n", b"a\xC3\xA9\n"])
        .unwrap();
    let length = rng.usize(..300);
    (0..length)
        .map(|_| *rng.choice(alphabet).unwrap())
        .collect()
}

/// The matches of a search that begins at `at`.
fn from(regex: &regex::bytes::Regex, text: &[u8], mut at: usize) -> Vec<(usize, usize)> {
    let (mut found, mut before) = (Vec::new(), None);
    while let Some(one) = (at <= text.len())
        .then(|| regex.find_at(text, at))
        .flatten()
    {
        let (start, end) = (one.start(), one.end());
        at = end;
        if start == end && before == Some(end) {
            at = end + 1;
        } else {
            found.push((start, end));
            before = Some(end);
        }
    }
    found
}

#[test]
fn a_search_from_a_border_finds_what_the_whole_search_finds_behind_it() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_BORDERS_SEED"));
    let set: RegexSet = RegexSetBuilder::new().build(PATTERNS).unwrap();
    let alone: Vec<_> = PATTERNS
        .iter()
        .map(|pattern| regex::bytes::Regex::new(pattern).unwrap())
        .collect();
    let mut cache = set.cache();
    let (mut asked, mut told) = (0, 0);
    for _ in 0..500 {
        let text = text(&mut rng);
        let number = rng.usize(..PATTERNS.len());
        let whole = from(&alone[number], &text, 0);
        let at = rng.usize(..=text.len());
        let hidden = if rng.bool() { 0 } else { rng.usize(..=at) };
        asked += 1;
        let border = set.border(
            &mut cache,
            number,
            &text[hidden..],
            at - hidden,
            hidden == 0,
        );
        let Some(border) = border.map(|border| border + hidden) else {
            assert!(hidden > 0, "{}: the whole text tells", PATTERNS[number]);
            continue;
        };
        told += 1;
        assert!(border <= at);
        let behind = |found: &[(usize, usize)]| -> Vec<(usize, usize)> {
            found
                .iter()
                .copied()
                .filter(|one| one.0 >= border)
                .collect()
        };
        for begin in [border, rng.usize(..=border)] {
            assert_eq!(
                behind(&from(&alone[number], &text, begin)),
                behind(&whole),
                "{} from {begin}, border {border} of {at}, in {:?}",
                PATTERNS[number],
                String::from_utf8_lossy(&text)
            );
        }
    }
    assert!(told <= asked);
}

#[test]
fn a_border_is_near_where_matches_are_rare() {
    let set = RegexSet::new(&[r"key-\d+", "aa", "(?s)x.*y"]).unwrap();
    let mut cache = set.cache();
    let text = b"some text, key-1234 and aaaaaaa of it, and more of it";
    let mut border = |number, at| set.border(&mut cache, number, text, at, false);
    assert_eq!(border(0, 45), Some(45));
    assert_eq!(border(0, 17), Some(11));
    assert_eq!(border(1, 29), Some(24));
    // An x may stand before this text.
    assert_eq!(border(2, 45), None);
}
