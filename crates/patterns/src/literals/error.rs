//! Why a set of strings could not be made.

/// Why a set could not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// The pattern with this number is empty: it would occur everywhere.
    Empty(u32),
    /// More patterns, or more bytes of them, than 32-bit numbers can name.
    TooMany,
}

impl std::fmt::Display for BuildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty(number) => {
                write!(f, "pattern {number} is empty, so it would occur everywhere")
            }
            Self::TooMany => f.write_str("the set has more patterns than 32-bit numbers can name"),
        }
    }
}

impl std::error::Error for BuildError {}
