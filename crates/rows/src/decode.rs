//! Rows out of bytes.

use crate::encode::{record, tag, LENGTH};
use crate::schema::{Kind, Schema};
use crate::value::{Texts, U64s, Value};
use std::io;

/// Bytes that are not rows of the schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// A record that no row writer has written.
    #[error("bytes that are not a row of the table {schema}; please report this")]
    Malformed {
        /// The schema's name.
        schema: String,
    },
    /// A row whose values are not those of the schema's columns.
    #[error(
        "a row with another value than the table {schema} has in its column {column}; please report this"
    )]
    Column {
        /// The schema's name.
        schema: String,
        /// The column's name, or a word for what is behind the last.
        column: String,
    },
    /// The last row is not whole.
    #[error("the last row of the table {schema} is cut off; please report this")]
    Cut {
        /// The schema's name.
        schema: String,
    },
}

impl From<RowError> for io::Error {
    fn from(error: RowError) -> Self {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

/// Reads rows that a [`RowWriter`](crate::RowWriter) has written. The bytes may come cut anywhere.
#[derive(Debug)]
pub struct RowReader {
    schema: Schema,
    /// The last common record's values, as bytes.
    common: Vec<u8>,
    /// The beginning of a record whose rest has not come.
    pending: Vec<u8>,
}

impl RowReader {
    /// Reads rows of this schema.
    #[must_use]
    pub fn new(schema: &Schema) -> Self {
        Self {
            schema: schema.clone(),
            common: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Takes the bytes that follow, and calls `each` with the values of each row, one for each column.
    ///
    /// # Errors
    /// [`RowError`] as an [`io::Error`], and the first error of `each`, after which no more can be read.
    pub fn read(
        &mut self,
        bytes: &[u8],
        each: impl FnMut(&[Value<'_>]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            let rest = self.whole(bytes, each)?;
            self.pending.extend_from_slice(rest);
        } else {
            pending.extend_from_slice(bytes);
            let rest = self.whole(&pending, each)?.len();
            pending.drain(..pending.len() - rest);
            self.pending = pending;
        }
        Ok(())
    }

    /// Checks that nothing is left of what was read.
    ///
    /// # Errors
    /// [`RowError::Cut`] if the last row is not whole.
    pub fn finish(&self) -> Result<(), RowError> {
        match self.pending.is_empty() {
            true => Ok(()),
            false => Err(RowError::Cut {
                schema: self.schema.name().to_owned(),
            }),
        }
    }

    /// Reads the whole records that `bytes` begin with. Returns the rest.
    fn whole<'b>(
        &mut self,
        mut bytes: &'b [u8],
        mut each: impl FnMut(&[Value<'_>]) -> io::Result<()>,
    ) -> io::Result<&'b [u8]> {
        let kept = std::mem::take(&mut self.common);
        let mut common: &[u8] = &kept;
        let mut values: Vec<Value<'_>> = Vec::with_capacity(self.schema.fields().len());
        self.values(common, &mut values)?;
        // How many of `values` are common.
        let mut shared = values.len();
        while let Some((length, behind)) = bytes.split_first_chunk::<LENGTH>() {
            let length = usize::try_from(u64::from_le_bytes(*length));
            let length = length.map_err(|_| self.malformed())?;
            let Some((record, rest)) = behind.split_at_checked(length) else {
                break;
            };
            bytes = rest;
            let (kind, record) = record.split_first().ok_or_else(|| self.malformed())?;
            match *kind {
                record::COMMON => {
                    values.clear();
                    self.values(record, &mut values)?;
                    (common, shared) = (record, values.len());
                    continue;
                }
                record::ROW => values.truncate(shared),
                record::WHOLE_ROW => values.clear(),
                _ => return Err(self.malformed().into()),
            }
            self.values(record, &mut values)?;
            if values.len() < self.schema.fields().len() {
                return Err(self.column(values.len()).into());
            }
            each(&values)?;
            if *kind == record::WHOLE_ROW {
                values.clear();
                self.values(common, &mut values)?;
            }
        }
        self.common = common.to_vec();
        Ok(bytes)
    }

    /// Adds the values of a record.
    fn values<'b>(&self, mut bytes: &'b [u8], values: &mut Vec<Value<'b>>) -> Result<(), RowError> {
        let fields = self.schema.fields();
        while !bytes.is_empty() {
            let (value, rest) = value(bytes).ok_or_else(|| self.malformed())?;
            let field = fields.get(values.len());
            let fits = field.is_some_and(|field| match (value, field.kind) {
                (Value::Null, _) => field.nullable,
                (Value::Bytes(_), kind) => matches!(kind, Kind::Text | Kind::Path | Kind::Bytes),
                (Value::U64(_), kind) => kind == Kind::U64,
                (Value::I64(_), kind) => kind == Kind::I64,
                (Value::F64(_), kind) => kind == Kind::F64,
                (Value::Bool(_), kind) => kind == Kind::Bool,
                (Value::U64s(_), kind) => kind == Kind::U64s,
                (Value::Texts(_), kind) => kind == Kind::Texts,
            });
            if !fits {
                return Err(self.column(values.len()));
            }
            values.push(value);
            bytes = rest;
        }
        Ok(())
    }

    fn malformed(&self) -> RowError {
        RowError::Malformed {
            schema: self.schema.name().to_owned(),
        }
    }

    fn column(&self, index: usize) -> RowError {
        let field = self.schema.fields().get(index);
        RowError::Column {
            schema: self.schema.name().to_owned(),
            column: field.map_or("behind the last", |field| field.name()).into(),
        }
    }
}

/// The value that bytes begin with, and what is behind it.
#[inline]
fn value(bytes: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    match *tag {
        tag::NULL => return Some((Value::Null, rest)),
        tag::FALSE => return Some((Value::Bool(false), rest)),
        tag::TRUE => return Some((Value::Bool(true), rest)),
        _ => {}
    }
    let (word, rest) = rest.split_first_chunk::<8>()?;
    let sized = |size: usize| {
        let length = usize::try_from(u64::from_le_bytes(*word)).ok()?;
        rest.split_at_checked(length.checked_mul(size)?)
    };
    Some(match *tag {
        tag::U64 => (Value::U64(u64::from_le_bytes(*word)), rest),
        tag::I64 => (Value::I64(i64::from_le_bytes(*word)), rest),
        tag::F64 => (Value::F64(f64::from_le_bytes(*word)), rest),
        tag::BYTES => {
            let (bytes, rest) = sized(1)?;
            (Value::Bytes(bytes), rest)
        }
        tag::U64S => {
            let (bytes, rest) = sized(8)?;
            (Value::U64s(U64s(bytes.as_chunks().0)), rest)
        }
        tag::TEXTS => {
            let (bytes, rest) = sized(1)?;
            (Value::Texts(Texts(bytes)), rest)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, RowWriter};

    fn schema() -> Schema {
        let fields = [
            Field::new("path", Kind::Path, ""),
            Field::new("u", Kind::U64, ""),
            Field::new("i", Kind::I64, "").nullable(),
            Field::new("f", Kind::F64, ""),
            Field::new("b", Kind::Bool, ""),
            Field::new("n", Kind::U64s, ""),
            Field::new("t", Kind::Texts, ""),
        ];
        Schema::new("test", 1, "", fields)
    }

    fn rest<'a>(row: RowWriter<'a>, number: u64) -> RowWriter<'a> {
        let signed = i64::try_from(number).unwrap();
        let row = row.u64(number).i64(-signed).f64(0.5).bool(number > 1);
        let texts = [&b"x"[..], b"", b"\xff"];
        row.u64s((0..number).collect::<Vec<_>>().into_iter())
            .texts(texts[..3.min(number as usize)].iter().copied())
    }

    fn shown(reader: &mut RowReader, pieces: &[&[u8]]) -> Vec<String> {
        let mut shown = Vec::new();
        for piece in pieces {
            let each = |row: &[Value<'_>]| {
                let Value::U64s(numbers) = row[5] else {
                    panic!("{row:?}")
                };
                let Value::Texts(texts) = row[6] else {
                    panic!("{row:?}")
                };
                let (numbers, texts) = (numbers.iter().sum::<u64>(), texts.iter().count());
                shown.push(format!("{:?} {numbers} {texts}", &row[..5]));
                Ok(())
            };
            reader.read(piece, each).unwrap();
        }
        reader.finish().unwrap();
        shown
    }

    #[test]
    fn rows_are_read_however_they_are_cut() {
        let mut rows = Vec::new();
        RowWriter::common(&mut rows).bytes(b"one").end();
        rest(RowWriter::rest(&mut rows), 1).end();
        rest(RowWriter::row(&mut rows).bytes(b"whole"), 2).end();
        rest(RowWriter::rest(&mut rows), 3).end();
        RowWriter::common(&mut rows).bytes(b"two\xff").end();
        rest(RowWriter::rest(&mut rows), 4).end();
        let all = shown(&mut RowReader::new(&schema()), &[&rows]);
        assert_eq!(all.len(), 4);
        assert!(all[0].contains("[111, 110, 101]"), "{}", all[0]);
        assert!(all[2].contains("[111, 110, 101]"), "{}", all[2]);
        assert!(all[3].ends_with("] 6 3"), "{}", all[3]);
        for cut in 0..=rows.len() {
            let (first, second) = rows.split_at(cut);
            assert_eq!(shown(&mut RowReader::new(&schema()), &[first, second]), all);
        }
        let bytes: Vec<&[u8]> = rows.chunks(1).collect();
        assert_eq!(shown(&mut RowReader::new(&schema()), &bytes), all);
    }

    #[test]
    fn what_is_no_row_of_the_schema_is_told_and_nothing_panics() {
        let read = |rows: &[u8]| {
            let mut reader = RowReader::new(&schema());
            let read = reader.read(rows, |_| Ok(()));
            read.and_then(|()| Ok(reader.finish()?))
        };
        let mut rows = Vec::new();
        RowWriter::row(&mut rows).bytes(b"p").i64(7).end();
        let error = read(&rows).unwrap_err().to_string();
        assert!(error.contains("column u"), "{error}");
        let mut rows = Vec::new();
        RowWriter::row(&mut rows).bytes(b"p").end();
        assert!(read(&rows).unwrap_err().to_string().contains("column u"));
        let mut rows = Vec::new();
        rest(RowWriter::row(&mut rows).bytes(b"p"), 3)
            .bool(true)
            .end();
        let error = read(&rows).unwrap_err().to_string();
        assert!(error.contains("behind the last"), "{error}");
        let mut rows = Vec::new();
        rest(RowWriter::row(&mut rows).bytes(b"p"), 3).end();
        read(&rows).unwrap();
        assert!(read(&rows[..rows.len() - 1]).is_err());
        let seed = gristmill_testing::seed("GRISTMILL_ROWS_SEED");
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..20_000 {
            let mut broken = rows.clone();
            let at = random.usize(..broken.len());
            broken[at] = random.u8(..);
            let _ = read(&broken);
        }
    }
}
