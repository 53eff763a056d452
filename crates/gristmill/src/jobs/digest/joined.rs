//! The CRC-32C of two runs of bytes that follow one another, from those of each.
//!
//! A CRC is the remainder of a polynomial over GF(2). What follows shifts it by a power of x, whose remainder is made by
//! squaring, in some 40 products of 32 steps. Bit 31 of a word is the coefficient of x^0, as in the sums themselves.

/// The polynomial of CRC-32C (RFC 3720, section 12.1) without its highest term, the first coefficient highest.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// The polynomial 1.
const ONE: u32 = 1 << 31;

/// The product of two remainders.
fn product(a: u32, mut b: u32) -> u32 {
    let mut sum = 0;
    for power in (0..32).rev() {
        if a >> power & 1 == 1 {
            sum ^= b;
        }
        b = b >> 1 ^ if b & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    sum
}

/// The sum of the bytes whose sum is `first`, and of `len` bytes behind them whose sum is `second`.
pub(super) fn crc32c(first: u32, second: u32, len: usize) -> u32 {
    // A byte shifts by x^8.
    let (mut shift, mut square, mut left) = (ONE, ONE >> 8, len);
    while left > 0 {
        if left & 1 == 1 {
            shift = product(shift, square);
        }
        square = product(square, square);
        left >>= 1;
    }
    product(first, shift) ^ second
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_testing::{noise, seed};

    #[test]
    fn joined_sums_are_those_of_all_bytes() {
        let bytes = noise(seed("CRC_SEED"), 70_000);
        for (first, second) in [(0, 0), (0, 1), (1, 0), (1, 1), (3, 4096), (4097, 65_535)] {
            let (start, rest) = bytes[..first + second].split_at(first);
            let joined = crc32c(::crc32c::crc32c(start), ::crc32c::crc32c(rest), second);
            assert_eq!(
                joined,
                ::crc32c::crc32c(&bytes[..first + second]),
                "{first} {second}"
            );
        }
        for len in [1 << 20, u32::MAX as usize, 1 << 40] {
            let expected = ::crc32c::crc32c_combine(0x1234_5678, 0x9ABC_DEF0, len);
            assert_eq!(crc32c(0x1234_5678, 0x9ABC_DEF0, len), expected, "{len}");
        }
    }
}
