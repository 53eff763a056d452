//! How many lengths the pages of a Parquet file say that they have.
//!
//! Texts may have their lengths before them, as differences (`DELTA_LENGTH_BYTE_ARRAY` and `DELTA_BYTE_ARRAY`). How many there
//! are is told a second time there, and memory is taken for all of them before the first is read.

use super::sized::Sized;
use crate::error::TableError;
use parquet::basic::Encoding;
use parquet::column::page::Page;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use std::sync::Arc;

/// The encodings, as the headers of pages have them.
pub const DELTA_LENGTH_BYTE_ARRAY: u64 = 6;
/// As above.
pub const DELTA_BYTE_ARRAY: u64 = 7;

/// The most lengths of a page: memory of four bytes is taken for each.
const MOST: u64 = 1 << 27;

/// Checks the pages of a column, of which the headers have been checked.
///
/// # Errors
/// A page has more lengths than values, or cannot be decompressed.
pub fn check(file: &Sized, column: &ColumnChunkMetaData) -> Result<(), TableError> {
    let file = Arc::new(file.try_clone()?);
    let rows = usize::try_from(column.num_values()).unwrap_or(0);
    let pages = SerializedPageReader::new(file, column, rows, None).map_err(TableError::damaged)?;
    for page in pages {
        if fits(&page.map_err(TableError::damaged)?, column).is_none() {
            return Err(TableError::damaged(
                "a page says that it has more lengths than it can have",
            ));
        }
    }
    Ok(())
}

/// `None` if a page has more lengths than values, or is not whole.
fn fits(page: &Page, column: &ColumnChunkMetaData) -> Option<()> {
    let mut bytes: &[u8] = page.buffer();
    let both = match page.encoding() {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => false,
        Encoding::DELTA_BYTE_ARRAY => true,
        _ => return Some(()),
    };
    match page {
        Page::DictionaryPage { .. } => {}
        Page::DataPage {
            def_level_encoding,
            rep_level_encoding,
            ..
        } => {
            let column = column.column_descr();
            let repeats = (column.max_rep_level() > 0).then_some(rep_level_encoding);
            let defines = (column.max_def_level() > 0).then_some(def_level_encoding);
            for encoding in repeats.into_iter().chain(defines) {
                // The older encoding of levels was gone before there were differences.
                if *encoding != Encoding::RLE {
                    return None;
                }
                let length = i32::from_le_bytes(*bytes.split_off(..4)?.first_chunk()?);
                bytes.split_off(..usize::try_from(length).ok()?)?;
            }
        }
        Page::DataPageV2 {
            def_levels_byte_len,
            rep_levels_byte_len,
            ..
        } => {
            let levels = def_levels_byte_len.checked_add(*rep_levels_byte_len)?;
            bytes.split_off(..usize::try_from(levels).ok()?)?;
        }
    }
    let most = MOST.min(page.num_values().into());
    let head = Head::read(&mut bytes, most)?;
    if both {
        // The lengths of what a text has in common with the one before. Those of what is its own stand behind.
        head.skip(&mut bytes)?;
        Head::read(&mut bytes, most)?;
    }
    Some(())
}

/// What stands before differences.
struct Head {
    /// How many parts a block has.
    parts: usize,
    /// How many numbers a part has.
    part: u64,
    /// How many numbers there are.
    count: u64,
}

impl Head {
    /// `None` if there are more numbers than these.
    fn read(bytes: &mut &[u8], most: u64) -> Option<Self> {
        let block = number(bytes)?;
        let parts = number(bytes)?;
        let count = number(bytes)?;
        // The first number.
        number(bytes)?;
        let part = block.checked_div(parts)?;
        (count <= most).then_some(Self {
            parts: parts.try_into().ok()?,
            part,
            count,
        })
    }

    /// Passes over the numbers; the first is in the head.
    fn skip(&self, bytes: &mut &[u8]) -> Option<()> {
        let mut left = self.count.saturating_sub(1);
        while left > 0 {
            // The least difference.
            number(bytes)?;
            for bits in bytes.split_off(..self.parts)? {
                // What a part without numbers says of its bits is not used.
                if left > 0 {
                    let length = u64::from(*bits).checked_mul(self.part)? / 8;
                    bytes.split_off(..usize::try_from(length).ok()?)?;
                }
                left = left.saturating_sub(self.part);
            }
        }
        Some(())
    }
}

