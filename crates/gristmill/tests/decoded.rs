//! Compressed files: what is damaged, cut or hostile ends in words, within bounded memory, and no answer depends on how
//! reads are cut. The promises are those of the fuzz target `decode`.

#[path = "../../../fuzz/src/decode.rs"]
mod target;

use fastrand::Rng;
use gristmill::decode::MAX_WINDOW_BYTES;
use gristmill_testing::seed;
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use target::{check, format, End, SAMPLES};

/// Lets the process end with an error where decoders ask for more memory than a few of them may have.
fn bounded() {
    const OTHERS: u64 = 1 << 30;
    let most = OTHERS + 4 * MAX_WINDOW_BYTES;
    let maximum = getrlimit(Resource::As).maximum;
    let current = Some(maximum.map_or(most, |maximum| maximum.min(most)));
    setrlimit(Resource::As, Rlimit { current, maximum }).unwrap();
}

/// The text of a sample.
fn text(name: &str) -> Vec<u8> {
    if name.contains("short") {
        let line = |number| format!("line {number} of a short text, and the same words again\n");
        (1..9).map(line).collect::<String>().into_bytes()
    } else {
        let line = "one line, again and again, which any format says in few bytes\n";
        line.bytes().cycle().take(80_000).collect()
    }
}

/// Whether it takes long without optimisation.
fn is_long(name: &str) -> bool {
    name.starts_with("long")
}

#[test]
fn samples_hold_their_texts_however_reads_are_cut() {
    bounded();
    for (name, bytes) in SAMPLES {
        for cut in (0..=255).step_by(if is_long(name) { 100 } else { 37 }) {
            let (decoded, end) = check(format(name), bytes, cut);
            assert_eq!(end, End::Whole, "{name}");
            assert!(decoded == text(name), "{name}");
        }
    }
}

#[test]
fn samples_that_are_cut_say_so() {
    bounded();
    for (name, bytes) in SAMPLES {
        let text = text(name);
        for length in (0..bytes.len()).step_by(if is_long(name) { 31 } else { 1 }) {
            let (decoded, end) = check(format(name), &bytes[..length], 2);
            assert!(text.starts_with(&decoded), "{name}, {length} bytes");
            match end {
                End::Damaged(told) => assert!(told.contains("ends early"), "{name}: {told}"),
                // Between two members, and before zeros that fill a tape's block; lz4 takes an empty file.
                _ => assert!(
                    name.contains("parts") || name.ends_with(".lz4"),
                    "{name}, {length}"
                ),
            }
        }
    }
}

#[test]
fn samples_that_are_damaged_decode_or_are_refused() {
    bounded();
    for (name, bytes) in SAMPLES {
        let mut bytes = bytes.to_vec();
        for at in (0..bytes.len()).step_by(if is_long(name) { 31 } else { 2 }) {
            for change in [1, 0xFF] {
                bytes[at] ^= change;
                check(format(name), &bytes, change);
                bytes[at] ^= change;
            }
        }
    }
}

#[test]
fn random_damage_does_no_harm() {
    bounded();
    let mut random = Rng::with_seed(seed("DECODED_SEED"));
    for _ in 0..150 {
        // Changes of a sample, and bytes that are none.
        let mut input = vec![0; 2 + 3 * random.usize(..6)];
        input.fill_with(|| random.u8(..));
        target::decode(&input);
        // A sample of which a part stands elsewhere, too.
        let (name, bytes) = random.choice(SAMPLES).unwrap();
        let (from, length) = (random.usize(..bytes.len()), random.usize(..40));
        let part = bytes[from..bytes.len().min(from + length)].to_vec();
        let at = random.usize(..bytes.len());
        let mut bytes = bytes.to_vec();
        bytes.splice(at..at, part);
        check(format(name), &bytes, random.u8(..));
    }
}

/// Makes the fuzzer begin with files rather than with nothing.
#[test]
#[ignore = "writes the fuzzer's first inputs to fuzz/corpus/decode"]
fn corpus() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/decode");
    std::fs::create_dir_all(folder).unwrap();
    for (number, (name, bytes)) in SAMPLES.iter().enumerate() {
        let number = u8::try_from(number).unwrap();
        let input = [&[number, 3], *bytes].concat();
        std::fs::write(format!("{folder}/{name}"), input).unwrap();
    }
}
