//! Regexes as part of a stored set.
//!
//! What it costs to find out is stored: what each regex requires and how large it is, which rules share a gate, and which
//! literals look alike. What each regex means is read from its text when it is first needed (`meaning`). Nothing that is
//! stored here depends on the processor.
//!
//! It does depend on the version of Unicode, which decides what classes and either case mean: its *origin*. That is stored, too,
//! and where it is another, all is found out again from the texts.

use super::builder::{gated_literals, gated_rule, MOST_GATED};
use super::bytes::ByteSet;
use super::everywhere::Everywhere;
use super::gates::Gates;
use super::groups::{literals, Gated, Gathered, Group};
use super::marks::{self, Lead, Mark, RunClass};
use super::meaning::{self, Unread};
use super::required::{self, Required, MOST_LITERALS};
use super::rule::{Length, Rule};
use super::scout;
use super::sieve::{self, Sieve};
use super::size::Size;
use super::tables::SETS;
use super::words::MOST_REACH;
use super::{RegexSet, RegexSetBuilder, RegexSetError};
use crate::saved::{FieldReader, FieldWriter, SetError, SetReader, SetWriter, Tag};
use crate::unit::Unit;
use crate::Literals;
use regex_syntax::hir::{Class, Hir, HirKind};
use xxhash_rust::xxh3::xxh3_64;

/// The fewest bytes of a rule, a group of rules and a literal.
const RULE: usize = 21;
const GROUP: usize = 52;
const LITERAL: usize = 5;

/// The place of the literals that are looked for everywhere among the strings of a set, whose own are at 0.
const EVERYWHERE: [u32; 2] = [1, 2];

impl RegexSet {
    /// Adds to a set what was prepared for its regexes, if it has some.
    pub(crate) fn save(&self, set: &mut SetWriter) {
        self.save_from(origin(), set);
    }

    fn save_from(&self, origin: u64, set: &mut SetWriter) {
        if self.is_empty() {
            return;
        }
        let mut fields = FieldWriter::new();
        fields.u64(origin);
        for rule in &self.rules {
            save_rule(&mut fields, rule);
        }
        let groups = self.gates.as_ref().map_or(&[][..], Gates::groups);
        fields.count(groups.len());
        for group in groups {
            save_mark(&mut fields, &group.mark);
            fields.count(group.numbers.len());
            let numbers = group.numbers.iter();
            numbers.for_each(|number| fields.count(*number));
            fields.option(group.sets.as_deref(), FieldWriter::bytes);
        }
        fields.option(self.scouted.as_deref(), FieldWriter::bytes);
        set.section(Tag::Regexes, 0, fields.finish());
        // What processors without a vector unit look for instead of the scout's is prepared there.
        let kept = self.everywhere.iter().zip(EVERYWHERE);
        for (group, place) in kept.filter(|_| self.scouted.is_none()) {
            if let Some(literals) = group.set() {
                literals.save(set, place);
            }
        }
    }
}

impl RegexSetBuilder {
    /// Takes regexes, whose texts are given, from a set.
    ///
    /// # Errors
    /// What is wrong with what was prepared for them; for a regex that does not have the form of one; if they may take more
    /// memory than they are allowed.
    pub(crate) fn load(&self, texts: &[String], set: &mut SetReader) -> Result<RegexSet, SetError> {
        self.load_on(texts, set, Unit::chosen())
    }

    /// The same for a vector unit that the processor has.
    fn load_on(
        &self,
        texts: &[String],
        set: &mut SetReader,
        unit: Unit,
    ) -> Result<RegexSet, SetError> {
        let refused = |error: RegexSetError| SetError::Regex(error.to_string());
        if texts.is_empty() {
            return self.build(texts).map_err(refused);
        }
        let section = set.take(Tag::Regexes, 0)?;
        let mut fields = section.fields();
        if fields.u64()? != origin() {
            for place in EVERYWHERE {
                Literals::load(set, place)?;
            }
            return self.build_on(texts, unit).map_err(refused);
        }
        let mut rules = Vec::with_capacity(texts.len().min(section.bytes().len() / RULE));
        let mut gated = 0;
        for (number, text) in texts.iter().enumerate() {
            let form = meaning::check(text);
            form.map_err(|error| refused(RegexSetError::syntax(number, text, &error)))?;
            let rule = self.load_rule(&mut fields, text)?;
            gated += gated_literals(&rule);
            if gated > MOST_GATED {
                return Err(fields.damaged(0, "more literals near marks than a set has"));
            }
            self.check_size(number, text, &rule).map_err(refused)?;
            rules.push(rule);
        }
        self.check_total(&rules, texts).map_err(refused)?;
        let marked: Vec<Gated<'_>> = rules.iter().enumerate().filter_map(gated_rule).collect();
        let groups = self.load_groups(&mut fields, &marked)?;
        let gates = Gates::new(&marked, groups, unit);
        let mut everywhere = Everywhere::of(&rules);
        let scouted = fields.option(FieldReader::bytes)?;
        if let Some(sets) = scouted {
            let wanted = everywhere.iter().flat_map(Everywhere::wanted);
            // There are no more than rules have literals.
            check_sets(&fields, sets, wanted.count())?;
            if sets.is_empty() || sets.len() > scout::MOST {
                return Err(fields.damaged(sets.len(), "no literals, or more than are few"));
            }
        }
        fields.end()?;
        for (group, place) in everywhere.iter_mut().zip(EVERYWHERE) {
            if scouted.is_some() || !group.is_open() {
                continue;
            }
            let stored = Literals::load(set, place)?;
            if !stored.is_some_and(|stored| group.take(stored)) {
                let what = "its literals, not those of the strings that are looked for";
                return Err(section.damaged(0, what));
            }
        }
        let scouted = scouted.map(<[u8]>::to_vec);
        let mut loaded = RegexSet::of(rules, gates, (scouted, everywhere), unit);
        loaded.build_everywhere(texts).map_err(refused)?;
        Ok(loaded)
    }

