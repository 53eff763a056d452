//! The command-line tool: a file for each command, and here what they share.

pub mod scan;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Stream files through io_uring into a persistent kernel: scan, digest and summarise more bytes than fit in memory.
#[derive(Debug, Parser)]
#[command(name = "gristmill", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find fixed strings, with ripgrep's flags and ripgrep's answers.
    Scan(scan::ScanArgs),
}

/// Runs the tool with the process's arguments.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Scan(args) => scan::run(&args),
    }
}
