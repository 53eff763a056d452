//! Which literals every match of a regex must contain, and how far behind its start.

use super::bytes::byte_rate;
use super::head::Head;
use regex_syntax::hir::literal::{Extractor, Seq};
use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicode, ClassUnicodeRange, Hir, HirKind};

/// The most literals of one regex.
pub(super) const MOST_LITERALS: usize = 64;

/// The longest part of a literal that is looked for: more would hardly make it rarer.
pub(super) const LONGEST: usize = 16;

/// Literals that would occur more often than once in so many bytes are not worth looking for.
const RAREST_USE: f64 = 500.0;

/// Parts of a regex from which literals are taken together: a regex may have many thousands that may all be empty.
const MOST_PARTS: usize = 64;

/// What every match of a regex contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Required {
    /// Every match contains one of these. None is empty.
    pub literals: Vec<Vec<u8>>,
    /// Whether ASCII letters of the literals stand for either case.
    pub fold: bool,
    /// The fewest bytes between a match's start and the literal.
    pub nearest: usize,
    /// The most bytes between a match's start and the literal, if there is a bound.
    pub furthest: Option<usize>,
}

/// What every match of a regex contains, and what that tells of the regex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Derived {
    pub required: Required,
    /// What a match goes on with from a literal's start on.
    pub rest: Hir,
    /// The characters of which there may be some before the literal, and nothing else: see [`head`](super::head).
    pub head: Option<Head>,
}

/// The best literals for finding the matches of a regex, if there are any worth it.
pub(super) fn derived(hir: &Hir) -> Option<Derived> {
    let mut parts = Vec::new();
    flatten(hir, &mut parts);
    let is_look = |part: &&Hir| matches!(part.kind(), HirKind::Look(_));
    let begin = parts.iter().take_while(|part| is_look(part)).count();
    let looks = parts.iter().rev().take_while(|part| is_look(part)).count();
    if let Some([part]) = parts.get(begin..parts.len().saturating_sub(looks)) {
        if let HirKind::Alternation(branches) = part.kind() {
            if let Some(found) = in_each(branches) {
                return Some(found);
            }
        }
    }
    let folded: Vec<Hir> = parts.iter().map(|part| fold(part)).collect();
    let exact: Vec<Hir> = parts.iter().map(|part| (*part).clone()).collect();
    let mut best: Option<(f64, usize, Required)> = None;
    let (mut nearest, mut furthest) = (0_usize, Some(0_usize));
    for (index, part) in parts.iter().enumerate() {
        for (rest, fold) in [(&exact[index..], false), (&folded[index..], true)] {
            // In either case, literals without case are fewer, and stand as often.
            if !may_give_literals(&rest[0]) || (!fold && is_either_case(&rest[0])) {
                continue;
            }
            let Some(literals) = prefixes(rest) else {
                continue;
            };
            let rate: f64 = literals.iter().map(|literal| rate(literal, fold)).sum();
            if rate * RAREST_USE > 1.0 {
                continue;
            }
            // A search at a candidate costs some fixed time, and some for every place where a match may begin.
            let places = furthest.map_or(10_000, |furthest| (furthest - nearest).min(10_000));
            #[allow(clippy::cast_precision_loss)] // At most 10,000.
            let cost = rate * (100.0 + places as f64);
            if best.as_ref().is_none_or(|(least, ..)| cost < *least) {
                let required = Required {
                    literals,
                    fold,
                    nearest,
                    furthest,
                };
                best = Some((cost, index, required));
            }
        }
        // A part without a length never matches; then nothing does, and no literal is needed to know that.
        nearest = nearest.checked_add(part.properties().minimum_len()?)?;
        furthest = furthest
            .zip(part.properties().maximum_len())
            .and_then(|(before, this)| before.checked_add(this));
    }
    best.map(|(_, index, required)| Derived {
        rest: Hir::concat(exact[index..].to_vec()),
        head: match index {
            1 => Head::new(parts[0], &required.literals),
            _ => None,
        },
        required,
    })
}

