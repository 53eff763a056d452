//! The decoders of compressed formats. Each decodes one member of a file (a gzip member, a Zstandard frame) and leaves
//! what follows it in the input; of formats that cannot be followed by anything, the whole file.

use super::format::Format;
use super::input::{Input, Seen};
use super::member::{early, Member, MAX_WINDOW_BYTES};
use super::zstandard;
use bzip2::bufread::BzDecoder;
use flate2::bufread::GzDecoder;
use lzma_rust2::{Action, LzmaStream, Status, StreamResult, XzStream};
use std::io::{self, BufRead, ErrorKind, Read};
use std::sync::Arc;

/// Further memory that decoders of xz and LZMA take, at most.
const LZMA_BYTES: u64 = 2 << 20;

/// The bytes with which frames of LZ4's legacy format begin.
pub(super) const LZ4_LEGACY: [u8; 4] = [0x02, 0x21, 0x4C, 0x18];

/// The decoder of the member that begins here.
pub(super) fn begin(format: Format, mut input: Input) -> io::Result<Box<dyn Member>> {
    Ok(match format {
        Format::Gzip => Box::new(GzDecoder::new(input)),
        Format::Bzip2 => Box::new(BzDecoder::new(input)),
        Format::Xz => Box::new(Lzma::new(
            LzmaKind::Xz(Box::new(XzStream::new_mem_limit(true, LZMA_KIB))),
            input,
        )),
        Format::Lzma => {
            let stream = LzmaStream::new_mem_limit(LZMA_KIB, None);
            Box::new(Lzma::new(LzmaKind::Alone(Box::new(stream)), input))
        }
        Format::Lz4 => Box::new(Lz4 {
            legacy: input.peek(LZ4_LEGACY.len())? == LZ4_LEGACY,
            seen: input.seen(),
            decoder: lz4_flex::frame::FrameDecoder::new(input),
        }),
        Format::Zstd => zstandard::begin(input)?,
        Format::Brotli => Box::new(Brotli {
            seen: input.seen(),
            decoder: brotli_decompressor::Decompressor::new(input, 4096),
        }),
    })
}

fn followed() -> io::Error {
    io::Error::new(ErrorKind::InvalidData, "other bytes follow it")
}

impl Member for GzDecoder<Input> {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        Ok(Some(self.into_inner()))
    }
}

impl Member for BzDecoder<Input> {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        Ok(Some(self.into_inner()))
    }
}

struct Lz4 {
    decoder: lz4_flex::frame::FrameDecoder<Input>,
    seen: Arc<Seen>,
    /// Whether the end of the file ends the frame.
    legacy: bool,
}

impl Read for Lz4 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(into)? {
            // The decoder takes the end of the file for the end of the frame.
            0 if self.seen.ended() && !self.legacy => Err(early()),
            bytes => Ok(bytes),
        }
    }
}

impl Member for Lz4 {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        Ok(Some(self.decoder.into_inner()))
    }
}

/// The memory that [`MAX_WINDOW_BYTES`] leaves to decoders of xz and LZMA, in KiB.
const LZMA_KIB: u32 = ((MAX_WINDOW_BYTES + LZMA_BYTES) >> 10) as u32;

enum LzmaKind {
    Xz(Box<XzStream>),
    Alone(Box<LzmaStream>),
}

impl LzmaKind {
    fn process(
        &mut self,
        from: &[u8],
        into: &mut [u8],
        action: Action,
    ) -> lzma_rust2::Result<StreamResult> {
        match self {
            LzmaKind::Xz(stream) => stream.process(from, into, action),
            LzmaKind::Alone(stream) => stream.process(from, into, action),
        }
    }

    /// The bytes that were decoded, also by a call that failed.
    fn total_out(&self) -> u64 {
        match self {
            LzmaKind::Xz(stream) => stream.total_out(),
            LzmaKind::Alone(stream) => stream.total_out(),
        }
    }
}

/// An xz file with all of its streams, or an LZMA file.
struct Lzma {
    stream: LzmaKind,
    input: Input,
    ended: bool,
    /// What ended it, once the bytes before it were given.
    failed: Option<io::Error>,
}

impl Lzma {
    fn new(stream: LzmaKind, input: Input) -> Self {
        Self {
            stream,
            input,
            ended: false,
            failed: None,
        }
    }
}

impl Read for Lzma {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended {
            if let Some(error) = self.failed.take() {
                return Err(error);
            }
            let from = self.input.fill_buf()?;
            let over = from.is_empty();
            let action = if over { Action::Finish } else { Action::Run };
            let before = self.stream.total_out();
            let done = match self.stream.process(from, into, action) {
                Ok(done) => done,
                Err(error) => {
                    self.failed = Some(match error.kind() {
                        _ if over => early(),
                        ErrorKind::OutOfMemory => {
                            let mebibytes = MAX_WINDOW_BYTES >> 20;
                            let why = format!("it needs a window of more than {mebibytes} MiB");
                            io::Error::new(ErrorKind::OutOfMemory, why)
                        }
                        _ => error,
                    });
                    let bytes = usize::try_from(self.stream.total_out() - before);
                    match bytes.unwrap_or(0).min(into.len()) {
                        0 => continue,
                        bytes => return Ok(bytes),
                    }
                }
            };
            self.input.consume(done.bytes_consumed);
            self.ended = done.status == Status::StreamEnd;
            if done.bytes_produced > 0 {
                return Ok(done.bytes_produced);
            }
            if over && !self.ended {
                return Err(early());
            }
        }
        Ok(0)
    }
}

impl Member for Lzma {
    fn end(mut self: Box<Self>) -> io::Result<Option<Input>> {
        let unused = match &self.stream {
            LzmaKind::Xz(_) => false,
            LzmaKind::Alone(stream) => !stream.unused_input().is_empty(),
        };
        if unused || !self.input.fill_buf()?.is_empty() {
            return Err(followed());
        }
        Ok(None)
    }
}

struct Brotli {
    decoder: brotli_decompressor::Decompressor<Input>,
    seen: Arc<Seen>,
}

impl Brotli {
    fn next_bytes(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.decoder.read(into)? {
            // Only a second read tells whether something follows in the decoder's buffer.
            0 => self.decoder.read(into),
            bytes => Ok(bytes),
        }
    }
}

impl Read for Brotli {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // The decoder says of some files that end early that they are invalid.
        self.next_bytes(into)
            .map_err(|error| match self.seen.ended() {
                true => early(),
                false => error,
            })
    }
}

impl Member for Brotli {
    fn end(self: Box<Self>) -> io::Result<Option<Input>> {
        if self.decoder.into_inner().fill_buf()?.is_empty() {
            return Ok(None);
        }
        Err(followed())
    }
}
