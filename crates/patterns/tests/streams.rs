//! A search through a text of which only the last bytes are kept finds what a search of the whole text finds.

use fastrand::Rng;
use gristmill_patterns::{RegexSet, RegexSetBuilder, StreamSearch, StreamState};
use std::cell::Cell;

/// Patterns with long matches, with matches that wait for longer ones, and with many beginnings of none.
const PATTERNS: &[&str] = &[
    "(?s)a.*b",
    "(?s)a.*?b",
    "(?s)a(?:.*c)?",
    "(?s)a(?:.*c)??b?",
    "a[^\n]*c",
    "a(?:[^\n]*c)?",
    "(?s)ab|a.*c|b",
    "(?s)a.*cc|ba|b.*cb",
    "(?s)(?:a|b).*?(?:cc|\u{e9})",
    "[ab]+",
    "[ab]+c",
    "(?:ab?)*",
    "(?:ab|c)*?b",
    "aa",
    "",
    "(?s).{70}",
    "(?s)a.{0,90}?c",
    r"(?s)\ba\b.*\bb\b",
    r"(?s)\Ba.*?c\B|b",
    r"(?-u)(?s)a\b.*?\xE9",
    "(?s)^a.*b$",
    "(?sm)^a.*?b$",
    "(?smR)^.*?b$|a$",
    r"(?s)b.*\z|a",
    r"(?s)a.{3,}?\ba",
    "(?s)a(?:b.*c|c.*b|\n.*a)?",
    "(?s)c(?:a|.*bbb|..*b b)",
    // The second alternative enters the tail of the loop of the first, so that bytes which change nothing while all threads
    // began at one place move a beginning from one thread to another where two did.
    "(?:a[abcx]*x|b)c*\n",
    "(?:a[abx]*b|x)[bx]* ",
    r"(?s)(?:a.*?b|c)\s*[0-9]{3}",
    "(?s)(?:a.*?b|c)x*b",
    "(?s)(?:a.*b|b)x*(?:c|\n)",
    "(?:ab[abx]*x|b)[ab]*(?: |c)",
    "(?s)(?:a.*c|b[ab]*)[bx]*c(?:x| )",
    "(?s)(?:a.*x|b.*b|c)[bx]*\n",
];

fn text(rng: &mut Rng) -> Vec<u8> {
    let alphabet: &[u8] = rng
        .choice([
            &b"ab"[..],
            b"abc",
            b"ab c\n",
            b"a\xC3\xA9\n",
            b"axxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            b"abxxxxxxxxxxxxxxxxxxx \r\n",
            b"aabbbccxxxx\n",
            b"abcx1 ",
            b"abbcxxx  \n123",
            b"abcxxxxxxxxxxxxxxxxxxx \r\n\xC3\xA9",
        ])
        .unwrap();
    let length = *rng.choice(&[3, 50, 300, 1500]).unwrap();
    let length = rng.usize(..length);
    let mut text = Vec::new();
    while text.len() < length {
        let byte = *rng.choice(alphabet).unwrap();
        let times = match rng.u8(..60) {
            0 => rng.usize(..200),
            _ => 1,
        };
        text.extend((0..times).map(|_| byte));
    }
    text
}

/// The matches before the first that is too long, and where that begins.
type Matches = (Vec<(u64, u64)>, Option<u64>);

fn expected(regex: &regex::bytes::Regex, text: &[u8], most: u64) -> Matches {
    let mut found = Vec::new();
    for one in regex.find_iter(text) {
        if one.len() as u64 > most {
            return (found, Some(one.start() as u64));
        }
        found.push((one.start() as u64, one.end() as u64));
    }
    (found, None)
}

