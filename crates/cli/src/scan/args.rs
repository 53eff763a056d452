//! The flags of `gristmill scan`, and what they say together.

use super::color::ColorWhen;
use super::context::ContextArgs;
use super::decoding::DecodingArgs;
use super::output::OutputArgs;
use super::patterns::{PatternArgs, Patterns};
use super::reading::ReadingArgs;
use super::refusal::Refusal;
use super::rules::args::RuleArgs;
use super::set::args::SetArgs;
use super::streams::stdin_is_readable;
use super::walk::WalkArgs;
use crate::advice;
use crate::engine::EngineArgs;
use crate::objects::any_url;
use crate::progress::Estimate;
use crate::report_args::ReportArgs;
use crate::rows::{Format, Rows, RowsArgs};
use crate::size::parse_size;
use crate::sources::file_list;
use gristmill::jobs::scan::{line_schema, Report, ScanJob, ScanJobBuilder};
use gristmill::jobs::sweep::findings::{FindingsReport, Format as FindingsFormat};
use gristmill::jobs::sweep::occurrence_schema;
use gristmill::rows::Schema;
use gristmill::source::Source;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The largest number of paths for which ripgrep maps files, if all of them are files.
const MAPPED_PATHS: usize = 10;

/// Flags of `gristmill scan`.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
#[command(group(clap::ArgGroup::new("judged").args(["rules", "set"]).multiple(true)))]
pub struct ScanArgs {
    /// The pattern to search for: a regex, or a string with -F. With -e, -f, --rules or --set, this argument is a path.
    #[arg(required_unless_present_any = ["patterns", "pattern_files", "rules", "set", "files", "type_list"])]
    pattern: Option<OsString>,

