//! The IO queue. The device uses it to request bytes from the host, and the host uses it to announce bytes that have
//! landed.
//!
//! A slot of the queue has 8 words. Its two directions never share a slot, and OP_TYPE tells which one it is:
//!
//! | direction | OP_TYPE | EMPTY to PUBLISHED | to CLAIMED | to the end |
//! |---|---|---|---|---|
//! | request | READ, WRITE, FENCE, or anything else but LANDED | device | host | host: OK or ERROR; then device: EMPTY |
//! | landing | LANDED | host | device | device: EMPTY |
//!
//! So the functions of one side cannot claim an entry meant for the other: [`claim_io_requests`] skips landings, and
//! [`take_landing`] skips requests. A request with an unknown operation is handed to the host like any other; the host
//! fails it, so that it does not stay in the queue. LANDED is Gristmill's addition to the protocol's three operations.
//!
//! Handles are indexes into tables that the host registered. A number that came from the device is looked up there, and
//! is never used as a file descriptor or an address.
//!
//! These functions work on images; the queue of a live ring is in `gristmill-ring`. For a request that failed, TAG
//! holds the error number. In a live ring TAG is the number of the slot that made the request, and BYTE_COUNT of a
//! served request is the number of bytes that were transferred. Landings are not used there: a chunk is announced by
//! the slot that names it.

use crate::{slot, words, PipelineError};
use alloc::vec::Vec;
use core::ops::Range;

numbers! {
    /// Sizes of a queue.
    pub LAYOUT {
        /// Words in a slot of the queue.
        IO_SLOT_WORDS: usize = 8;
        /// Slots that a queue has at most, and by default.
        IO_SLOT_COUNT: u32 = 64;
    }
}

/// Bytes in a slot of the queue.
pub const IO_SLOT_BYTES: usize = IO_SLOT_WORDS * words::WORD_BYTES;

/// Word numbers in a slot of the queue.
pub mod io_word {
    numbers! {
        /// Words of a slot of the queue.
        pub WORDS {
            /// What is asked for.
            OP_TYPE: usize = 0;
            /// Where bytes come from: an index into the host's table of sources.
            SRC_HANDLE: usize = 1;
            /// Where bytes go: an index into the host's table of destinations; of a landing, the mapped slot.
            DST_HANDLE: usize = 2;
            /// Offset in the source, low half.
            OFFSET_LO: usize = 3;
            /// Offset in the source, high half.
            OFFSET_HI: usize = 4;
            /// How many bytes.
            BYTE_COUNT: usize = 5;
            /// Whose turn it is.
            STATUS: usize = 6;
            /// The publisher's own number; of a request that failed, the error number.
            TAG: usize = 7;
        }
    }
}

/// Operations.
pub mod io_op {
    numbers! {
        /// Operations.
        pub OPS {
            /// Request: bytes from a source to a destination.
            READ: u32 = 1;
            /// Request: bytes from a destination's memory to a source's file.
            WRITE: u32 = 2;
            /// Request: completes when those before it have.
            FENCE: u32 = 3;
            /// Landing: bytes are in a mapped slot.
            LANDED: u32 = 4;
        }
    }
}

/// Statuses beyond those of [`slot`].
pub mod io_status {
    numbers! {
        /// Statuses beyond those of a slot of the ring.
        pub STATUSES {
            /// The request was served.
            OK: u32 = 0x10;
            /// The request failed; TAG holds the error number.
            ERROR: u32 = 0x11;
        }
    }
}

/// The error number of a failure that has none of its own: an input or output error.
pub const EIO: i32 = 5;

/// The error number of a request that nobody serves any more: Linux's ECANCELED.
pub const ECANCELED: i32 = 125;

/// What the device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IoRequest {
    /// The queue's slot.
    pub slot_idx: u32,
    /// The operation: a number of [`io_op`], or an unknown one.
    pub op_type: u32,
    /// Where bytes come from.
    pub src_handle: u32,
    /// Where bytes go.
    pub dst_handle: u32,
    /// Offset in the source, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub byte_count: u32,
    /// The device's own number.
    pub tag: u32,
}

