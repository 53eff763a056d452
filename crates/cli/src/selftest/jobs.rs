//! The jobs of the self-test. On a device, it searches for strings, and for the literals of regexes; the host searches for
//! regexes near these. Whoever does what, rows are the same: those of a thread that sees each file in one piece.
//!
//! A case's texts have planted matches, at and across the borders of chunks, too, and near misses. Some have more of what a
//! device tells than a slot's record area holds: then the search is resumed, or the host searches the chunk.

use super::texts::{strings, text, Text};
use super::world::{failed, Asked, Checked, World, CHUNKS, WHOLE};
use fastrand::Rng;
use gristmill::jobs::digest::{Algorithm, Algorithms, DigestJob, DigestRows};
use gristmill::jobs::scan::{Report, ScanJob, ScanJobBuilder};
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{SweepJob, SweepJobBuilder};
use gristmill::rules::RuleSet;
use std::path::Path;
use std::sync::Arc;

/// A case: its name, and its function.
pub type Case = (&'static str, fn(&World<'_>) -> Checked);

/// All cases.
pub const CASES: &[Case] = &[
    ("thousands of strings", many_strings),
    (
        "thousands of strings, case-insensitive",
        many_strings_folded,
    ),
    ("more strings than a record area holds", strings_overflow),
    ("lines with strings", lines_with_strings),
    ("lines that match regexes", lines_with_regexes),
    ("more lines than a record area holds", lines_overflow),
    ("every match of regexes and strings", matches),
    ("more candidates than a record area holds", matches_overflow),
    ("findings of rules", findings),
    ("several digests over one read", digests),
    ("a recorded run, replayed", recorded),
];

/// Regexes with literals that a device looks for, in one case or in either.
const REGEXES: [&str; 7] = [
    "key-[0-9]{4,}",
    "(?i)secret.{0,40}?[0-9a-f]{16}",
    "(?s)begin.{0,100}?done",
    r"\bkeys?\b",
    "token|curl",
    "(?m)^Secret.*$",
    "é+key",
];

/// A regex without a literal: the host searches all bytes for it.
const WITHOUT_LITERAL: &str = "[0-9a-f]{40}";

/// What some of them match, and what they would match if it went on.
const PLANTS: [&str; 9] = [
    " key-01234 ",
    "key-99999999",
    "Secret = 0123456789abcdef",
    "begin of what is done",
    " key ",
    "token",
    "\nSecret lines\n",
    "éékey",
    "0123456789abcdef0123456789abcdef01234567",
];

/// Rules as in a rule file, with all that a match must pass.
const RULES: &str = r#"
[[rules]]
id = "acme-token"
regex = '''\bacme_(?:live|test)_([0-9A-Za-z]{24})\b'''
keywords = ["acme_live_", "acme_test_"]
entropy = 3

[[rules.allowlists]]
regexes = ['''^EXAMPLE''']
stopwords = ["changeme"]

[[rules]]
id = "password"
regex = '''(?i)\bpassword[ \t]*[:=][ \t]*["']([^"'\s]{8,64})["']'''
keywords = ["password"]
entropy = 2.5

[[rules]]
id = "hexadecimal"
regex = '''\b[0-9a-f]{40}\b'''
"#;

/// What the rules find, and what they find nothing in.
const SECRETS: [&str; 3] = [
    " acme_live_0123456789abcdefghijKLMN\n",
    "\nPassword: 'aB3$xyz!90' ",
    "\n0123456789abcdef0123456789abcdef01234567\n",
];
const NO_SECRETS: [&str; 4] = [
    " acme_live_aaaaaaaaaaaaaaaaaaaaaaaa\n",
    " acme_test_EXAMPLE789abcdefghijKLMN\n",
    " acme_live_0123changeme89abcdefgKLM\n",
    "\npassword: 'aaaaaaaa' ",
];

/// A long text, one whose last chunk is full, and one that is shorter than what is looked for.
fn texts(numbers: &mut Rng, plants: &[Vec<u8>]) -> Vec<Text> {
    [120_000, 2 * CHUNKS[0], 2]
        .map(|length| text(numbers, plants, length, CHUNKS[0]))
        .into()
}

