//! How this crate compiles regexes: for bytes, with Unicode enabled. They are compiled when they are first needed,
//! except those that may be too large.

use crate::go::{self, SyntaxError};
use gristmill_patterns::{most_memory, Backtracker, Told};
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;
use regex_automata::Input;
use regex_syntax::hir::Hir;
use std::ops::Range;
use std::sync::OnceLock;

/// The most memory that the compiled form of one regex, or of the regexes of one allowlist, may take, in bytes.
pub(crate) const SIZE_LIMIT: usize = 32 << 20;

/// Regexes of Rust's syntax, compiled into one, which matches where any of them does.
#[derive(Debug, Clone)]
pub(crate) struct Regexes {
    texts: Vec<String>,
    /// Compiled, once that is done; `None` within if it cannot be.
    regex: OnceLock<Option<Regex>>,
    /// What finds the groups of the first one in few steps, if something does.
    groups: OnceLock<Option<Box<Backtracker>>>,
}

/// The steps in which groups are found, before a regex is asked.
const STEPS: usize = 4096;

impl Regexes {
    /// Takes regexes, with what they mean.
    ///
    /// # Errors
    /// If they cannot be compiled within [`SIZE_LIMIT`].
    pub fn new<'a>(
        texts: Vec<String>,
        meanings: impl IntoIterator<Item = &'a Hir>,
    ) -> Result<Self, SyntaxError> {
        let bytes = meanings.into_iter().map(most_memory);
        let bytes = bytes.fold(0, usize::saturating_add);
        let mut all = Self::stored(texts);
        if bytes > SIZE_LIMIT {
            let regex = compile(&all.texts)?;
            all.regex = OnceLock::from(Some(regex));
        }
        Ok(all)
    }

    /// Takes regexes that can be compiled within [`SIZE_LIMIT`].
    pub fn stored(texts: Vec<String>) -> Self {
        Self {
            texts,
            regex: OnceLock::new(),
            groups: OnceLock::new(),
        }
    }

    pub fn texts(&self) -> &[String] {
        &self.texts
    }

    /// The regex; none for what was never compiled before, and cannot be.
    pub fn get(&self) -> Option<&Regex> {
        let regex = self.regex.get_or_init(|| compile(&self.texts).ok());
        regex.as_ref()
    }

    /// The groups of the first regex in its leftmost match, from 1 on. `None` if it does not match.
    pub fn groups(&self, text: &[u8]) -> Option<Vec<Option<Range<usize>>>> {
        let groups = || Backtracker::new(&go::parse(self.texts.first()?).ok()?, true);
        let groups = self.groups.get_or_init(|| groups().map(Box::new));
        if let Some(one) = groups {
            let mut slots = one.slots();
            // Most texts are matches, and so one begins at their start.
            if let Told::Match { .. } = one.groups_at(text, 0, &mut { STEPS }, &mut slots) {
                let groups = 1..=one.group_count();
                return Some(
                    groups
                        .map(|group| Backtracker::group(&slots, group))
                        .collect(),
                );
            }
        }
        let regex = self.get()?;
        let mut captures = regex.create_captures();
        regex.search_captures(&Input::new(text), &mut captures);
        let groups = 1..captures.group_len();
        let range = |group| captures.get_group(group).map(|span| span.range());
        captures.is_match().then(|| groups.map(range).collect())
    }

    pub fn is_match(&self, text: &[u8]) -> bool {
        self.get().is_some_and(|regex| regex.is_match(text))
    }
}

fn compile<P: AsRef<str>>(patterns: &[P]) -> Result<Regex, SyntaxError> {
    let config = Config::new()
        .utf8_empty(false)
        .nfa_size_limit(Some(SIZE_LIMIT));
    Regex::builder()
        .configure(config)
        .syntax(syntax::Config::new().utf8(false))
        .build_many(patterns)
        .map_err(|error| SyntaxError {
            offset: 0,
            reason: reason(&error),
        })
}

fn reason(error: &BuildError) -> String {
    match error.size_limit() {
        Some(limit) => format!("the regex takes more than {limit} bytes when it is compiled"),
        None => error.to_string(),
    }
}
