//! Stored sets: what is loaded finds what was prepared, and bytes that are no set are refused.

#[path = "../../../fuzz/src/set.rs"]
mod target;

use fastrand::Rng;
use gristmill_patterns::saved::{self, SetError};
use gristmill_patterns::{PatternSet, PatternSetBuilder, PatternSetError};
use gristmill_testing::seed;
use std::ops::Range;

fn load(bytes: &[u8]) -> Result<PatternSet, SetError> {
    let bytes = saved::read(bytes, bytes.len()).unwrap();
    PatternSet::load(bytes, 1 << 30).map(|(set, _)| set)
}

/// All that a set finds in a text: pattern, start, end and name, in order.
fn found(set: &PatternSet, text: &[u8]) -> Vec<(u32, usize, usize, Vec<u8>)> {
    let mut all = Vec::new();
    let mut push = |number, start, end| all.push((number, start, end, set.name(number).to_vec()));
    if let Some(strings) = set.strings() {
        strings.find(text, 0..text.len(), |start, index| {
            let end = start + strings.pattern_len(index);
            push(set.string_number(index), start, end);
        });
    }
    let regexes = set.regexes();
    regexes.find(&mut regexes.cache(), text, |index, start, end| {
        push(set.regex_number(index as u32), start, end);
    });
    all.sort_unstable();
    all
}

/// Stores a set and loads it, and compares what both find.
fn round_trip(builder: PatternSetBuilder, text: &[u8]) -> usize {
    let set = builder.clone().build().unwrap();
    let stored = set.save(None);
    assert!(builder.build().unwrap().save(None) == stored, "one form");
    let loaded = load(&stored).unwrap();
    assert!(loaded.save(None) == stored, "stored again as it was");
    assert_eq!(loaded.len(), set.len());
    assert_eq!(loaded.most_together(), set.most_together());
    assert_eq!(loaded.regex_texts(), set.regex_texts());
    let expected = found(&set, text);
    assert!(found(&loaded, text) == expected, "{set:?}");
    expected.len()
}

fn word(random: &mut Rng, alphabet: &[u8], longest: usize) -> Vec<u8> {
    let len = random.usize(1..=longest);
    (0..len)
        .map(|_| alphabet[random.usize(..alphabet.len())])
        .collect()
}

#[test]
fn what_is_loaded_finds_what_was_prepared() {
    let mut random = Rng::with_seed(seed("SETS_SEED"));
    for count in [1, 2, 48, 49, 300, 3_000, 100_000] {
        for fold in [false, true] {
            let alphabet = b"abcdefghijklmnopqrstuvwxyzABCXYZ0123456789.-/";
            let longest = [3, 9, 60][random.usize(..3)];
            // Short strings of a large set would stand everywhere.
            let longest = if count > 1_000 { 60 } else { longest };
            let words: Vec<Vec<u8>> = (0..count)
                .map(|_| {
                    let mut word = word(&mut random, alphabet, longest);
                    if count > 1_000 {
                        word.extend_from_slice(b"#tail");
                    }
                    word
                })
                .collect();
            let mut text: Vec<u8> = (0..20_000).map(|_| alphabet[random.usize(..45)]).collect();
            for _ in 0..50 {
                text.extend_from_slice(&words[random.usize(..count)]);
            }
            let builder = words.iter().fold(PatternSet::builder(), |set, word| {
                set.string(word.clone(), word.clone())
            });
            let number = round_trip(builder.clone().case_insensitive(fold), &text);
            assert!(number >= 50, "{count}: {number}");
            if count <= 300 {
                let builder = builder.regex("digits", r"\d\d+").string("last", "#t");
                let builder = builder.regex("three", "[xyz]{3}a|#tail");
                round_trip(builder.case_insensitive(fold).unicode(false), &text);
            }
        }
    }
}

#[test]
fn numbers_and_names_are_those_of_the_patterns() {
    let set = PatternSet::builder()
        .regex("r0", "a+")
        .string("s1", "b")
        .string("s2", "c")
        .regex("r3", "d+")
        .regex("r4", "e+")
        .string("s5", "F")
        .case_insensitive(true)
        .build()
        .unwrap();
    for set in [load(&set.save(None)).unwrap(), set] {
        assert_eq!([0, 1, 2].map(|index| set.string_number(index)), [1, 2, 5]);
        assert_eq!([0, 1, 2].map(|index| set.regex_number(index)), [0, 3, 4]);
        let names = (0..6).map(|number| set.name(number));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [b"r0", b"s1", b"s2", b"r3", b"r4", b"s5"]
        );
        assert_eq!(set.name(6), b"");
    }
    let refused = |set: PatternSetBuilder| set.build().unwrap_err();
    let set = PatternSet::builder().regex("a", "a").longest(3);
    assert_eq!(
        refused(set.clone().string("", "")),
        PatternSetError::Empty(1)
    );
    assert_eq!(
        refused(set.clone().string("", "abcd")),
        PatternSetError::Long(1)
    );
    let wrong = refused(set.string("b", "b").regex("c", "("));
    assert!(
        matches!(wrong, PatternSetError::Regex { number: 2, .. }),
        "{wrong}"
    );
}

