//! One regex of a set: which way its matches are found, and which of them are certain where a text goes on.

use super::backtrack::Backtracker;
use super::compiled::{CompileError, Compiled};
use super::endless::is_endless;
use super::marks::Mark;
use super::meaning::{Meaning, Unread};
use super::open::{Open, LOOK};
use super::progress::{Memory, Progress};
use super::required::{Derived, Required, LONGEST};
use super::Part;
use regex_automata::hybrid::dfa::DFA;
use regex_syntax::hir::Hir;

/// The longest match for which a search is confined to a window.
pub(super) const WINDOW: usize = 4096;

/// The most places before a literal at each of which the regex is tried.
const TRIES: usize = 32;

/// The same, where a match is known to go on from the literal.
const TRIES_BEFORE_REST: usize = 512;

/// Bytes that lie behind the matches' starts in a part of a text, at least, unless all rules are looked at.
pub(super) const SHORT_TAIL: usize = 2048;

/// How often in a part of a text what may be a match is tried before it is known which matches are certain.
const EARLY: u8 = 8;

/// Bytes that it takes long to read from the end of a text, to know that.
const LONG: usize = 1 << 14;

/// How the matches of a regex are found.
#[derive(Debug)]
pub(super) enum Way {
    /// By a search over the whole text.
    Whole,
    /// By a search in windows around its literals; no match is longer than this.
    Window(Required, usize),
    /// By trying it where a match with the literal would have to begin.
    Tries(Required),
    /// By a search of the text from where the first of its literals allows a match, if one occurs at all.
    Gate(Required),
}

/// How long matches of a regex are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    /// The longest match, in bytes, if there is a bound.
    pub longest: Option<usize>,
    /// Whether a match may go on over any bytes, however many.
    pub endless: bool,
}

impl Length {
    /// The longest match, if it is so short that a search can be confined to windows.
    pub fn window(self) -> Option<usize> {
        self.longest.filter(|longest| *longest <= WINDOW)
    }
}

/// One regex of a set.
#[derive(Debug)]
pub(super) struct Rule {
    pub way: Way,
    /// A mark near to the literal, or to the match's start if no literals are looked for: it is found first.
    pub mark: Option<Mark>,
    pub compiled: Compiled,
    pub length: Length,
}

impl Rule {
    /// Chooses the way for a regex. `alone` is where matches begin, told by a mark without a literal. No automaton of it may
    /// take more than `limit` bytes.
    pub fn new(
        hir: Hir,
        derived: Option<Derived>,
        (alone, mark): (Option<Required>, Option<Mark>),
        limit: usize,
    ) -> Self {
        let length = Length {
            longest: hir.properties().maximum_len(),
            endless: is_endless(&hir),
        };
        let required = derived.as_ref().map(|derived| derived.required.clone());
        let required = required.or(alone);
        let is_window = required.is_some() && length.window().is_some();
        let steps = is_window.then(|| Backtracker::of_sequence(&hir)).flatten();
        let meaning = Meaning::new(hir, derived, steps.is_some());
        let compiled = Compiled::new(meaning, steps, limit);
        Self::of(required, mark, length, compiled)
    }

    /// The same for a regex of a stored set, with what that says of it.
    pub fn stored(unread: Unread, mark: Option<Mark>, length: Length, limit: usize) -> Self {
        let required = unread.required.clone();
        Self::of(required, mark, length, Compiled::unread(unread, limit))
    }

    fn of(
        required: Option<Required>,
        mark: Option<Mark>,
        length: Length,
        compiled: Compiled,
    ) -> Self {
        let way = match (required, length.window()) {
            (None, _) => Way::Whole,
            (Some(required), Some(longest)) => Way::Window(required, longest),
            (Some(required), None) => {
                // From a literal on it is known how a match goes on.
                let most_tries = match required.literals.is_empty() {
                    false => TRIES_BEFORE_REST,
                    true => TRIES,
                };
                match required.furthest {
                    Some(furthest) if furthest - required.nearest < most_tries => {
                        Way::Tries(required)
                    }
                    _ => Way::Gate(required),
                }
            }
        };
        Self {
            way,
            mark,
            compiled,
            length,
        }
    }

    /// What matches the regex at a place, if it needs nothing else.
    pub fn in_steps(&self) -> Option<&Backtracker> {
        self.compiled.size().steps?;
        self.compiled.whole_at()
    }

    /// Bytes that one automaton takes at most, and all that the rule is compiled into.
    pub fn most_memory(&self) -> (usize, usize) {
        let size = self.compiled.size();
        match size.steps {
            Some(bytes) => (0, bytes.saturating_add(size_of::<Self>())),
            None => (size.automaton, size.all),
        }
    }

