//! The instruction set: opcodes, what their fields mean, and the eight bytes of an instruction.
//!
//! `op u8, dst u8, a u8, b u8, imm u32` (little-endian). The top bit of `op` says that operand b is `imm` and not the
//! register `b`. A field that an instruction does not use is zero, so every instruction has one encoding.

use std::fmt;

/// Bytes of an instruction.
pub const INSTR_BYTES: usize = 8;

/// Number of registers.
pub const REGISTERS: usize = 32;

/// The bit of the first byte that says that operand b is the immediate.
const IMMEDIATE: u8 = 0x80;

/// What the fields of an instruction are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// No operands.
    Bare,
    /// `dst`.
    Dst,
    /// `dst, a`.
    DstA,
    /// `dst, b`: b a register or an immediate.
    DstB,
    /// `dst, a, b`: b a register or an immediate.
    DstAB,
    /// `dst, n`: n an immediate (`arg`, `each`).
    DstN,
    /// `dst, array, index`: the array's number in field a, the index in operand b.
    DstArrayIndex,
    /// `array, index, value`: the array's number in field dst, the index in operand b, the value in register a.
    ArrayIndexValue,
    /// `a, b`: b a register or an immediate.
    AB,
    /// `a`.
    A,
    /// `n`: an immediate.
    N,
}

macro_rules! opcodes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $mnemonic:literal, $shape:ident;)*) => {
        /// An opcode.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $($(#[$doc])* $name = $number,)*
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

            /// The word that the assembler knows it by.
            #[must_use]
            pub const fn mnemonic(self) -> &'static str {
                match self {
                    $(Op::$name => $mnemonic,)*
                }
            }

            /// What its fields are.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self {
                    $(Op::$name => Shape::$shape,)*
                }
            }
        }
    };
}

opcodes! {
    /// dst = b
    Mov = 0x01, "mov", DstB;
    /// dst = b where a is not zero
    Sel = 0x02, "sel", DstAB;
    /// dst = own bytes of the chunk
    Len = 0x03, "len", Dst;
    /// dst = bytes of the halo that are there before the own bytes
    AvailBefore = 0x04, "avail.before", Dst;
    /// dst = bytes of the halo that are there after the own bytes
    AvailAfter = 0x05, "avail.after", Dst;
    /// dst = low half of the first own byte's position in the file
    BaseLo = 0x06, "base.lo", Dst;
    /// dst = high half of it
    BaseHi = 0x07, "base.hi", Dst;
    /// dst = argument n
    Arg = 0x08, "arg", DstN;
    /// dst = a + b, wrapping
    Add = 0x10, "add", DstAB;
    /// dst = a - b, wrapping
    Sub = 0x11, "sub", DstAB;
    /// dst = low half of a * b
    Mul = 0x12, "mul", DstAB;
    /// dst = high half of a * b, unsigned
    Mulhi = 0x13, "mulhi", DstAB;
    /// dst = a / b, unsigned; all ones where b is zero
    Divu = 0x14, "divu", DstAB;
    /// dst = a % b, unsigned; a where b is zero
    Remu = 0x15, "remu", DstAB;
    /// dst = the smaller, unsigned
    Min = 0x16, "min", DstAB;
    /// dst = the larger, unsigned
    Max = 0x17, "max", DstAB;
    /// dst = a & b
    And = 0x18, "and", DstAB;
    /// dst = a | b
    Or = 0x19, "or", DstAB;
    /// dst = a ^ b
    Xor = 0x1A, "xor", DstAB;
    /// dst = a << (b & 31)
    Shl = 0x1B, "shl", DstAB;
    /// dst = a >> (b & 31), zeros coming in
    Shr = 0x1C, "shr", DstAB;
    /// dst = a >> (b & 31), the sign coming in
    Sar = 0x1D, "sar", DstAB;
    /// dst = a rotated to the left by b & 31
    Rotl = 0x1E, "rotl", DstAB;
    /// dst = !a
    Not = 0x20, "not", DstA;
    /// dst = ones in a
    Popcnt = 0x21, "popcnt", DstA;
    /// dst = leading zeros of a, 32 for zero
    Clz = 0x22, "clz", DstA;
    /// dst = trailing zeros of a, 32 for zero
    Ctz = 0x23, "ctz", DstA;
    /// dst = a with its bytes in the other order
    Bswap = 0x24, "bswap", DstA;
    /// dst = a == b
    Eq = 0x28, "eq", DstAB;
    /// dst = a != b
    Ne = 0x29, "ne", DstAB;
    /// dst = a < b, unsigned
    Ltu = 0x2A, "ltu", DstAB;
    /// dst = a <= b, unsigned
    Leu = 0x2B, "leu", DstAB;
    /// dst = a < b, signed
    Lts = 0x2C, "lts", DstAB;
    /// dst = a <= b, signed
    Les = 0x2D, "les", DstAB;
    /// dst = byte of the chunk at a + b
    Ld8 = 0x30, "ld8", DstAB;
    /// dst = four bytes of the chunk from a + b on
    Ld32 = 0x31, "ld32", DstAB;
    /// dst = byte of the table at a + b
    Tb8 = 0x32, "tb8", DstAB;
    /// dst = four bytes of the table from a + b on
    Tb32 = 0x33, "tb32", DstAB;
    /// dst = scratch `array[index]`
    SLd = 0x38, "s.ld", DstArrayIndex;
    /// scratch `array[index]` = value
    SSt = 0x39, "s.st", ArrayIndexValue;
    /// scratch `array[index]` += value
    SAdd = 0x3A, "s.add", ArrayIndexValue;
    /// scratch `array[index]` = the smaller
    SMin = 0x3B, "s.min", ArrayIndexValue;
    /// scratch `array[index]` = the larger
    SMax = 0x3C, "s.max", ArrayIndexValue;
    /// scratch `array[index]` |= value
    SOr = 0x3D, "s.or", ArrayIndexValue;
    /// scratch `array[index]` ^= value
    SXor = 0x3E, "s.xor", ArrayIndexValue;
    /// accumulator `array[index]` takes value
    Acc = 0x40, "acc", ArrayIndexValue;
    /// a record (position a, value b)
    Emit = 0x41, "emit", AB;
    /// the body runs for every window of n bytes, dst its start
    Each = 0x48, "each", DstN;
    /// the body runs n times
    Loop = 0x49, "loop", N;
    /// the body runs where a is not zero
    If = 0x4A, "if", A;
    /// ... and this one where it is
    Else = 0x4B, "else", Bare;
    /// ends each, loop, if
    End = 0x4C, "end", Bare;
    /// leaves the innermost loop where a is not zero
    Break = 0x4D, "break", A;
    /// ends this window; at top level, the program
    Halt = 0x4E, "halt", Bare;
}

