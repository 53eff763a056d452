//! What the pages of a Parquet file say of their length.
//!
//! The reader takes memory for a page as its header asks, and what comes out of GZIP without a bound. So the headers, which
//! are structures in Thrift's compact protocol, are looked at before.

use super::bounds::{most_of_gzip, most_of_lz4, most_of_snappy, most_of_zstd};
use super::lengths::{self, DELTA_BYTE_ARRAY, DELTA_LENGTH_BYTE_ARRAY};
use super::page_header::{Content, Page};
use super::sized::Sized;
use crate::error::TableError;
use flate2::read::MultiGzDecoder;
use parquet::basic::{CompressionCodec, Type};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::ChunkReader;
use std::io::{self, Read};

/// The most bytes that a page may have.
const MOST_BYTES: u64 = 1 << 30;

/// The offset and the length of a column in its file. The reader begins at the dictionary, wherever that is.
///
/// # Errors
/// One of them is negative, or the file of this length has less.
pub fn range(column: &ColumnChunkMetaData, file: u64) -> Result<(u64, u64), TableError> {
    let dictionary = column.dictionary_page_offset();
    let start = dictionary.unwrap_or(column.data_page_offset());
    let range = || {
        let (start, length) = (start.try_into().ok()?, column.compressed_size().try_into());
        let length = length.ok()?;
        let end = u64::checked_add(start, length)?;
        (end <= file).then_some((start, length))
    };
    range().ok_or_else(|| TableError::damaged("a column lies outside of the file"))
}

/// The bits that a value of a dictionary takes in its page, at least.
fn bits_of_value(column: &ColumnChunkMetaData) -> u64 {
    match column.column_type() {
        Type::BOOLEAN => 1,
        Type::INT32 | Type::FLOAT => 32,
        Type::INT64 | Type::DOUBLE => 64,
        Type::INT96 => 96,
        // Its length stands before it.
        Type::BYTE_ARRAY => 32,
        Type::FIXED_LEN_BYTE_ARRAY => {
            let bytes = column.column_descr().type_length();
            u64::try_from(bytes).unwrap_or(0).max(1) * 8
        }
    }
}

/// The most values that a page may have, of which so many bytes are what the reader sees.
fn most_values(column: &ColumnChunkMetaData, content: Content, bytes: u64) -> u64 {
    match content {
        // Memory is taken for all at once.
        Content::Dictionary => (bytes * 8 / bits_of_value(column)).min(MOST_BYTES),
        // A row of lists may have all of them: eight bytes of memory for each.
        Content::Data if column.column_descr().max_rep_level() > 0 => MOST_BYTES / 8,
        Content::Data => u64::MAX,
    }
}

/// What the pages of a column may take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Most {
    /// The bytes of the longest dictionary and of the longest other page, decompressed.
    pub pages: u64,
    /// The bytes of a value, on average over the pages that are read for a batch. A dictionary may be one value, which each row
    /// has, and a text may begin with all of the one before it; so these count as a whole.
    pub value: u64,
}

