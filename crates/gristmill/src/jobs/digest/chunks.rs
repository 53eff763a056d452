//! Content-defined chunks: where a file is cut so that the same content is cut at the same positions in any file, and
//! the digest of each chunk.
//!
//! A cutter takes a file's bytes in order, in pieces of any size; its cuts are those of the file as a whole.

use fastcdc::v2020::FastCDC;
use std::fmt;
use std::str::FromStr;

/// How cuts are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cutting {
    /// At the cuts of `programs/content_chunks.vasm`, with as many bits in its mask as the average size says. A cut that
    /// is nearer to the last one than the least size is passed over, and where there is none for the greatest size, the
    /// chunk ends there.
    Gear,
    /// FastCDC as the crate `fastcdc` has it (`v2020`, normalization level 1, seed 0).
    FastCdc,
}

/// How files are cut into chunks: `gear` or `fastcdc`, with the average size of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunking {
    cutting: Cutting,
    average: usize,
}

/// The average size of a chunk in bytes, if none is given.
const AVERAGE: usize = 64 << 10;

/// The least and the greatest average size: the crate `fastcdc` takes no others with a quarter of it as the least size
/// and four times as the greatest.
const AVERAGES: std::ops::RangeInclusive<usize> = 1 << 10..=4 << 20;

/// The most chunks of a file. A row with more digests would not fit into a table's value.
pub const MOST_CHUNKS: usize = 1 << 21;

impl Chunking {
    /// Chunks of `average` bytes: a power of two from 1,024 to 4,194,304. `None` for others.
    #[must_use]
    pub fn new(cutting: Cutting, average: usize) -> Option<Self> {
        let fits = average.is_power_of_two() && AVERAGES.contains(&average);
        fits.then_some(Self { cutting, average })
    }

    /// The average size of a chunk of random content, in bytes.
    #[must_use]
    pub fn average(&self) -> usize {
        self.average
    }

    /// The least size of a chunk that is not a file's last: a quarter of the average.
    #[must_use]
    pub fn least(&self) -> usize {
        self.average / 4
    }

    /// The greatest size of a chunk: four times the average.
    #[must_use]
    pub fn greatest(&self) -> usize {
        self.average * 4
    }

    /// The argument `mask` of `programs/content_chunks.vasm`: a one for each bit of the average size.
    #[must_use]
    pub fn mask(&self) -> u32 {
        !(u32::MAX >> self.average.trailing_zeros())
    }
}

impl fmt::Display for Chunking {
    /// As [`from_str`](FromStr::from_str) reads it, with the average in bytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.cutting {
            Cutting::Gear => "gear",
            Cutting::FastCdc => "fastcdc",
        };
        write!(f, "{name}:{}", self.average)
    }
}

/// A text that says no way to cut files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownChunking {
    /// Another name.
    #[error("not a chunking method; use gear or fastcdc")]
    Name,
    /// Another size.
    #[error("not an average chunk size: use a power of two from 1K to 4M, such as 64K")]
    Average,
}

impl FromStr for Chunking {
    type Err = UnknownChunking;

    /// Reads `gear` or `fastcdc`, behind which a colon and an average size may stand, such as `fastcdc:64K` or `gear:8192`.
    fn from_str(text: &str) -> Result<Self, UnknownChunking> {
        let (name, average) = match text.split_once(':') {
            Some((name, average)) => (name, Some(average)),
            None => (text, None),
        };
        let cutting = match name {
            "gear" => Cutting::Gear,
            "fastcdc" => Cutting::FastCdc,
            _ => return Err(UnknownChunking::Name),
        };
        let average = match average {
            None => AVERAGE,
            Some(size) => bytes(size).ok_or(UnknownChunking::Average)?,
        };
        Self::new(cutting, average).ok_or(UnknownChunking::Average)
    }
}

