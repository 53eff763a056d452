//! `gristmill digest`: digests of each file, and the check of a list of them.

use super::destination::Destination;
use super::end::End;
use super::engine::EngineArgs;
use super::manifest::{ManifestArgs, ManifestShare};
use super::mill::share::{Limits, Share};
use super::objects::stores;
use super::report_args::ReportArgs;
use super::rows::{Format, Rows, RowsArgs};
use super::sources::SourceArgs;
use super::{messages, one_job, signals};
use gristmill::decode::Decode;
use gristmill::jobs::digest::{
    check_schema, digest_schema, Algorithm, Algorithms, DigestJob, DigestRows, Shows,
};
use gristmill::mill::{Mill, Task};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Flags of `gristmill digest`.
#[derive(Debug, Clone, clap::Args)]
pub struct DigestArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// The digest algorithm: `blake3` (the default), `sha256`, `sha1`, `md5`, `xxh3-128`, `xxh3-64` or `crc32c`, or
    /// several, separated by commas: each file is read once, and has a row for each. Only blake3 and sha256 detect
    /// deliberate changes. With --check, the algorithm is the one that a row of the list names; otherwise the length of
    /// the digest decides between blake3, sha1 and crc32c.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    algorithm: Vec<Algorithm>,

    #[command(flatten)]
    manifest: ManifestArgs,

    #[command(flatten)]
    form: FormArgs,

    #[command(flatten)]
    check: CheckArgs,

    /// Write a JSON object for each row.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    report: ReportArgs,
}

/// How rows of digests look.
#[derive(Debug, Clone, clap::Args)]
struct FormArgs {
    /// Write rows in the BSD format: `ALGORITHM (PATH) = DIGEST`. With several algorithms this is always the format.
    #[arg(long, conflicts_with_all = ["check", "json"])]
    tag: bool,

    /// End each row with a NUL, and do not escape paths.
    #[arg(short = 'z', long, conflicts_with_all = ["check", "json"])]
    zero: bool,
}

/// Why a device does not compute digests.
const NO_DEVICE: &str =
    "a device computes BLAKE3 or CRC-32C, and the host other digests beside them; use --backend cpu, or give --algorithm \
     blake3 or crc32c, alone or beside others";

/// Why a log does not keep digests.
const NO_LOG: &str =
    "--record keeps runs of BLAKE3 or of CRC-32C, and of no other digest beside them; give --algorithm blake3 or crc32c, or leave --record out";

/// The flags that choose files, which a list does instead. Those that need --check are not taken beside them either: of
/// two flags that exclude each other, clap does not require one where the other is given.
const OF_SOURCES: [&str; 6] = [
    "paths",
    "files_from",
    "files0_from",
    "globs",
    "ignore",
    "follow",
];

/// What --check does.
#[derive(Debug, Clone, clap::Args)]
struct CheckArgs {
    /// Verify files against a list written by `digest`, b3sum, sha256sum, sha1sum, md5sum or xxhsum; `-` is standard
    /// input. The exit code is 0 if all files match the list, and 1 otherwise.
    #[arg(
        short = 'c',
        long,
        value_name = "LIST",
        conflicts_with_all = OF_SOURCES
    )]
    check: Option<PathBuf>,

    /// With --check, write nothing for files whose digest matches.
    #[arg(
        short = 'q',
        long,
        requires = "check",
        overrides_with = "status",
        conflicts_with_all = OF_SOURCES
    )]
    quiet: bool,

    /// With --check, write no rows: the exit code is the result. Errors are still reported.
    #[arg(
        long,
        requires = "check",
        overrides_with = "quiet",
        conflicts_with_all = OF_SOURCES
    )]
    status: bool,

    /// With --check, exit with 1 if a line is improperly formatted. Without this flag, such lines are skipped and
    /// counted.
    #[arg(long, requires = "check", conflicts_with_all = OF_SOURCES)]
    strict: bool,

    /// With --check, report each improperly formatted line.
    #[arg(short = 'w', long, requires = "check", conflicts_with_all = OF_SOURCES)]
    warn: bool,

    /// With --check, skip listed files that do not exist.
    #[arg(long, requires = "check", conflicts_with_all = OF_SOURCES)]
    ignore_missing: bool,
}

impl DigestArgs {
    /// The algorithms that were asked for, if any were.
    fn algorithms(&self) -> Option<Algorithms> {
        let algorithms: Algorithms = self.algorithm.iter().copied().collect();
        (!algorithms.is_empty()).then_some(algorithms)
    }

