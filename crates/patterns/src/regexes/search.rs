//! The search for one regex of a set, at candidates or over the whole text.

use super::backtrack::{Backtracker, Told};
use super::progress::{GoesOn, Memory, Progress, Starts, VAIN};
use super::rule::{Rule, Way};
use super::walk::{begins, try_at};
use super::Part;
use regex_automata::hybrid::dfa::DFA;
use regex_automata::Input;

/// The steps that are tried at a place before an automaton is asked.
const STEPS: usize = 2048;

/// More steps than a regex takes that is told in few.
const ANY_STEPS: usize = 1 << 20;

/// The most places one behind the other at which steps are tried.
const STEPPED: usize = 64;

/// Of what was spent on a place, the part that no match from there to `end` has brought.
fn in_vain(cost: usize, start: usize, end: Option<usize>) -> usize {
    cost - end.map_or(0, |end| end - start).min(cost)
}

/// Tries all places in `from..=last`. Of a place `at` tells where its match ends, if it has one, or that this cannot be
/// told; and what it took. False where something else has to go on from `progress.at`.
fn each_place(
    progress: &mut Progress,
    (from, last): (usize, usize),
    found: &mut impl FnMut(usize, usize),
    mut at: impl FnMut(usize) -> (Option<Option<usize>>, usize),
) -> bool {
    progress.at = from;
    while progress.at <= last {
        let start = progress.at;
        if progress.vain > VAIN.saturating_add(start) {
            return false;
        }
        let (told, cost) = at(start);
        let end = told.flatten();
        progress.vain += in_vain(cost, start, end);
        if told.is_none() {
            return false;
        }
        if let Some(end) = end {
            found(start, end);
        }
        progress.at = end.unwrap_or(start).max(start + 1);
    }
    true
}

/// The first match that begins in `from..=last` and ends at `until` or before, of a regex that is told in few steps.
fn by_steps(
    whole: &Backtracker,
    text: &[u8],
    (from, last): (usize, usize),
    until: usize,
) -> Option<(usize, usize)> {
    (from..=last).find_map(|start| {
        let mut steps = ANY_STEPS;
        match whole.at(text, start, &mut steps) {
            Told::Match { end, .. } if end <= until => Some((start, end)),
            _ => None,
        }
    })
}

impl Rule {
    /// The first match that begins from `at` on and before `limit`.
    pub fn first(
        &self,
        memory: &mut Memory,
        text: &[u8],
        at: usize,
        limit: usize,
    ) -> Option<(usize, usize)> {
        if at >= limit {
            return None;
        }
        if let Some(whole) = self.in_steps() {
            let last = text.len().min(limit - 1);
            return by_steps(whole, text, (at, last), text.len());
        }
        let found = self.search(memory, text, at, text.len())?;
        (found.0 < limit).then_some(found)
    }

    /// Finds every match from the progress' place on, as a search for this regex alone does, as long as it is to `go_on`.
    pub fn whole(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        text: &[u8],
        go_on: impl Fn() -> bool,
        mut found: impl FnMut(usize, usize),
    ) {
        let mut before = None;
        while progress.at < progress.limit && go_on() {
            let Some((start, end)) = self.search(memory, text, progress.at, text.len()) else {
                return;
            };
            if start >= progress.limit {
                return;
            }
            // An empty match directly behind a match doesn't count.
            if start == end && before == Some(end) {
                progress.at = end + 1;
                continue;
            }
            found(start, end);
            before = Some(end);
            progress.at = end;
        }
    }

