//! Frames of Zstandard by its own library.

use crate::decode::input::Input;
use crate::decode::member::{early, Member, MAX_WINDOW_BYTES};
use std::io::{self, ErrorKind, Read};
use zstd::stream::read::Decoder;

struct Library(Decoder<'static, Input>);

pub(super) fn begin(input: Input) -> io::Result<Box<dyn Member>> {
    let mut decoder = Decoder::with_buffer(input)?.single_frame();
    decoder.window_log_max(MAX_WINDOW_BYTES.ilog2())?;
    Ok(Box::new(Library(decoder)))
}

impl Read for Library {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => early(),
            _ => error,
        })
    }
}

impl Member for Library {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        Ok(Some(self.0.finish()))
    }
}
