//! Patterns of similar length, found by a filter over sampled q-grams.
//!
//! Every pattern of a class has at least [`Shape::window`] bytes. One *window* of that many bytes is chosen in each, and
//! the filter holds all runs of [`Shape::gram`] bytes (q-grams) of the windows. The text is looked at at every
//! [`Shape::stride`]-th position only: wherever a window stands, exactly one of these positions is where one of its
//! q-grams begins. What passes the filter is a candidate, whose possible windows are looked up by a hash of their first
//! bytes, and then compared with the patterns.
//!
//! The method is that of L. Salmela, J. Tarhio, J. Kytöjoki, "Multipattern string matching with q-grams", 2006, with
//! a Bloom filter in place of a table, and with windows that are chosen (`rarity.rs`) instead of prefixes.

use super::filter::Filter;
use super::probe::{self, Grams, PROBES};
use super::rarity;
use super::store::Store;
use std::ops::Range;

/// Lengths in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub window: usize,
    pub gram: usize,
}

impl Shape {
    /// The distance of the positions that are looked at.
    pub fn stride(self) -> usize {
        self.window - self.gram + 1
    }
}

/// The most positions in a pattern at which its window may begin.
const PLACES: usize = 64;

/// A pattern by its window.
#[derive(Debug, Clone, Copy)]
struct Member {
    /// Bits of the hash of the window.
    print: u32,
    pattern: u32,
    /// Where the window begins in the pattern.
    at: u32,
}

#[derive(Debug)]
pub(super) struct Class {
    shape: Shape,
    fold: u64,
    grams: Filter,
    windows: Filter,
    bucket_shift: u32,
    /// Where each bucket's members begin; the last is where the last bucket's end.
    buckets: Vec<u32>,
    members: Vec<Member>,
    /// The largest `at`.
    furthest: usize,
}

/// Odd numbers whose products scatter: the golden ratio, and a prime of xxHash.
const GRAM: u64 = 0x9E37_79B9_7F4A_7C15;
const WINDOW: u64 = 0xC2B2_AE3D_27D4_EB4F;

/// The bits of the first `bytes` bytes of a little-endian word.
fn mask(bytes: usize) -> u64 {
    u64::MAX >> (64 - 8 * bytes.clamp(1, 8))
}

/// Eight bytes of `text` from `at` on, with zeros for those behind its end.
#[inline(always)]
pub(super) fn load(text: &[u8], at: usize) -> u64 {
    let here = text.get(at..).unwrap_or(&[]);
    match here.first_chunk() {
        Some(bytes) => u64::from_le_bytes(*bytes),
        None => {
            let mut bytes = [0; 8];
            bytes[..here.len()].copy_from_slice(here);
            u64::from_le_bytes(bytes)
        }
    }
}