/// Reads a text in pieces, of which no more is kept than is needed. Now and then another search takes over.
fn by_pieces(set: &RegexSet, number: usize, text: &[u8], most: u64, rng: &mut Rng) -> Matches {
    let begin = |at, before| set.stream(number, at, before, most).unwrap();
    let mut search: StreamSearch = begin(0, None);
    let (mut found, mut there) = (Vec::new(), 0);
    let piece = *rng.choice(&[1, 7, 100, 5000]).unwrap();
    loop {
        there = text.len().min(there + rng.usize(1..=piece));
        let from = usize::try_from(search.needed()).unwrap().saturating_sub(4);
        let before = search.needed();
        assert!(there as u64 - search.needed() <= 2 * most + piece as u64 + 6);
        let part = &text[from.min(there)..there];
        let ends = there == text.len();
        let state = search.read(
            part,
            from as u64,
            ends,
            || true,
            |start, end| {
                assert!(before <= start);
                found.push((start, end));
            },
        );
        match state {
            StreamState::Open => assert!(!ends),
            StreamState::Ended => return (found, None),
            StreamState::TooLong { from } => {
                assert!(search.watched(from) <= Some(from));
                found.retain(|(start, _)| *start < from);
                return (found, Some(from));
            }
            StreamState::TooManySteps { .. } => panic!("of {} with {most}", PATTERNS[number]),
        }
        if let Some((at, before)) = search.rest().filter(|_| rng.u8(..50) == 0) {
            search = begin(at, before);
        }
    }
}

#[test]
fn a_text_of_which_the_last_bytes_are_kept_has_the_matches_of_the_whole_text() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_STREAMS_SEED"));
    let set = RegexSetBuilder::new().build(PATTERNS).unwrap();
    let alone: Vec<_> = PATTERNS
        .iter()
        .map(|pattern| regex::bytes::Regex::new(pattern).unwrap())
        .collect();
    let (mut matches, mut errors) = (0, 0);
    for _ in 0..6000 {
        let text = text(&mut rng);
        let number = rng.usize(..PATTERNS.len());
        let most = *rng.choice(&[0, 1, 5, 64, 256, 10_000]).unwrap();
        let expected = expected(&alone[number], &text, most);
        let found = by_pieces(&set, number, &text, most, &mut rng);
        assert_eq!(
            found,
            expected,
            "{} with {most} in {:?}",
            PATTERNS[number],
            String::from_utf8_lossy(&text)
        );
        matches += found.0.len();
        errors += usize::from(found.1.is_some());
    }
    assert!(matches > 10_000 && errors > 500, "{matches} {errors}");
}

#[test]
fn a_byte_that_moves_a_beginning_to_another_thread_is_not_skipped() {
    let many = "x".repeat(30);
    for (regex, text) in [
        ("(?:s[xyst]*x|t)y*z", "sxxtyxz".to_owned()),
        ("(?:s[xyst]*x|t)y*z", format!("s{many}tyy{many}yyz")),
        (
            r"(?s)(?:key.*?=|token)\s*[0-9]{8}",
            "key == token  = 12345678".to_owned(),
        ),
        (
            r"(?s)(?:key.*?=|token)\s*[0-9]{8}",
            "key a= b==  token \n==\n 12345678".to_owned(),
        ),
    ] {
        let set = RegexSet::new(&[regex]).unwrap();
        let one = regex::bytes::Regex::new(regex).unwrap();
        for most in [1000, 10, 3] {
            let mut found = Vec::new();
            let mut search = set.stream(0, 0, None, most).unwrap();
            let state = search.read(
                text.as_bytes(),
                0,
                true,
                || true,
                |start, end| {
                    found.push((start, end));
                },
            );
            let expected = expected(&one, text.as_bytes(), most);
            let too_long = match state {
                StreamState::TooLong { from } => Some(from),
                _ => None,
            };
            found.retain(|(start, _)| too_long.is_none_or(|from| *start < from));
            assert_eq!((found, too_long), expected, "{regex} in {text:?}, {most}");
        }
    }
}

#[test]
fn a_text_of_beginnings_takes_no_longer_than_others() {
    let patterns = [
        "(?s)begin.*end",
        "(?s)begin(?:.*end)?",
        "begin(?:[^\n]*end)?",
    ];
    let set = RegexSet::new(&patterns).unwrap();
    let text = b"begin ".repeat(200_000);
    for (number, matches) in [(0, 0), (1, 200_000), (2, 200_000)] {
        let mut search = set.stream(number, 0, None, 1 << 19).unwrap();
        let mut found = 0;
        let state = search.read(&text, 0, true, || true, |_, _| found += 1);
        assert_eq!((state, found), (StreamState::Ended, matches));
    }
}

