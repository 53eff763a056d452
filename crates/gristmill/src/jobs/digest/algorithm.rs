//! The algorithms that make digests, sets of them, and digests as people write them.

use gristmill_megakernel::StreamJob;
use std::fmt;
use std::str::FromStr;

/// Bytes of the longest digest.
const MOST_BYTES: usize = 32;

/// How a file's digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// The CRC with Castagnoli's polynomial (RFC 3720, B.4): 32 bits, against accidents only.
    Crc32c,
    /// XXH3 with 64 bits and the seed 0: against accidents only.
    Xxh3_64,
    /// XXH3 with 128 bits and the seed 0: against accidents only.
    Xxh3_128,
    /// SHA-256 (FIPS 180-4).
    Sha256,
    /// BLAKE3 with 256 bits, without a key: a tree, whose parts are hashed in any order.
    Blake3,
    /// MD5 (RFC 1321). Two files with the same digest can be made on purpose.
    Md5,
    /// SHA-1 (FIPS 180-4). Two files with the same digest can be made on purpose.
    Sha1,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Crc32c,
        Self::Xxh3_64,
        Self::Xxh3_128,
        Self::Sha256,
        Self::Blake3,
        Self::Md5,
        Self::Sha1,
    ];

    /// The name, as flags and JSON have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crc32c => "crc32c",
            Self::Xxh3_64 => "xxh3-64",
            Self::Xxh3_128 => "xxh3-128",
            Self::Sha256 => "sha256",
            Self::Blake3 => "blake3",
            Self::Md5 => "md5",
            Self::Sha1 => "sha1",
        }
    }

    /// The name of the column of its digests in manifests.
    pub(crate) fn column(self) -> String {
        self.name().replace('-', "_")
    }

    /// The name in rows of the BSD format, as xxhsum, sha256sum, b3sum, md5sum and sha1sum have it.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::Crc32c => "CRC32C",
            Self::Xxh3_64 => "XXH3",
            Self::Xxh3_128 => "XXH128",
            Self::Sha256 => "SHA256",
            Self::Blake3 => "BLAKE3",
            Self::Md5 => "MD5",
            Self::Sha1 => "SHA1",
        }
    }

    /// Bytes of a digest.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Crc32c => 4,
            Self::Xxh3_64 => 8,
            Self::Xxh3_128 | Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 | Self::Blake3 => 32,
        }
    }

    /// Whether a file's bytes must be hashed one after the other. The other algorithms join the results of chunks.
    pub const fn is_in_order(self) -> bool {
        !matches!(self, Self::Crc32c | Self::Blake3)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that no algorithm has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownAlgorithm;

impl std::error::Error for UnknownAlgorithm {}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an algorithm; choose from")?;
        for (index, algorithm) in Algorithm::ALL.iter().enumerate() {
            write!(f, "{} {algorithm}", if index == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.into_iter().find(|of| of.name() == name);
        found.ok_or(UnknownAlgorithm)
    }
}

/// Some algorithms, in the order in which their rows come.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Algorithms {
    /// A bit for each that is in the set.
    bits: u8,
    /// The first `len` of `order` are in the set.
    order: [Option<Algorithm>; Algorithm::ALL.len()],
}

impl Algorithms {
    /// Whether one is among them.
    pub const fn contains(&self, algorithm: Algorithm) -> bool {
        self.bits & algorithm.bit() != 0
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = Algorithm> + '_ {
        self.order.iter().map_while(|algorithm| *algorithm)
    }

    /// Their names.
    pub fn names(&self) -> Vec<&'static str> {
        self.iter().map(Algorithm::name).collect()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.bits.count_ones() as usize
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Whether one of them hashes a file's bytes in order.
    pub fn any_in_order(&self) -> bool {
        self.iter().any(Algorithm::is_in_order)
    }

