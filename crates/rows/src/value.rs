//! Values of a row, as they are read.

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// None.
    Null,
    /// Of [`Kind::U64`](crate::Kind::U64).
    U64(u64),
    /// Of [`Kind::I64`](crate::Kind::I64).
    I64(i64),
    /// Of [`Kind::F64`](crate::Kind::F64).
    F64(f64),
    /// Of [`Kind::Bool`](crate::Kind::Bool).
    Bool(bool),
    /// Of [`Kind::Text`](crate::Kind::Text), [`Kind::Path`](crate::Kind::Path) or [`Kind::Bytes`](crate::Kind::Bytes).
    Bytes(&'a [u8]),
    /// Of [`Kind::U64s`](crate::Kind::U64s).
    U64s(U64s<'a>),
    /// Of [`Kind::Texts`](crate::Kind::Texts).
    Texts(Texts<'a>),
}

/// A list of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct U64s<'a>(pub(crate) &'a [[u8; 8]]);

impl U64s<'_> {
    /// The numbers.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().map(|bytes| u64::from_le_bytes(*bytes))
    }
}

/// A list of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Texts<'a>(pub(crate) &'a [u8]);

impl<'a> Texts<'a> {
    /// The texts, which may hold bytes that are not UTF-8.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + 'a {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<8>()?;
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (text, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(text)
        })
    }
}
