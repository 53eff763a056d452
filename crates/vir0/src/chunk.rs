//! The input and the results of a program: chunks, records, accumulators and faults.

use crate::program::Program;
use crate::verify::Verified;

pub use crate::fault_kind::FaultKind;

/// A chunk of a file, with bytes of the same file around it.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    data: &'a [u8],
    start: usize,
    len: usize,
    base: u64,
    args: &'a [u32],
}

impl<'a> Chunk<'a> {
    /// A chunk whose own bytes are the `len` bytes from `start` on in `data`. The other bytes of `data` are the bytes
    /// of the same file directly before and after them. `base` is the position of the first own byte in the file, and
    /// `args` are the program's arguments; missing arguments are zero.
    ///
    /// Returns `None` if the own bytes do not lie in `data`, or if there are more of them than
    /// [`MAX_CHUNK`](crate::verify::MAX_CHUNK).
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

    /// A chunk without a halo.
    #[must_use]
    pub fn alone(data: &'a [u8], base: u64, args: &'a [u32]) -> Option<Self> {
        Self::new(data, 0, data.len(), base, args)
    }

    /// The chunk as `program` sees it.
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

/// A chunk as a program sees it: with no more halo than it declares, and with its table and arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    /// The halo before the own bytes, the own bytes, and the halo after them.
    pub bytes: &'a [u8],
    pub before: usize,
    pub len: usize,
    pub after: usize,
    pub base: u64,
    pub args: [u32; crate::verify::MAX_ARGS],
    pub table: &'a [u8],
}

impl View<'_> {
    /// The byte at a signed offset from the first own byte; 0 out of range.
    #[inline(always)]
    pub fn byte(&self, offset: u32) -> u8 {
        // All bytes together are fewer than 2^31, so an offset before the first wraps to an index after the last.
        let at = offset.wrapping_add(self.before as u32);
        self.bytes.get(at as usize).copied().unwrap_or(0)
    }

    /// Four bytes from a signed offset on; each is 0 out of range.
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

    /// Four bytes of the table from an offset on; each is 0 out of range, and offsets do not wrap.
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

/// A record: a position, and a value that the program gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Record {
    /// The distance in bytes from the chunk's first own byte, signed.
    pub position: i32,
    /// The value.
    pub value: u32,
}

impl Record {
    /// The position in the file of a record in the chunk at `base`. It wraps if the program emits a position before the
    /// start of the file.
    #[must_use]
    pub fn file_position(&self, base: u64) -> u64 {
        base.wrapping_add_signed(self.position.into())
    }
}

/// The results of a program for one chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// The accumulators of all arrays, in order.
    pub accs: Vec<u64>,
    /// The records, ordered by position and then by value.
    pub records: Vec<Record>,
    /// The number of executed instructions, summed over all windows. All interpreters return the same number, if there
    /// are results.
    pub steps: u64,
}

impl Results {
    /// Resets the results to those of a program that has not run: every accumulator has its identity value, and there
    /// are no records.
    pub fn reset(&mut self, program: &Verified) {
        self.accs.clear();
        self.accs.extend(program.program().fresh_accs());
        self.records.clear();
        self.steps = 0;
    }
}

/// The reason why a run over a chunk has no results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stop {
    /// There are more records than the program declares, and no fault. Smaller parts of the chunk may have results.
    Overflow,
    /// The fault of the first window, in file order, that has one.
    Fault(Fault),
    /// The caller cancelled the run.
    Cancelled,
}

/// Tells whether a run is cancelled. Interpreters ask every few milliseconds; `true` ends the run with
/// [`Stop::Cancelled`].
pub type Cancel<'a> = &'a dyn Fn() -> bool;

/// An access with an index out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fault {
    /// What was indexed.
    pub kind: FaultKind,
    /// The number of the instruction.
    pub instruction: usize,
}

impl Fault {
    /// The program, the instruction, its line in the source and what happened, as one sentence.
    #[must_use]
    pub fn describe(&self, program: &Program) -> String {
        let line = match (&program.debug, program.line(self.instruction)) {
            // The name of the source may be hostile: a container holds any.
            (Some(debug), Some(line)) => format!(" ({}:{line})", debug.source.escape_debug()),
            _ => String::new(),
        };
        format!(
            "program {}, instruction {}{line}: {}",
            program.name, self.instruction, self.kind
        )
    }
}