    /// The one of them that a device computes, if it computes any, while the host computes the others: the one that takes
    /// longer of those that join the results of chunks.
    #[must_use]
    pub fn on_device(&self) -> Option<Algorithm> {
        let by_chunks = [Algorithm::Blake3, Algorithm::Crc32c];
        by_chunks
            .into_iter()
            .find(|algorithm| self.contains(*algorithm))
    }

    /// The kernel's own opcode that computes them, on devices too, and whose runs a log keeps: of CRC-32C alone, and of
    /// BLAKE3 alone.
    pub fn stream_job(&self) -> Option<StreamJob> {
        match self.order {
            [Some(Algorithm::Crc32c), None, ..] => Some(StreamJob::Crc32c),
            [Some(Algorithm::Blake3), None, ..] => Some(StreamJob::Blake3),
            _ => None,
        }
    }
}

impl FromIterator<Algorithm> for Algorithms {
    /// One that comes again counts once, where it came first.
    fn from_iter<I: IntoIterator<Item = Algorithm>>(algorithms: I) -> Self {
        let mut set = Self::default();
        for algorithm in algorithms {
            if !set.contains(algorithm) {
                set.order[set.len()] = Some(algorithm);
                set.bits |= algorithm.bit();
            }
        }
        set
    }
}

impl From<Algorithm> for Algorithms {
    fn from(algorithm: Algorithm) -> Self {
        Self::from_iter([algorithm])
    }
}

impl fmt::Debug for Algorithms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A digest. Shown in hexadecimal, in small letters, the most significant byte first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest {
    bytes: [u8; MOST_BYTES],
    len: usize,
}

impl Digest {
    /// The digest with these bytes, of which there are at most 32.
    pub(crate) fn new(digest: &[u8]) -> Self {
        let mut bytes = [0; MOST_BYTES];
        let len = digest.len().min(MOST_BYTES);
        bytes[..len].copy_from_slice(&digest[..len]);
        Self { bytes, len }
    }

    /// Reads hexadecimal digits, of either case. `None` where there is another character, an odd number of them, or
    /// more than 64.
    pub fn from_hex(digits: &[u8]) -> Option<Self> {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        if digits.len() > 2 * MOST_BYTES || !digits.len().is_multiple_of(2) {
            return None;
        }
        let mut bytes = [0; MOST_BYTES];
        let (pairs, _) = digits.as_chunks::<2>();
        for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
            *byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
        }
        Some(Self {
            bytes,
            len: pairs.len(),
        })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Appends its hexadecimal digits.
    pub fn append_to(&self, out: &mut Vec<u8>) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for byte in self.as_bytes() {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse(), Ok(algorithm));
        }
        assert_eq!("sha512".parse::<Algorithm>(), Err(UnknownAlgorithm));
        assert!(UnknownAlgorithm.to_string().contains("crc32c, xxh3-64"));
    }

    #[test]
    fn a_set_keeps_the_order_and_counts_each_once() {
        use Algorithm::{Blake3, Crc32c, Md5, Sha1};
        let set: Algorithms = [Sha1, Blake3, Sha1, Crc32c].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [Sha1, Blake3, Crc32c]);
        assert_eq!(set.len(), 3);
        assert!(set.contains(Crc32c) && !set.contains(Md5));
        assert!(set.any_in_order() && !Algorithms::from(Blake3).any_in_order());
        let all: Algorithms = Algorithm::ALL.into_iter().rev().collect();
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn digits_are_read_as_they_are_written() {
        let digest = Digest::new(&[0x00, 0xAB, 0x7f]);
        assert_eq!(digest.to_string(), "00ab7f");
        assert_eq!(Digest::from_hex(b"00AB7f"), Some(digest));
        let mut out = Vec::new();
        digest.append_to(&mut out);
        assert_eq!(out, b"00ab7f");
        for bad in [&b"0"[..], b"0g", b"+1", &[b'0'; 66]] {
            assert_eq!(Digest::from_hex(bad), None);
        }
    }
}