    /// Finds the matches whose literals lie at `places`, each the first and the last of some, in ascending order, which
    /// later calls go on with.
    pub fn at(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        part: &Part<'_>,
        places: impl Iterator<Item = (usize, usize)>,
        mut found: impl FnMut(usize, usize),
    ) {
        let Some(required) = self.required() else {
            return;
        };
        let text = part.text;
        let starts = places.filter_map(|(place, until)| {
            let last = until.checked_sub(required.nearest)?;
            let first = required.furthest.map_or(0, |far| place.saturating_sub(far));
            let single = place == until;
            Some(Starts {
                first,
                last,
                place,
                single,
            })
        });
        let mut starts = starts.peekable();
        let dfa = self.trying();
        while let Some(Starts {
            first,
            mut last,
            place,
            single,
        }) = starts.next()
        {
            let mut from = first.max(progress.at);
            if progress.done || from >= progress.limit {
                return;
            }
            if from > last {
                continue;
            }
            let GoesOn::Perhaps(end) = self.goes_on(memory, progress, part, place) else {
                continue;
            };
            if self.settles_late(progress, part) {
                // Where it is not settled yet, the literal of each match is in the text: what begins before has none.
                progress.at = from;
                let last = last.min(progress.limit - 1);
                if self.decided(memory, progress, part, (from, last), &mut found) {
                    continue;
                }
                from = progress.at;
            }
            self.settle(memory, progress, part);
            let limit = progress.limit;
            if from >= limit {
                return;
            }
            if matches!(self.way, Way::Window(..) | Way::Tries(_)) {
                // Where there is a head, there need be nothing before the literal, which lies at `last`.
                let place = (last, end);
                if single
                    && self
                        .headed(memory, progress, text, place, &mut found)
                        .is_some()
                {
                    continue;
                }
                last = last.min(limit - 1);
                if !progress.search && self.stepped(progress, text, (from, last), &mut found) {
                    continue;
                }
                from = from.max(progress.at);
            }
            match (&self.way, dfa) {
                (Way::Window(_, longest), _) => {
                    // Windows that overlap are searched as one, so that no byte is read more than about twice.
                    while let Some(next) =
                        starts.next_if(|next| next.first <= last.saturating_add(*longest))
                    {
                        last = last.max(next.last);
                    }
                    last = last.min(limit - 1);
                    self.window(memory, progress, text, (from, last, *longest), &mut found);
                }
                (Way::Tries(_), Some(dfa)) if !progress.search => {
                    if !self.tries(dfa, memory, progress, text, (from, last), &mut found) {
                        progress.search = true;
                        self.next(memory, progress, text, last, &mut found);
                    }
                }
                _ => {
                    progress.at = from;
                    self.next(memory, progress, text, last, &mut found);
                }
            }
        }
    }

    /// Whether a match may go on from a literal at `place`.
    fn goes_on(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        part: &Part<'_>,
        place: usize,
    ) -> GoesOn {
        if progress.vain_rest > VAIN.saturating_add(place) {
            return GoesOn::Perhaps(None);
        }
        if let Some(rest) = self.compiled.rest_at() {
            let mut left = STEPS;
            let told = rest.at(part.text, place, &mut left);
            progress.vain_rest += STEPS - left;
            match told {
                // At the end of what is there nothing is decided.
                Told::Match { at_end: true, .. } | Told::Nothing { at_end: true } if !part.ends => {
                    return GoesOn::Perhaps(None);
                }
                Told::Match { end, .. } => {
                    progress.vain_rest -= (STEPS - left).min(end - place);
                    return GoesOn::Perhaps(Some(end));
                }
                Told::Nothing { .. } => return GoesOn::No,
                Told::Unknown => {}
            }
        }
        let Some(rest) = self.compiled.rest() else {
            return GoesOn::Perhaps(None);
        };
        let cache = memory.rest.get_or_insert_with(|| rest.create_cache());
        match begins(rest, cache, part.text, place) {
            Some((yes, read)) => {
                progress.vain_rest += read;
                match yes || (!part.ends && place + read == part.text.len()) {
                    true => GoesOn::Perhaps(None),
                    false => GoesOn::No,
                }
            }
            // It cannot be told.
            None => GoesOn::Perhaps(None),
        }
    }

    /// Finds the match of which the literal at `place` is part, if the regex begins with characters of a class. `None` where
    /// this cannot be told so. Beside the place, where the match ends, if that is known.
    fn headed(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        text: &[u8],
        (place, end): (usize, Option<usize>),
        found: &mut impl FnMut(usize, usize),
    ) -> Option<()> {
        let head = self.compiled.head()?;
        let end = match end {
            Some(end) => end,
            None => {
                let rest = self.compiled.rest()?;
                if progress.vain > VAIN.saturating_add(place) {
                    return None;
                }
                let cache = memory.rest.get_or_insert_with(|| rest.create_cache());
                let (end, read) = try_at(rest, cache, text, place)?;
                progress.vain += in_vain(read, place, end);
                let Some(end) = end else {
                    return Some(());
                };
                end
            }
        };
        let start = head.reach(text, progress.at, place);
        if start < progress.limit {
            found(start, end);
            progress.at = end;
        }
        Some(())
    }

