//! The headers of the pages of a Parquet file: structures in Thrift's compact protocol.
//!
//! The reader of the pages parses them again, and does not look at all that it could: it takes the last of several fields
//! with one number, and a field for what it should be, whatever its type. So that nobody can have it read another header than
//! is read here, what no writer writes is refused.

use std::io::{self, Read};

/// Structures in structures that are looked into.
const DEEPEST: u8 = 8;

/// What a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    Dictionary,
    Data,
}

/// What the header of a page says.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub content: Content,
    /// Its bytes, decompressed.
    pub bytes: u64,
    /// Its bytes in the file.
    pub compressed: u64,
    /// How many bytes at its beginning are not compressed.
    pub plain: u64,
    pub is_compressed: bool,
    /// How many values it has.
    pub values: u64,
    /// The encoding of its values.
    pub encoding: u64,
}

impl Page {
    /// Reads the header of a page, and nothing behind it.
    ///
    /// # Errors
    /// `UnexpectedEof` and `InvalidData`, if it is none.
    pub fn read(bytes: impl Read) -> io::Result<Self> {
        Thrift { bytes }.page()
    }
}

/// What is special about a kind of page.
struct Special {
    /// The type of page that has it.
    page: u64,
    content: Content,
    values: Option<u64>,
    encoding: Option<u64>,
    plain: u64,
    is_compressed: bool,
}

impl Special {
    fn new(page: u64, content: Content) -> Self {
        Self {
            page,
            content,
            values: None,
            encoding: None,
            plain: 0,
            is_compressed: true,
        }
    }
}

/// Types of the compact protocol.
mod kind {
    pub const TRUE: u8 = 1;
    pub const FALSE: u8 = 2;
    pub const I32: u8 = 5;
    pub const STRUCT: u8 = 12;
}

fn invalid<T>() -> io::Result<T> {
    Err(io::ErrorKind::InvalidData.into())
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
        invalid()
    }

    /// A number that must not be negative, nor more than this.
    fn size(&mut self, most: u32) -> io::Result<u64> {
        let number = self.number()?;
        match number % 2 == 0 && number / 2 <= u64::from(most) {
            true => Ok(number / 2),
            false => invalid(),
        }
    }

    /// A number of 32 bits that must not be negative.
    fn count(&mut self) -> io::Result<u64> {
        self.size(i32::MAX as u32)
    }

    /// The number and type of the next field of a structure, if there is one. `last` is the number of the one before, which
    /// must be less.
    fn field(&mut self, last: &mut u64) -> io::Result<Option<(u64, u8)>> {
        const MOST: u64 = i16::MAX as u64;
        let head = self.byte()?;
        if head == 0 {
            return Ok(None);
        }
        let number = match head >> 4 {
            0 => self.size(MOST as u32)?,
            more => *last + u64::from(more),
        };
        if number <= *last || number > MOST {
            return invalid();
        }
        *last = number;
        Ok(Some((number, head & 0xf)))
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
                        // Some take a byte for each, and the reader takes none.
                        kind::TRUE | kind::FALSE => return invalid(),
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
            _ => invalid(),
        }
    }

    /// The header of a page: field 1 is its type, 2 its length, 3 the length in the file, 4 a sum that may be negative,
    /// and one more is what is special about this type of page. Nobody writes pages of an index, which would be field 6.
    fn page(&mut self) -> io::Result<Page> {
        let (mut page, mut bytes, mut compressed, mut special) = (None, None, None, None);
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (1, kind::I32) => page = Some(self.count()?),
                (2, kind::I32) => bytes = Some(self.count()?),
                (3, kind::I32) => compressed = Some(self.count()?),
                (4, kind::I32) => self.skip(kind::I32, 0)?,
                (5, kind::STRUCT) if special.is_none() => special = Some(self.version_1()?),
                (7, kind::STRUCT) if special.is_none() => special = Some(self.dictionary()?),
                (8, kind::STRUCT) if special.is_none() => special = Some(self.version_2()?),
                (1..=8, _) => return invalid(),
                (_, of) => self.skip(of, 0)?,
            }
        }
        let whole = || {
            let special = special.filter(|special| page == Some(special.page))?;
            Some(Page {
                content: special.content,
                bytes: bytes?,
                compressed: compressed?,
                plain: special.plain,
                is_compressed: special.is_compressed,
                values: special.values?,
                encoding: special.encoding?,
            })
        };
        whole().ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Field 1 is how many values there are, 2 to 4 are encodings, and 5 statistics.
    fn version_1(&mut self) -> io::Result<Special> {
        let mut special = Special::new(0, Content::Data);
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (1, kind::I32) => special.values = Some(self.count()?),
                (2, kind::I32) => special.encoding = Some(self.count()?),
                (3 | 4, kind::I32) => self.count().map(drop)?,
                (1..=4, _) => return invalid(),
                (_, of) => self.skip(of, 1)?,
            }
        }
        Ok(special)
    }

    /// Field 1 is how many values there are, 2 their encoding, and 3 whether they are sorted.
    fn dictionary(&mut self) -> io::Result<Special> {
        let mut special = Special::new(2, Content::Dictionary);
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (1, kind::I32) => special.values = Some(self.count()?),
                (2, kind::I32) => special.encoding = Some(self.count()?),
                (3, kind::TRUE | kind::FALSE) => {}
                (1..=3, _) => return invalid(),
                (_, of) => self.skip(of, 1)?,
            }
        }
        Ok(special)
    }

    /// Fields 1 to 3 are how many values, nulls and rows there are, 4 is their encoding, 5 and 6 are the lengths of levels,
    /// which are not compressed, and 7 tells whether anything is.
    fn version_2(&mut self) -> io::Result<Special> {
        let mut special = Special::new(3, Content::Data);
        let mut last = 0;
        while let Some(field) = self.field(&mut last)? {
            match field {
                (1, kind::I32) => special.values = Some(self.count()?),
                (2 | 3, kind::I32) => self.count().map(drop)?,
                (4, kind::I32) => special.encoding = Some(self.count()?),
                (5 | 6, kind::I32) => special.plain += self.count()?,
                (7, kind::TRUE) => {}
                (7, kind::FALSE) => special.is_compressed = false,
                (1..=7, _) => return invalid(),
                (_, of) => self.skip(of, 1)?,
            }
        }
        Ok(special)
    }
}
