//! The promises of the decoders of compressed files that the fuzz target `decode` checks, as a function of bytes. It runs
//! under libFuzzer, and also without it in `crates/gristmill/tests/decoded.rs`.

use gristmill::decode::{decompress, Format};
use std::io::{Error, ErrorKind, Read};
use std::path::Path;

/// The most bytes that are decoded: a few compressed ones can hold any number.
const MOST: usize = 100_000;

/// Files that the tools of each format have written. Their names say their formats, and which of two texts they hold.
pub const SAMPLES: &[(&str, &[u8])] = &[
    ("short.gz", include_bytes!("../samples/short.gz")),
    ("long.gz", include_bytes!("../samples/long.gz")),
    (
        "parts-short.gz",
        include_bytes!("../samples/parts-short.gz"),
    ),
    ("short.bz2", include_bytes!("../samples/short.bz2")),
    ("long.bz2", include_bytes!("../samples/long.bz2")),
    (
        "parts-short.bz2",
        include_bytes!("../samples/parts-short.bz2"),
    ),
    ("short.xz", include_bytes!("../samples/short.xz")),
    ("long.xz", include_bytes!("../samples/long.xz")),
    (
        "parts-short.xz",
        include_bytes!("../samples/parts-short.xz"),
    ),
    ("short.lzma", include_bytes!("../samples/short.lzma")),
    ("long.lzma", include_bytes!("../samples/long.lzma")),
    ("short.lz4", include_bytes!("../samples/short.lz4")),
    ("long.lz4", include_bytes!("../samples/long.lz4")),
    (
        "parts-short.lz4",
        include_bytes!("../samples/parts-short.lz4"),
    ),
    (
        "legacy-short.lz4",
        include_bytes!("../samples/legacy-short.lz4"),
    ),
    ("short.zst", include_bytes!("../samples/short.zst")),
    ("long.zst", include_bytes!("../samples/long.zst")),
    (
        "parts-short.zst",
        include_bytes!("../samples/parts-short.zst"),
    ),
    ("short.br", include_bytes!("../samples/short.br")),
    ("long.br", include_bytes!("../samples/long.br")),
];

/// The format of a sample.
pub fn format(name: &str) -> Format {
    Format::of(Path::new(name)).expect("a name that says its format")
}

/// The first byte chooses a sample, and so a format; the second says how reads are cut. What follows is decoded as it is,
/// and as changes of the sample: each is a place, in two bytes, and what stands there then.
pub fn decode(input: &[u8]) {
    let [sample, cut, rest @ ..] = input else {
        return;
    };
    let (name, bytes) = SAMPLES[usize::from(*sample) % SAMPLES.len()];
    check(format(name), rest, *cut);
    let mut changed = bytes.to_vec();
    for change in rest.chunks_exact(3) {
        let place = usize::from(change[0]) << 8 | usize::from(change[1]);
        changed[place % bytes.len()] = change[2];
    }
    check(format(name), &changed, *cut);
}

/// What came of bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// They are whole.
    Whole,
    /// There are more than are decoded here.
    More,
    /// They are damaged, or cut short. Holds what is said.
    Damaged(String),
}

/// Bytes decode, or are refused in words; nothing panics. However reads are cut, the same bytes are decoded, and files that
/// are whole or damaged are so; of a damaged one some bytes before the damage may be lost. A read that fails is told as it
/// is, and is not taken for the end of the file.
pub fn check(format: Format, raw: &[u8], cut: u8) -> (Vec<u8>, End) {
    let (bytes, end) = read(format, Cut::whole(raw));
    let (others, other) = read(format, Cut::by(raw, cut));
    match (&end, &other) {
        (End::Damaged(_), End::Damaged(_)) => {
            let both = bytes.len().min(others.len());
            assert!(bytes[..both] == others[..both], "{format:?}: {end:?}");
        }
        // Some may be lost of those that would have come next.
        (End::More, End::Damaged(_)) | (End::Damaged(_), End::More) => {
            let both = bytes.len().min(others.len());
            assert!(both + (1 << 16) >= MOST, "{format:?}: {end:?}, {other:?}");
        }
        _ => {
            assert_eq!(end, other, "{format:?}");
            let both = bytes.len().min(others.len());
            let same = bytes[..both] == others[..both];
            assert!(
                same && (both == bytes.len() || end == End::More),
                "{format:?}"
            );
        }
    }
    let (_, failed) = read(
        format,
        Cut {
            fails: true,
            ..Cut::by(raw, cut)
        },
    );
    if let End::Damaged(told) = failed {
        assert!(!told.contains("ends early"), "{format:?}: {told}");
    }
    (bytes, end)
}

/// Decodes bytes that come as they are cut.
fn read(format: Format, raw: Cut) -> (Vec<u8>, End) {
    let mut sizes = raw.clone();
    let mut reader = decompress(format, raw);
    let (mut bytes, mut piece) = (Vec::new(), vec![0; 64 << 10]);
    let end = loop {
        if bytes.len() >= MOST {
            break End::More;
        }
        let most = sizes.size().min(piece.len());
        match reader.read(&mut piece[..most]) {
            Ok(0) => {
                assert!(matches!(reader.read(&mut piece), Ok(0)), "an end stays one");
                break End::Whole;
            }
            Ok(read) => bytes.extend_from_slice(&piece[..read]),
            Err(error) => {
                let told = error.to_string();
                let known = told.contains(format.name()) || error.raw_os_error() == Some(EIO);
                assert!(known && !told.contains('\n'), "{format:?}: {told}");
                break End::Damaged(told);
            }
        }
    };
    (bytes, end)
}

/// The number of the error of a disk.
const EIO: i32 = 5;

/// Bytes that come in pieces.
#[derive(Clone)]
struct Cut {
    bytes: Vec<u8>,
    at: usize,
    /// The most bytes of a piece.
    most: usize,
    random: u32,
    /// Whether a read behind the last byte fails.
    fails: bool,
}

impl Cut {
    fn whole(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            most: usize::MAX,
            random: 0,
            fails: false,
        }
    }

    fn by(bytes: &[u8], cut: u8) -> Self {
        Self {
            most: [1, 2, 7, 60, 500, 5_000, 40_000, 70_000][usize::from(cut & 7)],
            random: u32::from(cut) << 1 | 1,
            ..Self::whole(bytes)
        }
    }

    fn next(&mut self) -> usize {
        // Marsaglia's xorshift.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random as usize
    }

    /// The size of the next piece.
    fn size(&mut self) -> usize {
        match self.most {
            usize::MAX => usize::MAX,
            most => 1 + self.next() % most,
        }
    }
}

impl Read for Cut {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.random != 0 && self.next().is_multiple_of(8) {
            return Err(ErrorKind::Interrupted.into());
        }
        let size = self.size().min(into.len());
        let there = &self.bytes[self.at..];
        if there.is_empty() && self.fails {
            return Err(Error::from_raw_os_error(EIO));
        }
        let size = size.min(there.len());
        into[..size].copy_from_slice(&there[..size]);
        self.at += size;
        Ok(size)
    }
}
