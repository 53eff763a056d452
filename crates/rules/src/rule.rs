//! Rules, as they are when their file has been read.

use crate::allowlist::Allowlist;
use crate::engine::Regexes;
use crate::keywords::{implied, Words};
use regex_syntax::hir::Hir;

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    pub(crate) id: Box<str>,
    /// The regex, in Rust's syntax. A rule without one is about paths alone.
    pub(crate) pattern: Option<Box<str>>,
    /// The number of the rule's file.
    pub(crate) file: u32,
    /// The line at which the rule begins, from 1; 0 if it stands in no file.
    pub(crate) line: u32,
    /// What only rules of TOML files have.
    pub(crate) details: Option<Box<Details>>,
}

/// What a rule says beyond its regex.
#[derive(Debug, Clone, Default)]
pub(crate) struct Details {
    pub description: String,
    /// Finds the secret in a match.
    pub groups: Option<Regexes>,
    /// The group that is the secret; 0 for the first that is not empty.
    pub secret_group: usize,
    /// The entropy that a secret must exceed, in bits; 0 for any.
    pub entropy: f64,
    pub path: Option<Regexes>,
    pub keywords: Option<Words>,
    /// Whether each match of the regex holds a keyword.
    pub keyword_implied: bool,
    pub tags: Vec<String>,
    pub allowlists: Vec<Allowlist>,
}

impl Rule {
    /// The name by which findings are reported.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The regex, in Rust's syntax, for an engine that matches bytes. None for a rule about paths alone.
    #[must_use]
    pub fn pattern(&self) -> Option<&str> {
        self.pattern.as_deref()
    }

    /// What the rule finds, in words; empty if its file does not say.
    #[must_use]
    pub fn description(&self) -> &str {
        self.details
            .as_ref()
            .map_or("", |details| &details.description)
    }

    /// Tags, as the file gives them.
    #[must_use]
    pub fn tags(&self) -> &[String] {
        self.details.as_ref().map_or(&[], |details| &details.tags)
    }

    /// Words one of which stands in each file in which the rule finds anything, in lower case; they are looked for in
    /// either case. Empty if there are none, or if each match of the regex holds one.
    #[must_use]
    pub fn keywords_of_file(&self) -> &[String] {
        match &self.details {
            Some(details) if !details.keyword_implied => {
                details.keywords.as_ref().map_or(&[], Words::words)
            }
            _ => &[],
        }
    }

    /// Whether paths matter to the rule.
    pub(crate) fn asks_for_path(&self) -> bool {
        self.details.as_ref().is_some_and(|details| {
            let mut lists = details.allowlists.iter();
            details.path.is_some() || lists.any(Allowlist::asks_for_path)
        })
    }

    /// The line of the rule file at which the rule begins, from 1; 0 if the rule stands in no file.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }
}

impl Details {
    /// Derives from a regex in Rust's syntax, and what it means, what the judge needs.
    ///
    /// # Errors
    /// A message if it cannot be compiled.
    pub fn prepare(&mut self, pattern: &str, hir: &Hir) -> Result<(), String> {
        let regexes = Regexes::new(vec![pattern.to_owned()], [hir]);
        let regexes = regexes.map_err(|error| error.reason)?;
        let groups = hir.properties().explicit_captures_len();
        if self.secret_group > groups {
            let group = self.secret_group;
            return Err(format!(
                "secretGroup is {group}, and the regex has {groups} groups"
            ));
        }
        self.groups = (groups > 0).then_some(regexes);
        if let Some(keywords) = &self.keywords {
            self.keyword_implied = implied(hir, keywords);
        }
        Ok(())
    }
}
