//! The live ring: submission, claim and completion, with one writer for every shared word.
//!
//! # Who writes what
//!
//! | words | writer |
//! |---|---|
//! | slots (opcode, tenant, priority, args), STATUS while the host owns the slot | host |
//! | STATUS while a worker owns the slot | that worker |
//! | `ready[priority][..]`, `tail[priority]` | host, under the submitter's lock |
//! | completion entries | the worker that took the entry's ticket |
//! | slots of the IO queue | see `io` |
//! | heads, completion ticket, ages, fence counters | device (never shared with the host) |
//!
//! # A slot's life
//!
//! [`Submitter::try_acquire`] hands out a [`SlotToken`]: an empty slot that its holder alone may fill. Publishing
//! consumes the token. A worker's [`DeviceRing::claim`] gives a [`ClaimedSlot`]; completing consumes that. The host's
//! [`Completions::next`] gives the token back with the results. So no slot can be published twice, completed twice, or
//! overwritten while the device has it: the types do not allow it to be written down.
//!
//! # Ordering
//!
//! The host stores the slot, then the ready entry, then `tail` with release order: the doorbell. A worker loads `tail`
//! with acquire order, reads the ready entry, and only then takes the ticket by compare-and-swap on `head`. The entry
//! must be read first: once the ticket is taken, the slots behind it can complete and be published again, and the ready
//! ring may wrap around onto the entry. While the ticket is not taken the entry cannot change, as at most `slots`
//! tickets are in flight and the ring has as many entries.
//!
//! A worker stores its results with relaxed order and the entry's sequence number last, with release order; the host
//! loads the sequence number with acquire order. The completion ring has as many entries as there are slots, and a slot
//! is published again only after its entry was read, so no unread entry is overwritten.
//!
//! # Fences
//!
//! Every publication is stamped with a *generation*, in the upper half of its ready entry: the number of fences
//! published before it. A BATCH_FENCE carries in its args 2 and 3 how many slots have the generation that it closes,
//! and which that is; the next generation begins with the fence itself. Workers count finished slots per generation, so
//! a fence may complete when its generation's count is reached ([`DeviceRing::fence_ready`]); by induction everything
//! before it has finished too.
//!
//! # Sleeping
//!
//! A publisher that sees a sleeper takes the bell's lock and notifies. Sleeper and publisher each store (the sleeper
//! count, the tail), then a sequentially consistent fence, then load what the other stored: one of them sees the other.

mod io;

pub use io::{ClaimedIo, IoQueue, PendingIo};

use crate::memory::SharedWords;
use crate::sync::{
    fence, lock, Arc, AtomicU32, Condvar, Mutex,
    Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst},
};
use gristmill_protocol::io::{IO_SLOT_COUNT, IO_SLOT_WORDS};
use gristmill_protocol::{completion, control, debug, fault, opcode, priority::Priority, slot};
use gristmill_protocol::{
    PipelineError, ARG0_WORD, ARGS_PER_SLOT, CONTROL_MIN_WORDS, OPCODE_WORD, PRIORITY_WORD,
    SLOT_WORDS, STATUS_WORD, TENANT_WORD,
};
use std::time::{Duration, Instant};

/// Most slots that a live ring may have: ready entries carry the slot in 16 bits.
pub const MAX_SLOTS: u32 = 32_768;

/// Claims above a waiting lower priority after which that one goes next.
pub use gristmill_protocol::priority::AGEING_CLAIMS;

const PRIORITIES: usize = 5;

/// The next ring's number. The standard library's atomic also under loom: it orders nothing.
static NEXT_RING: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Sizes of a live ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingConfig {
    /// Slots: a power of two, 1 to [`MAX_SLOTS`].
    pub slots: u32,
    /// Tenants whose masks are opened, ids 0 and up.
    pub tenants: u32,
    /// Observable words behind the control words.
    pub observables: u32,
    /// Records that the debug log holds.
    pub debug_records: u32,
    /// Slots of the IO queue: requests for bytes that can be under way at a time, 0 to 64. With 0 there is no queue.
    pub io_slots: u32,
}

impl Default for RingConfig {
    /// 64 slots, one tenant, 64 observables, 64 debug records, no IO queue.
    fn default() -> Self {
        Self {
            slots: 64,
            tenants: 1,
            observables: 64,
            debug_records: 64,
            io_slots: 0,
        }
    }
}

/// Number of a slot in its ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlotIndex(u32);

impl SlotIndex {
    /// The number, from 0.
    pub fn get(self) -> u32 {
        self.0
    }
}

