//! Search for regexes near literals that something else has looked for, such as a device.
//!
//! Every match of a regex that has literals contains one of them, so that it is enough to be told where they are: of all
//! places, or of more. Marks, which a set of its own uses to look for literals at fewer places, are not needed for these
//! regexes. Of lines that match regexes, too, each holds a literal ([`line_literals`]). Regexes without literals are
//! searched for here in all of the text, by their marks, or alone.

use super::builder::gated_rule;
use super::gates::Gates;
use super::groups::{self, Gated};
use super::smart::smart_case;
use super::{Hit, Part, RegexSet, RegexSetBuilder, RegexSetCache};
use crate::compare::stands_at;
use crate::unit::Unit;
use crate::{Case, LineSettings};
use std::collections::{BTreeMap, BTreeSet};

/// What [`RegexSet::find_near`] must be told of, made by [`RegexSet::near`].
#[derive(Debug)]
pub struct NearLiterals {
    literals: Vec<NearLiteral>,
    /// What finds the regexes that have marks and no literals.
    gates: Option<Gates>,
    others: Vec<usize>,
}

/// A literal, and the regexes that contain it.
#[derive(Debug)]
struct NearLiteral {
    bytes: Vec<u8>,
    fold: bool,
    rules: Vec<usize>,
}

impl NearLiterals {
    /// The literals, each once, with whether its ASCII letters stand for either case; then they are small ones. None is
    /// empty. They are numbered in this order.
    pub fn literals(&self) -> impl ExactSizeIterator<Item = (&[u8], bool)> {
        let literals = self.literals.iter();
        literals.map(|literal| (&literal.bytes[..], literal.fold))
    }

    /// The regexes, by their numbers, that have no literal: they are searched for in all of the text.
    #[must_use]
    pub fn others(&self) -> &[usize] {
        &self.others
    }
}

/// Strings of which each line holds one in which a pattern matches, and whether ASCII letters of them stand for either
/// case; then they are small ones. `settings` say how the patterns are read. `None` if some pattern needs none that is
/// rare, or does not parse.
pub fn line_literals<P: AsRef<[u8]>>(
    patterns: &[P],
    settings: &LineSettings,
) -> Option<(Vec<Vec<u8>>, bool)> {
    let texts = patterns.iter().map(|pattern| {
        let text = std::str::from_utf8(pattern.as_ref()).ok()?;
        Some(match settings.fixed_strings {
            true => regex_syntax::escape(text),
            false => text.to_owned(),
        })
    });
    let texts: Vec<String> = texts.collect::<Option<_>>()?;
    let fold = match settings.case {
        Case::Smart => smart_case(patterns, settings),
        case => case == Case::Insensitive,
    };
    let set = RegexSetBuilder::new()
        .case_insensitive(fold)
        .unicode(settings.unicode)
        .multi_line(true)
        .size_limit(settings.size_limit)
        .build(&texts)
        .ok()?;
    let near = set.near();
    if !near.others.is_empty() {
        return None;
    }
    let fold = near.literals().any(|(_, fold)| fold);
    let literals = near.literals().map(|(literal, _)| match fold {
        true => literal.to_ascii_lowercase(),
        false => literal.to_vec(),
    });
    let literals: BTreeSet<Vec<u8>> = literals.collect();
    Some((literals.into_iter().collect(), fold))
}

