//! The vector units of x86-64: eight tables, looked up for 256 places of a text.

use super::tables::{Tables, BLOCK, PLACES, ROUND, ROUND_WORDS};
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_cmpeq_epi8,
    _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_testz_si256,
    _mm512_and_si512, _mm512_loadu_si512, _mm512_or_si512, _mm512_permutexvar_epi8,
    _mm512_set1_epi8, _mm512_srli_epi16, _mm512_ternarylogic_epi32, _mm512_test_epi8_mask,
    _mm_loadu_si128, _mm_prefetch, _MM_HINT_T0,
};

/// Bytes ahead of those that are looked at, which are fetched into the nearest cache.
const AHEAD: usize = 2048;

/// Fetches the bytes that will be looked at soon.
#[inline(always)]
fn fetch(block: &[u8; BLOCK]) {
    for line in 0..ROUND / 64 {
        // SAFETY: a prefetch has no effect but on caches, and never fails, whatever the address.
        unsafe {
            _mm_prefetch::<_MM_HINT_T0>(block.as_ptr().wrapping_add(AHEAD + 64 * line).cast())
        };
    }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_32(block: &[u8; BLOCK], at: usize) -> __m256i {
    let bytes: &[u8; 32] = block[at..].first_chunk().unwrap_or(&[0; 32]);
    // SAFETY: 32 bytes are there; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
#[inline]
fn load_64(block: &[u8; BLOCK], at: usize) -> __m512i {
    let bytes: &[u8; 64] = block[at..].first_chunk().unwrap_or(&[0; 64]);
    // SAFETY: 64 bytes are there; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Fills `words`, [`ROUND_WORDS`] of them for each [`ROUND`] bytes of `text`, behind which [`PLACES`]` - 1` more are.
#[target_feature(enable = "avx2")]
pub(super) fn avx2(tables: &Tables, text: &[u8], words: &mut [u64]) {
    match tables.first {
        1 => avx2_by::<1>(tables, text, words),
        2 => avx2_by::<2>(tables, text, words),
        3 => avx2_by::<3>(tables, text, words),
        _ => avx2_by::<4>(tables, text, words),
    }
}

#[target_feature(enable = "avx2")]
fn avx2_by<const FIRST: usize>(tables: &Tables, text: &[u8], words: &mut [u64]) {
    let halves: [[__m256i; 2]; PLACES] = std::array::from_fn(|place| {
        tables.halves[place].each_ref().map(|half| {
            // SAFETY: 16 bytes are there; the load asks for no alignment.
            _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(half.as_ptr().cast()) })
        })
    });
    let nibble = _mm256_set1_epi8(15);
    let sets = |place: usize, bytes: __m256i| {
        let lower = _mm256_and_si256(bytes, nibble);
        let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
        let [below, above] = halves[place];
        _mm256_and_si256(
            _mm256_shuffle_epi8(below, lower),
            _mm256_shuffle_epi8(above, upper),
        )
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
        for (number, word) in words.iter_mut().enumerate() {
            let looked_up = |from: usize| {
                let mut found = sets(0, load_32(block, from));
                for place in 1..FIRST {
                    found = _mm256_and_si256(found, sets(place, load_32(block, from + place)));
                }
                found
            };
            let mut found = [looked_up(64 * number), looked_up(64 * number + 32)];
            let any = _mm256_or_si256(found[0], found[1]);
            if _mm256_testz_si256(any, any) == 1 {
                *word = 0;
                continue;
            }
            for place in FIRST..PLACES {
                for (half, found) in found.iter_mut().enumerate() {
                    let bytes = load_32(block, 64 * number + 32 * half + place);
                    *found = _mm256_and_si256(*found, sets(place, bytes));
                }
            }
            let bits = found.map(|found| {
                let none = _mm256_cmpeq_epi8(found, _mm256_setzero_si256());
                !_mm256_movemask_epi8(none).cast_unsigned()
            });
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
