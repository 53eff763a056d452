//! The rule file that gitleaks ships, rule by rule: what is planted, made from each regex, is found, and the answer is
//! that of gitleaks where its program is at hand.
//!
//! The file is `GRISTMILL_GITLEAKS_RULES`, or `gitleaks.toml` in the data beside this repository. The program is
//! `GRISTMILL_GITLEAKS`; nothing installs it.

use gristmill_rules::{Matched, RuleSet};
use gristmill_testing::planted;
use gristmill_testing::seed;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

/// Findings as rule, match and secret.
type Findings = BTreeSet<(String, Vec<u8>, Vec<u8>)>;

/// What the rules find in a file, by regexes tried one after the other.
fn found(rules: &RuleSet, compiled: &[Option<regex::bytes::Regex>], text: &[u8]) -> Findings {
    let path = rules.at_path(b"corpus.txt");
    let mut findings = Findings::new();
    let lower = text.to_ascii_lowercase();
    for (number, (rule, regex)) in rules.rules().iter().zip(compiled).enumerate() {
        let Some(regex) = regex else { continue };
        for found in regex.find_iter(text) {
            let begin = memchr::memrchr(b'\n', &text[..found.start()]).map_or(0, |at| at + 1);
            let rest = memchr::memchr(b'\n', &text[found.end()..]);
            let end = rest.map_or(text.len(), |rest| found.end() + rest);
            let matched = Matched {
                rule: u32::try_from(number).unwrap(),
                text: found.as_bytes(),
                line: &text[begin..end],
            };
            let Some(finding) = rules.judge(&path, &matched) else {
                continue;
            };
            let mut keywords = rule.keywords_of_file().iter();
            if finding.needs_keyword
                && !keywords.any(|word| memchr::memmem::find(&lower, word.as_bytes()).is_some())
            {
                continue;
            }
            findings.insert((
                rule.id().to_owned(),
                found.as_bytes()[finding.matched].to_vec(),
                found.as_bytes()[finding.secret].to_vec(),
            ));
        }
    }
    findings
}

#[test]
fn what_is_planted_for_each_rule_is_found() {
    let Some(path) = planted::rule_file() else {
        return;
    };
    let mut rules = RuleSet::default();
    rules.read(&path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(rules.rules().len(), 222);
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let compiled: Vec<Option<regex::bytes::Regex>> = rules
        .rules()
        .iter()
        .map(|rule| {
            let mut builder = regex::bytes::RegexBuilder::new(rule.pattern()?);
            Some(builder.size_limit(64 << 20).build().unwrap())
        })
        .collect();
    let folder = std::env::temp_dir().join(format!("gristmill-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let program = planted::gitleaks();
    let mut without = Vec::new();
    for (rule, regex) in rules.rules().iter().zip(&compiled) {
        let Some(pattern) = rule.pattern() else {
            continue;
        };
        let text = planted::lines(pattern, 24, &mut random);
        let findings = found(&rules, &compiled, &text);
        if regex.as_ref().is_some_and(|regex| regex.is_match(&text))
            && !findings.iter().any(|(id, ..)| id == rule.id())
        {
            without.push(rule.id());
        }
        if let Some(program) = &program {
            compare(program, &path, &folder, rule.id(), &text, &findings);
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
    // Rules with a path or a keyword outside of the match, and a few whose texts happened to be allowed.
    assert!(without.len() < 30, "nothing is found by {without:?}");
}

/// Compares findings with those of gitleaks.
fn compare(
    program: &OsString,
    rules: &Path,
    folder: &Path,
    id: &str,
    text: &[u8],
    ours: &Findings,
) {
    std::fs::write(folder.join("corpus.txt"), text).unwrap();
    let report = planted::gitleaks_report(program, rules, folder);
    let report: serde_json::Value = serde_json::from_slice(&report).unwrap();
    let field = |finding: &serde_json::Value, name: &str| {
        finding[name].as_str().unwrap_or_default().to_owned()
    };
    let theirs: Findings = report
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            (
                field(finding, "RuleID"),
                field(finding, "Match").into_bytes(),
                field(finding, "Secret").into_bytes(),
            )
        })
        .collect();
    let show = |(id, matched, secret): &(String, Vec<u8>, Vec<u8>)| {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        format!("{id}: {:?} {:?}", text(matched), text(secret))
    };
    // gitleaks drops a generic finding where another rule found the same on that line.
    let generic = |finding: &&(String, Vec<u8>, Vec<u8>)| !finding.0.contains("generic");
    let only = |these: &Findings, those: &Findings| -> Vec<String> {
        let difference = these.difference(those);
        difference.filter(generic).map(show).collect()
    };
    let (only_ours, only_theirs) = (only(ours, &theirs), only(&theirs, ours));
    assert!(
        only_ours.is_empty() && only_theirs.is_empty(),
        "in the corpus of {id}\nonly here: {only_ours:#?}\nonly gitleaks: {only_theirs:#?}"
    );
}
