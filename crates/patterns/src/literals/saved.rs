//! Strings as part of a stored set.
//!
//! Parts of no more than [`few::MOST`] patterns are stored as numbers, and prepared anew: by which way they are searched
//! for depends on the processor, and a set does not. Of the other parts all tables are stored.

use super::class::Class;
use super::few;
use super::gate::{Around, Gate};
use super::plan::Part;
use super::store::Stored;
use super::window::{Shape, MAX_STRIDE};
use super::{Literals, Way, CASE_BITS};
use crate::saved::{FieldReader, FieldWriter, Section, SetError, SetReader, SetWriter, Tag};

/// Kinds of parts.
const LISTED: u8 = 0;
const TABLES: u8 = 1;

/// The classes of strings at the next place have numbers that are higher by so much.
const CLASSES: u32 = 16;

/// The most parts of a set: one for each range of lengths.
const MOST_PARTS: usize = super::plan::LENGTHS.len();

impl Way {
    /// Numbers, in ascending order, and shape of the patterns.
    fn part(&self) -> Part {
        let (shape, mut numbers): (Shape, Vec<u32>) = match self {
            Self::Few(few, shape) => (*shape, few.numbers().collect()),
            Self::Filter(class) => (class.shape(), class.numbers().collect()),
        };
        numbers.sort_unstable();
        Part { shape, numbers }
    }
}

impl Literals {
    /// Adds the strings to a set, at one of several places.
    pub(crate) fn save(&self, set: &mut SetWriter, place: u32) {
        let (bytes, ends) = self.stored.view().sections();
        set.section(Tag::StringBytes, place, bytes);
        set.section(Tag::StringEnds, place, ends);
        let mut fields = FieldWriter::new();
        fields.u8(u8::from(self.stored.view().folds()));
        fields.u32(self.cost.to_bits());
        fields.option(self.gate.as_ref(), |fields, gate| gate.save(fields));
        fields.count(self.ways.len());
        for (number, way) in (place * CLASSES..).zip(&self.ways) {
            let part = way.part();
            let tables = match way {
                Way::Filter(class) if class.len() > few::MOST => Some(class),
                _ => None,
            };
            fields.u8(if tables.is_some() { TABLES } else { LISTED });
            fields.u32(part.shape.window as u32);
            fields.u32(part.shape.gram as u32);
            fields.count(part.numbers.len());
            if let Some(around) = tables.and_then(Class::around) {
                fields.u8(around.least.cast_unsigned());
                fields.u8(around.most.cast_unsigned());
            }
            match tables {
                Some(class) => class.save(set, number),
                None => part.numbers.iter().for_each(|number| fields.u32(*number)),
            }
        }
        set.section(Tag::Strings, place, fields.finish());
    }

    /// Takes the strings of a set that are at one of its places, if there are any.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn load(set: &mut SetReader, place: u32) -> Result<Option<Self>, SetError> {
        let Some(head) = set.find(Tag::Strings, place) else {
            return Ok(None);
        };
        let mut fields = head.fields();
        let fold = fields.flag()?;
        let cost = f32::from_bits(fields.u32()?);
        if !cost.is_finite() || cost < 0.0 {
            return Err(fields.damaged(4, "costs that are no number of cycles"));
        }
        let ends = set.take(Tag::StringEnds, place)?;
        let stored = Stored::load(&set.take(Tag::StringBytes, place)?, &ends, fold)?;
        let store = stored.view();
        let (shortest, longest) = store.lengths();
        if shortest == 0 && store.len() > 0 {
            let mut all = (0..).zip(0..store.len());
            let empty = all.find(|one| store.pattern(one.0).is_empty());
            let at = 4 * empty.map_or(0, |one| one.1);
            return Err(ends.damaged(at, "a string without bytes"));
        }
        let gate = fields.option(Gate::load)?;
        let bits = if fold { CASE_BITS } else { 0 };
        let mut seen = vec![0_u64; store.len().div_ceil(64)];
        let count = fields.count(13)?;
        if count > MOST_PARTS {
            return Err(fields.damaged(4, "more parts than there are ranges of lengths"));
        }
        let mut ways = Vec::with_capacity(count);
        for number in (place * CLASSES..).take(count) {
            let kind = fields.u8()?;
            let shape = shape(&mut fields)?;
            let len = match kind {
                LISTED => fields.count(4)?,
                _ => fields.u32()? as usize,
            };
            ways.push(match kind {
                LISTED if len <= few::MOST => {
                    let numbers = listed(&mut fields, (len, shape), &stored, &mut seen)?;
                    Way::new(&store, &Part { shape, numbers }, bits, gate.as_ref())
                }
                TABLES if few::MOST < len && len <= store.len() => {
                    let around = gate.is_some().then(|| around(&mut fields)).transpose()?;
                    let of = (&store, bits);
                    let has = (len, shape, around);
                    Way::Filter(Class::load(set, number, of, has, &mut seen)?)
                }
                _ => return Err(fields.damaged(4, "a part that no set has")),
            });
        }
        fields.end()?;
        let found: usize = ways.iter().map(Way::len).sum();
        if found != store.len() {
            return Err(missing(&head, store.len() - found));
        }
        Ok(Some(Self::of(stored, ways, gate, (cost, longest))))
    }
}

fn missing(head: &Section, count: usize) -> SetError {
    head.damaged(0, format!("{count} strings are in no part"))
}

/// Reads what is looked for in the patterns of a part.
fn shape(fields: &mut FieldReader<'_>) -> Result<Shape, SetError> {
    let (window, gram) = (fields.u32()? as usize, fields.u32()? as usize);
    let shape = Shape { window, gram };
    let possible = (1..=8).contains(&gram) && gram <= window && window - gram < MAX_STRIDE;
    if !possible {
        return Err(fields.damaged(8, "windows that no part has"));
    }
    Ok(shape)
}

/// Reads where the windows of a part begin, seen from needles.
fn around(fields: &mut FieldReader<'_>) -> Result<Around, SetError> {
    let (least, most) = (fields.u8()?.cast_signed(), fields.u8()?.cast_signed());
    if least > most {
        return Err(fields.damaged(2, "windows that begin nowhere"));
    }
    Ok(Around { least, most })
}

/// Reads the numbers of a part, of each of which `seen` has a bit.
fn listed(
    fields: &mut FieldReader<'_>,
    (len, shape): (usize, Shape),
    stored: &Stored,
    seen: &mut [u64],
) -> Result<Vec<u32>, SetError> {
    let mut numbers = Vec::with_capacity(len);
    for _ in 0..len {
        let number = fields.u32()?;
        let bit = 1 << (number % 64);
        match seen.get_mut(number as usize / 64) {
            Some(word) if *word & bit == 0 => *word |= bit,
            _ => return Err(fields.damaged(4, "no string, or one that stands elsewhere, too")),
        }
        if stored.view().pattern(number).len() < shape.window {
            return Err(fields.damaged(4, "the string is too short for its window"));
        }
        if numbers.last().is_some_and(|last| *last > number) {
            return Err(fields.damaged(4, "numbers that do not ascend"));
        }
        numbers.push(number);
    }
    if numbers.is_empty() {
        return Err(fields.damaged(4, "a part without strings"));
    }
    Ok(numbers)
}
