//! What a regex is compiled into, when it is first needed: of many regexes few are.

use super::backtrack::Backtracker;
use super::head::Head;
use super::meaning::{Meaning, Unread};
use super::open::Open;
use super::size::Size;
use regex_automata::hybrid::dfa::{self, DFA};
use regex_automata::meta;
use regex_automata::nfa::thompson::{self, WhichCaptures, NFA};
use regex_syntax::hir::Hir;
use std::sync::OnceLock;

/// Bytes that the automaton that tries a regex may take in each thread, once it is needed. Regexes that count have many
/// states, and making them again costs more than the memory.
const CACHE: usize = 8 << 20;

/// A regex, and what of it was compiled.
#[derive(Debug)]
pub(super) struct Compiled {
    /// What it means, once that is known. `None` within if it means nothing.
    meaning: OnceLock<Option<Meaning>>,
    /// What that is read from.
    unread: Option<Unread>,
    size: Size,
    /// The most bytes that an automaton may take.
    limit: usize,
    regex: OnceLock<Option<meta::Regex>>,
    tries: OnceLock<Option<Box<DFA>>>,
    rest: OnceLock<Option<Box<DFA>>>,
    open: OnceLock<Option<Box<Open>>>,
    forward: OnceLock<Option<NFA>>,
    whole_at: OnceLock<Option<Box<Backtracker>>>,
    rest_at: OnceLock<Option<Box<Backtracker>>>,
}

/// Why a regex could not be compiled.
#[derive(Debug)]
pub(super) enum CompileError {
    Regex(Box<meta::BuildError>),
    Open(String),
    /// It is no regex, or larger than it was said to be.
    Meaning,
}

impl Compiled {
    /// Compiles nothing yet. No automaton may take more than `limit` bytes. What matches it in few steps takes at most
    /// `steps`, if that alone is needed.
    pub fn new(meaning: Meaning, steps: Option<usize>, limit: usize) -> Self {
        let size = Size {
            steps,
            ..Size::of(&meaning.hir)
        };
        Self {
            meaning: OnceLock::from(Some(meaning)),
            ..Self::unknown(None, size, limit)
        }
    }

    /// The same for a regex of a stored set, of which it is not known yet what it means.
    pub fn unread(unread: Unread, limit: usize) -> Self {
        let size = unread.size;
        Self::unknown(Some(unread), size, limit)
    }

    fn unknown(unread: Option<Unread>, size: Size, limit: usize) -> Self {
        Self {
            meaning: OnceLock::new(),
            unread,
            size,
            limit,
            regex: OnceLock::new(),
            tries: OnceLock::new(),
            rest: OnceLock::new(),
            open: OnceLock::new(),
            forward: OnceLock::new(),
            whole_at: OnceLock::new(),
            rest_at: OnceLock::new(),
        }
    }

    /// Bytes that its automatons take at most.
    pub fn size(&self) -> Size {
        self.size
    }

    /// What it means, if it means something.
    fn meaning(&self) -> Option<&Meaning> {
        let read = || self.unread.as_ref()?.read();
        self.meaning.get_or_init(read).as_ref()
    }

    fn hir(&self) -> Option<&Hir> {
        self.meaning().map(|meaning| &meaning.hir)
    }

    /// What a match goes on with from a literal on, if that is known.
    fn rest_hir(&self) -> Option<&Hir> {
        self.meaning()?.rest.as_ref()
    }

    /// The characters before a literal, if it begins with some.
    pub fn head(&self) -> Option<&Head> {
        self.meaning()?.head.as_ref()
    }

    /// Compiles it now, with what tells where matches are open, and what tries the regex, if these are needed.
    ///
    /// # Errors
    /// If it takes too much memory.
    pub fn now(&self, may_be_open: bool, is_tried: bool) -> Result<(), CompileError> {
        let hir = self.hir().ok_or(CompileError::Meaning)?;
        if self.regex.get().is_none() {
            let regex = regex(hir, Some(self.limit));
            let regex = regex.map_err(CompileError::Regex)?;
            self.regex.get_or_init(|| Some(regex));
        }
        if may_be_open && self.open.get().is_none() {
            let open = Open::new(hir, self.limit).map_err(CompileError::Open)?;
            self.open.get_or_init(|| Some(Box::new(open)));
        }
        self.rest();
        if is_tried {
            self.tries();
        }
        Ok(())
    }