    /// Tries all places in `from..=last` by backtracking; false where something else has to go on from `progress.at`.
    fn stepped(
        &self,
        progress: &mut Progress,
        text: &[u8],
        (from, last): (usize, usize),
        found: &mut impl FnMut(usize, usize),
    ) -> bool {
        if last - from >= STEPPED {
            return false;
        }
        let Some(whole) = self.compiled.whole_at() else {
            return false;
        };
        each_place(progress, (from, last), found, |start| {
            let mut left = STEPS;
            // What begins before the limit does not depend on bytes that are not there.
            let end = match whole.at(text, start, &mut left) {
                Told::Match { end, .. } => Some(Some(end)),
                Told::Nothing { .. } => Some(None),
                Told::Unknown => None,
            };
            (end, STEPS - left)
        })
    }

    /// Tries all places in `from..=last`, as far as what is there decides. False where something else has to go on from
    /// `progress.at`. To know which matches are certain may take more: it reads all that follows a place from which a match may
    /// go on.
    fn decided(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        part: &Part<'_>,
        (from, last): (usize, usize),
        found: &mut impl FnMut(usize, usize),
    ) -> bool {
        let Some(dfa) = self.trying().filter(|_| !progress.search) else {
            return false;
        };
        let cache = memory.tries.get_or_insert_with(|| dfa.create_cache());
        each_place(progress, (from, last), found, |start| {
            match try_at(dfa, cache, part.text, start) {
                Some((end, read)) if read < part.text.len() - start => (Some(end), read),
                Some((_, read)) => (None, read),
                None => (None, 0),
            }
        })
    }

    /// Finds the matches that begin in `from..=last` and have at most `longest` bytes.
    fn window(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        text: &[u8],
        (from, last, longest): (usize, usize, usize),
        found: &mut impl FnMut(usize, usize),
    ) {
        progress.at = from;
        let until = last.saturating_add(longest).min(text.len());
        while progress.at <= last {
            match self.search(memory, text, progress.at, until) {
                // One that begins later may be cut off by the window's end; its own literal leads to it.
                Some((start, end)) if start <= last => {
                    found(start, end);
                    progress.at = end;
                }
                _ => progress.at = last + 1,
            }
        }
    }

    /// Tries all places in `from..=last`; false where a search should take over from `progress.at`.
    fn tries(
        &self,
        dfa: &DFA,
        memory: &mut Memory,
        progress: &mut Progress,
        text: &[u8],
        (from, last): (usize, usize),
        found: &mut impl FnMut(usize, usize),
    ) -> bool {
        let cache = memory.tries.get_or_insert_with(|| dfa.create_cache());
        each_place(progress, (from, last), found, |start| {
            match try_at(dfa, cache, text, start) {
                Some((end, read)) => (Some(end), read),
                None => (None, 0),
            }
        })
    }

    /// Finds the matches from `progress.at` on, up to the first that ends behind `last`.
    fn next(
        &self,
        memory: &mut Memory,
        progress: &mut Progress,
        text: &[u8],
        last: usize,
        found: &mut impl FnMut(usize, usize),
    ) {
        while progress.at <= last {
            match self.search(memory, text, progress.at, text.len()) {
                Some((start, end)) if start < progress.limit => {
                    found(start, end);
                    progress.at = end;
                }
                _ => {
                    progress.done = true;
                    return;
                }
            }
        }
    }

    /// The first match in `from..until`, with what surrounds that visible to look-arounds.
    fn search(
        &self,
        memory: &mut Memory,
        text: &[u8],
        from: usize,
        until: usize,
    ) -> Option<(usize, usize)> {
        if let Some(whole) = self.in_steps() {
            return by_steps(whole, text, (from, until), until);
        }
        let regex = self.compiled.regex()?;
        let cache = memory.regex.get_or_insert_with(|| regex.create_cache());
        let input = Input::new(text).range(from..until);
        let found = regex.search_with(cache, &input)?;
        Some((found.start(), found.end()))
    }
}
