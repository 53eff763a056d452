//! The container: a program as bytes.
//!
//! It begins with `VIR0`, a version u16 and flags u16 (zero). Then come sections, each with a tag of four bytes, the
//! length of its contents as u32, and the contents: `META`, `CODE`, `TABL` (if the table is not empty), `SHOW` (if
//! the program says how results are shown) and `DBUG` (if there is debug information), in this order. The container ends with the CRC-32C (Castagnoli, as in RFC 3720) of
//! everything before it. All numbers are little-endian. A program has exactly one encoding: [`decode`] refuses
//! everything that [`encode`] would not write, and reports the offset. Section 7 of docs/vir0.md describes every byte.

use crate::isa::{Instr, InstrError, INSTR_BYTES};
use crate::program::{is_name, AccArray, AccKind, Arg, Debug, Program, Scratch};
use crate::show::{is_text, Show, Shown};
use thiserror::Error;

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b"VIR0";

/// The version that this crate writes and reads.
pub const VERSION: u16 = 1;

/// The largest size of a container, in bytes. A verified program needs less.
pub const MAX_BYTES: usize = 1 << 20;

const META: [u8; 4] = *b"META";
const CODE: [u8; 4] = *b"CODE";
const TABLE: [u8; 4] = *b"TABL";
const SHOW: [u8; 4] = *b"SHOW";
const DEBUG: [u8; 4] = *b"DBUG";

/// The defect of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum Malformed {
    /// It does not begin with `VIR0`.
    #[error("it does not begin with VIR0")]
    Magic,
    /// It has a version that this reader does not know.
    #[error("it has version {0}, and this reader knows version {VERSION} only")]
    Version(u16),
    /// Its flags are not zero.
    #[error("unknown flags {0:#06x}")]
    Flags(u16),
    /// The container, a section, or the contents of a section end too early.
    #[error("it ends too early")]
    Truncated,
    /// It is longer than [`MAX_BYTES`].
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Its checksum does not match its bytes.
    #[error("its checksum is not that of its bytes")]
    Checksum,
    /// It has a section that is unknown, out of order, or repeated.
    #[error("a section {} is not expected here", .0.escape_ascii())]
    Section([u8; 4]),
    /// There is no section with this tag, although it is required.
    #[error("there is no section {}", .0.escape_ascii())]
    Missing([u8; 4]),
    /// It has bytes after the contents of a section, or after the last section.
    #[error("there are bytes after the contents")]
    Trailing,
    /// It has an empty section, which must be left out.
    #[error("a section without contents must be left out")]
    Empty,
    /// Its bytes are not a unit or a title.
    #[error("its bytes are not a unit or a title")]
    Text,
    /// Its bytes are not a valid name, or the name of a source is not UTF-8.
    #[error("its bytes are not a name")]
    Name,
    /// It has a number that stands for no kind of accumulator, or a mark, default, divisor or order that has no meaning.
    #[error("a value that has no meaning")]
    Value,
    /// It has bytes that are not an instruction.
    #[error(transparent)]
    Instruction(InstrError),
    /// The debug information does not have one line for each instruction.
    #[error("there is not one line for each instruction")]
    Lines,
}

/// The reason why a container is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a VIR0 program: {what}, at byte {offset}; assemble it again from its source")]
pub struct DecodeError {
    /// The offset of the defect, in bytes from the start.
    pub offset: usize,
    /// The defect.
    pub what: Malformed,
}

