//! Work on words of bits, bit `i` of word `j` telling of the byte `64 j + i` of a text. It is compiled for each vector
//! unit that helps.

/// Bytes of text that a word tells of.
pub(super) const WORD: usize = 64;

/// The furthest that a byte before a run may be.
pub(super) const MOST_REACH: usize = 16;

/// A reach that is a little longer does no harm: then more is looked at in vain.
#[inline(always)]
pub(super) fn keep_led(words: &[u64], leads: (&[u64], &[u64]), reach: usize, kept: &mut [u64]) {
    match reach {
        ..=1 => keep_led_within::<1>(words, leads, kept),
        2..=4 => keep_led_within::<4>(words, leads, kept),
        5..=8 => keep_led_within::<8>(words, leads, kept),
        _ => keep_led_within::<MOST_REACH>(words, leads, kept),
    }
}

#[inline(always)]
fn keep_led_within<const REACH: usize>(
    words: &[u64],
    (leads, between): (&[u64], &[u64]),
    kept: &mut [u64],
) {
    let pairs = leads.windows(2).zip(between.windows(2));
    let words = words.iter().zip(kept);
    for ((word, kept), (lead, between)) in words.zip(pairs) {
        // What comes from before the first of two words would have to come too far.
        let (mut low, mut high) = (lead[0] << 1, lead[1] << 1 | lead[0] >> 63);
        for _ in 1..REACH {
            let (next_low, next_high) = (low & between[0], high & between[1]);
            low |= next_low << 1;
            high |= next_high << 1 | next_low >> 63;
        }
        *kept = *word & high;
    }
}

/// The first words, [`shrink`]ed into `shrunk`.
#[inline(always)]
pub(super) fn shrunk(words: &[u64], by: usize, shrunk: &mut [u64]) {
    let (down, up) = (by as u32 & 63, (64 - by) as u32 & 63);
    for (pair, to) in words.windows(2).zip(&mut *shrunk) {
        *to = pair[0] & (pair[0] >> down | pair[1] << up);
    }
    if let (Some(last), Some(to)) = (words.last(), shrunk.get_mut(words.len() - 1)) {
        *to = *last & *last >> down;
    }
}

#[inline(always)]
pub(super) fn shrink(words: &mut [u64], by: usize) {
    let (down, up) = (by as u32 & 63, (64 - by) as u32 & 63);
    for at in 1..words.len() {
        let next = words[at];
        let word = &mut words[at - 1];
        *word &= *word >> down | next << up;
    }
    if let Some(last) = words.last_mut() {
        *last &= *last >> down;
    }
}

/// Fills `found` with a bit for each word, set if the word is not zero. Whether there are such words.
#[inline(always)]
pub(super) fn not_zero(words: &[u64], found: &mut [u64]) -> bool {
    let mut any = 0;
    for (words, found) in words.chunks(WORD).zip(found) {
        *found = words
            .iter()
            .enumerate()
            .fold(0, |all, (at, word)| all | u64::from(*word != 0) << at);
        any |= *found;
    }
    any != 0
}

/// The first bit from `at` on that is not set; none if all are.
pub(super) fn first_clear(words: &[u64], at: usize) -> Option<usize> {
    first(words, at, |word| !word)
}

/// The first bit from `at` on that is set, if one is.
pub(super) fn first_set(words: &[u64], at: usize) -> Option<usize> {
    first(words, at, |word| word)
}

fn first(words: &[u64], at: usize, of: impl Fn(u64) -> u64) -> Option<usize> {
    let mut word = at / WORD;
    let mut found = of(*words.get(word)?) & (u64::MAX << (at % WORD));
    while found == 0 {
        word += 1;
        found = of(*words.get(word)?);
    }
    Some(word * WORD + found.trailing_zeros() as usize)
}