/// What the host puts into a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Submission {
    /// The opcode.
    pub opcode: u32,
    /// The tenant that the slot runs for.
    pub tenant: u32,
    /// The ready ring that it goes into.
    pub priority: Priority,
    /// All argument words; unused ones are zero.
    pub args: [u32; ARGS_PER_SLOT],
}

impl Submission {
    /// A submission of tenant 0 at normal priority. Arguments beyond the slot's twelve are not taken.
    pub fn new(opcode: u32, args: &[u32]) -> Self {
        let mut words = [0; ARGS_PER_SLOT];
        for (word, arg) in words.iter_mut().zip(args) {
            *word = *arg;
        }
        Self {
            opcode,
            tenant: 0,
            priority: Priority::Normal,
            args: words,
        }
    }
}

/// What a worker reports of a finished slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// [`fault::NONE`] for DONE; else the reason in the low half, a detail in the high half.
    pub fault: u32,
    /// Result words.
    pub results: [u32; 8],
    /// Records in the slot's area.
    pub records: u32,
    /// Flags of the completion entry.
    pub flags: u32,
}

impl Outcome {
    /// DONE, with one result word.
    pub fn value(result: u32) -> Self {
        let mut outcome = Self::default();
        outcome.results[0] = result;
        outcome
    }

    /// FAULT, for a reason of [`fault`].
    pub fn fault(reason: u32) -> Self {
        Self {
            fault: reason,
            ..Self::default()
        }
    }
}

/// Has its cache lines to itself (two, which are fetched together): what one side writes all the time must not slow down
/// what the other side reads.
#[repr(align(128))]
struct Apart<T>(T);

impl<T> std::ops::Deref for Apart<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A bell that threads sleep on.
struct Bell {
    sleepers: AtomicU32,
    lock: Mutex<()>,
    condition: Condvar,
}

impl Bell {
    fn new() -> Self {
        Self {
            sleepers: AtomicU32::new(0),
            lock: Mutex::new(()),
            condition: Condvar::new(),
        }
    }

    /// Wakes a sleeper, if there is any, after something was stored for it.
    #[inline]
    fn ring(&self, everyone: bool) {
        fence(SeqCst);
        if self.sleepers.load(Relaxed) != 0 {
            // A sleeper holds the lock from before it counted itself until it waits: it cannot miss this.
            drop(lock(&self.lock));
            if everyone {
                self.condition.notify_all();
            } else {
                self.condition.notify_one();
            }
        }
    }

    /// Sleeps until rung or timed out, unless `ready` already holds.
    fn sleep(&self, timeout: Duration, ready: impl Fn() -> bool) {
        let guard = lock(&self.lock);
        self.sleepers.fetch_add(1, Relaxed);
        fence(SeqCst);
        if !ready() {
            // One wait is enough: an early wake-up only makes the caller look again.
            drop(self.condition.wait_timeout(guard, timeout));
        }
        self.sleepers.fetch_sub(1, Relaxed);
    }
}

/// The submitter's private state.
struct HostState {
    tails: [u32; PRIORITIES],
    free: Vec<u32>,
    generation: u32,
    in_generation: u32,
    /// Slots published so far, and by slot the number of its last publication, from 1 on.
    published: u64,
    published_as: Vec<u64>,
}

struct Shared {
    /// Unique in the process, so that a token is known to belong here.
    id: u64,
    slots: u32,
    debug_records: u32,
    io_slots: u32,
    memory: RingMemory,
    /// Whether the device cannot ring `completed`.
    silent: bool,
    host: Apart<Mutex<HostState>>,
    io_host: Mutex<io::HostIo>,
    // Device memory from here on: the host never looks at it.
    heads: SharedWords,
    ages: Apart<[AtomicU32; PRIORITIES]>,
    aged_claims: AtomicU32,
    completion_ticket: SharedWords,
    /// Finished slots by generation, modulo 2 * slots.
    finished: SharedWords,
    debug_lock: Apart<Mutex<u32>>,
    /// By slot of the IO queue: whether somebody waits for its request's end.
    io_waited: Mutex<Vec<bool>>,
    doorbell: Apart<Bell>,
    completed: Apart<Bell>,
    /// Rung for the host when a request is published.
    asked: Apart<Bell>,
}

impl Shared {
    fn slot_word(&self, slot: u32, word: usize) -> &AtomicU32 {
        // In range: `slot` comes from a token or from a ready entry that was written from one, and `word` is one of the
        // protocol's constants below SLOT_WORDS.
        &self.memory.slots[slot as usize * SLOT_WORDS + word]
    }

