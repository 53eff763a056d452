//! Programs that must not run: malformed, unsafe and hostile ones. Each is refused for the rule that it breaks. For
//! each limit there is also a program that only just keeps to it and is accepted, so a verifier that refuses everything
//! does not pass.
//!
//! Nothing here is run: the interpreters accept only programs that [`verify`] returned.

mod blocks;
mod build;
mod containers;
mod contents;
mod costs;
mod damage;
mod declarations;
mod instructions;
mod mutations;

use build::Corpus;
use gristmill_vir0::{decode, encode, verify, Debug, Limits, Program, Refusal, Rule};
use std::collections::{BTreeMap, HashSet};

/// Hand-written programs that each break a rule.
fn written() -> Corpus {
    let mut corpus = Corpus::default();
    declarations::add(&mut corpus);
    instructions::add(&mut corpus);
    blocks::add(&mut corpus);
    costs::add(&mut corpus);
    corpus
}

/// Accepted programs with changes.
fn mutated() -> Corpus {
    let mut corpus = Corpus::default();
    mutations::add(&mut corpus);
    corpus
}

fn refusal(what: &str, program: &Program, limits: &Limits) -> Refusal {
    match verify(program.clone(), limits) {
        Ok(_) => panic!("accepted: {what}\n{program:?}"),
        Err(refusal) => refusal,
    }
}

/// Checks that every program is refused or accepted as expected, also after decoding it from its container, and that
/// the refusal names the line where lines are known.
fn check(corpus: &Corpus) {
    for (what, program, limits) in &corpus.good {
        if let Err(refusal) = verify(program.clone(), limits) {
            panic!("refused: {what}: {refusal}");
        }
        let bytes = encode(program).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(
            &decode(&bytes).expect("what was encoded"),
            program,
            "{what}"
        );
    }
    for bad in &corpus.bad {
        let what = &bad.what;
        let found = refusal(what, &bad.program, &bad.limits);
        assert_eq!(
            (found.rule, found.instruction),
            (bad.rule, bad.at),
            "{what}: {found}"
        );
        assert_eq!(found.line, None, "{what}");
        assert!(
            found.to_string().contains(bad.rule.demand()),
            "{what}: {found}"
        );

        let mut lined = bad.program.clone();
        lined.debug = Some(Debug {
            source: "hostile.vasm".into(),
            lines: (0..lined.code.len() as u32)
                .map(|index| 3 * index + 10)
                .collect(),
        });
        let found = refusal(what, &lined, &bad.limits);
        assert_eq!(
            (found.rule, found.instruction),
            (bad.rule, bad.at),
            "{what}: {found}"
        );
        assert_eq!(
            found.line,
            bad.at.map(|index| 3 * index as u32 + 10),
            "{what}"
        );

        // Some of these programs cannot be encoded. For the others, decoding their container must not change the
        // result.
        if let Ok(bytes) = encode(&bad.program) {
            let decoded = decode(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = refusal(what, &decoded, &bad.limits);
            assert_eq!(
                (found.rule, found.instruction),
                (bad.rule, bad.at),
                "{what}: {found}"
            );
        }
    }
}

/// The number of different programs. A program counts again if its limits are different.
fn distinct(corpus: &Corpus) -> usize {
    let mut seen = HashSet::new();
    for bad in &corpus.bad {
        seen.insert(format!("{:?} {:?}", bad.program, bad.limits));
    }
    seen.len()
}

fn by_rule(corpus: &Corpus) -> BTreeMap<Rule, usize> {
    let mut counts: BTreeMap<Rule, usize> = Rule::ALL.iter().map(|rule| (*rule, 0)).collect();
    for bad in &corpus.bad {
        *counts.entry(bad.rule).or_default() += 1;
    }
    counts
}

#[test]
fn programs_written_to_break_a_rule_are_refused_for_it() {
    let corpus = written();
    check(&corpus);
    let (distinct, counts) = (distinct(&corpus), by_rule(&corpus));
    println!(
        "written: {distinct} refused, {} accepted; {counts:?}",
        corpus.good.len()
    );
    assert_eq!(distinct, corpus.bad.len(), "each is another program");
    for (rule, count) in &counts {
        assert!(*count >= 3, "{rule:?} is broken by {count} programs");
    }
    // The fields of the opcodes account for many programs, so the other rules alone must reach the required number.
    assert!(distinct - counts[&Rule::Fields] >= 300, "{distinct}");
}

#[test]
fn programs_changed_to_break_a_rule_are_refused_for_it() {
    let corpus = mutated();
    check(&corpus);
    let (distinct, counts) = (distinct(&corpus), by_rule(&corpus));
    println!("mutated: {distinct} refused; {counts:?}");
    assert!(distinct >= 1000, "{distinct}");
}

#[test]
fn every_rule_is_in_the_list_of_rules_once() {
    // The corpus covers `Rule::ALL`. If a rule other than the last were missing there, the numbers would have a gap.
    let numbers: Vec<usize> = Rule::ALL.iter().map(|rule| *rule as usize).collect();
    assert_eq!(numbers, (0..Rule::ALL.len()).collect::<Vec<_>>());
    let demands: HashSet<&str> = Rule::ALL.iter().map(|rule| rule.demand()).collect();
    assert_eq!(demands.len(), Rule::ALL.len());
}
