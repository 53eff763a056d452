//! What the pages of a Parquet file say of their length.
//!
//! The reader takes memory for a page as its header asks, and what comes out of GZIP without a bound. So the headers, which
//! are structures in Thrift's compact protocol, are looked at before.

use super::bounds::{most_of_gzip, most_of_lz4, most_of_snappy, most_of_zstd};
use crate::error::TableError;
use flate2::read::MultiGzDecoder;
use parquet::basic::CompressionCodec;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;
use std::io::{self, Read};

/// The most bytes that a page may have.
const MOST_BYTES: u64 = 1 << 30;

/// Structures in structures that are looked into.
const DEEPEST: u8 = 8;

/// Checks that each page of a column, which lies in these bytes of the file, may be decompressed.
///
/// # Errors
/// A compression that is not read here, and pages that say what cannot be.
pub fn check(
    file: &impl ChunkReader,
    column: &ColumnChunkMetaData,
    start: u64,
    length: u64,
) -> Result<(), TableError> {
    let most = match column.compression_codec() {
        // The length that is told is not used.
        CompressionCodec::UNCOMPRESSED => return Ok(()),
        CompressionCodec::SNAPPY => most_of_snappy,
        CompressionCodec::GZIP => most_of_gzip,
        CompressionCodec::LZ4_RAW => most_of_lz4,
        CompressionCodec::ZSTD => most_of_zstd,
        other => {
            return Err(TableError::Compression {
                reason: match other {
                    CompressionCodec::LZ4 => "LZ4 in frames of Hadoop, and not LZ4_RAW".to_owned(),
                    other => other.to_string(),
                },
            })
        }
    };
    let is_gzip = matches!(column.compression_codec(), CompressionCodec::GZIP);
    let end = start + length;
    let mut at = start;
    while at < end {
        let bytes = file.get_read(at).map_err(TableError::damaged)?;
        let mut header = Thrift {
            bytes: bytes.take(end - at),
        };
        let page = header.page().map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                TableError::damaged("the header of a page is not whole")
            }
            _ => TableError::Io(error),
        })?;
        let mut behind = header.bytes;
        let fits = page.compressed <= behind.limit()
            && page.plain <= page.compressed
            && page.bytes <= most(page.compressed).min(MOST_BYTES);
        if !fits {
            return Err(TableError::damaged(
                "a page says that it has more bytes than it can have",
            ));
        }
        at = end - behind.limit() + page.compressed;
        if is_gzip && page.is_compressed && page.bytes > page.plain {
            let plain = io::copy(&mut behind.by_ref().take(page.plain), &mut io::sink());
            plain.map_err(TableError::Io)?;
            let gzip = behind.take(page.compressed - page.plain);
            // One byte more tells that there are more.
            let mut inflated = MultiGzDecoder::new(gzip).take(page.bytes - page.plain + 1);
            let bytes = io::copy(&mut inflated, &mut io::sink()).map_err(TableError::damaged)?;
            if bytes + page.plain != page.bytes {
                return Err(TableError::damaged(
                    "a page has another length than it says",
                ));
            }
        }
    }
    Ok(())
}

/// What the header of a page says.
#[derive(Debug, Default)]
struct Page {
    /// Its bytes, decompressed.
    bytes: u64,
    /// Its bytes in the file.
    compressed: u64,
    /// How many bytes at its beginning are not compressed.
    plain: u64,
    is_compressed: bool,
}

/// Types of the compact protocol.
mod kind {
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const I32: u8 = 5;
    pub const STRUCT: u8 = 12;
}

/// Bytes of Thrift's compact protocol.
struct Thrift<R> {
    bytes: R,
}

impl<R: Read> Thrift<R> {
    fn byte(&mut self) -> io::Result<u8> {
        let mut byte = [0];
        self.bytes.read_exact(&mut byte)?;
        Ok(byte[0])
    }

