//! Rule files, and what is a finding by them.
//!
//! - [`RuleSet`] reads rule files: gitleaks' TOML, and lists of named patterns. What a file holds that cannot be honoured
//!   is a [`RuleError`], which says where it stands.
//! - [`RuleSet::judge`] says whether a match of a rule's regex is a finding, and which part of it is the secret.
//! - [`RuleSet::save`] and [`RuleSet::load`] keep rules in a set that was compiled before.
//! - [`go`] puts regexes of Go's syntax into Rust's.
//!
//! This crate searches nothing by itself and reads nothing but rule files. Whoever searches takes each rule's
//! [pattern](Rule::pattern), asks [`RuleSet::at_path`] about each file and [`RuleSet::judge`] about each match. What
//! depends on more than one match is left to the caller: a rule with [`Rule::keywords_of_file`] finds something only in
//! files in which one of them stands.
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
