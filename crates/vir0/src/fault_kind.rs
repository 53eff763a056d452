//! The kinds of arrays that instructions index, and so the kinds of faults.

use std::fmt;

/// The kinds of arrays that a program indexes.
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
