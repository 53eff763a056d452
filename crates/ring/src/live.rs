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
//! overwritten while the device has it: such code does not compile.
//!
//! # Ordering
//!
//! The host stores the slot, then the ready entry, then `tail` with release order: the doorbell. A worker loads `tail`
//! with acquire order, reads the ready entry, and only then takes the ticket by compare-and-swap on `head`. The entry
//! must be read first: once the ticket is taken, the slots behind it can complete and be published again, and the ready
//! ring may wrap around onto the entry. The entry cannot change before the ticket is taken, because at most `slots`
//! tickets are in flight and the ring has as many entries.
//!
//! A worker stores its results with relaxed order and the entry's sequence number last, with release order; the host
//! loads the sequence number with acquire order. The completion ring has as many entries as there are slots, and a slot
//! is published again only after its entry was read, so no unread entry is overwritten.
//!
//! # Fences
//!
//! Every publication is stamped with a *generation*, in the upper half of its ready entry: the number of fences
//! published before it. The arguments of a BATCH_FENCE hold the number of the generation that it closes, and how many
//! slots that generation has ([`FenceArgs`](gristmill_protocol::opcode::FenceArgs)). The fence itself is the first slot
//! of the next generation. Workers count the finished slots of each generation, so a fence may complete when the count
//! of its generation is reached ([`DeviceRing::fence_ready`]). By induction, everything published before it has then
//! finished too.
//!
//! Counters wrap around, so no code asks which of two counters is larger. It compares them for equality, or it uses
//! their difference, which is small because at most `slots` slots are in flight. [`RingConfig::counters_from`] lets
//! tests begin shortly before the wrap.
//!
//! # What the device writes
//!
//! A device may be broken, so the host checks what it reads from the device before it uses it. A completion must name a
//! slot that was published and has not completed since. Otherwise the ring is marked as broken and returns no more
//! completions ([`Completions::failure`]).
//!
//! # Cancelling
//!
//! [`Submitter::cancel`] tells the device, irrevocably, to stop running slots at once and not to begin published ones.
//! Opcodes that take long check for this while they run ([`DeviceRing::is_cancelled`]). Their slots complete as FAULT
//! with [`CANCELLED`](gristmill_protocol::fault::CANCELLED), so every slot completes soon.

mod create;
mod device;
mod event_count;
mod host;
mod host_io;
mod io;

pub use create::{live_ring, live_ring_over};
pub use device::{ClaimedSlot, Claimer, DeviceRing, ParkedSlot};
pub use host::{Completion, Completions, SlotToken, Submitter};
pub use io::{ClaimedIo, IoQueue, PendingIo};

use crate::memory::SharedWords;
use crate::sync::{
    AtomicU32, Mutex,
    Ordering::{Acquire, Relaxed},
};
use crossbeam_utils::CachePadded;
use event_count::EventCount;
use gristmill_protocol::completion::{self, RESULTS};
use gristmill_protocol::io::{IO_SLOT_COUNT, IO_SLOT_WORDS};
use gristmill_protocol::priority::{self, Priority};
use gristmill_protocol::{control, debug, opcode, tails};
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT, CONTROL_MIN_WORDS, SLOT_WORDS};
use host_io::HostIo;

pub use gristmill_protocol::priority::AGEING_CLAIMS;
pub use gristmill_protocol::ready::MAX_SLOTS;

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
    /// The initial value of the ring's wrapping counters: tails, heads, completion tickets, generations, and the
    /// fences' counts. The ring's behaviour does not depend on it, so tests begin shortly before the wrap.
    pub counters_from: u32,
}

