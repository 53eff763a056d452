//! The host's handle to a running kernel.

use crate::programs::ProgramTable;
use crate::tenant::TenantRegistry;
use crate::KernelError;
use gristmill_protocol::{control, debug, CONTROL_MIN_WORDS};
use gristmill_ring::{Completions, RecordMemory, Submitter};
use std::sync::atomic::Ordering;

/// What a kernel has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelStats {
    /// Times that the kernel was launched: once, and once more for each worker that left on a spent lease and was needed
    /// again.
    pub launches: u64,
    /// Leases that were spent, by polling or by slots.
    pub leases: u64,
    /// Slots run.
    pub slots: u64,
    /// Slots that faulted.
    pub faults: u64,
    /// Slots that waited aside: fences, tenants over their quota, and LOAD_MISSes.
    pub parked: u64,
    /// Claims that went to a lower priority because it had waited long enough.
    pub aged_claims: u64,
    /// Slots run by each worker.
    pub slots_by_worker: Vec<u64>,
}

/// What a kernel's handle needs of its back end.
pub(crate) trait Device: Send + Sync {
    fn stats(&self) -> KernelStats;
    /// Brings the counters in the control words up to date.
    fn mirror(&self);
    /// Why the kernel failed, where it has.
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
    /// The publishing end.
    pub fn submitter(&self) -> &Submitter {
        &self.submitter
    }

    /// The draining end, which exists once: `None` from the second call on.
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

    /// Observable `index`, counted over all windows; `None` out of range.
    pub fn observable(&self, index: usize) -> Option<u32> {
        self.submitter
            .control()
            .get(CONTROL_MIN_WORDS.checked_add(index)?)
            .map(|word| word.load(Ordering::Acquire))
    }

    /// A control word below 160, with the counters brought up to date first; `None` out of range.
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

    /// BATCH_FENCEs that have completed.
    pub fn epoch(&self) -> u32 {
        self.control_word(control::EPOCH).unwrap_or(0)
    }

    /// The debug log: its records, and how many were dropped because it was full.
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

    /// Why the kernel failed, where it has: its device was lost, gave no sign of life, or wrote what no device may write.
    /// Slots in flight will not complete.
    pub fn failure(&self) -> Option<KernelError> {
        let failed = self.device.failure();
        failed.or_else(|| self.submitter.failure().map(KernelError::from))
    }

    /// Cancels all slots, now and from now on: a program or a stream opcode that runs ends within milliseconds, and those
    /// that have not begun, or are published later, do not begin. Their slots complete
    /// as FAULT with [`CANCELLED`](gristmill_protocol::fault::CANCELLED), so that soon nothing is in flight. Calling it
    /// again changes nothing.
    pub fn cancel(&self) {
        self.submitter.cancel();
    }

    /// What the kernel has done so far.
    pub fn stats(&self) -> KernelStats {
        self.device.stats()
    }

    /// Ends the kernel. Programs and stream opcodes that run are cancelled ([`Kernel::cancel`]). Slots that no worker
    /// claimed do not run; parked ones complete as faults.
    ///
    /// # Errors
    /// [`KernelError::Panicked`] where a worker panicked outside of a slot, and what [`Kernel::failure`] says.
    pub fn shutdown(mut self) -> Result<(), KernelError> {
        self.cancel();
        self.device.stop()
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        self.submitter.cancel();
        // Stopping twice is harmless. Errors have nowhere to go here: `shutdown` returns them.
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
