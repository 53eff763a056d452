//! `gristmill mill`: several commands over files that are read once.

pub mod args;
mod file;
pub mod parse;
pub mod share;

use crate::command::{definition, Cli, Command};
use crate::rows::RowsArgs;
use crate::{messages, objects};
use args::MillArgs;
use clap::FromArgMatches;
use gristmill::decode::Decode;
use gristmill::mill::MAX_JOBS;
use parse::Written;
use share::Share;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs `gristmill mill`. `arguments` are those of the process before the first `+`.
pub fn run(args: &MillArgs, arguments: &[OsString], written: Vec<Written>) -> ExitCode {
    start(args, arguments, written).unwrap_or_else(|error| {
        messages::complain_in_lines(&error);
        ExitCode::from(2)
    })
}

/// As [`run`]. Of an error that shows a place in a text, the message has several lines.
fn start(
    args: &MillArgs,
    arguments: &[OsString],
    mut written: Vec<Written>,
) -> Result<ExitCode, String> {
    let read;
    let mut args = args;
    if let Some(path) = &args.jobs {
        let file = file::read(path)?;
        written.splice(0..0, file.jobs);
        let own_paths = args.source.are_named();
        let paths = if own_paths { Vec::new() } else { file.paths };
        // What is given on the command line comes last, and so wins.
        let all = arguments[..2].iter().cloned().chain(file.flags);
        let all = all.chain(arguments[2..].iter().cloned()).chain(paths);
        read = parsed(all.collect(), path)?;
        args = &read;
    }
    if written.is_empty() {
        return Err(
            "no jobs; write each behind a +, as in `gristmill mill src + digest --output sums.txt + stats`, or give --jobs"
                .into(),
        );
    }
    if written.len() > MAX_JOBS {
        return Err(format!(
            "{} jobs; give at most {MAX_JOBS}, and run the others after them",
            written.len()
        ));
    }
    let jobs = written.iter().map(|written| {
        let command = parse::job(written)?;
        Ok((written, command))
    });
    let jobs = jobs.collect::<Result<Vec<_>, String>>()?;
    let names = named(&jobs);
    let rows: Vec<Option<RowsArgs>> = jobs.iter().map(|(_, job)| rows_of(job)).collect();
    check_outputs(&names, &rows)?;
    let mut shares = Vec::new();
    for ((written, command), name) in jobs.iter().zip(names) {
        let told = |why: String| match &written.place {
            Some(place) => format!("{place}: {name}: {why}"),
            None => format!("`+ {name}`: {why}"),
        };
        let share: Box<dyn Share> = match command {
            Command::Scan(args) => args.share().map_err(told)?,
            Command::Digest(digest) => digest.share(args.source.roots()).map_err(told)?,
            Command::Stats(args) => args.share().map_err(told)?,
            Command::Run(args) => args.share().map_err(told)?,
            _ => continue,
        };
        if let (Some(limits), true) = (share.limits(), args.report.record.is_some()) {
            return Err(told(limits.no_log.to_owned()));
        }
        shares.push((name, share));
    }
    let (ordered, decode) = (args.source.sorted(), Decode::default());
    let on_cpu = shares
        .iter()
        .find_map(|(name, share)| Some((name, share.limits()?.no_device?)));
    let mill = match on_cpu {
        Some((name, why)) => {
            let refusal = format!("`+ {name}`: {why}");
            args.engine.mill_on_cpu(ordered, decode, &refusal)?
        }
        None if shares.iter().any(|(_, share)| share.limits().is_some()) => {
            args.engine.mill_shared(ordered, decode)?
        }
        None => args.engine.mill_that_decodes(ordered, decode)?,
    };
    let source = args.source.source()?;
    share::run(&mill, source, shares, &args.report, args.source.estimate())
}

/// The flags for all jobs, of which some stand in a file.
fn parsed(all: Vec<OsString>, path: &Path) -> Result<MillArgs, String> {
    let parsed = definition().try_get_matches_from(&all);
    let told = |text: String| format!("{}: {text}", path.display());
    let wrong = |error| told(parse::in_a_line(error, &all));
    let matches = parsed.map_err(wrong)?;
    if let Some((_, given)) = matches.subcommand() {
        objects::check_files(given).map_err(told)?;
    }
    match Cli::from_arg_matches(&matches).map(|cli| cli.command) {
        Ok(Command::Mill(args)) => Ok(args),
        Ok(_) => Err(told("not the flags of a mill".into())),
        Err(error) => Err(wrong(error)),
    }
}

/// A name for each job: its command, with a number where there are several of one.
fn named(jobs: &[(&Written, Command)]) -> Vec<String> {
    let name = |written: &Written| {
        let first = written.arguments.first();
        first.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    };
    let mut several: HashMap<String, usize> = HashMap::new();
    for (written, _) in jobs {
        *several.entry(name(written)).or_default() += 1;
    }
    let mut numbers: HashMap<String, usize> = HashMap::new();
    let names = jobs.iter().map(|(written, _)| {
        let name = name(written);
        if several[&name] == 1 {
            return name;
        }
        let number = numbers.entry(name.clone()).or_default();
        *number += 1;
        format!("{name} {number}")
    });
    names.collect()
}

/// Where a job's rows go; `None` of one that has none.
fn rows_of(job: &Command) -> Option<RowsArgs> {
    match job {
        Command::Scan(args) => args.rows_to().cloned(),
        Command::Digest(args) => Some(args.rows_to()),
        Command::Stats(args) => Some(args.rows_to().clone()),
        Command::Run(args) => Some(args.rows_to().clone()),
        _ => None,
    }
}

/// Checks that no two jobs write to the same place.
fn check_outputs(names: &[String], rows: &[Option<RowsArgs>]) -> Result<(), String> {
    let mut taken: HashMap<Option<PathBuf>, &String> = HashMap::new();
    for (name, rows) in names.iter().zip(rows) {
        let Some(rows) = rows else { continue };
        let place = rows.file().map(whole_path);
        if let Some(other) = taken.insert(place, name) {
            return Err(match rows.file() {
                Some(path) => format!(
                    "`+ {other}` and `+ {name}` both write to {}; give each a file of its own",
                    path.display()
                ),
                None => format!(
                    "`+ {other}` and `+ {name}` both write to standard output; give --output FILE to all jobs but one"
                ),
            });
        }
    }
    Ok(())
}

/// A path that is the same for two names of one file, where the file or its directory exists.
fn whole_path(path: &Path) -> PathBuf {
    if let Ok(whole) = std::fs::canonicalize(path) {
        return whole;
    }
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let parent = std::fs::canonicalize(parent.unwrap_or(Path::new(".")));
    match (parent, path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_owned(),
    }
}
