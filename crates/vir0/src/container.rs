//! The container: a program's bytes.
//!
//! `VIR0`, version u16, flags u16 (zero), then sections, each a tag of four bytes, a length u32 and so many bytes, in
//! this order: `META`, `CODE`, `TABL` (not when empty), `DBUG` (when there is one); last the CRC-32C (Castagnoli, as in
//! RFC 3720) of everything before it. All numbers are little-endian. A program has one encoding: what [`encode`] would
//! not write, [`decode`] refuses, with the offset. docs/vir0.md has it byte by byte.

use crate::isa::{Instr, InstrError, INSTR_BYTES};
use crate::program::{is_name, AccArray, AccKind, Arg, Debug, Program, Scratch};
use thiserror::Error;

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b"VIR0";

/// The version that is written and read.
pub const VERSION: u16 = 1;

/// Bytes of a container at most: the verifier's limits leave room for less.
pub const MAX_BYTES: usize = 1 << 20;

const META: [u8; 4] = *b"META";
const CODE: [u8; 4] = *b"CODE";
const TABLE: [u8; 4] = *b"TABL";
const DEBUG: [u8; 4] = *b"DBUG";

/// What is wrong with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// It does not begin with `VIR0`.
    Magic,
    /// A version that this reader does not know.
    Version(u16),
    /// Flags that are not zero.
    Flags(u16),
    /// It ends in the middle.
    Truncated,
    /// Longer than a program can be.
    TooLong,
    /// The checksum is not that of the bytes.
    Checksum,
    /// A section that is not expected here: unknown, out of order, or a second time.
    Section([u8; 4]),
    /// A section that must be there is not.
    Missing([u8; 4]),
    /// Bytes behind the end of a section's contents.
    Trailing,
    /// A section that is written only when it holds something.
    Empty,
    /// A name that is not one, or a text that is not UTF-8.
    Name,
    /// An accumulator kind or a mark that does not exist.
    Value,
    /// Bytes that are no instruction.
    Instruction(InstrError),
    /// Lines for more or fewer instructions than there are.
    Lines,
}

impl std::fmt::Display for Malformed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tag = |tag: &[u8; 4]| tag.escape_ascii().to_string();
        match self {
            Malformed::Magic => write!(f, "it does not begin with VIR0"),
            Malformed::Version(version) => {
                write!(f, "it has version {version}; this reader knows {VERSION}")
            }
            Malformed::Flags(flags) => write!(f, "unknown flags {flags:#06x}"),
            Malformed::Truncated => write!(f, "it ends in the middle"),
            Malformed::TooLong => write!(f, "it is longer than {MAX_BYTES} bytes"),
            Malformed::Checksum => write!(f, "its checksum is not that of its bytes"),
            Malformed::Section(found) => write!(f, "a section {} is not expected here", tag(found)),
            Malformed::Missing(wanted) => write!(f, "there is no section {}", tag(wanted)),
            Malformed::Trailing => write!(f, "there are bytes behind the contents"),
            Malformed::Empty => write!(f, "a section without contents must be left out"),
            Malformed::Name => write!(f, "a name that is not one"),
            Malformed::Value => write!(f, "a value that has no meaning"),
            Malformed::Instruction(error) => write!(f, "{error}"),
            Malformed::Lines => write!(f, "not as many lines as instructions"),
        }
    }
}

/// A container that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a VIR0 program: {what}, at byte {offset}; assemble it again from its source")]
pub struct DecodeError {
    /// Where, in bytes from the start.
    pub offset: usize,
    /// What is wrong there.
    pub what: Malformed,
}

/// A program that no container can hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} cannot be encoded; {fix}")]
pub struct EncodeError {
    /// The part.
    pub what: &'static str,
    /// What to do.
    pub fix: &'static str,
}

/// The program's container.
///
/// # Errors
/// [`EncodeError`] for names that are none, more parts than a count can say, fields that an instruction does not have, a
/// number of lines that is not that of the instructions, or more than [`MAX_BYTES`].
pub fn encode(program: &Program) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    section(&mut bytes, META, &meta(program)?)?;
    let mut code = Vec::with_capacity(program.code.len() * INSTR_BYTES);
    for instr in &program.code {
        instr.check().map_err(|_| EncodeError {
            what: "an instruction with fields that its opcode does not have",
            fix: "leave unused fields zero, and use registers 0 to 31",
        })?;
        code.extend(instr.encode());
    }
    section(&mut bytes, CODE, &code)?;
    if !program.table.is_empty() {
        section(&mut bytes, TABLE, &program.table)?;
    }
    if let Some(debug) = &program.debug {
        section(&mut bytes, DEBUG, &debug_section(program, debug)?)?;
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    if bytes.len() > MAX_BYTES {
        return Err(TOO_LONG);
    }
    Ok(bytes)
}

