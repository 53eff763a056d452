//! The effects of instructions on a block of lanes.

use super::exec::Executor;
use super::lanes::{Lanes, MAX_LANES};
use crate::chunk::{Fault, FaultKind, Record, View};
use crate::isa::{match_op, Instr, Op, Operand, REGISTERS};
use crate::program::AccKind;
use crate::reference::update;
use crate::verify::MAX_DEPTH;

impl<'a> Executor<'a> {
    /// Writes a register in the lanes that are on. `fill` gets the lanes to write, and all registers to read.
    #[inline(always)]
    fn store(&mut self, register: u8, fill: impl FnOnce(&mut [u32], &[Box<Lanes>; REGISTERS])) {
        let (full, width) = (self.is_full(), self.width);
        let pad = &mut *self.pad;
        let out = pad.spare.first_mut(width);
        fill(out, &pad.regs);
        if !full {
            let old = pad.regs[usize::from(register) % REGISTERS].first(width);
            let mask = pad.masks[self.depth.min(MAX_DEPTH)].lanes.first(width);
            for ((word, old), on) in out.iter_mut().zip(old).zip(mask) {
                *word = *word & on | old & !on;
            }
        }
        std::mem::swap(
            &mut pad.regs[usize::from(register) % REGISTERS],
            &mut pad.spare,
        );
    }

    /// dst = f(a, b), lane by lane.
    #[inline(always)]
    fn binary(&mut self, instr: &Instr, f: impl Fn(u32, u32) -> u32 + Copy) {
        let a = usize::from(instr.a) % REGISTERS;
        match instr.b {
            Operand::Imm(imm) => self.store(instr.dst, |out, regs| {
                for (out, a) in out.iter_mut().zip(&regs[a].0) {
                    *out = f(*a, imm);
                }
            }),
            Operand::Reg(b) => {
                let b = usize::from(b) % REGISTERS;
                self.store(instr.dst, |out, regs| {
                    for ((out, a), b) in out.iter_mut().zip(&regs[a].0).zip(&regs[b].0) {
                        *out = f(*a, *b);
                    }
                });
            }
        }
    }

