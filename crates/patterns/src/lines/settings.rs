//! How patterns are read and compared.

use regex_automata::util::look::LookMatcher;
use regex_syntax::hir::Look;
use std::ops::Range;

/// The most memory that a compiled regex may take if no other limit is set, in bytes: 100 MiB, ripgrep's.
pub const DEFAULT_SIZE_LIMIT: usize = 100 << 20;

/// The most memory that each thread's lazily built automaton may take if no other limit is set, in bytes: 32 MiB.
pub const DEFAULT_DFA_SIZE_LIMIT: usize = 32 << 20;

/// Which letters are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Case {
    /// Letters match as they are written.
    #[default]
    Sensitive,
    /// Letters match in either case, by Unicode's simple case folding.
    Insensitive,
    /// As [`Case::Insensitive`], if the patterns hold letters and none of these is an upper-case one.
    Smart,
}

/// What a match must lie between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Boundary {
    /// It begins and ends where no word goes on.
    Word,
    /// It is a whole line.
    Line,
}

impl Boundary {
    /// What must hold before and behind a match.
    pub(crate) fn looks(self, unicode: bool, crlf: bool) -> [Look; 2] {
        match (self, unicode, crlf) {
            (Self::Word, true, _) => [Look::WordStartHalfUnicode, Look::WordEndHalfUnicode],
            (Self::Word, false, _) => [Look::WordStartHalfAscii, Look::WordEndHalfAscii],
            (Self::Line, _, true) => [Look::StartCRLF, Look::EndCRLF],
            (Self::Line, _, false) => [Look::StartLF, Look::EndLF],
        }
    }

    /// Whether it holds before and behind these bytes of a text, as it would in a regex.
    pub(crate) fn holds(self, unicode: bool, crlf: bool, text: &[u8], at: Range<usize>) -> bool {
        let (look, Range { start, end }) = (LookMatcher::new(), at);
        // The tables of words' characters are built in, without which this would fail.
        match (self, unicode, crlf) {
            (Self::Word, true, _) => {
                look.is_word_start_half_unicode(text, start)
                    .unwrap_or(false)
                    && look.is_word_end_half_unicode(text, end).unwrap_or(false)
            }
            (Self::Word, false, _) => {
                look.is_word_start_half_ascii(text, start) && look.is_word_end_half_ascii(text, end)
            }
            (Self::Line, _, true) => look.is_start_crlf(text, start) && look.is_end_crlf(text, end),
            (Self::Line, _, false) => look.is_start_lf(text, start) && look.is_end_lf(text, end),
        }
    }
}

/// Settings of a [`LineMatcher`](super::LineMatcher).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineSettings {
    /// Whether patterns are strings that are searched for as they are, rather than regexes.
    pub fixed_strings: bool,
    /// Which letters are the same.
    pub case: Case,
    /// What a match must lie between.
    pub boundary: Option<Boundary>,
    /// Whether classes, `.`, word boundaries and case know Unicode; else they know ASCII only.
    pub unicode: bool,
    /// Whether CR LF ends a line as LF does: neither is matched, and `$` matches before both.
    pub crlf: bool,
    /// Whether a NUL may match; else a regex that must match one is refused.
    pub text: bool,
    /// The most memory that the compiled regex may take, in bytes.
    pub size_limit: usize,
    /// The most memory that each thread's lazily built automaton may take, in bytes.
    pub dfa_size_limit: usize,
}

impl Default for LineSettings {
    /// Regexes, case-sensitive, Unicode, lines that end with LF, [`DEFAULT_SIZE_LIMIT`] and
    /// [`DEFAULT_DFA_SIZE_LIMIT`].
    fn default() -> Self {
        Self {
            fixed_strings: false,
            case: Case::Sensitive,
            boundary: None,
            unicode: true,
            crlf: false,
            text: false,
            size_limit: DEFAULT_SIZE_LIMIT,
            dfa_size_limit: DEFAULT_DFA_SIZE_LIMIT,
        }
    }
}