#[test]
fn nothing_is_told_of_a_match_that_is_soon_known_to_be_too_long() {
    let set = RegexSet::new(&["(?s)0.*1"]).unwrap();
    let mut search = set.stream(0, 0, None, 4096).unwrap();
    let text = b"0123456789".repeat(10_000);
    let told = |_, _| panic!("a match");
    let state = search.read(&text, 0, false, || true, told);
    assert_eq!(state, StreamState::TooLong { from: 0 });
}

/// Each beginning matches alone, waits for a longer match in another state of the automaton than the ones before it, and so
/// reads as far ahead as they did.
#[test]
fn a_search_that_reads_a_text_in_hundreds_of_states_ends() {
    let regex = "(?s)x(?:(?:.{1000})*END)?";
    let set = RegexSet::new(&[regex]).unwrap();
    let before = set.memory_usage();
    let mut text = b"x".repeat(1 << 16);
    let mut search = set.stream(0, 0, None, 1 << 13).unwrap();
    assert!(set.memory_usage() > before);
    let mut found = Vec::new();
    let state = search.read(
        &text,
        0,
        false,
        || true,
        |start, end| found.push((start, end)),
    );
    // The first beginning may still lead to a match.
    assert_eq!(state, StreamState::TooManySteps { from: 0 });
    assert!((1..1000).contains(&found.len()), "{}", found.len());
    assert!((0..).zip(&found).all(|(at, one)| *one == (at, at + 1)));
    // It stays so.
    text.push(b'x');
    let again = search.read(&text, 0, true, || true, |_, _| panic!("a match"));
    assert_eq!(again, state);
}

#[test]
fn a_text_that_is_read_once_may_be_in_thousands_of_states() {
    let set = RegexSet::new(&["(?:ab){0,1500}c"]).unwrap();
    let text = b"ab".repeat(15_000);
    let mut search = set.stream(0, 0, None, 256).unwrap();
    let state = search.read(&text, 0, true, || true, |_, _| panic!("a match"));
    assert_eq!(state, StreamState::Ended);
}

/// Every byte begins a match that goes on for a million, so that each is read in as many states as there were bytes before it.
#[test]
fn a_search_in_very_many_states_takes_no_more_steps_than_it_may() {
    let regex = "(?s-u)a(?:.{1000}){1100}b";
    let set = RegexSetBuilder::new().size_limit(1 << 30).build(&[regex]);
    let set = set.unwrap();
    let text = b"a".repeat(1 << 16);
    let mut search = set.stream(0, 0, None, 1 << 20).unwrap();
    let state = search.read(&text, 0, false, || true, |_, _| panic!("a match"));
    assert_eq!(state, StreamState::TooManySteps { from: 0 });
    // It stays so.
    let text = b"a".repeat(1 << 17);
    let again = search.read(&text, 0, true, || true, |_, _| panic!("a match"));
    assert_eq!(again, state);
}

#[test]
fn a_search_stops_where_it_is_told_to_and_goes_on_from_there() {
    let set = RegexSet::new(&["(?:ab){0,1500}c"]).unwrap();
    let mut text = b"ab".repeat(5_000);
    text.push(b'c');
    let mut search = set.stream(0, 0, None, 20_000).unwrap();
    let (asked, mut stopped, mut found) = (Cell::new(0), 0, Vec::new());
    loop {
        // No, each second time.
        let go_on = || asked.replace(asked.get() + 1) % 2 == 0;
        match search.read(&text, 0, true, go_on, |start, end| found.push((start, end))) {
            StreamState::Open => stopped += 1,
            state => break assert_eq!(state, StreamState::Ended),
        }
    }
    assert!(stopped > 2, "{stopped}");
    assert_eq!(found, [(7000, 10_001)]);
}