    /// dst = f(view, n), the same in every lane that is on.
    #[inline(always)]
    fn fact(&mut self, instr: &Instr, f: impl Fn(&View<'_>, u32) -> u32) {
        let value = f(&self.view, instr.immediate().unwrap_or(0));
        self.store(instr.dst, |out, _| out.fill(value));
    }

    /// dst = f(view, a + b), lane by lane.
    #[inline(always)]
    fn load(&mut self, instr: &Instr, f: impl Fn(&View<'_>, u32) -> u32) {
        let view = self.view;
        self.binary(instr, |a, b| f(&view, a.wrapping_add(b)));
    }

    /// Executes an instruction that does not affect which instruction is next.
    #[inline(always)]
    pub(super) fn plain(&mut self, pc: usize, instr: &Instr) {
        // First come the instructions that have their own implementation, then the classes.
        macro_rules! run {
            (Divu $($semantics:tt)*) => {
                self.binary(instr, divu)
            };
            (Remu $($semantics:tt)*) => {
                self.binary(instr, |a, b| {
                    if b == 0 {
                        a
                    } else {
                        a.wrapping_sub(divu(a, b).wrapping_mul(b))
                    }
                })
            };
            (Ld8 Load $f:expr) => {
                self.load8(instr, $f)
            };
            (Ld32 Load $f:expr) => {
                self.load32(instr, $f)
            };
            ($name:ident Compute $f:expr) => {
                self.binary(instr, $f)
            };
            ($name:ident Fact $f:expr) => {
                self.fact(instr, $f)
            };
            ($name:ident Load $f:expr) => {
                self.load(instr, $f)
            };
            ($name:ident Select) => {
                self.select(instr)
            };
            ($name:ident ScratchLoad) => {
                self.scratch_load(pc, instr)
            };
            ($name:ident Scratch $f:expr) => {
                self.scratch_update(pc, instr)
            };
            ($name:ident Acc) => {
                self.acc(pc, instr)
            };
            ($name:ident Emit) => {
                self.emit(instr)
            };
            // `Executor::block` has already executed it.
            ($name:ident Control) => {{}};
        }
        match_op!(instr.op, run);
    }

    #[inline(always)]
    fn select(&mut self, instr: &Instr) {
        let (a, dst) = (
            usize::from(instr.a) % REGISTERS,
            usize::from(instr.dst) % REGISTERS,
        );
        let b = instr.b;
        self.store(instr.dst, |out, regs| {
            let lanes = out.iter_mut().zip(&regs[a].0).zip(&regs[dst].0);
            match b {
                Operand::Imm(imm) => {
                    for ((out, condition), old) in lanes {
                        *out = if *condition == 0 { *old } else { imm };
                    }
                }
                Operand::Reg(b) => {
                    let b = &regs[usize::from(b) % REGISTERS].0;
                    for (((out, condition), old), b) in lanes.zip(b) {
                        *out = if *condition == 0 { *old } else { *b };
                    }
                }
            }
        });
    }

    /// The bytes that begin at the first lane's address, if the addresses a + b of the lanes are `stride` apart, and
    /// `width` bytes at each of them are in range.
    #[inline(always)]
    fn steady_bytes(&self, instr: &Instr, stride: usize, width: usize) -> Option<&'a [u8]> {
        let Operand::Imm(imm) = instr.b else {
            return None;
        };
        let (register, steps) = self.steady?;
        if register != instr.a || steps != stride {
            return None;
        }
        let first = self.pad.reg(register).0[0].wrapping_add(imm);
        let from = usize::try_from(i64::from(first as i32) + self.view.before as i64).ok()?;
        let bytes = self.view.bytes;
        bytes.get(from..from + (self.count - 1) * stride + width)
    }

    #[inline(always)]
    fn load8(&mut self, instr: &Instr, f: impl Fn(&View<'_>, u32) -> u32) {
        if let Some(bytes) = self.steady_bytes(instr, 1, 1) {
            self.store(instr.dst, |out, _| {
                for (out, byte) in out.iter_mut().zip(bytes) {
                    *out = u32::from(*byte);
                }
            });
            return;
        }
        self.load(instr, f);
    }

    #[inline(always)]
    fn load32(&mut self, instr: &Instr, f: impl Fn(&View<'_>, u32) -> u32) {
        if let Some(bytes) = self.steady_bytes(instr, 1, 4) {
            // The words overlap, so each of their four bytes comes from a row that begins one byte later.
            let rows = bytes
                .iter()
                .zip(&bytes[1..])
                .zip(&bytes[2..])
                .zip(&bytes[3..]);
            self.store(instr.dst, |out, _| {
                for (out, (((a, b), c), d)) in out.iter_mut().zip(rows) {
                    *out = u32::from(*a)
                        | u32::from(*b) << 8
                        | u32::from(*c) << 16
                        | u32::from(*d) << 24;
                }
            });
            return;
        }
        if let Some(bytes) = self.steady_bytes(instr, 4, 4) {
            let (words, _) = bytes.as_chunks::<4>();
            self.store(instr.dst, |out, _| {
                for (out, word) in out.iter_mut().zip(words) {
                    *out = u32::from_le_bytes(*word);
                }
            });
            return;
        }
        self.load(instr, f);
    }

    /// The value of operand b in a lane.
    #[inline(always)]
    fn lane_b(&self, instr: &Instr, lane: usize) -> u32 {
        match instr.b {
            Operand::Imm(imm) => imm,
            Operand::Reg(b) => self.lane(b, lane),
        }
    }

    #[inline(always)]
    fn lane(&self, register: u8, lane: usize) -> u32 {
        self.pad.reg(register).0[lane % MAX_LANES]
    }

    /// The largest value of operand b in the lanes that are on.
    #[inline(always)]
    fn largest_b(&self, instr: &Instr) -> u32 {
        match instr.b {
            Operand::Imm(imm) => imm,
            Operand::Reg(b) => {
                let lanes = self.pad.reg(b).first(self.width);
                let mask = self.mask().lanes.first(self.width);
                let on = lanes.iter().zip(mask).map(|(word, mask)| word & mask);
                on.fold(0, u32::max)
            }
        }
    }

    /// Stops the lanes whose index is out of range. The others continue.
    #[inline(always)]
    fn check_index(&mut self, pc: usize, instr: &Instr, len: usize, kind: FaultKind) {
        if (self.largest_b(instr) as usize) < len {
            return;
        }
        for lane in 0..self.count {
            if self.is_on(lane) && self.lane_b(instr, lane) as usize >= len {
                let fault = Fault {
                    kind,
                    instruction: pc,
                };
                self.fault_lane(lane, fault);
            }
        }
    }

    #[inline(always)]
    fn scratch_load(&mut self, pc: usize, instr: &Instr) {
        let range = self.program.scratch_range(instr.a);
        self.check_index(pc, instr, range.len(), FaultKind::Scratch);
        let scratch = std::mem::take(&mut self.pad.scratch);
        let array = scratch.get(range).unwrap_or_default();
        // Lanes that are off may have any index, even one that is out of range.
        self.binary(instr, |_, index| {
            array.get(index as usize).copied().unwrap_or(0)
        });
        self.pad.scratch = scratch;
    }

    #[inline(always)]
    fn scratch_update(&mut self, pc: usize, instr: &Instr) {
        let range = self.program.scratch_range(instr.dst);
        self.check_index(pc, instr, range.len(), FaultKind::Scratch);
        if let Some(index) = self.same_index(instr) {
            return self.scratch_reduce(range.start + index, instr);
        }
        let mut scratch = std::mem::take(&mut self.pad.scratch);
        let array = scratch.get_mut(range).unwrap_or_default();
        let (full, count) = (self.is_full(), self.count);
        let values = self.pad.reg(instr.a).first(count);
        let Operand::Reg(b) = instr.b else {
            // A constant index is the same in all lanes.
            return;
        };
        let lanes = self.pad.reg(b).first(count).iter().zip(values);
        macro_rules! lanes {
            ($op:expr) => {
                if full {
                    for (index, value) in lanes {
                        if let Some(word) = array.get_mut(*index as usize) {
                            *word = update($op, *word, *value);
                        }
                    }
                } else {
                    for ((index, value), on) in lanes.zip(&self.mask().lanes.0) {
                        if *on != 0 {
                            if let Some(word) = array.get_mut(*index as usize) {
                                *word = update($op, *word, *value);
                            }
                        }
                    }
                }
            };
        }
        match instr.op {
            Op::SAdd => lanes!(Op::SAdd),
            op => lanes!(op),
        }
        self.pad.scratch = scratch;
    }

    /// The index, if it is the same in all lanes that are on.
    #[inline(always)]
    fn same_index(&self, instr: &Instr) -> Option<usize> {
        match instr.b {
            Operand::Imm(imm) => Some(imm as usize),
            Operand::Reg(b) => {
                let first = self.pad.reg(b).0[0];
                let lanes = self.pad.reg(b).first(self.width);
                let mask = self.mask().lanes.first(self.width);
                let other = lanes.iter().zip(mask);
                let other = other.fold(0, |all, (word, on)| all | (word ^ first) & on);
                // The index of the first lane means nothing if it is off.
                (other == 0 && self.is_on(0)).then_some(first as usize)
            }
        }
    }

    /// Updates one scratch word by all lanes that are on.
    #[inline(always)]
    fn scratch_reduce(&mut self, at: usize, instr: &Instr) {
        if self.mask().active == 0 {
            return;
        }
        let values = self.pad.reg(instr.a).first(self.width);
        let on = values.iter().zip(self.mask().lanes.first(self.width));
        // The value of a lane that is off changes none of these reductions.
        let zeroed = on.clone().map(|(value, on)| value & on);
        let value = match instr.op {
            Op::SAdd => zeroed.fold(0, u32::wrapping_add),
            Op::SMin => on.fold(u32::MAX, |all, (value, on)| all.min(value | !on)),
            Op::SMax => zeroed.fold(0, u32::max),
            Op::SOr => zeroed.fold(0, |all, value| all | value),
            Op::SXor => zeroed.fold(0, |all, value| all ^ value),
            // `s.st` occurs only at top level, where there is one lane.
            _ => values[0],
        };
        if let Some(word) = self.pad.scratch.get_mut(at) {
            *word = update(instr.op, *word, value);
        }
    }

    #[inline(always)]
    fn acc(&mut self, pc: usize, instr: &Instr) {
        let range = self.program.acc_range(instr.dst);
        let Some(declared) = self.program.program().accs.get(usize::from(instr.dst)) else {
            return;
        };
        let kind = declared.kind;
        self.check_index(pc, instr, range.len(), FaultKind::Acc);
        if let (Operand::Imm(index), AccKind::Sum) = (instr.b, kind) {
            let sum = self.sum(instr.a);
            if let Some(acc) = self.results.accs.get_mut(range.start + index as usize) {
                *acc = acc.wrapping_add(sum);
            }
            return;
        }
        let Some(array) = self.results.accs.get_mut(range) else {
            return;
        };
        let count = self.count;
        let mask = &self.pad.masks[self.depth.min(MAX_DEPTH)];
        let full = mask.active == count;
        let values = self.pad.reg(instr.a).first(count);
        macro_rules! lanes {
            ($kind:expr, $indexes:expr) => {{
                let lanes = $indexes.zip(values);
                if full {
                    for (index, value) in lanes {
                        if let Some(acc) = array.get_mut(index as usize) {
                            *acc = $kind.merge(*acc, u64::from(*value));
                        }
                    }
                } else {
                    for ((index, value), on) in lanes.zip(&mask.lanes.0) {
                        if *on != 0 {
                            if let Some(acc) = array.get_mut(index as usize) {
                                *acc = $kind.merge(*acc, u64::from(*value));
                            }
                        }
                    }
                }
            }};
        }
        match (kind, instr.b) {
            // This is a histogram: the value is the same in all lanes.
            (AccKind::Sum, Operand::Reg(b)) if full && self.constant.contains(instr.a) => {
                let value = u64::from(values[0]);
                if let Ok(array) = <&mut [u64; 256]>::try_from(&mut *array) {
                    // This is a histogram of bytes. The indexes are known to be below 256, so their low bytes need no
                    // check.
                    for index in self.pad.reg(b).first(count) {
                        let acc = &mut array[usize::from(index.to_le_bytes()[0])];
                        *acc = acc.wrapping_add(value);
                    }
                    return;
                }
                for index in self.pad.reg(b).first(count) {
                    if let Some(acc) = array.get_mut(*index as usize) {
                        *acc = acc.wrapping_add(value);
                    }
                }
            }
            (AccKind::Sum, Operand::Reg(b)) => {
                lanes!(AccKind::Sum, self.pad.reg(b).first(count).iter().copied());
            }
            (kind, Operand::Reg(b)) => {
                lanes!(kind, self.pad.reg(b).first(count).iter().copied());
            }
            (kind, Operand::Imm(imm)) => lanes!(kind, std::iter::repeat_n(imm, count)),
        }
    }

    /// The sum of a register over the lanes that are on.
    #[inline(always)]
    fn sum(&self, register: u8) -> u64 {
        let values = self.pad.reg(register).first(self.width);
        let mask = self.mask().lanes.first(self.width);
        let on = values.iter().zip(mask);
        on.map(|(value, mask)| u64::from(value & mask)).sum()
    }

    #[inline(always)]
    fn emit(&mut self, instr: &Instr) {
        let most = self.program.program().records as usize;
        for lane in 0..self.count {
            if !self.is_on(lane) {
                continue;
            }
            if self.results.records.len() >= most {
                self.overflow = true;
                return;
            }
            let record = Record {
                position: self.lane(instr.a, lane) as i32,
                value: self.lane_b(instr, lane),
            };
            self.results.records.push(record);
        }
    }
}

/// Division in double precision, which vector units support. It is exact: if a quotient of two 32-bit numbers lies
/// below an integer, it differs from it by more than 2^-32 of its size, and doubles have 53 bits.
#[inline(always)]
fn divu(a: u32, b: u32) -> u32 {
    if b == 0 {
        u32::MAX
    } else {
        (f64::from(a) / f64::from(b)) as u32
    }
}
