//! The protocol's own opcodes: everything that needs no chunk.
//!
//! Each is a function of a slot's arguments and its [`OpContext`]. `TABLE` lists them; an opcode that is in no table
//! faults, and is never DONE in silence.

use crate::programs::ProgramTable;
use gristmill_protocol::{control, fault, opcode, packed, ARGS_PER_SLOT, CONTROL_MIN_WORDS};
use gristmill_ring::{DeviceRing, Outcome};
use std::sync::atomic::{AtomicU32, Ordering};

/// What a core opcode can see and change.
pub(crate) struct OpContext<'a> {
    pub ring: &'a DeviceRing,
    /// The tenant's window of observables: an equal share of them. Indices count from its start.
    pub window: &'a [AtomicU32],
    /// The slot's number, for PRINTF.
    pub slot: u32,
    /// The slot's tenant, for DFA_STEP.
    pub tenant: u32,
    /// All programs, for DFA_STEP.
    pub programs: &'a ProgramTable,
}

type Core = fn(&OpContext<'_>, &[u32]) -> Result<Outcome, u32>;

/// Core opcodes: number, argument words, effect.
const TABLE: &[(u32, usize, Core)] = &[
    (opcode::NOP, 0, |_, _| Ok(Outcome::default())),
    (opcode::STORE_U32, 2, store),
    (opcode::ATOMIC_ADD, 2, add),
    (opcode::LOAD_U32, 2, load),
    (opcode::COMPARE_SWAP, 3, compare_swap),
    (opcode::MEMCPY, 3, copy),
    (opcode::DFA_STEP, 3, dfa_step),
    (opcode::PRINTF, 3, printf),
    (opcode::SHUTDOWN, 0, shutdown),
];

/// Runs a core opcode; `None` where it is not one.
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

fn run_one(number: u32, context: &OpContext<'_>, args: &[u32]) -> Option<Result<Outcome, u32>> {
    let (_, words, effect) = TABLE.iter().find(|(known, ..)| *known == number)?;
    Some(match args.get(..*words) {
        Some(args) => effect(context, args),
        None => Err(fault::BAD_ARGUMENT),
    })
}

fn observable<'a>(context: &OpContext<'a>, index: u32) -> Result<&'a AtomicU32, u32> {
    context
        .window
        .get(index as usize)
        .ok_or(fault::INDEX_OUT_OF_RANGE)
}

fn store(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    observable(context, args[1])?.store(args[0], Ordering::Relaxed);
    Ok(Outcome::default())
}

fn add(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    let before = observable(context, args[1])?.fetch_add(args[0], Ordering::Relaxed);
    Ok(Outcome::value(before.wrapping_add(args[0])))
}

/// Reads a control word below 160, or an observable of the window behind that.
fn load(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    let from = args[0] as usize;
    let value = match from.checked_sub(CONTROL_MIN_WORDS) {
        None => context.ring.control()[from].load(Ordering::Relaxed),
        Some(index) => context
            .window
            .get(index)
            .ok_or(fault::INDEX_OUT_OF_RANGE)?
            .load(Ordering::Relaxed),
    };
    observable(context, args[1])?.store(value, Ordering::Relaxed);
    Ok(Outcome::value(value))
}

fn compare_swap(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    let old = observable(context, args[0])?
        .compare_exchange(args[1], args[2], Ordering::AcqRel, Ordering::Acquire)
        .unwrap_or_else(|other| other);
    Ok(Outcome::value(old))
}

/// Copies observables; ranges may overlap.
fn copy(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    let range = |start: u32| {
        let start = start as usize;
        context
            .window
            .get(start..start.checked_add(args[2] as usize)?)
    };
    let (Some(from), Some(to)) = (range(args[0]), range(args[1])) else {
        return Err(fault::INDEX_OUT_OF_RANGE);
    };
    let move_word = |(from, to): (&AtomicU32, &AtomicU32)| {
        to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    if args[1] <= args[0] {
        from.iter().zip(to).for_each(move_word);
    } else {
        from.iter().zip(to).rev().for_each(move_word);
    }
    Ok(Outcome::default())
}

/// One step of an automaton whose table of words is that of a program: next state of state a0 on input a1.
fn dfa_step(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    let program = opcode::tenant_window(context.tenant)
        .filter(|_| args[2] < opcode::TENANT_WINDOW)
        .and_then(|window| context.programs.get(window.start() + args[2]))
        .ok_or(fault::NO_SUCH_PROGRAM)?;
    let (words, _) = program.program().table.as_chunks::<4>();
    let at = u64::from(args[0]) * 256 + u64::from(args[1]);
    let next = usize::try_from(at).ok().and_then(|at| words.get(at));
    let next = next.filter(|_| args[1] < 256);
    Ok(Outcome::value(u32::from_le_bytes(
        *next.ok_or(fault::INDEX_OUT_OF_RANGE)?,
    )))
}

fn printf(context: &OpContext<'_>, args: &[u32]) -> Result<Outcome, u32> {
    context.ring.log([args[0], args[1], args[2], context.slot]);
    Ok(Outcome::default())
}

fn shutdown(context: &OpContext<'_>, _args: &[u32]) -> Result<Outcome, u32> {
    context.ring.control()[control::SHUTDOWN].store(1, Ordering::Release);
    context.ring.wake_workers();
    Ok(Outcome::default())
}

/// The inner operations of a packed slot, checked as a whole and run in order; the first that faults faults the slot. The
/// result is that of the last.
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
