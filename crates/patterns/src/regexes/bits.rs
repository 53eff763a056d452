//! Which bytes of a text belong to which classes: a bit for each byte and class.
//!
//! Classes are looked up together, eight at a time: a table gives for each byte a bit for each class. With AVX-512 64
//! bytes are looked up by two instructions; with AVX2 a class is two tables of 16 bytes, asked by halves of the bytes;
//! elsewhere bytes are looked up one by one.

/// A set of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub(super) struct ByteSet([u64; 4]);

impl ByteSet {
    /// All bytes.
    pub fn all() -> Self {
        Self([u64::MAX; 4])
    }

    pub fn add(&mut self, byte: u8) {
        self.0[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }

    pub fn add_range(&mut self, first: u8, last: u8) {
        (first..=last).for_each(|byte| self.add(byte));
    }

    pub fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte >> 6)] >> (byte & 63) & 1 > 0
    }

    pub fn union(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub fn is_within(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .all(|(one, other)| one & !other == 0)
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(one, other)| one & other > 0)
    }

    /// How often one of the bytes stands at a place of source text, about.
    pub fn rate(&self) -> f64 {
        let mut rate = 0.0;
        for (number, word) in (0_u8..).zip(self.0) {
            let mut word = word;
            while word != 0 {
                rate += super::required::rate(&[64 * number + word.trailing_zeros() as u8], false);
                word &= word - 1;
            }
        }
        rate
    }
}

/// Classes that are looked up together.
const TOGETHER: usize = 8;

/// A vector unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Unit {
    /// Those that this processor has, the best one last.
    pub fn all() -> Vec<Self> {
        #[allow(unused_mut)] // Elsewhere there are no others.
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx2") {
                all.push(Self::Avx2);
            }
            if std::arch::is_x86_feature_detected!("avx512f")
                && std::arch::is_x86_feature_detected!("avx512bw")
                && std::arch::is_x86_feature_detected!("avx512vl")
                && std::arch::is_x86_feature_detected!("avx512vbmi")
            {
                all.push(Self::Avx512);
            }
        }
        all
    }
}

/// Eight classes or fewer.
#[derive(Debug, Clone)]
struct Table {
    /// For each byte a bit for each class.
    bytes: Box<[u8; 256]>,
    /// For each class, by the lower half of a byte: a bit for each upper half, those below 8 and the others.
    halves: [[[u8; 16]; 2]; TOGETHER],
    count: usize,
}

/// Classes, prepared for being looked up.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    tables: Vec<Table>,
    len: usize,
    unit: Unit,
}

impl Classes {
    pub fn new(sets: &[ByteSet], unit: Unit) -> Self {
        let table = |sets: &[ByteSet]| {
            let mut bytes = Box::new([0; 256]);
            let mut halves = [[[0; 16]; 2]; TOGETHER];
            for byte in 0..=u8::MAX {
                let (lower, upper) = (usize::from(byte & 15), usize::from(byte >> 4));
                for (class, _) in sets.iter().enumerate().filter(|(_, set)| set.has(byte)) {
                    bytes[usize::from(byte)] |= 1 << class;
                    halves[class][upper / 8][lower] |= 1 << (upper % 8);
                }
            }
            Table {
                bytes,
                halves,
                count: sets.len(),
            }
        };
        Self {
            tables: sets.chunks(TOGETHER).map(table).collect(),
            len: sets.len(),
            unit,
        }
    }

    /// The number of classes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// The vector unit that they use.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// Bytes of memory that they take.
    pub fn memory(&self) -> usize {
        self.tables.len() * (256 + size_of::<Table>())
    }

    /// Fills `words` with `per_class` words for each class, one class behind the other. Of the second word of a class, and
    /// the following ones, bit `i` of word `j` tells of the byte `from + 64 (j - 1) + i` of `text`; the first tells of the
    /// 64 bytes before `from`, or of none if `from` is less. Bytes that `text` has not are in no class.
    pub fn fill(&self, text: &[u8], from: usize, per_class: usize, words: &mut [u64]) {
        let skipped = usize::from(from < 64);
        let text = &text[if skipped > 0 { from } else { from - 64 }..];
        let count = per_class - skipped;
        let blocks = count.min(text.len() / 64);
        let (whole, rest) = text[..text.len().min(64 * count)].split_at(64 * blocks);
        for (number, table) in self.tables.iter().enumerate() {
            let first = number * TOGETHER * per_class;
            let words = &mut words[first..first + table.count * per_class];
            self.blocks(table, whole, per_class, words, skipped);
            let behind = skipped + blocks;
            for words in words.chunks_exact_mut(per_class) {
                words[..skipped].fill(0);
                words[behind..].fill(0);
            }
            if !rest.is_empty() {
                let mut padded = [0; 64];
                padded[..rest.len()].copy_from_slice(rest);
                self.blocks(table, &padded, per_class, words, behind);
                for words in words.chunks_exact_mut(per_class) {
                    words[behind] &= (1 << rest.len()) - 1;
                }
            }
        }
    }

