//! What a sweep searches for, compiled: prepared once, stored in a file, and loaded wherever it is needed
//! (`docs/set.md`).

use super::file::LOOK;
use super::findings::Findings;
use crate::bounded;
use crate::jobs::MAX_HALO;
use gristmill_patterns::saved::{self, FieldWriter, SetBytes, SetError};
use gristmill_patterns::PatternSet;
use gristmill_rules::RuleSet;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// Patterns or rules, prepared for a sweep.
#[derive(Debug, Clone)]
pub struct SweepSet {
    patterns: Arc<PatternSet>,
    rules: Option<Arc<RuleSet>>,
}

/// Why a stored set cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepSetError {
    /// The file cannot be read, or is no regular file.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// What it holds is refused.
    #[error(transparent)]
    Set(#[from] SetError),
}

impl SweepSet {
    pub(super) fn new(patterns: PatternSet, rules: Option<Arc<RuleSet>>) -> Self {
        Self {
            patterns: Arc::new(patterns),
            rules,
        }
    }

    /// What is searched for. The regexes of rules come in the order of the rules, and behind them those of keywords.
    #[must_use]
    pub fn patterns(&self) -> &PatternSet {
        &self.patterns
    }

    pub(super) fn shared_patterns(&self) -> Arc<PatternSet> {
        Arc::clone(&self.patterns)
    }

    /// The rules, if it is a set of rules.
    #[must_use]
    pub fn rules(&self) -> Option<&Arc<RuleSet>> {
        self.rules.as_ref()
    }

    /// The set as bytes: the same on every processor.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let attached = self.rules.as_ref().map(|rules| {
            let mut fields = FieldWriter::new();
            rules.save(&mut fields);
            fields
        });
        self.patterns.save(attached)
    }

    /// Takes a stored set. Regexes may take `memory` bytes beside it.
    ///
    /// # Errors
    /// What is wrong with the set, and where.
    fn load(bytes: SetBytes, memory: usize) -> Result<Self, SetError> {
        let (patterns, attached) = PatternSet::load(bytes, memory)?;
        let damaged = |offset, what: &str| SetError::Damaged {
            section: "set",
            offset,
            what: what.into(),
        };
        let longest = patterns.strings().map_or(0, |strings| strings.longest());
        let looked_at = if patterns.boundary().is_some() {
            LOOK as usize
        } else {
            0
        };
        if longest > MAX_HALO - looked_at {
            let what =
                "a string of more than 4,096 bytes, or of more than 4,092 as a word or a line";
            return Err(damaged(0, what));
        }
        let Some(attached) = attached else {
            return Ok(Self::new(patterns, None));
        };
        let mut fields = attached.fields();
        if patterns.boundary().is_some() {
            return Err(damaged(0, "rules whose matches must lie between something"));
        }
        let rules = RuleSet::load(&mut fields)?;
        fields.end()?;
        let findings = Findings::new(Arc::new(rules));
        let texts = patterns.regex_texts().iter().map(String::as_str);
        let same =
            patterns.strings().is_none() && texts.eq(findings.patterns().map(|(_, text)| text));
        if !same {
            return Err(
                fields.damaged(0, "before it, rules whose regexes are not those of the set")
            );
        }
        Ok(Self::new(patterns, Some(findings.shared_rules())))
    }

    /// Reads a stored set: a regular file of at most `memory` bytes. Its regexes may take as much again.
    ///
    /// # Errors
    /// Why it cannot be read, or what is wrong with it, and where.
    pub fn read(path: &Path, memory: usize) -> Result<Self, SweepSetError> {
        let file = bounded::open_regular(path)?;
        let bytes = file.metadata()?.len();
        // A file that grows meanwhile has another length than it says.
        Self::read_from(file, usize::try_from(bytes).unwrap_or(usize::MAX), memory)
    }

    /// Reads a stored set of `len` bytes, as [`read`](Self::read) does.
    ///
    /// # Errors
    /// As of [`read`](Self::read).
    pub fn read_from(input: impl Read, len: usize, memory: usize) -> Result<Self, SweepSetError> {
        if len > memory {
            let (needed, allowed) = (len, memory);
            return Err(SetError::Memory { needed, allowed }.into());
        }
        Ok(Self::load(saved::read(input, len)?, memory)?)
    }
}
