//! CSV, read.

use crate::encode::RowWriter;
use crate::error::{wanted, TableError};
use crate::escape::unescape;
use crate::schema::{Field, Kind, Schema};
use csv::{ByteRecord, Reader, ReaderBuilder};
use std::cell::Cell;
use std::fs::File;
use std::io::{self, Read};
use std::rc::Rc;

/// The most bytes of a row. A quotation mark that nothing closes would have the rest of the file as one field.
const MOST_BYTES: u64 = 1 << 30;

/// What a file has given so far.
#[derive(Default)]
struct Given {
    /// The bytes that may still come before the next row is whole.
    left: Cell<u64>,
    /// The last byte.
    last: Cell<u8>,
}

/// A file that does not give more bytes than a row may have.
struct Bounded {
    file: File,
    given: Rc<Given>,
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        if let Some(last) = into[..count].last() {
            self.given.last.set(*last);
        }
        let left = self.given.left.get().checked_sub(count as u64);
        let left = left.ok_or_else(|| {
            let what = "a row of more than 1 GiB: a quotation mark is not closed";
            io::Error::new(io::ErrorKind::InvalidData, what)
        })?;
        self.given.left.set(left);
        Ok(count)
    }
}

/// A file of CSV.
pub struct CsvFile {
    rows: Reader<Bounded>,
    given: Rc<Given>,
    columns: Vec<String>,
}

impl CsvFile {
    /// Reads the names of the columns.
    pub fn open(file: File) -> Result<(Self, Vec<String>), TableError> {
        let given = Rc::new(Given::default());
        given.left.set(MOST_BYTES);
        let bounded = Bounded {
            file,
            given: Rc::clone(&given),
        };
        let mut rows = ReaderBuilder::new().from_reader(bounded);
        let head = rows.byte_headers().map_err(error)?;
        let names = head.iter().map(|name| std::str::from_utf8(name));
        let names: Result<Vec<&str>, _> = names.collect();
        let names = names.map_err(|_| TableError::damaged("its first line is not UTF-8"))?;
        let columns: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let file = Self {
            rows,
            given,
            columns: columns.clone(),
        };
        Ok((file, columns))
    }

    pub fn read(
        mut self,
        schema: &Schema,
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TableError> {
        let fields: Vec<(usize, &Field)> = (schema.fields().iter())
            .filter_map(|field| {
                let place = self.columns.iter().position(|name| name == field.name());
                Some((place?, field))
            })
            .collect();
        let (mut record, mut bytes, mut number) = (ByteRecord::new(), Vec::new(), 0);
        loop {
            self.given.left.set(MOST_BYTES);
            if !self.rows.read_byte_record(&mut record).map_err(error)? {
                break;
            }
            number += 1;
            bytes.clear();
            let mut row = RowWriter::row(&mut bytes);
            for (place, field) in &fields {
                let value = record.get(*place).unwrap_or_default();
                row = field_of(row, value, field).ok_or_else(|| TableError::Value {
                    row: number,
                    column: field.name().to_owned(),
                    wanted: wanted(field.kind()),
                })?;
            }
            row.end();
            give(&bytes)?;
        }
        match self.given.last.get() {
            b'\n' => Ok(()),
            _ => Err(TableError::damaged("its last line has no end")),
        }
    }
}

/// Adds the value of a field; `None` if it is none of its kind.
fn field_of<'a>(row: RowWriter<'a>, value: &[u8], field: &Field) -> Option<RowWriter<'a>> {
    if value.is_empty() && field.nullable {
        return Some(row.null());
    }
    let text = std::str::from_utf8(value).ok()?;
    Some(match field.kind() {
        Kind::U64 => row.u64(digits(text)?.parse().ok()?),
        Kind::I64 => {
            digits(text.strip_prefix('-').unwrap_or(text))?;
            row.i64(text.parse().ok()?)
        }
        Kind::F64 => row.f64(text.parse().ok()?),
        Kind::Bool => row.bool(match text {
            "true" => true,
            "false" => false,
            _ => return None,
        }),
        Kind::Text => row.bytes(value),
        Kind::Path | Kind::Bytes => row.bytes(&unescape(text)?),
        Kind::U64s => row.u64s(serde_json::from_str::<Vec<u64>>(text).ok()?.into_iter()),
        Kind::Texts => {
            let texts: Vec<String> = serde_json::from_str(text).ok()?;
            row.texts(texts.iter().map(String::as_bytes))
        }
    })
}

/// The text, if it is digits alone.
fn digits(text: &str) -> Option<&str> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(text)
}

fn error(error: csv::Error) -> TableError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() != io::ErrorKind::InvalidData => {
            TableError::Io(error)
        }
        csv::ErrorKind::Io(error) => TableError::damaged(error),
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.map_or_else(|| "a line".into(), |at| format!("line {}", at.line()));
            TableError::damaged(format!(
                "{line} has {len} fields, but the first has {expected_len}"
            ))
        }
        other => TableError::damaged(format!("it is no CSV: {other:?}")),
    }
}
