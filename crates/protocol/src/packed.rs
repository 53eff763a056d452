//! Several ops in one slot: the payload of PACKED_SLOT.
//!
//! # Layout
//!
//! Bytes from ARG0 on, at most 12 words in all:
//!
//! - byte 0: the number of ops; byte 1: the number of argument words;
//! - two bytes for each op: its opcode, and the offset of its arguments, in words from the first argument word;
//! - zeros up to the next word boundary; then the argument words.
//!
//! An op's arguments end where the next op's begin; the last op's end with the argument words. So the first offset is
//! 0, and offsets never decrease. The device runs every op that [`encode`] accepts, in order. If an op faults, the slot
//! faults.
//!
//! BATCH_FENCE cannot be packed: a fence waits until earlier slots have completed, and here it would also be in the
//! same slot as the ops before and after it.

use crate::{opcode, PipelineError, ARGS_PER_SLOT};

numbers! {
    /// Sizes of the payload.
    pub LIMITS {
        /// Most ops in a slot. Without arguments they fill it.
        MAX_OPS: usize = 23;
        /// Bytes before the ops: how many there are, and how many argument words.
        HEADER_BYTES: usize = 2;
        /// Bytes of an op: its opcode, and where its arguments begin.
        OP_BYTES: usize = 2;
    }
}

/// Words that the header and the ops' own bytes take.
const fn prefix_words(ops: usize) -> usize {
    (HEADER_BYTES + ops * OP_BYTES).div_ceil(4)
}

/// Whether an opcode may stand inside of a packed slot.
#[must_use]
pub fn is_packable(inner: u8) -> bool {
    u32::from(inner) != opcode::BATCH_FENCE
}

/// Packs ops, each with its argument words, into a slot's arguments. Unused words are zero.
///
/// # Errors
/// [`PipelineError::QueueFull`] for no ops, for more than a slot can hold, and for a BATCH_FENCE.
pub fn encode<A: AsRef<[u32]>>(ops: &[(u8, A)]) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
    let refused = |fix| PipelineError::QueueFull {
        queue: "packed slot",
        fix,
    };
    if ops.is_empty() {
        return Err(refused("pack at least one op, or publish a NOP"));
    }
    if ops.len() > MAX_OPS {
        return Err(refused(
            "pack at most 23 ops, and publish the rest in another slot",
        ));
    }
    let too_long = || {
        refused("pack at most 12 words of ops and arguments, and publish the rest in another slot")
    };
    let first_arg = prefix_words(ops.len());
    let mut args = [0; ARGS_PER_SLOT];
    let mut bytes = [0u8; ARGS_PER_SLOT * 4];
    let mut used = 0;
    for (index, (inner, inner_args)) in ops.iter().enumerate() {
        if !is_packable(*inner) {
            return Err(refused("publish a BATCH_FENCE in a slot of its own"));
        }
        let inner_args = inner_args.as_ref();
        let at = HEADER_BYTES + index * OP_BYTES;
        bytes[at] = *inner;
        bytes[at + 1] = u8::try_from(used).map_err(|_| too_long())?;
        let start = first_arg + used;
        let target = start
            .checked_add(inner_args.len())
            .and_then(|end| args.get_mut(start..end))
            .ok_or_else(too_long)?;
        target.copy_from_slice(inner_args);
        used += inner_args.len();
    }
    bytes[0] = u8::try_from(ops.len()).map_err(|_| too_long())?;
    bytes[1] = u8::try_from(used).map_err(|_| too_long())?;
    for (word, bytes) in args.iter_mut().zip(bytes.chunks_exact(4)).take(first_arg) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    Ok(args)
}

/// The ops of a packed slot. The whole payload was validated, so iterating over them cannot fail.
#[derive(Debug, Clone, Copy)]
pub struct PackedOps<'a> {
    args: &'a [u32; ARGS_PER_SLOT],
    ops: usize,
    next: usize,
}

/// Byte `at` of the payload; zero beyond it.
fn byte(args: &[u32; ARGS_PER_SLOT], at: usize) -> u8 {
    args.get(at / 4)
        .map_or(0, |word| word.to_le_bytes()[at % 4])
}

/// Checks a packed slot's arguments and gives its ops.
///
/// # Errors
/// [`PipelineError::Decode`] for a payload that [`encode`] would not have produced. The words after the payload are
/// ignored.
pub fn decode(args: &[u32; ARGS_PER_SLOT]) -> Result<PackedOps<'_>, PipelineError> {
    let malformed = |offset, fix| PipelineError::Decode {
        what: "a packed slot",
        offset,
        fix,
    };
    let ops = usize::from(byte(args, 0));
    if ops == 0 || ops > MAX_OPS {
        return Err(malformed(0, "pack 1 to 23 ops"));
    }
    let total = usize::from(byte(args, 1));
    if prefix_words(ops) + total > ARGS_PER_SLOT {
        return Err(malformed(1, "pack at most 12 words of ops and arguments"));
    }
    let mut before = 0;
    for index in 0..ops {
        let at = HEADER_BYTES + index * OP_BYTES;
        if !is_packable(byte(args, at)) {
            return Err(malformed(at, "publish a BATCH_FENCE in a slot of its own"));
        }
        let offset = usize::from(byte(args, at + 1));
        let starts_at_zero = index > 0 || offset == 0;
        if !starts_at_zero || offset < before || offset > total {
            return Err(malformed(
                at + 1,
                "let argument offsets begin with 0, never decrease, and stay within the argument words",
            ));
        }
        before = offset;
    }
    let end = HEADER_BYTES + ops * OP_BYTES;
    if let Some(at) = (end..prefix_words(ops) * 4).find(|at| byte(args, *at) != 0) {
        return Err(malformed(at, "fill up to a whole word with zeros"));
    }
    Ok(PackedOps { args, ops, next: 0 })
}

impl PackedOps<'_> {
    /// The offset of the arguments of op `index`, in argument words. For the index after the last op, this is the
    /// number of argument words.
    fn offset(&self, index: usize) -> usize {
        let at = if index < self.ops {
            HEADER_BYTES + index * OP_BYTES + 1
        } else {
            1
        };
        usize::from(byte(self.args, at))
    }
}

impl<'a> Iterator for PackedOps<'a> {
    /// An op's opcode and its argument words.
    type Item = (u8, &'a [u32]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next == self.ops {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let first = prefix_words(self.ops);
        let range = first + self.offset(index)..first + self.offset(index + 1);
        let inner = byte(self.args, HEADER_BYTES + index * OP_BYTES);
        Some((inner, self.args.get(range).unwrap_or_default()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.ops - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for PackedOps<'_> {}