impl Op {
    /// The opcode that the assembler knows by this word.
    #[must_use]
    pub fn from_mnemonic(word: &str) -> Option<Op> {
        Op::ALL.iter().copied().find(|op| op.mnemonic() == word)
    }

    /// Whether it updates scratch memory in a way that does not depend on order.
    #[must_use]
    pub const fn is_scratch_update(self) -> bool {
        matches!(self, Op::SAdd | Op::SMin | Op::SMax | Op::SOr | Op::SXor)
    }

    /// Whether it opens a block that `end` closes.
    #[must_use]
    pub const fn opens(self) -> bool {
        matches!(self, Op::Each | Op::Loop | Op::If)
    }
}

/// Operand b.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register, by number.
    Reg(u8),
    /// A constant.
    Imm(u32),
}

/// One instruction. Fields that its [`Shape`] does not use are zero, `Operand::Reg(0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instr {
    /// The opcode.
    pub op: Op,
    /// Field dst: a register, or an array's number.
    pub dst: u8,
    /// Field a: a register, or an array's number.
    pub a: u8,
    /// Operand b.
    pub b: Operand,
}

/// Why eight bytes are no instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InstrError {
    /// No opcode has this number.
    Opcode(u8),
    /// A register number of 32 or more, in this byte of the instruction.
    Register(usize),
    /// A field that the opcode does not use is not zero, in this byte of the instruction.
    Unused(usize),
    /// The immediate bit is set where the opcode takes none, or missing where it must be.
    Form,
}

impl InstrError {
    /// The byte of the instruction that it is about.
    #[must_use]
    pub const fn byte(self) -> usize {
        match self {
            InstrError::Opcode(_) | InstrError::Form => 0,
            InstrError::Register(byte) | InstrError::Unused(byte) => byte,
        }
    }
}

impl fmt::Display for InstrError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InstrError::Opcode(number) => write!(f, "there is no opcode {number:#04x}"),
            InstrError::Register(_) => write!(f, "there are registers 0 to 31 only"),
            InstrError::Unused(_) => write!(f, "a field that the opcode does not use is not zero"),
            InstrError::Form => write!(f, "the opcode does not take this form of operand b"),
        }
    }
}

/// Which fields an instruction has: dst a register, dst an array, a a register, a an array, b.
struct Fields {
    dst: Field,
    a: Field,
    b: FieldB,
}

#[derive(PartialEq, Clone, Copy)]
enum Field {
    None,
    Register,
    Array,
}

