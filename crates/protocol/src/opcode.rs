//! Opcodes, and who may use which numbers.
//!
//! | numbers | whose |
//! |---|---|
//! | 0..=7 | the protocol's |
//! | 8..=0xFFEF | users'; of these 0x100..=0x1FF are Gristmill's stream opcodes |
//! | 0xFFF0..=0xFFFF | the protocol's |
//! | 0x1_0000..=0x3FFF_FFFF | users' |
//! | 0x4000_0000..=0x7FFF_FFFF | users', dealt to tenants in windows of 2^20 |
//! | 0x8000_0000.. | the protocol's |
//!
//! # BATCH_FENCE in a live ring
//!
//! A fence's own arguments are the count and the tag. In a live ring several workers claim slots from several ready
//! rings, so these two do not tell which slots were published before the fence. Therefore the publisher also stores two
//! numbers: in [`FENCE_ARG_SLOTS`] how many slots were published since the previous fence (which counts as one of
//! them), and in [`FENCE_ARG_GENERATION`] how many fences were published before this one. It overwrites whatever the
//! caller put there. In an image both are zero. This is Gristmill's extension of the protocol.
//!
//! # LOAD_MISS in a live ring
//!
//! The slot's arguments become a READ in the IO queue ([`io`](crate::io)), whose TAG is the slot's number. With a
//! prefetch of 0 the slot waits ([`slot::WAIT_IO`](crate::slot::WAIT_IO)) and completes with the number of bytes that
//! landed, or faults with [`fault::IO_FAILED`](crate::fault::IO_FAILED). Otherwise the slot completes as soon as the
//! host can see the request, and the outcome of the request is not reported. While the queue is full the slot is
//! parked; without a queue it faults with [`fault::NO_IO_QUEUE`](crate::fault::NO_IO_QUEUE). The arguments after the
//! first two are Gristmill's extension.

use crate::io::{io_op, IoRequest};
use crate::{number, ARGS_PER_SLOT};
use core::ops::RangeInclusive;

numbers! {
    /// Opcodes that the protocol assigns a meaning.
    pub OPCODES {
        /// Does nothing.
        NOP: u32 = 0;
        /// observable\[a1\] = a0.
        STORE_U32: u32 = 1;
        /// observable\[a1\] += a0.
        ATOMIC_ADD: u32 = 2;
        /// observable\[a1\] = control\[a0\].
        LOAD_U32: u32 = 3;
        /// Compares observable\[a0\] with a1 and swaps in a2; the old value is the slot's result.
        COMPARE_SWAP: u32 = 4;
        /// observable\[a1..a1+a2\] = observable\[a0..a0+a2\].
        MEMCPY: u32 = 5;
        /// The result is table\[a0 * 256 + a1\] of the tenant's program named by a2.
        DFA_STEP: u32 = 6;
        /// Waits until every slot published before it is finished, then EPOCH += 1; a0 = count, a1 = tag.
        BATCH_FENCE: u32 = 7;
        /// Searches the chunk for the patterns of a registered set.
        SCAN: u32 = 0x100;
        /// Counts each byte value of the chunk.
        HISTOGRAM: u32 = 0x101;
        /// Counts the chunk's newlines.
        LINES: u32 = 0x102;
        /// CRC-32C of the chunk.
        CRC32C: u32 = 0x103;
        /// The subtrees of BLAKE3 that the chunk consists of.
        BLAKE3: u32 = 0x104;
        /// Asks the host, through the IO queue, for bytes that this chunk needs; a0 = resource, a1 = prefetch.
        LOAD_MISS: u32 = 0xFFFD;
        /// Appends \[a0 = format id, a1, a2, slot\] to the debug log.
        PRINTF: u32 = 0xFFFE;
        /// Several inner ops in one slot: see [`packed`](crate::packed).
        PACKED_SLOT: u32 = 0x8000_0001;
        /// control\[SHUTDOWN\] = 1.
        SHUTDOWN: u32 = 0xFFFF_FFFF;
    }
}

layout! {
    /// The arguments of BATCH_FENCE.
    pub struct FenceArgs: [u32; ARGS_PER_SLOT],
    /// Words of BATCH_FENCE's arguments.
    FENCE_WORDS {
        /// How many slots the batch has.
        count: u32 at FENCE_ARG_COUNT = 0;
        /// The host's own number.
        tag: u32 at FENCE_ARG_TAG = 1;
        /// In a live ring: how many slots were published since the fence before it, which counts as one.
        slots: u32 at FENCE_ARG_SLOTS = 2;
        /// In a live ring: how many fences were published before it.
        generation: u32 at FENCE_ARG_GENERATION = 3;
    }
}

layout! {
    /// The arguments of LOAD_MISS.
    pub struct LoadArgs: [u32; ARGS_PER_SLOT],
    /// Words of LOAD_MISS's arguments.
    LOAD_WORDS {
        /// The source, by its handle.
        resource: u32 at LOAD_ARG_RESOURCE = 0;
        /// With anything but 0 the slot does not wait for the bytes.
        prefetch: u32 at LOAD_ARG_PREFETCH = 1;
        /// The destination, by its handle.
        destination: u32 at LOAD_ARG_DESTINATION = 2;
        /// The offset in the source, in bytes.
        offset: u64 at LOAD_ARG_OFFSET_LO = 3, LOAD_ARG_OFFSET_HI = 4;
        /// How many bytes.
        bytes: u32 at LOAD_ARG_BYTES = 5;
    }
}

impl LoadArgs {
    /// The request to the host that slot `slot` makes with these arguments.
    #[must_use]
    pub const fn request(&self, slot: u32) -> IoRequest {
        IoRequest {
            slot_idx: 0,
            op_type: io_op::READ,
            src_handle: self.resource,
            dst_handle: self.destination,
            offset: self.offset,
            byte_count: self.bytes,
            tag: slot,
        }
    }
}