    /// Compiles all that may be needed.
    ///
    /// # Errors
    /// If it takes too much memory.
    pub fn compile(&self) -> Result<(), CompileError> {
        if self.in_steps().is_some() {
            return Ok(());
        }
        let is_tried = matches!(self.way, Way::Tries(_));
        self.compiled.now(self.may_be_open(), is_tried)
    }

    /// Whether matches may be so long that it has to be found out where those begin that need more bytes.
    fn may_be_open(&self) -> bool {
        self.length.window().is_none()
    }

    /// What tries the regex at a place, if that is its way, and if it can be.
    pub fn trying(&self) -> Option<&DFA> {
        match self.way {
            Way::Tries(_) => self.compiled.tries(),
            _ => None,
        }
    }

    /// Whether the rule has to be looked at in a part of a text though none of its literals occurs there.
    pub fn is_always(&self) -> bool {
        let Some(required) = self.required() else {
            return true;
        };
        let mark = self.mark.map_or(0, |mark| mark.reach());
        let far = required.furthest;
        let far = far.map(|far| far.saturating_add(LONGEST.max(mark)));
        far.is_none_or(|far| far > SHORT_TAIL)
    }

    /// What every match contains, if literals are looked for.
    pub fn required(&self) -> Option<&Required> {
        match &self.way {
            Way::Whole => None,
            Way::Window(required, _) | Way::Tries(required) | Way::Gate(required) => Some(required),
        }
    }

    /// Bytes of memory that the rule and what it was compiled into take, without what searches add.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>() + self.compiled.memory()
    }

    /// Finds out which of the matches that begin in a part of a text are certain.
    pub fn settle(&self, memory: &mut Memory, progress: &mut Progress, part: &Part<'_>) {
        if progress.settled {
            return;
        }
        progress.settled = true;
        if !self.all_certain(progress, part) {
            let certain = self.certain(memory, part.text, progress.at);
            progress.limit = progress.limit.min(certain);
        }
    }

    /// Whether it is easily told that all are certain.
    fn all_certain(&self, progress: &Progress, part: &Part<'_>) -> bool {
        // Most rules have no long matches.
        if part.ends || self.decided_before(part.text.len()) >= progress.limit {
            return true;
        }
        let cut_off = |open: &Open| open.is_cut_off(part.text, part.starts.end);
        self.may_be_open() && self.compiled.open().is_some_and(cut_off)
    }

    /// Whether it takes long to find that out, so that what may be a match is rather tried before, a few times.
    pub fn settles_late(&self, progress: &mut Progress, part: &Part<'_>) -> bool {
        if progress.settled || progress.early == EARLY || !self.length.endless {
            return false;
        }
        progress.early += 1;
        part.text.len() - progress.at > LONG && !self.all_certain(progress, part)
    }

    /// No match that begins before this place depends on bytes behind a text of this length, as matches are too short.
    fn decided_before(&self, length: usize) -> usize {
        self.length
            .longest
            .and_then(|longest| (length + 1).checked_sub(longest.saturating_add(LOOK)))
            .unwrap_or(0)
    }

    /// No match that begins from `at` on and before this place depends on bytes behind the text.
    pub fn certain(&self, memory: &mut Memory, text: &[u8], at: usize) -> usize {
        let certain = self.decided_before(text.len()).max(at);
        if !self.may_be_open() {
            return certain;
        }
        match self.compiled.open() {
            Some(open) => {
                let cache = memory.open.get_or_insert_with(|| open.cache());
                open.from(cache, text, certain.min(text.len()))
            }
            // It cannot be told.
            None => at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::parsed;
    use crate::regexes::required::derived;

    fn rule(pattern: &str) -> Rule {
        let hir = parsed(pattern);
        let derived = derived(&hir);
        Rule::new(hir, derived, (None, None), 10 << 20)
    }

    #[test]
    fn sequences_need_no_automaton_and_no_more_memory_than_is_told() {
        for (pattern, expected) in [
            ("evil.example.com", true),
            ("(?i)evil.example.com", true),
            (r"\b{start-half}evil.(example).com\b{end-half}", true),
            (r"(?m)^secret.[0-9a-f\u{E9}\u{101}-\u{120}]key$", true),
            ("secret(?s-u:.)[^a]key", true),
            ("evil.*com", false),
            ("evil(?:.com|.org)", false),
            ("a.b", false),
            (&format!("secret{}", "..".repeat(40)), false),
        ] {
            let rule = rule(pattern);
            assert_eq!(rule.in_steps().is_some(), expected, "{pattern}");
            rule.compile().unwrap();
            let (used, most) = (rule.memory_usage(), rule.most_memory().1);
            assert!(used <= most, "{pattern}: {used}, and not {most}");
        }
    }
}
