//! Images of a ring: slots one after the other.

use super::{zeroed, Megakernel};
use crate::priority::Priority;
use crate::slot::{self, SlotImage, SLOT_BYTES};
use crate::{opcode, packed, words, PipelineError, ARGS_PER_SLOT, SLOT_WORDS, STATUS_WORD};
use alloc::vec::Vec;
use core::ops::Range;

impl Megakernel {
    /// A ring of `slots` empty slots.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for more than [`slot::MAX_IMAGE_SLOTS`].
    pub fn try_encode_empty_ring(slots: u32) -> Result<Vec<u8>, PipelineError> {
        let mut image = Vec::new();
        Self::try_encode_empty_ring_into(slots, &mut image)?;
        Ok(image)
    }

    /// As [`Megakernel::try_encode_empty_ring`], but reuses the memory of `image` and overwrites its contents.
    ///
    /// # Errors
    /// As there, and `image` is as it was.
    pub fn try_encode_empty_ring_into(
        slots: u32,
        image: &mut Vec<u8>,
    ) -> Result<(), PipelineError> {
        if slots > slot::MAX_IMAGE_SLOTS {
            return Err(PipelineError::InvalidArgument {
                what: "a ring of more slots than an image may have",
                fix: "use at most 1,048,576 slots",
            });
        }
        let count = usize::try_from(slots)
            .ok()
            .and_then(|slots| slots.checked_mul(SLOT_WORDS));
        zeroed(image, count)
    }

    /// [`Megakernel::try_encode_empty_ring`], by its other name.
    ///
    /// # Errors
    /// As there.
    pub fn encode_empty_ring(slots: u32) -> Result<Vec<u8>, PipelineError> {
        Self::try_encode_empty_ring(slots)
    }

    /// Publishes a slot at normal priority. Unused arguments are zeroed; STATUS is stored last.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`], and nothing is stored, if the slot does not exist or is neither EMPTY nor DONE, if
    /// there are more arguments than a slot holds, if `ring_bytes` is not a ring, or if the protocol reserves the
    /// opcode without assigning it a meaning ([`opcode::is_reserved`] and not [`opcode::is_assigned`]).
    pub fn publish_slot(
        ring_bytes: &mut [u8],
        slot: u32,
        tenant: u32,
        opcode: u32,
        args: &[u32],
    ) -> Result<(), PipelineError> {
        Self::publish_slot_at(ring_bytes, slot, tenant, opcode, Priority::Normal, args)
    }

    /// As [`Megakernel::publish_slot`], at a priority.
    ///
    /// # Errors
    /// As there.
    pub fn publish_slot_at(
        ring_bytes: &mut [u8],
        slot: u32,
        tenant: u32,
        opcode: u32,
        priority: Priority,
        args: &[u32],
    ) -> Result<(), PipelineError> {
        let args = all_args(args)?;
        usable(opcode)?;
        publish(ring_bytes, slot, tenant, opcode, priority, args)
    }

