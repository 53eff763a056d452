//! A program as data: the contents of a container.

use crate::fault_kind::FaultKind;
use crate::isa::Instr;
use crate::show::{Show, Shown};
use std::fmt;

/// A program that has not been verified yet.
///
/// Sizes are in bytes unless a field says otherwise. The fields can hold everything that a container can hold; the
/// verifier ([`verify`](fn@crate::verify::verify)) checks their values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// The number of halo bytes that it sees before a chunk.
    pub before: u16,
    /// The number of halo bytes that it sees after a chunk.
    pub after: u16,
    /// The largest chunk that it accepts.
    pub chunk: u32,
    /// The alignment of chunks in the file: they begin at multiples of this power of two.
    pub align: u32,
    /// The largest number of records of a chunk.
    pub records: u32,
    /// Arguments, by number.
    pub args: Vec<Arg>,
    /// Scratch arrays, by number.
    pub scratch: Vec<Scratch>,
    /// Accumulator arrays, by number.
    pub accs: Vec<AccArray>,
    /// The instructions.
    pub code: Vec<Instr>,
    /// Constant bytes that it can load.
    pub table: Vec<u8>,
    /// How results look to people, ordered by [`Show::what`], of which no two are equal.
    pub shows: Vec<Show>,
    /// The source of the instructions, if it is known.
    pub debug: Option<Debug>,
}

impl Default for Program {
    /// No instructions; chunks of 1 MiB, no halo.
    fn default() -> Self {
        Self {
            name: String::from("program"),
            before: 0,
            after: 0,
            chunk: DEFAULT_CHUNK,
            align: 1,
            records: 0,
            args: Vec::new(),
            scratch: Vec::new(),
            accs: Vec::new(),
            code: Vec::new(),
            table: Vec::new(),
            shows: Vec::new(),
            debug: None,
        }
    }
}

/// The largest chunk of a program that does not declare one.
pub const DEFAULT_CHUNK: u32 = 1 << 20;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// Its value if the host passes none. An argument without a default must be passed.
    pub default: Option<u32>,
}

/// An array of scratch words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scratch {
    /// Its name.
    pub name: String,
    /// Its length in words.
    pub words: u16,
}

/// An array of accumulators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccArray {
    /// Its name.
    pub name: String,
    /// How the accumulators take values.
    pub kind: AccKind,
    /// Its length in accumulators.
    pub len: u16,
}

/// The operation, on unsigned numbers of 64 bits, by which an accumulator takes a value, and by which the accumulators
/// of two chunks are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AccKind {
    /// The sum, wrapping.
    Sum = 0,
    /// The smaller of the two.
    Min = 1,
    /// The larger of the two.
    Max = 2,
    /// Bitwise or.
    Or = 3,
    /// Bitwise exclusive or.
    Xor = 4,
}

impl AccKind {
    /// Every kind, by number.
    pub const ALL: [AccKind; 5] = [
        AccKind::Sum,
        AccKind::Min,
        AccKind::Max,
        AccKind::Or,
        AccKind::Xor,
    ];

    /// The value of an accumulator that has taken no value: all ones for [`AccKind::Min`], otherwise zero.
    #[must_use]
    pub const fn identity(self) -> u64 {
        match self {
            AccKind::Min => u64::MAX,
            _ => 0,
        }
    }

    /// Applies the operation to two values.
    #[must_use]
    #[inline]
    pub fn merge(self, left: u64, right: u64) -> u64 {
        match self {
            AccKind::Sum => left.wrapping_add(right),
            AccKind::Min => left.min(right),
            AccKind::Max => left.max(right),
            AccKind::Or => left | right,
            AccKind::Xor => left ^ right,
        }
    }

    /// Its word in the text form.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            AccKind::Sum => "sum",
            AccKind::Min => "min",
            AccKind::Max => "max",
            AccKind::Or => "or",
            AccKind::Xor => "xor",
        }
    }
}

impl fmt::Display for AccKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Debug information: the source of the instructions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// The source's name.
    pub source: String,
    /// The line of each instruction, counted from 1 by the assembler.
    pub lines: Vec<u32>,
}

impl Program {
    /// The number of accumulators in all arrays.
    #[must_use]
    pub fn acc_count(&self) -> usize {
        self.accs.iter().map(|array| usize::from(array.len)).sum()
    }

    /// The number of scratch words in all arrays.
    #[must_use]
    pub fn scratch_words(&self) -> usize {
        self.scratch
            .iter()
            .map(|array| usize::from(array.words))
            .sum()
    }

    /// The name and the length of an array, by its kind and number.
    #[must_use]
    pub fn array(&self, kind: FaultKind, number: usize) -> Option<(&str, u16)> {
        match kind {
            FaultKind::Scratch => {
                let array = self.scratch.get(number)?;
                Some((&array.name, array.words))
            }
            FaultKind::Acc => {
                let array = self.accs.get(number)?;
                Some((&array.name, array.len))
            }
        }
    }

    /// The kind of every accumulator, in order.
    fn kinds(&self) -> impl Iterator<Item = AccKind> + '_ {
        let kinds = |array: &AccArray| std::iter::repeat_n(array.kind, array.len.into());
        self.accs.iter().flat_map(kinds)
    }

    /// The identities of all accumulators, in order.
    #[must_use]
    pub fn fresh_accs(&self) -> Vec<u64> {
        self.kinds().map(AccKind::identity).collect()
    }

    /// Merges the accumulators `from` one chunk `into` those of others. Both slices must have
    /// [`acc_count`](Self::acc_count) values; values beyond that are left unchanged.
    pub fn merge_accs(&self, into: &mut [u64], from: &[u64]) {
        for ((left, right), kind) in into.iter_mut().zip(from).zip(self.kinds()) {
            *left = kind.merge(*left, *right);
        }
    }

    /// How a result is shown, if the program says it.
    #[must_use]
    pub fn show(&self, what: Shown) -> Option<&Show> {
        self.shows.iter().find(|show| show.what == what)
    }

    /// The line of an instruction in the source, if it is known.
    #[must_use]
    pub fn line(&self, instruction: usize) -> Option<u32> {
        self.debug.as_ref()?.lines.get(instruction).copied()
    }
}

/// Whether a text can name a program, an argument or an array. A name begins with a letter or `_`, followed by letters,
/// digits and `_`. It has at most [`MAX_NAME_BYTES`] bytes, and it must not name a register (`r0` to `r31`).
#[must_use]
pub fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && text.len() <= MAX_NAME_BYTES
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && register(text).is_none()
}

/// The longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 32;

/// The number of the register that a text names: `r0` to `r31`.
#[must_use]
pub fn register(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('r')?;
    if digits.len() > 1 && digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number < 32)
}
