//! Matches of a rule's regex that are not findings.

use crate::engine::Regexes;
use crate::keywords::Words;

/// Which text an allowlist's regexes are tried on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Target {
    /// The secret.
    #[default]
    Secret,
    /// All that the rule's regex matched.
    Match,
    /// The lines on which that lies.
    Line,
}

/// One allowlist: conditions, one or all of which must hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct Allowlist {
    /// Whether all of the conditions that the list has must hold.
    pub all: bool,
    /// Whether the list names commits. A plain file belongs to none.
    pub commits: bool,
    /// Matches paths that the list names.
    pub paths: Option<Regexes>,
    /// Matches texts that the list names.
    pub regexes: Option<Regexes>,
    /// What `regexes` is tried on.
    pub target: Target,
    /// Words that a secret does not hold.
    pub stopwords: Option<Words>,
}

/// What allowlists are asked about.
pub(crate) struct Asked<'a> {
    pub path: &'a [u8],
    pub secret: &'a [u8],
    pub matched: &'a [u8],
    /// The lines on which the match lies, as far as they are known.
    pub line: &'a [u8],
}

impl Allowlist {
    /// Whether the path alone decides: nothing in files of this path is a finding.
    pub fn allows_path(&self, path: &[u8]) -> bool {
        let by_path = self
            .paths
            .as_ref()
            .is_some_and(|paths| paths.is_match(path));
        if self.all {
            by_path && !self.commits && self.regexes.is_none() && self.stopwords.is_none()
        } else {
            by_path
        }
    }

    /// Whether paths matter to the list in any way.
    pub fn asks_for_path(&self) -> bool {
        self.paths.is_some()
    }

    /// Whether a match is no finding. The path of its file was not allowed by itself.
    pub fn allows(&self, asked: &Asked<'_>) -> bool {
        let by_regex = || {
            let text = match self.target {
                Target::Secret => asked.secret,
                Target::Match => asked.matched,
                Target::Line => asked.line,
            };
            self.regexes
                .as_ref()
                // Nothing is tried on an empty text.
                .map(|regexes| !text.is_empty() && regexes.is_match(text))
        };
        let by_word = || {
            self.stopwords
                .as_ref()
                .map(|words| words.are_in(asked.secret))
        };
        if self.all {
            // A condition that the list does not have is not asked for.
            let by_path = self.paths.as_ref().map(|paths| paths.is_match(asked.path));
            !self.commits
                && by_path != Some(false)
                && by_word() != Some(false)
                && by_regex() != Some(false)
        } else {
            by_word() == Some(true) || by_regex() == Some(true)
        }
    }
}