    /// The regex. Where [`now`](Self::now) was not called it is one that is small enough to be compiled at any time.
    pub fn regex(&self) -> Option<&meta::Regex> {
        let regex = || regex(self.hir()?, None).ok();
        self.regex.get_or_init(regex).as_ref()
    }

    /// What tells where matches may begin that need more bytes. `None` if that cannot be told.
    pub fn open(&self) -> Option<&Open> {
        let open = || Open::new(self.hir()?, self.limit).ok().map(Box::new);
        self.open.get_or_init(open).as_deref()
    }

    /// The automaton that reads forward, for searches that are followed byte by byte. They share it. `None` if it is larger
    /// than automatons may be.
    pub fn forward(&self) -> Option<&NFA> {
        let forward = || forward(self.hir()?, self.limit);
        self.forward.get_or_init(forward).as_ref()
    }

    /// What tells whether a match can go on from a literal, if something does.
    pub fn rest(&self) -> Option<&DFA> {
        let rest = || dfa(self.rest_hir()?, self.limit);
        self.rest.get_or_init(rest).as_deref()
    }

    /// What tries the regex at a place, if something does.
    pub fn tries(&self) -> Option<&DFA> {
        let tries = || dfa(self.hir()?, self.limit);
        self.tries.get_or_init(tries).as_deref()
    }

    /// What matches the regex at a place in few steps, if something does.
    pub fn whole_at(&self) -> Option<&Backtracker> {
        let whole = || Backtracker::new(self.hir()?, false).map(Box::new);
        self.whole_at.get_or_init(whole).as_deref()
    }

    /// The same for what a match goes on with from a literal on.
    pub fn rest_at(&self) -> Option<&Backtracker> {
        let rest = || Backtracker::new(self.rest_hir()?, false).map(Box::new);
        self.rest_at.get_or_init(rest).as_deref()
    }

    /// Bytes of memory that what was compiled so far takes.
    pub fn memory(&self) -> usize {
        let dfas = [self.tries.get(), self.rest.get()].into_iter();
        let dfas = dfas.flatten().flatten();
        let regex = self.regex.get().and_then(Option::as_ref);
        let open = self.open.get().and_then(Option::as_ref);
        let forward = self.forward.get().and_then(Option::as_ref);
        let backtrackers = [self.whole_at.get(), self.rest_at.get()].into_iter();
        let backtrackers = backtrackers.flatten().flatten();
        backtrackers.map(|one| one.memory()).sum::<usize>()
            + dfas.map(|dfa| dfa.memory_usage()).sum::<usize>()
            + regex.map_or(0, meta::Regex::memory_usage)
            + open.map_or(0, |open| open.memory_usage())
            + forward.map_or(0, NFA::memory_usage)
    }
}

fn regex(hir: &Hir, limit: Option<usize>) -> Result<meta::Regex, Box<meta::BuildError>> {
    let config = meta::Config::new()
        .utf8_empty(false)
        // A match has a start and an end only with the implicit group.
        .which_captures(WhichCaptures::Implicit)
        // It is for groups, and may take a MiB.
        .onepass(false)
        .nfa_size_limit(limit);
    let regex = meta::Builder::new().configure(config).build_from_hir(hir);
    regex.map_err(Box::new)
}

fn forward(hir: &Hir, limit: usize) -> Option<NFA> {
    let config = thompson::Config::new()
        .utf8(false)
        .which_captures(WhichCaptures::None)
        .nfa_size_limit(Some(limit));
    let mut compiler = thompson::Compiler::new();
    compiler.configure(config).build_from_hir(hir).ok()
}

/// The DFA that tries a regex at a place, if there is one.
fn dfa(hir: &Hir, limit: usize) -> Option<Box<DFA>> {
    let nfa = forward(hir, limit)?;
    let dfa = dfa::Builder::new()
        .configure(
            dfa::Config::new()
                .unicode_word_boundary(true)
                .cache_capacity(CACHE),
        )
        .build_from_nfa(nfa);
    dfa.ok().map(Box::new)
}
