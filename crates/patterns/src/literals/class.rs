//! Patterns of similar length, found by a filter over sampled q-grams.
//!
//! Every pattern of a class has at least [`Shape::window`] bytes. One *window* of that many bytes is chosen in each, and
//! the filter holds all runs of [`Shape::gram`] bytes (q-grams) of the windows. The text is looked at at every
//! [`Shape::stride`]-th position only: wherever a window stands, exactly one of these positions is where one of its
//! q-grams begins. What passes the filter is a candidate. Its possible windows pass a filter of their own, by a hash of
//! their first bytes; what is left is compared with the patterns (`members`). Each of these steps is done for many
//! candidates before the next, so that loads from memory do not wait for each other.
//!
//! The method is that of L. Salmela, J. Tarhio, J. Kytöjoki, "Multipattern string matching with q-grams", 2006, with
//! a Bloom filter in place of a table, and with windows that are chosen (`choice`) instead of prefixes.

use super::choice::Choice;
use super::filter::{Filter, Parts};
use super::gate::{Around, Gate};
use super::members::{Members, Window, MOST_WINDOWS};
use super::probe::{self, Grams, PROBES};
use super::store::Store;
use super::window::{load, mask, window_hash, Shape, MAX_STRIDE};
use crate::saved::{SetError, SetReader, SetWriter, Tag};
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Class {
    shape: Shape,
    fold: u64,
    grams: Filter,
    windows: Filter,
    members: Members,
    /// The furthest that a window begins in its pattern.
    furthest: usize,
    /// Where windows begin, seen from needles of the gate, if there is one.
    around: Option<Around>,
}

/// An odd number whose products scatter: the golden ratio.
const GRAM: u64 = 0x9E37_79B9_7F4A_7C15;

/// Windows that are looked up together, at least.
const BATCH: usize = MOST_WINDOWS - MAX_STRIDE;

/// Windows of a text that passed the filter: where they begin, and their hashes.
struct Batch {
    windows: [(usize, u64); MOST_WINDOWS],
    len: usize,
}

impl Class {
    /// Prepares the patterns with these numbers, none shorter than a window. `fold` is what is set in every word before
    /// it is hashed, so that letters of either case are alike.
    pub fn new(
        store: &Store<'_>,
        numbers: &[u32],
        (shape, fold): (Shape, u64),
        gate: Option<&Gate>,
    ) -> Self {
        let (window_mask, gram_mask) = (mask(shape.window), mask(shape.gram));
        let choice = Choice::new(store, numbers, shape, fold);
        let chosen = numbers
            .iter()
            .map(|number| {
                let pattern = store.pattern(*number);
                let at = choice.best(pattern);
                Window {
                    hash: window_hash((load(pattern, at) | fold) & window_mask),
                    pattern: *number,
                    at: at as u32,
                }
            })
            .collect::<Vec<_>>();
        drop(choice);
        let mut grams = Filter::new(Filter::words_for(numbers.len() * shape.stride()));
        let mut windows = Filter::new(Filter::words_for(numbers.len()));
        for window in &chosen {
            windows.insert(window.hash);
            let pattern = store.pattern(window.pattern);
            let at = window.at as usize;
            for gram in at..at + shape.stride() {
                let word = (load(pattern, gram) | fold) & gram_mask;
                grams.insert(word.wrapping_mul(GRAM));
            }
        }
        let around = gate.map(|gate| {
            let behind = chosen.iter().map(|window| {
                // Both are less than 48.
                window.at as i8 - gate.needle(store.pattern(window.pattern)) as i8
            });
            Around {
                least: behind.clone().min().unwrap_or(0),
                most: behind.max().unwrap_or(0),
            }
        });
        Self {
            shape,
            fold,
            grams,
            windows,
            around,
            furthest: chosen.iter().map(|window| window.at).max().unwrap_or(0) as usize,
            members: Members::new(store, &chosen, fold != 0),
        }
    }

    pub fn shape(&self) -> Shape {
        self.shape
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Where windows begin, seen from needles of the gate, if there is one.
    pub fn around(&self) -> Option<Around> {
        self.around
    }

    /// The patterns' numbers, in the order of the table.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.numbers()
    }

    /// Adds the class's tables to a set.
    pub fn save(&self, set: &mut SetWriter, number: u32) {
        let words = |filter: &Filter| bytemuck::cast_slice(filter.parts().words).to_vec();
        set.section(Tag::Grams, number, words(&self.grams));
        set.section(Tag::Windows, number, words(&self.windows));
        self.members.save(set, number);
    }