    fn ready_entry(&self, priority: usize, ticket: u32) -> &AtomicU32 {
        &self.memory.ready[priority * self.slots as usize + (ticket & (self.slots - 1)) as usize]
    }

    fn finished_of(&self, generation: u32) -> &AtomicU32 {
        &self.finished[(generation & (2 * self.slots - 1)) as usize]
    }

    fn waiting(&self, priority: usize) -> bool {
        self.heads[priority].load(Relaxed) != self.memory.tails[priority].load(Acquire)
    }

    fn has_work(&self) -> bool {
        (0..PRIORITIES).any(|priority| self.waiting(priority))
    }
}

impl RingConfig {
    /// Checks the sizes.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for sizes out of range.
    pub fn check(&self) -> Result<(), PipelineError> {
        if self.slots > MAX_SLOTS || !self.slots.is_power_of_two() {
            return Err(PipelineError::InvalidArgument {
                what: "a ring whose slot count is not a power of two up to 32768",
                fix: "use a power of two, such as 64",
            });
        }
        if self.tenants as usize > control::TENANT_MASK_WORDS || self.observables > 1 << 24 {
            return Err(PipelineError::InvalidArgument {
                what: "more tenants than there are mask words, or too many observables",
                fix: "use at most 29 tenants and 16 million observables",
            });
        }
        if self.debug_records > 1 << 20 {
            return Err(PipelineError::InvalidArgument {
                what: "a debug log of more than a million records",
                fix: "use fewer",
            });
        }
        if self.io_slots > IO_SLOT_COUNT {
            return Err(PipelineError::InvalidArgument {
                what: "an IO queue of more than 64 slots",
                fix: "use fewer; requests that find no slot wait",
            });
        }
        Ok(())
    }
}

/// The words of a ring that host and device share.
#[derive(Debug, Clone)]
pub struct RingMemory {
    /// slots * 16 words.
    slots: SharedWords,
    /// 5 * slots words: slot index, and the generation's low half.
    ready: SharedWords,
    /// One line: the tails, a word that a back end may use to ask its workers for something, and how many requests of
    /// the IO queue the host has ended.
    tails: SharedWords,
    /// slots * 16 words.
    entries: SharedWords,
    control: SharedWords,
    debug: SharedWords,
    /// io_slots * 8 words.
    io: SharedWords,
}

impl RingMemory {
    /// Takes what a ring needs from `words`, part by part: slots, ready rings, tails, completion entries, control
    /// words, the debug log and the IO queue, in this order.
    ///
    /// # Errors
    /// What `words` returns.
    pub fn new(
        config: &RingConfig,
        mut words: impl FnMut(usize) -> Result<SharedWords, PipelineError>,
    ) -> Result<Self, PipelineError> {
        let [slots, ready, tails, entries, control, debug, io] = Self::lens(config);
        Ok(Self {
            slots: words(slots)?,
            ready: words(ready)?,
            tails: words(tails)?,
            entries: words(entries)?,
            control: words(control)?,
            debug: words(debug)?,
            io: words(io)?,
        })
    }

    /// Words of each part, in the order of [`RingMemory::new`].
    pub fn lens(config: &RingConfig) -> [usize; 7] {
        let slots = config.slots as usize;
        [
            slots * SLOT_WORDS,
            slots * PRIORITIES,
            PRIORITIES + 2,
            slots * completion::WORDS,
            CONTROL_MIN_WORDS + config.observables as usize,
            1 + config.debug_records as usize * debug::RECORD_WORDS,
            config.io_slots as usize * IO_SLOT_WORDS,
        ]
    }
}

/// Makes a live ring: the host's two ends and the device's.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] for sizes out of range; [`PipelineError::Backend`] where memory is not to be had.
pub fn live_ring(
    config: RingConfig,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    config.check()?;
    make(config, RingMemory::new(&config, SharedWords::map)?, false)
}

/// Makes a live ring in memory of the same configuration, all zero, for a device that claims for itself: the host keeps
/// the [`DeviceRing`] to look at what both see. Such a device rings no bell, so [`Completions::wait`] looks again and
/// again.
///
/// # Errors
/// As for [`live_ring`].
pub fn live_ring_over(
    config: RingConfig,
    memory: RingMemory,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    make(config, memory, true)
}