/// The number of plants at borders.
fn at_borders(texts: &[Text]) -> usize {
    texts.iter().map(|text| text.at_borders).sum()
}

fn bytes(plants: &[&str]) -> Vec<Vec<u8>> {
    plants
        .iter()
        .map(|plant| plant.as_bytes().to_vec())
        .collect()
}

/// Of a plant, so many that they fill `length` bytes.
fn repeated(plant: &str, length: usize) -> Text {
    Text {
        bytes: plant.repeat(length / plant.len()).into_bytes(),
        at_borders: length / plant.len(),
    }
}

fn scan(builder: ScanJobBuilder) -> Result<Asked, String> {
    let job = builder.with_path(true).text(true).build();
    let job = job.map_err(|error| error.to_string())?;
    Ok(Asked::Scan(Arc::new(job)))
}

fn many_strings(world: &World<'_>) -> Checked {
    occurrences(world, 1, false)
}

fn many_strings_folded(world: &World<'_>) -> Checked {
    occurrences(world, 2, true)
}

/// Every occurrence of strings: those of a scan, and the same with a sweep.
fn occurrences(world: &World<'_>, salt: u64, fold: bool) -> Checked {
    let mut numbers = world.numbers(salt);
    let strings = strings(&mut numbers, 3_000);
    let texts = texts(&mut numbers, &strings);
    world.agree(&texts, &CHUNKS, at_borders(&texts), &[false, true], || {
        let all = ScanJob::builder().patterns(strings.clone()).all(true);
        let mut sweep = SweepJob::builder().case_insensitive(fold).json(true);
        for (number, string) in strings.iter().enumerate() {
            sweep = sweep.string(number.to_string(), string.clone());
        }
        Ok(vec![
            scan(all.case_insensitive(fold).json(true))?,
            swept(sweep)?,
        ])
    })
}

fn strings_overflow(world: &World<'_>) -> Checked {
    let texts = [repeated("ab", 40_000), repeated("Aab\n", 30_000)];
    world.agree(&texts, &[WHOLE], at_borders(&texts), &[false], || {
        let all = ScanJob::builder()
            .patterns(["ab", "bab", "aab\n"])
            .all(true);
        Ok(vec![scan(all.case_insensitive(true).json(true))?])
    })
}

fn lines_with_strings(world: &World<'_>) -> Checked {
    let mut numbers = world.numbers(3);
    let strings = strings(&mut numbers, 200);
    let texts = texts(&mut numbers, &strings);
    world.agree(&texts, &CHUNKS, 2, &[false; 3], || {
        let strings = || ScanJob::builder().patterns(strings.clone());
        Ok(vec![
            scan(strings().line_numbers(true))?,
            scan(strings().case_insensitive(true).report(Report::Count))?,
            scan(strings().invert(true).line_numbers(true))?,
        ])
    })
}

fn lines_with_regexes(world: &World<'_>) -> Checked {
    let mut numbers = world.numbers(4);
    let texts = texts(&mut numbers, &bytes(&PLANTS));
    world.agree(&texts, &CHUNKS, 1, &[true; 3], || {
        let regexes = || ScanJob::builder().patterns(REGEXES).regex(true);
        Ok(vec![
            scan(regexes().line_numbers(true))?,
            scan(regexes().invert(true).report(Report::Count))?,
            scan(
                regexes()
                    .words(true)
                    .each_match(true)
                    .report(Report::Matches),
            )?,
        ])
    })
}

fn lines_overflow(world: &World<'_>) -> Checked {
    let texts = [repeated("key-1234\nkey-123\n", 100_000)];
    world.agree(&texts, &[WHOLE], at_borders(&texts), &[true, false], || {
        let (regex, string) = (ScanJob::builder(), ScanJob::builder());
        Ok(vec![
            scan(regex.pattern("key-[0-9]{4,}$").regex(true))?,
            scan(string.pattern("key-"))?,
        ])
    })
}

fn swept(builder: SweepJobBuilder) -> Result<Asked, String> {
    let job = builder.build().map_err(|error| error.to_string())?;
    Ok(Asked::Sweep(Arc::new(job)))
}

