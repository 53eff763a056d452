//! Compiled sets, loaded from a file in the page cache: a million strings, and the rules of a rule file. Beside them stands
//! how long it takes to read the file alone.

use crate::rules::{name_of, rule_file};
use crate::sets::{strings, Kind};
use crate::{median, Goal, Row, Setting};
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{PatternSet, SweepJob, SweepSet};
use gristmill::rules::RuleSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

/// The most memory that a set may take.
const MEMORY: usize = 1 << 30;

/// The time that something takes, in milliseconds.
fn millis<T, E: std::fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<f64, String> {
    let began = Instant::now();
    let made = work().map_err(|error| error.to_string())?;
    let millis = began.elapsed().as_secs_f64() * 1e3;
    drop(made);
    Ok(millis)
}

/// The time to load a set, which should be at most `goal` milliseconds.
fn one_set(setting: &Setting, name: &str, set: &[u8], goal: f64) -> Result<Row, String> {
    let path = setting.data.join(format!("set-{}", std::process::id()));
    std::fs::write(&path, set).map_err(|error| format!("{}: {error}", path.display()))?;
    let (mut loaded, mut read) = (Vec::new(), Vec::new());
    for run in 0..=setting.runs {
        let load = millis(|| SweepSet::read(&path, MEMORY))?;
        let alone = millis(|| std::fs::read(&path))?;
        if run > 0 {
            loaded.push(load);
            read.push(alone);
        }
    }
    std::fs::remove_file(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let figure = median(loaded);
    let megabytes = set.len() as f64 / 1e6;
    Ok(Row {
        name: format!("loading {name}, {megabytes:.1} MB"),
        ours: format!("{figure:.1} ms"),
        peer: format!("reading the file alone {:.1} ms", median(read)),
        figure,
        goal: Goal::AtMost(goal),
    })
}

fn patterns(kind: Kind, count: usize) -> Result<Vec<u8>, String> {
    let strings = strings(kind, count, &[]).into_iter();
    let set = strings.fold(PatternSet::builder(), |set, one| {
        set.string(one.clone(), one)
    });
    let set = set.build().map_err(|error| error.to_string())?;
    Ok(set.save(None))
}

/// The set of the rules in a file, with what it is in words.
fn rules(path: &Path) -> Result<(String, Vec<u8>), String> {
    let mut rules = RuleSet::default();
    rules.read(path).map_err(|error| error.to_string())?;
    let name = format!("{} rules of {}", rules.rules().len(), name_of(path));
    let findings = Arc::new(Findings::new(Arc::new(rules)));
    let set = SweepJob::builder().findings(findings).compile();
    Ok((name, set.map_err(|error| error.to_string())?.save()))
}

/// Strings of two kinds, and rules.
pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let count = if setting.smoke { 1_000 } else { 1_000_000 };
    let mut rows = Vec::new();
    for kind in [Kind::Random, Kind::Indicators] {
        let name = format!("{kind}, {count}");
        rows.push(one_set(setting, &name, &patterns(kind, count)?, 50.0)?);
    }
    let (name, set) = rules(&rule_file())?;
    rows.push(one_set(setting, &name, &set, 10.0)?);
    Ok(rows)
}