fn make(
    config: RingConfig,
    memory: RingMemory,
    silent: bool,
) -> Result<(Submitter, Completions, DeviceRing), PipelineError> {
    config.check()?;
    if memory.slots.len() != config.slots as usize * SLOT_WORDS
        || memory.io.len() != config.io_slots as usize * IO_SLOT_WORDS
    {
        return Err(PipelineError::InvalidArgument {
            what: "ring memory of another configuration",
            fix: "make it with the configuration of the ring",
        });
    }
    let slots = config.slots as usize;
    let shared = Arc::new(Shared {
        id: NEXT_RING.fetch_add(1, std::sync::atomic::Ordering::Relaxed),
        slots: config.slots,
        debug_records: config.debug_records,
        io_slots: config.io_slots,
        memory,
        silent,
        host: Apart(Mutex::new(HostState {
            tails: [0; PRIORITIES],
            free: (0..config.slots).rev().collect(),
            generation: 0,
            in_generation: 0,
            published: 0,
            published_as: vec![0; slots],
        })),
        io_host: Mutex::new(io::HostIo::new(config.io_slots)),
        heads: SharedWords::map(PRIORITIES)?,
        ages: Apart(std::array::from_fn(|_| AtomicU32::new(0))),
        aged_claims: AtomicU32::new(0),
        completion_ticket: SharedWords::map(1)?,
        finished: SharedWords::map(2 * slots)?,
        debug_lock: Apart(Mutex::new(0)),
        io_waited: Mutex::new(vec![false; config.io_slots as usize]),
        doorbell: Apart(Bell::new()),
        completed: Apart(Bell::new()),
        asked: Apart(Bell::new()),
    });
    let control = &shared.memory.control;
    control[control::TENANT_BASE].store(control::TENANT_MASK_BASE_VALUE, Relaxed);
    for tenant in 0..config.tenants as usize {
        control[control::TENANT_MASKS + tenant].store(u32::MAX, Relaxed);
    }
    for quota in 0..control::TENANT_QUOTA_WORDS {
        control[control::TENANT_QUOTAS + quota].store(control::DEFAULT_QUOTA, Relaxed);
    }
    Ok((
        Submitter {
            shared: Arc::clone(&shared),
        },
        Completions {
            shared: Arc::clone(&shared),
            cursor: 0,
        },
        DeviceRing { shared },
    ))
}

/// An empty slot that its holder alone may fill. Publishing consumes it; [`Submitter::release`] makes the slot free
/// for others. Dropping it retires the slot: it holds no pointer to its ring, as counting those would put a contended
/// cache line on the path of every slot.
#[must_use = "a dropped token retires its slot: publish it, or give it back with `Submitter::release`"]
pub struct SlotToken {
    ring: u64,
    slot: u32,
}

impl SlotToken {
    /// Which slot.
    pub fn index(&self) -> SlotIndex {
        SlotIndex(self.slot)
    }
}

impl std::fmt::Debug for SlotToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SlotToken({})", self.slot)
    }
}

/// The host's publishing end. Clones publish into the same ring.
#[derive(Clone)]
pub struct Submitter {
    shared: Arc<Shared>,
}

impl Submitter {
    /// An empty slot, or `None` while all are in use: that is the backpressure.
    pub fn try_acquire(&self) -> Option<SlotToken> {
        let slot = lock(&self.shared.host).free.pop()?;
        Some(SlotToken {
            ring: self.shared.id,
            slot,
        })
    }

    /// Makes an acquired slot free again. A token of another ring is not taken: that slot is retired.
    pub fn release(&self, token: SlotToken) {
        if token.ring == self.shared.id {
            lock(&self.shared.host).free.push(token.slot);
        }
    }

