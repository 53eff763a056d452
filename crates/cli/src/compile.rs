//! `gristmill compile`: patterns and rules as a set that `scan --set` loads, and what they are expected to cost.

mod explain;

use super::outputs::{self, Created, Replaces};
use super::scan::reading::MeaningArgs;
use super::scan::rules::{refusal, rule_set};
use super::scan::{PatternArgs, Patterns, Refusal};
use super::size::parse_size;
use super::stdout;
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{
    LineSettings, PlainStrings, SweepJob, SweepJobBuilder, SweepSet, MAGIC,
};
use gristmill::source::FileId;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Flags of `gristmill compile`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
#[command(group(
    clap::ArgGroup::new("sources").args(["patterns", "pattern_files", "rules"]).required(true).multiple(true)
))]
#[command(group(clap::ArgGroup::new("results").args(["output", "explain"]).required(true).multiple(true)))]
pub struct CompileArgs {
    #[command(flatten)]
    given: PatternArgs,

    /// Compile the rules in this file, in the formats that `scan --rules` reads. May be given several times, and with
    /// -e and -f, whose patterns then are rules, too.
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,

    #[command(flatten)]
    meaning: MeaningArgs,

    /// The memory limit for patterns and the data structures built from them.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1G")]
    set_memory: usize,

    /// The set to write, usually a .gms file; `-` is standard output.
    ///
    /// The output is written completely or not at all. An earlier set is replaced; any other file is not.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Print how the set searches for each pattern and the expected cost, slow regexes first.
    ///
    /// Costs are estimated CPU cycles per byte of ordinary text. A regex with a rare literal near its beginning costs
    /// little; one without is searched for separately, over all bytes.
    #[arg(long)]
    explain: bool,

    /// With --explain, print JSON Lines: records of type `set`, `strings`, `literals` and `regex`.
    #[arg(long, requires = "explain")]
    json: bool,
}

/// Runs `gristmill compile`.
pub fn run(args: &CompileArgs) -> ExitCode {
    match compile(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => refusal.tell(),
    }
}

fn compile(args: &CompileArgs) -> Result<(), Refusal> {
    let stdout = Path::new("-");
    if args.explain && args.output.as_deref() == Some(stdout) {
        let refused = "--explain and -o - both write to standard output; name a file with -o";
        return Err(Refusal::Line(refused.into()));
    }
    let settings = args.meaning.line_settings();
    let job = SweepJob::builder()
        .regex_size_limit(settings.size_limit)
        .memory(args.set_memory);
    if !args.rules.is_empty() && (settings.boundary.is_some() || settings.crlf) {
        let refused = r"-w, -x and --crlf do not apply to rules; write \b, (?m)^ or (?R) into the regexes, or compile patterns without rules";
        return Err(Refusal::Line(refused.into()));
    }
    let set = if args.rules.is_empty() {
        of_patterns(args.given.read()?, &settings, job)?
    } else {
        let rules = Arc::new(rule_set(&args.rules, &args.given, &settings)?);
        let findings = Arc::new(Findings::new(Arc::clone(&rules)));
        let set = job.findings(findings).compile();
        set.map_err(|error| refusal(error, &rules))?
    };
    match &args.output {
        None => {}
        Some(path) if path == stdout => stdout::print(&set.save())?,
        Some(path) => write(args, path, &set.save())?,
    }
    if args.explain {
        let rows = match args.json {
            true => explain::json(&set),
            false => explain::text(&set),
        };
        stdout::print(rows.as_bytes())?;
    }
    Ok(())
}

/// A set of patterns as `scan --all` takes them.
fn of_patterns(
    mut patterns: Patterns,
    settings: &LineSettings,
    job: SweepJobBuilder,
) -> Result<SweepSet, Refusal> {
    let all = std::mem::take(&mut patterns.all);
    let strings = PlainStrings::of(&all, settings).map(|plain| (plain.strings, plain.fold));
    // Where strings are asked for, their letters of ASCII alone are folded.
    let fold = settings.case.folds(&all);
    let strings = match strings {
        // Where they count is said beside them.
        _ if settings.boundary.is_some() => None,
        None if settings.fixed_strings => Some((all.clone(), fold)),
        strings => strings,
    };
    let set = match strings {
        Some((strings, fold)) => {
            let job = job.case_insensitive(fold);
            let job = strings
                .into_iter()
                .fold(job, |job, string| job.string(string.clone(), string));
            job.compile()
        }
        None => job
            .patterns(all, settings)
            .and_then(SweepJobBuilder::compile),
    };
    set.map_err(|error| Refusal::of_sweep(error, &patterns))
}

/// Writes a set, which must not be one of the files that were read.
fn write(args: &CompileArgs, path: &Path, set: &[u8]) -> Result<(), Refusal> {
    let own = Replaces::Own {
        magic: &MAGIC,
        name: "a compiled set",
    };
    let refused = |why: String| {
        let shown = path.display();
        Refusal::Line(format!("{shown}: {why}; name another output with -o"))
    };
    let words = |error: io::Error| refused(error.to_string());
    let new = match outputs::create(path, own).map_err(refused)? {
        Created::Stream(mut stream) => return stream.write_all(set).map_err(words),
        Created::New(new) => new,
    };
    let mut read = args.rules.iter().chain(args.given.files());
    let is_input = read.find(|path| {
        let file = File::open(path).and_then(|file| FileId::of(&file));
        file.is_ok_and(|file| new.files().contains(&file))
    });
    if let Some(input) = is_input {
        let input = input.display();
        return Err(refused(format!(
            "it would be overwritten, and is {input}, which is read"
        )));
    }
    let written = new.file().and_then(|mut file| file.write_all(set));
    written.and_then(|()| new.take_name()).map_err(words)
}
