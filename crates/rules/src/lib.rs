//! Rule files, and which matches of their rules are findings.
//!
//! - [`RuleSet`] reads rule files: gitleaks' TOML, and lists of named patterns. Anything in a file that is not
//!   supported is a [`RuleError`] with its position.
//! - [`RuleSet::judge`] decides whether a match of a rule's regex is a finding, and which part of it is the secret.
//! - [`RuleSet::save`] and [`RuleSet::load`] store rules in a compiled set and load them.
//! - [`go`] translates regexes from Go's syntax to Rust's.
//!
//! This crate does not search, and reads only rule files. The caller searches for each rule's [pattern](Rule::pattern),
//! and calls [`RuleSet::at_path`] for each file and [`RuleSet::judge`] for each match. Conditions on more than one
//! match are left to the caller: a rule with [`Rule::keywords_of_file`] has findings only in files that contain one of
//! these keywords.
//!
//! ```
//! use gristmill_rules::{Matched, RuleSet};
//! use std::path::Path;
//!
//! let file = br#"
//! [[rules]]
//! id = "ticket"
//! regex = '''ticket=([0-9a-f]{8})\b'''
//! keywords = ["ticket"]
//! entropy = 2
//! "#;
//! let mut rules = RuleSet::default();
//! rules.add(Path::new("rules.toml"), file)?;
//! let path = rules.at_path(b"src/main.rs");
//! let matched = |text| Matched { rule: 0, text, line: text };
//! let finding = rules.judge(&path, &matched(b"ticket=0badc0de")).unwrap();
//! assert_eq!(finding.secret, 7..15);
//! // Its entropy is too low.
//! assert_eq!(rules.judge(&path, &matched(b"ticket=00000000")), None);
//! # Ok::<(), gristmill_rules::RuleError>(())
//! ```

#![forbid(unsafe_code)]

mod allowlist;
mod engine;
mod error;
mod gitleaks;
pub mod go;
mod judge;
mod keywords;
mod list;
mod literal;
mod rule;
mod set;
mod stored;

pub use error::RuleError;
pub use judge::{Finding, Matched};
pub use literal::literal;
pub use rule::Rule;
pub use set::{PathRules, RuleSet};
