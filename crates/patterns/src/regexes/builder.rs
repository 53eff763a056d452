//! Builds sets of regexes.

use super::gates::{Gated, Gates};
use super::marks::{self, Mark};
use super::required::{self, Required};
use super::rule::Rule;
use super::scout::Scout;
use super::{sieve, Group, RegexSet, RegexSetError};
use crate::unit::Unit;
use crate::{Boundary, Literals};
use regex_syntax::hir::Hir;
use regex_syntax::ParserBuilder;

/// The most literals that are looked for only where marks allow them.
const MOST_GATED: usize = 4096;

/// Regexes of which an automaton may take more bytes are compiled when the set is built.
const COMPILED_NOW: usize = 64 << 20;

/// Builds a [`RegexSet`]. The options hold for all its patterns; `(?i)` and the like set them within a pattern.
#[derive(Debug, Clone)]
pub struct RegexSetBuilder {
    case_insensitive: bool,
    unicode: bool,
    multi_line: bool,
    crlf: bool,
    boundary: Option<Boundary>,
    size_limit: usize,
    total_size_limit: usize,
}

impl Default for RegexSetBuilder {
    fn default() -> Self {
        Self {
            case_insensitive: false,
            unicode: true,
            multi_line: false,
            crlf: false,
            boundary: None,
            size_limit: 10 << 20,
            total_size_limit: 1 << 30,
        }
    }
}

impl RegexSetBuilder {
    /// A builder for regexes as the `regex` crate takes them by default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether letters match in either case, as with `(?i)`. Default: no.
    pub fn case_insensitive(&mut self, yes: bool) -> &mut Self {
        self.case_insensitive = yes;
        self
    }

    /// Whether classes and `.` match characters of Unicode rather than bytes, as with `(?u)`. Default: yes.
    pub fn unicode(&mut self, yes: bool) -> &mut Self {
        self.unicode = yes;
        self
    }

    /// Whether `^` and `$` match at lines' ends too, as with `(?m)`. Default: no.
    pub fn multi_line(&mut self, yes: bool) -> &mut Self {
        self.multi_line = yes;
        self
    }

    /// Whether CR LF ends a line, too, as with `(?R)`. Default: no.
    pub fn crlf(&mut self, yes: bool) -> &mut Self {
        self.crlf = yes;
        self
    }

    /// What a match must lie between. Default: anything.
    pub fn boundary(&mut self, boundary: Option<Boundary>) -> &mut Self {
        self.boundary = boundary;
        self
    }

    /// The most bytes that one pattern's program may take. Default: 10 MiB, as in the `regex` crate.
    pub fn size_limit(&mut self, bytes: usize) -> &mut Self {
        self.size_limit = bytes;
        self
    }

    /// The most bytes that all patterns may take, without their literals and what searches add. Default: 1 GiB.
    pub fn total_size_limit(&mut self, bytes: usize) -> &mut Self {
        self.total_size_limit = bytes;
        self
    }

    /// Builds the set. Patterns are numbered from 0 in the order given.
    ///
    /// # Errors
    /// Names the pattern that is no regex, or with which a limit is exceeded.
    pub fn build<P: AsRef<str>>(&self, patterns: &[P]) -> Result<RegexSet, RegexSetError> {
        self.build_on(patterns, Unit::chosen())
    }

    /// Builds the set for a vector unit that the processor has.
    fn build_on<P: AsRef<str>>(
        &self,
        patterns: &[P],
        unit: Unit,
    ) -> Result<RegexSet, RegexSetError> {
        let mut set = RegexSet {
            rules: Vec::with_capacity(patterns.len()),
            always: Vec::new(),
            gates: None,
            scout: None,
            exact: Group::default(),
            folded: Group::default(),
        };
        let mut gated = 0;
        let mut most = 0_usize;
        for (number, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            let rule = self.rule(number, pattern, MOST_GATED - gated)?;
            most = most.saturating_add(rule.most_memory().1);
            let plain = rule.required().filter(|_| rule.mark.is_none());
            if let (Some(_), Some(required)) = (rule.mark, rule.required()) {
                gated += required.literals.len();
            }
            if let Some(required) = plain {
                let group = match required.fold {
                    true => &mut set.folded,
                    false => &mut set.exact,
                };
                for literal in &required.literals {
                    group.literals.push(literal.clone());
                    group.rules.push(number);
                }
            }
            if rule.is_always() {
                set.always.push(number);
            }
            set.rules.push(rule);
        }
        if most > self.total_size_limit {
            self.check_total(&set.rules, patterns)?;
        }
        let marked: Vec<Gated<'_>> = set
            .rules
            .iter()
            .enumerate()
            .filter_map(gated_rule)
            .collect();
        set.gates = Gates::new(&marked, unit);
        let last = patterns.last().map_or("", |pattern| pattern.as_ref());
        let of_groups = [(&set.exact, false), (&set.folded, true)].into_iter();
        let of_groups = of_groups.flat_map(|(group, fold)| {
            let literals = group.literals.iter().zip(&group.rules);
            literals.map(move |(literal, rule)| (&literal[..], fold, *rule))
        });
        set.scout = Scout::new(of_groups, unit);
        for (group, fold) in [(&mut set.exact, false), (&mut set.folded, true)] {
            if set.scout.is_some() {
                break;
            }
            group.longest = group.literals.iter().map(Vec::len).max().unwrap_or(0);
            if !group.literals.is_empty() {
                let set = Literals::build(&group.literals, fold)
                    .map_err(|_| RegexSetError::too_many(patterns.len() - 1, last))?;
                group.set = Some(set);
            }
            group.literals = Vec::new();
        }
        Ok(set)
    }

