//! The conformance suite: it tests whether a back end keeps the protocol's promises on this machine.
//!
//! [`Runner::suite`] takes any [`Backend`]. Users run it to decide whether to trust a driver (`gristmill selftest`, which
//! adds cases of its own by [`Runner::case`]); tests run it over every back end. The suite uses only the [`Backend`] and the [`Kernel`](gristmill_megakernel::Kernel) that this
//! launches, and nothing behind them. The expected results are computed here, or by the reference interpreter of VIR0,
//! never by a back end: a checksum is computed bit by bit, a search compares byte by byte, BLAKE3 is its crate's.
//!
//! | module | the promise that its cases test |
//! |---|---|
//! | `opcodes` | a core opcode does what `model` says, stays within its tenant's window, and any other number faults |
//! | `packed` | the operations of a packed slot run in order; a malformed slot runs none |
//! | `streams` | HISTOGRAM, LINES and CRC32C are right at every length and read no byte outside of their place |
//! | `trees` | BLAKE3 leaves the parts of a file's tree, at every length and offset |
//! | `scan` | SCAN finds what a naive search finds, also where its records overflow and it is resumed |
//! | `programs` | a VIR0 program leaves what the reference interpreter leaves, within its area and its budget |
//! | `ring` | a slot completes once; a full ring refuses; priorities age by the rule; the counters add up |
//! | `fences` | a fence completes after everything that was published before it |
//! | `tenants` | a tenant runs while its mask is open, and reaches nothing of another's |
//! | `quotas` | of a tenant's slots no more run at a time than its quota, and all run in the end |
//! | `leases` | a kernel that leaves and is launched again loses nothing |
//! | `io` | a LOAD_MISS reaches its host as it was published, and ends as the host answers |
//! | `cancel` | whatever runs can be cancelled, and its slot says so |
//! | `shutdown` | shutdown returns, whatever is in flight; what was not run stays unrun |
//!
//! A case is a function and a line in its module's table. It reports what it ran, or what was different. `setup` says
//! how a case launches its kernel, and `case` what it is, `world` has the operations that cases perform on it; `shipped` has the programs.
//! `wait` bounds every wait ([`LIMIT`]), so a kernel that does not answer makes its case fail rather than hang. All
//! random inputs are derived from one seed.

#![forbid(unsafe_code)]

/// Ends a case with a failure unless the condition holds.
macro_rules! ensure {
    ($holds:expr, $($what:tt)+) => {
        if !$holds {
            return Err($crate::case::Stop::Failed(format!($($what)+)));
        }
    };
}

/// Ends a case with a failure if two values that must be equal are not.
macro_rules! same {
    ($got:expr, $expected:expr, $($what:tt)+) => {{
        let (got, expected) = (&$got, &$expected);
        ensure!(
            got == expected,
            "{}: got {got:?}, expected {expected:?}",
            format_args!($($what)+)
        );
    }};
}

mod cancel;
mod case;
mod fences;
mod io;
mod leases;
mod model;
mod opcodes;
mod packed;
mod programs;
mod quotas;
mod ring;
mod scan;
mod setup;
mod shipped;
mod shutdown;
mod streams;
mod tenants;
mod trees;
mod wait;
mod world;

pub use case::LIMIT;
use case::{Case, Stop, Suite};
pub use wait::within_limit;

use gristmill_megakernel::Backend;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::{Duration, Instant};

/// How a case ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was as the protocol says. Holds what was run.
    Passed(String),
    /// Something was different. Holds what it was, and what was expected.
    Failed(String),
    /// The case could not be run here. Holds the reason.
    Skipped(String),
}

/// The result of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseResult {
    /// Its theme and its name, as `theme: name`.
    pub name: String,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it took.
    pub elapsed: Duration,
}

/// How many cases passed, failed and were skipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Cases in which everything was as the protocol says.
    pub passed: usize,
    /// Cases in which something was different.
    pub failed: usize,
    /// Cases that could not be run here.
    pub skipped: usize,
}

/// All cases by theme.
const THEMES: &[(&str, &[Case])] = &[
    ("opcodes", opcodes::CASES),
    ("packed slots", packed::CASES),
    ("streams", streams::CASES),
    ("trees", trees::CASES),
    ("scan", scan::CASES),
    ("programs", programs::CASES),
    ("ring", ring::CASES),
    ("fences", fences::CASES),
    ("tenants", tenants::CASES),
    ("quotas", quotas::CASES),
    ("leases", leases::CASES),
    ("io", io::CASES),
    ("cancelling", cancel::CASES),
    ("shutdown", shutdown::CASES),
];

/// Runs cases, and reports each as it ends: those of the suite, and others that belong beside them.
pub struct Runner<'a> {
    filter: &'a str,
    report: &'a mut dyn FnMut(&CaseResult),
    summary: Summary,
}

impl<'a> Runner<'a> {
    /// A runner of the cases whose names contain `filter`; an empty filter matches all.
    pub fn new(filter: &'a str, report: &'a mut dyn FnMut(&CaseResult)) -> Self {
        Self {
            filter,
            report,
            summary: Summary::default(),
        }
    }

    /// Runs the suite over a back end. All random inputs are derived from `seed`: the same seed runs the same cases again.
    pub fn suite(&mut self, backend: &dyn Backend, seed: u64) {
        let suite = Suite { backend, seed };
        for (theme, cases) in THEMES {
            for (case, check) in *cases {
                self.case(theme, case, || match check(&suite) {
                    Ok(what) => Verdict::Passed(what),
                    Err(Stop::Failed(what)) => Verdict::Failed(what),
                    Err(Stop::Skipped(why)) => Verdict::Skipped(why),
                });
            }
        }
    }

    /// Runs one case, which is named `theme: case`.
    pub fn case(&mut self, theme: &str, case: &str, check: impl FnOnce() -> Verdict) {
        let name = format!("{theme}: {case}");
        if !name.contains(self.filter) {
            return;
        }
        let began = Instant::now();
        // What panics on the host's side fails only the current case.
        let verdict = catch_unwind(AssertUnwindSafe(check))
            .unwrap_or_else(|_| Verdict::Failed("the back end panicked on the host's side".into()));
        let (verdict, count) = match verdict {
            Verdict::Passed(_) => (verdict, &mut self.summary.passed),
            Verdict::Failed(what) => (Verdict::Failed(shortened(what)), &mut self.summary.failed),
            Verdict::Skipped(_) => (verdict, &mut self.summary.skipped),
        };
        *count += 1;
        (self.report)(&CaseResult {
            name,
            verdict,
            elapsed: began.elapsed(),
        });
    }

    /// How the cases ended that have run so far.
    pub fn summary(&self) -> Summary {
        self.summary
    }
}

impl std::fmt::Debug for Runner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Runner({:?}, {:?})", self.filter, self.summary)
    }
}

/// A message about a failure, without most of the bytes that it may contain.
fn shortened(mut what: String) -> String {
    const MOST: usize = 1_000;
    if let Some((end, _)) = what.char_indices().nth(MOST) {
        what.truncate(end);
        what.push_str(" ...");
    }
    what
}