    /// The format of rows.
    fn format(&self) -> Result<Format, String> {
        let text = [(self.form.tag, "--tag"), (self.form.zero, "--zero")];
        let text = text.iter().find(|(given, _)| *given);
        let asked = text.map(|(_, flag)| (*flag, Format::Text));
        let json = self.json.then_some(("--json", Format::Jsonl));
        self.rows.format(asked.or(json))
    }

    fn rows(&self, format: Format, algorithms: &Algorithms) -> DigestRows {
        let tagged = self.form.tag || algorithms.len() > 1;
        match (format, tagged, self.form.zero) {
            (Format::Jsonl, ..) => DigestRows::Json,
            (format, ..) if format.is_table() => DigestRows::Table,
            (_, false, false) => DigestRows::Text,
            (_, true, false) => DigestRows::Tagged,
            (_, false, true) => DigestRows::TextZero,
            (_, true, true) => DigestRows::TaggedZero,
        }
    }

    /// What bounds a run with these digests; `None` where the kernel's own opcode makes them, on any back end. `algorithms`
    /// are those of all files, if these have the same.
    fn limits(&self, algorithms: Option<Algorithms>) -> Option<Limits> {
        let one_part = algorithms.is_some_and(|these| these.on_device().is_some());
        let built_in = algorithms.is_some_and(|these| these.stream_job().is_some());
        (!built_in || self.manifest.cuts_files()).then_some(Limits {
            no_device: (!one_part).then_some(NO_DEVICE),
            no_log: NO_LOG,
        })
    }

    /// The mill.
    fn mill(&self, ordered: bool, algorithms: Option<Algorithms>) -> Result<Mill, String> {
        match self.limits(algorithms) {
            None => self.engine.mill(ordered),
            Some(limits) if self.report.record.is_some() => Err(limits.no_log.into()),
            Some(limits) => limits.mill(&self.engine, ordered, Decode::default()),
        }
    }
}

/// Runs `gristmill digest`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &DigestArgs) -> Result<ExitCode, String> {
    if let Some(list) = &args.check.check {
        return check(args, list);
    }
    let algorithms = args.algorithms().unwrap_or(Algorithm::Blake3.into());
    if let Some(rows) = args.manifest.rows(args.rows.asked_format()) {
        return write_manifest(args, algorithms, &rows);
    }
    let format = args.format()?;
    let mill = args.mill(args.source.sorted(), Some(algorithms))?;
    let source = args.source.source()?;
    let mut output = args.rows.open(format, || Ok(digest_schema()))?;
    let report = args.report.with_rows(output.destination());
    let (_, mut end) = one_job::run(
        &mill,
        source,
        Arc::new(DigestJob::new(algorithms, args.rows(format, &algorithms))),
        &mut output,
        &report,
        args.source.estimate(),
    )?;
    output.finish(b"", &mut end);
    Ok(end.code(0))
}

/// Writes a manifest.
fn write_manifest(
    args: &DigestArgs,
    algorithms: Algorithms,
    rows: &RowsArgs,
) -> Result<ExitCode, String> {
    let mill = args.mill(args.source.sorted(), Some(algorithms))?;
    let source = args.source.source()?;
    let mut output = args.manifest.open(rows, algorithms, args.source.roots())?;
    let report = output.report(&args.report);
    let (job, estimate) = (Arc::clone(&output.job), args.source.estimate());
    let (_, mut end) = one_job::run(&mill, source, job, &mut output.rows, &report, estimate)?;
    output.finish(&mut end);
    Ok(end.code(0))
}

/// Digests beside other jobs.
struct DigestShare {
    job: Arc<DigestJob>,
    rows: Rows,
    limits: Option<Limits>,
}

impl DigestArgs {
    /// Where rows go.
    pub fn rows_to(&self) -> RowsArgs {
        let manifest = self.manifest.rows(self.rows.asked_format());
        manifest.unwrap_or_else(|| self.rows.clone())
    }

