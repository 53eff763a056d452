//! Images of stream jobs: the data that `kernel/stream.h` works with, as words that mean the same at any address. The
//! first word is the opcode.
//!
//! The image of SCAN is an Aho-Corasick automaton as a table (`stream/automaton.rs`).

use crate::stream::{ScanMode, ScanSet, StreamJob};
use crate::KernelError;

/// Words of the image of a SCAN.
pub mod scan {
    /// `FLAG_ALL` and `FLAG_EVERYTHING`.
    pub const FLAGS: usize = 1;
    /// Length of the longest pattern, in bytes.
    pub const LONGEST: usize = 2;
    /// The column of a row that describes the patterns that end in its state. In a set for lines it holds the length of
    /// the longest such pattern. In a set for all occurrences it holds the place in the image where the number of such
    /// patterns lies, followed by the number and length of each.
    pub const INFO: usize = 3;
    /// The beginning of the first row whose state ends a pattern, in words from `NEXT`.
    pub const MATCH: usize = 4;
    /// The class of each byte value, four classes to a word.
    pub const CLASSES: usize = 8;
    /// The rows. The first row belongs to the state before any pattern.
    pub const NEXT: usize = CLASSES + 64;
    /// Flag: the set is used for all occurrences.
    pub const FLAG_ALL: u32 = 1;
    /// Flag: the empty pattern is in the set, so everything matches.
    pub const FLAG_EVERYTHING: u32 = 2;
}

/// Words of the image of CRC32C.
pub mod crc {
    /// For each n below 32, the polynomial x to the power of 8 * 2^n.
    pub const POWERS: usize = 8;
    /// Eight tables of 256 words: the contribution of a byte after 0 to 7 more bytes.
    pub const TABLES: usize = 64;
}

/// The most words that the image of a SCAN may take: 1 GiB.
const MAX_WORDS: usize = 1 << 28;

/// The most patterns of a SCAN: the table of more takes minutes to build, if it is not too large.
const MOST_PATTERNS: usize = 100_000;

/// The Castagnoli polynomial with its bits reversed: bit 31 is the coefficient of 1.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// Makes the image of a job.
///
/// # Errors
/// [`KernelError::Unsupported`] for an opcode of the user's, which is host code, for regexes, and for a set of patterns
/// whose tables are larger than 1 GiB.
pub fn image(job: &StreamJob) -> Result<Vec<u32>, KernelError> {
    match job {
        StreamJob::Scan(set) => scan_image(job.opcode(), set, MAX_WORDS),
        StreamJob::Crc32c => Ok(crc_image(job.opcode())),
        StreamJob::Blake3 | StreamJob::Histogram | StreamJob::Lines => Ok(vec![job.opcode()]),
        StreamJob::Custom(..) => Err(KernelError::Unsupported {
            what: "an opcode of the user's is host code and cannot run on a device",
            fix: "use a VIR0 program",
        }),
    }
}

fn too_large() -> KernelError {
    KernelError::Unsupported {
        what: "the tables of these patterns take more than 1 GiB on a device",
        fix: "use fewer or shorter patterns",
    }
}

/// Converts a number of words to a word. The limit on an image's size lies far below the largest word.
fn word(value: usize) -> Result<u32, KernelError> {
    u32::try_from(value).map_err(|_| too_large())
}

/// Packs four bytes into each word, the first byte lowest.
fn pack(bytes: &[u8; 256]) -> impl Iterator<Item = u32> + '_ {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| u32::from_le_bytes(*four))
}