    fn rule(&self, number: usize, pattern: &str, gated: usize) -> Result<Rule, RegexSetError> {
        let hir: Hir = ParserBuilder::new()
            .case_insensitive(self.case_insensitive)
            .unicode(self.unicode)
            .multi_line(self.multi_line)
            .crlf(self.crlf)
            .utf8(false)
            .build()
            .parse(pattern)
            .map_err(|error| RegexSetError::syntax(number, pattern, &error))?;
        let hir = match self.boundary {
            Some(boundary) => {
                let [start, end] = boundary.looks(self.unicode, self.crlf);
                Hir::concat(vec![Hir::look(start), hir, Hir::look(end)])
            }
            None => hir,
        };
        let mut required = required::required(&hir);
        let mark = mark(&hir, &mut required, gated);
        let rule = Rule::new(hir, required, mark, self.size_limit);
        // What may be too large is compiled now, so that it is known; the others when they are first needed.
        if rule.most_memory().0 > self.size_limit.min(COMPILED_NOW) {
            let compiled = rule.compile();
            compiled.map_err(|error| RegexSetError::compile(number, pattern, error))?;
        }
        Ok(rule)
    }

    /// Compiles all rules, and refuses the first with which they take too much memory together.
    fn check_total<P: AsRef<str>>(
        &self,
        rules: &[Rule],
        patterns: &[P],
    ) -> Result<(), RegexSetError> {
        let mut size = 0_usize;
        for (number, (rule, pattern)) in rules.iter().zip(patterns).enumerate() {
            let (pattern, limit) = (pattern.as_ref(), self.total_size_limit);
            let compiled = rule.compile();
            compiled.map_err(|error| RegexSetError::compile(number, pattern, error))?;
            size = size.saturating_add(rule.memory_usage());
            if size > limit {
                return Err(RegexSetError::total_size(number, pattern, limit));
            }
        }
        Ok(())
    }
}

/// The mark by which a regex is found, if there is one and no more literals than `gated` would be looked for near it.
/// Without literals, the mark tells how far it is from a match's start.
fn mark(hir: &Hir, required: &mut Option<Required>, gated: usize) -> Option<Mark> {
    match required {
        Some(required) => {
            let rest = required.rest.as_ref();
            let mark = marks::of_literal(hir, rest, (required.nearest, required.furthest))?;
            let shortest = required.literals.iter().map(Vec::len).min();
            let wanted = required.literals.len() <= gated && shortest >= Some(sieve::SHORTEST);
            wanted.then_some(mark)
        }
        None => {
            let mark = marks::of_start(hir)?;
            *required = Some(Required {
                literals: Vec::new(),
                fold: false,
                nearest: usize::try_from(mark.nearest).ok()?,
                furthest: Some(usize::try_from(mark.furthest).ok()?),
                rest: None,
                head: None,
            });
            Some(mark)
        }
    }
}

/// What a rule that has a mark is found by.
pub(super) fn gated_rule((number, rule): (usize, &Rule)) -> Option<Gated<'_>> {
    let (mark, required) = (rule.mark?, rule.required()?);
    let literals =
        (!required.literals.is_empty()).then_some((&required.literals[..], required.fold));
    Some(Gated {
        rule: number,
        mark,
        literals,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::{mixed, MIXED};

    #[test]
    fn every_vector_unit_finds_the_same() {
        let seed = gristmill_testing::seed("GRISTMILL_UNITS_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..60 {
            let mut text = mixed(&mut random, 3000);
            let start = text.len() + 1;
            text.extend(b" key-0123456789abcdef ");
            let mut expected = None;
            for unit in Unit::all() {
                let set = RegexSetBuilder::new().build_on(&MIXED, unit).unwrap();
                let mut found = Vec::new();
                set.find(&mut set.cache(), &text, |pattern, start, end| {
                    found.push((pattern, start, end));
                });
                found.sort_unstable();
                assert!(found.contains(&(1, start, start + 20)), "{unit:?}");
                assert_eq!(*expected.get_or_insert(found.clone()), found, "{unit:?}");
            }
        }
    }

    #[test]
    fn literals_and_marks_on_two_sides_of_a_border_are_found() {
        // A mark behind its literal, and one before it.
        let patterns = [r"secret[ =]{1,20}[0-9a-z]{16}", r"[0-9A-Z]{24}_tailed_by_"];
        let one = format!("secret{}{}", " =".repeat(10), "0123456789abcdef");
        let other = "0123456789ABCDEFGHIJKLMN_tailed_by_";
        for unit in Unit::all() {
            let set = RegexSetBuilder::new().build_on(&patterns, unit).unwrap();
            assert!(set.explain().all(|plan| plan.by_run()));
            let mut cache = set.cache();
            for (pattern, found) in [&one[..], other].into_iter().enumerate() {
                for border in [1 << 14, 1 << 16] {
                    for start in border - found.len()..=border {
                        let mut text = vec![b'.'; border + 200];
                        text[start..start + found.len()].copy_from_slice(found.as_bytes());
                        let mut all = Vec::new();
                        set.find(&mut cache, &text, |number, from, to| {
                            all.push((number, from, to))
                        });
                        assert_eq!(all, [(pattern, start, start + found.len())], "{unit:?}");
                    }
                }
            }
        }
    }
}
