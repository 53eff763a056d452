//! Blocks of windows, and the control flow of instructions.
//!
//! Everything here and in `instructions` is inlined into one function for each vector unit. Every open block of
//! instructions has a mask of the lanes that execute it: `if` and `loop` push a mask, and `end` pops it. A lane that
//! leaves early (by `break`, `halt` or a fault) is removed from the masks of all blocks that it leaves.

use super::lanes::{spread, Lanes, Mask, GROUP, MAX_LANES};
use crate::analysis::{Inputs, Registers};
use crate::chunk::{Cancel, Fault, Results, Stop, View};
use crate::isa::{Op, REGISTERS};
use crate::verify::{Verified, MAX_DEPTH};
use std::ops::Range;

/// The amount of work, which takes some milliseconds, after which it checks again whether the run is cancelled.
const LOOK: usize = 1 << 21;

/// The fixed time that an instruction takes in addition to the time for its lanes, in units of the time for one lane.
const OVERHEAD: usize = 16;

/// Registers, masks and scratch words of a machine.
pub(super) struct Scratchpad {
    pub(super) regs: [Box<Lanes>; REGISTERS],
    /// Results are written here, and this buffer is then swapped with the destination register.
    pub(super) spare: Box<Lanes>,
    pub(super) masks: [Mask; MAX_DEPTH + 1],
    /// For each depth, the lanes that an `else` will turn on.
    others: [Lanes; MAX_DEPTH + 1],
    pub(super) scratch: Vec<u32>,
}

impl Scratchpad {
    pub fn new(program: &Verified) -> Box<Self> {
        Box::new(Self {
            regs: std::array::from_fn(|_| Box::new(Lanes::ZERO)),
            spare: Box::new(Lanes::ZERO),
            masks: [Mask::NONE; MAX_DEPTH + 1],
            others: [Lanes::ZERO; MAX_DEPTH + 1],
            scratch: vec![0; program.program().scratch_words()],
        })
    }

    #[inline(always)]
    pub(super) fn reg(&self, register: u8) -> &Lanes {
        &self.regs[usize::from(register) % REGISTERS]
    }

    #[inline(always)]
    fn reg_mut(&mut self, register: u8) -> &mut Lanes {
        &mut self.regs[usize::from(register) % REGISTERS]
    }
}

/// An open block of instructions.
#[derive(Clone, Copy, Default)]
struct Frame {
    is_loop: bool,
    /// For a loop: its first instruction, its end, and the number of trips that remain after this one.
    body: usize,
    end: usize,
    trips: u32,
}

/// A run over one chunk.
pub(super) struct Executor<'a> {
    pub(super) program: &'a Verified,
    /// The inputs of each `each`, with the number of its instruction.
    inputs: &'a [(usize, Inputs)],
    pub(super) pad: &'a mut Scratchpad,
    pub(super) view: View<'a>,
    pub(super) results: &'a mut Results,
    lanes: usize,
    /// The number of lanes in the current block, and that number rounded up to whole groups.
    pub(super) count: usize,
    pub(super) width: usize,
    frames: [Frame; MAX_DEPTH + 1],
    pub(super) depth: usize,
    /// The first lane of the current block that has faulted, with its fault.
    fault: Option<(usize, Fault)>,
    pub(super) overflow: bool,
    asked: Cancel<'a>,
    /// The work since `asked` was last called, and whether `asked` has returned true.
    work: usize,
    cancelled: bool,
    /// As long as no instruction writes it: the register that holds the start of the window, and the stride.
    pub(super) steady: Option<(u8, usize)>,
    /// The registers that hold the same word in every lane.
    pub(super) constant: Registers,
}

impl<'a> Executor<'a> {
    pub fn new(
        program: &'a Verified,
        inputs: &'a [(usize, Inputs)],
        pad: &'a mut Scratchpad,
        view: View<'a>,
        results: &'a mut Results,
        lanes: usize,
        asked: Cancel<'a>,
    ) -> Self {
        Self {
            asked,
            work: 0,
            cancelled: false,
            program,
            inputs,
            pad,
            view,
            results,
            lanes,
            count: 1,
            width: GROUP,
            frames: [Frame::default(); MAX_DEPTH + 1],
            depth: 0,
            fault: None,
            overflow: false,
            steady: None,
            constant: Registers::default(),
        }
    }