    fn number(&mut self) -> io::Result<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// A number that must not be negative.
    fn size(&mut self) -> io::Result<u64> {
        let number = self.number()?;
        match number % 2 {
            0 => Ok(number / 2),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The number and type of the next field of a structure, if there is one. `last` is the number of the one before.
    fn field(&mut self, last: &mut u64) -> io::Result<Option<(u64, u8)>> {
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        *last = match head >> 4 {
            0 => self.size()?,
            more => *last + u64::from(more),
        };
        Ok(Some((*last, head & 0xf)))
    }

    fn skip_bytes(&mut self, count: u64) -> io::Result<()> {
        match io::copy(&mut self.bytes.by_ref().take(count), &mut io::sink())? {
            copied if copied == count => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// Passes over a value. Each value but a truth in a field has a byte at least, so that this ends where the bytes do.
    fn skip(&mut self, of: u8, depth: u8) -> io::Result<()> {
        match of {
            kind::TRUE | kind::FALSE => Ok(()),
            3 => self.skip_bytes(1),
            4..=6 => self.number().map(drop),
            7 => self.skip_bytes(8),
            8 => {
                let count = self.number()?;
                self.skip_bytes(count)
            }
            9 | 10 if depth < DEEPEST => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.number()?,
                    few => u64::from(few),
                };
                for _ in 0..count {
                    match head & 0xf {
                        kind::TRUE | kind::FALSE => self.skip_bytes(1)?,
                        item => self.skip(item, depth + 1)?,
                    }
                }
                Ok(())
            }
            kind::STRUCT if depth < DEEPEST => {
                let mut last = 0;
                while let Some((_, of)) = self.field(&mut last)? {
                    self.skip(of, depth + 1)?;
                }
                Ok(())
            }
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// The header of a page: field 2 is its length, 3 the length in the file, and 8 what version 2 adds.
    fn page(&mut self) -> io::Result<Page> {
        let mut page = Page {
            is_compressed: true,
            ..Page::default()
        };
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (2, kind::I32) => page.bytes = self.size()?,
                (3, kind::I32) => page.compressed = self.size()?,
                (8, kind::STRUCT) => self.version_2(&mut page)?,
                (_, of) => self.skip(of, 0)?,
            }
        }
        Ok(page)
    }

    /// Fields 5 and 6 are the lengths of levels, which are not compressed, and 7 tells whether anything is.
    fn version_2(&mut self, page: &mut Page) -> io::Result<()> {
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (5 | 6, kind::I32) => page.plain = page.plain.saturating_add(self.size()?),
                (7, kind::FALSE) => page.is_compressed = false,
                (_, of) => self.skip(of, 1)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::parquet_read::Sized;
    use flate2::write::GzEncoder;
    use parquet::basic::{Compression, Type};
    use parquet::schema::types::{ColumnDescriptor, ColumnPath, Type as Column};
    use std::io::Write;
    use std::sync::Arc;

    fn number(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// A page of version 1, with this content, that says to have so many bytes.
    fn page(bytes: u64, content: &[u8]) -> Vec<u8> {
        let mut page = vec![0x15, 0, 0x15];
        page.extend(number(bytes * 2));
        page.push(0x15);
        page.extend(number(content.len() as u64 * 2));
        page.extend([0x2c, 0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6, 0, 0]);
        page.extend(content);
        page
    }

    fn checked(compression: Compression, pages: &[u8]) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(pages).unwrap();
        let kind = Column::primitive_type_builder("a", Type::INT64);
        let kind = Arc::new(kind.build().unwrap());
        let column = ColumnDescriptor::new(kind, 0, 0, ColumnPath::from("a"));
        let column = ColumnChunkMetaData::builder(Arc::new(column));
        let column = column.set_compression(compression).build().unwrap();
        let length = pages.len() as u64;
        let file = Sized { file, length };
        check(&file, &column, 0, length).map_err(|error| error.to_string())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn a_page_that_says_to_have_more_bytes_than_can_be_is_refused() {
        let gzipped = Compression::GZIP(Default::default());
        let zstd = Compression::ZSTD(Default::default());
        let zeros = gzip(&[0; 1 << 20]);
        for (compression, most) in [
            (Compression::SNAPPY, 22 * 100 + 64),
            (Compression::LZ4_RAW, 255 * 100 + 64),
            (zstd, (100 << 15) + (128 << 10)),
        ] {
            let pages = [page(most, &[0; 100]), page(7, &[1; 10])].concat();
            assert_eq!(checked(compression, &pages), Ok(()));
            let pages = [page(7, &[1; 10]), page(most + 1, &[0; 100])].concat();
            let error = checked(compression, &pages).unwrap_err();
            assert!(error.contains("more bytes than it can have"), "{error}");
        }
        let huge = page((1 << 30) + 1, &[0; 1 << 16]);
        assert!(checked(zstd, &huge).is_err());
        assert_eq!(checked(gzipped, &page(1 << 20, &zeros)), Ok(()));
        for bytes in [1, (1 << 20) - 1, (1 << 20) + 1] {
            let error = checked(gzipped, &page(bytes, &zeros)).unwrap_err();
            assert!(error.contains("another length"), "{error}");
        }
        // Several members are one page.
        let two = [zeros.clone(), zeros].concat();
        assert_eq!(checked(gzipped, &page(2 << 20, &two)), Ok(()));
        assert!(checked(gzipped, &page(1 << 20, &two)).is_err());
        assert!(checked(gzipped, &page(100, b"no gzip")).is_err());
        for (compression, name) in [
            (Compression::LZO, "LZO"),
            (Compression::LZ4, "LZ4 in frames of Hadoop"),
            (Compression::BROTLI(Default::default()), "BROTLI"),
        ] {
            let error = checked(compression, &page(1, &[0; 9])).unwrap_err();
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn headers_that_are_not_whole_are_refused() {
        let whole = page(7, &[1; 10]);
        for length in 1..whole.len() {
            assert!(checked(Compression::SNAPPY, &whole[..length]).is_err());
        }
        for header in [
            // A negative length, a number without an end, and structures without one.
            &[0x15, 0, 0x15, 1, 0x15, 0, 0][..],
            &[
                0x15, 0, 0x15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0,
            ],
            &[0x1c; 64],
            &[0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xf],
            &[0x18, 0xff, 0xff, 0xff, 0xff, 0xf, 1],
        ] {
            let error = checked(Compression::SNAPPY, header).unwrap_err();
            assert!(error.contains("header of a page"), "{error}");
        }
    }
}