/// The best literals of all branches together, if each has some.
fn in_each(branches: &[Hir]) -> Option<Derived> {
    let each: Vec<Derived> = branches.iter().map(derived).collect::<Option<_>>()?;
    let found: Vec<&Required> = each.iter().map(|one| &one.required).collect();
    let fold = found.iter().any(|one| one.fold);
    let mut literals: Vec<Vec<u8>> = found.iter().flat_map(|one| one.literals.clone()).collect();
    if fold {
        literals
            .iter_mut()
            .for_each(|one| one.make_ascii_lowercase());
    }
    literals.sort();
    literals.dedup();
    let total: f64 = literals.iter().map(|literal| rate(literal, fold)).sum();
    if literals.len() > MOST_LITERALS || total * RAREST_USE > 1.0 {
        return None;
    }
    let required = Required {
        literals,
        fold,
        nearest: found.iter().map(|one| one.nearest).min()?,
        furthest: found
            .iter()
            .map(|one| one.furthest)
            .try_fold(0, |most, one| Some(most.max(one?))),
    };
    Some(Derived {
        required,
        rest: Hir::alternation(each.into_iter().map(|one| one.rest).collect()),
        head: None,
    })
}

/// The parts of a regex that follow each other, those inside of groups too.
pub(super) fn flatten<'a>(hir: &'a Hir, parts: &mut Vec<&'a Hir>) {
    match hir.kind() {
        HirKind::Concat(subs) => subs.iter().for_each(|sub| flatten(sub, parts)),
        HirKind::Capture(capture) => flatten(&capture.sub, parts),
        _ => parts.push(hir),
    }
}

/// Whether literals may begin with this part. Where it begins with a larger class, asking for them gives none.
fn may_give_literals(part: &Hir) -> bool {
    // The least that the extractor takes for infinitely many.
    const LARGE: usize = 11;
    match part.kind() {
        HirKind::Class(Class::Unicode(class)) => {
            let counts = class.ranges().iter().map(ClassUnicodeRange::len);
            counts.sum::<usize>() < LARGE
        }
        HirKind::Class(Class::Bytes(class)) => {
            let counts = class.ranges().iter().map(ClassBytesRange::len);
            counts.sum::<usize>() < LARGE
        }
        HirKind::Repetition(repetition) => {
            repetition.max == Some(0) || may_give_literals(&repetition.sub)
        }
        HirKind::Capture(capture) => may_give_literals(&capture.sub),
        _ => true,
    }
}

/// Whether this is a letter in either case.
fn is_either_case(part: &Hir) -> bool {
    let HirKind::Class(class) = part.kind() else {
        return false;
    };
    let ranges: Vec<(u32, u32)> = match class {
        Class::Unicode(class) => {
            let ranges = class.ranges().iter();
            ranges
                .map(|one| (one.start().into(), one.end().into()))
                .collect()
        }
        Class::Bytes(class) => {
            let ranges = class.ranges().iter();
            ranges
                .map(|one| (one.start().into(), one.end().into()))
                .collect()
        }
    };
    let letter = |code: u32| u8::try_from(code).is_ok_and(|byte| byte.is_ascii_alphabetic());
    match ranges[..] {
        // Upper case comes first, and behind lower case perhaps a letter that is not ASCII.
        [(upper, one), (lower, other), ..] => {
            upper == one && lower == other && letter(upper) && upper + 0x20 == lower
        }
        _ => false,
    }
}

/// Literals with one of which every match of these parts begins.
fn prefixes(parts: &[Hir]) -> Option<Vec<Vec<u8>>> {
    // What follows so many bytes adds nothing.
    let mut least = 0_usize;
    let enough = parts.iter().position(|part| {
        let length = part.properties().minimum_len().unwrap_or(0);
        least = least.saturating_add(length);
        least > LONGEST
    });
    let parts = &parts[..enough.map_or(parts.len(), |last| last + 1).min(MOST_PARTS)];
    let all: Seq = Extractor::new().extract(&Hir::concat(parts.to_vec()));
    let mut all: Vec<&[u8]> = all.literals()?.iter().map(|one| one.as_bytes()).collect();
    all.sort_unstable();
    // Where a class follows, shorter literals are fewer.
    let literals = (1..=LONGEST).rev().find_map(|length| {
        let mut literals: Vec<&[u8]> = Vec::new();
        for literal in &all {
            let literal = &literal[..literal.len().min(length)];
            // A literal that begins with another one adds nothing; those come behind it.
            if !literals
                .last()
                .is_some_and(|last| literal.starts_with(last))
            {
                literals.push(literal);
            }
            if literals.len() > MOST_LITERALS {
                return None;
            }
        }
        Some(literals)
    })?;
    let usable = !literals.is_empty() && literals.iter().all(|literal| !literal.is_empty());
    usable.then(|| literals.into_iter().map(<[u8]>::to_vec).collect())
}