/// The reason why a program cannot be encoded in a container.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// It would take more bytes than a container may have.
    #[error("a container of {0} bytes cannot be written; make the table or the code shorter, for {MAX_BYTES} bytes at most")]
    TooLong(usize),
    /// It has an instruction that has no encoding.
    #[error("instruction {number} cannot be encoded: {error}; leave unused fields zero, and use registers 0 to 31")]
    Instruction {
        /// The number of the instruction.
        number: usize,
        /// The defect of the instruction.
        error: InstrError,
    },
    /// It has a name that is not [valid](is_name).
    #[error("{0:?} is not a name; use letters, digits and _, no digit first, at most 32 bytes, and no register")]
    Name(String),
    /// It has a unit or a title that is not [valid](is_text).
    #[error("{0:?} is not a unit or a title; use at most 64 bytes of characters that can be seen")]
    Text(String),
    /// Its [`Program::shows`] are out of order, two are about the same result, or one divides by 0.
    #[error("what is shown is out of order, twice there, or divided by 0; give one for each result, in order")]
    Shows,
    /// It has more arguments, or more arrays of one kind, than the container can count.
    #[error("a list of {0} cannot be encoded; declare at most 255 arguments, and 255 arrays of each kind")]
    Parts(usize),
    /// The name of its source has more bytes than the container can count.
    #[error("a source's name of {0} bytes cannot be encoded; use a name of at most 65,535 bytes")]
    SourceName(usize),
    /// Its debug information is for another number of instructions.
    #[error("there are {lines} lines for {instructions} instructions; give one line for each instruction")]
    Lines {
        /// The number of lines in the debug information.
        lines: usize,
        /// The number of instructions in the program.
        instructions: usize,
    },
}

