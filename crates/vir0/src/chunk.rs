//! What a program runs over, and what it leaves.

use crate::program::Program;
use crate::verify::Verified;
use std::fmt;

/// A chunk of a file, with what is known of its surroundings.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    data: &'a [u8],
    start: usize,
    len: usize,
    base: u64,
    args: &'a [u32],
}

impl<'a> Chunk<'a> {
    /// The `len` own bytes at `start` of `data`, whose other bytes are those of the same file before and after them.
    /// `base` is the position of the first own byte in the file; `args` are the program's arguments, missing ones zero.
    ///
    /// `None` where the own bytes do not lie in `data`, or are more than a chunk may have.
    #[must_use]
    pub fn new(
        data: &'a [u8],
        start: usize,
        len: usize,
        base: u64,
        args: &'a [u32],
    ) -> Option<Self> {
        data.get(start..start.checked_add(len)?)?;
        u32::try_from(len)
            .is_ok_and(|len| len <= crate::verify::MAX_CHUNK)
            .then_some(Self {
                data,
                start,
                len,
                base,
                args,
            })
    }

    /// A chunk without surroundings.
    #[must_use]
    pub fn alone(data: &'a [u8], base: u64, args: &'a [u32]) -> Option<Self> {
        Self::new(data, 0, data.len(), base, args)
    }

    /// The chunk as `program` may see it.
    pub(crate) fn view(&self, program: &'a Program) -> View<'a> {
        let before = self.start.min(program.before.into());
        let rest = self.data.len() - self.start - self.len;
        let after = rest.min(program.after.into());
        View {
            bytes: &self.data[self.start - before..self.start + self.len + after],
            before,
            len: self.len,
            after,
            base: self.base,
            args: std::array::from_fn(|index| self.args.get(index).copied().unwrap_or(0)),
            table: &program.table,
        }
    }
}

/// A chunk with exactly as much halo as its program declares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The halo before, the own bytes, the halo after.
    pub bytes: &'a [u8],
    pub before: usize,
    pub len: usize,
    pub after: usize,
    pub base: u64,
    pub args: [u32; crate::verify::MAX_ARGS],
    pub table: &'a [u8],
}

impl View<'_> {
    /// The byte at an offset from the first own byte, signed in two's complement; 0 out of range.
    #[inline(always)]
    pub fn byte(&self, offset: u32) -> u8 {
        // Everything together has less than 2^31 bytes: an offset before the first wraps to one behind the last.
        let at = offset.wrapping_add(self.before as u32);
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }

    /// Four bytes from such an offset on, each 0 out of range.
    #[inline(always)]
    pub fn word(&self, offset: u32) -> u32 {
        let at = offset.wrapping_add(self.before as u32) as usize;
        match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(bytes) => u32::from_le_bytes(*bytes),
            None => {
                u32::from_le_bytes([0, 1, 2, 3].map(|next| self.byte(offset.wrapping_add(next))))
            }
        }
    }

    /// The byte of the table at an offset; 0 out of range.
    #[inline(always)]
    pub fn table_byte(&self, at: u32) -> u8 {
        self.table.get(at as usize).copied().unwrap_or(0)
    }

    /// Four bytes of the table from an offset on, each 0 out of range; offsets do not wrap.
    #[inline(always)]
    pub fn table_word(&self, at: u32) -> u32 {
        let rest = self.table.get(at as usize..).unwrap_or_default();
        match rest.first_chunk::<4>() {
            Some(bytes) => u32::from_le_bytes(*bytes),
            None => u32::from_le_bytes(
                [0, 1, 2, 3].map(|next: usize| rest.get(next).copied().unwrap_or(0)),
            ),
        }
    }

    /// An argument, by number; 0 out of range.
    #[inline(always)]
    pub fn arg(&self, number: u32) -> u32 {
        self.args.get(number as usize).copied().unwrap_or(0)
    }
}

/// A record: a position and what the program says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// Bytes from the chunk's first own byte, signed.
    pub position: i32,
    /// The value.
    pub value: u32,
}

impl Record {
    /// The position in the file, of a record of the chunk at `base`. Wrapping, where a program emits positions before the
    /// file's begin.
    #[must_use]
    pub fn file_position(&self, base: u64) -> u64 {
        base.wrapping_add_signed(self.position.into())
    }
}

/// What a program leaves of one chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// The accumulators of all arrays, in order.
    pub accs: Vec<u64>,
    /// The records, by position and then value.
    pub records: Vec<Record>,
    /// Instructions executed, those of each window counted: the same for every interpreter, when there are results.
    pub steps: u64,
}

impl Results {
    /// As before a chunk: every accumulator its identity, no records.
    pub fn reset(&mut self, program: &Verified) {
        self.accs.clear();
        self.accs.extend(program.program().fresh_accs());
        self.records.clear();
        self.steps = 0;
    }
}

/// Why a run over a chunk has no results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// More records than the program declares, and no fault: split the chunk and run the parts.
    Overflow,
    /// The fault of the first window, in file order, that has one.
    Fault(Fault),
    /// The caller wanted no more of it.
    Cancelled,
}

/// Asked by a running program, every few milliseconds, whether to go on: `true` ends it with [`Stop::Cancelled`].
pub type Cancel<'a> = &'a dyn Fn() -> bool;

/// An index out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What was indexed.
    pub kind: FaultKind,
    /// The instruction's number.
    pub instruction: usize,
}

/// What was indexed out of its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// A scratch array.
    Scratch,
    /// An accumulator array.
    Acc,
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FaultKind::Scratch => "an index out of range of a scratch array",
            FaultKind::Acc => "an index out of range of an accumulator array",
        })
    }
}

/// A fault with what a user needs to find it.
impl Fault {
    /// Program, instruction, source line and what happened, as one sentence.
    #[must_use]
    pub fn describe(&self, program: &Program) -> String {
        let line = match (&program.debug, program.line(self.instruction)) {
            // A container's source name may be anything.
            (Some(debug), Some(line)) => format!(" ({}:{line})", debug.source.escape_debug()),
            _ => String::new(),
        };
        format!(
            "program {}, instruction {}{line}: {}",
            program.name, self.instruction, self.kind
        )
    }
}
