//! Both decoders of Zstandard, beside each other.

use super::{library, rust, Input, Member};
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
