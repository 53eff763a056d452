//! The command-line tool. Each command has a file; `command` lists them, and makes parser, help, manual page and
//! completions from their flags. They share flags (`sources`, `select`, `engine`, `report_args`, `size`, `given`), how a
//! run goes (`one_job`, `session`, `signals`, `progress`, `end`), where its rows go (`rows`, `destination`, `outputs`,
//! `stdout`), what is said beside them (`messages`, `advice`, `report`, `collected`), and `manifest`, `objects`,
//! `letters`, `examples` and `manual`.
//!
//! A flag is defined in its command's file, or beside those that commands share.

#![forbid(unsafe_code)]

mod advice;
mod collected;
mod command;
mod compile;
mod destination;
mod diff;
mod digest;
mod doctor;
mod dupes;
mod end;
mod engine;
mod examples;
mod given;
mod ingest;
mod letters;
mod manifest;
mod manual;
mod messages;
mod mill;
mod objects;
mod one_job;
mod outputs;
mod program;
mod progress;
mod replay;
mod report;
mod report_args;
mod rows;
mod run;
mod scan;
mod select;
mod selftest;
mod session;
mod signals;
mod size;
mod sources;
mod stats;
mod stdout;

use clap::FromArgMatches;
use command::{definition, Cli, Command};
use gristmill::megakernel::vir0::vector::Level;
use std::process::ExitCode;

/// Lets the process open as many files as its hard limit allows: the soft limit is low only for programs that use
/// `select`. The number of files that a run has open depends on it.
fn raise_descriptor_limit() {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    // If that is refused, the soft limit remains, and a run keeps within it.
    let _ = setrlimit(Resource::Nofile, wanted);
}

/// Runs the tool with the arguments of the process.
fn main() -> ExitCode {
    raise_descriptor_limit();
    let (arguments, jobs) = mill::parse::split(std::env::args_os());
    let parsed = definition().try_get_matches_from(&arguments);
    let files = match parsed.as_ref().map(clap::ArgMatches::subcommand) {
        Ok(Some((_, given))) => objects::check_files(given),
        _ => Ok(()),
    };
    let parsed = parsed.and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = parsed.unwrap_or_else(|error| letters::refuse(error, &definition(), &arguments));
    if let Err(error) = files {
        messages::complain(&error);
        return ExitCode::from(2);
    }
    // If the vector unit that was asked for is not available, another must not silently replace it.
    if let Err(error) = Level::asked() {
        messages::complain(&error.to_string());
        return ExitCode::from(2);
    }
    let result = match cli.command {
        Command::Scan(args) => Ok(scan::run(&args)),
        Command::Compile(args) => Ok(compile::run(&args)),
        Command::Diff(args) => diff::run(&args),
        Command::Digest(args) => digest::run(&args),
        Command::Dupes(args) => dupes::run(&args),
        Command::Stats(args) => stats::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Mill(args) => Ok(mill::run(&args, &arguments, jobs)),
        Command::Ingest(args) => ingest::run(&args),
        Command::Asm(args) => program::assemble(&args),
        Command::Disasm(args) => program::disassemble(&args),
        Command::Verify(args) => program::check(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Selftest(args) => selftest::run(&args),
        Command::Man => stdout::print(&manual::page()).map(|()| ExitCode::SUCCESS),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut definition(), "gristmill", &mut text);
            stdout::print(&text).map(|()| ExitCode::SUCCESS)
        }
    };
    result.unwrap_or_else(|error| {
        messages::complain(&error);
        ExitCode::from(2)
    })
}
