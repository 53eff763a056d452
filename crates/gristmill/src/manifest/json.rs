//! Rows of manifests as JSON Lines: a record that says what it is, a record for each file, and one that says how many
//! there were, with the XXH3 of all bytes before it.

use super::head::Head;
use crate::jobs::digest::{MANIFEST, MANIFEST_VERSION};
use crate::jobs::names;
use gristmill_rows::{Field, Kind, RowWriter, Schema, Value as Cell};
use serde_json::{json, Map, Value};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The types of records.
pub const FILE: &str = "file";
pub const END: &str = "manifest_end";

/// The first line.
pub fn head(head: &Head) -> String {
    let record = json!({
        "type": MANIFEST,
        "schema_version": MANIFEST_VERSION,
        "gristmill_version": env!("CARGO_PKG_VERSION"),
        "algorithms": head.algorithms.names(),
        "chunks": head.chunking.map(|chunking| chunking.to_string()),
        "roots": head.roots_json(),
    });
    record.to_string()
}

/// The last line. `complete` says whether the run came to its end.
pub fn end(files: u64, complete: bool, xxh3: u64) -> String {
    let xxh3 = format!("{xxh3:016x}");
    json!({ "type": END, "files": files, "complete": complete, "xxh3": xxh3 }).to_string()
}

/// A row.
pub fn row(schema: &Schema, row: &[Cell<'_>]) -> String {
    let mut record = Map::new();
    record.insert("type".into(), FILE.into());
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    for (field, cell) in schema.fields().iter().zip(row) {
        let value = match cell {
            Cell::Null => Value::Null,
            Cell::U64(number) => (*number).into(),
            Cell::I64(number) => (*number).into(),
            Cell::F64(number) => (*number).into(),
            Cell::Bool(yes) => (*yes).into(),
            Cell::Bytes(path) if field.kind() == Kind::Path => {
                names::json(Path::new(OsStr::from_bytes(path)))
            }
            Cell::Bytes(bytes) => text(bytes),
            Cell::U64s(list) => list.iter().collect(),
            Cell::Texts(list) => list.iter().map(text).collect(),
        };
        record.insert(field.name().to_owned(), value);
    }
    Value::Object(record).to_string()
}

/// Appends the row of which [`row`] made a record.
///
/// # Errors
/// The column whose value is not of its kind.
pub fn parse<'s>(schema: &'s Schema, record: &Value, rows: &mut Vec<u8>) -> Result<(), &'s Field> {
    let mut row = RowWriter::row(rows);
    for field in schema.fields() {
        let value = record.get(field.name()).unwrap_or(&Value::Null);
        row = cell(row, field.kind(), value).ok_or(field)?;
    }
    row.end();
    Ok(())
}

/// Adds a value; `None` if it is none of the kind. Whether there must be one is decided by whoever reads the row.
fn cell<'a>(row: RowWriter<'a>, kind: Kind, value: &Value) -> Option<RowWriter<'a>> {
    Some(match kind {
        _ if value.is_null() => row.null(),
        Kind::U64 => row.u64(value.as_u64()?),
        Kind::I64 => row.i64(value.as_i64()?),
        Kind::F64 => row.f64(value.as_f64()?),
        Kind::Bool => row.bool(value.as_bool()?),
        Kind::Text | Kind::Bytes => row.bytes(value.as_str()?.as_bytes()),
        Kind::Path => row.bytes(&names::of_json(value)?),
        Kind::U64s => {
            let numbers: Option<Vec<u64>> = value.as_array()?.iter().map(Value::as_u64).collect();
            row.u64s(numbers?.into_iter())
        }
        Kind::Texts => {
            let texts: Option<Vec<&str>> = value.as_array()?.iter().map(Value::as_str).collect();
            row.texts(texts?.into_iter().map(str::as_bytes))
        }
    })
}
