//! Rules in a stored set: they judge as those of the file do, and bytes that are none are refused.

use gristmill_patterns::saved::{FieldReader, FieldWriter, SetError};
use gristmill_rules::{Matched, RuleSet};
use gristmill_testing::{planted, seed};
use std::path::Path;

/// Rules with each key that a rule file has.
const EVERY_KEY: &str = r#"
title = "all"
[[rules]]
id = "key"
description = "A key"
regex = '''(?i)key=(x?)([0-9a-f]{8})\b'''
secretGroup = 2
entropy = 1.5
keywords = ["key", "Other"]
path = '''\.(txt|cfg)$'''
tags = ["a", "b"]
[[rules.allowlists]]
condition = "AND"
regexes = ['''^0''', '''^1''']
stopwords = ["Test", "demo"]
[[rules.allowlists]]
regexTarget = "line"
regexes = ['''allowed''']
commits = ["0123"]
[[rules]]
id = "store"
path = '''\.p12$'''
[[rules]]
id = "token"
regex = '''tok_[a-z]{4}'''
[[allowlists]]
paths = ['''^docs/''']
[[allowlists]]
targetRules = ["token"]
regexTarget = "match"
regexes = ['''tok_good''']
"#;

fn every_key() -> RuleSet {
    let mut rules = RuleSet::default();
    let add = |rules: &mut RuleSet, name: &str, text: &[u8]| rules.add(Path::new(name), text);
    add(&mut rules, "all.toml", EVERY_KEY.as_bytes()).unwrap();
    add(&mut rules, "list", "word\tWo+rd\nword\t\\d{5}\n".as_bytes()).unwrap();
    rules.add_pattern("given", "given[0-9]").unwrap();
    rules
}

fn save(rules: &RuleSet) -> Vec<u8> {
    let mut fields = FieldWriter::new();
    rules.save(&mut fields);
    fields.finish()
}

fn load(bytes: &[u8]) -> Result<RuleSet, SetError> {
    let mut fields = FieldReader::new(bytes, "attached", 0);
    let rules = RuleSet::load(&mut fields)?;
    fields.end().map(|()| rules)
}

/// What rules make of texts, in files of some paths: each match of a rule's regex is judged.
fn judged(rules: &RuleSet, texts: &[Vec<u8>]) -> String {
    let mut all = String::new();
    for path in [
        "a.txt",
        "src/a.cfg",
        "docs/a.txt",
        "b.p12",
        "go.mod",
        "x/config.toml",
    ] {
        let at_path = rules.at_path(path.as_bytes());
        all += &format!("{path}: {:?} {}\n", at_path.found(), at_path.allows_all());
        for (number, rule) in (0..).zip(rules.rules()) {
            let about = (rule.id(), rule.description(), rule.tags(), rule.line());
            all += &format!("{about:?} {:?}\n", rule.keywords_of_file());
            let Some(pattern) = rule.pattern() else {
                continue;
            };
            let mut regex = regex::bytes::RegexBuilder::new(pattern);
            let regex = regex.size_limit(64 << 20).build().unwrap();
            for text in texts {
                for found in regex.find_iter(text) {
                    let matched = Matched {
                        rule: number,
                        text: found.as_bytes(),
                        line: text,
                    };
                    all += &format!("{:?}\n", rules.judge(&at_path, &matched));
                }
            }
        }
    }
    all
}

#[test]
fn rules_that_were_stored_judge_as_those_of_the_file() {
    let rules = every_key();
    let stored = save(&rules);
    let loaded = load(&stored).unwrap();
    assert_eq!(save(&loaded), stored);
    let texts = [
        "key=012345ab",
        "key=112345ab allowed",
        "key=xdeadbeef",
        "KEY=x00000000",
        "key=0demo234 key=0123abcd",
        "tok_good tok_evil",
        "Wooord 12345 given7",
        "other",
    ];
    let texts = texts.map(|text| text.as_bytes().to_vec());
    let expected = judged(&rules, &texts);
    assert!(
        expected.contains("Some(Finding") && expected.contains("None"),
        "{expected}"
    );
    assert_eq!(judged(&loaded, &texts), expected);
}

#[test]
fn the_rules_that_gitleaks_ships_can_be_stored() {
    let Some(path) = planted::rule_file() else {
        return;
    };
    let mut rules = RuleSet::default();
    rules.read(&path).unwrap_or_else(|error| panic!("{error}"));
    let stored = save(&rules);
    let loaded = load(&stored).unwrap();
    assert_eq!(save(&loaded), stored);
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_RULES_SEED"));
    let with_regex = rules.rules().iter().filter_map(|rule| rule.pattern());
    let texts: Vec<Vec<u8>> = with_regex
        .step_by(7)
        .map(|pattern| planted::lines(pattern, 6, &mut random))
        .collect();
    assert!(judged(&loaded, &texts) == judged(&rules, &texts));
}

#[test]
fn bytes_that_are_no_rules_are_refused_and_do_no_harm() {
    let stored = save(&every_key());
    for len in 0..stored.len() {
        assert!(load(&stored[..len]).is_err(), "{len}");
    }
    let (mut changed, mut loaded) = (stored.clone(), 0);
    for at in 0..stored.len() {
        for change in [1, 2, 0x80, 0xFF] {
            changed[at] ^= change;
            if let Ok(rules) = load(&changed) {
                assert!(save(&rules) == changed, "rules have one form");
                let path = rules.at_path(b"a.txt");
                for number in (0..).take(rules.rules().len()) {
                    let text = b"KEY=x00112233 tok_evil Word 12345";
                    let matched = Matched {
                        rule: number,
                        text,
                        line: text,
                    };
                    let _ = rules.judge(&path, &matched);
                }
                loaded += 1;
            }
            changed[at] ^= change;
        }
    }
    assert!(loaded > 0);
    for (bytes, told) in [
        (
            &[1, 0, 0, 0][..],
            "section attached, byte 0: no room for 1 elements",
        ),
        (
            &[0, 0, 0, 0, 2],
            "section attached, byte 4: 2 is neither 0 nor 1",
        ),
        (
            &[0, 0, 0, 0, 1, 0, 0, 0, 0],
            "section attached, byte 5: a file that is not there",
        ),
    ] {
        let refused = load(bytes).unwrap_err().to_string();
        assert!(refused.starts_with(told), "{refused}");
    }
}
