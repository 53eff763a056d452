//! Sets of strings, every occurrence of each counted: our searcher on one core over a text in memory, beside Vectorscan and
//! daachorse. All must count the same.

use crate::data::{self, Numbers};
use crate::vectorscan::Database;
use crate::{median, Goal, Row, Setting};
use daachorse::DoubleArrayAhoCorasick;
use gristmill_patterns::Literals;
use std::collections::BTreeSet;
use std::fmt;
use std::time::Instant;

/// What the strings of a set are like.
#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    /// Random letters, 8 to 12.
    Random,
    /// Two or three words of the text, one behind the other.
    Phrases,
    /// Hashes and host names, as lists of indicators have them.
    Indicators,
    /// A few dozen beginnings, each with many ends.
    Prefixes,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Random => "random letters",
            Self::Phrases => "phrases of the text",
            Self::Indicators => "indicators",
            Self::Prefixes => "shared prefixes",
        })
    }
}

fn letters(numbers: &mut Numbers, alphabet: &[u8], count: u64) -> Vec<u8> {
    let letter = |_| alphabet[numbers.below(alphabet.len() as u64) as usize];
    (0..count).map(letter).collect()
}

/// Different strings of a kind, always the same.
pub fn strings(kind: Kind, count: usize, text: &[u8]) -> Vec<Vec<u8>> {
    const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    let mut numbers = Numbers::new(17);
    let beginnings: Vec<Vec<u8>> = (0..40).map(|_| letters(&mut numbers, LOWER, 6)).collect();
    let mut set = BTreeSet::new();
    while set.len() < count {
        let length = 8 + numbers.below(5);
        let string = match kind {
            Kind::Random => letters(&mut numbers, LOWER, length),
            Kind::Phrases => {
                let from = numbers.below(text.len() as u64 - 64) as usize;
                let line = text[from..from + 64].split(|byte| *byte == b'\n').next();
                let mut words = line.unwrap_or_default().split(|byte| *byte == b' ');
                // The first may have lost its beginning.
                words.next();
                let words: Vec<&[u8]> = words.take(2 + numbers.below(2) as usize).collect();
                words.join(&b' ')
            }
            Kind::Indicators if numbers.below(2) == 0 => {
                letters(&mut numbers, b"0123456789abcdef", 64)
            }
            Kind::Indicators => {
                let (host, domain) = (3 + numbers.below(8), 4 + numbers.below(12));
                let ending =
                    [&b".com"[..], b".net", b".org", b".ru", b".info"][numbers.below(5) as usize];
                let (host, domain) = (
                    letters(&mut numbers, LOWER, host),
                    letters(&mut numbers, LOWER, domain),
                );
                [&host[..], b".", &domain, ending].concat()
            }
            Kind::Prefixes => {
                let mut string = beginnings[numbers.below(40) as usize].clone();
                string.extend(letters(&mut numbers, LOWER, length));
                string
            }
        };
        // Phrases may be short where a line ends.
        if string.len() >= 6 {
            set.insert(string);
        }
    }
    set.into_iter().collect()
}

/// A searcher that was built, and how long that took in seconds.
struct Built<S> {
    searcher: S,
    seconds: f64,
}

fn built<S>(build: impl FnOnce() -> Result<S, String>) -> Result<Built<S>, String> {
    let began = Instant::now();
    let searcher = build()?;
    Ok(Built {
        searcher,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// Counts the occurrences in a text.
type Count<'a> = Box<dyn FnMut(&[u8]) -> Result<u64, String> + 'a>;

/// A peer's name, how it counts, the seconds that building took, and those of each counted run.
struct Peer<'a> {
    name: &'static str,
    count: Count<'a>,
    build: f64,
    runs: Vec<f64>,
}

fn peer<'a>(
    name: &'static str,
    build: f64,
    count: impl FnMut(&[u8]) -> Result<u64, String> + 'a,
) -> Peer<'a> {
    Peer {
        name,
        count: Box::new(count),
        build,
        runs: Vec::new(),
    }
}

/// Above this number of strings Vectorscan compiles for minutes.
const MOST_OF_VECTORSCAN: usize = 100_000;

/// The goal for a set of this size, beside the best peer.
pub fn goal(count: usize) -> Goal {
    Goal::AtLeast(match count {
        ..64 => 1.0,
        64..50_000 => 1.3,
        _ => 3.0,
    })
}

