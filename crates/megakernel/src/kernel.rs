//! The host's handle to a running kernel.

use crate::programs::ProgramTable;
use crate::tenant::TenantRegistry;
use crate::KernelError;
use gristmill_protocol::{control, debug, CONTROL_MIN_WORDS};
use gristmill_ring::{Completions, RecordMemory, Submitter};
use std::sync::atomic::Ordering;

/// Statistics about what a kernel has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// How often the kernel was launched: once, and once more each time a worker had left on a spent lease and was
    /// needed again.
    pub launches: u64,
    /// The number of leases that were spent, either by idle polls or by slots.
    pub leases: u64,
    /// The number of slots run.
    pub slots: u64,
    /// The number of slots that faulted.
    pub faults: u64,
    /// The number of slots that were parked: fences, slots of tenants over their quota, and LOAD_MISSes.
    pub parked: u64,
    /// The number of claims that went to a lower priority because that priority had waited long enough.
    pub aged_claims: u64,
    /// The number of slots run by each worker.
    pub slots_by_worker: Vec<u64>,
}

/// The functions that a kernel's handle needs from its back end.
pub(crate) trait Device: Send + Sync {
    fn stats(&self) -> KernelStats;
    /// Brings the counters in the control words up to date.
    fn mirror(&self);
    /// The reason why the kernel failed, if it has.
    fn failure(&self) -> Option<KernelError> {
        None
    }
    /// Ends every worker and waits for it.
    fn stop(&mut self) -> Result<(), KernelError>;
}

/// A running kernel. Dropping it shuts it down.
pub struct Kernel {
    pub(crate) submitter: Submitter,
    pub(crate) completions: Option<Completions>,
    pub(crate) records: RecordMemory,
    pub(crate) programs: ProgramTable,
    pub(crate) device: Box<dyn Device>,
}

impl Kernel {
    /// The handle that publishes slots.
    pub fn submitter(&self) -> &Submitter {
        &self.submitter
    }

    /// The handle that receives completions. It exists once: every later call returns `None`.
    pub fn take_completions(&mut self) -> Option<Completions> {
        self.completions.take()
    }

    /// The slots' record areas, by slot index.
    pub fn records(&self) -> &RecordMemory {
        &self.records
    }

    /// The programs, which can be loaded and unloaded while the kernel runs.
    pub fn programs(&self) -> &ProgramTable {
        &self.programs
    }

    /// The tenants.
    pub fn tenants(&self) -> TenantRegistry {
        TenantRegistry::new(self.submitter.control().clone())
    }

    /// The value of observable `index`, counted over all windows; `None` if the index is out of range.
    pub fn observable(&self, index: usize) -> Option<u32> {
        self.submitter
            .control()
            .get(CONTROL_MIN_WORDS.checked_add(index)?)
            .map(|word| word.load(Ordering::Acquire))
    }

    /// A control word with an index below 160, read after the counters were brought up to date; `None` if the index is
    /// out of range.
    pub fn control_word(&self, index: usize) -> Option<u32> {
        if index >= CONTROL_MIN_WORDS {
            return None;
        }
        self.device.mirror();
        self.submitter
            .control()
            .get(index)
            .map(|word| word.load(Ordering::Acquire))
    }

    /// The number of BATCH_FENCEs that have completed.
    pub fn epoch(&self) -> u32 {
        self.control_word(control::EPOCH).unwrap_or(0)
    }

    /// The records of the debug log, and how many were dropped because it was full.
    pub fn debug_log(&self) -> (Vec<[u32; debug::RECORD_WORDS]>, u32) {
        let words = self.submitter.debug_log();
        let cursor = words.first().map_or(0, |word| word.load(Ordering::Acquire));
        let (records, _) = words.get(1..).unwrap_or(&[]).as_chunks::<4>();
        let kept: Vec<_> = records
            .iter()
            .take(cursor as usize)
            .map(|record| std::array::from_fn(|index| record[index].load(Ordering::Relaxed)))
            .collect();
        let dropped = cursor - u32::try_from(kept.len()).unwrap_or(cursor);
        (kept, dropped)
    }

    /// The reason why the kernel failed, if it has: its device was lost, gave no sign of life, or wrote something that
    /// no device may write. Slots in flight will not complete.
    pub fn failure(&self) -> Option<KernelError> {
        let failed = self.device.failure();
        failed.or_else(|| self.submitter.failure().map(KernelError::from))
    }

    /// Cancels all slots, both current and future ones. A program or a stream opcode that is running ends within
    /// milliseconds; slots that have not begun, or that are published later, do not begin. All of these slots complete
    /// as FAULT with [`CANCELLED`](gristmill_protocol::fault::CANCELLED), so that soon nothing is in flight. Calling it
    /// again changes nothing.
    pub fn cancel(&self) {
        self.submitter.cancel();
    }

    /// Statistics about what the kernel has done so far.
    pub fn stats(&self) -> KernelStats {
        self.device.stats()
    }

    /// Ends the kernel. Running programs and stream opcodes are cancelled (see [`Kernel::cancel`]). Slots that no
    /// worker has claimed do not run; parked slots complete as faults.
    ///
    /// # Errors
    /// [`KernelError::Panicked`] if a worker panicked outside of a slot, and the error that [`Kernel::failure`]
    /// returns.
    pub fn shutdown(mut self) -> Result<(), KernelError> {
        self.cancel();
        self.device.stop()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.submitter.cancel();
        // Stopping twice is harmless. A destructor cannot return errors; `shutdown` does.
        drop(self.device.stop());
    }
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel")
            .field("submitter", &self.submitter)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