/// A size as flags have it, in bytes.
fn bytes(size: &str) -> Option<usize> {
    let (digits, unit) = match size.as_bytes().last()? {
        b'k' | b'K' => (&size[..size.len() - 1], 1 << 10),
        b'm' | b'M' => (&size[..size.len() - 1], 1 << 20),
        _ => (size, 1),
    };
    let plain = digits.bytes().all(|digit| digit.is_ascii_digit());
    let number: usize = digits.parse().ok().filter(|_| plain)?;
    number.checked_mul(unit)
}

/// A chunk of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Its length in bytes.
    pub length: u64,
    /// The BLAKE3 of its bytes.
    pub digest: [u8; 32],
}

/// Cuts a file, whose bytes come in order.
#[derive(Debug)]
pub struct Cutter {
    chunks: Vec<Chunk>,
    /// Whether there are more than [`MOST_CHUNKS`], so that none are told.
    too_many: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Gear(Box<Gear>),
    FastCdc(FastCdc),
}

impl Cutter {
    /// A file of which no byte has come.
    #[must_use]
    pub fn new(chunking: Chunking) -> Self {
        Self {
            chunks: Vec::new(),
            too_many: false,
            state: match chunking.cutting {
                Cutting::Gear => State::Gear(Box::new(Gear::new(chunking))),
                Cutting::FastCdc => State::FastCdc(FastCdc {
                    chunking,
                    kept: Vec::new(),
                }),
            },
        }
    }

    /// Takes the bytes that follow.
    pub fn add(&mut self, bytes: &[u8]) {
        if self.too_many {
            return;
        }
        let (chunks, too_many) = (&mut self.chunks, &mut self.too_many);
        let mut give = |chunk| match chunks.len() < MOST_CHUNKS {
            true => chunks.push(chunk),
            false => *too_many = true,
        };
        match &mut self.state {
            State::Gear(gear) => gear.add(bytes, give),
            State::FastCdc(fastcdc) => fastcdc.add(bytes, &mut give),
        }
    }

    /// The chunks of the file, which ends here; `None` if there are too many ([`MOST_CHUNKS`]).
    #[must_use]
    pub fn finish(mut self) -> Option<Vec<Chunk>> {
        let last = match self.state {
            State::Gear(gear) => gear.last(),
            State::FastCdc(mut fastcdc) => {
                fastcdc.cut(true, &mut |chunk| self.chunks.push(chunk));
                None
            }
        };
        self.chunks.extend(last);
        (!self.too_many && self.chunks.len() <= MOST_CHUNKS).then_some(self.chunks)
    }
}

/// The gear of each byte value, as `programs/content_chunks.vasm` has it: SplitMix64 from seed 0.
static GEARS: [u64; 256] = {
    let mut gears = [0; 256];
    let mut state = 0_u64;
    let mut byte = 0;
    while byte < gears.len() {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        gears[byte] = mixed ^ (mixed >> 31);
        byte += 1;
    }
    gears
};

/// The bytes that a hash is of: those before have been shifted out.
const HASHED: usize = 64;

/// The chunk that grows, cut by gear.
///
/// A hash is of 64 bytes, and no cut is looked for before the least size, which is more. So most bytes before that are
/// passed over, and the hash begins anew 64 bytes before the first place where a cut may be.
#[derive(Debug)]
struct Gear {
    /// The bits that are zeros at a cut.
    mask: u64,
    least: usize,
    greatest: usize,
    /// Of the bytes so far, from where they are hashed.
    hash: u64,
    length: usize,
    digest: blake3::Hasher,
}

impl Gear {
    fn new(chunking: Chunking) -> Self {
        Self {
            mask: u64::from(chunking.mask()) << 32,
            least: chunking.least(),
            greatest: chunking.greatest(),
            hash: 0,
            length: 0,
            digest: blake3::Hasher::new(),
        }
    }

