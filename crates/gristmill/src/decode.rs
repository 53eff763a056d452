//! Decompression, and decoding to UTF-8, between the bytes of a file and the bytes that a job sees.
//!
//! [`Decode`] is a setting of a mill ([`MillBuilder::decode`](crate::mill::MillBuilder::decode)). A file that is decoded
//! is read in order, by one thread at a time, through a reader of this module; its chunks, offsets and length are those
//! of the decoded bytes, and it counts as a stream that cannot be read again.
//!
//! - `format`: compressed formats, by the ends of file names. `input`: the compressed bytes, and how far they were
//!   taken. `decompress`: the members of a file, one after the other. `members` and `zstandard`: the decoders, which are
//!   crates, as `member` wants them; what is checked here is that no data is cut short, and that nothing else follows it.
//! - Text is decoded by `encoding_rs_io`, as in ripgrep: bytes that are invalid in an encoding become U+FFFD.
//!
//! No decoder takes more memory than a window of [`MAX_WINDOW_BYTES`] and some copies of its buffers.

mod decompress;
mod format;
mod input;
mod member;
mod members;
mod zstandard;

pub use format::Format;
pub use member::MAX_WINDOW_BYTES;

use decompress::Decompressor;
use encoding_rs_io::DecodeReaderBytesBuilder;
use std::io::Read;
use std::path::Path;

/// How the bytes of files become the bytes that a job sees. By default they are the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Decode {
    /// How text is decoded.
    pub text: TextDecoding,
    /// Whether files whose names end as those of compressed files do ([`Format::of`]) are decompressed. Standard input
    /// never is.
    pub compressed: bool,
}

/// How text is decoded to UTF-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextDecoding {
    /// Not at all.
    #[default]
    Bytes,
    /// A file that begins with the byte order mark of UTF-16 is decoded, and the mark left out. In other files nothing
    /// changes; a byte order mark of UTF-8 stays where it is, unless the file is compressed.
    Marked,
    /// As [`Marked`](Self::Marked), and all files without a byte order mark are in this encoding.
    Named(Encoding),
}

/// An encoding of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(&'static encoding_rs::Encoding);

impl Encoding {
    /// The encoding with this label, in any case, of the Encoding Standard (<https://encoding.spec.whatwg.org/>):
    /// `utf-16le`, `latin1`, `shift_jis`. `None` if the standard has no such label.
    pub fn of(label: &str) -> Option<Self> {
        encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).map(Self)
    }

    /// Its name in the standard.
    pub fn name(self) -> &'static str {
        self.0.name()
    }
}

impl Decode {
    /// What is done with the bytes of every file with this path, `None` for standard input, whatever they are. `None`
    /// if that is nothing.
    pub(crate) fn of_file(&self, path: Option<&Path>) -> Option<Decoding> {
        let format = path.filter(|_| self.compressed).and_then(Format::of);
        let decoding = Decoding {
            format,
            text: self.text,
        };
        let decodes = matches!(self.text, TextDecoding::Named(_));
        (format.is_some() || decodes).then_some(decoding)
    }

    /// What is done with the bytes of a file of which nothing was known, and which begins so. `more` says whether more
    /// bytes may follow.
    pub(crate) fn of_beginning(&self, bytes: &[u8], more: bool) -> Option<Decoding> {
        // The mark of UTF-8 needs no decoding, unless it is incomplete.
        let marked = match bytes {
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
            [0xFF | 0xFE | 0xEF] | [0xEF, 0xBB] => more,
            _ => false,
        };
        (marked && self.text != TextDecoding::Bytes).then_some(Decoding {
            format: None,
            text: self.text,
        })
    }
}

/// The decompressed bytes of `raw`, a whole file of this format, without a mill. Reads give decoded bytes, and none at the
/// end of a file that is whole. After an error it must not be read any more.
///
/// A file that is damaged, cut short or followed by something else, and one that needs a window of more than
/// [`MAX_WINDOW_BYTES`], is an error that says so; an error of `raw` comes as it is. A few bytes can hold any number, so
/// who keeps them must bound how many are read.
///
/// ```
/// use gristmill::decode::{decompress, Format};
/// use std::io::Read;
///
/// let cut: &[u8] = &[0x1F, 0x8B, 8, 0];
/// let mut decoded = Vec::new();
/// let error = decompress(Format::Gzip, cut).read_to_end(&mut decoded);
/// assert!(error.unwrap_err().to_string().starts_with("the gzip data ends early"));
/// ```
pub fn decompress(format: Format, raw: impl Read + Send + 'static) -> impl Read + Send {
    Decompressor::new(format, Box::new(raw))
}

/// What is done with the bytes of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoding {
    format: Option<Format>,
    text: TextDecoding,
}

