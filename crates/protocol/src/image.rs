//! Whole images: the functions of [`Megakernel`].
//!
//! An image is plain bytes that nobody else changes while a function here uses it. `encode` functions make an image,
//! `publish` functions fill slots in one, and `read` functions decode what a kernel left in one.

mod control;
mod log;
mod ring;

pub use control::TenantWords;

use crate::PipelineError;
use alloc::vec::Vec;

/// Encoders and decoders of images, as associated functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Megakernel;

/// Makes `image` hold exactly `count` zero words, reusing what it has.
fn zeroed(image: &mut Vec<u8>, count: Option<usize>) -> Result<(), PipelineError> {
    let reserved = count
        .and_then(|count| count.checked_mul(crate::words::WORD_BYTES))
        .filter(|bytes| {
            let more = bytes.saturating_sub(image.len());
            image.try_reserve_exact(more).is_ok()
        });
    let Some(bytes) = reserved else {
        return Err(PipelineError::InvalidArgument {
            what: "an image that does not fit in memory",
            fix: "ask for a smaller one",
        });
    };
    image.clear();
    image.resize(bytes, 0);
    Ok(())
}