    fn add(&mut self, bytes: &[u8], mut give: impl FnMut(Chunk)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (taken, cut) = self.next(rest);
            let (chunk, behind) = rest.split_at(taken);
            self.digest.update(chunk);
            self.length += taken;
            rest = behind;
            if cut {
                give(Chunk {
                    length: self.length as u64,
                    digest: self.digest.finalize().into(),
                });
                self.digest.reset();
                self.length = 0;
            }
        }
    }

    /// How many of these bytes are of this chunk, and whether it ends with them.
    fn next(&mut self, bytes: &[u8]) -> (usize, bool) {
        // The first byte behind which a cut may be, and those before it that its hash is of.
        let first = (self.least - 1).saturating_sub(self.length);
        let first = first.min(bytes.len());
        let hashed = (self.least - HASHED).saturating_sub(self.length);
        for byte in &bytes[hashed.min(first)..first] {
            self.hash = (self.hash << 1).wrapping_add(GEARS[usize::from(*byte)]);
        }
        let most = (self.greatest - self.length).min(bytes.len());
        match self.find(&bytes[first..most]) {
            Some(place) => (first + place + 1, true),
            None => (most, self.length + most == self.greatest),
        }
    }

    /// The first of these bytes behind which there is a cut.
    fn find(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut hash = self.hash;
        let mask = self.mask;
        let is_cut = |hash: &u64| *hash & mask == 0;
        let (fours, rest) = bytes.as_chunks::<4>();
        for (number, four) in fours.iter().enumerate() {
            // Each of these hashes is of the one before the four, so that none waits for the one before it.
            let [a, b, c, d] = four.map(|byte| GEARS[usize::from(byte)]);
            let ab = (a << 1).wrapping_add(b);
            let abc = (ab << 1).wrapping_add(c);
            let hashes = [
                (hash << 1).wrapping_add(a),
                (hash << 2).wrapping_add(ab),
                (hash << 3).wrapping_add(abc),
                (hash << 4).wrapping_add((abc << 1).wrapping_add(d)),
            ];
            if hashes.iter().any(is_cut) {
                let place = hashes.iter().position(is_cut)?;
                self.hash = hashes[place];
                return Some(4 * number + place);
            }
            hash = hashes[3];
        }
        for (number, byte) in rest.iter().enumerate() {
            hash = (hash << 1).wrapping_add(GEARS[usize::from(*byte)]);
            if is_cut(&hash) {
                self.hash = hash;
                return Some(4 * fours.len() + number);
            }
        }
        self.hash = hash;
        None
    }

    /// The chunk that ends with the file.
    fn last(&self) -> Option<Chunk> {
        (self.length > 0).then(|| Chunk {
            length: self.length as u64,
            digest: self.digest.finalize().into(),
        })
    }
}

/// The bytes that no chunk has taken, to be cut by FastCDC.
#[derive(Debug)]
struct FastCdc {
    chunking: Chunking,
    kept: Vec<u8>,
}

impl FastCdc {
    fn add(&mut self, bytes: &[u8], give: &mut impl FnMut(Chunk)) {
        self.kept.extend_from_slice(bytes);
        self.cut(false, give);
    }

    /// Cuts off the chunks that are certain: with as many bytes as a chunk may have, or, where they are the `last`, all.
    fn cut(&mut self, last: bool, give: &mut impl FnMut(Chunk)) {
        let (least, most) = (self.chunking.least(), self.chunking.greatest());
        let cutter = FastCDC::new(&self.kept, least, self.chunking.average(), most);
        let mut begin = 0;
        loop {
            let left = self.kept.len() - begin;
            if left == 0 || left < most && !last {
                break;
            }
            let (_, end) = cutter.cut(begin, left);
            give(Chunk {
                length: (end - begin) as u64,
                digest: blake3::hash(&self.kept[begin..end]).into(),
            });
            begin = end;
        }
        self.kept.drain(..begin);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_testing::{noise, seed};

    /// Random bytes with runs of one value and repetitions in them.
    fn content(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            let count = random.usize(1..200_000).min(len - bytes.len());
            match random.u8(..4) {
                0 => bytes.resize(bytes.len() + count, random.u8(..)),
                1 if bytes.len() > count => bytes.extend_from_within(..count),
                _ => bytes.extend(noise(random.u64(..), count)),
            }
        }
        bytes
    }