    fn blocks(&self, table: &Table, text: &[u8], per_class: usize, words: &mut [u64], at: usize) {
        match self.unit {
            Unit::Portable => portable(table, text, per_class, words, at),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Unit::all` names this unit only where the processor has it.
            Unit::Avx2 => unsafe { x86::avx2(table, text, per_class, words, at) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Unit::Avx512 => unsafe { x86::avx512(table, text, per_class, words, at) },
        }
    }
}

/// Positions of a text that are looked at for each byte of a gram, eight grams or sets of them at once.
pub(super) const GRAM: usize = 4;

/// For each place in a gram, which of eight sets of grams have a byte there.
#[derive(Debug, Clone)]
pub(super) struct Grams {
    /// A bit for each set.
    bytes: Box<[[u8; 256]; GRAM]>,
    /// The same, by the lower and the upper half of a byte: a set may have bytes that no gram of it has.
    halves: [[[u8; 16]; 2]; GRAM],
}

impl Grams {
    /// Prepares grams, each with the number of its set, below 8. Of some only the first bytes are known.
    pub fn new<'a>(grams: impl Iterator<Item = (&'a [ByteSet], usize)>) -> Self {
        let mut bytes = Box::new([[0; 256]; GRAM]);
        let mut halves = [[[0; 16]; 2]; GRAM];
        for (gram, set) in grams {
            for place in 0..GRAM {
                for byte in 0..=u8::MAX {
                    if gram.get(place).is_none_or(|set| set.has(byte)) {
                        bytes[place][usize::from(byte)] |= 1 << set;
                        halves[place][0][usize::from(byte & 15)] |= 1 << set;
                        halves[place][1][usize::from(byte >> 4)] |= 1 << set;
                    }
                }
            }
        }
        Self { bytes, halves }
    }

    /// The sets of which a gram begins with `text`. Behind its end zeros follow.
    pub fn sets_at(&self, text: &[u8]) -> u8 {
        let byte = |place: usize| usize::from(text.get(place).copied().unwrap_or(0));
        (0..GRAM).fold(u8::MAX, |sets, place| sets & self.bytes[place][byte(place)])
    }

    /// Fills `words` with a bit for each byte of `text`, set if a gram may begin there. `text` goes on for `GRAM - 1` bytes
    /// behind those.
    pub fn fill(&self, unit: Unit, text: &[u8], words: &mut [u64]) {
        let whole = words.len().min((text.len() + 1).saturating_sub(GRAM) / 64);
        let (words, rest) = words.split_at_mut(whole);
        self.blocks(unit, text, words);
        for (number, word) in rest.iter_mut().enumerate() {
            let mut padded = [0; 64 + GRAM - 1];
            let left = text.get(64 * (whole + number)..).unwrap_or_default();
            let left = &left[..left.len().min(padded.len())];
            padded[..left.len()].copy_from_slice(left);
            self.blocks(unit, &padded, std::slice::from_mut(word));
        }
    }

    fn blocks(&self, unit: Unit, text: &[u8], words: &mut [u64]) {
        match unit {
            Unit::Portable => {
                for (number, word) in words.iter_mut().enumerate() {
                    let sets = |at: usize| self.sets_at(&text[64 * number + at..]);
                    *word = (0..64).fold(0, |word, at| word | u64::from(sets(at) != 0) << at);
                }
            }
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `Unit::all` names this unit only where the processor has it.
            Unit::Avx2 => unsafe { x86::grams_avx2(self, text, words) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Unit::Avx512 => unsafe { x86::grams_avx512(self, text, words) },
        }
    }
}

/// Leaves of the bits of `words` those behind which the one `by` places on is set, too: 1 to 63. Behind the last word
/// none is.
pub(super) fn shrink(unit: Unit, words: &mut [u64], by: usize) {
    match unit {
        Unit::Portable => shrink_words(words, by),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Unit::all` names this unit only where the processor has it.
        Unit::Avx2 => unsafe { x86::shrink_avx2(words, by) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Unit::Avx512 => unsafe { x86::shrink_avx512(words, by) },
    }
}

/// The furthest that a byte before a run may be.
pub(super) const MOST_REACH: usize = 16;

/// Leaves of the bits of `words` those before which one of `leads` lies, 1 to `reach` places away, with nothing but bits of
/// `between` between them, and perhaps some of which it lies a little further. Both of these have one word more, the first, which lies before the others.
pub(super) fn keep_led(unit: Unit, words: &mut [u64], leads: (&[u64], &[u64]), reach: usize) {
    match unit {
        Unit::Portable => keep_led_words(words, leads, reach),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `Unit::all` names this unit only where the processor has it.
        Unit::Avx2 => unsafe { x86::keep_led_avx2(words, leads, reach) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Unit::Avx512 => unsafe { x86::keep_led_avx512(words, leads, reach) },
    }
}

/// A reach that is a little longer does no harm: then more is looked at in vain.
#[inline(always)]
fn keep_led_words(words: &mut [u64], leads: (&[u64], &[u64]), reach: usize) {
    match reach {
        ..=1 => keep_led_within::<1>(words, leads),
        2..=4 => keep_led_within::<4>(words, leads),
        5..=8 => keep_led_within::<8>(words, leads),
        _ => keep_led_within::<MOST_REACH>(words, leads),
    }
}

#[inline(always)]
fn keep_led_within<const REACH: usize>(words: &mut [u64], (leads, between): (&[u64], &[u64])) {
    let pairs = leads.windows(2).zip(between.windows(2));
    for (word, (lead, between)) in words.iter_mut().zip(pairs) {
        // What comes from before the first of two words would have to come too far.
        let (mut low, mut high) = (lead[0] << 1, lead[1] << 1 | lead[0] >> 63);
        for _ in 1..REACH {
            let (next_low, next_high) = (low & between[0], high & between[1]);
            low |= next_low << 1;
            high |= next_high << 1 | next_low >> 63;
        }
        *word &= high;
    }
}

#[inline(always)]
fn shrink_words(words: &mut [u64], by: usize) {
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

/// Looks up blocks of 64 bytes, one byte after the other. Their words begin with word `at` of each class.
fn portable(table: &Table, text: &[u8], per_class: usize, words: &mut [u64], at: usize) {
    for (number, block) in text.chunks_exact(64).enumerate() {
        let mut found = [0_u64; TOGETHER];
        for (eighth, bytes) in block.chunks_exact(8).enumerate() {
            let looked_up: [u8; 8] =
                std::array::from_fn(|byte| table.bytes[usize::from(bytes[byte])]);
            // Eight bytes of eight bits, transposed: byte `k` holds the bits of class `k`.
            let mut x = u64::from_le_bytes(looked_up);
            for (shift, mask) in [
                (7, 0x00AA_00AA_00AA_00AA),
                (14, 0x0000_CCCC_0000_CCCC),
                (28, 0x0000_0000_F0F0_F0F0),
            ] {
                let moved = (x ^ (x >> shift)) & mask;
                x ^= moved ^ (moved << shift);
            }
            for (class, byte) in x.to_le_bytes().into_iter().enumerate() {
                found[class] |= u64::from(byte) << (8 * eighth);
            }
        }
        for (class, word) in found.into_iter().take(table.count).enumerate() {
            words[class * per_class + at + number] = word;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{keep_led_words, shrink_words, Grams, Table, GRAM, TOGETHER};
    use std::arch::x86_64::{
        __m256i, __m512i, _mm256_and_si256, _mm256_blendv_epi8, _mm256_broadcastsi128_si256,
        _mm256_cmpeq_epi8, _mm256_loadu_si256, _mm256_movemask_epi8, _mm256_set1_epi8,
        _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
        _mm512_and_si512, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_movepi8_mask,
        _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_test_epi8_mask, _mm_loadu_si128,
    };

    #[target_feature(enable = "avx2")]
    pub(super) fn shrink_avx2(words: &mut [u64], by: usize) {
        shrink_words(words, by);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn shrink_avx512(words: &mut [u64], by: usize) {
        shrink_words(words, by);
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn keep_led_avx2(words: &mut [u64], leads: (&[u64], &[u64]), reach: usize) {
        keep_led_words(words, leads, reach);
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn keep_led_avx512(words: &mut [u64], leads: (&[u64], &[u64]), reach: usize) {
        keep_led_words(words, leads, reach);
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

    #[target_feature(enable = "avx2")]
    pub(super) fn grams_avx2(grams: &Grams, text: &[u8], words: &mut [u64]) {
        let nibble = _mm256_set1_epi8(15);
        let tables: [[__m256i; 2]; GRAM] =
            std::array::from_fn(|place| grams.halves[place].each_ref().map(|half| twice(half)));
        for (number, word) in words.iter_mut().enumerate() {
            let mut found = [0_u32; 2];
            for (half, found) in found.iter_mut().enumerate() {
                let text = &text[64 * number + 32 * half..][..32 + GRAM - 1];
                let mut sets = _mm256_set1_epi8(-1);
                for (place, [below, above]) in tables.iter().enumerate() {
                    let Some(bytes) = text[place..].first_chunk() else {
                        continue;
                    };
                    let bytes = load(bytes);
                    let lower = _mm256_and_si256(bytes, nibble);
                    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
                    let here = _mm256_and_si256(
                        _mm256_shuffle_epi8(*below, lower),
                        _mm256_shuffle_epi8(*above, upper),
                    );
                    sets = _mm256_and_si256(sets, here);
                }
                let none = _mm256_cmpeq_epi8(sets, _mm256_setzero_si256());
                *found = !_mm256_movemask_epi8(none).cast_unsigned();
            }
            *word = u64::from(found[0]) | u64::from(found[1]) << 32;
        }
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
                let bytes = load_all(bytes);
                let below = _mm512_permutex2var_epi8(*a, bytes, *b);
                let above = _mm512_permutex2var_epi8(*c, bytes, *d);
                let here = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), below, above);
                sets = _mm512_and_si512(sets, here);
            }
            *word = _mm512_test_epi8_mask(sets, sets);
        }
    }

    #[target_feature(enable = "avx2")]
    pub(super) fn avx2(table: &Table, text: &[u8], per_class: usize, words: &mut [u64], at: usize) {
        let nibble = _mm256_set1_epi8(15);
        let bits = _mm256_setr_epi8(
            1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64,
            -128, 1, 2, 4, 8, 16, 32, 64, -128,
        );
        for (class, halves) in table.halves.iter().take(table.count).enumerate() {
            let (below, above) = (twice(&halves[0]), twice(&halves[1]));
            let words = &mut words[class * per_class + at..];
            for (word, block) in words.iter_mut().zip(text.as_chunks::<64>().0) {
                let mut found = [0_u32; 2];
                for (found, bytes) in found.iter_mut().zip(block.as_chunks::<32>().0) {
                    let bytes = load(bytes);
                    let lower = _mm256_and_si256(bytes, nibble);
                    let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
                    let set = _mm256_blendv_epi8(
                        _mm256_shuffle_epi8(below, lower),
                        _mm256_shuffle_epi8(above, lower),
                        bytes,
                    );
                    let set = _mm256_and_si256(set, _mm256_shuffle_epi8(bits, upper));
                    let none = _mm256_cmpeq_epi8(set, _mm256_setzero_si256());
                    *found = !_mm256_movemask_epi8(none).cast_unsigned();
                }
                *word = u64::from(found[0]) | u64::from(found[1]) << 32;
            }
        }
    }

    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vbmi")]
    pub(super) fn avx512(
        table: &Table,
        text: &[u8],
        per_class: usize,
        words: &mut [u64],
        at: usize,
    ) {
        let quarters: &[[u8; 64]] = table.bytes.as_chunks::<64>().0;
        let [a, b, c, d] = std::array::from_fn(|quarter| load_all(&quarters[quarter]));
        let bits: [__m512i; TOGETHER] = std::array::from_fn(|class| _mm512_set1_epi8(1 << class));
        for (number, block) in text.as_chunks::<64>().0.iter().enumerate() {
            let bytes = load_all(block);
            let below = _mm512_permutex2var_epi8(a, bytes, b);
            let above = _mm512_permutex2var_epi8(c, bytes, d);
            let found = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), below, above);
            for (class, bit) in bits.iter().enumerate().take(table.count) {
                words[class * per_class + at + number] = _mm512_test_epi8_mask(found, *bit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_units_tell_the_same() {
        let mut random = fastrand::Rng::with_seed(gristmill_testing::seed("GRISTMILL_BITS_SEED"));
        for _ in 0..200 {
            let sets: Vec<ByteSet> = (0..random.usize(1..20))
                .map(|_| {
                    let mut set = ByteSet::default();
                    (0..random.usize(..300)).for_each(|_| set.add(random.u8(..)));
                    set
                })
                .collect();
            let text: Vec<u8> = (0..random.usize(..700)).map(|_| random.u8(..)).collect();
            let per_class = random.usize(1..12);
            let from = random.usize(..=text.len());
            for unit in Unit::all() {
                let classes = Classes::new(&sets, unit);
                let mut words = vec![u64::MAX; sets.len() * per_class];
                classes.fill(&text, from, per_class, &mut words);
                for (class, set) in sets.iter().enumerate() {
                    for at in 0..64 * per_class {
                        let word = words[class * per_class + at / 64];
                        let place = (from + at)
                            .checked_sub(64)
                            .filter(|_| from >= 64 || at >= 64);
                        let byte = place.and_then(|place| text.get(place));
                        let expected = byte.is_some_and(|byte| set.has(*byte));
                        assert_eq!(word >> (at % 64) & 1 > 0, expected, "{unit:?} {class} {at}");
                    }
                }
            }
        }
    }
}
