//! Record batches as rows.

use crate::encode::RowWriter;
use crate::error::{wanted, TableError};
use crate::escape::unescape;
use crate::schema::{Field, Kind, Schema};
use arrow_array::array::AnyDictionaryArray;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Decimal128Type, Float64Type, Int16Type, Int32Type, Int64Type, Int8Type,
    TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type, UInt8Type,
};
use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, TimeUnit};
use std::io;
use std::sync::Arc;

/// The columns of a schema in record batches.
pub struct Columns<'s> {
    schema: &'s Schema,
    /// Rows before the batch.
    rows: u64,
}

impl<'s> Columns<'s> {
    pub fn new(schema: &'s Schema) -> Self {
        Self { schema, rows: 0 }
    }

    /// Gives the rows of a batch, some at a time.
    pub fn give(
        &mut self,
        batch: &RecordBatch,
        give: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<(), TableError> {
        let fields = self.schema.fields().iter();
        let columns = fields.map(|field| Column::of(batch, field));
        let columns: Vec<Column<'_>> = columns.collect::<Result<_, TableError>>()?;
        // Nothing in the file bounds how many rows it may say to have.
        if batch.num_rows() > 0 && columns.iter().all(|column| column.values.is_typeless) {
            return Err(TableError::damaged(
                "it has rows, but no value in any of their columns",
            ));
        }
        let mut bytes = Vec::new();
        for index in 0..batch.num_rows() {
            self.rows += 1;
            let mut row = RowWriter::row(&mut bytes);
            for column in &columns {
                row = column
                    .value(row, index)
                    .map_err(|wanted| TableError::Value {
                        row: self.rows,
                        column: column.field.name().to_owned(),
                        wanted,
                    })?;
            }
            row.end();
            if bytes.len() >= 64 << 10 {
                give(&bytes)?;
                bytes.clear();
            }
        }
        Ok(give(&bytes)?)
    }
}

/// Values, which may be told by their numbers in a dictionary.
struct Values {
    values: ArrayRef,
    /// The dictionary that tells of each row which of the values it has. Its keys are read where they are.
    dictionary: Option<ArrayRef>,
    nulls: Option<NullBuffer>,
    /// It is of no type, and has no values.
    is_typeless: bool,
}

impl Values {
    fn new(column: &ArrayRef) -> Self {
        if *type_of_values(column.data_type()) == DataType::Null {
            // It may have any length without a byte in the file: no memory is taken for that.
            return Self {
                values: Arc::clone(column),
                dictionary: None,
                nulls: None,
                is_typeless: true,
            };
        }
        let nulls = column.logical_nulls();
        let dictionary = column.as_any_dictionary_opt();
        Self {
            values: Arc::clone(dictionary.map_or(column, AnyDictionaryArray::values)),
            dictionary: dictionary.map(|_| Arc::clone(column)),
            nulls,
            is_typeless: false,
        }
    }

    /// Where the value of a row is; `None` if it has none.
    fn place(&self, row: usize) -> Option<usize> {
        if self.is_typeless || self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return None;
        }
        let Some(dictionary) = &self.dictionary else {
            return Some(row);
        };
        let key = whole(dictionary.as_any_dictionary_opt()?.keys(), row)?;
        let place = usize::try_from(key).ok();
        place.filter(|place| *place < self.values.len())
    }
}

/// A column of a batch.
struct Column<'s> {
    field: &'s Field,
    values: Values,
    /// The bytes of a path, where there is a column of them.
    bytes: Option<Values>,
}

impl<'s> Column<'s> {
    fn of(batch: &RecordBatch, field: &'s Field) -> Result<Self, TableError> {
        let plain = batch.column_by_name(field.name());
        let plain = plain.ok_or_else(|| TableError::damaged("a batch lacks columns"))?;
        let values = typed(
            field.name(),
            plain,
            wanted(field.kind()),
            |kind| match field.kind() {
                Kind::U64 => is_whole(kind),
                Kind::I64 => is_whole(kind) || is_time(kind) && field.unit == NANOSECONDS,
                Kind::F64 => *kind == DataType::Float64,
                Kind::Bool => *kind == DataType::Boolean,
                Kind::Text | Kind::Path => is_text(kind),
                Kind::Bytes => is_binary(kind),
                // Programs have lists that are all empty as lists of no type.
                Kind::U64s => item(kind).is_some_and(|of| is_whole(of) || *of == DataType::Null),
                Kind::Texts => item(kind).is_some_and(|of| is_text(of) || *of == DataType::Null),
            },
        )?;
        let name = format!("{}_bytes", field.name());
        let bytes = match field.kind() {
            Kind::Path => batch.column_by_name(&name),
            _ => None,
        };
        let bytes = bytes.map(|column| typed(&name, column, wanted(Kind::Bytes), is_binary));
        Ok(Self {
            field,
            values,
            bytes: bytes.transpose()?,
        })
    }

