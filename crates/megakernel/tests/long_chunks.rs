//! Long chunks are searched part by part, so that a slot can be cancelled. Matches across two parts are found as
//! before, and a cancelled slot ends at the next part.

use gristmill_megakernel::stream::Cancel;
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob, StreamSlot};
use gristmill_protocol::{fault, stream};
use gristmill_ring::RecordMemory;
use std::cell::Cell;
use std::sync::Arc;

/// How many bytes an opcode reads between two checks whether it was cancelled.
const PART: usize = 1 << 20;

/// A set for each engine, with its name: first those for lines, then those for all occurrences. All of them find
/// `needle`, except that the set of one byte finds `#`.
fn sets() -> Vec<(ScanSet, &'static str)> {
    let many: Vec<String> = (0..200)
        .map(|number| format!("{number:04}-needles"))
        .chain(["needle".to_owned()])
        .collect();
    let few = &["needle", "needless!", "?eedle"][..];
    let build = |patterns: &[&str], fold, mode| ScanSet::build(patterns, fold, mode).unwrap();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let small = |mode| ScanSet::build_within(&many, false, mode, 4096).unwrap();
    // Strings that nest so deeply that only an automaton takes them.
    let nested: Vec<String> = (1..2_000)
        .map(|length| "q".repeat(length))
        .chain(["needle".to_owned()])
        .collect();
    let nested: Vec<&str> = nested.iter().map(String::as_str).collect();
    let nested = |mode| ScanSet::build_within(&nested, false, mode, 4096).unwrap();
    vec![
        (build(&["#"], false, ScanMode::Lines), "memchr"),
        (build(&["needle"], false, ScanMode::Lines), "memmem"),
        (build(few, false, ScanMode::Lines), "teddy"),
        (build(few, true, ScanMode::Lines), "teddy over both cases"),
        (build(&many, false, ScanMode::Lines), "aho-corasick table"),
        (small(ScanMode::Lines), "sampled q-grams"),
        (build(&many, false, ScanMode::All), "aho-corasick table"),
        (small(ScanMode::All), "sampled q-grams"),
        (nested(ScanMode::Lines), "aho-corasick nfa"),
        (nested(ScanMode::All), "aho-corasick nfa"),
    ]
}

fn mode(set: &ScanSet) -> u32 {
    match set.mode() {
        ScanMode::Lines => stream::MODE_LINES,
        ScanMode::All => stream::MODE_ALL,
    }
}

#[test]
fn what_lies_across_two_parts_is_found() {
    let memory = RecordMemory::new(1, 1000).unwrap();
    for (set, engine) in sets() {
        assert_eq!(set.engine_name(), engine);
        let needle: &[u8] = if engine == "memchr" { b"#" } else { b"needle" };
        // Places around the ends of parts, wherever a search begins: a few bytes before them, after them, and across
        // them.
        for shift in [0, 1, 2, 5, 6, 7, 40] {
            let mut bytes = vec![b'x'; 3 * PART + 100];
            let places = [1, 2, 3].map(|part| part * PART - shift);
            for place in places {
                bytes[place..place + needle.len()].copy_from_slice(needle);
            }
            // One line, or a few lines that are as long as possible.
            for ends in [
                &[][..],
                &[10, 3 * PART + 60][..],
                &[10, PART + 500, 3 * PART + 60][..],
            ] {
                let mut bytes = bytes.clone();
                for end in ends {
                    bytes[*end] = b'\n';
                }
                let slot = StreamSlot {
                    mode: mode(&set),
                    ..StreamSlot::default()
                };
                let mut writer = memory.writer(0).unwrap();
                let job = StreamJob::Scan(Arc::new(
                    ScanSet::build_within(
                        set.patterns(),
                        set.case_insensitive(),
                        set.mode(),
                        if matches!(engine, "aho-corasick nfa" | "sampled q-grams") {
                            4096
                        } else {
                            128 << 20
                        },
                    )
                    .unwrap(),
                ));
                let outcome = job.run(&bytes, &slot, &mut writer).unwrap();
                let records: Vec<u32> = (0..outcome.records)
                    .map(|index| memory.get(0, index).0)
                    .collect();
                let what = format!("{engine}, {shift} bytes before, lines end at {ends:?}");
                if set.mode() == ScanMode::All {
                    assert_eq!(records, places.map(|place| place as u32), "{what}");
                    continue;
                }
                let first = outcome.results[stream::RESULT_FIRST_MATCH];
                assert_eq!(first, places[0] as u32, "{what}");
                // The complete lines that contain a match.
                let complete = ends.windows(2).map(|pair| pair[0] + 1..pair[1] + 1);
                let matching: Vec<u32> = complete
                    .filter(|line| places.iter().any(|place| line.contains(place)))
                    .map(|line| line.start as u32)
                    .collect();
                assert_eq!(records, matching, "{what}");
            }
        }
    }
}

