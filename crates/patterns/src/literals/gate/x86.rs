//! The vector units of x86-64: eight tables, looked up for 256 places of a text.

use super::nibbles::{Lookup, Nibbles, Stage, STEP};
use super::tables::{Tables, BLOCK, PLACES, ROUND, ROUND_WORDS};
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_cmpeq_epi8, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_testz_si256, _mm512_and_si512,
    _mm512_loadu_si512, _mm512_or_si512, _mm512_permutexvar_epi8, _mm512_set1_epi8,
    _mm512_srli_epi16, _mm512_ternarylogic_epi32, _mm512_test_epi8_mask, _mm_prefetch, _MM_HINT_T0,
};

/// Bytes ahead of those that are looked at, which are fetched into the nearest cache.
const AHEAD: usize = 2048;

/// Fetches the bytes that will be looked at soon.
#[inline(always)]
fn fetch<const BYTES: usize>(block: &[u8; BYTES]) {
    for line in 0..BYTES / 64 {
        // SAFETY: a prefetch has no effect but on caches, and never fails, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(AHEAD + 64 * line).cast())
        };
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
#[inline]
fn load_64(block: &[u8; BLOCK], at: usize) -> __m512i {
    let bytes: &[u8; 64] = block[at..].first_chunk().unwrap_or(&[0; 64]);
    // SAFETY: 64 bytes are there; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Vectors of text for which tables are looked up together.
const VECTORS: usize = STEP / 32;

/// What is left of so much text, and of what lies behind it, by a table.
#[target_feature(enable = "avx2")]
#[inline]
fn look_up(
    left: &mut [__m256i; VECTORS],
    text: &[u8; STEP + PLACES - 1],
    lookups: &[Lookup],
    half: impl Fn(__m256i) -> __m256i,
) {
    for lookup in lookups {
        let here: &[u8; STEP] = text[lookup.place..].first_chunk().unwrap_or(&[0; STEP]);
        // SAFETY: 32 bytes are there; the load asks for no alignment.
        let table = unsafe { _mm256_loadu_si256(lookup.table.0.as_ptr().cast()) };
        for (left, bytes) in left.iter_mut().zip(here.as_chunks::<32>().0) {
            // SAFETY: 32 bytes are there; the load asks for no alignment.
            let bytes = unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
            *left = _mm256_and_si256(*left, _mm256_shuffle_epi8(table, half(bytes)));
        }
    }
}

/// What the tables of a stage leave.
#[target_feature(enable = "avx2")]
#[inline]
fn look_up_stage(left: &mut [__m256i; VECTORS], text: &[u8; STEP + PLACES - 1], stage: &Stage) {
    let nibble = _mm256_set1_epi8(15);
    let lower = |bytes| _mm256_and_si256(bytes, nibble);
    let upper = |bytes| _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
    look_up(left, text, &stage.ascii, |bytes| bytes);
    look_up(left, text, &stage.lower, lower);
    look_up(left, text, &stage.upper, upper);
}

/// Fills `words`, [`ROUND_WORDS`] of them for each [`ROUND`] bytes of `text`, behind which [`PLACES`]` - 1` more are.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(nibbles: &Nibbles, text: &[u8], words: &mut [u64]) {
    words.fill(0);
    for (number, words) in words
        .as_chunks_mut::<{ STEP / 64 }>()
        .0
        .iter_mut()
        .enumerate()
    {
        let Some(block) = text.get(STEP * number..).and_then(<[u8]>::first_chunk) else {
            return;
        };
        fetch(block);
        let mut left = [_mm256_set1_epi8(-1); VECTORS];
        look_up_stage(&mut left, block, &nibbles.first);
        let any = left
            .into_iter()
            .reduce(|any, left| _mm256_or_si256(any, left));
        let any = any.unwrap_or(_mm256_setzero_si256());
        if _mm256_testz_si256(any, any) == 1 {
            continue;
        }
        look_up_stage(&mut left, block, &nibbles.rest);
        let bits = left.map(|left| {
            let none = _mm256_cmpeq_epi8(left, _mm256_setzero_si256());
            !_mm256_movemask_epi8(none).cast_unsigned()
        });
        for (word, bits) in words.iter_mut().zip(bits.as_chunks::<2>().0) {
            *word = u64::from(bits[0]) | u64::from(bits[1]) << 32;
        }
    }
}

/// Fills `words`, [`ROUND_WORDS`] of them for each [`ROUND`] bytes of `text`, behind which [`PLACES`]` - 1` more are.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
pub(super) fn avx512(tables: &Tables, text: &[u8], words: &mut [u64]) {
    match tables.first {
        1 => avx512_by::<1>(tables, text, words),
        2 => avx512_by::<2>(tables, text, words),
        3 => avx512_by::<3>(tables, text, words),
        _ => avx512_by::<4>(tables, text, words),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
fn avx512_by<const FIRST: usize>(tables: &Tables, text: &[u8], words: &mut [u64]) {
    let sixths: [__m512i; PLACES] = std::array::from_fn(|place| {
        // SAFETY: 64 bytes are there; the load asks for no alignment.
        unsafe { _mm512_loadu_si512(tables.sixths[place].as_ptr().cast()) }
    });
    let lowest = _mm512_set1_epi8(31);
    let sets = |place: usize, bytes: __m512i| {
        // Five bits of the byte, and as the sixth its seventh. The permutation reads no more than six.
        let halved = _mm512_srli_epi16::<1>(bytes);
        let index = _mm512_ternarylogic_epi32::<0b1100_1010>(lowest, bytes, halved);
        _mm512_permutexvar_epi8(index, sixths[place])
    };
    for (number, words) in words
        .as_chunks_mut::<ROUND_WORDS>()
        .0
        .iter_mut()
        .enumerate()
    {
        let Some(block) = text.get(ROUND * number..).and_then(<[u8]>::first_chunk) else {
            return;
        };
        fetch(block);
        let found: [__m512i; ROUND_WORDS] = std::array::from_fn(|number| {
            let mut found = sets(0, load_64(block, 64 * number));
            for place in 1..FIRST {
                found = _mm512_and_si512(found, sets(place, load_64(block, 64 * number + place)));
            }
            found
        });
        let any = _mm512_or_si512(
            _mm512_or_si512(found[0], found[1]),
            _mm512_or_si512(found[2], found[3]),
        );
        *words = [0; ROUND_WORDS];
        if _mm512_test_epi8_mask(any, any) == 0 {
            continue;
        }
        for (number, (word, mut found)) in words.iter_mut().zip(found).enumerate() {
            if _mm512_test_epi8_mask(found, found) == 0 {
                continue;
            }
            for place in FIRST..PLACES {
                found = _mm512_and_si512(found, sets(place, load_64(block, 64 * number + place)));
            }
            *word = _mm512_test_epi8_mask(found, found);
        }
    }
}
