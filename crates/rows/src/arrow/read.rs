//! Files of Arrow IPC, read.

use super::bounds::{most_of_lz4, most_of_zstd, MOST_AT_ONCE};
use super::rows::Columns;
use crate::error::TableError;
use crate::schema::{Kind, Schema};
use crate::told::Told;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{read_footer_length, FileDecoder};
use arrow_ipc::{root_as_footer, root_as_message, Block, CompressionType, FieldNode};
use arrow_schema::{DataType, SchemaRef};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

pub(super) fn names(schema: &arrow_schema::Schema) -> Vec<String> {
    let fields = schema.fields().iter();
    fields.map(|field| field.name().clone()).collect()
}

/// Whether a column of this name is read for a schema.
pub(super) fn is_wanted(schema: &Schema, name: &str) -> bool {
    let mut fields = schema.fields().iter();
    fields.any(|field| match name.strip_prefix(field.name()) {
        Some(rest) => rest.is_empty() || field.kind() == Kind::Path && rest == "_bytes",
        None => false,
    })
}

/// A file of Arrow IPC.
pub(crate) struct IpcFile {
    file: File,
    length: u64,
    decoder: FileDecoder,
    schema: SchemaRef,
    batches: Vec<Block>,
    /// The bytes of all dictionaries, which are kept.
    dictionaries: u64,
}

impl IpcFile {
    pub fn open(file: File, length: u64) -> Result<(Self, Told), TableError> {
        let damaged = |what: &str| TableError::damaged(what);
        // The length of the footer, and six bytes of magic.
        let mut end = [0; 10];
        let at = length.checked_sub(end.len() as u64);
        let at = at.ok_or_else(|| damaged("it has no end"))?;
        file.read_exact_at(&mut end, at)?;
        let footer_bytes = read_footer_length(end).map_err(TableError::damaged)?;
        let begin = at.checked_sub(footer_bytes as u64);
        let begin = begin.ok_or_else(|| damaged("its end tells of more bytes than it has"))?;
        let mut footer = vec![0; footer_bytes];
        file.read_exact_at(&mut footer, begin)?;
        let footer = root_as_footer(&footer).map_err(TableError::damaged)?;
        let schema = footer.schema().ok_or_else(|| damaged("it has no schema"))?;
        if !schema.endianness().equals_to_target_endianness() {
            return Err(damaged("its numbers have another order of bytes"));
        }
        let schema = try_fb_to_schema(schema).map_err(TableError::damaged)?;
        let mut metadata: BTreeMap<String, String> =
            schema.metadata().clone().into_iter().collect();
        for pair in footer.custom_metadata().into_iter().flatten() {
            if let (Some(key), Some(value)) = (pair.key(), pair.value()) {
                metadata.insert(key.to_owned(), value.to_owned());
            }
        }
        let columns = names(&schema);
        let schema = Arc::new(schema);
        let blocks = footer.recordBatches().into_iter().flatten();
        let mut ipc = Self {
            file,
            length,
            decoder: FileDecoder::new(Arc::clone(&schema), footer.version()),
            schema,
            batches: blocks.copied().collect(),
            dictionaries: 0,
        };
        for block in footer.dictionaries().into_iter().flatten() {
            let (bytes, taken) = ipc.block(block, |_| true)?;
            ipc.dictionaries += taken;
            let read = ipc.decoder.read_dictionary(block, &bytes);
            read.map_err(TableError::damaged)?;
        }
        Ok((ipc, Told { metadata, columns }))
    }