    /// Files and directories to search; `-` is standard input. URLs name objects and prefixes in object storage: s3://,
    /// gs://, az://, https://.
    ///
    /// Without a path, standard input is searched if it is a file or a pipe, and the current directory otherwise.
    paths: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) given: PatternArgs,

    #[command(flatten)]
    pub(super) rules: RuleArgs,

    #[command(flatten)]
    pub(super) set: SetArgs,

    #[command(flatten)]
    pub(super) reading: ReadingArgs,

    #[command(flatten)]
    pub(super) decoding: DecodingArgs,

    /// List every match of every pattern, as path, byte offset, length and pattern.
    ///
    /// Whole files are searched as bytes: lines and NULs have no special meaning, and patterns may contain newlines.
    /// For a string, every occurrence is a match, including overlapping ones. For a regex, the matches are those of a
    /// search for it alone over the whole file: `^` and `$` match only at its ends unless (?m) is given. Matches are
    /// ordered by where they end; those that end at the same byte, by the order of the patterns. With --json each match
    /// is a record of type `occurrence`.
    #[arg(long, conflicts_with_all = [
        "only_matching", "max_count", "line_number", "heading", "invert_match", "count_matches", "files_without_match",
        "include_zero", "column", "vimgrep", "max_columns", "max_columns_preview", "trim", "replace", "after_context",
        "before_context", "context", "passthru", "multiline",
    ])]
    pub(super) all: bool,

    /// With --all and --rules, the greatest length of a regex match. Where a longer match begins, an error is reported,
    /// and the regex is not searched for in the rest of the file. Text that begins like a match but never completes one
    /// is no error, unless it takes too many steps to find that out.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1M")]
    pub(super) max_match: usize,

    /// With --all, show each match with NUM bytes of its file before and after it, at most 4096.
    ///
    /// They are the columns `before`, `match` and `after` of a table, and the fields of the same names with --json.
    #[arg(long, value_name = "NUM", value_parser = clap::value_parser!(u64).range(..=4096))]
    pub(super) context_bytes: Option<u64>,

    /// Print the number of matching lines of each file that has any; with -o, the number of matches.
    ///
    /// If several of -c, --count-matches, -l, --files-without-match and --json are given, the last one applies.
    #[arg(short = 'c', long, overrides_with_all = ["count_matches", "files_with_matches", "files_without_match", "json"])]
    pub(super) count: bool,

    /// Print only the paths of files with a match.
    #[arg(short = 'l', long, overrides_with_all = ["count", "count_matches", "files_without_match", "json"])]
    pub(super) files_with_matches: bool,

    /// Print nothing, and exit at the first match: the exit code is the result. With --stats or --json everything is
    /// searched, and the totals are printed.
    #[arg(short = 'q', long)]
    pub(super) quiet: bool,

    /// Print only the matches, each in its own row.
    #[arg(short = 'o', long)]
    only_matching: bool,

    #[command(flatten)]
    pub(super) output: OutputArgs,

    #[command(flatten)]
    pub(super) context: ContextArgs,

    /// Stop searching a file after NUM matching lines.
    #[arg(short = 'm', long, value_name = "NUM")]
    pub(super) max_count: Option<u64>,

    /// Report a matching line longer than this as an error instead of printing it: a line is held in memory while it is
    /// printed.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "16M")]
    max_line: usize,

    /// The memory limit for the table of many patterns on the CPU, up to 1G; while the table is built, it takes up to
    /// twice as much.
    ///
    /// Patterns that need more are searched for with a filter over sampled q-grams, which large sets use anyway.
    /// --stats shows which engine searches, and how much memory it takes.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "128M")]
    table_size: usize,

    /// The memory limit for patterns and the data structures built from them, in addition to --table-size.
    ///
    /// Patterns that would take more, by an estimate, are refused before anything is built.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1G")]
    pub(super) set_memory: usize,

    /// Show line numbers. This is the default on a terminal.
    #[arg(short = 'n', long, overrides_with = "no_line_number")]
    line_number: bool,

    /// Show no line numbers.
    #[arg(short = 'N', long, overrides_with = "line_number")]
    no_line_number: bool,

    /// Show the byte offset of each line; with -o, of each match.
    #[arg(short = 'b', long)]
    byte_offset: bool,

    /// Show the path in every row. This is the default if more than one file may be searched.
    #[arg(short = 'H', long, overrides_with = "no_filename")]
    pub(super) with_filename: bool,

    /// Show no paths.
    #[arg(short = 'I', long, overrides_with = "with_filename")]
    pub(super) no_filename: bool,

    /// Show a file's path once, above its rows. This is the default on a terminal.
    #[arg(long, overrides_with = "no_heading")]
    heading: bool,

    /// Show paths in rows, not above them.
    #[arg(long, overrides_with = "heading")]
    no_heading: bool,

    /// End paths with a NUL instead of a colon or a newline.
    #[arg(short = '0', long)]
    pub(super) null: bool,

    /// When to colour: never, auto (on a terminal), always or ansi (the same as always).
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub(super) color: ColorWhen,

    /// Print ripgrep's JSON Lines: records of type begin, match, context, end and summary.
    #[arg(long, overrides_with_all = ["count", "count_matches", "files_with_matches", "files_without_match"])]
    pub(super) json: bool,

    #[command(flatten)]
    pub(super) rows_to: RowsArgs,

    /// The format that the flags ask for.
    #[arg(skip)]
    pub(super) format: Format,

    #[command(flatten)]
    pub(super) walk: WalkArgs,

    /// Search the files named in this list, one per line; `-` is standard input. They are treated like files named as
    /// arguments.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "files0_from"])]
    files_from: Option<PathBuf>,

    /// Search the files named in this list, each name terminated by a NUL, as in the output of `find -print0`; `-` is
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    files0_from: Option<PathBuf>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    #[command(flatten)]
    pub(super) ends: ReportArgs,
}

impl ScanArgs {
    /// The patterns.
    pub(super) fn patterns(&self) -> Result<Patterns, String> {
        if self.given.are_given() {
            return self.given.read();
        }
        let pattern = self.pattern.iter().map(|p| p.as_bytes().to_vec());
        Ok(Patterns::of_arguments(pattern.collect()))
    }

    /// The paths that were named.
    pub(super) fn named_paths(&self) -> Vec<PathBuf> {
        let no_pattern = self.given.are_given()
            || self.set.is_given()
            || self.rules.are_given()
            || self.walk.lists_files();
        let first = self.pattern.iter().filter(|_| no_pattern);
        first
            .map(PathBuf::from)
            .chain(self.paths.iter().cloned())
            .collect()
    }

