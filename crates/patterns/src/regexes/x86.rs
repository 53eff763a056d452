//! The vector units of x86-64: what is looked up for 32 or 64 bytes at once.

use super::tables::{ClassTable, Grams, GRAM, TOGETHER};
use super::words::{keep_led, not_zero, shrink, shrunk, WORD};
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_blendv_epi8, _mm256_broadcastsi128_si256,
    _mm256_castsi256_pd, _mm256_cmpeq_epi64, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_or_si256, _mm256_set1_epi8, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm512_and_si512,
    _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
    _mm512_set1_epi8, _mm512_test_epi64_mask, _mm512_test_epi8_mask, _mm_loadu_si128, _mm_prefetch,
    _MM_HINT_T1,
};

/// Text is fetched from memory so many bytes before it is looked at: while a piece of text is worked on, the next one comes.
/// A prefetch reads nothing that the program sees, so it may be of any address, behind the text's end too.
const AHEAD: usize = 1 << 14;

#[target_feature(enable = "avx2")]
pub(super) fn shrink_avx2(words: &mut [u64], by: usize) {
    shrink(words, by);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn shrink_avx512(words: &mut [u64], by: usize) {
    shrink(words, by);
}

#[target_feature(enable = "avx2")]
pub(super) fn shrunk_avx2(words: &[u64], by: usize, to: &mut [u64]) {
    shrunk(words, by, to);
}

#[target_feature(enable = "avx2")]
pub(super) fn keep_led_avx2(
    words: &[u64],
    leads: (&[u64], &[u64]),
    reach: usize,
    kept: &mut [u64],
) {
    keep_led(words, leads, reach, kept);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn shrunk_avx512(words: &[u64], by: usize, to: &mut [u64]) {
    shrunk(words, by, to);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn keep_led_avx512(
    words: &[u64],
    leads: (&[u64], &[u64]),
    reach: usize,
    kept: &mut [u64],
) {
    keep_led(words, leads, reach, kept);
}

#[target_feature(enable = "avx2")]
pub(super) fn not_zero_avx2(words: &[u64], found: &mut [u64]) -> bool {
    let (whole, rest) = words.as_chunks::<WORD>();
    let mut any = 0;
    for (words, found) in whole.iter().zip(&mut *found) {
        let mut none = 0;
        for (number, four) in words.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: 32 bytes are there; the load asks for no alignment.
            let four = unsafe { _mm256_loadu_si256(four.as_ptr().cast()) };
            let zero = _mm256_cmpeq_epi64(four, _mm256_setzero_si256());
            let zero = _mm256_movemask_pd(_mm256_castsi256_pd(zero)).cast_unsigned();
            none |= u64::from(zero) << (4 * number);
        }
        *found = !none;
        any |= *found;
    }
    not_zero(rest, found.get_mut(whole.len()..).unwrap_or_default()) || any != 0
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn not_zero_avx512(words: &[u64], found: &mut [u64]) -> bool {
    let (whole, rest) = words.as_chunks::<WORD>();
    let mut any = 0;
    for (words, found) in whole.iter().zip(&mut *found) {
        let mut all = 0;
        for (number, eight) in words.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: 64 bytes are there; the load asks for no alignment.
            let eight = unsafe { _mm512_loadu_si512(eight.as_ptr().cast()) };
            all |= u64::from(_mm512_test_epi64_mask(eight, eight)) << (8 * number);
        }
        *found = all;
        any |= all;
    }
    not_zero(rest, found.get_mut(whole.len()..).unwrap_or_default()) || any != 0
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: 32 bytes are there; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

/// 16 bytes, twice.
#[target_feature(enable = "avx2")]
fn twice(bytes: &[u8; 16]) -> __m256i {
    // SAFETY: 16 bytes are there; the load asks for no alignment.
    _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) })
}

#[target_feature(enable = "avx512f")]
fn load_all(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: 64 bytes are there; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// What a table of 256 bytes holds for each of these bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn look_up([a, b, c, d]: [__m512i; 4], bytes: __m512i) -> __m512i {
    let below = _mm512_permutex2var_epi8(a, bytes, b);
    // Most text is ASCII alone.
    match _mm512_movepi8_mask(bytes) {
        0 => below,
        others => {
            let above = _mm512_permutex2var_epi8(c, bytes, d);
            _mm512_mask_blend_epi8(others, below, above)
        }
    }
}