/// Checks that each page of a column, which lies in these bytes of the file, may be decompressed. Returns what they take.
///
/// # Errors
/// A compression that is not read here, and pages that say what cannot be.
pub fn check(
    file: &Sized,
    column: &ColumnChunkMetaData,
    start: u64,
    length: u64,
) -> Result<Most, TableError> {
    let most = match column.compression_codec() {
        // The length that is told is not used.
        CompressionCodec::UNCOMPRESSED => |_| u64::MAX,
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
    let is_plain = matches!(column.compression_codec(), CompressionCodec::UNCOMPRESSED);
    let is_gzip = matches!(column.compression_codec(), CompressionCodec::GZIP);
    let end = start + length;
    let mut has_lengths = false;
    let (mut dictionary, mut data, mut value) = (0, 0, 0);
    let mut at = start;
    while at < end {
        let bytes = file.get_read(at).map_err(TableError::damaged)?;
        let mut behind = bytes.take(end - at);
        let page = Page::read(&mut behind).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
                TableError::damaged("the header of a page is not whole, or says what cannot be")
            }
            _ => TableError::Io(error),
        })?;
        let fits = page.compressed <= behind.limit()
            && page.plain <= page.compressed
            && (is_plain || page.bytes <= most(page.compressed).min(MOST_BYTES));
        if !fits {
            return Err(TableError::damaged(
                "a page says that it has more bytes than it can have",
            ));
        }
        let bytes = match is_plain || !page.is_compressed {
            true => page.compressed,
            false => page.bytes,
        };
        if page.values > most_values(column, page.content, bytes) {
            return Err(TableError::damaged(
                "a page says that it has more values than it can have",
            ));
        }
        match page.content {
            Content::Dictionary => dictionary = bytes.max(dictionary),
            Content::Data => {
                let alone = page.encoding == DELTA_BYTE_ARRAY;
                let values = if alone { 1 } else { page.values.max(1) };
                (data, value) = (bytes.max(data), bytes.div_ceil(values).max(value));
            }
        }
        has_lengths |= matches!(page.encoding, DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY);
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
    if has_lengths {
        lengths::check(file, column)?;
    }
    Ok(Most {
        pages: dictionary + data,
        value: dictionary + value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use parquet::basic::Compression;
    use parquet::file::metadata::ColumnChunkMetaDataBuilder;
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
        checked_as(Type::INT64, 0, compression, pages)
    }

    /// Checks the pages of a column of this type, which is of lists where its values repeat.
    fn checked_as(
        kind: Type,
        repeats: i16,
        compression: Compression,
        pages: &[u8],
    ) -> Result<(), String> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(pages).unwrap();
        let column = column(kind, repeats).set_compression(compression);
        let length = pages.len() as u64;
        let file = Sized { file, length };
        let column = column.build().unwrap();
        let checked = check(&file, &column, 0, length);
        checked.map(|_| ()).map_err(|error| error.to_string())
    }

    fn column(kind: Type, repeats: i16) -> ColumnChunkMetaDataBuilder {
        let kind = Column::primitive_type_builder("a", kind).with_length(5);
        let kind = Arc::new(kind.build().unwrap());
        let column = ColumnDescriptor::new(kind, repeats, repeats, ColumnPath::from("a"));
        ColumnChunkMetaData::builder(Arc::new(column))
    }

    /// The header of a page that has no bytes, where these bytes are what its special header has.
    fn header(page: u8, field: u8, special: &[u8]) -> Vec<u8> {
        let first = [0x15, page * 2, 0x15, 0, 0x15, 0, (field - 3) << 4 | 0xc];
        [&first, special, &[0, 0]].concat()
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
    fn what_the_values_of_a_column_may_take_is_told() {
        let most = |pages: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(pages).unwrap();
            let length = pages.len() as u64;
            let column = column(Type::BYTE_ARRAY, 0).build().unwrap();
            check(&Sized { file, length }, &column, 0, length).unwrap()
        };
        let data = |values: u64, encoding: u64, content: &[u8]| {
            let of = number(values * 2);
            let special = [
                &[0x15][..],
                &of,
                &[0x15, encoding as u8 * 2, 0x15, 6, 0x15, 6],
            ]
            .concat();
            let mut page = header(0, 5, &special);
            page[5] = content.len() as u8 * 2;
            [&page[..], content].concat()
        };
        let dictionary = |content: &[u8]| {
            let mut page = header(2, 7, &[0x15, 2, 0x15, 0]);
            page[5] = content.len() as u8 * 2;
            [&page[..], content].concat()
        };
        // A value is one of the dictionary, or what the pages have for each.
        let pages = [data(10, 0, &[0; 50]), data(30, 0, &[0; 60])].concat();
        assert_eq!(
            most(&pages),
            Most {
                pages: 60,
                value: 5
            }
        );
        let pages = [dictionary(&[0; 40]), pages].concat();
        assert_eq!(
            most(&pages),
            Most {
                pages: 100,
                value: 45
            }
        );
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

    #[test]
    fn a_page_that_says_to_have_more_values_than_can_be_is_refused() {
        let plain = Compression::UNCOMPRESSED;
        let dictionary = |values: u64, bytes: u64, content: &[u8]| {
            let mut page = vec![0x15, 4, 0x15];
            page.extend(number(bytes * 2));
            page.push(0x15);
            page.extend(number(content.len() as u64 * 2));
            page.extend([0x4c, 0x15]);
            page.extend(number(values * 2));
            page.extend([0x15, 0, 0x12, 0, 0]);
            page.extend(content);
            page
        };
        let most = [
            (Type::BOOLEAN, 960),
            (Type::INT32, 30),
            (Type::FLOAT, 30),
            (Type::INT64, 15),
            (Type::DOUBLE, 15),
            (Type::INT96, 10),
            (Type::BYTE_ARRAY, 30),
            (Type::FIXED_LEN_BYTE_ARRAY, 24),
        ];
        let refused = |kind, compression, pages: &[u8]| {
            let error = checked_as(kind, 0, compression, pages).unwrap_err();
            assert!(error.contains("more values than it can have"), "{error}");
        };
        for (kind, most) in most {
            // What is told of its length is not used where nothing is compressed.
            for bytes in [0, 120, i32::MAX as u64] {
                let pages = [page(7, &[1; 10]), dictionary(most, bytes, &[0; 120])].concat();
                assert_eq!(checked_as(kind, 0, plain, &pages), Ok(()));
                for values in [most + 1, i32::MAX as u64] {
                    refused(kind, plain, &dictionary(values, bytes, &[0; 120]));
                }
            }
            let pages = dictionary(most, 120, &[0; 30]);
            assert_eq!(checked_as(kind, 0, Compression::SNAPPY, &pages), Ok(()));
            refused(
                kind,
                Compression::SNAPPY,
                &dictionary(most + 1, 120, &[0; 30]),
            );
        }
        // The values of a list are read at once, and others a batch at a time.
        for (values, lists) in [(1 << 27, true), ((1 << 27) + 1, false)] {
            let special = [
                &[0x15][..],
                &number(values * 2),
                &[0x15, 0, 0x15, 6, 0x15, 6],
            ]
            .concat();
            let pages = header(0, 5, &special);
            assert_eq!(checked_as(Type::INT64, 0, plain, &pages), Ok(()));
            assert_eq!(checked_as(Type::INT64, 1, plain, &pages).is_ok(), lists);
        }
    }

    #[test]
    fn headers_that_the_reader_would_take_for_others_are_refused() {
        let version_1 = [0x15, 2, 0x15, 0, 0x15, 6, 0x15, 6];
        let version_2 = [0x15, 2, 0x15, 0, 0x15, 2, 0x15, 0, 0x15, 0, 0x15, 0];
        let compressed = [&version_2[..], &[0x11]].concat();
        let not_compressed = [&version_2[..], &[0x12]].concat();
        let (one, two) = (header(0, 5, &version_1), header(3, 8, &version_2));
        let gzip = Compression::GZIP(Default::default());
        for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip] {
            for special in [&version_2[..], &compressed, &not_compressed] {
                assert_eq!(checked(compression, &header(3, 8, special)), Ok(()));
            }
            assert_eq!(checked(compression, &one), Ok(()));
            // A sum, statistics, and fields that nobody knows yet.
            let mut other = [&one[..6], &[0x15, 1], &[0x1c], &version_1].concat();
            other.extend([0x1c, 0x18, 1, 7, 0x16, 4, 0, 0, 0x48, 2, 7, 7, 0]);
            assert_eq!(checked(compression, &other), Ok(()));
        }
        /// The header with these bytes in place of some.
        fn with(header: &[u8], at: std::ops::Range<usize>, bytes: &[u8]) -> Vec<u8> {
            [&header[..at.start], bytes, &header[at.end..]].concat()
        }
        // The second byte from the end ends the special header, and the last the header.
        let (last_1, last_2) = (one.len() - 1, two.len() - 1);
        let huge = number(u64::from(i32::MAX as u32) * 2);
        let i64_of = |type_and_number: u8| [&[type_and_number][..], &huge].concat();
        let again = |number_of_field: u8| [&[0x05, number_of_field * 2][..], &huge].concat();
        let twice = [&[0x0c, 16][..], &compressed, &[0]].concat();
        for (what, header) in [
            ("a length of 64 bits", with(&one, 2..4, &i64_of(0x16))),
            (
                "a length of 64 bits in the file",
                with(&one, 4..6, &i64_of(0x16)),
            ),
            (
                "a length of 33 bits",
                with(&one, 2..4, &[&[0x15][..], &number(1 << 33)].concat()),
            ),
            (
                "a length of 33 bits in the file",
                with(&one, 4..6, &[&[0x15][..], &number(1 << 33)].concat()),
            ),
            ("a length twice", with(&one, last_1..last_1, &again(2))),
            (
                "a number of 17 bits",
                with(
                    &one,
                    last_1..last_1,
                    &[&[0x05][..], &number(65538 * 2), &huge].concat(),
                ),
            ),
            (
                "version 2 twice",
                with(
                    &header(3, 8, &not_compressed),
                    last_2 + 1..last_2 + 1,
                    &twice,
                ),
            ),
            (
                "levels twice",
                with(&two, last_2 - 1..last_2 - 1, &[0x05, 10, 0]),
            ),
            ("levels of 64 bits", with(&two, 15..16, &[0x16])),
            (
                "no truth",
                with(&header(3, 8, &compressed), last_2 - 1..last_2, &[0x15, 0]),
            ),
            ("values of 64 bits", with(&two, 7..8, &[0x16])),
            ("no length", with(&one, 2..6, &[0x25, 0])),
            (
                "no number of values",
                header(0, 5, &[0x25, 0, 0x15, 6, 0x15, 6]),
            ),
            ("another header", header(0, 7, &[0x15, 0, 0x15, 0])),
            ("an index", header(1, 6, &[])),
            ("no header", vec![0x15, 0, 0x15, 0, 0x15, 0, 0]),
            (
                "two headers",
                with(
                    &one,
                    last_1..last_1,
                    &[
                        0x3c, 0x15, 0, 0x15, 0, 0x15, 0, 0x15, 0, 0x15, 0, 0x15, 0, 0,
                    ],
                ),
            ),
            (
                "truths in a list",
                with(&one, last_1..last_1, &[0x49, 0x21, 5, 5]),
            ),
        ] {
            for compression in [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip] {
                let checked = checked(compression, &header);
                let error = checked.expect_err(what);
                assert!(error.contains("header of a page"), "{what}: {error}");
            }
        }
    }

    #[test]
    fn a_column_begins_where_the_reader_begins() {
        let of = |dictionary, data, length| {
            let column = column(Type::INT64, 0).set_dictionary_page_offset(dictionary);
            let column = column.set_data_page_offset(data);
            let column = column.set_total_compressed_size(length);
            range(&column.build().unwrap(), 100).ok()
        };
        assert_eq!(of(None, 4, 96), Some((4, 96)));
        assert_eq!(of(Some(4), 50, 96), Some((4, 96)));
        assert_eq!(of(Some(50), 4, 50), Some((50, 50)));
        for (dictionary, data, length) in [
            (Some(50), 4, 96),
            (None, 4, 97),
            (None, -1, 1),
            (Some(-1), 4, 1),
            (None, 4, -1),
            (None, i64::MAX, i64::MAX),
        ] {
            assert_eq!(of(dictionary, data, length), None);
        }
    }
}