numbers! {
    /// Words of the results of opcodes that need no chunk.
    pub RESULTS {
        /// The one result: of ATOMIC_ADD the sum, of LOAD_U32 the value, of COMPARE_SWAP the old value, of DFA_STEP the next state, of BATCH_FENCE the new EPOCH, of LOAD_MISS the number of bytes that landed.
        RESULT_VALUE: usize = 0;
    }
}

/// The opcodes that need no chunk and may be used in a packed slot or in a slot of their own: name, number, and minimum
/// number of argument words.
pub const CORE: &[(&str, u32, usize)] = &[
    ("NOP", NOP, 0),
    ("STORE_U32", STORE_U32, 2),
    ("ATOMIC_ADD", ATOMIC_ADD, 2),
    ("LOAD_U32", LOAD_U32, 2),
    ("COMPARE_SWAP", COMPARE_SWAP, 3),
    ("MEMCPY", MEMCPY, 3),
    ("DFA_STEP", DFA_STEP, 3),
    ("PRINTF", PRINTF, 3),
    ("SHUTDOWN", SHUTDOWN, 0),
];

/// The most argument words that an opcode of [`CORE`] takes.
pub const CORE_ARGS: usize = 3;

/// The minimum number of argument words of an opcode of [`CORE`]; `None` for any other opcode.
#[must_use]
pub fn core_args(opcode: u32) -> Option<usize> {
    CORE.iter()
        .find(|(_, number, _)| *number == opcode)
        .map(|(.., args)| *args)
}

/// The protocol's low numbers.
pub const RESERVED_LOW: RangeInclusive<u32> = 0..=7;
/// The users' low numbers.
pub const USER_LOW: RangeInclusive<u32> = 8..=0xFFEF;
/// The protocol's numbers in the middle.
pub const RESERVED_SYSTEM: RangeInclusive<u32> = 0xFFF0..=0xFFFF;
/// The users' high numbers, including the tenants' windows.
pub const USER_HIGH: RangeInclusive<u32> = 0x1_0000..=0x7FFF_FFFF;
numbers! {
    /// Bounds of the ranges of opcodes.
    pub RANGES {
        /// First of Gristmill's stream opcodes.
        STREAM_FIRST: u32 = 0x100;
        /// Last of Gristmill's stream opcodes.
        STREAM_LAST: u32 = 0x1FF;
        /// The bit that makes a number the protocol's.
        RESERVED_BIT: u32 = 0x8000_0000;
        /// First opcode of tenant 0's window.
        TENANT_BASE: u32 = 0x4000_0000;
        /// A tenant's window starts at `TENANT_BASE + (tenant << TENANT_SHIFT)`.
        TENANT_SHIFT: u32 = 20;
        /// Opcodes in a tenant's window.
        TENANT_WINDOW: u32 = 1 << TENANT_SHIFT;
        /// Greatest tenant id that has a window.
        MAX_TENANT: u32 = 1023;
    }
}
/// Gristmill's stream opcodes.
pub const STREAM: RangeInclusive<u32> = STREAM_FIRST..=STREAM_LAST;

/// Whether a number belongs to the protocol, assigned or not.
#[must_use]
pub const fn is_reserved(opcode: u32) -> bool {
    matches!(opcode, 0..=7 | 0xFFF0..=0xFFFF) || opcode & RESERVED_BIT != 0
}

/// Whether a number is a user's. The stream opcodes and the tenants' windows are among these.
#[must_use]
pub const fn is_user(opcode: u32) -> bool {
    !is_reserved(opcode)
}

/// Whether a number is one of Gristmill's stream opcodes, assigned or not.
#[must_use]
pub const fn is_stream(opcode: u32) -> bool {
    matches!(opcode, STREAM_FIRST..=STREAM_LAST)
}

/// Whether this version of the protocol assigns a meaning to the number.
#[must_use]
pub const fn is_assigned(opcode: u32) -> bool {
    matches!(
        opcode,
        NOP..=BATCH_FENCE | SCAN..=BLAKE3 | LOAD_MISS | PRINTF | PACKED_SLOT | SHUTDOWN
    )
}

/// The opcodes of a tenant; `None` for an id above [`MAX_TENANT`].
#[must_use]
pub const fn tenant_window(tenant: u32) -> Option<RangeInclusive<u32>> {
    if tenant > MAX_TENANT {
        return None;
    }
    let first = TENANT_BASE + (tenant << TENANT_SHIFT);
    Some(first..=first + (TENANT_WINDOW - 1))
}

/// The tenant in whose window a number lies; `None` for a number outside of all windows.
#[must_use]
pub const fn tenant_of(opcode: u32) -> Option<u32> {
    if opcode < TENANT_BASE || opcode & RESERVED_BIT != 0 {
        return None;
    }
    Some((opcode - TENANT_BASE) >> TENANT_SHIFT)
}

/// Whether a tenant may ask for an opcode. It may ask for every opcode outside of other tenants' windows.
#[must_use]
pub const fn is_open_to(opcode: u32, tenant: u32) -> bool {
    match tenant_of(opcode) {
        Some(owner) => owner == tenant,
        None => true,
    }
}

/// An opcode by name, for reports; "user", "tenant" or "reserved" for a number without one.
#[must_use]
pub fn name(opcode: u32) -> &'static str {
    match number::name(OPCODES, opcode) {
        Some(name) => name,
        None if is_reserved(opcode) => "reserved",
        None if tenant_of(opcode).is_some() => "tenant",
        None => "user",
    }
}
