//! What a case is: a name and a function, the context that it is given, and how it ends.

use fastrand::Rng;
use gristmill_megakernel::{Backend, KernelError};
use gristmill_protocol::PipelineError;
use std::time::Duration;

/// How long a case waits for one answer of the kernel before it fails. Only time in which no thread of this process
/// waits for a processor is counted ([`Clock`](gristmill_megakernel::backend::device::Clock)).
pub const LIMIT: Duration = Duration::from_secs(30);

/// The context of all cases.
pub struct Suite<'a> {
    pub backend: &'a dyn Backend,
    pub seed: u64,
}

impl Suite<'_> {
    /// A case's own stream of random numbers; `salt` keeps the streams of different cases apart.
    pub fn numbers(&self, salt: u64) -> Rng {
        Rng::with_seed(self.seed ^ salt << 48)
    }
}

/// The reason why a case ended early.
pub enum Stop {
    Failed(String),
    Skipped(String),
}

impl From<PipelineError> for Stop {
    fn from(error: PipelineError) -> Self {
        Stop::Failed(error.to_string())
    }
}

impl From<KernelError> for Stop {
    fn from(error: KernelError) -> Self {
        Stop::Failed(error.to_string())
    }
}

/// The outcome of a case: what it ran, or why it stopped.
pub type Checked = Result<String, Stop>;

/// A case: its name within its theme, and its function.
pub type Case = (&'static str, fn(&Suite<'_>) -> Checked);