    /// The bytes of a block, if the file has them; and how many bytes its columns have once they are decompressed, of those that
    /// are `wanted`.
    fn block(
        &self,
        block: &Block,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<(Buffer, u64), TableError> {
        let number = |number: i64| u64::try_from(number).ok();
        let range = || {
            let (offset, body) = (number(block.offset())?, number(block.bodyLength())?);
            let head = number(i64::from(block.metaDataLength()))?;
            let length = head.checked_add(body)?;
            let fits = offset.checked_add(length)? <= self.length && head >= 8;
            Some((offset, usize::try_from(length).ok()?)).filter(|_| fits)
        };
        let (offset, length) = range().ok_or_else(|| {
            TableError::damaged("a batch lies, or seems to lie, outside of the file")
        })?;
        // A file without data has any length.
        if length as u64 > MOST_AT_ONCE {
            return Err(too_large());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        // Its head and its body fit, so that they are numbers.
        let body = usize::try_from(block.bodyLength()).unwrap_or(0);
        let (head, body) = bytes.split_at(length - body);
        let taken = check_batch(head, body, &self.schema, wanted)?;
        if taken.saturating_add(self.dictionaries) > MOST_AT_ONCE {
            return Err(too_large());
        }
        Ok((Buffer::from_vec(bytes), taken))
    }

    pub fn read(
        mut self,
        schema: &Schema,
        give: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), TableError> {
        let fields = self.schema.fields().iter().enumerate();
        let wanted = fields.filter(|(_, field)| is_wanted(schema, field.name()));
        let wanted = wanted.map(|(place, _)| place).collect();
        // What nobody asks for is not decompressed.
        self.decoder = self.decoder.with_projection(wanted);
        let mut columns = Columns::new(schema);
        for block in &self.batches {
            let (bytes, _) = self.block(block, |name| is_wanted(schema, name))?;
            let batch = self.decoder.read_record_batch(block, &bytes);
            let batch: Option<RecordBatch> = batch.map_err(TableError::damaged)?;
            let batch = batch.ok_or_else(|| TableError::damaged("a batch is of no known kind"))?;
            columns.give(&batch, give)?;
        }
        Ok(())
    }
}

fn too_large() -> TableError {
    TableError::TooLarge {
        reason: "a batch, with all dictionaries, has more than 2 GiB",
    }
}

/// The most bytes of a compressed buffer once it is decompressed.
const MOST_BYTES: u64 = 1 << 30;

/// The bytes of a buffer of a body, once it is decompressed.
///
/// # Errors
/// A reason, if it does not lie in the body, or says that it has more bytes than its compression could have made of it.
fn length_of(
    buffer: &arrow_ipc::Buffer,
    body: &[u8],
    compression: Option<CompressionType>,
) -> Result<i64, &'static str> {
    let within = || {
        let offset = usize::try_from(buffer.offset()).ok()?;
        let end = offset.checked_add(usize::try_from(buffer.length()).ok()?)?;
        body.get(offset..end)
    };
    let bytes = within().ok_or("a column lies outside of its batch")?;
    let (Some(compression), false) = (compression, bytes.is_empty()) else {
        return Ok(buffer.length());
    };
    // The length stands before what is compressed; -1 says that it is not.
    let (length, rest) = bytes.split_first_chunk().ok_or("a column has no length")?;
    let length = i64::from_le_bytes(*length);
    if length == -1 {
        return Ok(buffer.length() - 8);
    }
    let most = match compression {
        CompressionType::LZ4_FRAME => most_of_lz4(rest.len() as u64),
        _ => most_of_zstd(rest.len() as u64),
    };
    match u64::try_from(length) {
        Ok(bytes) if bytes <= most.min(MOST_BYTES) => Ok(length),
        _ => Err("a column says that it has more bytes than it can have"),
    }
}

/// Checks that the buffers of a message lie in its body, and that they have the bits that its columns need: the decoder
/// would panic. Returns the bytes of its buffers once they are decompressed, without those of columns that are known not to be
/// `wanted`.
fn check_batch(
    head: &[u8],
    body: &[u8],
    schema: &SchemaRef,
    wanted: impl Fn(&str) -> bool,
) -> Result<u64, TableError> {
    // A length of four bytes stands before the message; in newer files a mark of four bytes before that.
    let message = match head.strip_prefix(&[0xff; 4]) {
        Some(rest) => rest.get(4..),
        None => head.get(4..),
    };
    let message = root_as_message(message.unwrap_or_default()).map_err(TableError::damaged)?;
    let dictionary = message.header_as_dictionary_batch();
    let batch = match dictionary {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    let Some(batch) = batch else { return Ok(0) };
    let compression = batch.compression().map(|compression| compression.codec());
    let buffers = batch.buffers().into_iter().flatten();
    let lengths = buffers.map(|buffer| length_of(buffer, body, compression));
    let lengths: Result<Vec<i64>, &str> = lengths.collect();
    let lengths = lengths.map_err(TableError::damaged)?;
    let bytes = |lengths: &[i64]| -> u64 {
        let lengths = lengths.iter().map(|length| u64::try_from(*length));
        lengths.fold(0, |sum, length| sum.saturating_add(length.unwrap_or(0)))
    };
    let mut taken = bytes(&lengths);
    if dictionary.is_some() {
        return Ok(taken);
    }
    let mut left = lengths.iter();
    let mut nodes = batch.nodes().into_iter().flatten();
    for field in schema.fields() {
        let before = left.as_slice();
        let mut parts = Parts {
            nodes: &mut nodes,
            lengths: &mut left.by_ref().copied(),
        };
        match parts.check(field.data_type()) {
            Checked::Fits if wanted(field.name()) => {}
            Checked::Fits => {
                let own = before.len() - left.as_slice().len();
                taken = taken.saturating_sub(bytes(&before[..own]));
            }
            Checked::Short => {
                return Err(TableError::damaged("a column lies outside of its batch"))
            }
            Checked::Unknown => break,
        }
    }
    Ok(taken)
}

/// Whether a column has the bits that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Checked {
    Fits,
    Short,
    /// It is of a type that is not looked into, so that nothing behind it can be.
    Unknown,
}

/// What describes the columns of a batch, one after the other.
struct Parts<'n, 'b> {
    nodes: &'n mut dyn Iterator<Item = &'b FieldNode>,
    /// The bytes of its buffers.
    lengths: &'n mut dyn Iterator<Item = i64>,
}

impl Parts<'_, '_> {
    fn check(&mut self, kind: &DataType) -> Checked {
        if *kind == DataType::Null {
            // It has no buffers.
            return self.nodes.next().map_or(Checked::Short, |_| Checked::Fits);
        }
        let (Some(node), Some(valid)) = (self.nodes.next(), self.lengths.next()) else {
            return Checked::Short;
        };
        let bits = |bytes: i64| bytes.saturating_mul(8);
        if node.length() < 0 || node.null_count() != 0 && bits(valid) < node.length() {
            return Checked::Short;
        }
        let mut next = || self.lengths.next();
        match kind {
            DataType::Boolean => match next() {
                Some(values) if bits(values) >= node.length() => Checked::Fits,
                _ => Checked::Short,
            },
            kind if kind.is_primitive() => next().map_or(Checked::Short, |_| Checked::Fits),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Binary | DataType::LargeBinary => {
                match (next(), next()) {
                    (Some(_), Some(_)) => Checked::Fits,
                    _ => Checked::Short,
                }
            }
            DataType::List(item) | DataType::LargeList(item) => match next() {
                Some(_) => self.check(item.data_type()),
                None => Checked::Short,
            },
            _ => Checked::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow_array::types::Int8Type;
    use arrow_array::Int8Array;
    use arrow_array::{ArrayRef, DictionaryArray, Int64Array, StringArray};
    use arrow_ipc::writer::FileWriter;

    fn opened(columns: &[(&str, ArrayRef)]) -> Result<IpcFile, TableError> {
        let batch = RecordBatch::try_from_iter(columns.iter().cloned()).unwrap();
        let file = tempfile::tempfile().unwrap();
        let mut writer = FileWriter::try_new(&file, batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        writer.finish().unwrap();
        let length = file.metadata().unwrap().len();
        IpcFile::open(file, length).map(|(ipc, _)| ipc)
    }

    #[test]
    fn the_bytes_of_a_batch_are_those_of_all_wanted_columns_and_of_the_dictionaries() {
        let numbers: ArrayRef = Arc::new(Int64Array::from(vec![7; 1000]));
        let texts: ArrayRef = Arc::new(StringArray::from(vec!["text"]));
        let keys = Int8Array::from(vec![0; 1000]);
        let words: ArrayRef = Arc::new(DictionaryArray::<Int8Type>::try_new(keys, texts).unwrap());
        let columns = [
            ("a", Arc::clone(&numbers)),
            ("b", Arc::clone(&numbers)),
            ("c", numbers),
            ("d", words),
        ];
        let mut ipc = opened(&columns).unwrap();
        assert!((4..100).contains(&ipc.dictionaries), "{}", ipc.dictionaries);
        let block = ipc.batches[0];
        let taken = |ipc: &IpcFile, wanted: &[&str]| {
            let block = ipc.block(&block, |name| wanted.contains(&name));
            block.map(|(_, taken)| taken)
        };
        let all = taken(&ipc, &["a", "b", "c", "d"]).unwrap();
        let two = taken(&ipc, &["a", "c", "d"]).unwrap();
        assert!((24_000..28_000).contains(&all), "{all}");
        assert!((8000..9000).contains(&(all - two)), "{two} of {all}");
        // With all that is kept it would be too much.
        ipc.dictionaries = MOST_AT_ONCE - two;
        assert_eq!(taken(&ipc, &["a", "c", "d"]).unwrap(), two);
        let error = taken(&ipc, &["a", "b", "c", "d"]).unwrap_err();
        assert!(matches!(error, TableError::TooLarge { .. }), "{error}");
        assert!(error.to_string().contains("more than 2 GiB"), "{error}");
    }
}