fn scan_image(opcode: u32, set: &ScanSet, max_words: usize) -> Result<Vec<u32>, KernelError> {
    if set.line_settings().is_some() {
        return Err(KernelError::Unsupported {
            what: "a device cannot search for regexes",
            fix: "search for fixed strings, or use the CPU",
        });
    }
    let all = set.mode() == ScanMode::All;
    if set.patterns().len() > MOST_PATTERNS {
        return Err(KernelError::Unsupported {
            what: "a device searches for 100,000 patterns at most",
            fix: "give fewer patterns",
        });
    }
    let everything = set.searched().any(<[u8]>::is_empty);
    let mut image = vec![0; scan::NEXT];
    image[0] = opcode;
    image[scan::FLAGS] =
        u32::from(all) * scan::FLAG_ALL + u32::from(everything) * scan::FLAG_EVERYTHING;
    image[scan::LONGEST] = word(set.longest())?;
    if everything {
        return Ok(image);
    }
    let room = max_words.saturating_sub(scan::NEXT);
    let table = set.table(room).ok_or_else(too_large)?;
    image[scan::INFO] = word(table.stride() - 1)?;
    image[scan::MATCH] = table.min_match_state();
    for (at, packed) in pack(table.byte_classes()).enumerate() {
        image[scan::CLASSES + at] = packed;
    }
    image.extend(table.words());
    if all {
        // The places of the patterns that end in a state count from the beginning of the image.
        let ending = scan::NEXT + table.min_match_state() as usize..scan::NEXT + table.rows().len();
        for row in image[ending].chunks_exact_mut(table.stride()) {
            row[table.stride() - 1] += word(scan::NEXT)?;
        }
    }
    Ok(image)
}

/// The register after one more zero byte: its polynomial times x to the power of 8.
fn shift_byte(register: u32) -> u32 {
    (0..8).fold(register, |register, _| {
        (register >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(register & 1))
    })
}

/// The product of two polynomials modulo the Castagnoli polynomial; bit 31 is the coefficient of 1.
fn multiply(a: u32, b: u32) -> u32 {
    let (mut product, mut shifted) = (0, b);
    for bit in (0..32).rev() {
        if a >> bit & 1 != 0 {
            product ^= shifted;
        }
        shifted = (shifted >> 1) ^ (POLYNOMIAL & 0_u32.wrapping_sub(shifted & 1));
    }
    product
}

fn crc_image(opcode: u32) -> Vec<u32> {
    let mut image = vec![0; crc::TABLES + 8 * 256];
    image[0] = opcode;
    let mut power = shift_byte(1 << 31);
    for at in 0..32 {
        image[crc::POWERS + at] = power;
        power = multiply(power, power);
    }
    for byte in 0..256_u32 {
        let mut left = byte;
        for table in 0..8 {
            left = shift_byte(left);
            image[crc::TABLES + table * 256 + byte as usize] = left;
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::{image, scan_image};
    use crate::stream::{ScanMode, ScanSet, StreamJob, StreamOpcode, StreamSlot};
    use crate::KernelError;
    use gristmill_ring::{Outcome, RecordWriter};
    use std::sync::Arc;

    /// Asserts that the error has the right kind, and that it names the back end that can run the job.
    fn assert_refused(image: Result<Vec<u32>, KernelError>) {
        let error = image.unwrap_err();
        assert!(matches!(error, KernelError::Unsupported { .. }), "{error}");
        let told = error.to_string();
        assert!(told.ends_with("the back end `cpu`"), "{told}");
    }

    #[test]
    fn tables_above_the_limit_are_refused() {
        for mode in [ScanMode::Lines, ScanMode::All] {
            let set = ScanSet::build(&["abcd", "bcd", "d"], false, mode).unwrap();
            let fits = scan_image(1, &set, usize::MAX).unwrap().len();
            assert_eq!(scan_image(1, &set, fits).unwrap().len(), fits);
            assert_refused(scan_image(1, &set, fits - 1));
        }
    }

    struct Own;

    impl StreamOpcode for Own {
        fn run(
            &self,
            _: &[u8],
            _: &StreamSlot<'_>,
            _: &mut RecordWriter<'_>,
        ) -> Result<Outcome, u32> {
            Ok(Outcome::default())
        }
    }

    #[test]
    fn host_code_has_no_image() {
        assert_refused(image(&StreamJob::Custom(0x200, Arc::new(Own))));
    }
}