    fn load_rule(&self, fields: &mut FieldReader<'_>, text: &str) -> Result<Rule, SetError> {
        let size = Size {
            automaton: length(fields)?,
            all: length(fields)?,
            steps: fields.option(length)?,
        };
        let length = Length {
            longest: fields.option(length)?,
            endless: fields.flag()?,
        };
        let required = fields.option(load_required)?;
        let mark = fields.option(load_mark)?;
        let possible = match (&required, &mark) {
            (None, None) => true,
            (None, Some(_)) => false,
            (Some(required), None) => !required.literals.is_empty(),
            (Some(required), Some(_)) => {
                let literals = required.literals.iter().map(Vec::len);
                literals.min().is_none_or(|len| len >= sieve::SHORTEST)
            }
        };
        let in_steps = size.steps.is_some();
        if !possible || (in_steps && (required.is_none() || length.window().is_none())) {
            return Err(fields.damaged(0, "before it, a regex that would be found by nothing"));
        }
        let unread = Unread {
            text: text.into(),
            syntax: self.syntax,
            required,
            size,
        };
        Ok(Rule::stored(unread, mark, length, self.size_limit))
    }

    /// Reads which rules share a gate.
    fn load_groups(
        &self,
        fields: &mut FieldReader<'_>,
        gated: &[Gated<'_>],
    ) -> Result<Vec<Gathered>, SetError> {
        let count = fields.count(GROUP)?;
        let (needed, allowed) = (count.saturating_mul(Sieve::LEAST), self.total_size_limit);
        if needed > allowed {
            return Err(SetError::Memory { needed, allowed });
        }
        let mut seen = vec![false; gated.len()];
        let mut all: Vec<Gathered> = Vec::with_capacity(count);
        for _ in 0..count {
            let mark = load_mark(fields)?;
            let order = |mark: &Mark| (mark.class, mark.run);
            let last = all.last().map(|last| order(&last.group.mark));
            if last.is_some_and(|last| last > order(&mark)) {
                return Err(fields.damaged(0, "before it, a mark that is out of order"));
            }
            let mut numbers: Vec<usize> = Vec::new();
            for _ in 0..fields.count(4)? {
                let number = fields.u32()? as usize;
                let of = |number: usize| gated.get(number).map(|one| one.literals.is_some());
                let alike = of(number) == of(*numbers.first().unwrap_or(&number));
                match seen.get_mut(number) {
                    Some(seen) if alike && !*seen => *seen = true,
                    _ => return Err(fields.damaged(4, "no rule that can share the gate")),
                }
                numbers.push(number);
            }
            if numbers.is_empty() {
                return Err(fields.damaged(4, "a gate that no rule has"));
            }
            let literals = literals(gated, &numbers);
            let sets = fields.option(FieldReader::bytes)?;
            if let Some(sets) = sets {
                check_sets(fields, sets, literals.as_ref().map_or(0, Vec::len))?;
            }
            let sets = sets.map(<[u8]>::to_vec);
            let group = Group {
                mark,
                numbers,
                sets,
            };
            all.push(Gathered { group, literals });
        }
        match seen.iter().all(|seen| *seen) {
            true => Ok(all),
            false => Err(fields.damaged(0, "before it, a rule with a mark that has no gate")),
        }
    }
}

/// A hash of what classes mean, and of which letters are of either case.
fn origin() -> u64 {
    let mut bytes = Vec::new();
    for class in [
        r"\w",
        r"\d",
        r"\s",
        r"\pL",
        r"(?i)\p{Lu}",
        r"(?i)[k\x{17F}]",
    ] {
        let parsed = regex_syntax::parse(class);
        if let Ok(HirKind::Class(Class::Unicode(class))) = parsed.map(Hir::into_kind) {
            let ranges = class.ranges().iter();
            let ends = ranges.flat_map(|range| [range.start(), range.end()]);
            bytes.extend(ends.flat_map(|end| u32::from(end).to_le_bytes()));
        }
    }
    xxh3_64(&bytes)
}

/// A number of bytes.
fn length(fields: &mut FieldReader<'_>) -> Result<usize, SetError> {
    let number = fields.u64()?;
    usize::try_from(number).map_err(|_| fields.damaged(8, "more bytes than there can be"))
}

/// Makes sure that these are sets of so many literals.
fn check_sets(fields: &FieldReader<'_>, sets: &[u8], literals: usize) -> Result<(), SetError> {
    if sets.len() != literals {
        let what = format!(
            "sets of {} literals, where there are {literals}",
            sets.len()
        );
        return Err(fields.damaged(sets.len(), what));
    }
    match sets.iter().position(|set| usize::from(*set) >= SETS) {
        Some(at) => Err(fields.damaged(sets.len() - at, "a set that there is not")),
        None => Ok(()),
    }
}

fn save_rule(fields: &mut FieldWriter, rule: &Rule) {
    let size = rule.compiled.size();
    let number = |fields: &mut FieldWriter, number: usize| fields.u64(number as u64);
    number(fields, size.automaton);
    number(fields, size.all);
    fields.option(size.steps, number);
    fields.option(rule.length.longest, number);
    fields.u8(u8::from(rule.length.endless));
    fields.option(rule.required(), |fields, required| {
        fields.u8(u8::from(required.fold));
        number(fields, required.nearest);
        fields.option(required.furthest, number);
        fields.count(required.literals.len());
        let literals = required.literals.iter();
        literals.for_each(|literal| fields.bytes(literal));
    });
    fields.option(rule.mark.as_ref(), save_mark);
}

fn load_required(fields: &mut FieldReader<'_>) -> Result<Required, SetError> {
    let (fold, nearest) = (fields.flag()?, length(fields)?);
    let furthest = fields.option(length)?;
    if furthest.is_some_and(|furthest| furthest < nearest) {
        return Err(fields.damaged(8, "a distance that is less than the least"));
    }
    let count = fields.count(LITERAL)?;
    if count > MOST_LITERALS {
        return Err(fields.damaged(4, "more literals than a regex has"));
    }
    let mut literals = Vec::with_capacity(count);
    for _ in 0..count {
        let literal = fields.bytes()?;
        if literal.is_empty() || literal.len() > required::LONGEST {
            return Err(fields.damaged(literal.len(), "a literal that is empty, or too long"));
        }
        literals.push(literal.to_vec());
    }
    Ok(Required {
        literals,
        fold,
        nearest,
        furthest,
    })
}

fn save_bytes(fields: &mut FieldWriter, set: &ByteSet) {
    set.words().iter().for_each(|word| fields.u64(*word));
}

fn load_bytes(fields: &mut FieldReader<'_>) -> Result<ByteSet, SetError> {
    let mut words = [0; 4];
    for word in &mut words {
        *word = fields.u64()?;
    }
    Ok(ByteSet::from(words))
}

fn save_mark(fields: &mut FieldWriter, mark: &Mark) {
    fields.u8(mark.class.number());
    fields.count(mark.run);
    for offset in [mark.nearest, mark.furthest] {
        // It is at most some thousands.
        fields.u32(i32::try_from(offset).unwrap_or(i32::MAX).cast_unsigned());
    }
    save_bytes(fields, &mark.between);
    fields.option(mark.lead, |fields, lead| {
        save_bytes(fields, &lead.bytes);
        fields.count(lead.reach);
        save_bytes(fields, &lead.between);
    });
    fields.option(mark.behind.as_ref(), save_bytes);
}

fn load_mark(fields: &mut FieldReader<'_>) -> Result<Mark, SetError> {
    let Some(class) = RunClass::of_number(fields.u8()?) else {
        return Err(fields.damaged(1, "a class that there is not"));
    };
    let run = fields.u32()? as usize;
    if !(marks::SHORTEST..=marks::LONGEST).contains(&run) {
        return Err(fields.damaged(4, "a run of bytes that is too short, or too long"));
    }
    let mut offset = || Ok(fields.u32()?.cast_signed() as isize);
    let (nearest, furthest) = (offset()?, offset()?);
    let far = |offset: isize| offset.unsigned_abs() > marks::FURTHEST_OF_ALL;
    if nearest > furthest || far(nearest) || far(furthest) {
        return Err(fields.damaged(8, "a run of bytes that lies nowhere, or too far"));
    }
    let between = load_bytes(fields)?;
    let lead = fields.option(|fields| {
        let bytes = load_bytes(fields)?;
        let reach = fields.u32()? as usize;
        if !(1..=MOST_REACH).contains(&reach) {
            return Err(fields.damaged(4, "a byte before a run that is nowhere, or too far"));
        }
        Ok(Lead {
            bytes,
            reach,
            between: load_bytes(fields)?,
        })
    })?;
    let behind = fields.option(load_bytes)?;
    if behind.is_some_and(|behind| behind.meets(&class.bytes())) {
        return Err(fields.damaged(32, "a byte that ends a run, and is part of it"));
    }
    Ok(Mark {
        class,
        run,
        lead,
        nearest,
        furthest,
        between,
        behind,
    })
}

#[cfg(test)]
mod tests;
