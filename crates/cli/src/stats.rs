//! `gristmill stats`: bytes, lines, byte histogram and entropy.

use super::destination::Destination;
use super::end::End;
use super::engine::EngineArgs;
use super::mill::share::Share;
use super::one_job;
use super::report_args::ReportArgs;
use super::rows::{Format, Rows, RowsArgs};
use super::sources::SourceArgs;
use gristmill::jobs::stats::{stats_schema, Histogram, StatsJob, StatsRows, HEADER};
use gristmill::mill::Task;
use std::fmt::Write;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;

/// Flags of `gristmill stats`.
#[derive(Debug, Clone, clap::Args)]
pub struct StatsArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// Write only the total.
    #[arg(long)]
    total: bool,

    /// List how often each byte value occurs, in all files together: value, count, share. On a terminal, a bar chart is
    /// shown without this flag.
    #[arg(long)]
    histogram: bool,

    /// Write a JSON object for each file, with its histogram, and one for the total.
    #[arg(long, conflicts_with = "histogram")]
    json: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    report: ReportArgs,
}

impl StatsArgs {
    /// Where rows go.
    pub fn rows_to(&self) -> &RowsArgs {
        &self.rows
    }

    /// The format, and what is written of each file.
    fn format(&self) -> Result<(Format, StatsRows), String> {
        let text = self.histogram.then_some(("--histogram", Format::Text));
        let json = self.json.then_some(("--json", Format::Jsonl));
        let format = self.rows.format(text.or(json))?;
        let json = format == Format::Jsonl;
        if self.total && format.is_table() {
            return Err(format!(
                "--total is no row of {}, which has one for each file; leave it out, or take text or jsonl",
                format.name()
            ));
        }
        let rows = match (self.total, json) {
            (_, true) => StatsRows::Json,
            (true, false) => StatsRows::None,
            (false, false) if format.is_table() => StatsRows::Table,
            (false, false) => StatsRows::Text,
        };
        Ok((format, rows))
    }

    /// The share of a run with other jobs.
    ///
    /// # Errors
    /// A message, if the flags contradict each other or the output cannot be written.
    pub fn share(&self) -> Result<Box<dyn Share>, String> {
        let (format, rows) = self.format()?;
        let output = self.rows.open(format, || Ok(stats_schema()))?;
        Ok(Box::new(StatsShare {
            args: self.clone(),
            job: Arc::new(StatsJob::new(rows)),
            format,
            rows,
            headed: Headed::new(output),
            nothing: io::sink(),
        }))
    }

    /// The rows behind those of files; `header` says that none had the names of columns above it.
    fn last(&self, job: &StatsJob, format: Format, header: bool) -> Vec<u8> {
        let mut last = match header && format != Format::Jsonl {
            true => HEADER.to_vec(),
            false => Vec::new(),
        };
        last.extend(job.total_row());
        let (_, histogram) = job.total();
        if self.histogram {
            last.extend(table(&histogram).as_bytes());
        } else if format == Format::Text && self.rows.to_terminal() {
            last.extend(chart(&histogram).as_bytes());
        }
        last
    }
}

/// Statistics beside other jobs.
struct StatsShare {
    args: StatsArgs,
    job: Arc<StatsJob>,
    format: Format,
    rows: StatsRows,
    headed: Headed<Rows>,
    nothing: io::Sink,
}

impl Share for StatsShare {
    fn task(&mut self) -> Task<'_> {
        let files: &mut dyn io::Write = match (self.args.total, self.rows) {
            (true, _) => &mut self.nothing,
            (false, StatsRows::Text) => &mut self.headed,
            (false, _) => &mut self.headed.output,
        };
        Task::new(Arc::clone(&self.job), files)
    }

    fn destination(&self) -> Destination {
        self.headed.output.destination()
    }

    fn finish(self: Box<Self>, _name: &str, end: &mut End) -> Option<bool> {
        let last = self.args.last(&self.job, self.format, !self.headed.begun);
        self.headed.output.finish(&last, end);
        None
    }
}

/// Runs `gristmill stats`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &StatsArgs) -> Result<ExitCode, String> {
    let (format, rows) = args.format()?;
    let job = Arc::new(StatsJob::new(rows));
    let source = args.source.source()?;
    let mut output = args.rows.open(format, || Ok(stats_schema()))?;
    let report = args.report.with_rows(output.destination());
    let mut nothing = io::sink();
    let mut headed = Headed::new(&mut output);
    let files: &mut dyn io::Write = match (args.total, rows) {
        (true, _) => &mut nothing,
        (false, StatsRows::Text) => &mut headed,
        (false, _) => headed.output,
    };
    let (_, mut end) = one_job::run(
        &args.engine.mill(args.source.sorted())?,
        source,
        Arc::clone(&job),
        files,
        &report,
        args.source.estimate(),
    )?;
    let last = args.last(&job, format, !headed.begun);
    output.finish(&last, &mut end);
    Ok(end.code(0))
}

/// Rows with the names and units of their columns above them.
struct Headed<W> {
    output: W,
    begun: bool,
}

impl<W> Headed<W> {
    fn new(output: W) -> Self {
        Self {
            output,
            begun: false,
        }
    }
}

impl<W: io::Write> io::Write for Headed<W> {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if !std::mem::replace(&mut self.begun, true) {
            self.output.write_all(HEADER)?;
        }
        self.output.write(rows)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// A byte value in readable form.
fn shown(value: u8) -> String {
    match value {
        b'\n' => "\\n".into(),
        b'\r' => "\\r".into(),
        b'\t' => "\\t".into(),
        b' ' => "' '".into(),
        graphic if graphic.is_ascii_graphic() => char::from(graphic).to_string(),
        _ => String::new(),
    }
}

fn share(count: u64, total: u64) -> f64 {
    100.0 * count as f64 / (total.max(1)) as f64
}

/// A table of all values that occur: value, character, count, share.
fn table(histogram: &Histogram) -> String {
    let total = histogram.bytes();
    let mut text = format!("value    {:>15} {:>7}\n", "count", "share");
    for (value, count) in (0..=u8::MAX).zip(histogram.counts()) {
        if *count > 0 {
            let _ = writeln!(
                text,
                "0x{value:02x} {:<3} {count:>15} {:>7.3} %",
                shown(value),
                share(*count, total)
            );
        }
    }
    text
}

/// A bar chart; each bar stands for eight values.
fn chart(histogram: &Histogram) -> String {
    const WIDTH: u128 = 50;
    let total = histogram.bytes();
    let groups: Vec<u64> = histogram
        .counts()
        .chunks(8)
        .map(|group| group.iter().sum())
        .collect();
    let most = groups.iter().copied().max().unwrap_or(0).max(1);
    let mut text = String::new();
    for (index, count) in groups.iter().enumerate() {
        let first = index * 8;
        let names: String = (first..first + 8)
            .filter_map(|value| u8::try_from(value).ok())
            .map(|value| {
                if value.is_ascii_graphic() {
                    char::from(value)
                } else {
                    '.'
                }
            })
            .collect();
        let length = (u128::from(*count) * WIDTH).div_ceil(u128::from(most));
        let bar: String = (0..length).map(|_| '#').collect();
        let row = format!(
            "0x{first:02x}..0x{:02x} {names} {:>6.2} % {bar}",
            first + 7,
            share(*count, total)
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