    /// Takes the tables of a class of `count` patterns from a set. `seen` says which patterns other classes have, and
    /// then these, too.
    ///
    /// # Errors
    /// What is wrong with a table.
    pub fn load(
        set: &mut SetReader,
        number: u32,
        (store, fold): (&Store<'_>, u64),
        (count, shape, around): (usize, Shape, Option<Around>),
        seen: &mut [u64],
    ) -> Result<Self, SetError> {
        let grams = set.take(Tag::Grams, number)?;
        let windows = set.take(Tag::Windows, number)?;
        let (lists, members) = (
            set.take(Tag::Lists, number)?,
            set.take(Tag::Members, number)?,
        );
        let kind = (fold != 0, shape.window);
        let (members, furthest) = Members::load(&lists, &members, store, count, kind, seen)?;
        Ok(Self {
            shape,
            fold,
            grams: Filter::load(&grams, Filter::words_for(count * shape.stride()))?,
            windows: Filter::load(&windows, Filter::words_for(count))?,
            members,
            furthest,
            around,
        })
    }

    pub fn bytes(&self) -> usize {
        self.grams.bytes() + self.windows.bytes() + self.members.bytes()
    }

    /// Calls `found` with start and number of every occurrence that begins in `starts`.
    pub fn find(
        &self,
        store: &Store<'_>,
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
        let mut batch = Batch {
            windows: [(0, 0); MOST_WINDOWS],
            len: 0,
        };
        let windows = self.windows.parts();
        let block = (PROBES - 1) * stride + 8;
        let mut padded = [0; (PROBES - 1) * MAX_STRIDE + 8];
        while at < until {
            let here = &text[at..];
            let mut hits = if here.len() >= block {
                probe::hits(&here[..block], stride, &grams)
            } else {
                padded[..here.len()].copy_from_slice(here);
                padded[here.len()..].fill(0);
                probe::hits(&padded[..block], stride, &grams)
            };
            let positions = (until - at).div_ceil(stride);
            if positions < PROBES {
                hits &= (1 << positions) - 1;
            }
            while hits != 0 {
                let position = at + hits.trailing_zeros() as usize * stride;
                hits &= hits - 1;
                self.candidate(windows, text, position, &mut batch);
                if batch.len >= BATCH {
                    self.compare(store, text, starts, &mut batch, found);
                }
            }
            at += PROBES * stride;
        }
        self.compare(store, text, starts, &mut batch, found);
    }

    /// The positions that are looked at around a needle, about.
    pub fn looks(&self) -> usize {
        let stride = self.shape.stride();
        let reach = |around: Around| (i32::from(around.most) - i32::from(around.least)) as usize;
        self.around.map_or(0, reach) / stride + 1
    }

    /// Calls `found` with start and number of every occurrence that begins in `starts` and has a needle where a bit of
    /// `needles` is set, the first of which stands for the first of `starts`.
    pub fn find_around(
        &self,
        store: &Store<'_>,
        text: &[u8],
        starts: &Range<usize>,
        needles: &[u64],
        found: &mut impl FnMut(usize, u32),
    ) {
        let (Some(around), Some(last_gram)) =
            (self.around, text.len().checked_sub(self.shape.gram))
        else {
            return;
        };
        let stride = self.shape.stride();
        let (windows, grams) = (self.windows.parts(), self.grams.parts());
        let gram_mask = mask(self.shape.gram);
        let mut batch = Batch {
            windows: [(0, 0); MOST_WINDOWS],
            len: 0,
        };
        // Each position is looked at once, although needles may be near each other.
        let mut next = 0;
        for (number, word) in needles.iter().enumerate() {
            let mut word = *word;
            while word != 0 {
                let needle = starts.start + 64 * number + word.trailing_zeros() as usize;
                word &= word - 1;
                let from = needle.saturating_add_signed(around.least.into());
                let last = needle.saturating_add_signed(around.most.into()) + stride - 1;
                let mut at = next.max(from.next_multiple_of(stride));
                while at <= last.min(last_gram) {
                    let gram = (load(text, at) | self.fold) & gram_mask;
                    if grams.may_hold(gram.wrapping_mul(GRAM)) {
                        self.candidate(windows, text, at, &mut batch);
                        if batch.len >= BATCH {
                            self.compare(store, text, starts, &mut batch, found);
                        }
                    }
                    at += stride;
                }
                next = next.max(at);
            }
        }
        self.compare(store, text, starts, &mut batch, found);
    }

    /// Takes the windows that have a q-gram at `position` and pass the filter.
    #[inline]
    fn candidate(&self, windows: Parts<'_>, text: &[u8], position: usize, batch: &mut Batch) {
        let window_mask = mask(self.shape.window);
        let first = (position + 1).saturating_sub(self.shape.stride());
        for window in first..=position {
            let hash = window_hash((load(text, window) | self.fold) & window_mask);
            batch.windows[batch.len] = (window, hash);
            batch.len += usize::from(windows.may_hold(hash));
        }
    }

    /// Compares the patterns of all windows of the batch, and empties it.
    fn compare(
        &self,
        store: &Store<'_>,
        text: &[u8],
        starts: &Range<usize>,
        batch: &mut Batch,
        found: &mut impl FnMut(usize, u32),
    ) {
        let taken = std::mem::take(&mut batch.len);
        let windows = &batch.windows[..taken];
        self.members.compare(store, text, starts, windows, found);
    }
}
