//! Texts with what regexes match, planted at random, and near misses; and gitleaks, whose rules are such regexes.

use crate::skipped;
use regex_syntax::hir::{Class, Hir, HirKind};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rule file that gitleaks ships: the one in the environment variable `GRISTMILL_GITLEAKS_RULES`, or `gitleaks.toml`
/// in the data beside this repository. Where there is none, the calling test is told to be [`skipped`].
#[must_use]
pub fn rule_file() -> Option<PathBuf> {
    let beside = || {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
        data.join("gitleaks.toml")
    };
    let path = std::env::var_os("GRISTMILL_GITLEAKS_RULES").map_or_else(beside, PathBuf::from);
    if !path.is_file() {
        skipped("gitleaks' rule file is not there; GRISTMILL_GITLEAKS_RULES can name it");
        return None;
    }
    Some(path)
}

/// The program gitleaks: the one in the environment variable `GRISTMILL_GITLEAKS`. Nothing installs it. Where it is not
/// named, the comparison of the calling test is told to be [`skipped`].
#[must_use]
pub fn gitleaks() -> Option<OsString> {
    let program = std::env::var_os("GRISTMILL_GITLEAKS");
    if program.is_none() {
        skipped("gitleaks is not compared with: GRISTMILL_GITLEAKS does not name the program");
    }
    program
}

/// What gitleaks finds below a directory by the rules of a file, as the JSON of its report. It decodes nothing.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn gitleaks_report(program: &OsString, rules: &Path, directory: &Path) -> Vec<u8> {
    let report = Command::new(program)
        .args([
            "dir",
            ".",
            "--no-banner",
            "--log-level=error",
            "--exit-code=0",
        ])
        .args([
            "--report-format=json",
            "--report-path=-",
            "--max-decode-depth=0",
            "-c",
        ])
        .arg(rules)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(report.status.success(), "{report:?}");
    report.stdout
}

/// Appends a random text that `hir` matches, but for its assertions.
fn plant(hir: &Hir, random: &mut fastrand::Rng, text: &mut Vec<u8>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.extend_from_slice(&literal.0),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            let range = ranges[random.usize(..ranges.len())];
            let character = random.char(range.start()..=range.end());
            let mut buffer = [0; 4];
            text.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.ranges();
            let range = ranges[random.usize(..ranges.len())];
            text.push(random.u8(range.start()..=range.end()));
        }
        HirKind::Capture(capture) => plant(&capture.sub, random, text),
        HirKind::Concat(parts) => parts.iter().for_each(|part| plant(part, random, text)),
        HirKind::Alternation(branches) => {
            plant(&branches[random.usize(..branches.len())], random, text);
        }
        HirKind::Repetition(repetition) => {
            let most = repetition.max.unwrap_or(repetition.min + 5);
            // As often as not the least number.
            let most = if random.bool() { repetition.min } else { most };
            for _ in 0..random.u32(repetition.min..=most) {
                plant(&repetition.sub, random, text);
            }
        }
    }
}

/// Lines with what a regex of Rust's syntax matches, `count` times, and near misses of it.
///
/// # Panics
/// If the regex does not parse.
#[must_use]
pub fn lines(pattern: &str, count: usize, random: &mut fastrand::Rng) -> Vec<u8> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    let hir = parser.parse(pattern).unwrap();
    let mut text = Vec::new();
    for _ in 0..count {
        let begin = text.len();
        plant(&hir, random, &mut text);
        if random.bool() && text.len() > begin {
            // A near miss: a byte is another, or missing.
            let place = random.usize(begin..text.len());
            if random.bool() {
                text.remove(place);
            } else {
                text[place] = *random.choice(b"x0 -_'\"=A\n").unwrap();
            }
        }
        text.push(*random.choice(b"\n \"").unwrap());
        text.push(b'\n');
    }
    // A match with a long s for the s of a keyword counts for gitleaks where the keyword itself stands elsewhere, and
    // never here.
    let text = String::from_utf8_lossy(&text).replace('\u{17F}', "s");
    text.into_bytes()
}
