//! The inner loop: which of 64 sampled positions pass a filter. It is compiled for each vector unit that helps.

use super::filter::{Filter, Parts};

/// Positions that are looked at together.
pub(super) const PROBES: usize = 64;

/// What is looked for at each position.
pub(super) struct Grams<'a> {
    pub filter: Parts<'a>,
    /// Bits that are set in each word of text.
    pub fold: u64,
    /// Bits of the word that count.
    pub mask: u64,
    /// What the word is multiplied with.
    pub factor: u64,
}

/// A bit for each of the positions 0, `stride`, 2 `stride`, ... whose q-gram the filter may hold. `block` has
/// 63 `stride` + 8 bytes.
#[inline]
pub(super) fn hits(block: &[u8], stride: usize, grams: &Grams<'_>) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("bmi2") && std::arch::is_x86_feature_detected!("bmi1") {
        // SAFETY: the function needs no more than the units that were just detected.
        return unsafe { with_bmi(block, stride, grams) };
    }
    by_stride(block, stride, grams)
}

/// The same, with shifts by any number of bits in one instruction.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "bmi1,bmi2")]
fn with_bmi(block: &[u8], stride: usize, grams: &Grams<'_>) -> u64 {
    by_stride(block, stride, grams)
}

#[inline(always)]
fn by_stride(block: &[u8], stride: usize, grams: &Grams<'_>) -> u64 {
    match stride {
        1 => probes::<1>(block, grams),
        2 => probes::<2>(block, grams),
        3 => probes::<3>(block, grams),
        4 => probes::<4>(block, grams),
        5 => probes::<5>(block, grams),
        6 => probes::<6>(block, grams),
        7 => probes::<7>(block, grams),
        8 => probes::<8>(block, grams),
        9 => probes::<9>(block, grams),
        10 => probes::<10>(block, grams),
        11 => probes::<11>(block, grams),
        12 => probes::<12>(block, grams),
        13 => probes::<13>(block, grams),
        14 => probes::<14>(block, grams),
        15 => probes::<15>(block, grams),
        _ => probes::<16>(block, grams),
    }
}

#[inline(always)]
fn probes<const STRIDE: usize>(block: &[u8], grams: &Grams<'_>) -> u64 {
    let Parts { words, shift } = grams.filter;
    // As many as a hash may name: looked at once, so that the loop need not.
    let words = &words[..Filter::words_of(shift)];
    let block = &block[..(PROBES - 1) * STRIDE + 8];
    let mut hits = 0;
    for probe in 0..PROBES {
        let at = probe * STRIDE;
        let bytes: [u8; 8] = block[at..at + 8].try_into().unwrap_or_default();
        let word = (u64::from_le_bytes(bytes) | grams.fold) & grams.mask;
        let (index, [one, other]) = Filter::place(word.wrapping_mul(grams.factor), shift);
        // SAFETY: `Filter::place` returns a number below `Filter::words_of(shift)`, which is the length of `words`.
        let here = unsafe { words.get_unchecked(index) };
        // Both bits are moved to the lowest place: that is less to do than to make a mask of them and to compare.
        hits |= (here >> one & here >> other & 1) << probe;
    }
    hits
}
