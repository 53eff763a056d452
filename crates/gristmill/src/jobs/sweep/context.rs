//! The bytes around matches.
//!
//! Matches come in the order of rows, mostly while their chunk is at hand, and wait until the bytes behind them are, too.

use super::order::Match;
use super::tail::Tail;
use std::borrow::Cow;
use std::collections::VecDeque;

/// The most bytes before a match, and behind it.
pub(super) const MAX_CONTEXT: u64 = 4096;

/// A file's last bytes, and the matches that wait for those behind them.
#[derive(Debug)]
pub(super) struct Context {
    /// How many bytes are shown on each side.
    most: u64,
    tail: Tail,
    waiting: VecDeque<Match>,
}

/// The bytes before a match, those of it, and those behind it; none where the file's bytes end within the match.
pub(super) type Bytes<'a> = Option<[Cow<'a, [u8]>; 3]>;

impl Context {
    /// With this many bytes on each side.
    pub fn new(most: u64) -> Self {
        Self {
            most,
            tail: Tail::default(),
            waiting: VecDeque::new(),
        }
    }

    /// The first bytes will be those at `offset` of the file.
    pub fn begin_at(&mut self, offset: u64) {
        self.tail = Tail::at(offset);
    }

    /// Whether a match waits for the bytes behind it.
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Takes a match that is known since the last chunk.
    pub fn push(&mut self, hit: Match) {
        self.waiting.push_back(hit);
    }

    /// Takes the bytes that follow, once the matches that they make known were pushed, and calls `each` with those that
    /// need no others, in their order. Later matches begin at `needed` or behind it.
    pub fn chunk(&mut self, bytes: &[u8], needed: u64, each: impl FnMut(Match, Bytes<'_>)) {
        self.give(bytes, false, each);
        let starts = self.waiting.iter().map(|hit| hit.start);
        let end = self.tail.text(bytes).end();
        let needed = starts.fold(needed.min(end), u64::min);
        self.tail.advance(bytes, needed.saturating_sub(self.most));
    }

    /// The file has ended: calls `each` with the matches that are left.
    pub fn end(&mut self, each: impl FnMut(Match, Bytes<'_>)) {
        self.give(&[], true, each);
    }

    fn give(&mut self, bytes: &[u8], ended: bool, mut each: impl FnMut(Match, Bytes<'_>)) {
        let text = self.tail.text(bytes);
        while let Some(&hit) = self.waiting.front() {
            if !ended && hit.end + self.most > text.end() {
                break;
            }
            self.waiting.pop_front();
            let (before, behind) = (hit.start.saturating_sub(self.most), hit.end + self.most);
            let ranges = [before..hit.start, hit.start..hit.end, hit.end..behind];
            // What a file that could not be read further does not hold is not shown.
            let there = hit.end <= text.end();
            each(hit, there.then(|| ranges.map(|range| text.get(range))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_around_matches_do_not_depend_on_how_a_file_is_cut() {
        let seed = gristmill_testing::seed("GRISTMILL_CONTEXT_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            let length = random.usize(..3000);
            let text: Vec<u8> = (0..length).map(|_| random.u8(..)).collect();
            let mut hits: Vec<Match> = (0..random.u32(..40))
                .map(|pattern| {
                    let start = random.usize(..=length);
                    let end = random.usize(start..=length.min(start + 50));
                    Match {
                        pattern,
                        start: start as u64,
                        end: end as u64,
                    }
                })
                .collect();
            hits.sort_by_key(|hit| (hit.end, hit.pattern));
            let most = *random.choice(&[0, 1, 30, 4000]).unwrap();
            let mut context = Context::new(most as u64);
            let mut found = Vec::new();
            let mut each = |hit: Match, around: Bytes<'_>| {
                let around = around.unwrap().map(Cow::into_owned);
                found.push((hit, around));
            };
            let (mut at, mut told) = (0, 0);
            let chunk = random.usize(1..1000);
            while at < length {
                let bytes = &text[at..length.min(at + random.usize(1..=chunk))];
                at += bytes.len();
                let known = (at as u64 + 20).saturating_sub(random.u64(..60));
                while told < hits.len() && hits[told].end < known {
                    context.push(hits[told]);
                    told += 1;
                }
                let needed = hits[told..].iter().map(|hit| hit.start).min();
                context.chunk(bytes, needed.unwrap_or(u64::MAX), &mut each);
            }
            hits[told..].iter().for_each(|hit| context.push(*hit));
            context.end(&mut each);
            assert_eq!(found.len(), hits.len());
            for ((one, around), hit) in found.iter().zip(&hits) {
                assert_eq!(one, hit);
                let (start, end) = (hit.start as usize, hit.end as usize);
                assert!(around[0] == text[start.saturating_sub(most)..start]);
                assert!(around[1] == text[start..end]);
                assert!(around[2] == text[end..length.min(end + most)]);
            }
        }
    }

    #[test]
    fn what_a_cut_file_does_not_hold_is_not_shown() {
        let mut context = Context::new(2);
        for end in [2, 9] {
            context.push(Match {
                pattern: 0,
                start: 1,
                end,
            });
        }
        let mut shown = Vec::new();
        context.chunk(b"abc", 0, |_, _| panic!("too early"));
        context.end(|hit, around| shown.push((hit.end, around.map(|around| around[2].to_vec()))));
        assert_eq!(shown, [(2, Some(b"c".to_vec())), (9, None)]);
    }
}