    /// Fills the token's slot and publishes it. In a BATCH_FENCE, args 2 and 3 are set by this function.
    ///
    /// # Errors
    /// The token, with the reason, when it belongs to another ring.
    pub fn publish(
        &self,
        token: SlotToken,
        submission: &Submission,
    ) -> Result<SlotIndex, (SlotToken, PipelineError)> {
        let shared = &*self.shared;
        if token.ring != shared.id {
            return Err((
                token,
                PipelineError::InvalidArgument {
                    what: "a slot token of another ring",
                    fix: "publish with the submitter that the token came from",
                },
            ));
        }
        let slot = token.slot;
        let priority = submission.priority.index();
        shared
            .slot_word(slot, OPCODE_WORD)
            .store(submission.opcode, Relaxed);
        shared
            .slot_word(slot, TENANT_WORD)
            .store(submission.tenant, Relaxed);
        shared
            .slot_word(slot, PRIORITY_WORD)
            .store(submission.priority.word(), Relaxed);
        for (index, arg) in submission.args.iter().enumerate() {
            shared
                .slot_word(slot, ARG0_WORD + index)
                .store(*arg, Relaxed);
        }

        let mut host = lock(&shared.host);
        let generation = if submission.opcode == opcode::BATCH_FENCE {
            shared
                .slot_word(slot, ARG0_WORD + 2)
                .store(host.in_generation, Relaxed);
            shared
                .slot_word(slot, ARG0_WORD + 3)
                .store(host.generation, Relaxed);
            host.in_generation = 0;
            host.generation = host.generation.wrapping_add(1);
            host.generation
        } else {
            host.generation
        };
        host.in_generation = host.in_generation.wrapping_add(1);
        host.published += 1;
        host.published_as[slot as usize] = host.published;
        shared
            .slot_word(slot, STATUS_WORD)
            .store(slot::PUBLISHED, Release);
        let ticket = host.tails[priority];
        shared
            .ready_entry(priority, ticket)
            .store(slot | (generation << 16), Relaxed);
        host.tails[priority] = ticket.wrapping_add(1);
        shared.memory.tails[priority].store(ticket.wrapping_add(1), Release);
        drop(host);
        shared.doorbell.ring(false);
        Ok(SlotIndex(slot))
    }

    /// How many slots were published so far.
    pub fn published(&self) -> u64 {
        lock(&self.shared.host).published
    }

    /// Whether the first `published` slots that were published have all completed: what they were to use is used no more.
    pub fn is_done(&self, published: u64) -> bool {
        let host = lock(&self.shared.host);
        (0..).zip(&host.published_as).all(|(slot, number)| {
            let status = self.shared.slot_word(slot, STATUS_WORD).load(Acquire);
            *number > published || matches!(status, slot::EMPTY | slot::DONE | slot::FAULT)
        })
    }

    /// The control words and observables.
    pub fn control(&self) -> &SharedWords {
        &self.shared.memory.control
    }

    /// The debug log's words.
    pub fn debug_log(&self) -> &SharedWords {
        &self.shared.memory.debug
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.shared.slots
    }

    /// Wakes every worker that sleeps, for instance after SHUTDOWN was set.
    pub fn wake_workers(&self) {
        self.shared.doorbell.ring(true);
    }

    /// STATUS of a slot as it stands, for reports; `None` where there is no such slot.
    pub fn status(&self, index: u32) -> Option<u32> {
        (index < self.shared.slots).then(|| self.shared.slot_word(index, STATUS_WORD).load(Acquire))
    }
}

impl std::fmt::Debug for Submitter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Submitter({} slots)", self.shared.slots)
    }
}

/// A finished slot, with its token for the next publication.
#[derive(Debug)]
pub struct Completion {
    /// The slot, empty again.
    pub token: SlotToken,
    /// [`slot::DONE`] or [`slot::FAULT`].
    pub status: u32,
    /// [`fault::NONE`], or the reason in the low half and a detail in the high half.
    pub fault: u32,
    /// Result words.
    pub results: [u32; 8],
    /// Records in the slot's area.
    pub records: u32,
    /// Flags, such as [`completion::FLAG_OVERFLOW`].
    pub flags: u32,
}

/// How long the host waits for a device that rings no bell before it looks again: at first, and at most.
const NAPS: (Duration, Duration) = (Duration::from_micros(20), Duration::from_millis(1));

/// Looks again and again whether `ready` holds, until `timeout`.
fn nap_until(timeout: Duration, ready: impl Fn() -> bool) {
    let begun = Instant::now();
    let mut nap = NAPS.0;
    while !ready() && begun.elapsed() < timeout {
        std::thread::sleep(nap.min(timeout));
        nap = (nap * 2).min(NAPS.1);
    }
}

/// The host's draining end: reads the completion ring in order, by sequence number.
pub struct Completions {
    shared: Arc<Shared>,
    cursor: u32,
}

impl Completions {
    fn entry(&self, word: usize) -> &AtomicU32 {
        let index = (self.cursor & (self.shared.slots - 1)) as usize;
        &self.shared.memory.entries[index * completion::WORDS + word]
    }

