//! Frames of Zstandard: by its own library where the feature `zstd` has it, and else by a decoder in Rust, which takes
//! longer.

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

#[cfg(feature = "zstd")]
mod library {
    use super::super::input::Input;
    use super::super::member::{early, Member, MAX_WINDOW_BYTES};
    use std::io::{self, ErrorKind, Read};
    use zstd::stream::read::Decoder;

    struct Library(Decoder<'static, Input>);

    pub fn begin(input: Input) -> io::Result<Box<dyn Member>> {
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
}

#[cfg(any(test, not(feature = "zstd")))]
mod rust {
    use super::super::input::Input;
    use super::super::member::{early, Member, MAX_WINDOW_BYTES};
    use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
    use std::io::{self, ErrorKind, Read};

    pub fn begin(input: Input) -> io::Result<Box<dyn Member>> {
        Ok(Box::new(Rust::begin(input)?))
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
            decoder.init(&mut input).map_err(io::Error::other)?;
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
                let why = "the checksum of its content is another";
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
                    self.failed = Some(match self.input.seen().ended() {
                        true => early(),
                        false => io::Error::other(error),
                    });
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
}

#[cfg(all(test, feature = "zstd"))]
mod tests {
    use super::super::input::Input;
    use super::super::member::Member;
    use super::{library, rust};
    use std::io::{self, Read, Write};

    type Begin = fn(Input) -> io::Result<Box<dyn Member>>;

    /// The decoded bytes, what comes behind the frame, and whether it ends with an error.
    fn decoded(begin: Begin, raw: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
        let mut bytes = Vec::new();
        let raw: Box<dyn Read + Send> = Box::new(io::Cursor::new(raw.to_vec()));
        let rest = begin(Input::new(raw)).and_then(|mut member| {
            member.read_to_end(&mut bytes)?;
            let mut rest = Vec::new();
            if let Some(mut input) = member.end()? {
                input.read_to_end(&mut rest)?;
            }
            Ok(rest)
        });
        (bytes, rest.ok())
    }

    #[test]
    fn both_decoders_give_the_same() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("ZSTANDARD_SEED"));
        for turn in 0..60 {
            let len = [0, 1, 300, 40_000, 300_000][turn % 5];
            let words: Vec<Vec<u8>> = (0..20)
                .map(|_| std::iter::repeat_with(|| random.u8(..)).take(9).collect())
                .collect();
            let text: Vec<u8> = (0..len / 9 + 1)
                .flat_map(|_| words[random.usize(..20)].clone())
                .take(len)
                .collect();
            let mut encoder = zstd::Encoder::new(Vec::new(), random.i32(1..9)).unwrap();
            encoder.include_checksum(random.bool()).unwrap();
            encoder.include_contentsize(random.bool()).unwrap();
            encoder.write_all(&text).unwrap();
            let frame = encoder.finish().unwrap();
            let followed = [&frame[..], b"next"].concat();
            for begin in [library::begin as Begin, rust::begin] {
                let (bytes, rest) = decoded(begin, &followed);
                assert!(bytes == text && rest.as_deref() == Some(b"next"));
                let cut = random.usize(..frame.len());
                let (bytes, rest) = decoded(begin, &frame[..cut]);
                assert!(text.starts_with(&bytes) && rest.is_none(), "cut at {cut}");
            }
            for _ in 0..20 {
                let mut damaged = frame.clone();
                damaged[random.usize(..frame.len())] ^= 1 << random.u32(..8);
                let one = decoded(library::begin, &damaged);
                let other = decoded(rust::begin, &damaged);
                if one.1.is_some() && other.1.is_some() {
                    assert!(one.0 == other.0, "{damaged:?}");
                }
            }
        }
    }
}
