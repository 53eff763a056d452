//! `scan --rules` as a whole command over real source and over words, beside ripgrep and YARA-X with the same regexes.
//!
//! The peers tell less: they know nothing of keywords, entropy and allowlists, and YARA-X tells which files match. It has a
//! syntax of its own, so lazy repetitions are greedy there, and a `(?i)` at the start is its flag; how many regexes it takes
//! is told.

use crate::process::{in_turn, row, text, Side};
use crate::rules::{example, rule_file, Rules};
use crate::{data, Goal, Row, Setting};
use std::path::{Path, PathBuf};

/// What is searched: a file or a tree, and what it is in words.
struct Searched {
    place: PathBuf,
    name: String,
}

/// The sources that cargo has unpacked, or a part of this repository's; and words.
fn searched(setting: &Setting) -> Result<[Searched; 2], String> {
    let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from).or(home);
    let place = if setting.smoke {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/rules")
    } else {
        cargo.ok_or("no CARGO_HOME")?.join("registry/src")
    };
    let files = data::files_below(&place)?;
    let mut bytes = 0;
    for file in &files {
        data::warm(file)?;
        bytes += std::fs::metadata(file).map_or(0, |found| found.len());
    }
    let megabytes = bytes as f64 / 1e6;
    let source = Searched {
        name: format!("{megabytes:.0} MB in {} files of source", files.len()),
        place,
    };
    let bytes = if setting.smoke { 1 << 20 } else { 64 << 20 };
    let place = data::words_file(setting, bytes)?;
    data::warm(&place)?;
    let name = format!("{:.0} MB of words", bytes as f64 / 1e6);
    Ok([source, Searched { place, name }])
}

/// The rules, and a file with their regexes, one a line.
fn regexes(setting: &Setting) -> Result<(Rules, PathBuf), String> {
    // With gitleaks' rules the peers begin after seconds.
    let file = if setting.smoke {
        example()
    } else {
        rule_file()
    };
    let rules = Rules::read(file)?;
    let list = setting.data.join("regexes");
    std::fs::write(&list, rules.given.join("\n") + "\n").map_err(|error| error.to_string())?;
    Ok((rules, list))
}

/// Ours with so many workers, over a place.
fn ours<'a>(workers: &'a str, rules: &'a Rules, place: &'a Path) -> Result<Side<'a>, String> {
    let rules = text(&rules.path)?;
    Side::ours(&["scan", "-uu", "-j", workers, "--rules", rules, text(place)?])
}

pub fn beside_rg(setting: &Setting) -> Result<Vec<Row>, String> {
    let (rules, list) = regexes(setting)?;
    let mut rows = Vec::new();
    for Searched { place, name } in searched(setting)? {
        let mut ours = ours("2", &rules, &place)?;
        let mut rg = vec![
            "--no-config",
            "-uu",
            "-a",
            "-c",
            "-j",
            "2",
            "-f",
            text(&list)?,
        ];
        // With less it takes many minutes.
        rg.extend([
            "--regex-size-limit",
            "1G",
            "--dfa-size-limit",
            "1G",
            text(&place)?,
        ]);
        let mut rg = Side::rg(&rg)?.once();
        in_turn(&mut [&mut ours, &mut rg], setting.runs)?;
        let name = format!("rules-files, {}, {name}", rules.name());
        rows.push(row(&name, &ours, &rg, Goal::AtLeast(50.0)));
    }
    Ok(rows)
}

pub fn beside_yara(setting: &Setting) -> Result<Vec<Row>, String> {
    let python = "../target/peers/yara/bin/python";
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(python);
    if !python.exists() {
        return Err("YARA-X is not there; `scripts/test peers` installs it".into());
    }
    let (rules, list) = regexes(setting)?;
    let taken = setting.data.join("regexes.yar");
    let (list, taken) = (text(&list)?, text(&taken)?);
    let script = ["-c", include_str!("yara.py")];
    let take = [&script[..], &["take", list, taken]].concat();
    let count = Side::new("", python.clone(), &take).run(true)?.1;
    let count = String::from_utf8_lossy(&count).trim().to_owned();
    let mut rows = Vec::new();
    for Searched { place, name } in searched(setting)? {
        let mut ours = ours("1", &rules, &place)?;
        let scan = [&script[..], &["scan", taken, text(&place)?]].concat();
        let mut yara = Side::new("yara-x ", python.clone(), &scan);
        in_turn(&mut [&mut ours, &mut yara], setting.runs)?;
        let name = format!(
            "rules-yara, {}, of which YARA-X takes {count}, one thread, {name}",
            rules.name()
        );
        rows.push(row(&name, &ours, &yara, Goal::None));
    }
    Ok(rows)
}