/// Calls a function that knows the number of classes of the table, so that its loops do.
macro_rules! by_count {
    ($function:ident, $table:expr, $text:expr, $per_class:expr, $words:expr, $at:expr) => {
        match $table.count {
            0 => {}
            1 => $function::<1>($table, $text, $per_class, $words, $at),
            2 => $function::<2>($table, $text, $per_class, $words, $at),
            3 => $function::<3>($table, $text, $per_class, $words, $at),
            4 => $function::<4>($table, $text, $per_class, $words, $at),
            5 => $function::<5>($table, $text, $per_class, $words, $at),
            6 => $function::<6>($table, $text, $per_class, $words, $at),
            7 => $function::<7>($table, $text, $per_class, $words, $at),
            _ => $function::<TOGETHER>($table, $text, $per_class, $words, $at),
        }
    };
}

/// The `count` words of each class from word `at` on.
fn of_classes<const COUNT: usize>(
    words: &mut [u64],
    per_class: usize,
    at: usize,
    count: usize,
) -> [&mut [u64]; COUNT] {
    let mut all = words.chunks_exact_mut(per_class);
    std::array::from_fn(|_| {
        let words = all.next().unwrap_or_default();
        words.get_mut(at..at + count).unwrap_or_default()
    })
}

#[target_feature(enable = "avx2")]
pub(super) fn grams_avx2(grams: &Grams, text: &[u8], words: &mut [u64]) {
    let tables: [[__m256i; 2]; GRAM] =
        std::array::from_fn(|place| grams.halves[place].each_ref().map(|half| twice(half)));
    for (number, word) in words.iter_mut().enumerate() {
        let text = &text[64 * number..][..64 + GRAM - 1];
        let (mut first, mut second) = (
            [_mm256_setzero_si256(); GRAM],
            [_mm256_setzero_si256(); GRAM],
        );
        let mut all = _mm256_setzero_si256();
        for place in 0..GRAM {
            if let (Some(low), Some(high)) = (
                text[place..].first_chunk(),
                text[32 + place..].first_chunk(),
            ) {
                (first[place], second[place]) = (load(low), load(high));
                all = _mm256_or_si256(all, _mm256_or_si256(first[place], second[place]));
            }
        }
        *word = match _mm256_movemask_epi8(all) {
            0 => word_of(
                grams_of::<true>(&tables, &first),
                grams_of::<true>(&tables, &second),
            ),
            _ => word_of(
                grams_of::<false>(&tables, &first),
                grams_of::<false>(&tables, &second),
            ),
        };
    }
}

/// A bit for each of 32 places, set if one of the grams may begin there; of each the bytes from it on. Of bytes that
/// are `ASCII` alone a shuffle takes the lower halves as they are.
#[inline]
#[target_feature(enable = "avx2")]
fn grams_of<const ASCII: bool>(tables: &[[__m256i; 2]; GRAM], bytes: &[__m256i; GRAM]) -> u32 {
    let nibble = _mm256_set1_epi8(15);
    let mut sets = _mm256_set1_epi8(-1);
    for ([below, above], bytes) in tables.iter().zip(bytes) {
        let lower = match ASCII {
            true => *bytes,
            false => _mm256_and_si256(*bytes, nibble),
        };
        let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(*bytes), nibble);
        let here = _mm256_and_si256(
            _mm256_shuffle_epi8(*below, lower),
            _mm256_shuffle_epi8(*above, upper),
        );
        sets = _mm256_and_si256(sets, here);
    }
    let none = _mm256_cmpeq_epi8(sets, _mm256_setzero_si256());
    !_mm256_movemask_epi8(none).cast_unsigned()
}