#[derive(PartialEq, Clone, Copy)]
enum FieldB {
    None,
    Either,
    Immediate,
}

const fn fields(shape: Shape) -> Fields {
    use Field::{Array, None, Register};
    let (dst, a, b) = match shape {
        Shape::Bare => (None, None, FieldB::None),
        Shape::Dst => (Register, None, FieldB::None),
        Shape::DstA => (Register, Register, FieldB::None),
        Shape::DstB => (Register, None, FieldB::Either),
        Shape::DstAB => (Register, Register, FieldB::Either),
        Shape::DstN => (Register, None, FieldB::Immediate),
        Shape::DstArrayIndex => (Register, Array, FieldB::Either),
        Shape::ArrayIndexValue => (Array, Register, FieldB::Either),
        Shape::AB => (None, Register, FieldB::Either),
        Shape::A => (None, Register, FieldB::None),
        Shape::N => (None, None, FieldB::Immediate),
    };
    Fields { dst, a, b }
}

impl Instr {
    /// The instruction's eight bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; INSTR_BYTES] {
        let (flag, b, imm) = match self.b {
            Operand::Reg(register) => (0, register, 0),
            Operand::Imm(imm) => (IMMEDIATE, 0, imm),
        };
        let [i0, i1, i2, i3] = imm.to_le_bytes();
        [self.op as u8 | flag, self.dst, self.a, b, i0, i1, i2, i3]
    }

    /// The instruction of eight bytes.
    ///
    /// # Errors
    /// [`InstrError`] for anything that [`encode`](Self::encode) does not write.
    pub fn decode(bytes: [u8; INSTR_BYTES]) -> Result<Instr, InstrError> {
        let [code, dst, a, b, i0, i1, i2, i3] = bytes;
        let op = Op::from_number(code & !IMMEDIATE).ok_or(InstrError::Opcode(code & !IMMEDIATE))?;
        let imm = u32::from_le_bytes([i0, i1, i2, i3]);
        let immediate = code & IMMEDIATE != 0;
        let instr = Instr {
            op,
            dst,
            a,
            b: if immediate {
                Operand::Imm(imm)
            } else {
                Operand::Reg(b)
            },
        };
        if immediate && b != 0 {
            return Err(InstrError::Unused(3));
        }
        if !immediate && imm != 0 {
            return Err(InstrError::Unused(4));
        }
        instr.check()?;
        Ok(instr)
    }

    /// Whether the fields are what the opcode's shape asks for: what [`decode`](Self::decode) would return.
    ///
    /// # Errors
    /// The field that is not.
    pub fn check(&self) -> Result<(), InstrError> {
        let fields = fields(self.op.shape());
        for (byte, field, value) in [(1, fields.dst, self.dst), (2, fields.a, self.a)] {
            match field {
                Field::None if value != 0 => return Err(InstrError::Unused(byte)),
                Field::Register if usize::from(value) >= REGISTERS => {
                    return Err(InstrError::Register(byte))
                }
                _ => {}
            }
        }
        match (fields.b, self.b) {
            (FieldB::Either | FieldB::Immediate, Operand::Imm(_)) => Ok(()),
            (FieldB::Either, Operand::Reg(b)) if usize::from(b) >= REGISTERS => {
                Err(InstrError::Register(3))
            }
            (FieldB::Either, Operand::Reg(_)) | (FieldB::None, Operand::Reg(0)) => Ok(()),
            (FieldB::None, Operand::Reg(_)) => Err(InstrError::Unused(3)),
            (FieldB::Immediate, Operand::Reg(_)) | (FieldB::None, Operand::Imm(_)) => {
                Err(InstrError::Form)
            }
        }
    }

    /// The register that it writes.
    #[must_use]
    pub const fn writes(&self) -> Option<u8> {
        match fields(self.op.shape()).dst {
            Field::Register => Some(self.dst),
            _ => None,
        }
    }

    /// The registers that it reads; `sel` also reads the one that it writes.
    pub fn reads(&self) -> impl Iterator<Item = u8> {
        let fields = fields(self.op.shape());
        let a = (fields.a == Field::Register).then_some(self.a);
        let b = match self.b {
            Operand::Reg(register) if fields.b == FieldB::Either => Some(register),
            _ => None,
        };
        let kept = (self.op == Op::Sel).then_some(self.dst);
        [a, b, kept].into_iter().flatten()
    }

    /// The immediate, of instructions that have one.
    #[must_use]
    pub const fn immediate(&self) -> Option<u32> {
        match self.b {
            Operand::Imm(imm) => Some(imm),
            Operand::Reg(_) => None,
        }
    }
}
