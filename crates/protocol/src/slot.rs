//! A slot: 16 words (64 bytes, one cache line) in which a host asks for one execution of an opcode.
//!
//! The host owns a slot while its status is [`EMPTY`], [`DONE`] or [`FAULT`]; from [`PUBLISHED`] on the device owns it.
//! STATUS is stored last by whoever hands the slot over.

use crate::{words, PipelineError};

/// Words in a slot.
pub const SLOT_WORDS: usize = 16;
/// Bytes in a slot.
pub const SLOT_BYTES: usize = SLOT_WORDS * words::WORD_BYTES;
/// Most slots that an image may have (64 MiB of them).
pub const MAX_IMAGE_SLOTS: u32 = 1 << 20;

/// Word of the status.
pub const STATUS_WORD: usize = 0;
/// Word of the opcode.
pub const OPCODE_WORD: usize = 1;
/// Word of the tenant id.
pub const TENANT_WORD: usize = 2;
/// Word of the priority.
pub const PRIORITY_WORD: usize = 3;
/// First argument word.
pub const ARG0_WORD: usize = 4;
/// Argument words in a slot.
pub const ARGS_PER_SLOT: usize = 12;

/// Free: the host may publish into it.
pub const EMPTY: u32 = 0;
/// Handed to the device, and not yet claimed.
pub const PUBLISHED: u32 = 1;
/// A worker runs it.
pub const CLAIMED: u32 = 2;
/// Finished; the host may publish into it.
pub const DONE: u32 = 3;
/// Parked until bytes have landed that it asked for.
pub const WAIT_IO: u32 = 4;
/// Parked, to let others run.
pub const YIELD: u32 = 5;
/// Parked, to be claimed again.
pub const REQUEUE: u32 = 6;
/// Failed; the host may publish into it once the fault has been reported.
pub const FAULT: u32 = 7;

/// A status by name, for reports; "unknown" for a number that is none.
#[must_use]
pub const fn status_name(status: u32) -> &'static str {
    match status {
        EMPTY => "EMPTY",
        PUBLISHED => "PUBLISHED",
        CLAIMED => "CLAIMED",
        DONE => "DONE",
        WAIT_IO => "WAIT_IO",
        YIELD => "YIELD",
        REQUEUE => "REQUEUE",
        FAULT => "FAULT",
        _ => "unknown",
    }
}

/// Whether a host may publish into a slot of this status. A faulted slot must be acknowledged first.
#[must_use]
pub const fn is_publishable(status: u32) -> bool {
    matches!(status, EMPTY | DONE)
}

/// All words of one slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SlotImage {
    /// The status, a constant of this module.
    pub status: u32,
    /// The opcode.
    pub opcode: u32,
    /// The tenant id.
    pub tenant: u32,
    /// The priority's number.
    pub priority: u32,
    /// The argument words; unused ones are zero.
    pub args: [u32; ARGS_PER_SLOT],
}

impl SlotImage {
    /// Stores the slot over the first [`SLOT_BYTES`] of `bytes`, STATUS last.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`], and nothing stored, where `bytes` is shorter.
    pub fn encode_into(&self, bytes: &mut [u8]) -> Result<(), PipelineError> {
        let Some(bytes) = bytes.get_mut(..SLOT_BYTES) else {
            return Err(PipelineError::InvalidArgument {
                what: "a buffer that is shorter than a slot",
                fix: "hand in 64 bytes",
            });
        };
        let stored = words::write_all(
            bytes,
            OPCODE_WORD,
            &[self.opcode, self.tenant, self.priority],
        ) && words::write_all(bytes, ARG0_WORD, &self.args)
            && words::write(bytes, STATUS_WORD, self.status);
        debug_assert!(stored, "a slot's words lie within its bytes");
        Ok(())
    }

    /// The slot in the first [`SLOT_BYTES`] of `bytes`. Any words are a slot: what they ask for is for the device to
    /// judge.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] where `bytes` is shorter.
    pub fn decode(bytes: &[u8]) -> Result<Self, PipelineError> {
        let Some([status, opcode, tenant, priority, args @ ..]) =
            words::read_array::<SLOT_WORDS>(bytes, 0)
        else {
            return Err(PipelineError::Decode {
                what: "a slot",
                offset: bytes.len(),
                fix: "hand in all 64 bytes of it",
            });
        };
        Ok(Self {
            status,
            opcode,
            tenant,
            priority,
            args,
        })
    }
}