    /// The share of a run with other jobs, over the files below `roots`.
    ///
    /// # Errors
    /// A message, if the flags contradict each other or the output cannot be written.
    pub fn share(&self, roots: &[PathBuf]) -> Result<Box<dyn Share>, String> {
        let algorithms = self.algorithms().unwrap_or(Algorithm::Blake3.into());
        if let Some(rows) = self.manifest.rows(self.rows.asked_format()) {
            return Ok(Box::new(ManifestShare {
                output: self.manifest.open(&rows, algorithms, roots)?,
                limits: self.limits(Some(algorithms)),
            }));
        }
        let format = self.format()?;
        let rows = self.rows(format, &algorithms);
        Ok(Box::new(DigestShare {
            job: Arc::new(DigestJob::new(algorithms, rows)),
            rows: self.rows.open(format, || Ok(digest_schema()))?,
            limits: self.limits(Some(algorithms)),
        }))
    }
}

impl Share for DigestShare {
    fn task(&mut self) -> Task<'_> {
        Task::new(Arc::clone(&self.job), &mut self.rows)
    }

    fn destination(&self) -> Destination {
        self.rows.destination()
    }

    fn finish(self: Box<Self>, _name: &str, end: &mut End) -> Option<bool> {
        self.rows.finish(b"", end);
        None
    }

    fn limits(&self) -> Option<Limits> {
        self.limits
    }
}

/// Compares files with a list.
fn check(args: &DigestArgs, list: &Path) -> Result<ExitCode, String> {
    let algorithms = args.algorithms();
    let flags = &args.check;
    let format = args.format()?;
    let rows = args.rows(format, &Algorithms::default());
    if args.rows.are_given() && flags.status {
        return Err("--status writes no rows, so that they have no place or format; leave it out, or --output and --format".into());
    }
    let mut output = args.rows.open(format, || Ok(check_schema()))?;
    let report = args.report.with_rows(output.destination());
    // Verdicts come in the list's order, so that they can be read beside the list.
    // Where rows may have several algorithms, each file is hashed as its row says, which no device does.
    let mill = args.mill(true, algorithms.filter(|these| these.len() == 1))?;
    let live = signals::list(list)?;
    let reader = BufReader::new(live.clone());
    let (job, source) = DigestJob::check(reader, list.to_owned(), algorithms, rows);
    let job = Arc::new(job.shows(match (flags.status, flags.quiet) {
        (true, _) => Shows::Nothing,
        (_, true) => Shows::Failed,
        _ => Shows::All,
    }));
    let source = source
        .awaiting(live)
        .warn(flags.warn)
        .ignore_missing(flags.ignore_missing)
        .objects(stores());
    let (ran, mut end) = one_job::run(&mill, source, Arc::clone(&job), &mut output, &report, None)?;
    output.finish(b"", &mut end);
    if !flags.status {
        tell(&job, algorithms);
    }
    let listed = job.matched() + job.differing() + job.unread();
    let mut good = job.matched() > 0 && job.matched() == listed;
    if listed + job.missing() == 0 && !end.failed && !end.interrupted {
        messages::complain(&format!(
            "{}: no digests in the list; give one that `gristmill digest`, b3sum or a tool like sha256sum has written",
            list.display()
        ));
    } else if job.matched() == 0 && job.missing() > 0 && !flags.status {
        messages::complain(&format!("{}: no file was verified", list.display()));
    }
    good &= !(flags.strict && job.malformed() > 0);
    // Listed files that could not be read are part of the answer, as they are for sha256sum. Other failures are not: of
    // the list itself, of the output.
    if ran.failures > 0 {
        good = false;
        let lost = ran.record.is_err() || end.lost && !end.unread;
        end.failed = lost || ran.failures > job.unread();
    }
    // If the reader of the output went away, it has not seen the rows of all files, so the list does not count as
    // checked.
    Ok(end.code(u8::from(!good || end.unread)))
}

/// Says how many files are not as listed, and why that may be.
fn tell(job: &DigestJob, algorithms: Option<Algorithms>) {
    let (differing, unread) = (job.differing(), job.unread());
    let listed = job.matched() + differing + unread;
    match job.malformed() {
        0 => {}
        1 => messages::complain("1 line of the list is improperly formatted"),
        lines => messages::complain(&format!(
            "{lines} lines of the list are improperly formatted"
        )),
    }
    if unread > 0 {
        messages::complain(&format!(
            "{unread} of {listed} listed files could not be read"
        ));
    }
    if differing > 0 {
        let hint = if job.matched() == 0 && algorithms.is_none() && job.guessed() {
            "; digests of 64 digits were read as BLAKE3: if sha256sum wrote the list, give --algorithm sha256"
        } else {
            ""
        };
        messages::complain(&format!(
            "{differing} of {listed} files differ from the list{hint}"
        ));
    }
}
