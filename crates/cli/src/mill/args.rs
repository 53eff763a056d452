//! The flags of `gristmill mill`.

use crate::engine::EngineArgs;
use crate::report_args::ReportArgs;
use crate::sources::SourceArgs;
use std::path::PathBuf;

/// Flags of `gristmill mill`, for all its jobs.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
pub struct MillArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,

    /// Read the jobs, and paths and flags for all of them, from this TOML file. Jobs and flags on the command line come
    /// after those of the file; paths on the command line replace them. docs/mill.md describes the format.
    #[arg(long, value_name = "FILE")]
    pub(super) jobs: Option<PathBuf>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    #[command(flatten)]
    pub(super) report: ReportArgs,
}