impl Class {
    /// Prepares the patterns with these numbers, none shorter than a window. `fold` is what is set in every word before
    /// it is hashed, so that letters of either case are alike.
    pub fn new(store: &Store, numbers: &[u32], shape: Shape, fold: u64) -> Self {
        let (window_mask, gram_mask) = (mask(shape.window), mask(shape.gram));
        let window_hash = |pattern: &[u8], at: usize| {
            ((load(pattern, at) | fold) & window_mask).wrapping_mul(WINDOW)
        };
        let shared = Shared::count(store, numbers, shape, window_hash);
        let places = numbers
            .iter()
            .map(|number| {
                let pattern = store.pattern(*number);
                let at = shared.best(pattern, shape, window_hash);
                (window_hash(pattern, at), *number, at)
            })
            .collect::<Vec<_>>();
        let mut grams = Filter::new(Filter::words_for(numbers.len() * shape.stride()));
        let mut windows = Filter::new(Filter::words_for(numbers.len()));
        let bucket_bits = (2 * numbers.len())
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let bucket_shift = 64 - bucket_bits;
        let mut buckets = vec![0_u32; (1 << bucket_bits) + 1];
        for (hash, number, at) in &places {
            windows.insert(*hash);
            buckets[(hash >> bucket_shift) as usize + 1] += 1;
            let pattern = store.pattern(*number);
            for gram in *at..at + shape.stride() {
                let word = (load(pattern, gram) | fold) & gram_mask;
                grams.insert(word.wrapping_mul(GRAM));
            }
        }
        let mut sum = 0;
        for bucket in &mut buckets {
            sum += *bucket;
            *bucket = sum;
        }
        let mut next = buckets.clone();
        let empty = Member {
            print: 0,
            pattern: 0,
            at: 0,
        };
        let mut members = vec![empty; places.len()];
        for (hash, pattern, at) in &places {
            let slot = &mut next[(hash >> bucket_shift) as usize];
            members[*slot as usize] = Member {
                print: *hash as u32,
                pattern: *pattern,
                at: *at as u32,
            };
            *slot += 1;
        }
        Self {
            shape,
            fold,
            grams,
            windows,
            bucket_shift,
            buckets,
            members,
            furthest: places.iter().map(|(.., at)| *at).max().unwrap_or(0),
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn bytes(&self) -> usize {
        self.grams.bytes()
            + self.windows.bytes()
            + size_of_val(&self.buckets[..])
            + size_of_val(&self.members[..])
    }

    /// Calls `found` with start and number of every occurrence that begins in `starts`.
    pub fn find(
        &self,
        store: &Store,
        text: &[u8],
        starts: &Range<usize>,
        found: &mut impl FnMut(usize, u32),
    ) {
        let stride = self.shape.stride();
        let Some(last_gram) = text.len().checked_sub(self.shape.gram) else {
            return;
        };
        // Positions that may be in the window of an occurrence that begins in `starts`.
        let until = (starts.end + self.furthest + stride - 1).min(last_gram + 1);
        let mut at = starts.start.next_multiple_of(stride);
        let grams = Grams {
            filter: self.grams.parts(),
            fold: self.fold,
            mask: mask(self.shape.gram),
            factor: GRAM,
        };
        let block = (PROBES - 1) * stride + 8;
        let mut padded = [0; (PROBES - 1) * MAX_STRIDE + 8];
        while at < until {
            let here = &text[at..];
            let (mut hits, probes) = if here.len() >= block {
                (probe::hits(&here[..block], stride, &grams), PROBES)
            } else {
                padded[..here.len()].copy_from_slice(here);
                padded[here.len()..].fill(0);
                (probe::hits(&padded[..block], stride, &grams), PROBES)
            };
            while hits != 0 {
                let position = at + hits.trailing_zeros() as usize * stride;
                hits &= hits - 1;
                if position < until {
                    self.candidate(store, text, starts, position, found);
                }
            }
            at += probes * stride;
        }
    }

    /// Looks for the windows that have a q-gram at `position`.
    #[inline]
    fn candidate(
        &self,
        store: &Store,
        text: &[u8],
        starts: &Range<usize>,
        position: usize,
        found: &mut impl FnMut(usize, u32),
    ) {
        let window_mask = mask(self.shape.window);
        let first = (position + 1).saturating_sub(self.shape.stride());
        for window in first..=position {
            let word = (load(text, window) | self.fold) & window_mask;
            let hash = word.wrapping_mul(WINDOW);
            if !self.windows.may_hold(hash) {
                continue;
            }
            let bucket = (hash >> self.bucket_shift) as usize;
            let range = self.buckets[bucket] as usize..self.buckets[bucket + 1] as usize;
            for member in &self.members[range] {
                if member.print != hash as u32 {
                    continue;
                }
                let Some(start) = window.checked_sub(member.at as usize) else {
                    continue;
                };
                if starts.contains(&start) && store.stands_at(text, start, member.pattern) {
                    found(start, member.pattern);
                }
            }
        }
    }
}

/// The largest distance of the positions that are looked at.
pub(super) const MAX_STRIDE: usize = 16;

/// How many patterns hold each possible window, by a hash: windows that many share make long lists.
struct Shared {
    counts: Vec<u32>,
    shift: u32,
}

impl Shared {
    fn count(
        store: &Store,
        numbers: &[u32],
        shape: Shape,
        hash: impl Fn(&[u8], usize) -> u64,
    ) -> Self {
        let bits = (4 * numbers.len())
            .next_power_of_two()
            .trailing_zeros()
            .max(1);
        let mut shared = Self {
            counts: vec![0; 1 << bits],
            shift: 64 - bits,
        };
        for number in numbers {
            let pattern = store.pattern(*number);
            for at in 0..(pattern.len() - shape.window + 1).min(PLACES) {
                let count = &mut shared.counts[(hash(pattern, at) >> shared.shift) as usize];
                *count = count.saturating_add(1);
            }
        }
        shared
    }

    /// The place of the window that is expected to cost least: the number of candidates times the number of patterns
    /// that each is compared with.
    fn best(&self, pattern: &[u8], shape: Shape, hash: impl Fn(&[u8], usize) -> u64) -> usize {
        let places = (pattern.len() - shape.window + 1).min(PLACES);
        if places == 1 {
            return 0;
        }
        let mut rates = [0.0; PLACES + MAX_STRIDE];
        let stride = shape.stride();
        for (at, rate) in rates[..places + stride - 1].iter_mut().enumerate() {
            *rate = (-rarity::bits(&pattern[at..at + shape.gram])).exp2();
        }
        let cost = |at: usize| {
            let rate: f32 = rates[at..at + stride].iter().sum();
            rate * self.counts[(hash(pattern, at) >> self.shift) as usize] as f32
        };
        let mut best = (0, cost(0));
        for at in 1..places {
            let cost = cost(at);
            if cost < best.1 {
                best = (at, cost);
            }
        }
        best.0
    }
}
