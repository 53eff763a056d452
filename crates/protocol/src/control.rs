//! The control words, through which host and device exchange what no slot carries, and the observables that follow
//! them.
//!
//! TENANT_BASE, masks, quotas and PRIORITY_OFFSETS are the host's to write; the counters and the observables are the
//! device's. SHUTDOWN alone has two writers: the host, and the device for the opcode of that name (`opcode::SHUTDOWN`,
//! another number). Once the kernel runs, both only ever set it to 1. The functions here return `None` for a tenant id that
//! has no mask word, so that
//! no caller reads past the end of the table.

use crate::CONTROL_MIN_WORDS;
use core::ops::Range;

numbers! {
    /// Control words, how many there are of a kind, and what they hold at first.
    pub WORDS {
        /// Non-zero asks the kernel to leave after the slot in hand.
        SHUTDOWN: usize = 0;
        /// Slots finished.
        DONE_COUNT: usize = 1;
        /// Holds [`TENANT_MASK_BASE_VALUE`], the number of the first mask word.
        TENANT_BASE: usize = 2;
        /// What [`TENANT_BASE`] holds.
        TENANT_MASK_BASE_VALUE: u32 = 3;
        /// First tenant mask.
        TENANT_MASKS: usize = 3;
        /// Tenants that have a mask word.
        TENANT_MASK_WORDS: usize = 29;
        /// Mask of a tenant that may run everything; zero means that it may not run.
        TENANT_OPEN: u32 = u32::MAX;
        /// First tenant quota: slots that a tenant may have in flight.
        TENANT_QUOTAS: usize = 32;
        /// Quota words. Only those of tenants with a mask count.
        TENANT_QUOTA_WORDS: usize = 32;
        /// A quota that nobody has changed.
        DEFAULT_QUOTA: u32 = 1_000_000;
        /// First fairness counter, by tenant id modulo [`TENANT_FAIRNESS_WORDS`].
        TENANT_FAIRNESS: usize = 64;
        /// Fairness counters.
        TENANT_FAIRNESS_WORDS: usize = 32;
        /// First execution counter, by opcode.
        METRICS: usize = 96;
        /// Opcodes that have an execution counter: 0 and up.
        METRIC_WORDS: usize = 32;
        /// +1 by the device for each BATCH_FENCE that completes.
        EPOCH: usize = 128;
        /// First partition start: see [`priority`](crate::priority).
        PRIORITY_OFFSETS: usize = 129;
        /// Partition starts, and a sentinel.
        PRIORITY_OFFSET_WORDS: usize = 6;
        /// Claims that a lower priority got because it had waited long enough.
        PRIORITY_STARVATION: usize = 135;
        /// First claim counter, by priority.
        PRIORITY_FAIRNESS: usize = 136;
        /// Claim counters.
        PRIORITY_FAIRNESS_WORDS: usize = 5;
        /// First observable.
        OBSERVABLES: usize = CONTROL_MIN_WORDS;
        /// Most observables that a region may have (64 MiB of them).
        MAX_OBSERVABLES: u32 = 1 << 24;
    }
}

/// `first + index`, for an index below `count`.
fn word_of(first: usize, count: usize, index: u32) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    (index < count).then(|| first + index)
}

/// Word of a tenant's mask; `None` for a tenant that has none.
#[must_use]
pub fn mask_word(tenant: u32) -> Option<usize> {
    word_of(TENANT_MASKS, TENANT_MASK_WORDS, tenant)
}

/// Word of a tenant's quota; `None` for a tenant that has no mask, and so may not run at all.
#[must_use]
pub fn quota_word(tenant: u32) -> Option<usize> {
    word_of(TENANT_QUOTAS, TENANT_MASK_WORDS, tenant)
}

/// Word of the fairness counter that a tenant shares with those whose ids are equal modulo 32.
#[must_use]
pub fn fairness_word(tenant: u32) -> usize {
    let [.., low] = tenant.to_be_bytes();
    TENANT_FAIRNESS + usize::from(low) % TENANT_FAIRNESS_WORDS
}

/// Word of an opcode's execution counter; `None` for an opcode that has none.
#[must_use]
pub fn metric_word(opcode: u32) -> Option<usize> {
    word_of(METRICS, METRIC_WORDS, opcode)
}

/// Word of an observable, whatever the size of the region; `None` if the word's number does not fit in a `usize`.
#[must_use]
pub fn observable_word(index: u32) -> Option<usize> {
    OBSERVABLES.checked_add(usize::try_from(index).ok()?)
}

/// The observables of one open tenant. `open` is the number of open tenants, and `rank` is this tenant's position among
/// them by id. All windows have the same size, and observables left over by the division belong to no tenant. Returns
/// `None` for a rank that is out of range.
#[must_use]
pub fn observable_window(observables: u32, open: u32, rank: u32) -> Option<Range<u32>> {
    if rank >= open {
        return None;
    }
    let share = observables / open;
    let start = share * rank;
    Some(start..start + share)
}
