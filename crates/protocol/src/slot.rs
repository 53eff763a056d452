//! A slot: 16 words (64 bytes, one cache line) in which a host asks for one execution of an opcode.
//!
//! The host owns a slot while its status is [`EMPTY`], [`DONE`] or [`FAULT`]; from [`PUBLISHED`] on the device owns it.
//! The side that hands the slot over stores STATUS last.

use crate::{
    number, words, PipelineError, ARG0_WORD, ARGS_PER_SLOT, OPCODE_WORD, PRIORITY_WORD, SLOT_WORDS,
    STATUS_WORD, TENANT_WORD,
};

/// Bytes in a slot.
pub const SLOT_BYTES: usize = SLOT_WORDS * words::WORD_BYTES;
/// Most slots that an image may have (64 MiB of them).
pub const MAX_IMAGE_SLOTS: u32 = 1 << 20;

numbers! {
    /// Statuses of a slot.
    pub STATUSES {
        /// Free: the host may publish into it.
        EMPTY: u32 = 0;
        /// Handed to the device, and not yet claimed.
        PUBLISHED: u32 = 1;
        /// A worker runs it.
        CLAIMED: u32 = 2;
        /// Finished; the host may publish into it.
        DONE: u32 = 3;
        /// Parked until bytes have landed that it asked for.
        WAIT_IO: u32 = 4;
        /// Parked, to let others run.
        YIELD: u32 = 5;
        /// Parked, to be claimed again.
        REQUEUE: u32 = 6;
        /// Failed; the host may publish into it once the fault has been reported.
        FAULT: u32 = 7;
    }
}

/// A status by name, for reports; "unknown" for a number that is none.
#[must_use]
pub fn status_name(status: u32) -> &'static str {
    number::name(STATUSES, status).unwrap_or("unknown")
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
    /// The slot's words.
    #[inline]
    #[must_use]
    pub fn encode(&self) -> [u32; SLOT_WORDS] {
        let mut words = [0; SLOT_WORDS];
        words[STATUS_WORD] = self.status;
        words[OPCODE_WORD] = self.opcode;
        words[TENANT_WORD] = self.tenant;
        words[PRIORITY_WORD] = self.priority;
        words[ARG0_WORD..].copy_from_slice(&self.args);
        words
    }

    /// The slot with these words. Every combination of words is a slot; the device validates what it asks for.
    #[inline]
    #[must_use]
    pub const fn decode(words: &[u32; SLOT_WORDS]) -> Self {
        let [status, opcode, tenant, priority, args @ ..] = *words;
        Self {
            status,
            opcode,
            tenant,
            priority,
            args,
        }
    }

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
        let words = self.encode();
        let stored = words::write_all(bytes, OPCODE_WORD, &words[OPCODE_WORD..])
            && words::write(bytes, STATUS_WORD, self.status);
        debug_assert!(stored, "a slot's words lie within its bytes");
        Ok(())
    }

    /// The slot in the first [`SLOT_BYTES`] of `bytes`.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] where `bytes` is shorter.
    pub fn decode_from(bytes: &[u8]) -> Result<Self, PipelineError> {
        words::read_array(bytes, 0)
            .map(|words| Self::decode(&words))
            .ok_or(PipelineError::Decode {
                what: "a slot",
                offset: bytes.len(),
                fix: "hand in all 64 bytes of it",
            })
    }
}

// What `decode` takes apart by position.
const _: () = assert!(STATUS_WORD == 0 && OPCODE_WORD == 1 && TENANT_WORD == 2);
const _: () = assert!(PRIORITY_WORD == 3 && ARG0_WORD == 4);