impl RegexSet {
    /// The literals near which the set's regexes can be searched for.
    #[must_use]
    pub fn near(&self) -> NearLiterals {
        let mut rules: BTreeMap<(Vec<u8>, bool), Vec<usize>> = BTreeMap::new();
        let (mut others, mut marked): (Vec<usize>, Vec<Gated<'_>>) = Default::default();
        for (number, rule) in self.rules.iter().enumerate() {
            let required = rule.required().filter(|one| !one.literals.is_empty());
            let Some(required) = required else {
                others.push(number);
                marked.extend(gated_rule((number, rule)));
                continue;
            };
            for literal in &required.literals {
                let bytes = match required.fold {
                    true => literal.to_ascii_lowercase(),
                    false => literal.clone(),
                };
                let of = rules.entry((bytes, required.fold)).or_default();
                if of.last() != Some(&number) {
                    of.push(number);
                }
            }
        }
        NearLiterals {
            literals: rules
                .into_iter()
                .map(|((bytes, fold), rules)| NearLiteral { bytes, fold, rules })
                .collect(),
            gates: Gates::new(&marked, groups::divide(&marked), Unit::chosen()),
            others,
        }
    }

    /// As [`find_in`](Self::find_in), where it is known at which places literals may be: `places` are numbers of
    /// [literals](NearLiterals::literals) and places in the part's text, in any order. Of those that begin from the part's
    /// start on, all must be among them. Others do no harm.
    ///
    /// # Panics
    /// As [`find`](Self::find); if `near` was made by another set, it may panic or find the wrong matches.
    pub fn find_near(
        &self,
        cache: &mut RegexSetCache,
        near: &NearLiterals,
        part: &Part<'_>,
        places: impl IntoIterator<Item = (u32, usize)>,
        go_on: impl Fn() -> bool,
        found: impl FnMut(usize, Hit),
    ) {
        let (text, first) = (part.text, part.starts.start);
        let mut known = Vec::new();
        for (number, place) in places {
            let literal = near.literals.get(number as usize);
            let literal = literal
                .filter(|one| place >= first && stands_at(text, place, &one.bytes, one.fold));
            known.extend(literal.map(|literal| (place, number, literal)));
        }
        known.sort_unstable_by_key(|(place, number, _)| (*place, *number));
        known.dedup_by_key(|(place, number, _)| (*place, *number));
        let mut known = known.into_iter().peekable();
        self.find_by(cache, part, go_on, found, |cache, (from, until)| {
            if let Some(gates) = &near.gates {
                let (scratch, places) = (&mut cache.scratch, &mut cache.places);
                gates.find(scratch, text, first, (from, until), places);
            }
            while let Some((place, _, literal)) = known.next_if(|(place, ..)| *place < until) {
                let rules = literal.rules.iter();
                cache.places.extend(rules.map(|rule| (*rule, place, place)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::regexes::{mixed, MIXED};

    #[test]
    fn what_is_near_literals_is_what_the_set_finds_itself() {
        let others = [r"(?s)secret.*?sk_", r"\n"];
        let patterns = [&MIXED[..], &others].concat();
        let set = RegexSet::new(&patterns).unwrap();
        let near = set.near();
        assert_eq!(near.others(), [2, 5, 7]);
        let seed = gristmill_testing::seed("GRISTMILL_NEAR_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..300 {
            let text = mixed(&mut random, 1500);
            let start = random.usize(..=text.len());
            let end = random.usize(start..=text.len());
            let part = Part {
                text: &text,
                starts: start..end,
                ends: random.bool(),
            };
            let mut places = Vec::new();
            for place in 0..text.len() {
                for (number, (literal, fold)) in (0..).zip(near.literals()) {
                    let here = &text[place..text.len().min(place + literal.len())];
                    let stands = here == literal || fold && here.eq_ignore_ascii_case(literal);
                    if stands || random.u8(..) == 0 {
                        places.push((number, place));
                    }
                }
            }
            // What cannot be is passed over.
            places.extend([(0, text.len()), (0, usize::MAX), (u32::MAX, 0)]);
            random.shuffle(&mut places);
            let (mut cache, mut expected, mut found) = (set.cache(), Vec::new(), Vec::new());
            set.find_in(
                &mut cache,
                &part,
                || true,
                |number, hit| expected.push((number, hit)),
            );
            set.find_near(
                &mut cache,
                &near,
                &part,
                places,
                || true,
                |number, hit| {
                    found.push((number, hit));
                },
            );
            // The hits of one regex come in order.
            expected.sort_by_key(|(number, _)| *number);
            found.sort_by_key(|(number, _)| *number);
            assert_eq!(found, expected);
        }
    }
}
