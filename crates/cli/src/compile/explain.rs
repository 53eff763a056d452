//! How a set searches for what, and what it is expected to cost.

use crate::report::{bytes, line};
use gristmill::jobs::names;
use gristmill::jobs::sweep::{RegexPlan, SweepSet};
use serde_json::json;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The regexes, those that are expected to cost most first: their numbers, names and ways.
fn by_cost(set: &SweepSet) -> Vec<(u32, &[u8], RegexPlan<'_>)> {
    let patterns = set.patterns();
    let mut all: Vec<_> = (0..)
        .zip(patterns.regexes().explain())
        .map(|(index, plan)| {
            let number = patterns.regex_number(index);
            (number, patterns.name(number), plan)
        })
        .collect();
    all.sort_by(|one, other| other.2.cycles().total_cmp(&one.2.cycles()));
    all
}

/// The number of regexes that are patterns or rules; those behind them are keywords of rules.
fn own_regexes(set: &SweepSet) -> usize {
    match set.rules() {
        Some(rules) => rules
            .rules()
            .iter()
            .filter(|rule| rule.pattern().is_some())
            .count(),
        None => set.patterns().regexes().len(),
    }
}

fn size(amount: usize) -> String {
    #[allow(clippy::cast_precision_loss)] // It is shown with three digits.
    let amount = amount as f64;
    bytes(amount)
}

/// As a person reads it.
pub fn text(set: &SweepSet) -> String {
    let patterns = set.patterns();
    let regexes = patterns.regexes();
    let own = own_regexes(set);
    let kinds = [
        (set.rules().map_or(0, |rules| rules.rules().len()), "rules"),
        (
            patterns.strings().map_or(0, |strings| strings.len()),
            "strings",
        ),
        (own, "regexes"),
        (regexes.len() - own, "keywords"),
    ];
    let kinds = kinds.iter().filter(|(count, _)| *count > 0);
    let kinds: Vec<String> = kinds
        .map(|(count, name)| format!("{count} {name}"))
        .collect();
    let mut text = line(
        "set",
        &format!(
            "{} in {} of memory",
            kinds.join(", "),
            size(patterns.memory())
        ),
    );
    let strings = patterns.strings().map(|strings| ("strings", strings));
    for (name, literals) in strings
        .into_iter()
        .chain(regexes.literals().map(|one| ("literals", one)))
    {
        let case = if literals.folds() {
            ", case-insensitive"
        } else {
            ""
        };
        text += &line(
            name,
            &format!(
                "{}{case}: {:.1} cycles a byte",
                literals.len(),
                literals.cycles()
            ),
        );
        if let Some(rare) = literals.rare_bytes() {
            text += &line("", &format!("{rare}, {} of tables", size(rare.bytes)));
        }
        for class in literals.classes() {
            text += &line("", &format!("{class}, {} of tables", size(class.bytes)));
        }
    }
    if regexes.is_empty() {
        return text;
    }
    text += &line(
        "regexes",
        "estimated cycles a byte, in addition to the search for runs and literals; name; search method",
    );
    let all = by_cost(set);
    for (_, name, plan) in &all {
        text += &line(
            "",
            &format!(
                "{:8.4}  {}: {plan}",
                plan.cycles(),
                String::from_utf8_lossy(name).escape_debug()
            ),
        );
    }
    let alone = all.iter().filter(|(_, _, plan)| plan.is_alone()).count();
    if alone > 0 {
        text += &line(
            "hint",
            &format!(
                "{alone} of them read every byte in a search of their own: a few rare characters that every match contains would \
                 avoid that, preferably at the beginning"
            ),
        );
    }
    let texts = patterns.regex_texts().iter().take(own);
    let dotted = texts.filter(|text| is_dotted(text)).count();
    if dotted > 0 {
        text += &line(
            "hint",
            &format!(
                "{dotted} of them are regexes only because of their dots, which match any character: -F makes them strings, \
                 which are found faster"
            ),
        );
    }
    text
}

/// Whether a regex would be a plain string but for dots, as names of hosts are.
fn is_dotted(regex: &str) -> bool {
    regex.contains('.') && !regex.contains(|c| r"\^$*+?()[]{}|".contains(c))
}

/// As JSON Lines.
pub fn json(set: &SweepSet) -> String {
    let patterns = set.patterns();
    let regexes = patterns.regexes();
    let mut records = vec![json!({"type": "set", "data": {
        "patterns": patterns.len(),
        "rules": set.rules().map(|rules| rules.rules().len()),
        "memory": patterns.memory(),
    }})];
    let strings = patterns.strings().map(|strings| ("strings", strings));
    for (kind, literals) in strings
        .into_iter()
        .chain(regexes.literals().map(|one| ("literals", one)))
    {
        let classes = literals.classes().map(|class| {
            json!({
                "patterns": class.patterns,
                "bytes_compared": class.gram,
                "stride": class.stride,
                "packed": class.packed,
                "memory": class.bytes,
            })
        });
        records.push(json!({"type": kind, "data": {
            "patterns": literals.len(),
            "either_case": literals.folds(),
            "cycles": literals.cycles(),
            "rare_bytes": literals.rare_bytes().map(|rare| json!({
                "patterns": rare.patterns,
                "unit": rare.unit,
                "cycles": rare.cycles,
                "memory": rare.bytes,
            })),
            "classes": classes.collect::<Vec<_>>(),
        }}));
    }
    for (number, name, plan) in by_cost(set) {
        let literals = plan.literals().map(|literals| {
            let shown = literals
                .iter()
                .map(|literal| literal.escape_ascii().to_string());
            shown.collect::<Vec<_>>()
        });
        records.push(json!({"type": "regex", "data": {
            "index": number,
            "name": names::json(Path::new(OsStr::from_bytes(name))),
            "cycles": plan.cycles(),
            "literals": literals,
            "either_case": plan.either_case(),
            "how": plan.to_string(),
        }}));
    }
    let lines = records.iter().map(|record| format!("{record}\n"));
    lines.collect()
}
