//! Why a stored set cannot be used.

use std::fmt;

/// Why a stored set cannot be used: what is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SetError {
    /// The bytes do not begin as a set does.
    NotASet,
    /// The set has another format.
    Format {
        /// The set's format.
        format: u32,
        /// The version of the program that wrote it.
        writer: String,
    },
    /// The set ends too early, or goes on behind its end.
    Length {
        /// Bytes that it should have, as far as that is known.
        expected: u64,
        /// Bytes that it has.
        found: u64,
    },
    /// Bytes were changed: they do not have their checksum.
    Checksum {
        /// The section, or `head`.
        section: &'static str,
        /// Where these bytes begin, in bytes from the beginning of the set.
        from: u64,
        /// Where they end.
        until: u64,
    },
    /// Something in the set contradicts itself.
    Damaged {
        /// The section.
        section: &'static str,
        /// Where it is, in bytes from the beginning of the set.
        offset: u64,
        /// What is wrong.
        what: String,
    },
    /// A regex of the set is refused: what is wrong with it, or how much memory it may take.
    Regex(String),
    /// The set would take more memory than it may.
    Memory {
        /// Bytes that it would take.
        needed: usize,
        /// Bytes that it may take.
        allowed: usize,
    },
    /// The processor stores the highest byte of a number first. Tables are used as they are stored.
    BigEndian,
}

impl SetError {
    pub(super) fn damaged(section: &'static str, offset: u64, what: impl Into<String>) -> Self {
        let what = what.into();
        Self::Damaged {
            section,
            offset,
            what,
        }
    }
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotASet => f.write_str("not a compiled set: it does not begin like one"),
            Self::Format { format, writer } => write!(
                f,
                "gristmill {writer} wrote this set in format {format}, and gristmill {} reads format {}; compile it again",
                env!("CARGO_PKG_VERSION"),
                super::FORMAT
            ),
            Self::Length { expected, found } if found < expected => write!(
                f,
                "the set is cut off: it has {found} bytes of {expected}; copy it again, or compile it again"
            ),
            Self::Length { expected, found } => write!(
                f,
                "the set has {expected} bytes, and there are {found}; copy it again, or compile it again"
            ),
            Self::Checksum {
                section,
                from,
                until,
            } => write!(
                f,
                "the set was damaged: section {section}, from byte {from} to {until}, does not have its checksum; copy it again, or compile it again"
            ),
            Self::Damaged {
                section,
                offset,
                what,
            } => write!(
                f,
                "section {section}, byte {offset}: {what}; gristmill does not write such a set: compile it again"
            ),
            Self::Regex(error) => write!(f, "a regex of the set is refused: {error}"),
            Self::Memory { needed, allowed } => write!(
                f,
                "the set takes {needed} bytes of memory, and may take {allowed}; allow more"
            ),
            Self::BigEndian => f.write_str(
                "compiled sets work only on little-endian CPUs; give the patterns themselves",
            ),
        }
    }
}

impl std::error::Error for SetError {}
