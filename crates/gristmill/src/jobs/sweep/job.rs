//! The job itself.

use super::border;
use super::error::SweepError;
use super::file::{FileSweep, LOOK};
use super::judged::Judged;
use super::opcode::{MODE_ANY, OPCODE};
use super::plan::Plan;
use crate::error::FileErrorKind;
use crate::jobs::scan::ScanTotals;
use crate::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk, MAX_HALO};
use crate::source::{Entry, FileFacts};
use gristmill_megakernel::StreamJob;
use gristmill_ring::lock;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Finds every match of every pattern. See the [module](super).
pub struct SweepJob {
    pub(super) plan: Plan,
    pub(super) record_words: u32,
}

impl fmt::Debug for SweepJob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepJob")
            .field("patterns", &self.plan.patterns)
            .field("report", &self.plan.report)
            .finish_non_exhaustive()
    }
}

/// The most regexes whose costs are told.
const COSTS: usize = 3;

/// A file while it is swept.
pub struct SweepFile(FileSweep);

impl fmt::Debug for SweepFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SweepFile").finish_non_exhaustive()
    }
}

impl SweepJob {
    /// Whether something was found so far.
    pub fn found(&self) -> bool {
        match &self.plan.rules {
            Some(rules) => rules.findings.found() > 0,
            None => self.plan.found.load(Ordering::Relaxed),
        }
    }

    /// What was found so far.
    pub fn totals(&self) -> ScanTotals {
        *lock(&self.plan.totals)
    }

    /// Takes what could not be searched so far, ordered by path and offset.
    pub fn take_errors(&self) -> Vec<SweepError> {
        let mut errors = std::mem::take(&mut *lock(&self.plan.errors));
        errors.sort_by(|a, b| (&a.path, a.offset).cmp(&(&b.path, b.offset)));
        errors
    }

    /// How the patterns are searched for, and how much memory they take.
    pub fn engine_report(&self) -> String {
        let mut parts = Vec::new();
        if let Some(strings) = self.plan.patterns.set.strings() {
            parts.push(format!(
                "{} strings in {} KiB",
                strings.len(),
                strings.memory().div_ceil(1024)
            ));
        }
        let regexes = self.plan.patterns.set.regexes();
        if !regexes.is_empty() {
            let (mut by_runs, mut by_literals, mut alone) = (0, 0, 0);
            for plan in regexes.explain() {
                match () {
                    () if plan.is_alone() => alone += 1,
                    () if plan.by_run() => by_runs += 1,
                    () => by_literals += 1,
                }
            }
            parts.push(format!(
                "{} regexes, {by_runs} by runs of bytes that they need, {by_literals} by their literals, {alone} each over \
                 all bytes, in {} KiB",
                regexes.len(),
                regexes.memory_usage().div_ceil(1024)
            ));
        }
        parts.join("; ")
    }

    /// Whether cutting files into parts is of use. It is not for rules, which take whole files only, and where a match of a
    /// regex may go on over any bytes: then each part is searched from the file's beginning.
    #[must_use]
    pub fn can_be_cut(&self) -> bool {
        self.takes_parts() && !self.plan.patterns.set.regexes().is_endless()
    }

    /// The regexes that are expected to cost most, with their costs, if there are any.
    pub fn costs(&self) -> Option<String> {
        let set = &self.plan.patterns.set;
        let mut costs: Vec<(f64, &[u8])> = (0..)
            .zip(set.regexes().explain())
            .map(|(index, plan)| (plan.cycles(), set.name(set.regex_number(index))))
            .collect();
        costs.sort_by(|one, other| other.0.total_cmp(&one.0));
        let shown = costs.iter().take(COSTS).map(|(cycles, name)| {
            format!(
                "{} {cycles:.3}",
                String::from_utf8_lossy(name).escape_debug()
            )
        });
        let shown: Vec<String> = shown.collect();
        (!shown.is_empty()).then(|| {
            format!(
                "{} cycles a byte by estimate, beside the search for runs and literals",
                shown.join(", ")
            )
        })
    }
}

impl Job for SweepJob {
    type File = SweepFile;

    fn stream_job(&self) -> Option<StreamJob> {
        let patterns = Arc::clone(&self.plan.patterns);
        Some(StreamJob::Custom(OPCODE, patterns))
    }

    fn opcode(&self) -> u32 {
        OPCODE
    }

    fn record_words(&self) -> u32 {
        self.record_words
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            before: MAX_HALO,
            after: MAX_HALO,
            split: true,
            ..Geometry::default()
        }
    }

    fn mode(&self, entry: &Entry, _offset: u64) -> u32 {
        if self.plan.decides_only() && entry.part.is_none() {
            MODE_ANY
        } else {
            0
        }
    }

    /// Findings of rules are of whole files: they have line numbers, and may wait for a keyword anywhere in the file.
    fn takes_parts(&self) -> bool {
        self.plan.rules.is_none()
    }

    fn part_from(&self, file: &OwnedFd, begin: u64) -> io::Result<u64> {
        let around = self.plan.context.unwrap_or(0).max(LOOK);
        let from = self.plan.patterns.with_cache(|cache| {
            let regexes = self.plan.patterns.set.regexes();
            border::before(regexes, cache, file, begin, self.plan.max_match)
        })?;
        Ok(from.min(begin.saturating_sub(around)).saturating_sub(LOOK))
    }

    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> SweepFile {
        SweepFile(FileSweep::new(&self.plan, entry, facts))
    }

    fn chunk(&self, file: &mut SweepFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        if file.0.chunk(&self.plan, chunk, rows) {
            Flow::SkipFile
        } else {
            Flow::Continue
        }
    }

    fn refused(&self, entry: &Entry, _: &FileErrorKind, rows: &mut Vec<u8>) {
        if let Some(rules) = &self.plan.rules {
            // A path may be a finding, whatever the file holds.
            Judged::new(rules, &entry.path).close(rules, false, rows);
        }
    }

    fn close(&self, file: SweepFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        file.0.close(&self.plan, end, rows);
        if self.plan.ends_with_first() && self.found() {
            Flow::Stop
        } else {
            Flow::Continue
        }
    }
}