    /// Publishes several ops, each with its argument words, in one slot: see [`packed`].
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`], and nothing stored, where [`packed::encode`] or [`Megakernel::publish_slot`]
    /// refuses.
    pub fn publish_packed_slot<A: AsRef<[u32]>>(
        ring_bytes: &mut [u8],
        slot: u32,
        tenant: u32,
        ops: &[(u8, A)],
    ) -> Result<(), PipelineError> {
        let args = packed::encode(ops)?;
        publish(
            ring_bytes,
            slot,
            tenant,
            opcode::PACKED_SLOT,
            Priority::Normal,
            args,
        )
    }

    /// Publishes `items` (each an opcode with its arguments) from slot `start` on, followed by a BATCH_FENCE that
    /// carries the number of items and `tag`. Returns the number of slots used: one more than the number of items.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] if any of the slots is refused for a reason that [`Megakernel::publish_slot`]
    /// gives. No slot is published then.
    pub fn batch_publish<A: AsRef<[u32]>>(
        ring_bytes: &mut [u8],
        start: u32,
        tenant: u32,
        items: &[(u32, A)],
        tag: u32,
    ) -> Result<u32, PipelineError> {
        let too_many = || refused("publish a smaller batch, or encode a ring with more slots");
        let count = u32::try_from(items.len()).map_err(|_| too_many())?;
        let fence_slot = start.checked_add(count).ok_or_else(too_many)?;
        let used = count.checked_add(1).ok_or_else(too_many)?;
        publishable(ring_bytes, fence_slot)?;
        for (slot, (opcode, args)) in (start..fence_slot).zip(items) {
            publishable(ring_bytes, slot)?;
            usable(*opcode)?;
            all_args(args.as_ref())?;
        }
        for (slot, (opcode, args)) in (start..fence_slot).zip(items) {
            Self::publish_slot(ring_bytes, slot, tenant, *opcode, args.as_ref())?;
        }
        let fence = [count, tag];
        Self::publish_slot(ring_bytes, fence_slot, tenant, opcode::BATCH_FENCE, &fence)?;
        Ok(used)
    }

    /// Makes a faulted slot empty, once its fault has been reported.
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`], and nothing is stored, if the slot does not exist or its status is not FAULT.
    pub fn acknowledge_fault(ring_bytes: &mut [u8], slot: u32) -> Result<(), PipelineError> {
        let range = slot_range(ring_bytes, slot)?;
        let bytes = &mut ring_bytes[range];
        if words::read(bytes, STATUS_WORD) != Some(slot::FAULT) {
            return Err(refused("acknowledge slots that have faulted only"));
        }
        let stored = words::write(bytes, STATUS_WORD, slot::EMPTY);
        debug_assert!(stored, "the slot lies within the ring");
        Ok(())
    }

    /// How many whole slots an image has.
    #[must_use]
    pub fn ring_slots(ring_bytes: &[u8]) -> usize {
        ring_bytes.len() / SLOT_BYTES
    }

    /// All words of a slot; `None` if the slot does not exist.
    #[must_use]
    pub fn read_slot(ring_bytes: &[u8], slot: u32) -> Option<SlotImage> {
        let start = usize::try_from(slot).ok()?.checked_mul(SLOT_BYTES)?;
        SlotImage::decode_from(ring_bytes.get(start..)?).ok()
    }

    /// As [`Megakernel::read_slot`], strictly.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for bytes that are no ring; [`PipelineError::InvalidArgument`] for a slot that does
    /// not exist.
    pub fn try_read_slot(ring_bytes: &[u8], slot: u32) -> Result<SlotImage, PipelineError> {
        if !ring_bytes.len().is_multiple_of(SLOT_BYTES) {
            return Err(PipelineError::Decode {
                what: "a ring",
                offset: ring_bytes.len(),
                fix: "hand in whole slots of 64 bytes",
            });
        }
        Self::read_slot(ring_bytes, slot).ok_or(PipelineError::InvalidArgument {
            what: "a slot that the ring does not have",
            fix: "ask for one below the number that the ring was encoded with",
        })
    }
}

fn refused(fix: &'static str) -> PipelineError {
    PipelineError::QueueFull { queue: "ring", fix }
}

/// All argument words of a slot: the given ones, padded with zeros.
fn all_args(used: &[u32]) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
    let mut args = [0; ARGS_PER_SLOT];
    args.get_mut(..used.len())
        .ok_or_else(|| refused("use at most 12 arguments"))?
        .copy_from_slice(used);
    Ok(args)
}

/// Refuses opcodes that the protocol reserves for future use.
fn usable(opcode: u32) -> Result<(), PipelineError> {
    if opcode::is_reserved(opcode) && !opcode::is_assigned(opcode) {
        return Err(refused(
            "use an opcode of the users' numbers, or one that the protocol has given a meaning",
        ));
    }
    Ok(())
}

/// Where a slot lies in a ring.
fn slot_range(ring_bytes: &[u8], slot: u32) -> Result<Range<usize>, PipelineError> {
    if !ring_bytes.len().is_multiple_of(SLOT_BYTES) {
        return Err(refused(
            "hand in whole slots of 64 bytes, as encode_empty_ring makes them",
        ));
    }
    usize::try_from(slot)
        .ok()
        .and_then(|slot| {
            let start = slot.checked_mul(SLOT_BYTES)?;
            Some(start..start.checked_add(SLOT_BYTES)?)
        })
        .filter(|range| range.end <= ring_bytes.len())
        .ok_or_else(|| refused("use a slot that the ring has, or encode a ring with more slots"))
}

/// The bytes of a slot, if the host may publish into it.
fn publishable(ring_bytes: &[u8], slot: u32) -> Result<Range<usize>, PipelineError> {
    let range = slot_range(ring_bytes, slot)?;
    match words::read(&ring_bytes[range.clone()], STATUS_WORD) {
        Some(status) if slot::is_publishable(status) => Ok(range),
        Some(slot::FAULT) => Err(refused(
            "report the slot's fault, then acknowledge it with acknowledge_fault",
        )),
        _ => Err(refused(
            "wait until the device has finished the slot, or use another",
        )),
    }
}

fn publish(
    ring_bytes: &mut [u8],
    slot: u32,
    tenant: u32,
    opcode: u32,
    priority: Priority,
    args: [u32; ARGS_PER_SLOT],
) -> Result<(), PipelineError> {
    let range = publishable(ring_bytes, slot)?;
    let image = SlotImage {
        status: slot::PUBLISHED,
        opcode,
        tenant,
        priority: priority.word(),
        args,
    };
    image.encode_into(&mut ring_bytes[range])
}