impl IoRequest {
    /// The words of a queue slot that holds this request. Their status is EMPTY; the caller stores the status last.
    #[must_use]
    pub const fn encode(&self) -> [u32; IO_SLOT_WORDS] {
        let mut words = [0; IO_SLOT_WORDS];
        words[io_word::OP_TYPE] = self.op_type;
        words[io_word::SRC_HANDLE] = self.src_handle;
        words[io_word::DST_HANDLE] = self.dst_handle;
        (words[io_word::OFFSET_LO], words[io_word::OFFSET_HI]) = words::split(self.offset);
        words[io_word::BYTE_COUNT] = self.byte_count;
        words[io_word::STATUS] = slot::EMPTY;
        words[io_word::TAG] = self.tag;
        words
    }

    /// The request in slot `slot_idx` of a queue, from that slot's words. Nothing is validated here; that is up to the
    /// host.
    #[must_use]
    pub const fn decode(slot_idx: u32, words: &[u32; IO_SLOT_WORDS]) -> Self {
        Self {
            slot_idx,
            op_type: words[io_word::OP_TYPE],
            src_handle: words[io_word::SRC_HANDLE],
            dst_handle: words[io_word::DST_HANDLE],
            offset: words::join(words[io_word::OFFSET_LO], words[io_word::OFFSET_HI]),
            byte_count: words[io_word::BYTE_COUNT],
            tag: words[io_word::TAG],
        }
    }
}

/// A landing (bytes that lie in a mapped slot), or the parameters of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct IoCompletion {
    /// The queue's slot.
    pub slot_idx: u32,
    /// The mapped slot, or the request's destination.
    pub mapped_slot: u32,
    /// How many bytes.
    pub byte_count: u32,
    /// The publisher's own number.
    pub tag: u32,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IoOutcome {
    /// It was served.
    Served,
    /// It failed with this error number.
    Failed(i32),
}

impl From<bool> for IoOutcome {
    /// True for served, false for a failure without an error number: [`EIO`].
    fn from(served: bool) -> Self {
        if served {
            Self::Served
        } else {
            Self::Failed(EIO)
        }
    }
}

impl From<Result<(), i32>> for IoOutcome {
    fn from(outcome: Result<(), i32>) -> Self {
        outcome.map_or_else(Self::Failed, |()| Self::Served)
    }
}

/// An empty queue.
///
/// # Errors
/// [`PipelineError::QueueFull`] for no slots, or for more than [`IO_SLOT_COUNT`].
pub fn try_encode_empty_io_queue(slots: u32) -> Result<Vec<u8>, PipelineError> {
    let mut image = Vec::new();
    try_encode_empty_io_queue_into(slots, &mut image)?;
    Ok(image)
}

/// As [`try_encode_empty_io_queue`], but reuses the memory of `image` and overwrites its contents.
///
/// # Errors
/// As there, and `image` is as it was.
pub fn try_encode_empty_io_queue_into(
    slots: u32,
    image: &mut Vec<u8>,
) -> Result<(), PipelineError> {
    let bytes = usize::try_from(slots)
        .ok()
        .filter(|_| (1..=IO_SLOT_COUNT).contains(&slots))
        .map(|slots| slots * IO_SLOT_BYTES)
        .ok_or_else(|| refused("use 1 to 64 slots"))?;
    image.clear();
    image.resize(bytes, 0);
    Ok(())
}

/// The device's side: publishes a request in the empty slot `request.slot_idx`.
///
/// # Errors
/// [`PipelineError::QueueFull`] if the slot does not exist or is not EMPTY, and [`PipelineError::InvalidArgument`] for
/// LANDED, which is not a request. Nothing is stored then.
pub fn encode_io_request_into(
    io_queue_bytes: &mut [u8],
    request: &IoRequest,
) -> Result<(), PipelineError> {
    if request.op_type == io_op::LANDED {
        return Err(PipelineError::InvalidArgument {
            what: "a request with the operation LANDED",
            fix: "ask for READ, WRITE or FENCE, or publish a landing",
        });
    }
    publish(io_queue_bytes, request)
}

/// The host's side: announces bytes that have landed, in the empty slot `landing.slot_idx`.
///
/// # Errors
/// [`PipelineError::QueueFull`], and nothing is stored, if the slot does not exist or is not EMPTY.
pub fn encode_io_landing_into(
    io_queue_bytes: &mut [u8],
    landing: &IoCompletion,
) -> Result<(), PipelineError> {
    let words = IoRequest {
        slot_idx: landing.slot_idx,
        op_type: io_op::LANDED,
        src_handle: 0,
        dst_handle: landing.mapped_slot,
        offset: 0,
        byte_count: landing.byte_count,
        tag: landing.tag,
    };
    publish(io_queue_bytes, &words)
}

