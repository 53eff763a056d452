//! Times a list of regexes over a file, on one core.
//!
//! ```console
//! $ cargo run --release -p gristmill-patterns --example rules -- REGEXES FILE
//! ```
//!
//! `REGEXES` has one regex in each line, or is a TOML file with `[[rules]]`, each with a `regex`; what is no regex there
//! is left out. With `--explain` it shows how each is found.

use gristmill_patterns::RegexSet;
use std::error::Error;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let explain = arguments.iter().any(|argument| argument == "--explain");
    arguments.retain(|argument| argument != "--explain");
    let [rules, file] = &arguments[..] else {
        return Err("usage: rules [--explain] REGEXES FILE".into());
    };
    let list = std::fs::read_to_string(rules)?;
    let table = toml::de::DeTable::parse(&list).ok();
    let rules = table
        .as_ref()
        .and_then(|table| table.get_ref().get("rules")?.get_ref().as_array());
    let mut patterns: Vec<String> = match rules {
        Some(rules) => rules
            .iter()
            .filter_map(|rule| Some(rule.get_ref().get("regex")?.get_ref().as_str()?.to_owned()))
            .collect(),
        None => list.lines().map(str::to_owned).collect(),
    };
    patterns.retain(|pattern| match RegexSet::new(&[pattern]) {
        Ok(_) => true,
        Err(error) => {
            eprintln!("left out: {error}");
            false
        }
    });
    let text = std::fs::read(file)?;

    let start = Instant::now();
    let set = RegexSet::new(&patterns)?;
    println!("{} regexes, built in {:.3?}", set.len(), start.elapsed());
    if explain {
        for (number, plan) in set.explain().enumerate() {
            println!("{number}: {plan}");
        }
    }
    let alone = set
        .explain()
        .filter(|plan| plan.literals().is_none())
        .count();
    println!("{alone} of them searched alone over the whole text");
    let mut cache = set.cache();
    for _ in 0..3 {
        let mut matches = 0_u64;
        let start = Instant::now();
        set.find(&mut cache, &text, |_, _, _| matches += 1);
        let seconds = start.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // A file's bytes.
        let rate = text.len() as f64 / seconds / 1e9;
        println!("{matches} matches in {seconds:.3} s: {rate:.3} GB/s");
    }
    Ok(())
}
