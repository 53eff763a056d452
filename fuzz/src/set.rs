//! The promise that the fuzz target `set` checks, as a function of bytes. It runs under libFuzzer, and also without it in
//! `crates/patterns/tests/sets.rs`.

use gristmill_patterns::{saved, PatternSet};
use std::sync::OnceLock;
use xxhash_rust::xxh3::xxh3_128;

/// The memory that regexes may take.
const MEMORY: usize = 1 << 22;

/// Bytes are a set or are refused, and nothing panics. What is a set is written as it was read; a search with it ends, and
/// finds only what stands in the text. The bytes are tried as they are, with their checksums corrected, and as changes of
/// sets.
pub fn set(input: &[u8]) {
    check(input);
    check(&with_checksums(input));
    if let Some((base, changes)) = input.split_first() {
        let base = &bases()[usize::from(*base) % bases().len()];
        check(&with_checksums(&changed(base, changes)));
    }
}

/// A set of each kind: few strings, many, of several classes, in either case, and regexes with other names; regexes that are
/// found by marks; and regexes whose literals are looked for as strings are.
pub fn bases() -> &'static [Vec<u8>] {
    static BASES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    BASES.get_or_init(|| {
        let saved = |set: gristmill_patterns::PatternSetBuilder| {
            set.build().expect("a set that can be built").save(None)
        };
        let few = ["needle", "needles", "evil.example", "ab", "x"];
        let few = few
            .iter()
            .fold(PatternSet::builder(), |set, one| set.string(*one, *one));
        let many = |count: u32| {
            (0..count).fold(PatternSet::builder(), |set, number| {
                let one = match number % 5 {
                    0 => format!("host-{number}.example.org"),
                    // What begins with the same hundred bytes makes a long list.
                    1 if count > 100 => format!("{:=<100}{number}", ""),
                    2 => format!("http {number}"),
                    _ => format!("{:08x}", number.wrapping_mul(0x9E37_79B9)),
                };
                set.string(one.clone(), one)
            })
        };
        let mixed = few
            .clone()
            .regex("digits", "[0-9]{3,}")
            .regex("key", r"(?i)key-\w{4}|secret=[a-f0-9]+")
            .string("last", "zz")
            .regex("", "");
        let marked = [
            r"sk_[0-9a-f]{40,}",
            r"[0-9]{9}[|%][a-z_-]{27}",
            r"[a-z.-]{0,9}?(?:secret|key)[ =]{1,3}([a-z0-9]{10,16})",
            r"[0-9a-f]{40}",
            r"key-[0-9a-f]{16}",
        ];
        let marked = marked
            .iter()
            .fold(PatternSet::builder(), |set, one| set.regex("", *one));
        let letters = "abcdefghijklmnopqrstuvwxyz";
        let pairs = letters.chars().zip(letters.chars().rev());
        let common = pairs.fold(PatternSet::builder(), |set, (one, other)| {
            set.regex("", format!("{one}{other}[ !0-9A-F]+"))
        });
        vec![
            saved(few),
            saved(many(120)),
            saved(many(60).case_insensitive(true).string("Named", "OTHERWISE")),
            saved(mixed),
            saved(PatternSet::builder()),
            saved(marked),
            saved(common),
        ]
    })
}

/// A set with bytes changed: each change is a place, in two bytes, and what stands there then.
fn changed(set: &[u8], changes: &[u8]) -> Vec<u8> {
    let mut set = set.to_vec();
    for change in changes.chunks_exact(3) {
        let place = usize::from(change[0]) << 8 | usize::from(change[1]);
        let place = place % set.len();
        set[place] = change[2];
    }
    set
}

/// Bytes of the head of a set, and of an entry in its table of sections.
pub const HEAD: usize = 64;
pub const ENTRY: usize = 40;

/// The bytes with the checksums of a set: one for each section that its table has, and that of head and table.
pub fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let number = |bytes: &[u8], at: usize| {
        let number = bytes.get(at..)?.first_chunk()?;
        usize::try_from(u64::from_le_bytes(*number)).ok()
    };
    let sum = |bytes: &[u8], range: std::ops::Range<usize>| {
        let sum = bytes.get(range).map(xxh3_128)?;
        Some(sum.to_le_bytes())
    };
    // The word behind the number of sections is 0.
    let count = number(&bytes, 56).unwrap_or(0).min(256);
    let table_end = HEAD + ENTRY * count;
    for entry in (HEAD..table_end).step_by(ENTRY) {
        let range = number(&bytes, entry + 8).zip(number(&bytes, entry + 16));
        let range = range.map(|(from, len)| from..from.saturating_add(len));
        let sum = range.and_then(|range| sum(&bytes, range));
        let place = bytes.get_mut(entry + 24..entry + ENTRY);
        if let (Some(sum), Some(place)) = (sum, place) {
            place.copy_from_slice(&sum);
        }
    }
    if let Some(sum) = sum(&bytes, 32..table_end) {
        bytes[16..32].copy_from_slice(&sum);
    }
    bytes
}

/// The origin of what is stored of a set's regexes: the first word of section 11.
fn origin(set: &[u8]) -> Option<&[u8]> {
    let entries = set.get(HEAD..)?.chunks_exact(ENTRY);
    let regexes = entries
        .take(256)
        .find(|entry| entry[..4] == 11_u32.to_le_bytes())?;
    let from = u64::from_le_bytes(*regexes[8..].first_chunk()?);
    set.get(usize::try_from(from).ok()?..)?.get(..8)
}

/// Whether bytes are a set, which is then searched with.
pub fn check(bytes: &[u8]) -> bool {
    let read = saved::read(bytes, bytes.len()).expect("bytes can be read");
    let Ok((set, _)) = PatternSet::load(read, MEMORY) else {
        return false;
    };
    let mut again = set.save(None);
    // Another version may have written the same format.
    again[40..56].copy_from_slice(&bytes[40..56]);
    // What is stored of regexes that another version of Unicode has told is found out again.
    if origin(&again) == origin(bytes) {
        assert!(with_checksums(&again) == bytes, "a set has one form");
    }
    let text = text();
    if let Some(strings) = set.strings() {
        strings.find(text, 0..text.len(), |start, index| {
            let len = strings.pattern_len(index);
            assert!(
                len > 0 && start + len <= text.len(),
                "found within the text"
            );
            assert!((set.string_number(index) as usize) < set.len());
            let _ = set.name(set.string_number(index));
        });
    }
    let regexes = set.regexes();
    regexes.find(&mut regexes.cache(), text, |index, start, end| {
        assert!(start <= end && end <= text.len(), "found within the text");
        let index = u32::try_from(index).expect("a number of 32 bits");
        assert!((set.regex_number(index) as usize) < set.len());
        let _ = set.name(set.regex_number(index));
    });
    true
}

/// A text in which the patterns of the sets occur, some of them at its end.
fn text() -> &'static [u8] {
    static TEXT: OnceLock<Vec<u8>> = OnceLock::new();
    TEXT.get_or_init(|| {
        let some = "a needle in needles, Key-abcd at evil.example: HOST-50.example.org x zz secret=00ff 12345 \
                    HTTP 7 http 52 otherwise daa66d2b Otherwise sk_0123456789abcdef0123456789abcdef01234567 \
                    key-0123456789abcdef secret = 0123456789abc az! zapper bylaws";
        let mut text = format!("{some}\n{:=<120}6{:=<100}11\n", "", "").repeat(2).into_bytes();
        text.extend_from_slice(format!("\0{:=<100}6", "").as_bytes());
        text
    })
}