/// A set that is stored on every processor with these bytes. If this test fails because of a change that is meant,
/// [`saved::FORMAT`] must grow: a set of before would mean something else now.
#[test]
fn the_form_of_a_set_changes_with_its_format() {
    let mut all = saved::FORMAT.to_le_bytes().to_vec();
    for base in target::bases() {
        // All but the version of the program.
        let mut base = base.clone();
        base[40..56].fill(0);
        all.extend_from_slice(&target::with_checksums(&base)[16..32]);
    }
    let digest = format!("{:x}", xxhash_rust::xxh3::xxh3_64(&all));
    assert_eq!((saved::FORMAT, &*digest), (3, DIGEST));
}

const DIGEST: &str = "9cf2e5d1471a13d6";

#[test]
fn a_set_that_was_cut_or_goes_on_is_refused() {
    for base in target::bases() {
        assert!(target::check(base));
        for len in 0..base.len() {
            assert!(load(&base[..len]).is_err(), "{len}");
            assert!(
                !target::check(&target::with_checksums(&base[..len])),
                "{len}"
            );
        }
        let longer = [&base[..], &[0; 64]].concat();
        assert!(!target::check(&target::with_checksums(&longer)));
    }
}

#[test]
fn a_changed_byte_is_noticed_and_does_no_harm_where_the_checksum_is_made_right() {
    let mut harmless = 0;
    for base in target::bases() {
        let mut set = base.clone();
        for at in 0..set.len() {
            for change in [1, 0xFF] {
                set[at] ^= change;
                assert!(load(&set).is_err(), "{at}");
                harmless += usize::from(target::check(&target::with_checksums(&set)));
                set[at] ^= change;
            }
        }
    }
    // Bits of filters, say.
    assert!(harmless > 0);
}

/// Writes the sets that are changed for the fuzzer to begin with.
#[test]
#[ignore = "writes fuzz/corpus/set"]
fn corpus() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/set");
    std::fs::create_dir_all(corpus).unwrap();
    for (number, base) in target::bases().iter().enumerate() {
        std::fs::write(format!("{corpus}/{number}"), base).unwrap();
    }
}

#[test]
fn changes_at_random_do_no_harm() {
    let mut random = Rng::with_seed(seed("SETS_SEED"));
    for _ in 0..3_000 {
        let mut input = vec![0; random.usize(..40)];
        input.fill_with(|| random.u8(..));
        target::set(&input);
    }
}

#[test]
fn a_refusal_says_what_and_where() {
    let base = &target::bases()[1];
    let told = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut set = base.clone();
        change(&mut set);
        load(&target::with_checksums(&set)).unwrap_err().to_string()
    };
    assert!(told(&|set| set.clear()).starts_with("not a compiled set"));
    assert!(told(&|set| set.truncate(50)).contains("is cut off: it has 50 bytes"));
    let other = told(&|set| {
        set[8] = 99;
        set[40..56].fill(0);
        set[40..44].copy_from_slice(b"9.9\n");
    });
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "gristmill 9.9 wrote this set in format 99, and gristmill {version} reads format {}; compile it again",
        saved::FORMAT
    );
    assert_eq!(other, expected);
    // A byte that was changed in the head, and in a section.
    let changed = |at: usize, section, bytes: Range<usize>| {
        let mut set = base.clone();
        set[at] ^= 1;
        let (from, until) = (bytes.start as u64, bytes.end as u64);
        let expected = SetError::Checksum {
            section,
            from,
            until,
        };
        assert_eq!(load(&set).unwrap_err(), expected);
    };
    let table_end = target::HEAD + target::ENTRY * usize::from(base[56]);
    changed(40, "head", 32..table_end);
    changed(16, "head", 32..table_end);
    let bytes = section(base, 5);
    changed(bytes.end - 1, "string bytes", bytes);
    // The first string's end.
    let ends = section(base, 6);
    let told_end = told(&|set| set[ends.start + 3] = 0xFF);
    let at = ends.start + 4;
    let expected = format!("section string ends, byte {at}: a text ends before it begins");
    assert!(told_end.starts_with(&expected), "{told_end}");
    // Two members of a long list change places: a search in it would pass over some.
    let members = section(base, 10);
    let print = |row: usize| &base[members.start + 24 * row..][..4];
    let rows = members.len() / 24;
    let first = (0..rows - 8)
        .find(|row| print(*row) == print(row + 7))
        .unwrap();
    let at = members.start + 24 * first;
    let told_order = told(&|set| {
        let (one, other) = set[at..].split_at_mut(24);
        one.swap_with_slice(&mut other[..24]);
    });
    let expected = format!(
        "section members, byte {}: a long list that is not in order",
        at + 24
    );
    assert!(told_order.starts_with(&expected), "{told_order}");
}

/// Where a section is that has this kind, and the number 0.
fn section(set: &[u8], kind: u8) -> Range<usize> {
    let entries = set[target::HEAD..].chunks_exact(target::ENTRY);
    let entry = { entries }.find(|entry| entry[..8] == [kind, 0, 0, 0, 0, 0, 0, 0]);
    let number = |at: usize| {
        let bytes = entry.unwrap()[at..at + 8].try_into().unwrap();
        u64::from_le_bytes(bytes) as usize
    };
    number(8)..number(8) + number(16)
}

#[test]
fn regexes_of_a_set_take_no_more_memory_than_they_may() {
    let set = PatternSet::builder()
        .regex("a", r"\w{200}")
        .build()
        .unwrap();
    let stored = set.save(None);
    let bytes = saved::read(&stored[..], stored.len()).unwrap();
    let refused = PatternSet::load(bytes, 1 << 16).unwrap_err();
    assert!(matches!(refused, SetError::Regex(_)), "{refused}");
}
