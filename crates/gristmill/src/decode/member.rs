//! What the decoders of all formats have in common.

use super::input::Input;
use std::io::{self, ErrorKind, Read};

/// The largest window of a decoder, in bytes: how far back in the decoded bytes a file may refer. A file that needs a
/// larger one is refused, as by `zstd`.
pub const MAX_WINDOW_BYTES: u64 = 128 << 20;

/// A decoder of one member. A read of no bytes means that it has ended, and that it is whole.
pub(super) trait Member: Read + Send {
    /// Returns what follows the member, once it has ended; `None` where nothing can.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidData`] where something follows that must not.
    fn end(self: Box<Self>) -> io::Result<Option<Input>>;
}

/// The error of data that end early.
pub(super) fn early() -> io::Error {
    ErrorKind::UnexpectedEof.into()
}