/// The sweep for all regexes and some strings.
fn sweep() -> Result<Asked, String> {
    let mut job = SweepJob::builder().json(true);
    for (number, regex) in REGEXES.iter().chain([&WITHOUT_LITERAL]).enumerate() {
        job = job.regex(format!("regex {number}"), *regex);
    }
    for string in ["key", "key-0", "-"] {
        job = job.string(string, string);
    }
    swept(job)
}

fn matches(world: &World<'_>) -> Checked {
    let mut numbers = world.numbers(5);
    let texts = texts(&mut numbers, &bytes(&PLANTS));
    let least = at_borders(&texts);
    world.agree(&texts, &CHUNKS, least, &[true], || Ok(vec![sweep()?]))
}

fn matches_overflow(world: &World<'_>) -> Checked {
    // Where nearly all match, the host's records overflow, too.
    let all = [repeated("key-0", 60_000)];
    let least = at_borders(&all);
    world.agree(&all, &[WHOLE], least, &[true], || Ok(vec![sweep()?]))?;
    let mut few = repeated("key-x", 200_000);
    few.bytes.extend(b"key-01234 Secret\n");
    world.agree(&[few], &[WHOLE], 2, &[true], || {
        let rare = SweepJob::builder().json(true).string("secret", "Secret");
        let rare = rare.regex("key", "key-[^x][0-9]{3,}");
        Ok(vec![swept(rare)?])
    })
}

fn findings(world: &World<'_>) -> Checked {
    let mut rules = RuleSet::default();
    rules
        .add(Path::new("rules.toml"), RULES.as_bytes())
        .map_err(failed)?;
    let rules = Arc::new(rules);
    let mut numbers = world.numbers(6);
    let mut texts = texts(&mut numbers, &bytes(&SECRETS));
    texts.push(text(&mut numbers, &bytes(&NO_SECRETS), 20_000, CHUNKS[0]));
    let least = at_borders(&texts[..3]);
    world.agree(&texts, &CHUNKS, least, &[true], || {
        let findings = Findings::new(Arc::clone(&rules)).show_secrets(true);
        Ok(vec![swept(
            SweepJob::builder().findings(Arc::new(findings)),
        )?])
    })
}

fn digests(world: &World<'_>) -> Checked {
    use Algorithm::{Blake3, Crc32c, Md5, Sha256, Xxh3_128};
    let mut numbers = world.numbers(7);
    let texts = texts(&mut numbers, &bytes(&PLANTS));
    let of = |algorithms: &[Algorithm]| {
        let algorithms: Algorithms = algorithms.iter().copied().collect();
        Asked::Digest(Arc::new(DigestJob::new(algorithms, DigestRows::Json)))
    };
    let divided = [true, true, true, false, false];
    world.agree(&texts, &CHUNKS, texts.len(), &divided, || {
        Ok(vec![
            of(&[Blake3, Crc32c]),
            of(&[Sha256, Blake3, Md5, Xxh3_128]),
            of(&[Crc32c, Sha256]),
            of(&[Blake3]),
            of(&[Crc32c]),
        ])
    })
}

/// What a log keeps of lines: each slot's own result, whoever has found it.
fn recorded(world: &World<'_>) -> Checked {
    let mut numbers = world.numbers(8);
    let mut texts = texts(&mut numbers, &bytes(&PLANTS));
    texts.push(repeated("key-1234\nkey-123\n", 60_000));
    let regexes = || ScanJob::builder().patterns(REGEXES).regex(true);
    let strings = ScanJob::builder().patterns(["key", "done\nkey"]).all(true);
    let crc = DigestJob::new(Algorithm::Crc32c.into(), DigestRows::Text);
    let jobs = vec![
        scan(regexes().line_numbers(true)).map_err(failed)?,
        scan(regexes().report(Report::Count)).map_err(failed)?,
        scan(regexes().report(Report::Paths)).map_err(failed)?,
        scan(strings).map_err(failed)?,
        Asked::Digest(Arc::new(crc)),
    ];
    world.replays(&texts, jobs)
}
