//! Files of Arrow IPC and of Parquet, read.

use super::rows::Columns;
use crate::error::TableError;
use crate::schema::Schema;
use crate::told::Told;
use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{read_footer_length, FileDecoder};
use arrow_ipc::{root_as_footer, root_as_message, Block, FieldNode};
use arrow_schema::{DataType, SchemaRef};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

fn names(schema: &arrow_schema::Schema) -> Vec<String> {
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
        check_batch(
            &bytes,
            number(block.bodyLength()).unwrap_or(0),
            &self.schema,
        )?;
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

/// Checks that the buffers of a message lie in its body, which has so many bytes, and that they have the bits that its
/// columns need: the decoder would panic.
fn check_batch(bytes: &[u8], body: u64, schema: &SchemaRef) -> Result<(), TableError> {
    // A length of four bytes stands before the message; in newer files a mark of four bytes before that.
    let message = match bytes.strip_prefix(&[0xff; 4]) {
        Some(rest) => rest.get(4..),
        None => bytes.get(4..),
    };
    let message = root_as_message(message.unwrap_or_default()).map_err(TableError::damaged)?;
    let dictionary = message.header_as_dictionary_batch();
    let batch = match dictionary {
        Some(dictionary) => dictionary.data(),
        None => message.header_as_record_batch(),
    };
    let lies_within = |buffer: &arrow_ipc::Buffer| {
        let offset = u64::try_from(buffer.offset()).ok()?;
        let end = offset.checked_add(u64::try_from(buffer.length()).ok()?)?;
        Some(end <= body)
    };
    let Some(batch) = batch else { return Ok(()) };
    let mut buffers = batch.buffers().into_iter().flatten();
    let all_within = buffers.all(|buffer| lies_within(buffer) == Some(true));
    let mut parts = Parts {
        nodes: &mut batch.nodes().into_iter().flatten(),
        buffers: &mut batch.buffers().into_iter().flatten(),
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
    match all_within && whole {
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
    buffers: &'n mut dyn Iterator<Item = &'b arrow_ipc::Buffer>,
}

impl Parts<'_, '_> {
    fn check(&mut self, kind: &DataType) -> Checked {
        let (Some(node), Some(valid)) = (self.nodes.next(), self.buffers.next()) else {
            return Checked::Short;
        };
        let bits = |buffer: &arrow_ipc::Buffer| buffer.length().saturating_mul(8);
        if node.length() < 0 || node.null_count() != 0 && bits(valid) < node.length() {
            return Checked::Short;
        }
        let mut next = || self.buffers.next();
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

/// A file of which no bytes are asked for that it does not have.
struct Sized {
    file: File,
    length: u64,
}

impl Length for Sized {
    fn len(&self) -> u64 {
        self.length
    }
}

impl ChunkReader for Sized {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(start))?;
        Ok(BufReader::new(file))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length) {
            return Err(ParquetError::General(format!(
                "{length} bytes from {start} on, where it has {}",
                self.length
            )));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

/// A Parquet file.
pub(crate) struct ParquetFile {
    file: Sized,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub fn open(file: File, length: u64) -> Result<(Self, Told), TableError> {
        let file = Sized { file, length };
        let metadata = ArrowReaderMetadata::load(&file, Default::default());
        let metadata = metadata.map_err(TableError::damaged)?;
        let pairs = metadata.metadata().file_metadata().key_value_metadata();
        let pairs = pairs.into_iter().flatten();
        let told = pairs.filter_map(|pair| Some((pair.key.clone(), pair.value.clone()?)));
        let told = Told {
            metadata: told.collect(),
            columns: names(metadata.schema()),
        };
        Ok((Self { file, metadata }, told))
    }

    pub fn read(
        self,
        schema: &Schema,
        give: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), TableError> {
        for group in self.metadata.metadata().row_groups() {
            for column in group.columns() {
                let pages = column.data_page_offset();
                let start = column.dictionary_page_offset().unwrap_or(pages).min(pages);
                let length = column.compressed_size();
                let end = start.checked_add(length).map(u64::try_from);
                let fits = start >= 0 && length >= 0;
                if !fits || !end.is_some_and(|end| end.is_ok_and(|end| end <= self.file.length)) {
                    return Err(TableError::damaged("a column lies outside of the file"));
                }
            }
        }
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata);
        let batches = reader.with_batch_size(8192).build();
        let mut columns = Columns::new(schema);
        for batch in batches.map_err(TableError::damaged)? {
            columns.give(&batch.map_err(TableError::damaged)?, give)?;
        }
        Ok(())
    }
}
