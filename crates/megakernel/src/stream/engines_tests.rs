//! The engines that take any set of strings give the same answers, to the word: over random sets, chunks and areas for
//! records, and where requests are resumed.

use super::automaton::Table;
use super::engine::Engine;
use super::sampled::Sampled;
use super::{ScanMode, ScanSet, StreamOpcode, StreamSlot};
use gristmill_protocol::{completion, stream};
use gristmill_ring::RecordMemory;

/// Results and records of a request and of those that resume it.
type Answers = Vec<([u32; 8], Vec<(u32, u32)>)>;

fn answers(set: &ScanSet, bytes: &[u8], mode: u32, area: &RecordMemory) -> Answers {
    let (mut parts, mut resume) = (Answers::new(), 0);
    loop {
        let mut writer = area.writer(0).unwrap();
        let slot = StreamSlot {
            mode,
            resume,
            ..StreamSlot::default()
        };
        let outcome = set.run(bytes, &slot, &mut writer).unwrap();
        let records = (0..outcome.records).map(|index| area.get(0, index));
        parts.push((outcome.results, records.collect()));
        if outcome.flags & completion::FLAG_OVERFLOW == 0 {
            return parts;
        }
        assert!(outcome.records > 0, "an overflow without progress");
        resume = outcome.results[stream::RESULT_RESUME];
    }
}

/// The same patterns by each engine.
fn sets(patterns: &[Vec<u8>], fold: bool, mode: ScanMode) -> Vec<ScanSet> {
    let set = || ScanSet::build(patterns, fold, mode).unwrap();
    let searched: Vec<&[u8]> = patterns
        .iter()
        .map(Vec::as_slice)
        .filter(|pattern| mode == ScanMode::All || !pattern.contains(&b'\n'))
        .collect();
    let mut sets = vec![set()];
    if searched.is_empty() {
        return sets;
    }
    let table = Table::build(searched.iter().copied(), fold, mode, 1 << 24);
    let table = table.map(|table| Engine::Table(Box::new(table)));
    let sampled = Sampled::build(&searched, fold, mode).unwrap();
    let sampled = sampled.map(|sampled| Engine::Sampled(Box::new(sampled)));
    let automaton = Engine::automaton(&searched, fold, mode).ok();
    for engine in [table, sampled, automaton].into_iter().flatten() {
        sets.push(set().with_engine(engine));
    }
    sets
}

fn bytes(random: &mut fastrand::Rng, alphabet: &[u8], len: usize) -> Vec<u8> {
    (0..len)
        .map(|_| alphabet[random.usize(..alphabet.len())])
        .collect()
}

#[test]
fn engines_answer_alike() {
    let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("ENGINES_SEED"));
    let mut sampled = 0;
    for round in 0..15 {
        // A third of the sets are certain to be sampled.
        let sure = round % 3 == 0;
        let alphabet: &[u8] = match random.u8(..3) {
            0 if !sure => b"abAB\n",
            1 if !sure => b"abcdefgh ABC\0\n\xff",
            _ => b"abcdefghijklmnopqrstuvwxyzABCDEFG 0123456789.-/\n",
        };
        let fold = random.bool();
        let longest = if sure {
            40
        } else {
            [2, 5, 12, 40, 300][random.usize(..5)]
        };
        let shortest = if sure {
            12
        } else {
            1 + random.usize(..longest)
        };
        let count = if sure {
            200
        } else {
            [1, 30, 200, 1000][random.usize(..4)]
        };
        // In a small alphabet short patterns stand everywhere, many times over.
        let many = alphabet.len() < 8 && shortest < 8;
        let text_len = random.usize(..if many { 600 } else { 20_000 });
        let mut text = bytes(&mut random, alphabet, text_len);
        let patterns: Vec<Vec<u8>> = (0..count)
            .map(|_| {
                let len = random.usize(shortest..=longest);
                let pattern = bytes(&mut random, alphabet, len);
                if random.u8(..4) == 0 && text.len() > len {
                    let at = random.usize(..=text.len() - len);
                    text[at..at + len].copy_from_slice(&pattern);
                }
                pattern
            })
            .collect();
        let chunk = text.len() / 16 + 1 + random.usize(..=text.len());
        for mode in [ScanMode::Lines, ScanMode::All] {
            let sets = sets(&patterns, fold, mode);
            sampled += usize::from(sets.iter().any(|set| set.literals().is_some()));
            let least = 2 * u32::try_from(sets[0].most_together()).unwrap();
            let area = least.max(2) + random.u32(..2_000);
            let area = RecordMemory::new(1, area).unwrap();
            let asked: &[u32] = match mode {
                ScanMode::All => &[stream::MODE_ALL],
                ScanMode::Lines => &[
                    stream::MODE_LINES | stream::WANT_NEWLINES | stream::WANT_NUL,
                    stream::MODE_COUNT_LINES,
                    stream::MODE_ANY,
                ],
            };
            for (&asked, chunk) in asked.iter().flat_map(|asked| {
                std::iter::once((asked, &text[..]))
                    .chain(text.chunks(chunk).map(move |c| (asked, c)))
            }) {
                let expected = answers(&sets[0], chunk, asked, &area);
                for set in &sets[1..] {
                    assert!(
                        answers(set, chunk, asked, &area) == expected,
                        "{} and {} differ: {count} patterns of {shortest} to {longest} bytes, fold {fold}, mode \
                         {asked:#x}, {} bytes",
                        set.engine_name(),
                        sets[0].engine_name(),
                        chunk.len()
                    );
                }
            }
        }
    }
    assert!(sampled > 8, "only {sampled} sets were sampled");
}

#[test]
fn patterns_that_hold_each_other_without_end_are_left_to_the_automaton() {
    let nested: Vec<Vec<u8>> = (1..2_000).map(|len| vec![b'a'; len]).collect();
    let nested: Vec<&[u8]> = nested.iter().map(Vec::as_slice).collect();
    for mode in [ScanMode::Lines, ScanMode::All] {
        assert!(Sampled::build(&nested, false, mode).unwrap().is_none());
        let set = ScanSet::build_within(&nested, false, mode, 1 << 10).unwrap();
        assert_eq!(set.engine_name(), "aho-corasick nfa");
    }
}
