//! Runs the suite in a test.

use gristmill_conformance::{CaseResult, Runner, Summary, Verdict};
use gristmill_megakernel::Backend;

/// Runs the cases with `filter` in their names, prints their reports, and returns the names of those that failed.
#[allow(dead_code, reason = "cuda.rs runs all")]
pub fn run(backend: &dyn Backend, filter: &str, seed: u64) -> (Summary, Vec<String>) {
    let mut failed = Vec::new();
    let mut report = |case: &CaseResult| {
        println!("{:<50} {:?} {:?}", case.name, case.elapsed, case.verdict);
        if let Verdict::Failed(_) = case.verdict {
            failed.push(case.name.clone());
        }
    };
    let mut runner = Runner::new(filter, &mut report);
    runner.suite(backend, seed);
    (runner.summary(), failed)
}

/// Runs all cases. None of them may fail. The seed is a new one, or the one in `SELFTEST_SEED`.
pub fn conform(backend: &impl Backend) -> Summary {
    println!("{backend:?}");
    let seed = gristmill_testing::seed("SELFTEST_SEED");
    let (summary, failed) = run(backend, "", seed);
    assert!(failed.is_empty(), "{backend:?}, seed {seed}: {failed:?}");
    assert!(summary.passed > 40, "{summary:?}");
    summary
}
