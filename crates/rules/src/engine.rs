//! How this crate compiles regexes: for bytes, with Unicode on. Those of a stored set are compiled when they are first
//! needed.

use crate::go::SyntaxError;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;
use std::sync::OnceLock;

/// The most memory that the compiled form of one regex, or of the regexes of one allowlist, may take, in bytes.
pub(crate) const SIZE_LIMIT: usize = 32 << 20;

/// Regexes of Rust's syntax, compiled into one, which matches where any of them does.
#[derive(Debug, Clone)]
pub(crate) struct Regexes {
    texts: Vec<String>,
    /// Compiled, once that is done; `None` within if it cannot be.
    regex: OnceLock<Option<Regex>>,
}

impl Regexes {
    /// Compiles them now.
    ///
    /// # Errors
    /// If that is not possible within [`SIZE_LIMIT`].
    pub fn new(texts: Vec<String>) -> Result<Self, SyntaxError> {
        let regex = compile(&texts)?;
        Ok(Self {
            texts,
            regex: OnceLock::from(Some(regex)),
        })
    }

    /// Compiles them when they are first needed: they were compiled before, with this [`SIZE_LIMIT`].
    pub fn stored(texts: Vec<String>) -> Self {
        Self {
            texts,
            regex: OnceLock::new(),
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
