//! The regexes of a rule file, every match of each: our searcher on one core over texts in memory, beside Vectorscan.
//!
//! The rule file is gitleaks', where it is at hand, and else an example. Regexes that Vectorscan refuses are left out there
//! alone, and counted. What is compared is processor time, of the search alone. The counts differ, and are only shown:
//! Vectorscan tells every place where a match ends, and `\w` means ASCII to it, also with `(?i)`.

use crate::cpu::cpu_seconds;
use crate::data::{self, Numbers};
use crate::vectorscan::Database;
use crate::{median, Goal, Row, Setting};
use gristmill::rules::RuleSet;
use gristmill_patterns::{Hit, Part, RegexSet, RegexSetBuilder, DEFAULT_SIZE_LIMIT};
use gristmill_testing::planted;
use nix::sys::resource::UsageWho;
use std::path::{Path, PathBuf};

/// Bytes that are searched at once.
const PIECE: usize = 1 << 20;

/// Bytes around a piece that matches may reach into.
const AROUND: usize = 4096;

/// An example of a rule file.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/rules.toml")
}

/// The rule file of gitleaks, where it is at hand, and else the example.
pub fn rule_file() -> PathBuf {
    planted::rule_file().unwrap_or_else(example)
}

/// The name of a rule file, for a row: it says which was measured.
pub fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into()
}

/// A rule file, and what is needed of it.
pub struct Rules {
    pub path: PathBuf,
    /// In Rust's syntax.
    ours: Vec<String>,
    /// As the file has them.
    pub given: Vec<String>,
    keywords: Vec<String>,
}

impl Rules {
    pub fn read(path: PathBuf) -> Result<Self, String> {
        let mut rules = RuleSet::default();
        rules.read(&path).map_err(|error| error.to_string())?;
        let ours = rules.rules().iter().filter_map(|rule| rule.pattern());
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let table = toml::de::DeTable::parse(&text).map_err(|error| error.to_string())?;
        let of_file = table.get_ref().get("rules");
        let of_file = of_file.and_then(|rules| rules.get_ref().as_array());
        let (mut given, mut keywords) = (Vec::new(), Vec::new());
        for rule in of_file.ok_or("a rule file without rules")? {
            let regex = rule.get_ref().get("regex");
            given.extend(regex.and_then(|regex| Some(regex.get_ref().as_str()?.to_owned())));
            let words = rule.get_ref().get("keywords");
            let words = words.and_then(|words| words.get_ref().as_array());
            let words = words.into_iter().flatten();
            keywords.extend(words.filter_map(|word| Some(word.get_ref().as_str()?.to_owned())));
        }
        Ok(Self {
            ours: ours.map(str::to_owned).collect(),
            path,
            given,
            keywords,
        })
    }

    /// How many regexes there are, and the name of their file.
    pub fn name(&self) -> String {
        format!("{} regexes of {}", self.given.len(), name_of(&self.path))
    }
}

/// What something gives, and the processor time of this thread that it took, in seconds.
fn timed<T>(run: impl FnOnce() -> Result<T, String>) -> Result<(T, f64), String> {
    let began = cpu_seconds(UsageWho::RUSAGE_THREAD)?;
    let given = run()?;
    Ok((given, cpu_seconds(UsageWho::RUSAGE_THREAD)? - began))
}

/// This repository's own source text, as often as is needed for so many bytes.
fn source(bytes: usize) -> Result<Vec<u8>, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let files = data::files_below(&root)?;
    let files = files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let mut text = Vec::with_capacity(bytes);
    for path in files.cycle() {
        text.extend(std::fs::read(path).map_err(|error| error.to_string())?);
        if text.len() >= bytes {
            break;
        }
    }
    text.truncate(bytes);
    Ok(text)
}

