//! Sets of byte strings beside `aho-corasick`, which finds every occurrence one byte at a time.

use aho_corasick::AhoCorasick;
use gristmill_patterns::{BuildError, Literals};
use std::ops::Range;

fn found(set: &Literals, text: &[u8], starts: Range<usize>) -> Vec<(usize, u32)> {
    let mut all = Vec::new();
    set.find(text, starts, |start, pattern| all.push((start, pattern)));
    all.sort_unstable();
    all
}

fn expected(
    patterns: &[Vec<u8>],
    fold: bool,
    text: &[u8],
    starts: &Range<usize>,
) -> Vec<(usize, u32)> {
    let automaton = AhoCorasick::builder()
        .ascii_case_insensitive(fold)
        .build(patterns)
        .unwrap();
    let mut all: Vec<_> = automaton
        .find_overlapping_iter(text)
        .filter(|found| starts.contains(&found.start()))
        .map(|found| (found.start(), found.pattern().as_u32()))
        .collect();
    all.sort_unstable();
    all
}

/// Bytes of a small alphabet, so that patterns occur, overlap and hold each other.
fn bytes(random: &mut fastrand::Rng, alphabet: &[u8], len: usize) -> Vec<u8> {
    (0..len)
        .map(|_| alphabet[random.usize(..alphabet.len())])
        .collect()
}

#[test]
fn every_occurrence_is_found_once_and_none_that_is_not_there() {
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("LITERALS_SEED"));
    for _ in 0..200 {
        let alphabet: &[u8] = match random.u8(..4) {
            0 => b"ab",
            1 => b"aAbB zZ",
            2 => b"\0\xff\n@`[{",
            _ => b"abcdefghijklmnopqrstuvwxyzABCDEFG 0123456789.-/",
        };
        let fold = random.bool();
        let count = [1, 3, 20, 60, 400, 3000][random.usize(..6)];
        let longest = [1, 3, 7, 12, 40, 200][random.usize(..6)];
        let shortest = 1 + random.usize(..longest);
        let len = random.usize(..40_000);
        let mut text = bytes(&mut random, alphabet, len);
        // In a small alphabet many short patterns stand everywhere, many times over.
        if alphabet.len() < 8 && count > 60 {
            text.truncate(1000);
        }
        let patterns: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let len = random.usize(shortest..=longest);
                let pattern = bytes(&mut random, alphabet, len);
                // Let long ones occur, at the ends too.
                if random.u8(..4) == 0 && text.len() > len {
                    let at = match random.u8(..8) {
                        0 => 0,
                        1 => text.len() - len,
                        _ => random.usize(..text.len() - len),
                    };
                    text[at..at + len].copy_from_slice(&pattern);
                }
                pattern
            })
            .collect();
        let set = Literals::build(&patterns, fold).unwrap();
        let from = random.usize(..=text.len());
        let until = random.usize(from..=text.len());
        for starts in [0..text.len(), from..until] {
            assert!(
                found(&set, &text, starts.clone()) == expected(&patterns, fold, &text, &starts),
                "{count} patterns of {shortest} to {longest} bytes, fold {fold}, in {} bytes, {starts:?}: {}",
                text.len(),
                set.explain()
            );
        }
        let first = found(&set, &text, from..text.len()).first().copied();
        assert_eq!(set.find_first(&text, from), first);
    }
}

