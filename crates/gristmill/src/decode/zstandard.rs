//! Frames of Zstandard: by its own library where the feature `zstd` has it, and else by a decoder in Rust, which takes
//! longer.

#[cfg(feature = "zstd")]
mod library;
#[cfg(any(test, not(feature = "zstd")))]
mod rust;
#[cfg(all(test, feature = "zstd"))]
mod tests;

use super::input::Input;
use super::member::Member;
use std::io;

/// The decoder of the frame that begins here.
pub(super) fn begin(input: Input) -> io::Result<Box<dyn Member>> {
    #[cfg(feature = "zstd")]
    return library::begin(input);
    #[cfg(not(feature = "zstd"))]
    rust::begin(input)
}