/// The host's side: the requests that wait to be claimed, in order of their slots.
///
/// # Errors
/// [`PipelineError::Decode`] for bytes that are no queue.
pub fn poll_io_requests(io_queue_bytes: &[u8]) -> Result<Vec<IoRequest>, PipelineError> {
    let mut requests = Vec::new();
    poll_io_requests_into(io_queue_bytes, &mut requests)?;
    Ok(requests)
}

/// As [`poll_io_requests`], but reuses the memory of `requests` and overwrites its contents.
///
/// # Errors
/// As there, and `requests` is as it was.
pub fn poll_io_requests_into(
    io_queue_bytes: &[u8],
    requests: &mut Vec<IoRequest>,
) -> Result<(), PipelineError> {
    let slots = slots(io_queue_bytes)?;
    requests.clear();
    requests.extend(
        slots
            .filter_map(|slot| read_slot(io_queue_bytes, slot))
            .filter(|read| read.status == slot::PUBLISHED && !read.is_landing())
            .map(|read| read.words),
    );
    Ok(())
}

/// The host's side: takes the requests that wait to be claimed. Each is handed out once.
///
/// # Errors
/// [`PipelineError::Decode`] for bytes that are no queue.
pub fn claim_io_requests(io_queue_bytes: &mut [u8]) -> Result<Vec<IoRequest>, PipelineError> {
    let mut requests = Vec::new();
    claim_io_requests_into(io_queue_bytes, &mut requests)?;
    Ok(requests)
}

/// As [`claim_io_requests`], but reuses the memory of `requests` and overwrites its contents.
///
/// # Errors
/// As there, and `requests` is as it was.
pub fn claim_io_requests_into(
    io_queue_bytes: &mut [u8],
    requests: &mut Vec<IoRequest>,
) -> Result<(), PipelineError> {
    poll_io_requests_into(io_queue_bytes, requests)?;
    for request in requests.iter() {
        set_status(io_queue_bytes, request.slot_idx, slot::CLAIMED);
    }
    Ok(())
}

/// The host's side: ends a request that it has claimed. `outcome` is an [`IoOutcome`], a bool, or a result with the
/// error number.
///
/// # Errors
/// [`PipelineError::Decode`] for bytes that are no queue; [`PipelineError::QueueFull`], and nothing stored, for a slot
/// that is not there or not a claimed request.
pub fn complete_io_request(
    io_queue_bytes: &mut [u8],
    slot: u32,
    outcome: impl Into<IoOutcome>,
) -> Result<(), PipelineError> {
    complete_io_requests_batch(io_queue_bytes, &[(slot, outcome.into())])
}

/// As [`complete_io_request`], for several: all of them or none.
///
/// # Errors
/// As there, for any of the requests, and also if a slot occurs twice in the batch.
pub fn complete_io_requests_batch<O: Copy + Into<IoOutcome>>(
    io_queue_bytes: &mut [u8],
    outcomes: &[(u32, O)],
) -> Result<(), PipelineError> {
    slots(io_queue_bytes)?;
    for (index, (slot, _)) in outcomes.iter().enumerate() {
        let claimed = read_slot(io_queue_bytes, *slot)
            .is_some_and(|read| read.status == slot::CLAIMED && !read.is_landing());
        let again = outcomes[..index].iter().any(|(other, _)| other == slot);
        if !claimed || again {
            return Err(refused("complete each request once, after it was claimed"));
        }
    }
    for (slot, outcome) in outcomes {
        let status = match (*outcome).into() {
            IoOutcome::Served => io_status::OK,
            IoOutcome::Failed(errno) => {
                let errno = errno.unsigned_abs();
                let stored = write_word(io_queue_bytes, *slot, io_word::TAG, errno);
                debug_assert!(stored, "the slot was checked");
                io_status::ERROR
            }
        };
        set_status(io_queue_bytes, *slot, status);
    }
    Ok(())
}