    /// Whether an entry is there to be read.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.entry(completion::SEQ).load(Acquire) == self.cursor.wrapping_add(1)
    }

    /// The next completion, or `None` where there is none yet. Never blocks.
    // Not an `Iterator`: `None` here means "not yet".
    #[allow(clippy::should_implement_trait)]
    #[inline]
    pub fn next(&mut self) -> Option<Completion> {
        if !self.is_ready() {
            return None;
        }
        let slot = self.entry(completion::SLOT).load(Relaxed);
        if self.shared.io_slots != 0 {
            self.shared.note_tenant(slot);
        }
        let mut results = [0; 8];
        for (index, result) in results.iter_mut().enumerate() {
            *result = self.entry(completion::RESULT0 + index).load(Relaxed);
        }
        let done = Completion {
            token: SlotToken {
                ring: self.shared.id,
                slot,
            },
            status: self.entry(completion::STATUS).load(Relaxed),
            fault: self.entry(completion::FAULT).load(Relaxed),
            results,
            records: self.entry(completion::RECORDS).load(Relaxed),
            flags: self.entry(completion::FLAGS).load(Relaxed),
        };
        self.cursor = self.cursor.wrapping_add(1);
        Some(done)
    }

    /// Sleeps until a completion may be there, or until `timeout`. May return early.
    pub fn wait(&self, timeout: Duration) {
        if !self.shared.silent {
            return self.shared.completed.sleep(timeout, || self.is_ready());
        }
        nap_until(timeout, || self.is_ready());
    }
}

impl std::fmt::Debug for Completions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Completions(at {})", self.cursor)
    }
}

/// A worker's own place for what claiming needs. One per worker.
#[derive(Debug, Default)]
pub struct Claimer {
    /// Slots that this worker has claimed.
    pub claimed: u64,
}

/// The device's end. Clones claim from the same ring.
#[derive(Clone)]
pub struct DeviceRing {
    shared: Arc<Shared>,
}

impl DeviceRing {
    /// Takes the next slot: by priority, with ageing. `None` where nothing is ready.
    #[inline]
    pub fn claim(&self, claimer: &mut Claimer) -> Option<ClaimedSlot<'_>> {
        let shared = &*self.shared;
        let mut aged = None;
        for priority in 1..PRIORITIES {
            if shared.ages[priority].load(Relaxed) >= AGEING_CLAIMS && shared.waiting(priority) {
                aged = Some(priority);
                break;
            }
        }
        let order = aged.into_iter().chain(0..PRIORITIES);
        for priority in order {
            if let Some((entry, ticket)) = self.take(priority) {
                if aged == Some(priority) {
                    shared.aged_claims.fetch_add(1, Relaxed);
                }
                if priority > 0 {
                    shared.ages[priority].store(0, Relaxed);
                }
                for lower in priority + 1..PRIORITIES {
                    if shared.waiting(lower) {
                        shared.ages[lower].fetch_add(1, Relaxed);
                    }
                }
                claimer.claimed += 1;
                return Some(self.claimed(entry, ticket));
            }
        }
        None
    }

    /// Takes one ticket of one priority.
    fn take(&self, priority: usize) -> Option<(u32, u32)> {
        let shared = &*self.shared;
        // With acquire, so that the tail is seen at least as it was when the head was moved here.
        let mut ticket = shared.heads[priority].load(Acquire);
        loop {
            if ticket == shared.memory.tails[priority].load(Acquire) {
                return None;
            }
            let entry = shared.ready_entry(priority, ticket).load(Relaxed);
            match shared.heads[priority].compare_exchange_weak(
                ticket,
                ticket.wrapping_add(1),
                AcqRel,
                Acquire,
            ) {
                Ok(_) => return Some((entry, ticket)),
                Err(now) => ticket = now,
            }
        }
    }

    fn claimed(&self, entry: u32, ticket: u32) -> ClaimedSlot<'_> {
        let shared = &*self.shared;
        let slot = entry & 0xFFFF;
        let word = |word: usize| shared.slot_word(slot, word).load(Relaxed);
        let mut args = [0; ARGS_PER_SLOT];
        for (index, arg) in args.iter_mut().enumerate() {
            *arg = word(ARG0_WORD + index);
        }
        let claimed = ClaimedSlot {
            slot,
            ticket,
            generation: entry >> 16,
            opcode: word(OPCODE_WORD),
            tenant: word(TENANT_WORD),
            priority: word(PRIORITY_WORD),
            args,
            ring: Some(self),
        };
        shared
            .slot_word(slot, STATUS_WORD)
            .store(slot::CLAIMED, Relaxed);
        claimed
    }

    /// Whether every slot that was published before this BATCH_FENCE has finished. Calling it for another opcode
    /// answers true.
    pub fn fence_ready(&self, claimed: &ClaimedSlot<'_>) -> bool {
        self.fence_reached(claimed.opcode, &claimed.args)
    }

    fn fence_reached(&self, opcode: u32, args: &[u32; ARGS_PER_SLOT]) -> bool {
        opcode != opcode::BATCH_FENCE || self.shared.finished_of(args[3]).load(Acquire) >= args[2]
    }

    /// Whether any slot waits to be claimed.
    #[inline]
    pub fn has_work(&self) -> bool {
        self.shared.has_work()
    }

    /// Sleeps until something is published, somebody wakes the workers, or `timeout`. May return early.
    pub fn sleep(&self, timeout: Duration, also: impl Fn() -> bool) {
        self.shared
            .doorbell
            .sleep(timeout, || self.has_work() || also());
    }

    /// How many slots of each priority were published, modulo 2^32; behind these five a word that the host may use to
    /// ask a device's workers for something, and how many requests of the IO queue it has ended, modulo 2^32.
    pub fn tails(&self) -> &SharedWords {
        &self.shared.memory.tails
    }

    /// Sleeps until something is published, somebody wakes the workers, or `timeout`, unless `ready` holds. May return
    /// early. For whoever launches a device that claims for itself: what that has claimed is not known here.
    pub fn sleep_unless(&self, timeout: Duration, ready: impl Fn() -> bool) {
        self.shared.doorbell.sleep(timeout, ready);
    }

    /// Wakes every sleeping worker.
    pub fn wake_workers(&self) {
        self.shared.doorbell.ring(true);
    }

    /// The control words and observables.
    pub fn control(&self) -> &SharedWords {
        &self.shared.memory.control
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.shared.slots
    }

    /// Claims that went to a lower priority because it had waited long enough.
    pub fn aged_claims(&self) -> u32 {
        self.shared.aged_claims.load(Relaxed)
    }

    /// Appends a record to the debug log; false where it was full: then the record is dropped, and counted.
    pub fn log(&self, record: [u32; debug::RECORD_WORDS]) -> bool {
        let shared = &*self.shared;
        let mut cursor = lock(&shared.debug_lock);
        let at = *cursor;
        let fits = at < shared.debug_records;
        if fits {
            let first = 1 + at as usize * debug::RECORD_WORDS;
            for (offset, word) in record.iter().enumerate() {
                shared.memory.debug[first + offset].store(*word, Relaxed);
            }
        }
        *cursor = at.saturating_add(1);
        shared.memory.debug[0].store(*cursor, Release);
        fits
    }
}