/// Hashes, names of hosts, strings that begin alike and short ones: what a vector unit finds by a few bytes of each.
#[test]
fn patterns_with_rare_bytes_are_found_wherever_they_stand() {
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("LITERALS_SEED"));
    let lower = b"abcdefghijklmnopqrstuvwxyz";
    let mut around = 0;
    for _ in 0..150 {
        let begins: Vec<Vec<u8>> = (0..5).map(|_| bytes(&mut random, lower, 6)).collect();
        let fold = random.bool();
        let kinds = random.u8(1..16);
        let one = |random: &mut fastrand::Rng| loop {
            let len = random.usize(3..12);
            match random.u8(..4) {
                0 if kinds & 1 > 0 => break bytes(random, b"0123456789abcdef", 64),
                1 if kinds & 2 > 0 => {
                    let ending: &[u8] = random.choice([&b".com"[..], b".ru", b".INFO"]).unwrap();
                    break [&bytes(random, lower, len)[..], ending].concat();
                }
                2 if kinds & 4 > 0 => {
                    let begin = &begins[random.usize(..begins.len())];
                    break [&begin[..], &bytes(random, lower, len)].concat();
                }
                3 if kinds & 8 > 0 && random.u8(..8) == 0 => break bytes(random, lower, len - 2),
                _ => {}
            }
        };
        let count = [1, 2, 8, 30, 64, 500][random.usize(..6)];
        let patterns: Vec<Vec<u8>> = (0..count).map(|_| one(&mut random)).collect();
        // Text in which they are rare, or stand one behind the other.
        let mut text = Vec::new();
        let often = random.u32(1..200);
        while text.len() < 60_000 {
            let len = random.usize(1..40);
            text.extend(bytes(
                &mut random,
                b"abcdefghijklmnopqrstuvwxyz       \n\xC3",
                len,
            ));
            for _ in 0..2 {
                if random.u32(..often) == 0 {
                    let mut pattern = patterns[random.usize(..count)].clone();
                    if random.bool() {
                        pattern.make_ascii_uppercase();
                    }
                    text.extend(pattern);
                }
            }
        }
        text.truncate(random.usize(..60_000));
        text.extend(&patterns[0]);
        let set = Literals::build(&patterns, fold).unwrap();
        around += usize::from(set.explain().ends_with("around rare bytes"));
        let from = random.usize(..=text.len());
        let until = random.usize(from..=text.len());
        for starts in [0..text.len(), from..until] {
            assert!(
                found(&set, &text, starts.clone()) == expected(&patterns, fold, &text, &starts),
                "{count} patterns of kinds {kinds}, fold {fold}, in {} bytes, {starts:?}: {}",
                text.len(),
                set.explain()
            );
        }
    }
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") && std::env::var_os("GRISTMILL_VECTOR").is_none()
    {
        assert!(around > 50, "{around}");
    }
}

#[test]
fn patterns_that_begin_alike_are_all_found() {
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("LITERALS_SEED"));
    for fold in [false, true] {
        let begin = bytes(&mut random, b"abcdefgh", 150);
        let patterns: Vec<Vec<u8>> = (0..500)
            .map(|_| {
                let len = random.usize(1..6);
                [
                    &begin[..random.usize(140..150)],
                    &bytes(&mut random, b"aBc", len),
                ]
                .concat()
            })
            .collect();
        let mut text = Vec::new();
        for _ in 0..300 {
            text.extend(&patterns[random.usize(..patterns.len())]);
            let cut = text.len() - random.usize(..3);
            text.truncate(cut);
        }
        let set = Literals::build(&patterns, fold).unwrap();
        for starts in [0..text.len(), 77..text.len() / 2] {
            let expected = expected(&patterns, fold, &text, &starts);
            assert!(!expected.is_empty());
            assert!(found(&set, &text, starts) == expected, "fold {fold}");
        }
    }
}

#[test]
fn a_set_tells_its_size_and_refuses_the_empty_pattern() {
    let set = Literals::build(&["abc", "de", "abcdefghijklmnopqrstuvwxyz"], false).unwrap();
    assert_eq!((set.len(), set.longest(), set.pattern_len(1)), (3, 26, 2));
    assert_eq!(set.pattern_len(3), 0);
    assert!(set.memory() > 0 && !set.is_empty());
    let error = Literals::build(&["abc", ""], false).unwrap_err();
    assert_eq!(error, BuildError::Empty(1));
    let none = Literals::build::<&str>(&[], true).unwrap();
    assert_eq!(found(&none, b"text", 0..4), []);
}
