//! What all files of a sweep share.

use super::error::SweepError;
use super::judged::Rules;
use super::opcode::Patterns;
use super::rows::OccurrenceRows;
use crate::jobs::scan::ScanTotals;
use gristmill_ring::lock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

/// What is reported of each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SweepReport {
    /// Its matches.
    #[default]
    Matches,
    /// The number of its matches. Nothing if there is none.
    Count,
    /// Its path, if something matches.
    Paths,
    /// Nothing. The run ends with the first match, unless totals are wanted.
    Quiet,
}

/// The settings, fixed when the job is built, and the results so far.
pub(super) struct Plan {
    pub patterns: Arc<Patterns>,
    pub report: SweepReport,
    pub rows: OccurrenceRows,
    pub max_match: u64,
    /// How many bytes around a match are shown, if they are.
    pub context: Option<u64>,
    pub totals_wanted: bool,
    pub found: AtomicBool,
    pub totals: Mutex<ScanTotals>,
    pub errors: Mutex<Vec<SweepError>>,
    /// What is searched for because of rules: then matches are no rows, but findings are.
    pub rules: Option<Rules>,
}

impl Plan {
    /// Whether only the existence of a match matters.
    pub fn decides_only(&self) -> bool {
        matches!(self.report, SweepReport::Paths | SweepReport::Quiet) && !self.totals_wanted
    }

    /// Whether the run ends with the first match or finding.
    pub fn ends_with_first(&self) -> bool {
        match &self.rules {
            Some(rules) => rules.findings.is_quiet(),
            None => self.report == SweepReport::Quiet && !self.totals_wanted,
        }
    }

    /// Number and length of a string, by its index.
    pub fn string(&self, index: u32) -> (u32, u64) {
        let set = &self.patterns.set;
        let length = set
            .strings()
            .map_or(0, |strings| strings.pattern_len(index));
        (set.string_number(index), length as u64)
    }

    /// The number of a regex, by its index.
    pub fn regex(&self, index: u32) -> u32 {
        self.patterns.set.regex_number(index)
    }

    /// The name of a pattern, by its number.
    pub fn name(&self, pattern: u32) -> &[u8] {
        self.patterns.set.name(pattern)
    }

    pub fn error(&self, error: SweepError) {
        lock(&self.errors).push(error);
    }

    /// A file has ended.
    pub fn add(&self, totals: &ScanTotals, found: bool) {
        *lock(&self.totals) += *totals;
        if found {
            self.found.store(true, Ordering::Relaxed);
        }
    }
}