impl std::fmt::Debug for DeviceRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DeviceRing({} slots)", self.shared.slots)
    }
}

/// A slot that one worker owns. Completing consumes it; dropping it unfinished (a worker that panicked) completes it as
/// FAULT with [`fault::WORKER_PANICKED`], so that no slot is ever lost.
#[must_use = "a claimed slot that is dropped is completed as a fault"]
pub struct ClaimedSlot<'r> {
    slot: u32,
    ticket: u32,
    generation: u32,
    opcode: u32,
    tenant: u32,
    priority: u32,
    args: [u32; ARGS_PER_SLOT],
    ring: Option<&'r DeviceRing>,
}

impl ClaimedSlot<'_> {
    /// Which slot.
    pub fn index(&self) -> SlotIndex {
        SlotIndex(self.slot)
    }

    /// Its place in its priority's order of publication.
    pub fn ticket(&self) -> u32 {
        self.ticket
    }

    /// The opcode.
    pub fn opcode(&self) -> u32 {
        self.opcode
    }

    /// The tenant.
    pub fn tenant(&self) -> u32 {
        self.tenant
    }

    /// The priority's number.
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// The argument words.
    pub fn args(&self) -> &[u32; ARGS_PER_SLOT] {
        &self.args
    }

    /// Stores a passing status (WAIT_IO, YIELD, REQUEUE) while the slot is parked.
    pub fn set_status(&self, status: u32) {
        if let Some(ring) = self.ring {
            ring.shared
                .slot_word(self.slot, STATUS_WORD)
                .store(status, Relaxed);
        }
    }

    /// Finishes the slot: results, status, completion entry, sequence number last.
    #[inline]
    pub fn complete(mut self, outcome: &Outcome) {
        if let Some(ring) = self.ring.take() {
            self.finish(ring, outcome);
        }
    }

    /// Puts the slot aside without finishing it, for whoever resumes it: a fence that must wait, a tenant over its
    /// quota. `status` (WAIT_IO, YIELD, REQUEUE) is what the slot shows meanwhile.
    pub fn park(mut self, status: u32) -> ParkedSlot {
        self.set_status(status);
        ParkedSlot {
            ring: self.ring.take().cloned(),
            slot: self.slot,
            ticket: self.ticket,
            generation: self.generation,
            opcode: self.opcode,
            tenant: self.tenant,
            priority: self.priority,
            args: self.args,
        }
    }

    fn finish(&self, ring: &DeviceRing, outcome: &Outcome) {
        let shared = &*ring.shared;
        let status = if outcome.fault == fault::NONE {
            slot::DONE
        } else {
            slot::FAULT
        };
        shared
            .slot_word(self.slot, STATUS_WORD)
            .store(status, Release);
        let ticket = shared.completion_ticket[0].fetch_add(1, Relaxed);
        let base = (ticket & (shared.slots - 1)) as usize * completion::WORDS;
        let entry = |word: usize| &shared.memory.entries[base + word];
        entry(completion::SLOT).store(self.slot, Relaxed);
        entry(completion::STATUS).store(status, Relaxed);
        entry(completion::FAULT).store(outcome.fault, Relaxed);
        for (index, result) in outcome.results.iter().enumerate() {
            entry(completion::RESULT0 + index).store(*result, Relaxed);
        }
        entry(completion::RECORDS).store(outcome.records, Relaxed);
        entry(completion::FLAGS).store(outcome.flags, Relaxed);
        entry(completion::SEQ).store(ticket.wrapping_add(1), Release);
        if self.opcode == opcode::BATCH_FENCE {
            shared.finished_of(self.args[3]).store(0, Relaxed);
        }
        // After the ticket: a fence that waited for this slot then takes a later one, and the host sees it later.
        shared.finished_of(self.generation).fetch_add(1, AcqRel);
        shared.completed.ring(true);
    }
}

