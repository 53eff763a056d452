//! Pattern sets, from one pattern to a million, and where each of them occurs.
//!
//! This crate is independent of rings and files: it is given bytes and reports what it found in them.
//!
//! - [`Literals`]: byte strings; every occurrence is found, including overlapping ones.
//! - [`LineMatcher`]: regexes in ripgrep's sense, for finding the lines that match. [`PlainStrings`] are those for
//!   which no regex is needed.
//! - [`RegexSet`]: many regexes; every match is reported with its regex and its position.
//! - [`Backtracker`]: one regex, matched at one position in few steps.
//! - [`PatternSet`]: strings and regexes with names, which can be stored and loaded ([`saved`]).

#![deny(unsafe_code)]

mod compare;
mod joining;
mod lines;
mod literals;
mod regexes;
pub mod saved;
mod set;
mod unit;

pub use lines::{
    expand, Boundary, Case, LineMatcher, LineSettings, PatternError, Place, PlainStrings,
    DEFAULT_DFA_SIZE_LIMIT, DEFAULT_SIZE_LIMIT,
};
pub use literals::{BuildError, Literals, RareBytes, StringClass};
pub use regexes::{
    line_literals, most_memory, smart_case, Backtracker, Hit, NearLiterals, Part, RegexPlan,
    RegexSet, RegexSetBuilder, RegexSetCache, RegexSetError, StreamSearch, StreamState, Told,
};
pub use set::{Attached, PatternSet, PatternSetBuilder, PatternSetError, LOOK};

/// The name of the vector unit on which strings and regexes are searched for: `portable`, `avx2` or `avx512`. It is the best
/// that this processor has (of AVX-512, F, BW, VL and VBMI are needed), or the one that `GRISTMILL_VECTOR` asks for.
#[must_use]
pub fn vector_unit() -> &'static str {
    unit::Unit::chosen().level().name()
}