    pub(super) fn report(&self) -> Report {
        match () {
            () if self.quiet && self.output.files_without_match => Report::QuietWithout,
            () if self.quiet => Report::Quiet,
            () if self.output.files_without_match => Report::PathsWithout,
            () if self.output.counts_matches() => Report::CountMatches,
            () if self.count && self.only_matching => Report::CountMatches,
            () if self.count || self.output.count_matches => Report::Count,
            () if self.files_with_matches => Report::Paths,
            () if self.only_matching => Report::Matches,
            () => Report::Lines,
        }
    }

    /// Whether rows name their file, for these paths.
    pub(super) fn shows_path(&self, paths: &[PathBuf]) -> bool {
        let only_stdin = paths == [Path::new("-")];
        let several = paths.len() != 1
            || any_url(paths)
            || (!only_stdin && paths.iter().any(|path| path.is_dir()));
        let wanted = self.with_filename || self.all || several || self.output.vimgrep;
        wanted && !self.no_filename
    }

    /// Whether ripgrep would search these paths with one thread.
    pub(super) fn one_thread(&self, paths: &[PathBuf]) -> bool {
        let one_file = match paths {
            _ if any_url(paths) => false,
            [path] => path == Path::new("-") || !path.is_dir(),
            _ => false,
        };
        self.walk.order().is_given() || one_file || self.engine.threads() == 1
    }

    /// The job, for the paths that are searched.
    pub(super) fn job(&self, patterns: Vec<Vec<u8>>, paths: &[PathBuf]) -> ScanJobBuilder {
        let terminal = self.rows_to.to_terminal();
        let only_stdin = paths == [Path::new("-")];
        let is_file = |path: &PathBuf| path.is_file();
        let numbers =
            self.json || self.line_number || (terminal && !only_stdin) || self.output.numbers();
        let job = self.decoding.apply(self.reading.apply(ScanJob::builder()));
        let maps = paths.len() <= MAPPED_PATHS && !paths.is_empty() && self.decoding.maps();
        self.context
            .apply(self.output.apply(job))
            .patterns(patterns)
            .all(self.all)
            .report(self.report())
            .with_path(self.shows_path(paths))
            .heading(self.headings())
            .sequential(self.one_thread(paths))
            .line_numbers(numbers && !self.no_line_number)
            .byte_offsets(self.byte_offset)
            .color(self.color.colors(terminal))
            .null(self.null)
            .json(self.json)
            .table(self.format.is_table())
            .limit(self.max_count)
            .max_line_bytes(self.max_line as u64)
            .table_bytes(self.table_size)
            .set_bytes(self.set_memory)
            .text(self.walk.text())
            .binary(self.walk.binary())
            .mapped(maps && paths.iter().all(is_file))
            .totals(self.ends.stats || self.json)
    }

    pub(super) fn headings(&self) -> bool {
        !self.no_heading
            && !self.all
            && !self.output.vimgrep
            && (self.heading || self.rows_to.to_terminal())
    }

    /// The flags with their format of rows.
    ///
    /// # Errors
    /// A message, if the flags ask for rows that have no such format.
    pub(super) fn with_format(&self) -> Result<Self, String> {
        let sarif = self.rules.sarif.then_some(("--sarif", Format::Text));
        let json = self.json.then_some(("--json", Format::Jsonl));
        let format = self.rows_to.format(sarif.or(json))?;
        let refused = [
            (self.quiet, "--quiet"),
            (self.walk.lists_files(), "--files"),
            (self.walk.lists_types(), "--type-list"),
        ];
        let refused = refused.iter().find(|(given, _)| *given);
        if let (true, Some((_, flag))) = (self.rows_to.are_given(), refused) {
            return Err(format!(
                "{flag} has no rows of a search; leave it out, or --output and --format"
            ));
        }
        if self.context_bytes.is_some() && !self.all && !self.set.is_given() {
            return Err("--context-bytes is for the matches of --all; give that, too".into());
        }
        if self.context_bytes.is_some() && format == Format::Text {
            return Err("--context-bytes shows nothing in rows of text; give --json, or --format csv, arrow or parquet".into());
        }
        let summaries = [
            (self.count, "--count"),
            (self.output.count_matches, "--count-matches"),
            (self.files_with_matches, "--files-with-matches"),
            (self.output.files_without_match, "--files-without-match"),
        ];
        let summary = summaries.iter().find(|(given, _)| *given);
        if let (true, Some((_, flag))) =
            (self.rows_to.are_given() && format != Format::Text, summary)
        {
            return Err(format!(
                "{flag} writes text, and the rows of {} are matches; leave one of them out",
                format.name()
            ));
        }
        let shaped = [
            (self.output.replaces(), "--replace"),
            (self.reading.is_multiline(), "--multiline"),
        ];
        let shaped = shaped.iter().find(|(given, _)| *given);
        if let (true, Some((_, flag))) = (format.is_table(), shaped) {
            return Err(format!(
                "{flag} has no rows of {}; leave it out, or take text or jsonl",
                format.name()
            ));
        }
        Ok(Self {
            json: format == Format::Jsonl,
            format,
            ..self.clone()
        })
    }

