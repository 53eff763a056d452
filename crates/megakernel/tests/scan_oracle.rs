//! Compares SCAN with a naive search, over random bytes, patterns and modes. Proptest prints the failing case.

use gristmill_megakernel::{ScanMode, ScanSet, StreamOpcode, StreamSlot};
use gristmill_protocol::{completion, stream};
use gristmill_ring::RecordMemory;
use proptest::prelude::*;

/// All `(start, pattern)`, sorted by their ends and then by pattern, found by a naive search.
fn occurrences(bytes: &[u8], patterns: &[Vec<u8>], fold: bool) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for start in 0..bytes.len() {
        for (index, pattern) in patterns.iter().enumerate() {
            let same = bytes.get(start..start + pattern.len()).is_some_and(|here| {
                if fold {
                    here.eq_ignore_ascii_case(pattern)
                } else {
                    here == pattern
                }
            });
            if same {
                found.push((start, index));
            }
        }
    }
    found.sort_by_key(|(start, index)| (start + patterns[*index].len(), *index));
    found
}

/// Runs a slot, and again from each overflow until the chunk is done. Returns the results of all parts and all records.
fn run(
    set: &ScanSet,
    bytes: &[u8],
    mode: u32,
    record_words: u32,
) -> (Vec<[u32; 8]>, Vec<(u32, u32)>) {
    let memory = RecordMemory::new(1, record_words).unwrap();
    let (mut parts, mut records, mut resume) = (Vec::new(), Vec::new(), 0);
    loop {
        let mut writer = memory.writer(0).unwrap();
        let slot = StreamSlot {
            mode,
            offset: 0,
            resume,
            ..StreamSlot::default()
        };
        let outcome = set.run(bytes, &slot, &mut writer).unwrap();
        records.extend((0..outcome.records).map(|index| memory.get(0, index)));
        parts.push(outcome.results);
        if outcome.flags & completion::FLAG_OVERFLOW == 0 {
            return (parts, records);
        }
        assert!(outcome.records > 0, "an overflow without progress");
        resume = outcome.results[stream::RESULT_RESUME];
        assert!(parts.len() <= bytes.len() + 2, "never through");
    }
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let byte =
        prop_oneof![4 => prop::sample::select(b"abAB".to_vec()), 1 => Just(b'\n'), 1 => Just(0_u8)];
    prop::collection::vec(byte, 0..200)
}

fn patterns(most: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop::sample::select(b"abAB\0\n".to_vec());
    prop::collection::vec(prop::collection::vec(byte, 1..5), 1..most)
}

/// Enough patterns for every kind of engine, from a single byte to the automaton.
fn some_patterns() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop_oneof![patterns(2), patterns(9), patterns(60)]
}

