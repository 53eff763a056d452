//! The results of a program as people and other programs see them: named, and scaled as the program says
//! ([`Show`](gristmill_megakernel::vir0::Show)).

use gristmill_megakernel::vir0::{AccArray, AccKind, Program, Show, Shown};
use serde_json::{json, Map, Value};

/// The most columns of a table.
pub(super) const MAX_COLUMNS: usize = 24;

/// The narrowest column of a table, in characters: numbers that are rarely wider.
const LEAST_WIDTH: usize = 10;

/// A value of an accumulator or a record, as text.
pub(super) fn value(show: Option<&Show>, value: u64) -> String {
    match show {
        Some(show) => show.with_unit(value),
        None => value.to_string(),
    }
}

/// What stands beside a raw value in JSON: the value as it is shown, and its unit. `None` if the program says nothing.
pub(super) fn json(show: Option<&Show>, value: &dyn Fn(&Show) -> Value) -> Option<Value> {
    let show = show?;
    let mut shown = json!({ "value": value(show) });
    if !show.unit.is_empty() {
        shown["unit"] = json!(show.unit);
    }
    if !show.title.is_empty() {
        shown["title"] = json!(show.title);
    }
    Some(shown)
}

/// An array of accumulators, and how it is shown.
struct Array<'a> {
    array: &'a AccArray,
    show: Option<&'a Show>,
    values: &'a [u64],
}

/// The arrays of a program, with their values of `accs`.
fn arrays<'a>(program: &'a Program, accs: &'a [u64]) -> impl Iterator<Item = Array<'a>> {
    let mut rest = accs;
    (0..=u8::MAX)
        .zip(&program.accs)
        .map(move |(number, array)| {
            let (values, after) = rest.split_at(usize::from(array.len).min(rest.len()));
            rest = after;
            Array {
                array,
                show: program.show(Shown::Acc(number)),
                values,
            }
        })
}

impl Array<'_> {
    /// Whether nothing was added to an accumulator that would tell more than its absence does.
    fn is_fresh(&self, value: u64) -> bool {
        value == self.array.kind.identity()
    }

    /// Whether it is a minimum of nothing.
    fn is_none(&self, value: u64) -> bool {
        self.array.kind == AccKind::Min && self.is_fresh(value)
    }

    /// One number, or an array of numbers; null for a minimum that no value was added to.
    fn json(&self, number: impl Fn(u64) -> Value) -> Value {
        let shown = |value: &u64| match self.is_none(*value) {
            true => Value::Null,
            false => number(*value),
        };
        match self.values {
            [one] => shown(one),
            many => many.iter().map(shown).collect(),
        }
    }
}

/// Accumulators by name: the whole numbers as `accs`, and as `shown` those of which the program says how they are shown.
pub(super) fn accs_json(program: &Program, accs: &[u64]) -> Value {
    let (mut raw, mut shown) = (Map::new(), Map::new());
    for array in arrays(program, accs) {
        let name = &array.array.name;
        raw.insert(name.clone(), array.json(|value| json!(value)));
        let scaled = |show: &Show| array.json(|value| json!(show.number(value)));
        if let Some(beside) = json(array.show, &scaled) {
            shown.insert(name.clone(), beside);
        }
    }
    let mut row = json!({ "accs": raw });
    if !shown.is_empty() {
        row["shown"] = shown.into();
    }
    row
}

/// Writes a row for each accumulator; for arrays, only for elements that a value was added to.
pub(super) fn accs_text(program: &Program, name: &[u8], accs: &[u64], rows: &mut Vec<u8>) {
    for array in arrays(program, accs) {
        let title = array
            .show
            .map_or(&array.array.name[..], |show| show.title(&array.array.name));
        for (index, &acc) in array.values.iter().enumerate() {
            if array.is_fresh(acc) && array.values.len() > 1 {
                continue;
            }
            rows.extend(name);
            rows.extend(b": ");
            rows.extend(title.as_bytes());
            if array.values.len() > 1 {
                rows.extend(format!("[{index}]").as_bytes());
            }
            let shown = match array.is_none(acc) {
                true => "none".to_owned(),
                false => value(array.show, acc),
            };
            rows.extend(format!(" {shown}\n").as_bytes());
        }
    }
}

/// The columns of aligned rows: their headings, and how wide they are.
#[derive(Debug)]
pub(super) struct Columns {
    headings: Vec<String>,
    widths: Vec<usize>,
}

impl Columns {
    /// A column for each accumulator.
    pub fn new(program: &Program) -> Self {
        let accs = program.fresh_accs();
        let mut headings = Vec::with_capacity(accs.len());
        for array in arrays(program, &accs) {
            let name = &array.array.name;
            for index in 0..array.values.len() {
                let element = match array.values.len() {
                    1 => String::new(),
                    _ => format!("[{index}]"),
                };
                headings.push(match array.show {
                    Some(show) => show.heading(name, &element),
                    None => format!("{name}{element}"),
                });
            }
        }
        let characters = |heading: &String| heading.chars().count();
        let widths = headings.iter().map(characters);
        Self {
            widths: widths.map(|width| width.max(LEAST_WIDTH)).collect(),
            headings,
        }
    }

    /// The row with the headings.
    pub fn heading(&self) -> Vec<u8> {
        self.aligned(&self.headings, b"path")
    }

    /// The row with the accumulators of `name`.
    pub fn row(&self, program: &Program, name: &[u8], accs: &[u64]) -> Vec<u8> {
        let mut cells = Vec::with_capacity(accs.len());
        for array in arrays(program, accs) {
            cells.extend(array.values.iter().map(|&value| match array.show {
                _ if array.is_none(value) => "-".to_owned(),
                Some(show) => show.value(value),
                None => value.to_string(),
            }));
        }
        self.aligned(&cells, name)
    }

    /// Numbers to the right, then what they are of.
    fn aligned(&self, cells: &[String], last: &[u8]) -> Vec<u8> {
        let mut row = Vec::new();
        for (&width, cell) in self.widths.iter().zip(cells) {
            row.extend(format!("{cell:>width$}  ").as_bytes());
        }
        row.extend(last);
        row.push(b'\n');
        row
    }
}