    /// The columns of a table of what patterns find.
    pub(super) fn schema(&self) -> Schema {
        match self.all {
            true => occurrence_schema(),
            false => line_schema(),
        }
    }

    /// Opens the output of rows, `schema` being that of a table.
    ///
    /// # Errors
    /// A message, if it cannot or must not be written.
    pub(super) fn open_rows(&self, schema: Schema) -> Result<Rows, String> {
        self.rows_to.open(self.format, || Ok(schema))
    }

    /// Nothing can be found: an output that was asked for has no rows.
    ///
    /// # Errors
    /// A message, if it cannot or must not be written.
    pub(super) fn write_nothing(&self, schema: Schema) -> Result<(), String> {
        match self.rows_to.are_given() {
            true => self.open_rows(schema)?.finish_empty(),
            false => Ok(()),
        }
    }

    /// The paths that are searched, and whether it is the current directory because none was named.
    pub(super) fn paths(&self) -> Result<(Vec<PathBuf>, bool), Refusal> {
        let mut paths = self.named_paths();
        let stdin = Path::new("-");
        let list = self.files_from.as_ref().or(self.files0_from.as_ref());
        let takes_stdin = self.given.take_stdin() && !self.walk.lists_files();
        let list_is_stdin = list.is_some_and(|list| list == stdin);
        if takes_stdin && (list_is_stdin || paths.iter().any(|path| path == stdin)) {
            return Err(Refusal::Line(
                "patterns are read from standard input, so nothing else can be; store one of them in a file"
                    .into(),
            ));
        }
        let default_directory = paths.is_empty() && list.is_none() && {
            let directory = self.walk.lists_files() || takes_stdin || !stdin_is_readable();
            paths.push(if directory { "./" } else { "-" }.into());
            directory
        };
        Ok((paths, default_directory))
    }

    /// The files, and what a progress display may add up.
    pub(super) fn source(
        &self,
        paths: Vec<PathBuf>,
        default_directory: bool,
    ) -> Result<(Box<dyn Source>, Option<Estimate>), Refusal> {
        let (lines, nul) = (self.files_from.as_deref(), self.files0_from.as_deref());
        if let Some(list) = file_list(lines, nul, self.walk.order())? {
            return Ok((Box::new(list), None));
        }
        let tree = self.walk.tree(paths, default_directory)?;
        let walk = tree.walk().map_err(|error| advice::glob(&error))?;
        Ok((Box::new(walk), Some(Estimate::new(tree))))
    }

    /// What is shown of findings.
    pub(super) fn findings_report(&self) -> FindingsReport {
        match () {
            () if self.quiet => FindingsReport::Quiet,
            () if self.count => FindingsReport::Count,
            () if self.files_with_matches => FindingsReport::Paths,
            () => FindingsReport::Each,
        }
    }

    /// How findings are written.
    pub(super) fn findings_format(&self) -> FindingsFormat {
        match () {
            () if self.format.is_table() => FindingsFormat::Table,
            () if self.rules.sarif => FindingsFormat::Sarif,
            () if self.json => FindingsFormat::Json,
            () => FindingsFormat::Text,
        }
    }
}
