//! A program as data: what its container holds.

use crate::isa::Instr;
use std::fmt;

/// A program, not verified yet.
///
/// Sizes are bytes unless a field says otherwise. What the fields may hold is the verifier's to say
/// ([`verify`](fn@crate::verify::verify)); their types say what the container can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Bytes of the same file before a chunk that it may look at.
    pub before: u16,
    /// Bytes of the same file after a chunk that it may look at.
    pub after: u16,
    /// The largest chunk that it takes.
    pub chunk: u32,
    /// Chunks begin at multiples of this in the file: a power of two.
    pub align: u32,
    /// Records that a chunk gives at most.
    pub records: u32,
    /// Arguments, by number.
    pub args: Vec<Arg>,
    /// Scratch arrays, by number.
    pub scratch: Vec<Scratch>,
    /// Accumulator arrays, by number.
    pub accs: Vec<AccArray>,
    /// The instructions.
    pub code: Vec<Instr>,
    /// Constants.
    pub table: Vec<u8>,
    /// Where the instructions came from.
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
            debug: None,
        }
    }
}

/// The largest chunk of a program that does not say.
pub const DEFAULT_CHUNK: u32 = 1 << 20;

/// An argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Its name.
    pub name: String,
    /// What it is when nothing is given; without one, it must be.
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
    /// How values come together.
    pub kind: AccKind,
    /// How many accumulators.
    pub len: u16,
}

/// How an accumulator takes values, and how those of two chunks merge: unsigned, 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum AccKind {
    /// The sum, wrapping.
    Sum = 0,
    /// The smallest.
    Min = 1,
    /// The largest.
    Max = 2,
    /// Bits of any.
    Or = 3,
    /// Bits of an odd number of them.
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

    /// What an accumulator holds that took nothing: all ones for [`AccKind::Min`], else zero.
    #[must_use]
    pub const fn identity(self) -> u64 {
        match self {
            AccKind::Min => u64::MAX,
            _ => 0,
        }
    }

    /// Both together.
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

    /// The word that the assembler knows it by.
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

/// Where the instructions came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Debug {
    /// The source's name.
    pub source: String,
    /// The line of each instruction. The assembler counts from 1.
    pub lines: Vec<u32>,
}

impl Program {
    /// All accumulators, in all arrays.
    #[must_use]
    pub fn acc_count(&self) -> usize {
        self.accs.iter().map(|array| usize::from(array.len)).sum()
    }

    /// All scratch words.
    #[must_use]
    pub fn scratch_words(&self) -> usize {
        self.scratch
            .iter()
            .map(|array| usize::from(array.words))
            .sum()
    }

    /// The identity of every accumulator, in order.
    #[must_use]
    pub fn fresh_accs(&self) -> Vec<u64> {
        self.accs
            .iter()
            .flat_map(|array| std::iter::repeat_n(array.kind.identity(), array.len.into()))
            .collect()
    }

    /// Merges the accumulators of a chunk into those of what came before. Both have [`acc_count`](Self::acc_count)
    /// values; further ones are left alone.
    pub fn merge_accs(&self, into: &mut [u64], from: &[u64]) {
        let kinds = self
            .accs
            .iter()
            .flat_map(|array| std::iter::repeat_n(array.kind, array.len.into()));
        for ((left, right), kind) in into.iter_mut().zip(from).zip(kinds) {
            *left = kind.merge(*left, *right);
        }
    }

    /// The source line of an instruction, where it is known.
    #[must_use]
    pub fn line(&self, instruction: usize) -> Option<u32> {
        self.debug.as_ref()?.lines.get(instruction).copied()
    }
}

/// Whether a text can be the name of a program's part: a letter or `_`, then letters, digits and `_`, at most 32 bytes,
/// and not a register's (`r0` to `r31`).
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

/// Bytes of a name at most.
pub const MAX_NAME_BYTES: usize = 32;

/// The register of a name `r0` to `r31`.
#[must_use]
pub fn register(text: &str) -> Option<u8> {
    let digits = text.strip_prefix('r')?;
    if digits.len() > 1 && digits.starts_with('0') || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().filter(|number| *number < 32)
}