/// Words, with a keyword in every tenth line, and behind it what looks like a secret, or is one.
fn mixed(words: &[u8], keywords: &[String]) -> Vec<u8> {
    const TOKEN: &[u8] = b"0123456789abcdefABCDEFGHIJKLMNOPQRSTUVWXYZghijklmnopqrstuvwxyz_-";
    let mut numbers = Numbers::new(23);
    let mut text = Vec::with_capacity(words.len() + words.len() / 8);
    for (number, line) in words.split_inclusive(|byte| *byte == b'\n').enumerate() {
        text.extend_from_slice(line);
        if number % 10 > 0 || keywords.is_empty() {
            continue;
        }
        let keyword = &keywords[numbers.below(keywords.len() as u64) as usize];
        let name = ["my_", "", "  ", "x."][numbers.below(4) as usize];
        let behind =
            ["_key = \"", "_token: '", "", " => ", "=", " secret, "][numbers.below(6) as usize];
        let alphabet = &TOKEN[..[10, 16, 62, 64][numbers.below(4) as usize]];
        let length = 8 + numbers.below(80);
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(keyword.as_bytes());
        text.extend_from_slice(behind.as_bytes());
        let letter = |_| alphabet[numbers.below(alphabet.len() as u64) as usize];
        text.extend((0..length).map(letter));
        text.extend_from_slice(b"\"\n");
    }
    text
}

/// The matches of our set.
fn count(set: &RegexSet, text: &[u8]) -> u64 {
    let mut cache = set.cache();
    let mut found = 0;
    for at in (0..text.len()).step_by(PIECE) {
        let end = text.len().min(at + PIECE);
        let (from, to) = (at.saturating_sub(AROUND), text.len().min(end + AROUND));
        let part = Part {
            text: &text[from..to],
            starts: at - from..end - from,
            ends: to == text.len(),
        };
        set.find_in(
            &mut cache,
            &part,
            || true,
            |_, hit| {
                found += u64::from(matches!(hit, Hit::Match { .. }));
            },
        );
    }
    found
}

fn one_text(
    setting: &Setting,
    (rules, name, goal): (&Rules, &str, f64),
    (ours, ours_built): (&RegexSet, f64),
    (peer, peer_built, refused): (&mut Database, f64, usize),
    text: &[u8],
) -> Result<Row, String> {
    let (mut times, mut peer_times, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    let (mut found, mut peer_found) = (0, 0);
    for run in 0..=setting.runs {
        let (matches, seconds) = timed(|| Ok(count(ours, text)))?;
        let (ends, peer_seconds) = timed(|| {
            let pieces = text.chunks(PIECE).map(|piece| peer.count(piece));
            pieces.sum::<Result<u64, String>>()
        })?;
        (found, peer_found) = (matches, ends);
        if run > 0 {
            times.push(seconds);
            peer_times.push(peer_seconds);
            // The clock of a thread may stand still for a small text.
            ratios.push(peer_seconds / seconds.max(1e-6));
        }
    }
    let megabytes = text.len() as f64 / 1e6;
    Ok(Row {
        name: format!("{}, {megabytes:.0} MB of {name}", rules.name()),
        ours: format!(
            "{:.3} s, {found} matches, built in {ours_built:.3} s",
            median(times)
        ),
        peer: format!(
            "vectorscan {:.3} s, {peer_found} ends of matches, {refused} regexes refused, compiled in {peer_built:.3} s",
            median(peer_times)
        ),
        figure: median(ratios),
        goal: Goal::AtLeast(goal),
    })
}

/// The regexes of a rule file over three kinds of text.
pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let rules = Rules::read(rule_file())?;
    let bytes: usize = if setting.smoke { 1 << 20 } else { 64 << 20 };
    let file = data::words_file(setting, bytes as u64)?;
    let words = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (ours, ours_built) = timed(|| {
        let set = RegexSetBuilder::new()
            .size_limit(DEFAULT_SIZE_LIMIT)
            .build(&rules.ours);
        set.map_err(|error| error.to_string())
    })?;
    let ((mut peer, refused), peer_built) = timed(|| Database::regexes(&rules.given))?;
    let texts = [
        ("words", 5.0, words.clone()),
        ("source text", 2.0, source(bytes)?),
        (
            "words, every tenth line with a keyword",
            1.0,
            mixed(&words, &rules.keywords),
        ),
    ];
    let mut rows = Vec::new();
    for (name, goal, text) in texts {
        let peer = (&mut peer, peer_built, refused);
        rows.push(one_text(
            setting,
            (&rules, name, goal),
            (&ours, ours_built),
            peer,
            &text,
        )?);
    }
    Ok(rows)
}