/// The device's side: takes the first landing that waits. Its slot is claimed until [`recycle`].
///
/// # Errors
/// [`PipelineError::Decode`] for bytes that are no queue.
pub fn take_landing(io_queue_bytes: &mut [u8]) -> Result<Option<IoCompletion>, PipelineError> {
    let landing = slots(io_queue_bytes)?
        .filter_map(|slot| read_slot(io_queue_bytes, slot))
        .find(|read| read.status == slot::PUBLISHED && read.is_landing());
    if let Some(read) = &landing {
        set_status(io_queue_bytes, read.words.slot_idx, slot::CLAIMED);
    }
    Ok(landing.map(|read| read.completion()))
}

/// The device's side: makes a slot EMPTY after the device has finished with it. The slot holds a landing that the
/// device took, or a request that has ended.
///
/// # Errors
/// [`PipelineError::Decode`] for bytes that are no queue; [`PipelineError::QueueFull`], and nothing stored, for any
/// other slot.
pub fn recycle(io_queue_bytes: &mut [u8], slot: u32) -> Result<(), PipelineError> {
    slots(io_queue_bytes)?;
    let finished = read_slot(io_queue_bytes, slot).is_some_and(|read| match read.status {
        slot::CLAIMED => read.is_landing(),
        io_status::OK | io_status::ERROR => !read.is_landing(),
        _ => false,
    });
    if !finished {
        return Err(refused(
            "recycle landings that were taken and requests that have ended",
        ));
    }
    set_status(io_queue_bytes, slot, slot::EMPTY);
    Ok(())
}

pub(crate) fn refused(fix: &'static str) -> PipelineError {
    PipelineError::QueueFull {
        queue: "io queue",
        fix,
    }
}

/// A slot as it stands.
pub(crate) struct ReadSlot {
    pub(crate) status: u32,
    pub(crate) words: IoRequest,
}

impl ReadSlot {
    pub(crate) fn is_landing(&self) -> bool {
        self.words.op_type == io_op::LANDED
    }

    pub(crate) fn completion(&self) -> IoCompletion {
        IoCompletion {
            slot_idx: self.words.slot_idx,
            mapped_slot: self.words.dst_handle,
            byte_count: self.words.byte_count,
            tag: self.words.tag,
        }
    }
}

/// The slots of a queue, or an error that says why the bytes are not a queue.
fn slots(bytes: &[u8]) -> Result<Range<u32>, PipelineError> {
    let count = u32::try_from(bytes.len() / IO_SLOT_BYTES).unwrap_or(u32::MAX);
    if !bytes.len().is_multiple_of(IO_SLOT_BYTES) || count > IO_SLOT_COUNT {
        return Err(PipelineError::Decode {
            what: "an io queue",
            offset: bytes.len(),
            fix: "hand in whole slots of 32 bytes, at most 64",
        });
    }
    Ok(0..count)
}

/// First word of a slot.
fn first_word(slot: u32) -> Option<usize> {
    usize::try_from(slot).ok()?.checked_mul(IO_SLOT_WORDS)
}

pub(crate) fn read_slot(bytes: &[u8], slot: u32) -> Option<ReadSlot> {
    let words: [u32; IO_SLOT_WORDS] = words::read_array(bytes, first_word(slot)?)?;
    Some(ReadSlot {
        status: words[io_word::STATUS],
        words: IoRequest::decode(slot, &words),
    })
}

fn write_word(bytes: &mut [u8], slot: u32, word: usize, value: u32) -> bool {
    first_word(slot).is_some_and(|first| words::write(bytes, first + word, value))
}

/// For slots that were read before.
fn set_status(bytes: &mut [u8], slot: u32, status: u32) {
    let stored = write_word(bytes, slot, io_word::STATUS, status);
    debug_assert!(stored, "the slot was read before");
}

/// Fills an empty slot, STATUS last.
fn publish(bytes: &mut [u8], request: &IoRequest) -> Result<(), PipelineError> {
    if slots(bytes).is_err() {
        return Err(refused("hand in whole slots of 32 bytes, at most 64"));
    }
    let slot = request.slot_idx;
    match read_slot(bytes, slot) {
        Some(read) if read.status == slot::EMPTY => {}
        Some(_) => return Err(refused("wait until the slot is recycled, or use another")),
        None => return Err(refused("use a slot that the queue has")),
    }
    let words = request.encode();
    let stored = first_word(slot).is_some_and(|first| words::write_all(bytes, first, &words));
    debug_assert!(stored, "the slot was read before");
    set_status(bytes, slot, slot::PUBLISHED);
    Ok(())
}
