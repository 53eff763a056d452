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

    /// Take the jobs from this TOML file, and paths and flags for all of them, too; those given here come behind them, and
    /// paths given here in their place. docs/mill.md says what it holds.
    #[arg(long, value_name = "FILE")]
    pub(super) jobs: Option<PathBuf>,

    #[command(flatten)]
    pub(super) engine: EngineArgs,

    #[command(flatten)]
    pub(super) report: ReportArgs,
}