fn word(position: Option<usize>) -> u32 {
    position.map_or(stream::NONE, |at| u32::try_from(at).unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn lines_are_counted_and_recorded_as_a_naive_search_does(
        bytes in text(),
        patterns in some_patterns(),
        fold in any::<bool>(),
        empty in prop::bool::weighted(0.05),
        record_words in 2_u32..40,
    ) {
        let mut patterns = patterns;
        if empty {
            patterns.push(Vec::new());
        }
        let set = ScanSet::build(&patterns, fold, ScanMode::Lines).unwrap();
        let matches = |line: &[u8]| {
            empty || !occurrences(line, &patterns, fold).is_empty()
        };
        let first = bytes.iter().position(|byte| *byte == b'\n');
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let mut interior = Vec::new();
        if let (Some(first), Some(last)) = (first, last) {
            let mut at = first + 1;
            while at < last + 1 {
                let end = at + bytes[at..].iter().position(|byte| *byte == b'\n').unwrap();
                if matches(&bytes[at..end]) {
                    interior.push((word(Some(at)), word(Some(end + 1))));
                }
                at = end + 1;
            }
        }
        let mut edges = 0;
        if matches(&bytes[..first.unwrap_or(bytes.len())]) && !bytes.is_empty() {
            edges |= stream::HEAD_MATCH;
        }
        let tail = last.map_or(0, |last| last + 1);
        if tail < bytes.len() && matches(&bytes[tail..]) {
            edges |= stream::TAIL_MATCH;
        }
        let flags = stream::WANT_NEWLINES | stream::WANT_NUL;
        let newlines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let nul = bytes.iter().position(|byte| *byte == 0);

        let (parts, records) = run(&set, &bytes, stream::MODE_LINES | flags, record_words);
        prop_assert_eq!(&records, &interior);
        let counted: u32 = parts.iter().map(|part| part[stream::RESULT_MATCHES]).sum();
        prop_assert_eq!(counted as usize, interior.len());
        for part in &parts {
            prop_assert_eq!(part[stream::RESULT_NEWLINES] as usize, newlines);
            prop_assert_eq!(part[stream::RESULT_FIRST_NEWLINE], word(first));
            prop_assert_eq!(part[stream::RESULT_LAST_NEWLINE], word(last));
            prop_assert_eq!(part[stream::RESULT_FIRST_NUL], word(nul));
            if !bytes.is_empty() {
                prop_assert_eq!(part[stream::RESULT_EDGES], edges);
            }
        }
        let (parts, _) = run(&set, &bytes, stream::MODE_COUNT_LINES, 2);
        prop_assert_eq!(parts.len(), 1);
        prop_assert_eq!(parts[0][stream::RESULT_MATCHES] as usize, interior.len());

        let (parts, _) = run(&set, &bytes, stream::MODE_ANY, 2);
        let any = edges != 0 || !interior.is_empty();
        if !bytes.is_empty() {
            prop_assert_eq!(parts[0][stream::RESULT_MATCHES], u32::from(any));
            let matched = parts[0][stream::RESULT_FIRST_MATCH] != stream::NONE;
            prop_assert_eq!(matched, any);
        }
    }

    #[test]
    fn every_occurrence_is_recorded_once_however_often_the_area_overflows(
        bytes in text(),
        patterns in some_patterns(),
        fold in any::<bool>(),
        record_words in prop_oneof![Just(2_000_u32), 120_u32..200],
    ) {
        let set = ScanSet::build(&patterns, fold, ScanMode::All).unwrap();
        let expected: Vec<(u32, u32)> = occurrences(&bytes, &patterns, fold)
            .into_iter()
            .map(|(start, pattern)| (word(Some(start)), word(Some(pattern))))
            .collect();
        let (parts, records) = run(&set, &bytes, stream::MODE_ALL, record_words);
        prop_assert_eq!(&records, &expected);
        let counted: u32 = parts.iter().map(|part| part[stream::RESULT_MATCHES]).sum();
        prop_assert_eq!(counted as usize, expected.len());
    }
}

#[test]
fn the_first_match_is_the_one_that_begins_first() {
    let mut patterns: Vec<String> = (0..60).map(|index| format!("filler {index}")).collect();
    patterns.extend(["long and longer", "and", "g and long"].map(String::from));
    let set = ScanSet::build(&patterns, false, ScanMode::Lines).unwrap();
    for filling in [0, 100, 1_000, 10_000] {
        for (text, start) in [
            ("long and longer", 0),
            ("long and longes", 3),
            ("lung and longer", 3),
            ("lung and lunger", 5),
        ] {
            let filling = "-".repeat(filling);
            for (before, behind) in [("", ""), ("\n", "\n"), ("\n", "")] {
                let bytes = format!("{before}{filling}{text}{filling}{behind}");
                let (parts, _) = run(&set, bytes.as_bytes(), stream::MODE_LINES, 64);
                let expected = word(Some(before.len() + filling.len() + start));
                assert_eq!(parts[0][stream::RESULT_FIRST_MATCH], expected, "{bytes}");
            }
        }
    }
}

#[test]
fn sets_whose_table_would_be_too_large_are_searched_without_one() {
    let mut number = 1_u64;
    let mut random = || {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (number >> 56) as u8
    };
    let patterns: Vec<Vec<u8>> = (0..300)
        .map(|_| {
            (0..1_000)
                .map(|_| random())
                .filter(|byte| *byte != b'\n')
                .collect()
        })
        .collect();
    let bytes = [
        b"\n",
        patterns[7].as_slice(),
        patterns[299].as_slice(),
        b"\n",
    ]
    .concat();
    let set = ScanSet::build(&patterns, false, ScanMode::Lines).unwrap();
    assert_eq!(set.engine_name(), "sampled q-grams");
    let (_, records) = run(&set, &bytes, stream::MODE_LINES, 64);
    assert_eq!(records, vec![(1, word(Some(bytes.len())))]);
    let set = ScanSet::build(&patterns, false, ScanMode::All).unwrap();
    assert_eq!(set.engine_name(), "sampled q-grams");
    let (_, records) = run(&set, &bytes, stream::MODE_ALL, 64);
    assert_eq!(
        records,
        vec![(1, 7), (word(Some(1 + patterns[7].len())), 299)]
    );
}

#[test]
fn a_million_patterns_are_taken_and_one_more_refused() {
    let mut patterns: Vec<String> = (0..1_000_000)
        .map(|index| format!("pattern {index:06}"))
        .collect();
    let set = ScanSet::build(&patterns, false, ScanMode::Lines).unwrap();
    let (parts, records) = run(
        &set,
        b"head\na line with pattern 099999 in it\nnone here\ntail",
        stream::MODE_LINES,
        64,
    );
    assert_eq!((parts[0][0], records), (1, vec![(5, 38)]));
    patterns.push("one more".into());
    assert!(ScanSet::build(&patterns, false, ScanMode::Lines).is_err());
    assert!(ScanSet::build::<&[u8]>(&[], false, ScanMode::Lines).is_err());
    assert!(ScanSet::build(&[""], false, ScanMode::All).is_err());
}

/// Text that is long enough for runs of every length to be searched side by side. Some stretches have many matches or
/// none, and some repeat one byte.
fn long_text() -> impl Strategy<Value = Vec<u8>> {
    let stretch = prop_oneof![
        3 => prop::collection::vec(prop::sample::select(b"abAB\n".to_vec()), 0..300),
        2 => prop::collection::vec(prop::sample::select(b"abcxyz  \n".to_vec()), 0..3_000),
        2 => prop::collection::vec(prop::sample::select(b"bcdwxyz ".to_vec()), 0..12_000),
        1 => prop::collection::vec(Just(b'a'), 0..4_000),
    ];
    prop::collection::vec(stretch, 1..6).prop_map(|stretches| stretches.concat())
}

/// Enough patterns, short and long, for the table; the longest extend across runs.
fn many_patterns() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = || prop::sample::select(b"abcB".to_vec());
    let pattern = prop_oneof![
        1 => prop::collection::vec(byte(), 2..6),
        4 => prop::collection::vec(byte(), 6..14),
        1 => (1_usize..1_500).prop_map(|len| vec![b'a'; len]),
        1 => (1_usize..700).prop_map(|len| b"ab".repeat(len)),
    ];
    prop::collection::vec(pattern, 49..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn long_chunks_are_searched_as_short_ones(
        bytes in long_text(),
        patterns in many_patterns(),
        fold in any::<bool>(),
        record_words in 120_u32..3_000,
    ) {
        let set = ScanSet::build(&patterns, fold, ScanMode::All).unwrap();
        prop_assert_eq!(set.engine_name(), "aho-corasick table");
        let expected: Vec<(u32, u32)> = occurrences(&bytes, &patterns, fold)
            .into_iter()
            .map(|(start, pattern)| (word(Some(start)), word(Some(pattern))))
            .collect();
        let (_, records) = run(&set, &bytes, stream::MODE_ALL, record_words);
        prop_assert!(records == expected, "all occurrences");

        let set = ScanSet::build(&patterns, fold, ScanMode::Lines).unwrap();
        let first = bytes.iter().position(|byte| *byte == b'\n');
        let last = bytes.iter().rposition(|byte| *byte == b'\n');
        let mut at = 0;
        let mut lines = Vec::new();
        let mut edges = 0;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let end = at + line.len();
            let interior = first.is_some_and(|first| at > first) && last.is_some_and(|last| at <= last);
            let matches = expected.iter().any(|(start, pattern)| {
                let start = *start as usize;
                start >= at && start + patterns[*pattern as usize].len() <= end
            });
            if matches && interior {
                lines.push((word(Some(at)), word(Some(end))));
            }
            if matches && first.is_none_or(|first| at <= first) {
                edges |= stream::HEAD_MATCH;
            }
            if matches && last.is_none_or(|last| at > last) {
                edges |= stream::TAIL_MATCH;
            }
            at = end;
        }
        let first_match = expected.iter().map(|(start, _)| *start).min().unwrap_or(stream::NONE);
        let (parts, records) = run(&set, &bytes, stream::MODE_LINES, record_words);
        prop_assert!(records == lines, "matching lines");
        for part in &parts {
            prop_assert_eq!(part[stream::RESULT_EDGES], edges);
            prop_assert_eq!(part[stream::RESULT_FIRST_MATCH], first_match);
        }
        let (parts, _) = run(&set, &bytes, stream::MODE_ANY, 2);
        prop_assert_eq!(parts[0][stream::RESULT_FIRST_MATCH], first_match);
    }
}