    fn cut(chunking: Chunking, bytes: &[u8], mut sizes: impl FnMut() -> usize) -> Vec<Chunk> {
        let mut cutter = Cutter::new(chunking);
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(sizes().min(rest.len()));
            cutter.add(piece);
            rest = behind;
        }
        cutter.finish().unwrap()
    }

    /// Chunks with these lengths.
    fn of_lengths(bytes: &[u8], lengths: impl Iterator<Item = usize>) -> Vec<Chunk> {
        let mut rest = bytes;
        let chunks = lengths.map(|length| {
            let (chunk, behind) = rest.split_at(length);
            rest = behind;
            Chunk {
                length: length as u64,
                digest: blake3::hash(chunk).into(),
            }
        });
        chunks.collect()
    }

    /// The lengths of the chunks by gear, by their definition: the hash anew for each place.
    fn gear(chunking: Chunking, bytes: &[u8]) -> Vec<usize> {
        let (mut lengths, mut last) = (Vec::new(), 0);
        for end in 1..=bytes.len() {
            let window = &bytes[end.saturating_sub(64)..end];
            let hash = window.iter().fold(0_u64, |hash, byte| {
                (hash << 1).wrapping_add(GEARS[usize::from(*byte)])
            });
            let length = end - last;
            let cut = (hash >> 32) & u64::from(chunking.mask()) == 0 && length >= chunking.least();
            if cut || length == chunking.greatest() || end == bytes.len() {
                lengths.push(length);
                last = end;
            }
        }
        lengths
    }

    #[test]
    fn chunks_are_those_of_the_whole_file_however_its_bytes_come() {
        let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_CHUNKS_SEED"));
        for round in 0..5 {
            let len = [0, 1, 1000, 150_000, 400_000][round];
            let bytes = content(&mut random, len);
            for average in [1 << 10, 8 << 10, 64 << 10] {
                let whole = |cutting| {
                    let chunking = Chunking::new(cutting, average).unwrap();
                    let expected = match cutting {
                        Cutting::Gear => of_lengths(&bytes, gear(chunking, &bytes).into_iter()),
                        Cutting::FastCdc => {
                            let (least, most) = (average / 4, average * 4);
                            let cuts = FastCDC::new(&bytes, least, average, most);
                            of_lengths(&bytes, cuts.map(|chunk| chunk.length))
                        }
                    };
                    (chunking, expected)
                };
                for (chunking, expected) in [whole(Cutting::Gear), whole(Cutting::FastCdc)] {
                    for most in [usize::MAX, 4096, 1 << 20, 70_000, 61] {
                        let mut sizes = random.clone();
                        let size = || match most {
                            70_000 => sizes.usize(1..=most),
                            most => most,
                        };
                        assert_eq!(cut(chunking, &bytes, size), expected, "{chunking} {len}");
                    }
                }
            }
        }
    }

    #[test]
    fn ways_to_cut_are_read_as_they_are_written() {
        for text in ["gear:65536", "fastcdc:1024", "gear:4194304"] {
            assert_eq!(text.parse::<Chunking>().unwrap().to_string(), text);
        }
        let plain: Chunking = "fastcdc".parse().unwrap();
        assert_eq!(plain.to_string(), "fastcdc:65536");
        assert_eq!(
            "gear:8K".parse(),
            Ok(Chunking::new(Cutting::Gear, 8192).unwrap())
        );
        let default = Chunking::new(Cutting::Gear, 8192).unwrap();
        assert_eq!(default.mask(), 0xFFF8_0000, "the program's own");
        for wrong in [
            "gear:",
            "gear:0",
            "gear:3K",
            "gear:8M",
            "gear:+8K",
            "fastcdc:512",
        ] {
            assert_eq!(
                wrong.parse::<Chunking>(),
                Err(UnknownChunking::Average),
                "{wrong}"
            );
        }
        assert_eq!("rabin".parse::<Chunking>(), Err(UnknownChunking::Name));
    }
}
