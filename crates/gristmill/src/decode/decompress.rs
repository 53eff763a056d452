//! The decompressed bytes of a file: its members one after the other, as the tools of each format have it.

use super::format::Format;
use super::input::{Input, Seen};
use super::member::Member;
use super::members::{begin, LZ4_LEGACY};
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

/// The most bytes that are asked of a decoder at once: those that it has decoded before it finds an error may be lost.
const AT_ONCE: usize = 32 << 10;

/// What is wrong with a compressed file.
#[derive(Debug, thiserror::Error)]
enum Damage {
    #[error("its name says {name}, but it is not {name} data; rename it, or search it as it is")]
    Other { name: &'static str },
    #[error(
        "the {name} data ends early, after {at} bytes of the compressed file, which is cut short"
    )]
    Early { name: &'static str, at: u64 },
    #[error(
        "at byte {at} of the compressed file, something follows that is not {name} data; remove it"
    )]
    Follows { name: &'static str, at: u64 },
    #[error("the {name} data is damaged, or not supported, near byte {at} of the compressed file: {why}")]
    Bad {
        name: &'static str,
        at: u64,
        why: io::Error,
    },
}

/// Where a file is read.
enum At {
    /// Before a member, or at the end.
    Between(Input),
    Within(Box<dyn Member>),
    /// At its end, or behind what is damaged.
    Over,
}

/// Decompresses a file.
pub(super) struct Decompressor {
    format: Format,
    seen: Arc<Seen>,
    at: At,
    /// Whether a member has ended.
    began: bool,
}

impl Decompressor {
    pub fn new(format: Format, raw: Box<dyn Read + Send>) -> Self {
        let input = Input::new(raw);
        Self {
            format,
            seen: input.seen(),
            at: At::Between(input),
            began: false,
        }
    }

    /// The next member; `None` at the end of the file.
    fn next_member(&self, mut input: Input) -> io::Result<Option<Box<dyn Member>>> {
        let name = self.format.name();
        if self.began && self.format == Format::Gzip {
            // Tapes fill their blocks so.
            input.skip_zeros()?;
        }
        loop {
            let start = input.peek(8)?;
            if start.is_empty() {
                // An empty file is none, but for lz4.
                return match self.began || self.format == Format::Lz4 {
                    true => Ok(None),
                    false => Err(ErrorKind::UnexpectedEof.into()),
                };
            }
            if let Some(bytes) = skippable(self.format, start) {
                if input.skip(bytes)? < bytes {
                    return Err(ErrorKind::UnexpectedEof.into());
                }
                continue;
            }
            if begins(self.format, start) {
                return begin(self.format, input).map(Some);
            }
            // What follows the data of bzip2 is not looked at, as by its tool.
            let looked_at = !self.began || self.format != Format::Bzip2;
            if looked_at && begins_cut(self.format, start) {
                let bytes = start.len() as u64;
                input.skip(bytes)?;
                return Err(ErrorKind::UnexpectedEof.into());
            }
            let at = self.seen.taken();
            return match self.began {
                false => Err(io::Error::other(Damage::Other { name })),
                true if self.format == Format::Bzip2 => Ok(None),
                true => Err(io::Error::other(Damage::Follows { name, at })),
            };
        }
    }

    fn next_bytes(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(&mut self.at, At::Over) {
                At::Over => return Ok(0),
                At::Between(input) => {
                    if let Some(member) = self.next_member(input)? {
                        self.at = At::Within(member);
                    }
                }
                At::Within(mut member) => match member.read(into) {
                    Ok(0) => {
                        self.began = true;
                        if let Some(input) = member.end()? {
                            self.at = At::Between(input);
                        }
                    }
                    Ok(bytes) => {
                        self.at = At::Within(member);
                        return Ok(bytes);
                    }
                    Err(error) => return Err(error),
                },
            }
        }
    }

    /// Says what is wrong, and where.
    fn told(&self, error: io::Error) -> io::Error {
        if let Some(failed) = self.seen.take_failure() {
            return failed;
        }
        let name = self.format.name();
        let at = self.seen.taken();
        match error.kind() {
            _ if error.get_ref().is_some_and(|error| error.is::<Damage>()) => error,
            ErrorKind::UnexpectedEof => io::Error::other(Damage::Early { name, at }),
            _ => io::Error::other(Damage::Bad {
                name,
                at,
                why: error,
            }),
        }
    }
}

impl Read for Decompressor {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(AT_ONCE);
        match into.get_mut(..most) {
            Some(into) if most > 0 => self.next_bytes(into).map_err(|error| self.told(error)),
            _ => Ok(0),
        }
    }
}

/// With what a member begins; nothing of formats that do not say what they are.
fn marks(format: Format) -> &'static [&'static [u8]] {
    match format {
        Format::Gzip => &[&[0x1F, 0x8B]],
        Format::Bzip2 => &[b"BZh"],
        Format::Xz => &[&[0xFD, b'7', b'z', b'X', b'Z', 0]],
        Format::Lz4 => &[&[0x04, 0x22, 0x4D, 0x18], &LZ4_LEGACY],
        Format::Zstd => &[&[0x28, 0xB5, 0x2F, 0xFD]],
        Format::Lzma | Format::Brotli => &[],
    }
}

/// Whether a member begins so.
fn begins(format: Format, start: &[u8]) -> bool {
    let marks = marks(format);
    marks.is_empty() || marks.iter().any(|mark| start.starts_with(mark))
}

/// Whether the file was cut within the beginning of a member, or of a frame that is skipped.
fn begins_cut(format: Format, start: &[u8]) -> bool {
    let skippable = match start {
        [first, rest @ ..] if matches!(format, Format::Lz4 | Format::Zstd) => {
            let mark = [0x2A, 0x4D, 0x18];
            start.len() < 8 && first >> 4 == 5 && mark.iter().zip(rest).all(|(a, b)| a == b)
        }
        _ => false,
    };
    skippable || marks(format).iter().any(|mark| mark.starts_with(start))
}

/// The bytes of the frame that begins so, if it is one that decoders skip.
fn skippable(format: Format, start: &[u8]) -> Option<u64> {
    match (format, start) {
        (Format::Lz4 | Format::Zstd, &[first, 0x2A, 0x4D, 0x18, a, b, c, d]) if first >> 4 == 5 => {
            Some(8 + u64::from(u32::from_le_bytes([a, b, c, d])))
        }
        _ => None,
    }
}