impl Default for RingConfig {
    /// 64 slots, one tenant, 64 observables, 64 debug records, no IO queue, counters from 0.
    fn default() -> Self {
        Self {
            slots: 64,
            tenants: 1,
            observables: 64,
            debug_records: 64,
            io_slots: 0,
            counters_from: 0,
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
    /// A submission of tenant 0 at normal priority. Arguments after the twelfth are ignored.
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
    /// [`NONE`](gristmill_protocol::fault::NONE) for DONE; else the reason in the low half, a detail in the high half.
    pub fault: u32,
    /// Result words.
    pub results: [u32; RESULTS],
    /// Records in the slot's area.
    pub records: u32,
    /// Flags of the completion entry.
    pub flags: u32,
}

impl Outcome {
    /// DONE, with the one result of an opcode that needs no chunk.
    pub fn value(result: u32) -> Self {
        let mut outcome = Self::default();
        outcome.results[opcode::RESULT_VALUE] = result;
        outcome
    }

    /// FAULT, for a reason of [`fault`](gristmill_protocol::fault).
    pub fn fault(reason: u32) -> Self {
        Self {
            fault: reason,
            ..Self::default()
        }
    }
}

/// The submitter's private state.
struct HostState {
    tails: [u32; priority::COUNT],
    free: Vec<u32>,
    generation: u32,
    in_generation: u32,
    /// `published` counts the slots published so far; `published_as` holds, for each slot, the number of its last
    /// publication, starting at 1.
    published: u64,
    published_as: Vec<u64>,
}

struct Shared {
    /// Unique in the process, so that a token is known to belong here.
    id: u64,
    slots: u32,
    debug_records: u32,
    io_slots: u32,
    counters_from: u32,
    memory: RingMemory,
    /// Whether the device cannot notify `completed`.
    silent: bool,
    host: CachePadded<Mutex<HostState>>,
    /// For each slot: 1 from its publication until its completion was read. Only the host has this; no device sees it.
    in_flight: Vec<AtomicU32>,
    /// For each slot: the opcode and the tenant of its last publication. Only the host has this, too: a broken device
    /// may have changed the words of the slot itself.
    published: Vec<[AtomicU32; 2]>,
    /// The invalid data that the device has written, as an error. Once this is set, nothing more is read from the
    /// device.
    broken: std::sync::OnceLock<PipelineError>,
    io_host: Mutex<HostIo>,
    /// Not 0 while the host's end of the IO queue is dropped.
    io_closed: AtomicU32,
    // The fields from here on are the device's state: the host never reads it.
    heads: SharedWords,
    ages: CachePadded<[AtomicU32; priority::COUNT]>,
    aged_claims: AtomicU32,
    completion_ticket: SharedWords,
    /// Finished slots by generation, modulo 2 * slots.
    finished: SharedWords,
    debug_lock: CachePadded<Mutex<u32>>,
    /// For each slot of the IO queue: whether something waits for its request to end.
    io_waited: Mutex<Vec<bool>>,
    doorbell: CachePadded<EventCount>,
    completed: CachePadded<EventCount>,
    /// Notified when a request is published.
    asked: CachePadded<EventCount>,
}

impl Shared {
    /// The words of a slot. The index is in range: `slot` comes from a token, or from a ready entry, whose index is
    /// masked to the number of slots.
    fn slot(&self, slot: u32) -> &[AtomicU32; SLOT_WORDS] {
        &self.memory.slots.as_chunks().0[slot as usize]
    }

    /// The words of the completion entry that a ticket goes into.
    fn entry(&self, ticket: u32) -> &[AtomicU32; completion::WORDS] {
        &self.memory.entries.as_chunks().0[(ticket & (self.slots - 1)) as usize]
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

    /// The opcode and the tenant of a slot's last publication; `None` if there is no such slot.
    fn published_for(&self, slot: u32) -> Option<(u32, u32)> {
        let [opcode, tenant] = self.published.get(slot as usize)?;
        Some((opcode.load(Relaxed), tenant.load(Relaxed)))
    }

    fn cancelled(&self) -> bool {
        self.memory.tails[tails::CANCELLED].load(Relaxed) != 0
    }

    fn has_work(&self) -> bool {
        (0..priority::COUNT).any(|priority| self.waiting(priority))
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
        if self.tenants as usize > control::TENANT_MASK_WORDS
            || self.observables > control::MAX_OBSERVABLES
        {
            return Err(PipelineError::InvalidArgument {
                what: "more tenants than there are mask words, or too many observables",
                fix: "use at most 29 tenants and 16 million observables",
            });
        }
        if self.debug_records > debug::MAX_RECORDS {
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
    /// One cache line: the tails, a word with which a back end may ask its workers for something, the number of IO
    /// queue requests that the host has ended, and whether running slots must end at once.
    tails: SharedWords,
    /// slots * 16 words.
    entries: SharedWords,
    control: SharedWords,
    debug: SharedWords,
    /// io_slots * 8 words.
    io: SharedWords,
}

impl RingMemory {
    /// Calls `words` once for each part of a ring, in this order: slots, ready rings, tails, completion entries,
    /// control words, the debug log and the IO queue.
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
            slots * priority::COUNT,
            tails::LEN,
            slots * completion::WORDS,
            CONTROL_MIN_WORDS + config.observables as usize,
            debug::RECORDS + config.debug_records as usize * debug::RECORD_WORDS,
            config.io_slots as usize * IO_SLOT_WORDS,
        ]
    }
}
