//! Builds sets of regexes.

use super::everywhere::Everywhere;
use super::gates::Gates;
use super::groups::{self, Gated};
use super::marks::{self, Mark};
use super::meaning::Syntax;
use super::required::{self, Derived, Required};
use super::rule::Rule;
use super::scout::Scout;
use super::{sieve, RegexSet, RegexSetError};
use crate::unit::Unit;
use crate::Boundary;
use regex_syntax::hir::Hir;

/// The most literals that are looked for only where marks allow them.
pub(super) const MOST_GATED: usize = 4096;

/// Regexes of which an automaton may take more bytes are compiled when the set is built.
const COMPILED_NOW: usize = 64 << 20;

/// Builds a [`RegexSet`]. The options hold for all its patterns; `(?i)` and the like set them within a pattern.
#[derive(Debug, Clone)]
pub struct RegexSetBuilder {
    pub(super) syntax: Syntax,
    pub(super) size_limit: usize,
    pub(super) total_size_limit: usize,
}

impl Default for RegexSetBuilder {
    fn default() -> Self {
        Self {
            syntax: Syntax {
                unicode: true,
                ..Syntax::default()
            },
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
        self.syntax.case_insensitive = yes;
        self
    }

    /// Whether classes and `.` match characters of Unicode rather than bytes, as with `(?u)`. Default: yes.
    pub fn unicode(&mut self, yes: bool) -> &mut Self {
        self.syntax.unicode = yes;
        self
    }

    /// Whether `^` and `$` match at lines' ends too, as with `(?m)`. Default: no.
    pub fn multi_line(&mut self, yes: bool) -> &mut Self {
        self.syntax.multi_line = yes;
        self
    }

    /// Whether CR LF ends a line, too, as with `(?R)`. Default: no.
    pub fn crlf(&mut self, yes: bool) -> &mut Self {
        self.syntax.crlf = yes;
        self
    }

    /// What a match must lie between. Default: anything.
    pub fn boundary(&mut self, boundary: Option<Boundary>) -> &mut Self {
        self.syntax.boundary = boundary;
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
    pub(super) fn build_on<P: AsRef<str>>(
        &self,
        patterns: &[P],
        unit: Unit,
    ) -> Result<RegexSet, RegexSetError> {
        let mut gated = 0;
        let mut rules = Vec::with_capacity(patterns.len());
        for (number, pattern) in patterns.iter().enumerate() {
            let pattern = pattern.as_ref();
            let rule = self.rule(number, pattern, MOST_GATED - gated)?;
            self.check_size(number, pattern, &rule)?;
            gated += gated_literals(&rule);
            rules.push(rule);
        }
        self.check_total(&rules, patterns)?;
        let marked: Vec<Gated<'_>> = rules.iter().enumerate().filter_map(gated_rule).collect();
        let gates = Gates::new(&marked, groups::divide(&marked), unit);
        let everywhere = Everywhere::of(&rules);
        let scouted = Scout::divide(everywhere.iter().flat_map(Everywhere::wanted));
        let mut set = RegexSet::of(rules, gates, (scouted, everywhere), unit);
        set.build_everywhere(patterns)?;
        Ok(set)
    }

    fn rule(&self, number: usize, pattern: &str, gated: usize) -> Result<Rule, RegexSetError> {
        let hir = self.syntax.parse(pattern);
        let hir = hir.map_err(|error| RegexSetError::syntax(number, pattern, &error))?;
        let derived = required::derived(&hir);
        let (alone, mark) = mark(&hir, derived.as_ref(), gated);
        Ok(Rule::new(hir, derived, (alone, mark), self.size_limit))
    }

    /// Compiles a rule that may be too large, so that it is known; the others are compiled when they are first needed.
    pub(super) fn check_size(
        &self,
        number: usize,
        pattern: &str,
        rule: &Rule,
    ) -> Result<(), RegexSetError> {
        if rule.most_memory().0 <= self.size_limit.min(COMPILED_NOW) {
            return Ok(());
        }
        let compiled = rule.compile();
        compiled.map_err(|error| RegexSetError::compile(number, pattern, error))
    }

    /// Where rules may take too much memory together, compiles all of them, and refuses the first with which they do.
    pub(super) fn check_total<P: AsRef<str>>(
        &self,
        rules: &[Rule],
        patterns: &[P],
    ) -> Result<(), RegexSetError> {
        let all = rules.iter().map(|rule| rule.most_memory().1);
        if all.fold(0, usize::saturating_add) <= self.total_size_limit {
            return Ok(());
        }
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

impl RegexSet {
    /// Prepares what looks for literals that nothing looks for yet.
    pub(super) fn build_everywhere<P: AsRef<str>>(
        &mut self,
        patterns: &[P],
    ) -> Result<(), RegexSetError> {
        let last = patterns.last().map_or("", |pattern| pattern.as_ref());
        let mut groups = self.everywhere.iter_mut();
        let built = groups.try_for_each(Everywhere::build);
        built.map_err(|_| RegexSetError::too_many(patterns.len() - 1, last))
    }
}

/// The mark by which a regex is found, if there is one and no more literals than `gated` would be looked for near it.
/// Without literals, the mark tells how far it is from a match's start.
fn mark(hir: &Hir, derived: Option<&Derived>, gated: usize) -> (Option<Required>, Option<Mark>) {
    match derived {
        Some(Derived { required, rest, .. }) => {
            let mark = marks::of_literal(hir, rest, (required.nearest, required.furthest));
            let shortest = required.literals.iter().map(Vec::len).min();
            let wanted = required.literals.len() <= gated && shortest >= Some(sieve::SHORTEST);
            (None, mark.filter(|_| wanted))
        }
        None => {
            let alone = marks::of_start(hir).and_then(|mark| {
                let required = Required {
                    literals: Vec::new(),
                    fold: false,
                    nearest: usize::try_from(mark.nearest).ok()?,
                    furthest: Some(usize::try_from(mark.furthest).ok()?),
                };
                Some((required, mark))
            });
            alone.unzip()
        }
    }
}

/// The number of literals that are looked for near a rule's mark.
pub(super) fn gated_literals(rule: &Rule) -> usize {
    let required = rule.required().filter(|_| rule.mark.is_some());
    required.map_or(0, |required| required.literals.len())
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
