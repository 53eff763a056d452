//! The search for one regex through a text of any length, of which only the last bytes are kept.
//!
//! The regex's automaton is followed in all states at once, as Pike's machine does: threads, each with its state and the
//! place where its match would begin, in the order in which the regex prefers them. So a match's start and end are known
//! when it ends, and the text is needed once. Three rules are added, so that the memory is bounded, and the time is in
//! proportion to the text:
//!
//! - A thread whose match would be longer than the search allows is only *watched*. The search goes on behind it as if it
//!   led to nothing: for most that is so, and then all matches are those of a search of the whole text. If it leads to a
//!   match, this is the match that is too long, and the search ends with its place.
//! - A match that is there, but would not be the one if a preferred thread matched, waits for these threads: until they end
//!   without a match, or have been watched for a while. Then the search goes on where it ends, which may lie some bytes
//!   back.
//! - The threads that it waited for stay beside the search that goes on there. A thread that comes into the state of one of
//!   them is left out: it would end where that one ends. So of threads that read the same bytes again each is in a state of
//!   its own, and no byte is read more often than the automaton has states.
//!
//! An automaton may have so many states that this is too often, as that of `(?s)x(?:(?:.{1000})*END)?` in a text of `x`. So
//! the steps are counted that are taken over bytes which were seen before, and the search ends where they are more than the
//! text that was seen allows. The first reading of a byte takes a step for each thread, of which an automaton may have a million:
//! what it takes beyond some thousands is counted, too.

mod threads;

use super::open::LOOK;
use super::RegexSet;
use regex_automata::nfa::thompson::NFA;
use threads::{Thread, Threads};

/// How many times as long as the longest match a match waits for threads that are preferred to it: `a.*b` often ends soon
/// behind the longest match, and then nothing that lies within its match has been told.
const PATIENCE: u64 = 2;

/// The steps over bytes that were seen before that a search may take for each byte of the text: about as many as a reading
/// with some hundred threads takes.
const STEPS: u64 = 1024;

/// The steps over a byte that is seen for the first time that are not counted: as many as thousands of threads take.
const STEPS_OF_NEW: u64 = 16 * STEPS;

/// Those that it may take beside them.
const FIRST_STEPS: u64 = 1 << 24;

/// The most that it may have left. They take some seconds.
const MOST_STEPS: u64 = 1 << 32;

/// The steps after which it is asked again whether the search goes on: some milliseconds.
const ASKED: u64 = 1 << 20;

/// A search for one regex of a [`RegexSet`] through a text of any length, made by [`RegexSet::stream`]. Places are those in
/// the text.
#[derive(Debug)]
pub struct StreamSearch {
    /// Bytes of the longest match that is told.
    most: u64,
    /// Where the threads are.
    at: u64,
    /// No match of which nothing is known yet begins before this.
    floor: u64,
    /// Where the last match ended.
    before: Option<u64>,
    threads: Threads,
    /// The match that is there, if none of the threads leads to one.
    found: Option<(u64, u64)>,
    /// The threads where it ended: those that are preferred to it.
    preferred: Vec<Thread>,
    /// Where a match begins that is too long; only what would begin before it is followed on.
    too_long: Option<u64>,
    /// All before this was seen.
    seen: u64,
    /// The steps that were known to be taken.
    steps: u64,
    /// The steps that it may still take, of those that are counted. With none it has ended.
    left: u64,
    /// The steps that were taken when it was asked last whether to go on.
    asked: u64,
}

/// How far a [`StreamSearch`] has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamState {
    /// It goes on with the bytes that follow.
    Open,
    /// All matches of the text are told.
    Ended,
    /// The match that begins here is longer than the search allows. All that begin before it are told; some that were told
    /// may lie within it.
    TooLong {
        /// Where it begins.
        from: u64,
    },
    /// The search took more steps than it may take for as long a text, and goes no further. All matches that begin before this
    /// are told, and perhaps some behind it.
    TooManySteps {
        /// The first place at which a match may begin that is not told.
        from: u64,
    },
}

impl RegexSet {
    /// A search for the matches of one pattern that begin from `at` on, in a text of any length. The last match before ended
    /// at `before`. Matches of more than `most` bytes end the search.
    ///
    /// `None` if the regex's automaton would be larger than the set's limit for one.
    ///
    /// # Panics
    /// If there is no such pattern.
    #[must_use]
    pub fn stream(
        &self,
        pattern: usize,
        at: u64,
        before: Option<u64>,
        most: u64,
    ) -> Option<StreamSearch> {
        let nfa = self.rules[pattern].compiled.forward()?;
        Some(StreamSearch::new(nfa.clone(), at, before, most))
    }
}

impl StreamSearch {
    fn new(nfa: NFA, at: u64, before: Option<u64>, most: u64) -> Self {
        Self {
            most,
            at,
            floor: at,
            before,
            threads: Threads::new(nfa),
            found: None,
            preferred: Vec::new(),
            too_long: None,
            seen: at,
            steps: 0,
            left: FIRST_STEPS,
            asked: 0,
        }
    }

