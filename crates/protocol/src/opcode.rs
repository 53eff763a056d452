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
//! A fence's own arguments are the count and the tag. In a live ring, where slots are claimed by several workers and
//! from several ready rings, that is not enough to know what "published before it" means. So the publisher also stores,
//! in [`FENCE_ARG_SLOTS`] and [`FENCE_ARG_GENERATION`], how many slots were published since the fence before it (that
//! fence counts as one), and how many fences came before it; whatever the caller put there is overwritten. In an image
//! both are zero. This is Gristmill's extension of the protocol.
//!
//! # LOAD_MISS in a live ring
//!
//! The slot's arguments become a READ in the IO queue ([`io`](crate::io)), whose TAG is the slot's number. With a
//! prefetch of 0 the slot waits ([`slot::WAIT_IO`](crate::slot::WAIT_IO)) and completes with the number of bytes that
//! landed, or faults with [`fault::IO_FAILED`](crate::fault::IO_FAILED); otherwise it completes as soon as the host can
//! see the request, and how that ends is not told. While the queue is full the slot is put aside; without a queue it
//! faults with [`fault::NO_IO_QUEUE`](crate::fault::NO_IO_QUEUE). The arguments behind the first two are Gristmill's
//! extension.

use core::ops::RangeInclusive;

/// Does nothing.
pub const NOP: u32 = 0;
/// observable\[a1\] = a0.
pub const STORE_U32: u32 = 1;
/// observable\[a1\] += a0.
pub const ATOMIC_ADD: u32 = 2;
/// observable\[a1\] = control\[a0\].
pub const LOAD_U32: u32 = 3;
/// Compares observable\[a0\] with a1 and swaps in a2; the old value is the slot's result.
pub const COMPARE_SWAP: u32 = 4;
/// observable\[a1..a1+a2\] = observable\[a0..a0+a2\].
pub const MEMCPY: u32 = 5;
/// The result is table\[a0 * 256 + a1\] of the tenant's program named by a2.
pub const DFA_STEP: u32 = 6;
/// Waits until every slot published before it is finished, then EPOCH += 1; a0 = count, a1 = tag.
pub const BATCH_FENCE: u32 = 7;
/// Searches the chunk for the patterns of a registered set.
pub const SCAN: u32 = 0x100;
/// Counts each byte value of the chunk.
pub const HISTOGRAM: u32 = 0x101;
/// Counts the chunk's newlines.
pub const LINES: u32 = 0x102;
/// CRC-32C of the chunk.
pub const CRC32C: u32 = 0x103;
/// Asks the host, through the IO queue, for bytes that this chunk needs; a0 = resource, a1 = prefetch.
pub const LOAD_MISS: u32 = 0xFFFD;
/// Appends \[a0 = format id, a1, a2, slot\] to the debug log.
pub const PRINTF: u32 = 0xFFFE;
/// Several inner ops in one slot: see [`packed`](crate::packed).
pub const PACKED_SLOT: u32 = 0x8000_0001;
/// control\[SHUTDOWN\] = 1.
pub const SHUTDOWN: u32 = 0xFFFF_FFFF;

/// BATCH_FENCE's argument that says how many slots the batch has.
pub const FENCE_ARG_COUNT: usize = 0;
/// BATCH_FENCE's argument that carries the host's tag.
pub const FENCE_ARG_TAG: usize = 1;
/// BATCH_FENCE's argument, in a live ring, that says how many slots were published since the fence before it.
pub const FENCE_ARG_SLOTS: usize = 2;
/// BATCH_FENCE's argument, in a live ring, that says how many fences were published before it.
pub const FENCE_ARG_GENERATION: usize = 3;

/// The protocol's low numbers.
pub const RESERVED_LOW: RangeInclusive<u32> = 0..=7;
/// The users' low numbers.
pub const USER_LOW: RangeInclusive<u32> = 8..=0xFFEF;
/// The protocol's numbers in the middle.
pub const RESERVED_SYSTEM: RangeInclusive<u32> = 0xFFF0..=0xFFFF;
/// The users' high numbers, the tenants' windows among them.
pub const USER_HIGH: RangeInclusive<u32> = 0x1_0000..=0x7FFF_FFFF;
/// The bit that makes a number the protocol's.
pub const RESERVED_BIT: u32 = 0x8000_0000;
/// Gristmill's stream opcodes.
pub const STREAM: RangeInclusive<u32> = 0x100..=0x1FF;

/// LOAD_MISS's argument that names the source, by its handle.
pub const LOAD_ARG_RESOURCE: usize = 0;
/// LOAD_MISS's argument that says, with anything but 0, that the slot does not wait for the bytes.
pub const LOAD_ARG_PREFETCH: usize = 1;
/// LOAD_MISS's argument that names the destination, by its handle.
pub const LOAD_ARG_DESTINATION: usize = 2;
/// LOAD_MISS's argument with the offset in the source, in bytes, low half.
pub const LOAD_ARG_OFFSET_LO: usize = 3;
/// LOAD_MISS's argument with the offset in the source, in bytes, high half.
pub const LOAD_ARG_OFFSET_HI: usize = 4;
/// LOAD_MISS's argument that says how many bytes.
pub const LOAD_ARG_BYTES: usize = 5;

/// First opcode of tenant 0's window.
pub const TENANT_BASE: u32 = 0x4000_0000;
/// A tenant's window starts at `TENANT_BASE + (tenant << TENANT_SHIFT)`.
pub const TENANT_SHIFT: u32 = 20;
/// Opcodes in a tenant's window.
pub const TENANT_WINDOW: u32 = 1 << TENANT_SHIFT;
/// Greatest tenant id that has a window.
pub const MAX_TENANT: u32 = 1023;

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
    matches!(opcode, 0x100..=0x1FF)
}

/// Whether this version of the protocol assigns a meaning to the number.
#[must_use]
pub const fn is_assigned(opcode: u32) -> bool {
    matches!(
        opcode,
        NOP..=BATCH_FENCE | SCAN..=CRC32C | LOAD_MISS | PRINTF | PACKED_SLOT | SHUTDOWN
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

/// Whether a tenant may ask for an opcode: any but those in another tenant's window.
#[must_use]
pub const fn is_open_to(opcode: u32, tenant: u32) -> bool {
    match tenant_of(opcode) {
        Some(owner) => owner == tenant,
        None => true,
    }
}

/// An opcode by name, for reports; "user", "tenant" or "reserved" for a number without one.
#[must_use]
pub const fn name(opcode: u32) -> &'static str {
    match opcode {
        NOP => "NOP",
        STORE_U32 => "STORE_U32",
        ATOMIC_ADD => "ATOMIC_ADD",
        LOAD_U32 => "LOAD_U32",
        COMPARE_SWAP => "COMPARE_SWAP",
        MEMCPY => "MEMCPY",
        DFA_STEP => "DFA_STEP",
        BATCH_FENCE => "BATCH_FENCE",
        SCAN => "SCAN",
        HISTOGRAM => "HISTOGRAM",
        LINES => "LINES",
        CRC32C => "CRC32C",
        LOAD_MISS => "LOAD_MISS",
        PRINTF => "PRINTF",
        PACKED_SLOT => "PACKED_SLOT",
        SHUTDOWN => "SHUTDOWN",
        _ if is_reserved(opcode) => "reserved",
        _ if tenant_of(opcode).is_some() => "tenant",
        _ => "user",
    }
}
