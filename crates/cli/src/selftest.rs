//! `gristmill selftest`: whether a back end on this machine conforms to the protocol, and whether jobs have the rows on it
//! that they have on the processor's threads.

mod jobs;
mod texts;
mod world;

use super::engine::BackendArgs;
use super::stdout;
use gristmill::megakernel::backend::SelectedBackend;
use gristmill_conformance::{CaseResult, Runner, Summary, Verdict};
use serde_json::{json, Value};
use std::io::Write;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};
use world::World;

/// Flags of `gristmill selftest`.
#[derive(Debug, Clone, clap::Args)]
pub struct SelftestArgs {
    #[command(flatten)]
    backend: BackendArgs,

    /// The seed of random cases: the seed of an earlier run repeats its cases. By default it is derived from the time.
    #[arg(long, value_name = "NUM")]
    seed: Option<u64>,

    /// Run only the cases whose names contain this.
    #[arg(long, value_name = "TEXT", default_value = "")]
    filter: String,

    /// Write no rows for cases that passed.
    #[arg(short, long, conflicts_with = "json")]
    quiet: bool,

    /// Write one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs `gristmill selftest`.
///
/// # Errors
/// A message, if the back end is not available, no case has such a name, or the answer cannot be written.
pub fn run(args: &SelftestArgs) -> Result<ExitCode, String> {
    let selected = args.backend.open()?;
    let SelectedBackend { backend, why } = &selected;
    let seed = args.seed.unwrap_or_else(from_the_time);
    let mut output = stdout::open()?;
    let mut cases: Vec<Value> = Vec::new();
    let mut written = Ok(());
    if !args.json && !args.quiet {
        written = writeln!(output, "back end {} ({why}), seed {seed}", backend.name());
    }
    let mut report = |case: &CaseResult| {
        let passed = matches!(case.verdict, Verdict::Passed(_));
        if args.json {
            cases.push(as_json(case));
        } else if written.is_ok() && !(passed && args.quiet) {
            let (verdict, what) = told(&case.verdict);
            let (name, elapsed) = (&case.name, case.elapsed.as_millis());
            written = writeln!(output, "{verdict:<8}{elapsed:>6} ms  {name:<51} {what}");
        }
    };
    let mut runner = Runner::new(&args.filter, &mut report);
    runner.suite(&**backend, seed);
    let world = World {
        backend: &selected,
        seed,
    };
    for (name, check) in jobs::CASES {
        runner.case("jobs", name, || {
            check(&world).map_or_else(|verdict| verdict, Verdict::Passed)
        });
    }
    let Summary {
        passed,
        failed,
        skipped,
    } = runner.summary();
    if passed + failed + skipped == 0 {
        return Err(format!(
            "no case has {:?} in its name; run without --filter to see their names",
            args.filter
        ));
    }
    written = written.and_then(|()| {
        if args.json {
            let answer = json!({
                "type": "selftest",
                "backend": backend.name(),
                "why": why,
                "seed": seed,
                "passed": passed,
                "failed": failed,
                "skipped": skipped,
                "cases": cases,
            });
            writeln!(output, "{answer}")
        } else if args.quiet && failed == 0 {
            Ok(())
        } else {
            writeln!(
                output,
                "{passed} passed, {failed} failed, {skipped} skipped"
            )
        }
    });
    stdout::written(written)?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn from_the_time() -> u64 {
    // If the clock is before 1970, any seed will do.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |now| now.as_secs() ^ u64::from(now.subsec_nanos()))
}

fn told(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Passed(what) => ("passed", what),
        Verdict::Failed(what) => ("FAILED", what),
        Verdict::Skipped(why) => ("skipped", why),
    }
}

fn as_json(case: &CaseResult) -> Value {
    let (verdict, what) = told(&case.verdict);
    json!({
        "case": case.name,
        "result": verdict.to_lowercase(),
        "what": what,
        "seconds": case.elapsed.as_secs_f64(),
    })
}