    /// Goes on in a text of which `text`, from `offset` on, is there: at least all from 4 bytes before
    /// [`needed`](Self::needed) on, and more than there was before. The text ends with it if it `ends`. Calls `found` with
    /// start and end of each match, in ascending order.
    ///
    /// `go_on` is called every now and then; once it is false, the search stays open where it has come to, though there is more
    /// of the text, or it ends.
    ///
    /// # Panics
    /// If `text` begins behind what is needed.
    pub fn read(
        &mut self,
        text: &[u8],
        offset: u64,
        ends: bool,
        go_on: impl Fn() -> bool,
        mut found: impl FnMut(u64, u64),
    ) -> StreamState {
        // Look-arounds need the character behind a place.
        let until = match ends {
            true => text.len(),
            false => text.len().saturating_sub(LOOK),
        };
        loop {
            let index = self.at.checked_sub(offset);
            let index = index.expect("text from the search's place on");
            let index = usize::try_from(index).unwrap_or(usize::MAX);
            if index > until || (index == until && !ends) {
                return StreamState::Open;
            }
            if !self.may_go_on() {
                let from = self.watched(0).unwrap_or(u64::MAX).min(self.needed());
                return StreamState::TooManySteps { from };
            }
            if self.steps - self.asked >= ASKED {
                self.asked = self.steps;
                if !go_on() {
                    return StreamState::Open;
                }
            }
            if self.found.is_none() {
                let same = self.threads.same(&text[index..until]);
                if same > 0 {
                    self.at += same as u64;
                    continue;
                }
            }
            let is_new = self.found.is_none() && self.too_long.is_none();
            if is_new && self.at >= self.floor {
                self.threads.begin(self.at, text, index);
            }
            if let Some(start) = self.threads.matched() {
                self.matched(start);
            }
            let at_end = index == text.len();
            if let Some(one) = self.found.filter(|_| at_end || self.waits_no_more()) {
                self.take(one, &mut found);
                continue;
            }
            match self.too_long {
                Some(from) if at_end || self.threads.is_empty() => {
                    return StreamState::TooLong { from };
                }
                _ if at_end => return StreamState::Ended,
                _ => {}
            }
            let is_plain = self.found.is_none() && self.at >= self.floor;
            self.threads.step(text, index, is_plain);
            self.at += 1;
        }
    }

    /// Whether it may take more steps. Called wherever it has come to another place.
    fn may_go_on(&mut self) -> bool {
        let steps = self.threads.steps();
        let taken = steps - self.steps;
        self.steps = steps;
        let new = self.at.saturating_sub(self.seen);
        let more = self.left.saturating_add(new.saturating_mul(STEPS));
        let counted = taken.saturating_sub(new.saturating_mul(STEPS_OF_NEW));
        self.left = more.min(MOST_STEPS).saturating_sub(counted);
        self.seen = self.seen.max(self.at);
        self.left > 0
    }

    /// Whether what begins at `start` is longer than what is told, if it leads to a match.
    fn is_watched(&self, start: u64) -> bool {
        start < self.floor || self.at - start > self.most
    }

    /// Whether the match that is there waits for no thread any more. Threads begin in ascending order.
    fn waits_no_more(&self) -> bool {
        let patience = self.most.saturating_mul(PATIENCE);
        let last = self.threads.last();
        last.is_none_or(|last| last.start < self.floor || self.at - last.start > patience)
    }

    /// A thread that began at `start` has come to a match. Those to which it is preferred have ended.
    fn matched(&mut self, start: u64) {
        if self.is_watched(start) {
            self.found = None;
            self.too_long = Some(start);
            self.threads.keep_before(start);
        } else {
            self.found = Some((start, self.at));
            self.threads.copy_to(&mut self.preferred);
        }
    }

    /// Takes the match that is there, and goes on behind it.
    fn take(&mut self, (start, end): (u64, u64), found: &mut impl FnMut(u64, u64)) {
        // As in any search for all matches, an empty one directly behind another is none.
        if start < end || self.before != Some(end) {
            found(start, end);
        }
        self.before = Some(end);
        self.floor = end.max(start + 1);
        self.at = end;
        self.found = None;
        self.threads.restore(&self.preferred);
    }

    /// The first place from which on the text is needed, with 4 bytes before it, and at which a match may begin that is not
    /// told yet.
    #[must_use]
    pub fn needed(&self) -> u64 {
        if self.too_long.is_some() {
            return self.at;
        }
        let mut threads = self.threads.starts();
        let thread = threads.find(|start| !self.is_watched(*start));
        let found = self.found.map(|(start, _)| start);
        [thread, found]
            .into_iter()
            .flatten()
            .fold(self.at, u64::min)
    }

    /// The first place from `at` on and before [`needed`](Self::needed) at which a match may begin that is too long.
    #[must_use]
    pub fn watched(&self, at: u64) -> Option<u64> {
        let mut threads = self.threads.starts();
        let thread = threads.find(|start| *start >= at && self.is_watched(*start));
        let known = self.too_long.filter(|start| *start >= at);
        thread.into_iter().chain(known).min()
    }

    /// Where any other search may go on in the place of this one: from which place on matches are not known, and where the
    /// last match ended. `None` as long as a match may be too long, or may soon be.
    #[must_use]
    pub fn rest(&self) -> Option<(u64, Option<u64>)> {
        let needed = self.needed();
        let is_watching = self.too_long.is_some() || self.watched(0).is_some();
        let is_near = self.at - needed <= self.most / 2;
        (is_near && !is_watching).then_some((needed.max(self.floor), self.before))
    }
}