fn word_of(first: u32, second: u32) -> u64 {
    u64::from(first) | u64::from(second) << 32
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn grams_avx512(grams: &Grams, text: &[u8], words: &mut [u64]) {
    let tables: [[__m512i; 4]; GRAM] = std::array::from_fn(|place| {
        let quarters: &[[u8; 64]] = grams.bytes[place].as_chunks::<64>().0;
        std::array::from_fn(|quarter| load_all(&quarters[quarter]))
    });
    for (number, word) in words.iter_mut().enumerate() {
        let text = &text[64 * number..][..64 + GRAM - 1];
        let mut sets = _mm512_set1_epi8(-1);
        for (place, [a, b, c, d]) in tables.iter().enumerate() {
            let Some(bytes) = text[place..].first_chunk() else {
                continue;
            };
            let here = look_up([*a, *b, *c, *d], load_all(bytes));
            sets = _mm512_and_si512(sets, here);
        }
        *word = _mm512_test_epi8_mask(sets, sets);
    }
}

#[target_feature(enable = "avx2")]
pub(super) fn avx2(
    table: &ClassTable,
    text: &[u8],
    per_class: usize,
    words: &mut [u64],
    at: usize,
) {
    by_count!(classes_avx2, table, text, per_class, words, at);
}

#[target_feature(enable = "avx2")]
fn classes_avx2<const COUNT: usize>(
    table: &ClassTable,
    text: &[u8],
    per_class: usize,
    words: &mut [u64],
    at: usize,
) {
    let bits = _mm256_setr_epi8(
        1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128,
        1, 2, 4, 8, 16, 32, 64, -128,
    );
    let below: [__m256i; COUNT] = std::array::from_fn(|class| twice(&table.halves[class][0]));
    let above: [__m256i; COUNT] = std::array::from_fn(|class| twice(&table.halves[class][1]));
    let blocks = text.as_chunks::<64>().0;
    let mut of_classes = of_classes::<COUNT>(words, per_class, at, blocks.len());
    for (number, block) in blocks.iter().enumerate() {
        _mm_prefetch::<_MM_HINT_T1>(block.as_ptr().wrapping_add(AHEAD).cast());
        let bytes = block.as_chunks::<32>().0;
        let bytes = [load(&bytes[0]), load(&bytes[1])];
        let wanted = [upper_bit(bits, bytes[0]), upper_bit(bits, bytes[1])];
        // Most text is ASCII alone, whose bytes a shuffle takes by their lower halves as they are.
        if _mm256_movemask_epi8(_mm256_or_si256(bytes[0], bytes[1])) == 0 {
            for (words, below) in of_classes.iter_mut().zip(below) {
                if let Some(word) = words.get_mut(number) {
                    *word = word_of(
                        has(_mm256_shuffle_epi8(below, bytes[0]), wanted[0]),
                        has(_mm256_shuffle_epi8(below, bytes[1]), wanted[1]),
                    );
                }
            }
            continue;
        }
        let tables = below.iter().zip(&above);
        for (words, (below, above)) in of_classes.iter_mut().zip(tables) {
            if let Some(word) = words.get_mut(number) {
                *word = word_of(
                    has(upper_bits([*below, *above], bytes[0]), wanted[0]),
                    has(upper_bits([*below, *above], bytes[1]), wanted[1]),
                );
            }
        }
    }
}

/// Of each byte the bit of its upper half.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_bit(bits: __m256i, bytes: __m256i) -> __m256i {
    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), _mm256_set1_epi8(15));
    _mm256_shuffle_epi8(bits, upper)
}

/// Of each byte a bit for each upper half with which a class has its lower half.
#[inline]
#[target_feature(enable = "avx2")]
fn upper_bits([below, above]: [__m256i; 2], bytes: __m256i) -> __m256i {
    let lower = _mm256_and_si256(bytes, _mm256_set1_epi8(15));
    _mm256_blendv_epi8(
        _mm256_shuffle_epi8(below, lower),
        _mm256_shuffle_epi8(above, lower),
        bytes,
    )
}

/// A bit for each byte, set if `sets` has what is `wanted` there.
#[inline]
#[target_feature(enable = "avx2")]
fn has(sets: __m256i, wanted: __m256i) -> u32 {
    let has = _mm256_cmpeq_epi8(_mm256_and_si256(sets, wanted), wanted);
    _mm256_movemask_epi8(has).cast_unsigned()
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn avx512(
    table: &ClassTable,
    text: &[u8],
    per_class: usize,
    words: &mut [u64],
    at: usize,
) {
    by_count!(classes_avx512, table, text, per_class, words, at);
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn classes_avx512<const COUNT: usize>(
    table: &ClassTable,
    text: &[u8],
    per_class: usize,
    words: &mut [u64],
    at: usize,
) {
    let quarters: &[[u8; 64]] = table.bytes.as_chunks::<64>().0;
    let quarters: [__m512i; 4] = std::array::from_fn(|quarter| load_all(&quarters[quarter]));
    let bits: [__m512i; COUNT] = std::array::from_fn(|class| _mm512_set1_epi8(1 << class));
    let blocks = text.as_chunks::<64>().0;
    let mut of_classes = of_classes::<COUNT>(words, per_class, at, blocks.len());
    for (number, block) in blocks.iter().enumerate() {
        _mm_prefetch::<_MM_HINT_T1>(block.as_ptr().wrapping_add(AHEAD).cast());
        let found = look_up(quarters, load_all(block));
        for (words, bit) in of_classes.iter_mut().zip(bits) {
            if let Some(word) = words.get_mut(number) {
                *word = _mm512_test_epi8_mask(found, bit);
            }
        }
    }
}
