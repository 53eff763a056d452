//! The protocol's core opcodes: all those that need no chunk.
//!
//! Each opcode is a function of a slot's arguments and its `OpContext`. `TABLE` lists them. An opcode that is in no
//! table faults; it never completes as DONE silently.

use crate::programs::ProgramTable;
use gristmill_protocol::debug::DebugRecord;
use gristmill_protocol::opcode::{self, CORE_ARGS};
use gristmill_protocol::{control, fault, packed, ARGS_PER_SLOT, CONTROL_MIN_WORDS};
use gristmill_ring::{DeviceRing, Outcome};
use std::sync::atomic::{AtomicU32, Ordering};

/// The state that a core opcode can see and change.
pub(crate) struct OpContext<'a> {
    pub ring: &'a DeviceRing,
    /// The tenant's window of observables, which is its equal share of them. Indices count from the window's start.
    pub window: &'a [AtomicU32],
    /// The slot's number, for PRINTF.
    pub slot: u32,
    /// The slot's tenant, for DFA_STEP.
    pub tenant: u32,
    /// All programs, for DFA_STEP.
    pub programs: &'a ProgramTable,
}

/// The function of an opcode. It gets the argument words; those that the opcode does not take are zero.
type Core = fn(&OpContext<'_>, [u32; CORE_ARGS]) -> Result<Outcome, u32>;

/// The core opcodes: number and function. [`opcode::CORE`] says how many argument words each takes.
const TABLE: &[(u32, Core)] = &[
    (opcode::NOP, |_, _| Ok(Outcome::default())),
    (opcode::STORE_U32, store),
    (opcode::ATOMIC_ADD, add),
    (opcode::LOAD_U32, load),
    (opcode::COMPARE_SWAP, compare_swap),
    (opcode::MEMCPY, copy),
    (opcode::DFA_STEP, dfa_step),
    (opcode::PRINTF, printf),
    (opcode::SHUTDOWN, shutdown),
];

/// Runs a core opcode; returns `None` if it is not one.
pub(crate) fn run(
    number: u32,
    context: &OpContext<'_>,
    args: &[u32; ARGS_PER_SLOT],
) -> Option<Result<Outcome, u32>> {
    if number == opcode::PACKED_SLOT {
        return Some(packed(context, args));
    }
    run_one(number, context, args)
}

fn run_one(number: u32, context: &OpContext<'_>, given: &[u32]) -> Option<Result<Outcome, u32>> {
    let (_, effect) = TABLE.iter().find(|(known, _)| *known == number)?;
    let taken = opcode::core_args(number)?;
    let mut args = [0; CORE_ARGS];
    Some(match given.get(..taken) {
        Some(given) => {
            args[..taken].copy_from_slice(given);
            effect(context, args)
        }
        None => Err(fault::BAD_ARGUMENT),
    })
}

fn observable<'a>(context: &OpContext<'a>, index: u32) -> Result<&'a AtomicU32, u32> {
    context
        .window
        .get(index as usize)
        .ok_or(fault::INDEX_OUT_OF_RANGE)
}

fn store(context: &OpContext<'_>, [value, index, _]: [u32; CORE_ARGS]) -> Result<Outcome, u32> {
    observable(context, index)?.store(value, Ordering::Relaxed);
    Ok(Outcome::default())
}

fn add(context: &OpContext<'_>, [value, index, _]: [u32; CORE_ARGS]) -> Result<Outcome, u32> {
    let before = observable(context, index)?.fetch_add(value, Ordering::Relaxed);
    Ok(Outcome::value(before.wrapping_add(value)))
}

/// Reads a control word, if the index is below 160, or an observable of the window, from index 160 on.
fn load(context: &OpContext<'_>, [from, to, _]: [u32; CORE_ARGS]) -> Result<Outcome, u32> {
    let from = from as usize;
    let value = match from.checked_sub(CONTROL_MIN_WORDS) {
        None => context.ring.control()[from].load(Ordering::Relaxed),
        Some(index) => context
            .window
            .get(index)
            .ok_or(fault::INDEX_OUT_OF_RANGE)?
            .load(Ordering::Relaxed),
    };
    observable(context, to)?.store(value, Ordering::Relaxed);
    Ok(Outcome::value(value))
}

fn compare_swap(
    context: &OpContext<'_>,
    [index, expected, new]: [u32; CORE_ARGS],
) -> Result<Outcome, u32> {
    let old = observable(context, index)?
        .compare_exchange(expected, new, Ordering::AcqRel, Ordering::Acquire)
        .unwrap_or_else(|other| other);
    Ok(Outcome::value(old))
}

/// Copies observables. The ranges may overlap.
fn copy(
    context: &OpContext<'_>,
    [source, target, count]: [u32; CORE_ARGS],
) -> Result<Outcome, u32> {
    let range = |start: u32| {
        let start = start as usize;
        context
            .window
            .get(start..start.checked_add(count as usize)?)
    };
    let (Some(from), Some(to)) = (range(source), range(target)) else {
        return Err(fault::INDEX_OUT_OF_RANGE);
    };
    let move_word = |(from, to): (&AtomicU32, &AtomicU32)| {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    if target <= source {
        from.iter().zip(to).for_each(move_word);
    } else {
        from.iter().zip(to).rev().for_each(move_word);
    }
    Ok(Outcome::default())
}

/// Runs one step of an automaton that is stored as words in a program's table. The result is the state that follows a
/// given state on an input byte.
fn dfa_step(
    context: &OpContext<'_>,
    [state, input, number]: [u32; CORE_ARGS],
) -> Result<Outcome, u32> {
    let program = opcode::tenant_window(context.tenant)
        .filter(|_| number < opcode::TENANT_WINDOW)
        .and_then(|window| context.programs.get(window.start() + number))
        .ok_or(fault::NO_SUCH_PROGRAM)?;
    let (words, _) = program.program().table.as_chunks::<4>();
    let at = u64::from(state) * 256 + u64::from(input);
    let next = usize::try_from(at).ok().and_then(|at| words.get(at));
    let next = next.filter(|_| input < 256);
    Ok(Outcome::value(u32::from_le_bytes(
        *next.ok_or(fault::INDEX_OUT_OF_RANGE)?,
    )))
}

fn printf(
    context: &OpContext<'_>,
    [format_id, first, second]: [u32; CORE_ARGS],
) -> Result<Outcome, u32> {
    context.ring.log(&DebugRecord {
        format_id,
        args: [first, second],
        slot: context.slot,
    });
    Ok(Outcome::default())
}

fn shutdown(context: &OpContext<'_>, _: [u32; CORE_ARGS]) -> Result<Outcome, u32> {
    context.ring.control()[control::SHUTDOWN].store(1, Ordering::Release);
    context.ring.wake_workers();
    Ok(Outcome::default())
}

/// Runs the inner operations of a packed slot in order, after checking the slot as a whole. The first operation that
/// faults makes the slot fault. The result is that of the last operation.
fn packed(context: &OpContext<'_>, args: &[u32; ARGS_PER_SLOT]) -> Result<Outcome, u32> {
    let mut outcome = Outcome::default();
    for (number, inner) in packed::decode(args).map_err(|_| fault::BAD_PACKED_SLOT)? {
        outcome = match run_one(number.into(), context, inner) {
            Some(Err(fault::BAD_ARGUMENT)) | None => return Err(fault::BAD_PACKED_SLOT),
            Some(result) => result?,
        };
    }
    Ok(outcome)
}