/// The regex with all ASCII letters in lower case: it matches the text in lower case wherever the regex matches the
/// text. (Only for literals: look-arounds are left as they are.)
fn fold(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Literal(literal) => Hir::literal(literal.0.to_ascii_lowercase()),
        HirKind::Class(Class::Unicode(class)) => {
            let upper = ClassUnicode::new([ClassUnicodeRange::new('A', 'Z')]);
            let mut letters = class.clone();
            letters.intersect(&upper);
            let mut folded = class.clone();
            folded.difference(&upper);
            let lower = |letter: char| letter.to_ascii_lowercase();
            for range in letters.ranges() {
                folded.push(ClassUnicodeRange::new(
                    lower(range.start()),
                    lower(range.end()),
                ));
            }
            Hir::class(Class::Unicode(folded))
        }
        HirKind::Class(Class::Bytes(class)) => {
            let bytes = class.ranges().iter().flat_map(|r| r.start()..=r.end());
            let ranges = bytes.map(|byte| {
                let lower = byte.to_ascii_lowercase();
                ClassBytesRange::new(lower, lower)
            });
            Hir::class(Class::Bytes(regex_syntax::hir::ClassBytes::new(ranges)))
        }
        HirKind::Repetition(repetition) => Hir::repetition(repetition.with(fold(&repetition.sub))),
        HirKind::Capture(capture) => fold(&capture.sub),
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(fold).collect()),
        HirKind::Alternation(subs) => Hir::alternation(subs.iter().map(fold).collect()),
    }
}

/// How often a literal occurs at a place of source text, about.
pub(super) fn rate(literal: &[u8], fold: bool) -> f64 {
    let share = |byte: &u8| match byte {
        b'a'..=b'z' if fold => byte_rate(*byte) + byte_rate(byte.to_ascii_uppercase()),
        _ => byte_rate(*byte),
    };
    // Text is not random: later bytes often follow from those before, so that long literals are less rare than this.
    literal.iter().map(share).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &str) -> Option<Required> {
        derived(&regex_syntax::parse(pattern).unwrap()).map(|derived| derived.required)
    }

    #[test]
    fn takes_the_rarest_literals_and_their_distance() {
        let found = of(r"[a-z]{2,5}(?:secret|token)=(\d+)").unwrap();
        assert_eq!(found.literals, [b"secret=".to_vec(), b"token=".to_vec()]);
        assert!(!found.fold);
        assert_eq!((found.nearest, found.furthest), (2, Some(5)));
        assert_eq!(of(r".*password").unwrap().furthest, None);
    }

    #[test]
    fn folds_where_case_is_ignored() {
        let found = of(r"(?i-u)x?AdobeKey[a-z]{3}").unwrap();
        assert!(found.fold);
        assert!(found.literals.contains(&b"adobekey".to_vec()), "{found:?}");
        // The Kelvin sign and the long s are letters of other lengths that the folding of ASCII leaves alone.
        let found = of(r"(?i)desk").unwrap();
        assert!(found.literals.contains(&"de\u{17f}\u{212a}".into()));
    }

    #[test]
    fn classes_behind_a_literal_do_not_hide_it() {
        let found = of("xoxb-[0-9]{10,13}-[0-9]+").unwrap();
        assert!(found
            .literals
            .iter()
            .all(|literal| literal.starts_with(b"xoxb-")));
        assert_eq!((found.nearest, found.furthest), (0, Some(0)));
    }

    #[test]
    fn each_branch_gives_some() {
        let found = of(r"\w{0,9}?jira=\d+|ATATT3[a-z]{9}").unwrap();
        assert_eq!(found.literals, [b"ATATT3".to_vec(), b"jira=".to_vec()]);
        assert_eq!((found.nearest, found.furthest), (0, Some(36)));
        assert_eq!(of(r"jira=\d+|[a-z]+"), None);
    }

    #[test]
    fn refuses_what_occurs_everywhere() {
        for pattern in [
            "[a-z]+",
            "e",
            "",
            "a*",
            r"\b",
            "(?:foobar)?",
            "[a&&b]foobar",
        ] {
            assert_eq!(of(pattern), None, "{pattern}");
        }
    }
}