/// A number of a variable length.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for place in 0..10 {
        let byte = *bytes.split_off_first()?;
        number |= u64::from(byte & 0x7f) << (7 * place);
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::{Field, Kind, Schema, TableReader};
    use arrow_array::builder::{ListBuilder, StringBuilder};
    use arrow_array::{ArrayRef, RecordBatch, StringArray};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, Encoding};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use std::fs::{self, File};
    use std::sync::Arc;

    /// A Parquet file with these columns.
    fn written(
        columns: &[(&str, ArrayRef)],
        encoding: Encoding,
        version: WriterVersion,
        compression: Compression,
    ) -> Vec<u8> {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let properties = WriterProperties::builder()
            .set_writer_version(version)
            .set_dictionary_enabled(false)
            .set_data_page_row_count_limit(300)
            .set_write_batch_size(100)
            .set_compression(compression)
            .set_encoding(encoding)
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<String>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        let table = TableReader::open(File::open(file.path()).unwrap()).unwrap();
        let fields = [
            Field::new("text", Kind::Text, "").nullable(),
            Field::new("list", Kind::Texts, "").nullable(),
        ];
        let fields = fields.into_iter();
        let fields = fields.filter(|field| table.columns().iter().any(|name| name == field.name()));
        let schema = Schema::new("test", 1, "", fields.collect::<Vec<_>>());
        let mut rows = Vec::new();
        let read = table.read(&schema, |row| {
            rows.push(format!("{row:?}"));
            Ok(())
        });
        read.map(|()| rows).map_err(|error| error.to_string())
    }

    #[test]
    fn texts_with_their_lengths_before_them_are_read() {
        let text = |number: usize| match number % 7 {
            0 => None,
            _ => Some(format!(
                "{}/{}",
                "common".repeat(number % 11),
                number * number
            )),
        };
        let texts: StringArray = (0..1000).map(text).collect();
        let mut lists = ListBuilder::new(StringBuilder::new());
        for number in 0..1000 {
            let items = (0..number % 5).map(|item| Some(format!("{number}.{item}")));
            lists.append_option((number % 3 > 0).then_some(items));
        }
        let columns: [(&str, ArrayRef); 2] = [
            ("text", Arc::new(texts)),
            ("list", Arc::new(lists.finish())),
        ];
        let plain = Compression::UNCOMPRESSED;
        let rows = read(&written(
            &columns,
            Encoding::PLAIN,
            WriterVersion::PARQUET_1_0,
            plain,
        ));
        assert_eq!(rows.as_ref().map(Vec::len), Ok(1000));
        for encoding in [
            Encoding::DELTA_LENGTH_BYTE_ARRAY,
            Encoding::DELTA_BYTE_ARRAY,
        ] {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                for compression in [
                    plain,
                    Compression::SNAPPY,
                    Compression::ZSTD(Default::default()),
                ] {
                    assert_eq!(
                        read(&written(&columns, encoding, version, compression)),
                        rows
                    );
                }
            }
        }
    }

    #[test]
    fn a_page_that_says_to_have_more_lengths_than_values_is_refused() {
        let texts = StringArray::from(vec!["sevenths"; 3]);
        let columns: [(&str, ArrayRef); 1] = [("text", Arc::new(texts))];
        // 128 numbers in 4 parts, 3 in all, and the first, twice that of a text.
        let whole = [0x80, 1, 4, 3, 16];
        let first = [0x80, 1, 4, 3, 0];
        for (encoding, heads) in [
            (Encoding::DELTA_LENGTH_BYTE_ARRAY, &[whole][..]),
            (Encoding::DELTA_BYTE_ARRAY, &[first, [0x80, 1, 4, 3, 16]]),
        ] {
            for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
                let bytes = written(&columns, encoding, version, Compression::UNCOMPRESSED);
                assert_eq!(read(&bytes).map(|rows| rows.len()), Ok(3));
                for head in heads {
                    let at = bytes.windows(5).position(|window| window == head);
                    let at = at.unwrap();
                    let mut more = bytes.clone();
                    more[at + 3] = 4;
                    let error = read(&more).unwrap_err();
                    assert!(error.contains("more lengths than it can have"), "{error}");
                    // As many as fit into what is behind: 2^42, which would be memory of 16 TiB.
                    more[at + 3..at + 10].copy_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]);
                    let error = read(&more).unwrap_err();
                    assert!(error.contains("more lengths than it can have"), "{error}");
                }
            }
        }
    }
}