    /// Runs the whole program.
    #[inline(always)]
    pub fn run(&mut self) -> Result<(), Stop> {
        self.pad.scratch.fill(0);
        for register in &mut self.pad.regs {
            register.first_mut(GROUP).fill(0);
        }
        let code = self.program.program().code.len();
        let mut pc = 0;
        self.begin_block(1);
        // The code between two `each` blocks is run as a block of one lane.
        while pc < code {
            let next = self.program.next_each(pc);
            let flow = self.block(pc..next);
            self.faulted()?;
            if flow == Flow::Over || next >= code {
                break;
            }
            self.results.steps += 1;
            self.each(next)?;
            self.begin_block(1);
            pc = self.program.target(next) + 1;
        }
        if self.overflow {
            return Err(Stop::Overflow);
        }
        Ok(())
    }

    fn begin_block(&mut self, count: usize) {
        self.count = count;
        self.width = count.next_multiple_of(GROUP).min(MAX_LANES);
        self.pad.masks[0].set_first(count);
        self.depth = 0;
        self.fault = None;
    }

    /// Counts instructions that the current block may execute, and checks from time to time whether the run is
    /// cancelled.
    #[inline(always)]
    fn goes_on(&mut self, instructions: usize) -> bool {
        self.work += (1 + instructions) * (OVERHEAD + self.count);
        self.work < LOOK || self.ask()
    }

    #[cold]
    fn ask(&mut self) -> bool {
        self.work = 0;
        self.cancelled = (self.asked)();
        !self.cancelled
    }

    fn faulted(&self) -> Result<(), Stop> {
        if self.cancelled {
            return Err(Stop::Cancelled);
        }
        self.fault
            .map_or(Ok(()), |(_, fault)| Err(Stop::Fault(fault)))
    }

    /// Executes an `each`: it runs its windows, block after block.
    #[inline(always)]
    fn each(&mut self, at: usize) -> Result<(), Stop> {
        let instr = self.program.program().code[at];
        let stride = instr.immediate().unwrap_or(1) as usize;
        let windows = self.view.len.div_ceil(stride);
        let inputs = self.inputs.iter().find(|(each, _)| *each == at);
        let inputs = inputs.map(|(_, inputs)| *inputs).unwrap_or_default();
        let before: [u32; REGISTERS] = std::array::from_fn(|index| self.pad.regs[index].0[0]);
        for register in inputs.constant.iter() {
            let value = before[usize::from(register) % REGISTERS];
            self.pad.reg_mut(register).0.fill(value);
        }
        self.steady = inputs.start_kept.then_some((instr.dst, stride));
        self.constant = inputs.constant;
        let body = at + 1..self.program.target(at);
        let mut window = 0;
        while window < windows {
            self.begin_block((windows - window).min(self.lanes));
            for register in inputs.fresh.iter() {
                let value = before[usize::from(register) % REGISTERS];
                let width = self.width;
                self.pad.reg_mut(register).first_mut(width).fill(value);
            }
            let (start, step, width) = (window * stride, stride as u32, self.width);
            let starts = self.pad.reg_mut(instr.dst).first_mut(width);
            for (lane, word) in (0_u32..).zip(starts) {
                *word = (start as u32).wrapping_add(lane.wrapping_mul(step));
            }
            self.block(body.clone());
            self.faulted()?;
            window += self.count;
        }
        self.steady = None;
        self.constant = Registers::default();
        for (register, value) in self.pad.regs.iter_mut().zip(before) {
            register.first_mut(GROUP).fill(value);
        }
        Ok(())
    }

    /// Executes instructions without an `each`, until their end or until no lane is left.
    #[inline(always)]
    fn block(&mut self, range: Range<usize>) -> Flow {
        let program = self.program;
        let code = &program.program().code;
        let mut pc = range.start;
        if !self.goes_on(range.len()) {
            return Flow::Over;
        }
        while pc < range.end {
            let instr = &code[pc];
            self.results.steps += self.mask().active as u64 * u64::from(instr.op.cost());
            match instr.op {
                Op::If => {
                    self.push_if(instr.a);
                    if self.mask().active == 0 {
                        // No lane enters the block.
                        pc = program.target(pc);
                        continue;
                    }
                }
                Op::Else => {
                    self.enter_else();
                    if self.mask().active == 0 {
                        pc = program.target(pc);
                        continue;
                    }
                }
                Op::Loop => {
                    let trips = instr.immediate().unwrap_or(1);
                    self.push(Frame {
                        is_loop: true,
                        body: pc + 1,
                        end: program.target(pc),
                        trips: trips.saturating_sub(1),
                    });
                }
                Op::End => {
                    if let Some(body) = self.end() {
                        if !self.goes_on(pc - body) {
                            return Flow::Over;
                        }
                        pc = body;
                        continue;
                    }
                }
                Op::Break => {
                    if let Some(end) = self.leave_loop(instr.a) {
                        pc = end;
                        continue;
                    }
                }
                Op::Halt => {
                    let leaving = self.mask().lanes.clone();
                    self.remove(&leaving, 0);
                    if self.pad.masks[0].active == 0 {
                        return Flow::Over;
                    }
                }
                _ => {
                    self.plain(pc, instr);
                    if self.pad.masks[0].active == 0 {
                        return Flow::Over;
                    }
                }
            }
            pc += 1;
        }
        Flow::Next
    }