fn one_set(
    setting: &Setting,
    kind: Kind,
    count: usize,
    fold: bool,
    text: &[u8],
) -> Result<Vec<Row>, String> {
    let patterns = strings(kind, count, text);
    let ours = built(|| Literals::build(&patterns, fold).map_err(|error| error.to_string()))?;
    let (set, memory) = (&ours.searcher, ours.searcher.memory());
    let count_ours = |text: &[u8]| {
        let mut found = 0;
        set.find(text, 0..text.len(), |_, _| found += 1);
        Ok(found)
    };
    let mut sides = vec![peer("ours", ours.seconds, count_ours)];
    if count <= MOST_OF_VECTORSCAN {
        let mut set = built(|| Database::strings(&patterns, fold))?;
        let seconds = set.seconds;
        sides.push(peer("vectorscan", seconds, move |text| {
            set.searcher.count(text)
        }));
    }
    if !fold {
        let set = built(|| {
            DoubleArrayAhoCorasick::<u32>::new(&patterns).map_err(|error| error.to_string())
        })?;
        let seconds = set.seconds;
        let count = move |text: &[u8]| Ok(set.searcher.find_overlapping_iter(text).count() as u64);
        sides.push(peer("daachorse", seconds, count));
    }
    for run in 0..=setting.runs {
        let mut expected = None;
        for side in &mut sides {
            let began = Instant::now();
            let found = (side.count)(text)?;
            let seconds = began.elapsed().as_secs_f64();
            let expected = *expected.get_or_insert(found);
            if found != expected {
                return Err(format!(
                    "{kind}, {count}: {} counts {found}, and ours {expected}",
                    side.name
                ));
            }
            if run > 0 {
                side.runs.push(seconds);
            }
        }
    }
    let name = format!("{kind}, {count}{}", if fold { ", either case" } else { "" });
    let gigabytes = text.len() as f64 / 1e9;
    let shown = |side: &Peer| {
        format!(
            "{}{:.2} GB/s, built in {:.3} s",
            if side.name == "ours" {
                String::new()
            } else {
                format!("{} ", side.name)
            },
            gigabytes / median(side.runs.clone()),
            side.build
        )
    };
    let (first, peers) = sides.split_at(1);
    let best = peers
        .iter()
        .min_by(|left, right| median(left.runs.clone()).total_cmp(&median(right.runs.clone())));
    let best = best.ok_or("a set without a peer")?;
    let figure = |ours: &Peer, best: &Peer| {
        median(
            ours.runs
                .iter()
                .zip(&best.runs)
                .map(|(ours, best)| best / ours)
                .collect(),
        )
    };
    let mut rows = vec![Row {
        ours: format!("{}, {:.1} MB", shown(&first[0]), memory as f64 / 1e6),
        peer: peers.iter().map(shown).collect::<Vec<_>>().join("; "),
        figure: figure(&first[0], best),
        name: name.clone(),
        goal: goal(count),
    }];
    let vectorscan = peers.iter().find(|peer| peer.name == "vectorscan");
    if let Some(vectorscan) = vectorscan.filter(|_| count == 100_000) {
        rows.push(Row {
            name: format!("{name}: building"),
            ours: format!("{:.3} s", first[0].build),
            peer: format!("vectorscan {:.3} s", vectorscan.build),
            figure: vectorscan.build / first[0].build,
            goal: Goal::AtLeast(10.0),
        });
    }
    Ok(rows)
}

/// Sets of each kind and of many sizes.
pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let bytes = if setting.smoke { 1 << 20 } else { 64 << 20 };
    let file = data::words_file(setting, bytes)?;
    let text = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let counts: &[usize] = if setting.smoke {
        &[8, 600]
    } else {
        &[8, 64, 512, 5_000, 50_000, 100_000, 1_000_000]
    };
    let mut rows = Vec::new();
    for kind in [
        Kind::Random,
        Kind::Phrases,
        Kind::Indicators,
        Kind::Prefixes,
    ] {
        for &count in counts {
            rows.extend(one_set(setting, kind, count, false, &text)?);
            if [512, 600, 50_000].contains(&count) {
                rows.extend(one_set(setting, kind, count, true, &text)?);
            }
        }
    }
    Ok(rows)
}