impl Drop for ClaimedSlot<'_> {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            self.finish(ring, &Outcome::fault(fault::WORKER_PANICKED));
        }
    }
}

impl std::fmt::Debug for ClaimedSlot<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ClaimedSlot({}, opcode {:#x})", self.slot, self.opcode)
    }
}

/// A claimed slot that was put aside. Dropping it completes it as FAULT, as dropping a [`ClaimedSlot`] does.
#[must_use = "a parked slot that is dropped is completed as a fault"]
pub struct ParkedSlot {
    ring: Option<DeviceRing>,
    slot: u32,
    ticket: u32,
    generation: u32,
    opcode: u32,
    tenant: u32,
    priority: u32,
    args: [u32; ARGS_PER_SLOT],
}

impl ParkedSlot {
    /// The tenant.
    pub fn tenant(&self) -> u32 {
        self.tenant
    }

    /// The opcode.
    pub fn opcode(&self) -> u32 {
        self.opcode
    }

    /// Whether this is a BATCH_FENCE that may complete now; true for every other opcode.
    pub fn fence_ready(&self) -> bool {
        self.ring
            .as_ref()
            .is_none_or(|ring| ring.fence_reached(self.opcode, &self.args))
    }

    /// The claimed slot again, on a worker of the same ring.
    ///
    /// # Errors
    /// The parked slot, when `ring` is another ring.
    pub fn resume(mut self, ring: &DeviceRing) -> Result<ClaimedSlot<'_>, ParkedSlot> {
        let same = self
            .ring
            .as_ref()
            .is_some_and(|own| Arc::ptr_eq(&own.shared, &ring.shared));
        if !same {
            return Err(self);
        }
        self.ring = None;
        ring.shared
            .slot_word(self.slot, STATUS_WORD)
            .store(slot::CLAIMED, Relaxed);
        Ok(self.claimed(ring))
    }

    fn claimed<'r>(&self, ring: &'r DeviceRing) -> ClaimedSlot<'r> {
        ClaimedSlot {
            slot: self.slot,
            ticket: self.ticket,
            generation: self.generation,
            opcode: self.opcode,
            tenant: self.tenant,
            priority: self.priority,
            args: self.args,
            ring: Some(ring),
        }
    }
}

impl Drop for ParkedSlot {
    fn drop(&mut self) {
        if let Some(ring) = self.ring.take() {
            drop(self.claimed(&ring));
        }
    }
}

impl std::fmt::Debug for ParkedSlot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ParkedSlot({}, opcode {:#x})", self.slot, self.opcode)
    }
}