    /// The mask of the innermost open block.
    #[inline(always)]
    pub(super) fn mask(&self) -> &Mask {
        &self.pad.masks[self.depth.min(MAX_DEPTH)]
    }

    #[inline(always)]
    pub(super) fn is_on(&self, lane: usize) -> bool {
        self.mask().lanes.0[lane % MAX_LANES] != 0
    }

    /// Whether all lanes of the current block are on.
    #[inline(always)]
    pub(super) fn is_full(&self) -> bool {
        self.mask().active == self.count
    }

    #[inline(always)]
    fn push(&mut self, frame: Frame) {
        let from = self.depth.min(MAX_DEPTH - 1);
        let (outer, inner) = self.pad.masks.split_at_mut(from + 1);
        if let (Some(outer), Some(inner)) = (outer.last(), inner.first_mut()) {
            let width = self.width;
            let lanes = inner.lanes.first_mut(width);
            lanes.copy_from_slice(outer.lanes.first(width));
            inner.active = outer.active;
        }
        self.depth = from + 1;
        self.frames[self.depth] = frame;
    }

    #[inline(always)]
    fn push_if(&mut self, register: u8) {
        self.push(Frame::default());
        let (depth, width) = (self.depth, self.width);
        let pad = &mut *self.pad;
        let condition = pad.regs[usize::from(register) % REGISTERS].first(width);
        let mask = &mut pad.masks[depth];
        let lanes = mask.lanes.first_mut(width);
        let others = pad.others[depth].first_mut(width);
        for ((on, other), word) in lanes.iter_mut().zip(others).zip(condition) {
            let taken = spread(*word);
            *other = *on & !taken;
            *on &= taken;
        }
        mask.recount(width);
    }

    #[inline(always)]
    fn enter_else(&mut self) {
        let width = self.width;
        let mask = &mut self.pad.masks[self.depth];
        let others = self.pad.others[self.depth].first(width);
        mask.lanes.first_mut(width).copy_from_slice(others);
        mask.recount(width);
    }

    /// Ends a block of instructions. Returns the instruction to continue with if a loop has another trip.
    #[inline(always)]
    fn end(&mut self) -> Option<usize> {
        let active = self.mask().active;
        let frame = &mut self.frames[self.depth];
        if frame.is_loop && frame.trips > 0 && active > 0 {
            frame.trips -= 1;
            return Some(frame.body);
        }
        self.depth = self.depth.saturating_sub(1);
        None
    }

    /// Removes lanes from the masks at `depth` and deeper.
    #[inline(always)]
    fn remove(&mut self, lanes: &Lanes, depth: usize) {
        let to = self.depth;
        for mask in &mut self.pad.masks[depth.min(to)..=to] {
            mask.remove(lanes.first(self.width));
        }
    }

    /// Makes the lanes whose register is not zero leave the innermost loop. Returns the loop's end if no lane is left
    /// in it.
    #[inline(always)]
    fn leave_loop(&mut self, register: u8) -> Option<usize> {
        let mut leaving = self.mask().lanes.clone();
        let condition = self.pad.reg(register).first(self.width);
        let mut any = 0;
        for (lane, word) in leaving.0.iter_mut().zip(condition) {
            *lane &= spread(*word);
            any |= *lane;
        }
        if any == 0 {
            return None;
        }
        let mut depth = self.depth;
        while depth > 0 && !self.frames[depth].is_loop {
            depth -= 1;
        }
        self.remove(&leaving, depth);
        if self.pad.masks[depth].active > 0 {
            return None;
        }
        self.depth = depth;
        Some(self.frames[depth].end)
    }

    /// Stops a lane that has faulted. The block reports the first such lane.
    #[cold]
    pub(super) fn fault_lane(&mut self, lane: usize, fault: Fault) {
        if self.fault.is_none_or(|(first, _)| lane < first) {
            self.fault = Some((lane, fault));
        }
        let mut leaving = Lanes::ZERO;
        leaving.0[lane % MAX_LANES] = u32::MAX;
        self.remove(&leaving, 0);
    }
}

/// How a block of instructions ended.
#[derive(PartialEq, Eq, Clone, Copy)]
enum Flow {
    Next,
    /// No lane is left.
    Over,
}
