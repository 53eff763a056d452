//! `gristmill run`: a VIR0 program over files.

use super::destination::Destination;
use super::end::End;
use super::engine::EngineArgs;
use super::mill::share::Share;
use super::program::{refuse, IncludeArgs};
use super::report_args::ReportArgs;
use super::rows::{Format, Rows, RowsArgs};
use super::sources::SourceArgs;
use super::{advice, messages, one_job, stdout};
use gristmill::jobs::run::{RunJob, RunRows};
use gristmill::mill::Task;
use gristmill::program::Program;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Flags of `gristmill run`.
#[derive(Debug, Clone, clap::Args)]
pub struct RunArgs {
    /// The program: a .vasm text, or the output of `gristmill asm`
    program: PathBuf,

    #[command(flatten)]
    source: SourceArgs,

    /// Set an argument of the program to a number: decimal, hexadecimal with 0x, or negative. May be given several
    /// times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_arg)]
    arg: Vec<(String, u32)>,

    /// Write only the accumulators of all files together.
    #[arg(long)]
    total: bool,

    /// Write JSON: an object of type `record` for each record, of type `file` for each file with its accumulators by
    /// name, and of type `total` at the end. Values are integers; the field `shown` has them as the program defines,
    /// with units.
    #[arg(long)]
    json: bool,

    /// Write a table: a row for each file, with a column for each accumulator, and a row for all files together.
    /// Records are not written.
    #[arg(long, conflicts_with = "json")]
    table: bool,

    /// Run the program with several chunk sizes, and check whether the result depends on how files are cut. The exit
    /// code is 1 if it does. Only a checksum of each file's result is kept.
    #[arg(long, conflicts_with_all = ["total", "json", "table", "record"])]
    check: bool,

    /// With --check, write nothing if the results are the same.
    #[arg(short, long, requires = "check")]
    quiet: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    includes: IncludeArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    report: ReportArgs,
}

/// A number: decimal, hexadecimal, or negative.
fn parse_arg(text: &str) -> Result<(String, u32), String> {
    let wrong = || "write NAME=VALUE, with a number of 32 bits such as 10, 0xFF or -1".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(wrong)?;
    let (negative, digits) = match value.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16),
        None => digits.parse::<u32>(),
    };
    let number = number.map_err(|_| wrong())?;
    if negative && number > 1 << 31 {
        return Err(wrong());
    }
    Ok((
        name.to_owned(),
        if negative {
            number.wrapping_neg()
        } else {
            number
        },
    ))
}

/// Runs `gristmill run`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &RunArgs) -> Result<ExitCode, String> {
    let program = match Program::load(&args.includes.loader(), &args.program) {
        Ok(program) => program,
        Err(error) => return Ok(refuse(&error)),
    };
    if args.check && args.rows.are_given() {
        return Err("--check prints one verdict and has no rows of files; leave it out, or --output and --format".into());
    }
    if args.check {
        return check(args, &program);
    }
    let (format, rows) = args.format()?;
    let job = job(args, program, rows, None)?;
    let source = args.source.source()?;
    let mut output = args.open(format, &job)?;
    let report = args.report.with_rows(output.destination());
    let mut nothing = io::sink();
    let files: &mut dyn io::Write = if args.total {
        &mut nothing
    } else {
        &mut output
    };
    let (_, mut end) = one_job::run(
        &args.engine.mill(args.source.sorted())?,
        source,
        Arc::clone(&job),
        files,
        &report,
        args.source.estimate(),
    )?;
    output.finish(&args.last(&job, format), &mut end);
    Ok(end.code(0))
}

impl RunArgs {
    /// Where rows go.
    pub fn rows_to(&self) -> &RowsArgs {
        &self.rows
    }

    /// The format, and what is written of each file.
    fn format(&self) -> Result<(Format, RunRows), String> {
        let json = self.json.then_some(("--json", Format::Jsonl));
        let format = self.rows.format(json)?;
        if self.total && format.is_table() {
            return Err(format!(
                "--total is no row of {}, which has those of each file; leave it out, or take text or jsonl",
                format.name()
            ));
        }
        if self.table && format != Format::Text {
            let name = format.name();
            return Err(format!(
                "--table is text, and not {name}; leave one of them out"
            ));
        }
        let rows = match format {
            Format::Jsonl => RunRows::Json,
            Format::Text if self.table => RunRows::Aligned,
            _ if self.total => RunRows::None,
            format if format.is_table() => RunRows::Table,
            _ => RunRows::Text,
        };
        Ok((format, rows))
    }

    /// Opens the output.
    fn open(&self, format: Format, job: &RunJob) -> Result<Rows, String> {
        let mut output = self.rows.open(format, || Ok(job.schema()))?;
        if self.table {
            let heading = io::Write::write_all(&mut output, &job.aligned_heading());
            heading.map_err(|error| output.destination().lost(&error))?;
        }
        Ok(output)
    }

    /// The rows behind those of files.
    fn last(&self, job: &RunJob, format: Format) -> Vec<u8> {
        match self.total || self.table || format == Format::Jsonl {
            true => job.total_row(),
            false => Vec::new(),
        }
    }

