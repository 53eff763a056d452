//! An instruction and its eight bytes: `op u8, dst u8, a u8, b u8, imm u32`, little-endian.
//!
//! The top bit of `op` says that operand b is `imm`, rather than the register `b`. A field that an instruction does not
//! use is zero, so every instruction has one encoding.

use super::{Field, Op, REGISTERS};
use thiserror::Error;

/// Bytes of an instruction.
pub const INSTR_BYTES: usize = 8;

/// The bit of the first byte that says that operand b is the immediate.
const IMMEDIATE: u8 = 0x80;

/// Operand b.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A register, by number.
    Reg(u8),
    /// A constant.
    Imm(u32),
}

/// One instruction. Fields that its [`Shape`](super::Shape) does not use are zero; operand b is then `Operand::Reg(0)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Instr {
    /// The opcode.
    pub op: Op,
    /// Field dst: a register, or the number of an array.
    pub dst: u8,
    /// Field a: a register, or the number of an array.
    pub a: u8,
    /// Operand b.
    pub b: Operand,
}

/// The reason why eight bytes are not an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum InstrError {
    /// No opcode has this number.
    #[error("there is no opcode {0:#04x}")]
    Opcode(u8),
    /// A register number of 32 or more, in this byte of the instruction.
    #[error("there are registers 0 to 31 only")]
    Register(usize),
    /// A field that the opcode does not use is not zero, in this byte of the instruction.
    #[error("a field that the opcode does not use is not zero")]
    Unused(usize),
    /// The immediate bit is set for an opcode that takes no immediate, or not set for one that requires it.
    #[error("the opcode does not take this form of operand b")]
    Form,
}

impl InstrError {
    /// The position of the byte, within the instruction, that the error is about.
    #[must_use]
    pub const fn byte(self) -> usize {
        match self {
            InstrError::Opcode(_) | InstrError::Form => 0,
            InstrError::Register(byte) | InstrError::Unused(byte) => byte,
        }
    }
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

    /// Decodes the instruction in eight bytes.
    ///
    /// # Errors
    /// [`InstrError`] for bytes that [`encode`](Self::encode) does not write.
    pub fn decode(bytes: [u8; INSTR_BYTES]) -> Result<Instr, InstrError> {
        let [code, dst, a, b, i0, i1, i2, i3] = bytes;
        let op = Op::from_number(code & !IMMEDIATE).ok_or(InstrError::Opcode(code & !IMMEDIATE))?;
        let imm = u32::from_le_bytes([i0, i1, i2, i3]);
        let b = match (code & IMMEDIATE != 0, b, imm) {
            (true, 0, imm) => Operand::Imm(imm),
            (true, ..) => return Err(InstrError::Unused(3)),
            (false, b, 0) => Operand::Reg(b),
            (false, ..) => return Err(InstrError::Unused(4)),
        };
        let instr = Instr { op, dst, a, b };
        instr.check()?;
        Ok(instr)
    }

    /// Checks that the fields are those of the opcode's shape, as [`decode`](Self::decode) does.
    ///
    /// # Errors
    /// [`InstrError`] for the first field that does not match the shape.
    pub fn check(&self) -> Result<(), InstrError> {
        let shape = self.op.shape();
        let field = |byte, value, register, array| {
            if shape.has(register) && usize::from(value) >= REGISTERS {
                return Err(InstrError::Register(byte));
            }
            if value != 0 && !shape.has(register) && !shape.has(array) {
                return Err(InstrError::Unused(byte));
            }
            Ok(())
        };
        field(1, self.dst, Field::Dst, Field::ArrayInDst)?;
        field(2, self.a, Field::A, Field::ArrayInA)?;
        match self.b {
            Operand::Imm(_) if shape.has(Field::B) || shape.has(Field::N) => Ok(()),
            Operand::Reg(b) if shape.has(Field::B) => {
                if usize::from(b) < REGISTERS {
                    Ok(())
                } else {
                    Err(InstrError::Register(3))
                }
            }
            Operand::Reg(b) if b != 0 && !shape.has(Field::N) => Err(InstrError::Unused(3)),
            Operand::Reg(_) if !shape.has(Field::N) => Ok(()),
            _ => Err(InstrError::Form),
        }
    }

    /// The register that it writes.
    #[must_use]
    pub const fn writes(&self) -> Option<u8> {
        if self.op.shape().has(Field::Dst) {
            Some(self.dst)
        } else {
            None
        }
    }

    /// The registers that it reads; `sel` also reads the one that it writes.
    pub fn reads(&self) -> impl Iterator<Item = u8> {
        let shape = self.op.shape();
        let a = shape.has(Field::A).then_some(self.a);
        let b = match self.b {
            Operand::Reg(register) if shape.has(Field::B) => Some(register),
            _ => None,
        };
        let kept = (self.op == Op::Sel).then_some(self.dst);
        [a, b, kept].into_iter().flatten()
    }

    /// The immediate, if the instruction has one.
    #[must_use]
    pub const fn immediate(&self) -> Option<u32> {
        match self.b {
            Operand::Imm(imm) => Some(imm),
            Operand::Reg(_) => None,
        }
    }

    /// The number of the array that the instruction [indexes](Op::indexes), if it indexes one.
    #[must_use]
    pub fn array(&self) -> Option<u8> {
        let shape = self.op.shape();
        let in_dst = shape.has(Field::ArrayInDst).then_some(self.dst);
        in_dst.or(shape.has(Field::ArrayInA).then_some(self.a))
    }
}