#[test]
fn a_cancelled_slot_ends_at_the_next_part() {
    let memory = RecordMemory::new(1, 300).unwrap();
    let jobs = sets()
        .into_iter()
        .map(|(set, engine)| (mode(&set), StreamJob::Scan(Arc::new(set)), engine))
        .chain([
            (0, StreamJob::Crc32c, "crc32c"),
            (0, StreamJob::Blake3, "blake3"),
            (0, StreamJob::Lines, "lines"),
            (0, StreamJob::Histogram, "histogram"),
        ]);
    for (mode, job, name) in jobs {
        for line in [b"".as_slice(), b"one line and another\n"] {
            let mut bytes = vec![b'x'; 8 * PART];
            for (byte, text) in bytes.iter_mut().zip(line.iter().cycle()) {
                *byte = *text;
            }
            for looks in [1, 3] {
                let (asked, in_vain) = (Cell::new(0), Cell::new(0));
                let cancelled = || {
                    asked.set(asked.get() + 1);
                    in_vain.set(in_vain.get() + u32::from(asked.get() > looks));
                    asked.get() >= looks
                };
                let slot = StreamSlot {
                    mode,
                    cancel: Cancel::new(&cancelled),
                    ..StreamSlot::default()
                };
                let mut writer = memory.writer(0).unwrap();
                let result = job.run(&bytes, &slot, &mut writer);
                assert_eq!(result.unwrap_err(), fault::CANCELLED, "{name}");
                // The search of the first bytes, that of the last bytes, that of the bytes between, and the end check
                // once more each.
                assert!(in_vain.get() <= 4, "{name}: {} questions", in_vain.get());
            }
            let mut writer = memory.writer(0).unwrap();
            let slot = StreamSlot {
                mode,
                ..StreamSlot::default()
            };
            assert!(job.run(&bytes, &slot, &mut writer).is_ok(), "{name}");
        }
    }
}

/// `a`, `aa`, `aaa` and so on, a hundred times each. All of these patterns end at one byte.
fn nested() -> Vec<Vec<u8>> {
    (0..10_000)
        .map(|number| vec![b'a'; 1 + number % 100])
        .collect()
}

#[test]
fn ten_thousand_patterns_may_end_at_one_byte() {
    let patterns = nested();
    let bytes = vec![b'a'; 100];
    for table_bytes in [4096, 1 << 30] {
        let set = ScanSet::build_within(&patterns, false, ScanMode::All, table_bytes).unwrap();
        assert_eq!(set.most_together(), 10_000);
        let job = StreamJob::Scan(Arc::new(set));
        let run = |record_words, resume| {
            let memory = RecordMemory::new(1, record_words).unwrap();
            let slot = StreamSlot {
                mode: stream::MODE_ALL,
                resume,
                ..StreamSlot::default()
            };
            let outcome = job.run(&bytes, &slot, &mut memory.writer(0).unwrap());
            (memory, outcome)
        };
        // Only the occurrences that end at the last byte.
        let (memory, outcome) = run(20_000, 100);
        let outcome = outcome.unwrap();
        assert_eq!((outcome.records, outcome.flags), (10_000, 0));
        for index in 0..10_000 {
            assert_eq!(memory.get(0, index), (99 - index % 100, index));
        }
        let (_, outcome) = run(19_999, 100);
        assert_eq!(outcome.unwrap_err(), fault::AREA_TOO_SMALL);
    }
}
