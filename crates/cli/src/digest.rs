//! `gristmill digest`: the CRC-32C of each file, and the check of such a list.

use super::common::{self, ReportArgs};
use super::engine::EngineArgs;
use super::signals;
use super::sources::SourceArgs;
use gristmill::jobs::digest::{DigestJob, DigestRows};
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

/// Flags of `gristmill digest`.
#[derive(Debug, Clone, clap::Args)]
pub struct DigestArgs {
    #[command(flatten)]
    source: SourceArgs,

    /// Compare files with a list that `digest` has written; `-` is standard input. The exit code is 1 if some differ.
    #[arg(
        short = 'c',
        long,
        value_name = "LIST",
        conflicts_with_all = ["paths", "files_from", "globs", "ignore", "follow"]
    )]
    check: Option<PathBuf>,

    /// With --check, write nothing for files whose digest is as listed.
    #[arg(
        short = 'q',
        long,
        requires = "check",
        conflicts_with_all = ["paths", "files_from", "globs", "ignore", "follow"]
    )]
    quiet: bool,

    /// Write a JSON object for each file.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    engine: EngineArgs,

    #[command(flatten)]
    report: ReportArgs,
}

/// Runs `gristmill digest`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &DigestArgs) -> Result<ExitCode, String> {
    let rows = if args.json {
        DigestRows::Json
    } else {
        DigestRows::Text
    };
    let mut output = common::stdout()?;
    let Some(list) = &args.check else {
        let mill = args.engine.mill(args.source.sorted())?;
        let ended = common::run(
            &mill,
            args.source.source()?,
            Arc::new(DigestJob::new(rows)),
            &mut output,
            &args.report,
            args.source.estimate(),
        )?;
        return Ok(ended.code(0));
    };
    let live = signals::list(list)?;
    let reader = BufReader::new(live.clone());
    let (job, source) = DigestJob::check(reader, list.clone(), rows, args.quiet);
    let source = source.awaiting(live);
    let job = Arc::new(job);
    // Verdicts come in the list's order, so that they can be read beside the list.
    let mill = args.engine.mill(true)?;
    let ended = common::run(
        &mill,
        source,
        Arc::clone(&job),
        &mut output,
        &args.report,
        None,
    )?;
    let (differing, unread) = (job.differing(), job.unread());
    let listed = job.matched() + differing + unread;
    if unread > 0 {
        common::complain(&format!(
            "{unread} of {listed} listed files could not be read"
        ));
    }
    if differing > 0 {
        common::complain(&format!(
            "{differing} of {listed} files differ from the list"
        ));
    }
    if listed == 0 && !ended.failed && !ended.interrupted {
        common::complain(&format!(
            "{}: no digests in the list; give one that `gristmill digest` has written",
            list.display()
        ));
        return Ok(ExitCode::from(2));
    }
    // If the reader of the output went away, it has not seen the rows of all files, so the list does not count as
    // checked.
    Ok(ended.code(u8::from(differing > 0 || ended.unread)))
}
