//! The instruction set: the names of instructions, the meaning of their fields, and their cost.
//!
//! All of it comes from one list, in `isa/list.rs`. The eight bytes of an instruction are in `isa/instr.rs`.

mod instr;
mod list;

pub use instr::{Instr, InstrError, Operand, INSTR_BYTES};
pub(crate) use list::{for_each_op, match_op};

use crate::fault_kind::FaultKind;

/// Number of registers.
pub const REGISTERS: usize = 32;

/// An operand, named after the field of the encoding that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The register in `dst`.
    Dst,
    /// The register in `a`.
    A,
    /// Operand b: a register or an immediate.
    B,
    /// Operand b, which is an immediate.
    N,
    /// The number of an array, in `dst`.
    ArrayInDst,
    /// The number of an array, in `a`.
    ArrayInA,
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident: [$($field:ident),*];)*) => {
        /// The operands that an instruction has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Shape {
            $($(#[$doc])* $name,)*
        }

        impl Shape {
            /// Every shape.
            pub const ALL: &'static [Shape] = &[$(Shape::$name,)*];

            /// The operands, in the order of the text form. The fields that are not listed are zero.
            #[must_use]
            pub const fn fields(self) -> &'static [Field] {
                match self {
                    $(Shape::$name => &[$(Field::$field),*],)*
                }
            }

            /// The operands as bits, one for each.
            #[inline]
            const fn bits(self) -> u8 {
                match self {
                    $(Shape::$name => 0 $(| 1 << Field::$field as u8)*,)*
                }
            }
        }
    };
}

shapes! {
    /// No operands.
    Bare: [];
    /// A register to write.
    Dst: [Dst];
    /// A register to write, and one to read.
    DstA: [Dst, A];
    /// A register to write, and operand b.
    DstB: [Dst, B];
    /// A register to write, one to read, and operand b.
    DstAB: [Dst, A, B];
    /// A register to write, and an immediate.
    DstN: [Dst, N];
    /// A register to write, a scratch array, and an index into it.
    DstArrayIndex: [Dst, ArrayInA, B];
    /// An array, an index into it, and a register to read.
    ArrayIndexValue: [ArrayInDst, B, A];
    /// A register to read, and operand b.
    AB: [A, B];
    /// A register to read.
    A: [A];
    /// An immediate.
    N: [N];
}

impl Shape {
    /// Whether the shape has this operand.
    #[must_use]
    #[inline]
    pub const fn has(self, field: Field) -> bool {
        self.bits() >> field as u8 & 1 != 0
    }
}

/// The kind of code that executes an instruction: see `isa/list.rs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Computes a word from operands a and b.
    Compute,
    /// Returns a word that is the same for every window of a chunk.
    Fact,
    /// Loads from the address a + b, of the chunk or the table.
    Load,
    /// Writes its register, or leaves it unchanged.
    Select,
    /// Loads a word of a scratch array.
    ScratchLoad,
    /// Updates a word of a scratch array.
    Scratch,
    /// Passes a value to an accumulator.
    Acc,
    /// Adds a record.
    Emit,
    /// Chooses the next instruction.
    Control,
}

macro_rules! define_op {
    ($(
        #[doc = $effect:literal]
        $name:ident = $number:literal, $mnemonic:literal, $shape:ident, $cost:literal, $weight:literal,
            $class:ident $(($semantics:expr))?;
    )*) => {
        /// An opcode.
        ///
        /// Each opcode is documented by its effect. In it, d is the register in `dst`, a is the value of the register
        /// in `a`, b is the value of operand b, and n is an immediate. Section 3 of `docs/vir0.md` says more.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $(#[doc = $effect] $name = $number,)*
        }

        impl Op {
            /// Every opcode, by number.
            pub const ALL: &'static [Op] = &[$(Op::$name,)*];

            /// The opcode with this number (without the immediate bit).
            #[must_use]
            pub const fn from_number(number: u8) -> Option<Op> {
                match number {
                    $($number => Some(Op::$name),)*
                    _ => None,
                }
            }

            /// Its word in the text form.
            #[must_use]
            pub const fn mnemonic(self) -> &'static str {
                match self {
                    $(Op::$name => $mnemonic,)*
                }
            }

            /// Its effect, in the notation of this type's documentation.
            #[must_use]
            pub const fn effect(self) -> &'static str {
                match self {
                    $(Op::$name => $effect.trim_ascii(),)*
                }
            }

            /// Its operands.
            #[must_use]
            #[inline]
            pub const fn shape(self) -> Shape {
                match self {
                    $(Op::$name => Shape::$shape,)*
                }
            }

            /// The kind of code that executes it.
            #[must_use]
            #[inline]
            pub const fn class(self) -> Class {
                match self {
                    $(Op::$name => Class::$class,)*
                }
            }

            /// The instructions that one execution counts: 0 or 1.
            #[must_use]
            #[inline(always)]
            pub const fn cost(self) -> u8 {
                match self {
                    $(Op::$name => $cost,)*
                }
            }

            /// The time that one execution takes for one of many windows, in the units of [`Work`](crate::Work).
            #[must_use]
            #[inline]
            pub const fn weight(self) -> u8 {
                match self {
                    $(Op::$name => $weight,)*
                }
            }
        }
    };
}

for_each_op!(define_op);

impl Op {
    /// The opcode with this word in the text form.
    #[must_use]
    pub fn from_mnemonic(word: &str) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| op.mnemonic() == word)
    }

    /// The kind of array that it indexes, which is also how it can fault.
    #[must_use]
    pub const fn indexes(self) -> Option<FaultKind> {
        match self.class() {
            Class::ScratchLoad | Class::Scratch => Some(FaultKind::Scratch),
            Class::Acc => Some(FaultKind::Acc),
            _ => None,
        }
    }

    /// Whether it updates scratch memory in a way that does not depend on order.
    #[must_use]
    pub const fn is_scratch_update(self) -> bool {
        matches!(self.class(), Class::Scratch) && !matches!(self, Op::SSt)
    }

    /// Whether it opens a block that `end` closes.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(self, Op::Each | Op::Loop | Op::If)
    }
}
