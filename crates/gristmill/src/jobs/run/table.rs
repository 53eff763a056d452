//! What a program makes of files as rows of a table.

use gristmill_megakernel::vir0::{AccArray, AccKind, Program, Show, Shown};
use gristmill_rows::{Field, Kind, RowWriter, Schema};

/// The columns of a table of a program's records and accumulators: the fixed ones, and behind them one for each
/// accumulator of the program, under the accumulator's name. Where a fixed column has that name, the accumulator's column
/// begins with `acc_`. Values are the program's whole numbers; where it says how they are shown, so does what a column is
/// said to mean.
#[must_use]
pub fn run_schema(program: &Program) -> Schema {
    let of_record = |name, about: String| Field::new(name, Kind::U64, about).nullable();
    let mut fields = vec![
        Field::new("path", Kind::Path, "The file."),
        Field::new(
            "type",
            Kind::Text,
            "`record`, or `file` for a file's accumulators, which follow its records.",
        ),
        of_record("offset", "For a record: its offset in the file.".into())
            .distinct()
            .unit("bytes"),
        of_record(
            "value",
            format!(
                "For a record: its value, {}.",
                unit(program.show(Shown::Records))
            ),
        ),
        of_record("bytes", "Of a file: its length.".into()).unit("bytes"),
    ];
    for (number, array) in (0..=u8::MAX).zip(&program.accs) {
        let mut name = array.name.clone();
        while fields.iter().any(|field| field.name() == name) || name == "path_bytes" {
            name.insert_str(0, "acc_");
        }
        let none = match (array.kind, array.len) {
            (AccKind::Min, 1) => ", none without a value",
            (AccKind::Min, _) => ", 18446744073709551615 without a value",
            _ => "",
        };
        let about = format!(
            "For a file: the program's accumulator `{}` ({}{none}), {}.",
            array.name,
            array.kind,
            unit(program.show(Shown::Acc(number)))
        );
        let kind = match array.len {
            1 => Kind::U64,
            _ => Kind::U64s,
        };
        fields.push(Field::new(name, kind, about).nullable());
    }
    Schema::new(
        "run",
        1,
        "A record of a program, or a file's accumulators: `run`.",
        fields,
    )
}

/// What a value counts.
fn unit(show: Option<&Show>) -> String {
    match show {
        Some(show) if show.divisor > 1 && show.unit.is_empty() => {
            format!("to be divided by {}", show.divisor)
        }
        Some(show) if show.divisor > 1 => {
            format!("to be divided by {} for {}", show.divisor, show.unit)
        }
        Some(show) if !show.unit.is_empty() => format!("in {}", show.unit),
        _ => "in the unit of the program".to_owned(),
    }
}

/// Appends a record.
pub(super) fn record(
    path: &[u8],
    offset: u64,
    value: u32,
    accumulators: usize,
    rows: &mut Vec<u8>,
) {
    let row = RowWriter::row(rows).bytes(path).bytes(b"record");
    let row = row.u64(offset).u64(value.into()).null();
    (0..accumulators).fold(row, |row, _| row.null()).end();
}

/// Appends a file's accumulators: `values` has those of each array.
pub(super) fn file<'a>(
    path: &[u8],
    bytes: u64,
    values: impl Iterator<Item = (&'a AccArray, &'a [u64])>,
    rows: &mut Vec<u8>,
) {
    let row = RowWriter::row(rows).bytes(path).bytes(b"file");
    let row = row.null().null().u64(bytes);
    values
        .fold(row, |row, (array, values)| match values {
            [value] if array.kind == AccKind::Min && *value == array.kind.identity() => row.null(),
            [value] => row.u64(*value),
            values => row.u64s(values.iter().copied()),
        })
        .end();
}
