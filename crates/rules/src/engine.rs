//! How this crate compiles regexes: for bytes, with Unicode on.

use crate::go::SyntaxError;
use regex_automata::meta::{BuildError, Config, Regex};
use regex_automata::util::syntax;

/// The most memory that the compiled form of one regex, or of the regexes of one allowlist, may take, in bytes.
pub(crate) const SIZE_LIMIT: usize = 32 << 20;

/// Compiles regexes of Rust's syntax into one, which matches where any of them does.
pub(crate) fn compile<P: AsRef<str>>(patterns: &[P]) -> Result<Regex, SyntaxError> {
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