impl Decoding {
    /// What is done, in a word, for messages.
    pub fn what(&self) -> &'static str {
        match self.format {
            Some(_) => "decompressed",
            None => "decoded",
        }
    }

    /// The decoded bytes of `raw`. After an error it must not be read any more.
    pub fn reader(&self, raw: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        match self.format {
            Some(format) => self.text(Decompressor::new(format, Box::new(raw))),
            None => self.text(raw),
        }
    }

    fn text(&self, raw: impl Read + Send + 'static) -> Box<dyn Read + Send> {
        let encoding = match self.text {
            TextDecoding::Bytes => return Box::new(raw),
            TextDecoding::Marked => None,
            TextDecoding::Named(encoding) => Some(encoding.0),
        };
        let decoder = DecodeReaderBytesBuilder::new()
            .encoding(encoding)
            .utf8_passthru(true)
            .strip_bom(true)
            .bom_override(true)
            .bom_sniffing(true)
            .build(raw);
        Box::new(decoder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use flate2::Compression;
    use gristmill_testing::{noise, seed};
    use std::io::Write;

    const FORMATS: [(Format, &[u8]); 9] = [
        (Format::Gzip, &[0x1F, 0x8B, 8, 0]),
        (Format::Bzip2, b"BZh91AY&SY"),
        (Format::Xz, &[0xFD, b'7', b'z', b'X', b'Z', 0, 0, 4]),
        (Format::Lzma, &[0x5D, 0, 0, 1, 0]),
        (Format::Lz4, &[0x04, 0x22, 0x4D, 0x18, 0x64, 0x40, 0xA7]),
        (Format::Lz4, &[0x02, 0x21, 0x4C, 0x18]),
        (Format::Zstd, &[0x28, 0xB5, 0x2F, 0xFD, 0]),
        (Format::Zstd, &[0x50, 0x2A, 0x4D, 0x18, 1, 0, 0, 0, 7]),
        (Format::Brotli, &[0x8B]),
    ];

    fn decoding(format: Option<Format>, text: TextDecoding) -> Decoding {
        Decoding { format, text }
    }

    /// Reads until the end or an error, but not more than 16 MiB.
    fn read(mut from: impl Read) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut piece = [0; 700];
        while bytes.len() < 16 << 20 {
            match from.read(&mut piece)? {
                0 => break,
                read => bytes.extend_from_slice(&piece[..read]),
            }
        }
        Ok(bytes)
    }

    #[test]
    fn noise_ends_with_an_error_in_words() {
        let seed = seed("DECODE_SEED");
        for turn in 0..300 {
            for (format, start) in FORMATS {
                let raw = [start, &noise(seed + turn, 400)].concat();
                let bytes = decoding(Some(format), TextDecoding::Marked).reader(&*raw.leak());
                if let Err(error) = read(bytes) {
                    let told = error.to_string();
                    assert!(told.contains(format.name()), "{format:?}: {told}");
                    assert!(!told.contains('\n'), "{format:?}: {told}");
                }
            }
        }
    }

    /// Gives one byte at a time, and then the error of a disk.
    struct Failing(Vec<u8>);

    impl Read for Failing {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Err(std::io::Error::from_raw_os_error(libc::EIO));
            }
            into[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn the_error_of_a_read_is_told_as_it_is() {
        for (format, start) in FORMATS {
            let raw = Failing(start.to_vec());
            let error = read(decoding(Some(format), TextDecoding::Bytes).reader(raw)).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EIO), "{format:?}");
        }
    }

    #[test]
    fn members_and_marks_are_decoded_together() {
        let mut raw = Vec::new();
        // The mark, and one half of a character, in a member of their own.
        for part in [&b"\xFF\xFEa"[..], b"\0b\0"] {
            let mut member = GzEncoder::new(&mut raw, Compression::fast());
            member.write_all(part).unwrap();
            member.finish().unwrap();
        }
        let gzip = Some(Format::Gzip);
        let text = read(decoding(gzip, TextDecoding::Marked).reader(&*raw.clone().leak()));
        assert_eq!(text.unwrap(), b"ab");
        let bytes = read(decoding(gzip, TextDecoding::Bytes).reader(&*raw.leak()));
        assert_eq!(bytes.unwrap(), b"\xFF\xFEa\0b\0");
    }

    #[test]
    fn a_beginning_says_whether_text_is_decoded() {
        let marked = Decode {
            text: TextDecoding::Marked,
            compressed: false,
        };
        let found = |bytes: &[u8], more| marked.of_beginning(bytes, more).is_some();
        assert!(found(b"\xFF\xFE", false) && found(b"\xFE\xFFx", true));
        assert!(found(b"\xFF", true) && found(b"\xEF\xBB", true));
        assert!(!found(b"\xFF", false) && !found(b"\xEF\xBB\xBFx", true) && !found(b"", true));
        assert!(Decode::default().of_beginning(b"\xFF\xFEx", true).is_none());
    }
}