const TOO_LONG: EncodeError = EncodeError {
    what: "a program of more than a megabyte",
    fix: "make its table or its code shorter",
};

fn section(bytes: &mut Vec<u8>, tag: [u8; 4], contents: &[u8]) -> Result<(), EncodeError> {
    let length = u32::try_from(contents.len()).map_err(|_| TOO_LONG)?;
    bytes.extend(tag);
    bytes.extend(length.to_le_bytes());
    bytes.extend(contents);
    Ok(())
}

fn name(bytes: &mut Vec<u8>, name: &str) -> Result<(), EncodeError> {
    let error = EncodeError {
        what: "a name that is not one",
        fix: "use letters, digits and _, a letter first, at most 32 bytes",
    };
    if !is_name(name) {
        return Err(error);
    }
    bytes.push(u8::try_from(name.len()).map_err(|_| error)?);
    bytes.extend(name.as_bytes());
    Ok(())
}

fn count(bytes: &mut Vec<u8>, len: usize) -> Result<(), EncodeError> {
    let count = u8::try_from(len).map_err(|_| EncodeError {
        what: "a list of more than 255 parts",
        fix: "use fewer arguments or arrays",
    })?;
    bytes.push(count);
    Ok(())
}

fn meta(program: &Program) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    name(&mut bytes, &program.name)?;
    bytes.extend(program.before.to_le_bytes());
    bytes.extend(program.after.to_le_bytes());
    bytes.extend(program.chunk.to_le_bytes());
    bytes.extend(program.align.to_le_bytes());
    bytes.extend(program.records.to_le_bytes());
    count(&mut bytes, program.args.len())?;
    for arg in &program.args {
        name(&mut bytes, &arg.name)?;
        bytes.push(arg.default.is_some().into());
        bytes.extend(arg.default.unwrap_or(0).to_le_bytes());
    }
    count(&mut bytes, program.scratch.len())?;
    for array in &program.scratch {
        name(&mut bytes, &array.name)?;
        bytes.extend(array.words.to_le_bytes());
    }
    count(&mut bytes, program.accs.len())?;
    for array in &program.accs {
        name(&mut bytes, &array.name)?;
        bytes.push(array.kind as u8);
        bytes.extend(array.len.to_le_bytes());
    }
    Ok(bytes)
}

fn debug_section(program: &Program, debug: &Debug) -> Result<Vec<u8>, EncodeError> {
    let source = u16::try_from(debug.source.len()).map_err(|_| EncodeError {
        what: "a source name of more than 65,535 bytes",
        fix: "use a shorter one",
    })?;
    if debug.lines.len() != program.code.len() {
        return Err(EncodeError {
            what: "debug information for another number of instructions",
            fix: "give one line for each instruction",
        });
    }
    let mut bytes = Vec::new();
    bytes.extend(source.to_le_bytes());
    bytes.extend(debug.source.as_bytes());
    for line in &debug.lines {
        bytes.extend(line.to_le_bytes());
    }
    Ok(bytes)
}

/// A part of the container, and where it is.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, what: Malformed) -> DecodeError {
        DecodeError {
            offset: self.offset,
            what,
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self
            .bytes
            .split_at_checked(len)
            .ok_or_else(|| self.error(Malformed::Truncated))?;
        self.bytes = rest;
        self.offset += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = self.take(N)?;
        Ok(std::array::from_fn(|index| taken[index]))
    }

    fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn name(&mut self) -> Result<String, DecodeError> {
        let at = self.offset;
        let len = self.u8()?;
        let bytes = self.take(len.into())?;
        std::str::from_utf8(bytes)
            .ok()
            .filter(|text| is_name(text))
            .map(String::from)
            .ok_or(DecodeError {
                offset: at,
                what: Malformed::Name,
            })
    }

    /// The next section's tag, where there is one.
    fn peek_tag(&self) -> Option<[u8; 4]> {
        self.bytes.first_chunk().copied()
    }

    fn section(&mut self) -> Result<Reader<'a>, DecodeError> {
        let _tag: [u8; 4] = self.array()?;
        let len = self.u32()?;
        let len = usize::try_from(len).map_err(|_| self.error(Malformed::Truncated))?;
        let offset = self.offset;
        Ok(Reader {
            bytes: self.take(len)?,
            offset,
        })
    }

    /// A section that must be next.
    fn required(&mut self, tag: [u8; 4]) -> Result<Reader<'a>, DecodeError> {
        match self.peek_tag() {
            Some(found) if found == tag => self.section(),
            Some(found) if ![META, CODE, TABLE, DEBUG].contains(&found) => {
                Err(self.error(Malformed::Section(found)))
            }
            _ => Err(self.error(Malformed::Missing(tag))),
        }
    }

    /// A section that may be next.
    fn optional(&mut self, tag: [u8; 4]) -> Result<Option<Reader<'a>>, DecodeError> {
        match self.peek_tag() {
            Some(found) if found == tag => self.section().map(Some),
            _ => Ok(None),
        }
    }

    fn finish(self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            Ok(())
        } else {
            Err(self.error(Malformed::Trailing))
        }
    }
}