    /// The share of a run with other jobs.
    ///
    /// # Errors
    /// A message, if the program is refused, the flags contradict each other, or the output cannot be written.
    pub fn share(&self) -> Result<Box<dyn Share>, String> {
        let program = Program::load(&self.includes.loader(), &self.program);
        let program = program.map_err(|error| advice::program(&error))?;
        let (format, rows) = self.format()?;
        let job = job(self, program, rows, None)?;
        Ok(Box::new(RunShare {
            rows: self.open(format, &job)?,
            args: self.clone(),
            job,
            format,
            nothing: io::sink(),
        }))
    }
}

/// A program beside other jobs.
struct RunShare {
    args: RunArgs,
    job: Arc<RunJob>,
    format: Format,
    rows: Rows,
    nothing: io::Sink,
}

impl Share for RunShare {
    fn task(&mut self) -> Task<'_> {
        let files: &mut dyn io::Write = if self.args.total {
            &mut self.nothing
        } else {
            &mut self.rows
        };
        Task::new(Arc::clone(&self.job), files)
    }

    fn destination(&self) -> Destination {
        self.rows.destination()
    }

    fn finish(self: Box<Self>, _name: &str, end: &mut End) -> Option<bool> {
        let last = self.args.last(&self.job, self.format);
        self.rows.finish(&last, end);
        None
    }
}

/// The job; for a check, with chunks of this size.
fn job(
    args: &RunArgs,
    program: Program,
    rows: RunRows,
    checked: Option<usize>,
) -> Result<Arc<RunJob>, String> {
    let mut builder = RunJob::builder(program).rows(rows);
    if let Some(size) = checked {
        builder = builder.max_chunk(size).sums(true);
    }
    let given = args.arg.iter();
    let builder = given.fold(builder, |builder, (name, value)| builder.arg(name, *value));
    builder
        .build()
        .map(Arc::new)
        .map_err(|error| advice::argument(&error))
}

/// The chunk sizes that are compared: from the alignment, or the smallest size that is not too slow, to the largest
/// that the program takes.
fn sizes(program: &Program) -> Vec<usize> {
    const LEAST: usize = 512;
    let program = program.verified().program();
    let (align, most) = (program.align as usize, program.chunk as usize);
    let unit = align.max(LEAST);
    // The multiples are not only powers of two.
    let mut sizes: Vec<usize> = [1, 3, 16, 37, 256]
        .into_iter()
        .map(|times| unit * times)
        .filter(|size| *size < most)
        .collect();
    if sizes.is_empty() && align < most {
        sizes.push(align);
    }
    sizes.push(most);
    sizes
}

fn check(args: &RunArgs, program: &Program) -> Result<ExitCode, String> {
    if args.source.is_stream() {
        return Err(
            "standard input can be read once, and --check reads several times; name files".into(),
        );
    }
    let mut first: Option<(usize, BTreeMap<PathBuf, u32>)> = None;
    let mut worst = 0;
    let mut differing = 0;
    let sizes = sizes(program);
    for &size in &sizes {
        let job = job(args, program.clone(), RunRows::None, Some(size))?;
        let engine = EngineArgs {
            // The mill's chunk size is in whole blocks, and it cuts chunks down to the size that the job takes.
            chunk_size: Some(size.next_multiple_of(4096)),
            ..args.engine.clone()
        };
        let (_, end) = one_job::run(
            &engine.mill(args.source.sorted())?,
            args.source.source()?,
            Arc::clone(&job),
            &mut io::sink(),
            &args.report,
            args.source.estimate(),
        )?;
        if end.interrupted {
            return Ok(end.code(0));
        }
        if end.failed {
            worst = 2;
        }
        let sums = job.sums();
        let Some((against, expected)) = &first else {
            first = Some((size, sums));
            continue;
        };
        for (path, sum) in &sums {
            if expected.get(path).is_some_and(|other| other != sum) {
                differing += 1;
                messages::complain(&format!(
                    "{}: chunks of {size} bytes give another result than chunks of {against}",
                    path.display()
                ));
            }
        }
    }
    let files = first.map_or(0, |(_, sums)| sums.len());
    let shown: Vec<String> = sizes.iter().map(usize::to_string).collect();
    if files == 0 {
        worst = 2;
        messages::complain(
            "no file was read, so that there is nothing to compare; name files that can be read",
        );
    }
    let verdict = if files == 0 {
        "no answers"
    } else if sizes.len() == 1 {
        "nothing to compare, as the program takes one size only: answers"
    } else if differing == 0 {
        "the same answers"
    } else {
        "different answers"
    };
    if args.quiet && differing == 0 {
        return Ok(ExitCode::from(worst));
    }
    let row = format!(
        "{verdict} from {files} files with chunks of {} bytes\n",
        shown.join(", ")
    );
    let mut output = stdout::open()?;
    stdout::written(io::Write::write_all(&mut output, row.as_bytes()))?;
    Ok(ExitCode::from(if worst == 0 && differing > 0 {
        1
    } else {
        worst
    }))
}
