//! SCAN for regexes: each complete line as if it were searched alone, whatever lies around it.

use fastrand::Rng;
use gristmill_megakernel::{ScanSet, StreamOpcode, StreamSlot};
use gristmill_patterns::{Case, LineMatcher, LineSettings};
use gristmill_protocol::completion;
use gristmill_protocol::stream::{self, ScanResults};
use gristmill_ring::RecordMemory;

const REGEXES: [&str; 14] = [
    "a",
    "^$",
    "^a",
    "b$",
    r"\bab\b",
    "a*",
    "[^a]b",
    r"\s",
    "ab|ba",
    r"\Aa",
    r"b\z",
    r"(?-u:\xFF)",
    "é+",
    "b{2,3}?",
];

/// All records and the sum of the counts, and the last part's results.
fn run(
    set: &ScanSet,
    bytes: &[u8],
    mode: u32,
    record_words: u32,
) -> (Vec<(u32, u32)>, u32, [u32; 8]) {
    let memory = RecordMemory::new(1, record_words).unwrap();
    let (mut records, mut count, mut resume) = (Vec::new(), 0, 0);
    loop {
        let mut writer = memory.writer(0).unwrap();
        let slot = StreamSlot {
            mode,
            resume,
            ..StreamSlot::default()
        };
        let outcome = set.run(bytes, &slot, &mut writer).unwrap();
        records.extend((0..outcome.records).map(|index| memory.get(0, index)));
        count += ScanResults::decode(&outcome.results).matches;
        if outcome.flags & completion::FLAG_OVERFLOW == 0 {
            return (records, count, outcome.results);
        }
        assert!(outcome.records > 0, "an overflow without progress");
        resume = outcome.results[stream::RESULT_RESUME];
    }
}

#[test]
fn complete_lines_match_as_if_each_were_searched_alone() {
    let mut random = Rng::with_seed(gristmill_testing::seed("SCAN_REGEX_SEED"));
    for _ in 0..3_000 {
        let pieces: [&[u8]; 9] = [
            b"a",
            b"b",
            b"ab",
            b" ",
            b"\n",
            b"\n",
            "é".as_bytes(),
            b"\xFF",
            b"\0",
        ];
        let bytes: Vec<u8> = (0..random.usize(..60))
            .flat_map(|_| pieces[random.usize(..pieces.len())])
            .copied()
            .collect();
        let patterns: Vec<Vec<u8>> = (0..1 + random.usize(..2))
            .map(|_| REGEXES[random.usize(..REGEXES.len())].into())
            .collect();
        let settings = LineSettings {
            case: [Case::Sensitive, Case::Insensitive][random.usize(..2)],
            crlf: random.usize(..4) == 0,
            ..LineSettings::default()
        };
        let alone = LineMatcher::build(&patterns, &settings).unwrap();
        let set = ScanSet::regex(patterns.clone(), &settings).unwrap();
        let mut lines = Vec::new();
        let mut start = 0;
        let mut before = true;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let end = start + line.len();
            // Before the first newline, and after the last, a line may go on in another chunk.
            if !std::mem::take(&mut before) && line.ends_with(b"\n") && alone.is_match(line) {
                lines.push((u32::try_from(start).unwrap(), u32::try_from(end).unwrap()));
            }
            start = end;
        }
        let told = format!("{patterns:?} {settings:?} {bytes:?}");
        let record_words = 2 * (1 + random.u32(..6));
        let (records, count, results) = run(&set, &bytes, stream::MODE_LINES, record_words);
        assert_eq!(records, lines, "{told}");
        assert_eq!(count as usize, lines.len(), "{told}");
        let first = lines.first().map_or(stream::NONE, |line| line.0);
        assert_eq!(ScanResults::decode(&results).first_match, first, "{told}");
        assert_eq!(ScanResults::decode(&results).edges, 0, "{told}");
        let until_nul = ScanSet::regex(patterns.clone(), &settings)
            .unwrap()
            .until_nul(true);
        let nul = bytes
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(bytes.len());
        let before: Vec<_> = lines
            .iter()
            .filter(|line| line.1 as usize <= nul)
            .copied()
            .collect();
        let mode = stream::MODE_LINES | stream::WANT_NUL;
        assert_eq!(
            run(&until_nul, &bytes, mode, record_words).0,
            before,
            "{told}"
        );
        let all = run(&until_nul, &bytes, stream::MODE_LINES, record_words).0;
        assert_eq!(all, lines, "{told}");
        let (_, count, _) = run(&set, &bytes, stream::MODE_COUNT_LINES, 2);
        assert_eq!(count as usize, lines.len(), "{told}");
        let (_, any, results) = run(&set, &bytes, stream::MODE_ANY, 2);
        assert_eq!(
            (any, ScanResults::decode(&results).first_match),
            (u32::from(!lines.is_empty()), first),
            "{told}"
        );
    }
}

#[test]
fn every_thread_searches_by_itself() {
    let set = ScanSet::regex(vec![b"\\w+ab\\w+".to_vec()], &LineSettings::default()).unwrap();
    let bytes = b"\nxaby\nab\nyabx\n".repeat(20_000);
    let expected = run(&set, &bytes, stream::MODE_COUNT_LINES, 2).1;
    assert_eq!(expected, 40_000);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(run(&set, &bytes, stream::MODE_COUNT_LINES, 2).1, expected));
        }
    });
}