/// The program in a container. It is well formed then, but not verified.
///
/// # Errors
/// [`DecodeError`] for anything that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<Program, DecodeError> {
    let mut reader = Reader { bytes, offset: 0 };
    if bytes.len() > MAX_BYTES {
        return Err(DecodeError {
            offset: MAX_BYTES,
            what: Malformed::TooLong,
        });
    }
    if reader.peek_tag() != Some(MAGIC) {
        return Err(reader.error(Malformed::Magic));
    }
    let _magic: [u8; 4] = reader.array()?;
    let version = reader.u16()?;
    if version != VERSION {
        return Err(DecodeError {
            offset: 4,
            what: Malformed::Version(version),
        });
    }
    let flags = reader.u16()?;
    if flags != 0 {
        return Err(DecodeError {
            offset: 6,
            what: Malformed::Flags(flags),
        });
    }
    let Some((body, stored)) = reader.bytes.split_last_chunk::<4>() else {
        return Err(reader.error(Malformed::Truncated));
    };
    let end = bytes.len() - stored.len();
    let crc = crc32c::crc32c(&bytes[..end]);
    reader.bytes = body;
    let parsed = sections(&mut reader);
    // A wrong checksum comes first: what else is wrong is then damage, and where it shows says little.
    if crc != u32::from_le_bytes(*stored) {
        return Err(DecodeError {
            offset: end,
            what: Malformed::Checksum,
        });
    }
    let program = parsed?;
    match reader.peek_tag() {
        Some(tag) => Err(reader.error(Malformed::Section(tag))),
        None => reader.finish().map(|()| program),
    }
}

fn sections(reader: &mut Reader<'_>) -> Result<Program, DecodeError> {
    let mut program = read_meta(reader.required(META)?)?;
    let mut code = reader.required(CODE)?;
    while !code.bytes.is_empty() {
        let at = code.offset;
        let instr = Instr::decode(code.array()?).map_err(|error| DecodeError {
            offset: at + error.byte(),
            what: Malformed::Instruction(error),
        })?;
        program.code.push(instr);
    }
    if let Some(table) = reader.optional(TABLE)? {
        if table.bytes.is_empty() {
            return Err(table.error(Malformed::Empty));
        }
        program.table = table.bytes.to_vec();
    }
    if let Some(debug) = reader.optional(DEBUG)? {
        program.debug = Some(read_debug(debug, program.code.len())?);
    }
    Ok(program)
}

fn read_meta(mut reader: Reader<'_>) -> Result<Program, DecodeError> {
    let mut program = Program {
        name: reader.name()?,
        before: reader.u16()?,
        after: reader.u16()?,
        chunk: reader.u32()?,
        align: reader.u32()?,
        records: reader.u32()?,
        ..Program::default()
    };
    for _ in 0..reader.u8()? {
        let name = reader.name()?;
        let at = reader.offset;
        let default = match (reader.u8()?, reader.u32()?) {
            (0, 0) => None,
            (1, value) => Some(value),
            _ => {
                return Err(DecodeError {
                    offset: at,
                    what: Malformed::Value,
                })
            }
        };
        program.args.push(Arg { name, default });
    }
    for _ in 0..reader.u8()? {
        let (name, words) = (reader.name()?, reader.u16()?);
        program.scratch.push(Scratch { name, words });
    }
    for _ in 0..reader.u8()? {
        let name = reader.name()?;
        let at = reader.offset;
        let number = reader.u8()?;
        let kind = AccKind::ALL
            .into_iter()
            .find(|kind| *kind as u8 == number)
            .ok_or(DecodeError {
                offset: at,
                what: Malformed::Value,
            })?;
        let len = reader.u16()?;
        program.accs.push(AccArray { name, kind, len });
    }
    reader.finish()?;
    Ok(program)
}

fn read_debug(mut reader: Reader<'_>, instructions: usize) -> Result<Debug, DecodeError> {
    let len = reader.u16()?;
    let at = reader.offset;
    let source = std::str::from_utf8(reader.take(len.into())?)
        .map_err(|_| DecodeError {
            offset: at,
            what: Malformed::Name,
        })?
        .to_owned();
    if reader.bytes.len() != instructions * 4 {
        return Err(reader.error(Malformed::Lines));
    }
    let mut lines = Vec::with_capacity(instructions);
    for _ in 0..instructions {
        lines.push(reader.u32()?);
    }
    Ok(Debug { source, lines })
}