/// The program's container.
///
/// # Errors
/// [`EncodeError`] if the program cannot be encoded. A verified program can always be encoded.
pub fn encode(program: &Program) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    section(&mut bytes, META, &meta(program)?)?;
    let mut code = Vec::with_capacity(program.code.len() * INSTR_BYTES);
    for (number, instr) in program.code.iter().enumerate() {
        instr
            .check()
            .map_err(|error| EncodeError::Instruction { number, error })?;
        code.extend(instr.encode());
    }
    section(&mut bytes, CODE, &code)?;
    if !program.table.is_empty() {
        section(&mut bytes, TABLE, &program.table)?;
    }
    if !program.shows.is_empty() {
        section(&mut bytes, SHOW, &show_section(&program.shows)?)?;
    }
    if let Some(debug) = &program.debug {
        section(&mut bytes, DEBUG, &debug_section(program, debug)?)?;
    }
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    if bytes.len() > MAX_BYTES {
        return Err(EncodeError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

fn section(bytes: &mut Vec<u8>, tag: [u8; 4], contents: &[u8]) -> Result<(), EncodeError> {
    let length = u32::try_from(contents.len()).map_err(|_| EncodeError::TooLong(contents.len()))?;
    bytes.extend(tag);
    bytes.extend(length.to_le_bytes());
    bytes.extend(contents);
    Ok(())
}

fn name(bytes: &mut Vec<u8>, name: &str) -> Result<(), EncodeError> {
    if !is_name(name) {
        return Err(EncodeError::Name(name.into()));
    }
    count(bytes, name.len())?;
    bytes.extend(name.as_bytes());
    Ok(())
}

fn count(bytes: &mut Vec<u8>, len: usize) -> Result<(), EncodeError> {
    bytes.push(u8::try_from(len).map_err(|_| EncodeError::Parts(len))?);
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

fn show_section(shows: &[Show]) -> Result<Vec<u8>, EncodeError> {
    let ordered = shows.is_sorted_by(|left, right| left.what < right.what);
    // The number 255 means records.
    let valid = |show: &Show| show.divisor > 0 && show.what != Shown::Acc(u8::MAX);
    if !ordered || !shows.iter().all(valid) {
        return Err(EncodeError::Shows);
    }
    let mut bytes = Vec::new();
    for show in shows {
        bytes.push(show.what.number());
        bytes.extend(show.divisor.to_le_bytes());
        for text in [&show.unit, &show.title] {
            if !is_text(text) {
                return Err(EncodeError::Text(text.clone()));
            }
            count(&mut bytes, text.len())?;
            bytes.extend(text.as_bytes());
        }
    }
    Ok(bytes)
}

fn debug_section(program: &Program, debug: &Debug) -> Result<Vec<u8>, EncodeError> {
    let source = u16::try_from(debug.source.len())
        .map_err(|_| EncodeError::SourceName(debug.source.len()))?;
    if debug.lines.len() != program.code.len() {
        return Err(EncodeError::Lines {
            lines: debug.lines.len(),
            instructions: program.code.len(),
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

fn malformed(offset: usize, what: Malformed) -> DecodeError {
    DecodeError { offset, what }
}

/// A part of the container, with its offset.
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, what: Malformed) -> DecodeError {
        malformed(self.offset, what)
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
        self.string(is_name, Malformed::Name)
    }

    fn text(&mut self) -> Result<String, DecodeError> {
        self.string(is_text, Malformed::Text)
    }

    /// A string that `is_allowed`, behind its length.
    fn string(
        &mut self,
        is_allowed: fn(&str) -> bool,
        otherwise: Malformed,
    ) -> Result<String, DecodeError> {
        let at = self.offset;
        let len = self.u8()?;
        let text = std::str::from_utf8(self.take(len.into())?).ok();
        let text = text.filter(|text| is_allowed(text));
        text.map(String::from).ok_or(malformed(at, otherwise))
    }

    /// The tag of the next section, if there is one.
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
            Some(found) if ![META, CODE, TABLE, SHOW, DEBUG].contains(&found) => {
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

/// The program in a container. It is well formed, but not verified.
///
/// # Errors
/// [`DecodeError`] for bytes that [`encode`] does not write.
pub fn decode(bytes: &[u8]) -> Result<Program, DecodeError> {
    let mut reader = Reader { bytes, offset: 0 };
    if bytes.len() > MAX_BYTES {
        return Err(malformed(MAX_BYTES, Malformed::TooLong));
    }
    if reader.peek_tag() != Some(MAGIC) {
        return Err(reader.error(Malformed::Magic));
    }
    let _magic: [u8; 4] = reader.array()?;
    let version = reader.u16()?;
    if version != VERSION {
        return Err(malformed(4, Malformed::Version(version)));
    }
    let flags = reader.u16()?;
    if flags != 0 {
        return Err(malformed(6, Malformed::Flags(flags)));
    }
    let Some((body, stored)) = reader.bytes.split_last_chunk::<4>() else {
        return Err(reader.error(Malformed::Truncated));
    };
    let end = bytes.len() - stored.len();
    let crc = crc32c::crc32c(&bytes[..end]);
    reader.bytes = body;
    let parsed = sections(&mut reader);
    // A wrong checksum is reported first: it means that the container is damaged, so the offset of any other error says
    // little.
    if crc != u32::from_le_bytes(*stored) {
        return Err(malformed(end, Malformed::Checksum));
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
        let instr = Instr::decode(code.array()?)
            .map_err(|error| malformed(at + error.byte(), Malformed::Instruction(error)))?;
        program.code.push(instr);
    }
    if let Some(table) = reader.optional(TABLE)? {
        if table.bytes.is_empty() {
            return Err(table.error(Malformed::Empty));
        }
        program.table = table.bytes.to_vec();
    }
    if let Some(shows) = reader.optional(SHOW)? {
        program.shows = read_shows(shows)?;
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
            _ => return Err(malformed(at, Malformed::Value)),
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
            .ok_or(malformed(at, Malformed::Value))?;
        let len = reader.u16()?;
        program.accs.push(AccArray { name, kind, len });
    }
    reader.finish()?;
    Ok(program)
}

fn read_shows(mut reader: Reader<'_>) -> Result<Vec<Show>, DecodeError> {
    if reader.bytes.is_empty() {
        return Err(reader.error(Malformed::Empty));
    }
    let mut shows: Vec<Show> = Vec::new();
    while !reader.bytes.is_empty() {
        let at = reader.offset;
        let what = Shown::from_number(reader.u8()?);
        let divisor = reader.u32()?;
        if divisor == 0 || shows.last().is_some_and(|last| last.what >= what) {
            return Err(malformed(at, Malformed::Value));
        }
        shows.push(Show {
            what,
            divisor,
            unit: reader.text()?,
            title: reader.text()?,
        });
    }
    Ok(shows)
}

fn read_debug(mut reader: Reader<'_>, instructions: usize) -> Result<Debug, DecodeError> {
    let len = reader.u16()?;
    let at = reader.offset;
    let source = std::str::from_utf8(reader.take(len.into())?)
        .map_err(|_| malformed(at, Malformed::Name))?
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
