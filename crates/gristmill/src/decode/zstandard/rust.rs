//! Frames of Zstandard by a decoder in Rust.

use crate::decode::input::Input;
use crate::decode::member::{early, Member, MAX_WINDOW_BYTES};
use ruzstd::decoding::errors::FrameDecoderError;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, ErrorKind, Read};

pub(super) fn begin(input: Input) -> io::Result<Box<dyn Member>> {
    Ok(Box::new(Rust::begin(input)?))
}

/// The decoder's error, which may be that the input has ended.
fn ended_or(input: &Input, error: FrameDecoderError) -> io::Error {
    match input.seen().ended() {
        true => early(),
        false => io::Error::other(error),
    }
}

struct Rust {
    decoder: FrameDecoder,
    input: Input,
    /// What ended the frame, once the bytes before it were given.
    failed: Option<io::Error>,
}

impl Rust {
    fn begin(mut input: Input) -> io::Result<Self> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(MAX_WINDOW_BYTES);
        let begun = decoder.init(&mut input);
        begun.map_err(|error| ended_or(&input, error))?;
        Ok(Self {
            decoder,
            input,
            failed: None,
        })
    }

    fn check(&self) -> io::Result<()> {
        let (told, found) = (
            self.decoder.get_checksum_from_data(),
            self.decoder.get_calculated_checksum(),
        );
        if told.is_some() && told != found {
            let why = "the checksum of its content does not match";
            return Err(io::Error::new(ErrorKind::InvalidData, why));
        }
        Ok(())
    }
}

impl Read for Rust {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.decoder.can_collect() > 0 {
                return self.decoder.read(into);
            }
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            if self.decoder.is_finished() {
                return self.check().map(|()| 0);
            }
            let one = BlockDecodingStrategy::UptoBlocks(1);
            if let Err(error) = self.decoder.decode_blocks(&mut self.input, one) {
                self.failed = Some(ended_or(&self.input, error));
                // The decoder keeps the last decoded bytes until the frame has ended. An empty last block, and a
                // checksum that nobody compares, let it give them.
                let last = [1, 0, 0, 0, 0, 0, 0];
                let one = BlockDecodingStrategy::UptoBlocks(1);
                let _ = self.decoder.decode_blocks(&last[..], one);
            }
        }
    }
}

impl Member for Rust {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        Ok(Some(self.input))
    }
}