    /// Adds the value of a row.
    ///
    /// # Errors
    /// What it should be, and is not.
    fn value<'a>(&self, row: RowWriter<'a>, index: usize) -> Result<RowWriter<'a>, &'static str> {
        let wanted = wanted(self.field.kind());
        let Some(place) = self.values.place(index) else {
            let none = self.field.nullable.then(|| row.null());
            return none.ok_or(wanted);
        };
        let added = match &self.bytes {
            None => value(row, &self.values.values, place, self.field.kind()),
            Some(bytes) => {
                let text = text(&self.values.values, place).and_then(unescape);
                let bytes = (bytes.place(index)).and_then(|at| binary(&bytes.values, at));
                let (text, bytes) = text.zip(bytes).ok_or(wanted)?;
                // A program may have changed one of them.
                if *text != *bytes {
                    return Err("the text of path_bytes; leave one of the two columns out");
                }
                Some(row.bytes(bytes))
            }
        };
        added.ok_or(wanted)
    }
}

/// The values of a column, if its type, or that of its dictionary, is one of those.
fn typed(
    name: &str,
    column: &ArrayRef,
    wanted: &'static str,
    is: impl Fn(&DataType) -> bool,
) -> Result<Values, TableError> {
    let kind = type_of_values(column.data_type());
    // Programs have a column without values as one of no type.
    match is(kind) || *kind == DataType::Null {
        true => Ok(Values::new(column)),
        false => Err(TableError::Type {
            column: name.to_owned(),
            found: column.data_type().to_string(),
            wanted,
        }),
    }
}

/// The type of a column's values, or of those in its dictionary.
fn type_of_values(kind: &DataType) -> &DataType {
    match kind {
        DataType::Dictionary(_, of) => of,
        kind => kind,
    }
}

/// The unit of a number that may also be told as a timestamp.
const NANOSECONDS: &str = "nanoseconds since 1970-01-01 UTC";

/// Whether it holds whole numbers alone. Programs without unsigned numbers have decimals for them.
fn is_whole(kind: &DataType) -> bool {
    kind.is_integer() || matches!(kind, DataType::Decimal128(_, 0))
}

/// Whether it is a point in time, of which nothing is lost: without a time zone a timestamp may be one of any.
fn is_time(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(TimeUnit::Nanosecond, Some(_)))
}

fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_binary(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

/// The type of a list's items.
fn item(kind: &DataType) -> Option<&DataType> {
    match kind {
        DataType::List(item) | DataType::LargeList(item) => Some(item.data_type()),
        _ => None,
    }
}

/// A whole number, whatever its type.
fn whole(column: &dyn Array, index: usize) -> Option<i128> {
    fn at<T: ArrowPrimitiveType<Native: Into<i128>>>(
        column: &dyn Array,
        index: usize,
    ) -> Option<i128> {
        Some(column.as_primitive_opt::<T>()?.value(index).into())
    }
    match column.data_type() {
        DataType::UInt64 => at::<UInt64Type>(column, index),
        DataType::Int64 => at::<Int64Type>(column, index),
        DataType::UInt32 => at::<UInt32Type>(column, index),
        DataType::Int32 => at::<Int32Type>(column, index),
        DataType::UInt16 => at::<UInt16Type>(column, index),
        DataType::Int16 => at::<Int16Type>(column, index),
        DataType::UInt8 => at::<UInt8Type>(column, index),
        DataType::Int8 => at::<Int8Type>(column, index),
        DataType::Timestamp(..) => at::<TimestampNanosecondType>(column, index),
        _ => at::<Decimal128Type>(column, index),
    }
}

/// The text of a column of texts.
fn text(column: &ArrayRef, index: usize) -> Option<&str> {
    Some(match column.data_type() {
        DataType::Utf8 => column.as_string_opt::<i32>()?.value(index),
        DataType::LargeUtf8 => column.as_string_opt::<i64>()?.value(index),
        _ => column.as_string_view_opt()?.value(index),
    })
}

/// The bytes of a column of bytes.
fn binary(column: &ArrayRef, index: usize) -> Option<&[u8]> {
    Some(match column.data_type() {
        DataType::Binary => column.as_binary_opt::<i32>()?.value(index),
        DataType::LargeBinary => column.as_binary_opt::<i64>()?.value(index),
        _ => column.as_binary_view_opt()?.value(index),
    })
}

/// The items of a list.
fn list(column: &ArrayRef, index: usize) -> Option<ArrayRef> {
    let items = match column.data_type() {
        DataType::List(_) => column.as_list_opt::<i32>()?.value(index),
        _ => column.as_list_opt::<i64>()?.value(index),
    };
    (items.null_count() == 0).then_some(items)
}

/// Adds a value; `None` if it is none of this kind.
fn value<'a>(
    row: RowWriter<'a>,
    column: &ArrayRef,
    index: usize,
    kind: Kind,
) -> Option<RowWriter<'a>> {
    Some(match kind {
        Kind::U64 => row.u64(whole(column, index)?.try_into().ok()?),
        Kind::I64 => row.i64(whole(column, index)?.try_into().ok()?),
        Kind::F64 => row.f64(column.as_primitive_opt::<Float64Type>()?.value(index)),
        Kind::Bool => row.bool(column.as_boolean_opt()?.value(index)),
        Kind::Text => row.bytes(text(column, index)?.as_bytes()),
        Kind::Bytes => row.bytes(binary(column, index)?),
        Kind::Path => row.bytes(&unescape(text(column, index)?)?),
        Kind::U64s => {
            let items = list(column, index)?;
            let number = |at| u64::try_from(whole(&items, at)?).ok();
            let numbers: Option<Vec<u64>> = (0..items.len()).map(number).collect();
            row.u64s(numbers?.into_iter())
        }
        Kind::Texts => {
            let items = list(column, index)?;
            let texts: Option<Vec<&str>> = (0..items.len()).map(|at| text(&items, at)).collect();
            row.texts(texts?.into_iter().map(str::as_bytes))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TableReader;
    use arrow_array::types::Int8Type;
    use arrow_array::{DictionaryArray, Int64Array, Int8Array, ListArray, NullArray, StringArray};
    use arrow_buffer::OffsetBuffer;
    use arrow_ipc::writer::{FileWriter, IpcWriteOptions};
    use arrow_ipc::CompressionType;
    use arrow_schema::Field as ArrowField;
    use std::fs::File;

    /// The rows of an Arrow file with these columns.
    fn read(columns: &[(&str, ArrayRef)], fields: Vec<Field>) -> Result<Vec<String>, String> {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut writer = FileWriter::try_new(file.as_file(), batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let table = TableReader::open(File::open(file.path()).unwrap()).unwrap();
        let mut rows = Vec::new();
        let read = table.read(&Schema::new("test", 1, "", fields), |row| {
            rows.push(format!("{row:?}"));
            Ok(())
        });
        read.map(|()| rows).map_err(|error| error.to_string())
    }

    #[test]
    fn columns_of_no_type_take_no_memory_for_their_length() {
        const LONG: usize = 1 << 45;
        let long: ArrayRef = Arc::new(NullArray::new(LONG));
        let nullable = |name| Field::new(name, Kind::U64, "").nullable();
        let columns = [("a", Arc::clone(&long)), ("b", Arc::clone(&long))];
        let error = read(&columns, vec![nullable("a"), nullable("b")]).unwrap_err();
        assert!(error.contains("no value in any"), "{error}");
        let error = read(&columns, vec![Field::new("a", Kind::U64, "")]).unwrap_err();
        assert!(error.contains("no value in any"), "{error}");
        // A dictionary of them, and a list of one.
        let keys = Int8Array::from(vec![0]);
        let words: ArrayRef =
            Arc::new(DictionaryArray::<Int8Type>::try_new(keys, Arc::clone(&long)).unwrap());
        let item = Arc::new(ArrowField::new("item", DataType::Null, true));
        let offsets = OffsetBuffer::new(vec![0, i64::MAX >> 20].into());
        let lists = arrow_array::LargeListArray::new(item, offsets, long, None);
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let columns = [("a", words), ("b", Arc::new(lists)), ("c", numbers)];
        let rows = read(&columns, vec![nullable("a"), nullable("c")]);
        assert_eq!(rows.unwrap(), ["[Null, U64(7)]"]);
        let list = Field::new("b", Kind::U64s, "");
        let error = read(&columns, vec![list]).unwrap_err();
        assert!(
            error.contains("row 1: the column b is not a list of numbers"),
            "{error}"
        );
    }

    #[test]
    fn columns_that_nobody_asks_for_are_not_decompressed() {
        let zeros = |bytes: usize| -> ArrayRef { Arc::new(Int64Array::from(vec![0; bytes / 8])) };
        let written = |columns: &[(String, ArrayRef)]| {
            let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
            let options = IpcWriteOptions::default();
            let options = options.try_with_compression(Some(CompressionType::ZSTD));
            let file = tempfile::NamedTempFile::new().unwrap();
            let schema = batch.schema_ref();
            let mut writer =
                FileWriter::try_new_with_options(file.as_file(), schema, options.unwrap()).unwrap();
            writer.write(&batch).unwrap();
            writer.finish().unwrap();
            file
        };
        let bytes = 1 << 20;
        let columns = ["a", "b", "c", "d", "e", "f"];
        let columns = columns.map(|name| (name.to_owned(), zeros(bytes)));
        let file = written(&columns);
        let mut damaged = std::fs::read(file.path()).unwrap();
        let length = (bytes as i64).to_le_bytes();
        let compressed = [&length[..], &[0x28, 0xb5, 0x2f, 0xfd]].concat();
        let places: Vec<usize> = (0..damaged.len() - compressed.len())
            .filter(|at| damaged[*at..].starts_with(&compressed))
            .collect();
        assert_eq!(places.len(), columns.len());
        let rows = |bytes: &[u8], names: &[&'static str]| {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), bytes).unwrap();
            let fields = names.iter().map(|name| Field::new(*name, Kind::U64, ""));
            let schema = Schema::new("test", 1, "", fields.collect::<Vec<_>>());
            let table = TableReader::open(File::open(file.path()).unwrap()).unwrap();
            let mut rows = 0;
            let read = table.read(&schema, |_| {
                rows += 1;
                Ok(())
            });
            read.map(|()| rows).map_err(|error| error.to_string())
        };
        assert_eq!(rows(&damaged, &["a", "f"]), Ok(bytes / 8));
        // Four columns say that they have more than is there, which decompressing them tells.
        for place in &places[1..5] {
            damaged[*place..place + 8].copy_from_slice(&(bytes as i64 + 8).to_le_bytes());
        }
        assert_eq!(rows(&damaged, &["a", "f"]), Ok(bytes / 8));
        assert!(rows(&damaged, &["a", "b"]).is_err());
    }

    #[test]
    fn the_keys_of_a_dictionary_are_read_in_place() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
        let keys = Int8Array::from(vec![Some(1), None, Some(0), Some(1)]);
        let words = DictionaryArray::<Int8Type>::try_new(keys, Arc::clone(&texts)).unwrap();
        let words: ArrayRef = Arc::new(words);
        let values = Values::new(&words);
        let places: Vec<Option<usize>> = (0..4).map(|row| values.place(row)).collect();
        assert_eq!(places, [Some(1), None, Some(0), Some(1)]);
        let none: ArrayRef = Arc::new(StringArray::from(Vec::<&str>::new()));
        let keys = Int8Array::from(vec![None, None]);
        let words: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::try_new(keys, none).unwrap());
        assert_eq!(Values::new(&words).place(1), None);
    }

    #[test]
    fn lists_that_are_all_empty_may_have_no_type() {
        let item = Arc::new(ArrowField::new("item", DataType::Null, true));
        let of = |offsets: Vec<i32>, length| -> ArrayRef {
            let offsets = OffsetBuffer::new(offsets.into());
            let values = Arc::new(NullArray::new(length));
            Arc::new(ListArray::new(Arc::clone(&item), offsets, values, None))
        };
        for kind in [Kind::U64s, Kind::Texts] {
            let field = || vec![Field::new("a", kind, "")];
            let empty = read(&[("a", of(vec![0, 0, 0], 0))], field()).unwrap();
            assert_eq!(empty.len(), 2, "{empty:?}");
            let error = read(&[("a", of(vec![0, 0, 1], 1))], field()).unwrap_err();
            assert!(
                error.contains("row 2: the column a is not a list of"),
                "{error}"
            );
        }
        // Lists in which each item has a number in a dictionary are refused.
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
        let words = DictionaryArray::<Int8Type>::try_new(Int8Array::from(vec![0]), texts).unwrap();
        let item = Arc::new(ArrowField::new("item", words.data_type().clone(), true));
        let offsets = OffsetBuffer::new(vec![0, 1].into());
        let lists: ArrayRef = Arc::new(ListArray::new(item, offsets, Arc::new(words), None));
        let error = read(&[("a", lists)], vec![Field::new("a", Kind::Texts, "")]).unwrap_err();
        assert!(error.contains("its column a is List(Dictionary"), "{error}");
    }
}
