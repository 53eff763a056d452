//! What is longer than the longest match that is allowed is an error, and nothing else is.

use super::{boundary, run, text, with, Given, REGEXES};
use crate::jobs::sweep::chains::{Chains, End, GivenUp, Searching};
use crate::jobs::sweep::opcode::OfRegex;
use crate::jobs::sweep::{Boundary, SweepError, SweepErrorKind, SweepJob};
use crate::mill::{Control, Mill};
use crate::source::{FilePart, Share, SharePart, ShareSource};
use fastrand::Rng;
use gristmill_patterns::{StreamSearch, StreamState};
use std::path::Path;
use std::sync::Arc;

/// Regexes whose beginnings may stay undecided for long.
const LONG: &[&str] = &[
    "(?s)key.*?KEY",
    "(?s)key-[0-9]+|key.*end1",
    "(?s)key(?:.*X1)?",
    "key[^1]*1234",
    "(?s)X.*?X",
    "(?s)abc.{100,}",
    r"(?s)\bkey.*?\bend\b",
    r"(?s)X[a-z\s]*|\bkey-.*?end-key",
    r"(?s)-----BEGIN[\s\S-]{64,}?END",
    r"(?s)(?:key.*?1|X)[a-z\s]*-",
    r"(?s)(?:key-.*e|X)[a-z\s]*1",
];

/// Start and end of each match, and the name of its pattern; and the places of errors, with the names.
type Answer = (Vec<(u64, u64, usize)>, Vec<(u64, usize)>);

fn expected(given: &[Given], boundary: Option<Boundary>, text: &[u8], most: u64) -> Answer {
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (number, one) in given.iter().enumerate() {
        let mut of_one = super::expected(std::slice::from_ref(one), text, boundary, false);
        of_one.sort_unstable();
        for (start, length, _) in of_one {
            let (start, length) = (start as u64, length as u64);
            if length > most {
                errors.push((start, number));
                break;
            }
            found.push((start, start + length, number));
        }
    }
    found.sort_unstable();
    errors.sort_unstable();
    (found, errors)
}

/// What came of a run, without the rows that are not before their pattern's error.
fn answer(rows: &str, errors: &[SweepError], part: Option<(u64, u64)>) -> Answer {
    let mut found = Vec::new();
    for row in rows.lines() {
        let mut fields = row.split(':').map(|field| field.parse::<u64>().unwrap());
        let mut field = || fields.next().unwrap();
        let (start, length, name) = (field(), field(), field());
        found.push((start, start + length, usize::try_from(name).unwrap()));
    }
    let order = found
        .iter()
        .map(|(start, end, name)| (*end, *name, *start))
        .collect::<Vec<_>>();
    assert!(order.is_sorted());
    let mut places: Vec<(u64, usize)> = errors
        .iter()
        .map(|error| (error.offset, error.pattern.parse().unwrap()))
        .collect();
    places.sort_unstable();
    without_later(&mut found, &places);
    if let Some((begin, end)) = part {
        assert!(places
            .iter()
            .all(|(place, _)| (begin..=end).contains(place)));
    }
    (found, places)
}

fn without_later(found: &mut Vec<(u64, u64, usize)>, errors: &[(u64, usize)]) {
    found.retain(|(start, _, name)| {
        let mut of_it = errors.iter().filter(|(_, other)| other == name);
        of_it.all(|(place, _)| start < place)
    });
    found.sort_unstable();
}

fn job(given: &[Given], boundary: Option<Boundary>, most: u64) -> SweepJob {
    let job = with(SweepJob::builder().max_match(most), given);
    job.boundary(boundary).build().unwrap()
}

