//! The rules of several files.

use crate::allowlist::Allowlist;
use crate::engine::Regexes;
use crate::error::RuleError;
use crate::gitleaks;
use crate::go::{self, SyntaxError};
use crate::list;
use crate::rule::Rule;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest rule file, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// Rules, from any number of files. A rule's number is its place in [`RuleSet::rules`].
///
/// The allowlists that a TOML file has for all rules hold for the rules of that file.
#[derive(Debug, Default)]
pub struct RuleSet {
    pub(crate) rules: Vec<Rule>,
    pub(crate) files: Vec<RuleFile>,
    /// The rules for which the path of a file matters.
    pub(crate) by_path: Vec<u32>,
    /// The place in `files` of what stands in no file.
    pub(crate) no_file: Option<u32>,
}

/// A rule file.
#[derive(Debug)]
pub(crate) struct RuleFile {
    pub path: PathBuf,
    pub allowlists: Vec<Allowlist>,
}

/// What rules say of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRules {
    pub(crate) path: Vec<u8>,
    /// For each rule file, whether it allows all that a file of this path holds.
    allowed: Vec<bool>,
    /// Rules that do not apply, in order.
    excluded: Vec<u32>,
    /// Rules about paths alone that this path matches, in order.
    found: Vec<u32>,
}

impl PathRules {
    /// The rules that find the path itself: what the file holds does not matter.
    #[must_use]
    pub fn found(&self) -> &[u32] {
        &self.found
    }

    /// Whether no rule at all applies, so that the file need not be read.
    #[must_use]
    pub fn allows_all(&self) -> bool {
        self.allowed.iter().all(|allowed| *allowed)
    }

    /// Whether the rule with number `rule` looks into a file of this path.
    pub(crate) fn applies(&self, rule: u32, file: u32) -> bool {
        !self.allowed[file as usize] && self.excluded.binary_search(&rule).is_err()
    }
}

impl RuleSet {
    /// Reads a rule file and adds its rules.
    ///
    /// # Errors
    /// A [`RuleError`] if the file cannot be read, has more than 256 MiB, or is wrong: see [`RuleSet::add`].
    pub fn read(&mut self, path: &Path) -> Result<(), RuleError> {
        let mut bytes = Vec::new();
        let file = File::open(path);
        file.and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
            .map_err(|error| RuleError::file(path, error.to_string()))?;
        self.add(path, &bytes)
    }

    /// Adds the rules of a file that holds `bytes`: gitleaks' TOML if the name ends with `.toml`, and else a list, each
    /// line of which is a name, a tab and a regex of Rust's syntax.
    ///
    /// Lines of a list end with LF or CR LF; empty lines, and those that begin with `#`, are passed over. Names of a list
    /// may repeat, a TOML file's ids may not.
    ///
    /// # Errors
    /// A [`RuleError`] with line, column and reason for whatever is wrong or cannot be honoured. Then nothing is added.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), RuleError> {
        if bytes.len() as u64 > MAX_BYTES {
            let reason = format!("more than {MAX_BYTES} bytes; give several smaller rule files");
            return Err(RuleError::file(path, reason));
        }
        let too_many = |_| RuleError::file(path, "more rules than 32-bit numbers can name");
        let file = u32::try_from(self.files.len()).map_err(too_many)?;
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
        let (rules, allowlists) = if is_toml {
            let read = gitleaks::read(path, bytes, file)?;
            for rule in &read.rules {
                if let Some(other) = self.same_id(rule) {
                    let reason = format!("{} has a rule `{}`, too", other.display(), rule.id());
                    return Err(RuleError::at_line(path, bytes, rule.line as usize, reason));
                }
            }
            (read.rules, read.allowlists)
        } else {
            (list::read(path, bytes, file)?, Vec::new())
        };
        let first = u32::try_from(self.rules.len()).map_err(too_many)?;
        u32::try_from(self.rules.len() + rules.len()).map_err(too_many)?;
        let by_path = rules
            .iter()
            .zip(first..)
            .filter(|(rule, _)| rule.asks_for_path());
        self.by_path.extend(by_path.map(|(_, number)| number));
        self.rules.extend(rules);
        self.files.push(RuleFile {
            path: path.to_owned(),
            allowlists,
        });
        Ok(())
    }

    /// Adds a rule that stands in no file: an id, which may repeat, and a regex of Rust's syntax.
    ///
    /// # Errors
    /// What is wrong with the regex, and where.
    pub fn add_pattern(&mut self, id: &str, pattern: &str) -> Result<(), SyntaxError> {
        go::check(pattern)?;
        let too_many = |_| SyntaxError {
            offset: 0,
            reason: "more rules than 32-bit numbers can name".into(),
        };
        u32::try_from(self.rules.len() + 1).map_err(too_many)?;
        let file = match self.no_file {
            Some(file) => file,
            None => u32::try_from(self.files.len()).map_err(too_many)?,
        };
        if self.no_file.is_none() {
            self.no_file = Some(file);
            self.files.push(RuleFile {
                path: PathBuf::new(),
                allowlists: Vec::new(),
            });
        }
        self.rules.push(Rule {
            id: id.into(),
            pattern: Some(pattern.into()),
            file,
            line: 0,
            details: None,
        });
        Ok(())
    }

    /// The file of a rule from TOML that has the id of `rule`.
    fn same_id(&self, rule: &Rule) -> Option<&Path> {
        let mut others = self.rules.iter().filter(|other| other.details.is_some());
        let other = others.find(|other| other.id == rule.id)?;
        Some(&self.files[other.file as usize].path)
    }

    /// All rules, in the order in which they were added.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What the rules say of a file by its path, as it is shown to the user: relative paths stay relative.
    #[must_use]
    pub fn at_path(&self, path: &[u8]) -> PathRules {
        let allows = |lists: &[Allowlist]| lists.iter().any(|list| list.allows_path(path));
        let allowed: Vec<bool> = self
            .files
            .iter()
            .map(|file| allows(&file.allowlists))
            .collect();
        let mut excluded = Vec::new();
        let mut found = Vec::new();
        for &number in &self.by_path {
            let rule = &self.rules[number as usize];
            let Some(details) = &rule.details else {
                continue;
            };
            let elsewhere = |regex: &Regexes| !regex.is_match(path);
            if details.path.as_ref().is_some_and(elsewhere) || allows(&details.allowlists) {
                excluded.push(number);
            } else if rule.pattern.is_none() && !allowed[rule.file as usize] {
                found.push(number);
            }
        }
        PathRules {
            path: path.to_vec(),
            allowed,
            excluded,
            found,
        }
    }
}
