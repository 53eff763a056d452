//! The meaning of the core opcodes, in plain Rust over a slice. Back ends are compared with it.

use super::world::{Answer, Fault};
use fastrand::Rng;
use gristmill_protocol::{control, fault, opcode, CONTROL_MIN_WORDS};
use std::ops::RangeInclusive;

/// The opcodes that [`core`] knows.
pub(super) const OPCODES: RangeInclusive<u32> = opcode::NOP..=opcode::MEMCPY;

/// The value of a control word that only the host writes, as long as nobody has changed it and `tenants` tenants are
/// open; `None` for counters.
pub(super) fn control_word(word: u32, tenants: u32) -> Option<u32> {
    let word = word as usize;
    let masks = control::TENANT_MASKS..control::TENANT_MASKS + control::TENANT_MASK_WORDS;
    let quotas = control::TENANT_QUOTAS..control::TENANT_QUOTAS + control::TENANT_QUOTA_WORDS;
    match word {
        control::SHUTDOWN => Some(0),
        control::TENANT_BASE => Some(control::TENANT_MASK_BASE_VALUE),
        _ if masks.contains(&word) => Some(if word - masks.start < tenants as usize {
            control::TENANT_OPEN
        } else {
            0
        }),
        _ if quotas.contains(&word) => Some(control::DEFAULT_QUOTA),
        _ => None,
    }
}

/// The number of argument words that an opcode takes.
fn words(number: u32) -> usize {
    match number {
        opcode::NOP => 0,
        opcode::STORE_U32 | opcode::ATOMIC_ADD | opcode::LOAD_U32 => 2,
        _ => 3,
    }
}

/// Runs a core opcode over a tenant's window. Returns the slot's result.
pub(super) fn core(window: &mut [u32], tenants: u32, number: u32, args: &[u32]) -> Answer {
    let [a, b, c] = std::array::from_fn(|index| args.get(index).copied().unwrap_or(0));
    let outside = Fault(fault::INDEX_OUT_OF_RANGE);
    let place = |index: u32| Some(index as usize).filter(|index| *index < window.len());
    match number {
        opcode::NOP => Ok(0),
        opcode::STORE_U32 => {
            window[place(b).ok_or(outside)?] = a;
            Ok(0)
        }
        opcode::ATOMIC_ADD => {
            let at = place(b).ok_or(outside)?;
            window[at] = window[at].wrapping_add(a);
            Ok(window[at])
        }
        opcode::LOAD_U32 => {
            let to = place(b).ok_or(outside)?;
            let value = match a.checked_sub(CONTROL_MIN_WORDS as u32) {
                None => control_word(a, tenants).unwrap_or(0),
                Some(index) => window[place(index).ok_or(outside)?],
            };
            window[to] = value;
            Ok(value)
        }
        opcode::COMPARE_SWAP => {
            let at = place(a).ok_or(outside)?;
            let old = window[at];
            if old == b {
                window[at] = c;
            }
            Ok(old)
        }
        opcode::MEMCPY => {
            let (from, to, len) = (a as usize, b as usize, c as usize);
            let copied = window
                .get(from..from.saturating_add(len))
                .map(<[u32]>::to_vec);
            let target = window.get_mut(to..to.saturating_add(len));
            let (Some(copied), Some(target)) = (copied, target) else {
                return Err(outside);
            };
            target.copy_from_slice(&copied);
            Ok(0)
        }
        _ => Err(Fault(fault::UNKNOWN_OPCODE)),
    }
}

/// Runs a packed slot: if the host's decoder accepts it, its operations run in order until one faults.
pub(super) fn packed(window: &mut [u32], tenants: u32, args: &[u32; 12]) -> Answer {
    let bad = Fault(fault::BAD_PACKED_SLOT);
    let ops = gristmill_protocol::packed::decode(args).map_err(|_| bad)?;
    let mut last = 0;
    for (inner, inner_args) in ops {
        let number = u32::from(inner);
        if !OPCODES.contains(&number) || inner_args.len() < words(number) {
            return Err(bad);
        }
        last = core(window, tenants, number, inner_args)?;
    }
    Ok(last)
}

/// A random index: mostly below `len`, sometimes at an edge or far out of range.
fn index(numbers: &mut Rng, len: u32) -> u32 {
    let edges = [
        len.wrapping_sub(1),
        len,
        len + 1,
        u32::MAX,
        // These become small again when the number of the first observable is added, or when they are multiplied by
        // four.
        0_u32.wrapping_sub(CONTROL_MIN_WORDS as u32),
        0_u32.wrapping_sub(CONTROL_MIN_WORDS as u32 - 3),
        1 << 30,
        1 << 31,
    ];
    if numbers.u32(..6) == 0 {
        edges[numbers.usize(..8)]
    } else {
        numbers.u32(..len)
    }
}

/// A random core opcode with as many arguments as it takes, for a window of `len` words.
pub(super) fn random_op(numbers: &mut Rng, len: u32) -> (u32, Vec<u32>) {
    let number = numbers.u32(OPCODES);
    let first = CONTROL_MIN_WORDS as u32;
    let args = match number {
        opcode::NOP => Vec::new(),
        opcode::LOAD_U32 => {
            let from = match numbers.u32(..3) {
                // SHUTDOWN, the masks and the quotas; DONE_COUNT is left out, since it changes.
                0 => [0, 2, 3, 4, 31, 32, 33, 63][numbers.usize(..8)],
                _ => first.wrapping_add(index(numbers, len)),
            };
            // After wrapping around, the index may be that of a counter.
            let from = if from < first && control_word(from, 1).is_none() {
                0
            } else {
                from
            };
            vec![from, index(numbers, len)]
        }
        opcode::COMPARE_SWAP => vec![index(numbers, len), numbers.u32(..3), numbers.u32(..3)],
        opcode::MEMCPY => {
            let count = if numbers.u32(..4) == 0 {
                index(numbers, len)
            } else {
                numbers.u32(..len / 2 + 1)
            };
            vec![index(numbers, len), index(numbers, len), count]
        }
        _ => vec![numbers.u32(..3), index(numbers, len)],
    };
    (number, args)
}