/// The rows and errors of a part.
fn of_part(
    job: SweepJob,
    chunk: usize,
    path: &Path,
    (begin, end): (u64, u64),
) -> (String, Vec<SweepError>) {
    use std::os::unix::fs::MetadataExt;
    let facts = std::fs::metadata(path).unwrap();
    let modified = facts.mtime() * 1_000_000_000 + facts.mtime_nsec();
    let size = facts.len();
    let part = SharePart {
        path: path.to_owned(),
        size,
        modified,
        part: Some(FilePart {
            begin,
            end,
            size,
            modified,
        }),
        failed: None,
    };
    let mill = Mill::builder().workers(2).chunk_bytes(chunk).build();
    let (job, mut rows) = (Arc::new(job), Vec::new());
    let source = ShareSource::new(Share { parts: vec![part] });
    let control = Control::default();
    let report = mill
        .unwrap()
        .run(source, Arc::clone(&job), &mut rows, &control)
        .unwrap();
    assert_eq!(report.failures, 0);
    (String::from_utf8(rows).unwrap(), job.take_errors())
}

#[test]
fn matches_up_to_the_limit_are_found_and_the_first_longer_one_is_an_error() {
    let mut rng = Rng::with_seed(gristmill_testing::seed("GRISTMILL_LIMITS_SEED"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let (mut rows_seen, mut errors_seen) = (0, 0);
    for round in 0..60 {
        let given: Vec<Given> = (0..rng.usize(1..6))
            .map(|_| match rng.u8(..4) {
                0 => Given::Regex(REGEXES[rng.usize(..REGEXES.len())]),
                _ => Given::Regex(LONG[rng.usize(..LONG.len())]),
            })
            .collect();
        let length = *rng.choice(&[100, 5000, 40_000]).unwrap();
        let mut bytes = text(&mut rng, length);
        if rng.bool() {
            // Few beginnings, and between them nothing.
            let keep = *rng.choice(&[0, 1, 4]).unwrap();
            for byte in &mut bytes {
                if rng.u8(..60) >= keep && *byte != b'1' {
                    *byte = b'_';
                }
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        let most = *rng.choice(&[0, 64, 256, 3000]).unwrap();
        let boundary = boundary(&mut rng);
        let wanted = expected(&given, boundary, &bytes, most);
        rows_seen += wanted.0.len();
        errors_seen += wanted.1.len();
        for chunk in [4096, 8192, 1 << 16] {
            let (rows, done) = run(job(&given, boundary, most), chunk, &path);
            let found = answer(&rows, &done.take_errors(), None);
            assert!(
                found == wanted,
                "round {round}: {given:?} {boundary:?} of {most} bytes in {length}, chunks of {chunk}: {found:?}, not {wanted:?}"
            );
        }
        let size = bytes.len() as u64;
        let mut cuts: Vec<u64> = (0..rng.usize(..4)).map(|_| rng.u64(..=size)).collect();
        cuts.extend([0, size]);
        cuts.sort_unstable();
        cuts.dedup();
        let (mut found, mut errors) = (Vec::new(), Vec::new());
        for pair in cuts.windows(2) {
            let part = (pair[0], pair[1]);
            let chunk = *rng.choice(&[4096, 8192]).unwrap();
            let (rows, failed) = of_part(job(&given, boundary, most), chunk, &path, part);
            let (rows, failed) = answer(&rows, &failed, Some(part));
            found.extend(rows);
            errors.extend(failed);
        }
        // A part may go on with a regex that was given up before it.
        errors.sort_unstable();
        let mut first = errors.clone();
        first.retain(|(place, name)| {
            errors
                .iter()
                .all(|(at, other)| other != name || at >= place)
        });
        without_later(&mut found, &first);
        assert!(
            (&found, &first) == (&wanted.0, &wanted.1),
            "round {round}: {given:?} {boundary:?} of {most} bytes in {length}, cut at {cuts:?}: {found:?} {errors:?}, not {wanted:?}"
        );
    }
    assert!(
        rows_seen > 0 && errors_seen > 0,
        "{rows_seen} {errors_seen}"
    );
}

#[test]
fn a_beginning_without_an_end_is_no_error() {
    let regex =
        r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----[\s\S-]{64,}?KEY(?: BLOCK)?-----";
    let given = [
        Given::Regex(regex),
        Given::Regex("token_[0-9]{4}"),
        Given::String(b"needle"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let header = "a -----BEGIN RSA PRIVATE KEY----- begins it\n";
    let mut text = header.to_owned();
    while text.len() < 5 << 20 {
        text.push_str("-- lines of a Log, with no KEY of any kind, and as many as there are\n");
    }
    let behind = text.len();
    text.push_str("token_1234 needle\n");
    std::fs::write(&path, &text).unwrap();
    let rows = format!("{behind}:10:1\n{}:6:2\n", behind + 11);
    for chunk in [4096, 1 << 20] {
        let (found, done) = run(job(&given, None, 1 << 20), chunk, &path);
        assert_eq!((found, done.take_errors()), (rows.clone(), Vec::new()));
    }
    // An end makes it a match, which is too long.
    text.push_str("-----END RSA PRIVATE KEY-----\n");
    std::fs::write(&path, &text).unwrap();
    let (found, done) = run(job(&given, None, 1 << 20), 1 << 20, &path);
    let errors = done.take_errors();
    let [error] = errors.as_slice() else {
        panic!("{errors:?}");
    };
    assert_eq!((found, error.offset), (rows, 2));
    assert!(error.to_string().contains("is longer than 1048576 bytes"));
    // Of many beginnings none has an end.
    let many = header.replace("KEY-----", "KEY----").repeat(20_000) + &header.repeat(2);
    std::fs::write(&path, &many).unwrap();
    let (found, done) = run(job(&given, None, 4096), 1 << 16, &path);
    let start = many.len() - 2 * header.len() + 2;
    assert_eq!((found, done.take_errors()), (String::new(), Vec::new()));
    let ended = many + &" ".repeat(64) + "KEY-----";
    std::fs::write(&path, &ended).unwrap();
    let (found, done) = run(job(&given, None, 4096), 1 << 16, &path);
    let length = ended.len() - start;
    assert_eq!(
        (found, done.take_errors()),
        (format!("{start}:{length}:0\n"), Vec::new())
    );
}

#[test]
fn a_regex_that_takes_too_many_steps_is_given_up_and_the_error_says_so() {
    let given = [
        Given::Regex("(?s)x(?:(?:.{1000})*END)?"),
        Given::String(b"needle"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let most = 1 << 8;
    let text = "x".repeat(1 << 13);
    std::fs::write(&path, text.clone() + "needle").unwrap();
    let kind = SweepErrorKind::ManySteps { max_match: most };
    for chunk in [4096, 1 << 20] {
        let (rows, done) = run(job(&given, None, most), chunk, &path);
        let errors = done.take_errors();
        assert_eq!(
            errors.iter().map(|one| one.kind).collect::<Vec<_>>(),
            [kind]
        );
        assert!(errors[0].to_string().contains("takes too many steps"));
        assert!(rows.ends_with(&format!("{}:6:1\n", text.len())));
    }
    // The parts in which nothing is known any more say so, too.
    let part = (1 << 11, 1 << 12);
    let (_, errors) = of_part(job(&given, None, most), 4096, &path, part);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].kind, kind);
    assert!((part.0..part.1).contains(&errors[0].offset), "{errors:?}");
}

/// A file in which nothing is certain, and a regex whose automaton is too large.
struct TooLarge;

impl Searching for TooLarge {
    fn certain(&mut self, _: u32, at: u64) -> u64 {
        at
    }

    fn next(&mut self, _: u32, _: u64, _: u64) -> Option<(u64, u64)> {
        None
    }

    fn found(&mut self, _: u32, _: u64, _: u64) {
        panic!("a match");
    }

    fn stream(&mut self, _: u32, _: u64, _: Option<u64>, _: u64) -> Option<StreamSearch> {
        None
    }

    fn read(&mut self, _: u32, _: &mut StreamSearch, _: bool) -> StreamState {
        panic!("nothing can be read")
    }
}

#[test]
fn a_length_that_cannot_be_told_is_not_called_too_long() {
    let told = OfRegex {
        index: 3,
        open: Some(5),
        ..OfRegex::default()
    };
    let given_up = Chains::new(0, 10).chunk(0..100, vec![told], &mut TooLarge);
    let why = SweepErrorKind::UnknownLength { max_match: 10 };
    let end = End { from: 5, why };
    assert_eq!(given_up, [GivenUp { index: 3, end }]);
    assert!(why.to_string().contains("cannot be told whether"));
}
