//! What an object is made of, and what goes wrong with a request.

use std::sync::Arc;

/// What goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// This status is answered, with this code.
    Status(u16, &'static str),
    /// The connection is closed after so many bytes of the body.
    Cut(usize),
    /// The whole answer says so many bytes fewer than it should have, without an error.
    Short(usize),
    /// Nothing more comes after so many bytes of the body, until the store is dropped.
    Stall(usize),
    /// The object is replaced by these bytes before the request is answered.
    Replace(Vec<u8>),
    /// As `Replace`, and the demands of If-Match are not looked at.
    ReplaceUnseen(Vec<u8>),
}

/// The bytes of an object.
#[derive(Debug, Clone)]
pub enum Content {
    /// These.
    Bytes(Arc<Vec<u8>>),
    /// Zeros, but for some pieces at some offsets.
    Sparse(u64, Arc<Vec<(u64, Vec<u8>)>>),
}

impl Content {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Sparse(len, _) => *len,
        }
    }
}
