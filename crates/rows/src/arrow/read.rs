//! Files of Arrow IPC, read.

use super::bounds::{most_of_lz4, most_of_zstd};
use super::rows::Columns;
use crate::error::TableError;
use crate::schema::Schema;
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

/// A file of Arrow IPC.
pub(crate) struct IpcFile {
    file: File,
    length: u64,
    decoder: FileDecoder,
    schema: SchemaRef,
    batches: Vec<Block>,
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
        };
        for block in footer.dictionaries().into_iter().flatten() {
            let bytes = ipc.block(block)?;
            let read = ipc.decoder.read_dictionary(block, &bytes);
            read.map_err(TableError::damaged)?;
        }
        Ok((ipc, Told { metadata, columns }))
    }

    /// The bytes of a block, if the file has them.
    fn block(&self, block: &Block) -> Result<Buffer, TableError> {
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
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, offset)?;
        // Its head and its body fit, so that they are numbers.
        let body = usize::try_from(block.bodyLength()).unwrap_or(0);
        let (head, body) = bytes.split_at(length - body);
        check_batch(head, body, &self.schema)?;
        Ok(Buffer::from_vec(bytes))
    }

    pub fn read(
        self,
        schema: &Schema,
        give: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), TableError> {
        let mut columns = Columns::new(schema);
        for block in &self.batches {
            let bytes = self.block(block)?;
            let batch = self.decoder.read_record_batch(block, &bytes);
            let batch: Option<RecordBatch> = batch.map_err(TableError::damaged)?;
            let batch = batch.ok_or_else(|| TableError::damaged("a batch is of no known kind"))?;
            columns.give(&batch, give)?;
        }
        Ok(())
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
/// would panic.
fn check_batch(head: &[u8], body: &[u8], schema: &SchemaRef) -> Result<(), TableError> {
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
    let Some(batch) = batch else { return Ok(()) };
    let compression = batch.compression().map(|compression| compression.codec());
    let buffers = batch.buffers().into_iter().flatten();
    let lengths = buffers.map(|buffer| length_of(buffer, body, compression));
    let lengths: Result<Vec<i64>, &str> = lengths.collect();
    let lengths = lengths.map_err(TableError::damaged)?;
    let mut parts = Parts {
        nodes: &mut batch.nodes().into_iter().flatten(),
        lengths: &mut lengths.into_iter(),
    };
    let fields = schema.fields().iter();
    let whole = dictionary.is_some()
        || fields
            .map(|field| parts.check(field.data_type()))
            .try_fold((), |(), checked| match checked {
                Checked::Fits => Ok(()),
                other => Err(other),
            })
            != Err(Checked::Short);
    match whole {
        true => Ok(()),
        false => Err(TableError::damaged("a column lies outside of its batch")),
    }
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
