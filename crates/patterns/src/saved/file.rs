//! Head, table of sections, and sections.

use super::error::SetError;
use super::fields::FieldReader;
use super::memory::SetBytes;
use super::FORMAT;
use std::ops::Range;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_128;

/// The first bytes of every set. A transfer that changes line ends, or takes seven bits, changes them.
pub const MAGIC: [u8; 8] = *b"\x89GMS\r\n\x1a\n";

/// Where the checksum of head and table is, and where the bytes begin of which it is.
const CHECKSUM: Range<usize> = 16..32;

/// Bytes of the head, and of an entry in the table of sections.
const HEAD: usize = 64;
const ENTRY: usize = 40;

/// Where an entry has the checksum of its section.
const SUM: usize = 24;

/// The version of the program that writes, and the number of sections.
const WRITER: Range<usize> = 40..56;
const COUNT: usize = 56;

/// Sections begin at multiples of this.
const ALIGN: usize = 64;

/// The most sections: more than any set has.
const MOST: usize = 256;

/// What a section holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Tag {
    /// What the set is made of.
    Set = 1,
    /// The names of patterns: their bytes, and where each ends.
    NameBytes = 2,
    NameEnds = 3,
    /// Strings: how they are searched for, their bytes, and where each ends.
    Strings = 4,
    StringBytes = 5,
    StringEnds = 6,
    /// Tables of each class of strings.
    Grams = 7,
    Windows = 8,
    Lists = 9,
    Members = 10,
    /// Regexes, and how they are searched for.
    Regexes = 11,
    /// What a user of the set adds to it.
    Attached = 12,
}

impl Tag {
    const ALL: [(Self, &'static str); 12] = [
        (Self::Set, "set"),
        (Self::NameBytes, "name bytes"),
        (Self::NameEnds, "name ends"),
        (Self::Strings, "strings"),
        (Self::StringBytes, "string bytes"),
        (Self::StringEnds, "string ends"),
        (Self::Grams, "grams"),
        (Self::Windows, "windows"),
        (Self::Lists, "lists"),
        (Self::Members, "members"),
        (Self::Regexes, "regexes"),
        (Self::Attached, "attached"),
    ];

    fn of(number: u32) -> Option<(Self, &'static str)> {
        Self::ALL.into_iter().find(|(tag, _)| *tag as u32 == number)
    }

    fn name(self) -> &'static str {
        Self::of(self as u32).map_or("", |(_, name)| name)
    }
}

/// The checksum of bytes.
fn checksum(bytes: &[u8]) -> [u8; 16] {
    xxh3_128(bytes).to_le_bytes()
}

/// Puts a set together.
#[derive(Default)]
pub(crate) struct SetWriter {
    sections: Vec<(Tag, u32, Vec<u8>)>,
}

impl SetWriter {
    /// Adds a section. Those with the same tag have a number each.
    pub fn section(&mut self, tag: Tag, number: u32, bytes: impl Into<Vec<u8>>) {
        self.sections.push((tag, number, bytes.into()));
    }

    /// The set's bytes.
    pub fn finish(mut self) -> Vec<u8> {
        self.sections
            .sort_by_key(|(tag, number, _)| (*tag, *number));
        let mut set = vec![0; HEAD];
        set[..8].copy_from_slice(&MAGIC);
        set[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        let version = env!("CARGO_PKG_VERSION").as_bytes();
        let shown = version.len().min(WRITER.len());
        set[WRITER][..shown].copy_from_slice(&version[..shown]);
        let count = u32::try_from(self.sections.len()).unwrap_or(u32::MAX);
        set[COUNT..COUNT + 4].copy_from_slice(&count.to_le_bytes());
        let table_end = HEAD + ENTRY * self.sections.len();
        let mut offset = table_end;
        for (tag, number, bytes) in &self.sections {
            offset = offset.next_multiple_of(ALIGN);
            set.extend_from_slice(&(*tag as u32).to_le_bytes());
            set.extend_from_slice(&number.to_le_bytes());
            set.extend_from_slice(&(offset as u64).to_le_bytes());
            set.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
            set.extend_from_slice(&checksum(bytes));
            offset += bytes.len();
        }
        offset = offset.next_multiple_of(ALIGN);
        set.reserve_exact(offset - set.len());
        for (_, _, bytes) in self.sections {
            set.resize(set.len().next_multiple_of(ALIGN), 0);
            set.extend_from_slice(&bytes);
        }
        set.resize(offset, 0);
        set[32..40].copy_from_slice(&(offset as u64).to_le_bytes());
        let checksum = checksum(&set[CHECKSUM.end..table_end]);
        set[CHECKSUM].copy_from_slice(&checksum);
        set
    }
}

/// A set whose head, checksum and table of sections were checked.
#[derive(Debug)]
pub(crate) struct SetReader {
    bytes: Arc<SetBytes>,
    sections: Vec<(Tag, u32, Range<usize>)>,
}

impl SetReader {
    /// Takes a set that is in memory.
    ///
    /// # Errors
    /// What is wrong with head, table or checksums.
    pub fn new(bytes: SetBytes) -> Result<Self, SetError> {
        if cfg!(target_endian = "big") {
            return Err(SetError::BigEndian);
        }
        let set = bytes.all();
        if !set.starts_with(&MAGIC) {
            return Err(SetError::NotASet);
        }
        let found = set.len() as u64;
        let cut = |expected| SetError::Length { expected, found };
        let Some(head) = set.get(..HEAD) else {
            return Err(cut(HEAD as u64));
        };
        let word = |at: usize| {
            let bytes = head.get(at..).and_then(|rest| rest.first_chunk());
            u32::from_le_bytes(bytes.copied().unwrap_or_default())
        };
        let format = word(8);
        if format != FORMAT {
            let writer = String::from_utf8_lossy(&head[WRITER]);
            let writer = writer.trim_end_matches('\0');
            let writer = writer.chars().filter(|letter| !letter.is_control());
            return Err(SetError::Format {
                format,
                writer: writer.collect(),
            });
        }
        let expected = u64::from(word(32)) | u64::from(word(36)) << 32;
        if expected != found {
            return Err(cut(expected));
        }
        let damaged = |offset: usize, what: &str| {
            Err(SetError::damaged("table of sections", offset as u64, what))
        };
        for reserved in [12, COUNT + 4] {
            if word(reserved) != 0 {
                return damaged(reserved, "a reserved number that is not 0");
            }
        }
        let count = word(COUNT) as usize;
        if count > MOST {
            return damaged(COUNT, "more sections than any set has");
        }
        let Some(table) = set.get(HEAD..HEAD + ENTRY * count) else {
            return damaged(COUNT, "the set ends before its table of sections does");
        };
        let changed = |section, range: Range<usize>| {
            let (from, until) = (range.start as u64, range.end as u64);
            Err(SetError::Checksum {
                section,
                from,
                until,
            })
        };
        let summed = CHECKSUM.end..HEAD + table.len();
        if head[CHECKSUM] != checksum(&set[summed.clone()]) {
            return changed("head", summed);
        }
        let mut sections: Vec<(Tag, u32, Range<usize>)> = Vec::with_capacity(count);
        let mut end = HEAD + ENTRY * count;
        for (index, entry) in table.chunks_exact(ENTRY).enumerate() {
            let at = HEAD + ENTRY * index;
            let mut fields = FieldReader::new(entry, "table of sections", at as u64);
            let (tag, number) = (fields.u32()?, fields.u32()?);
            let (offset, len) = (fields.u64()?, fields.u64()?);
            let Some((tag, name)) = Tag::of(tag) else {
                return damaged(at, "a section of an unknown kind");
            };
            if sections
                .last()
                .is_some_and(|last| (last.0, last.1) >= (tag, number))
            {
                return damaged(at, "the sections are out of order");
            }
            let begin = end.next_multiple_of(ALIGN);
            if offset != begin as u64 {
                return damaged(at + 8, "the section does not begin after the one before");
            }
            let length = usize::try_from(len).ok();
            let until = length.and_then(|len| begin.checked_add(len));
            let Some(until) = until.filter(|until| *until <= set.len()) else {
                return damaged(at + 16, "the section reaches beyond the set's end");
            };
            if let Some(stray) = set[end..begin].iter().position(|byte| *byte != 0) {
                return damaged(end + stray, "a byte between sections that is not 0");
            }
            if entry[SUM..] != checksum(&set[begin..until]) {
                return changed(name, begin..until);
            }
            sections.push((tag, number, begin..until));
            end = until;
        }
        if end.next_multiple_of(ALIGN) != set.len() {
            return damaged(COUNT, "the set continues after its last section");
        }
        if let Some(stray) = set[end..].iter().position(|byte| *byte != 0) {
            return damaged(end + stray, "a byte after the last section that is not 0");
        }
        Ok(Self {
            bytes: Arc::new(bytes),
            sections,
        })
    }

    /// A section that must be there. It is taken: see [`end`](Self::end).
    ///
    /// # Errors
    /// If it is missing.
    pub fn take(&mut self, tag: Tag, number: u32) -> Result<Section, SetError> {
        self.find(tag, number).ok_or_else(|| {
            let what = format!("the section {} {number} is missing", tag.name());
            SetError::damaged("table of sections", HEAD as u64, what)
        })
    }

    /// A section, if it is there. It is taken: see [`end`](Self::end).
    pub fn find(&mut self, tag: Tag, number: u32) -> Option<Section> {
        let mut sections = self.sections.iter();
        let index = sections.position(|(one, its, _)| (*one, *its) == (tag, number))?;
        let (tag, _, range) = self.sections.remove(index);
        Some(Section {
            bytes: Arc::clone(&self.bytes),
            name: tag.name(),
            range,
        })
    }

    /// Makes sure that every section was taken.
    ///
    /// # Errors
    /// If one was not: nothing uses it.
    pub fn end(&self) -> Result<(), SetError> {
        match self.sections.first() {
            Some((tag, _, range)) => Err(SetError::damaged(
                tag.name(),
                range.start as u64,
                "a section that belongs to nothing in the set",
            )),
            None => Ok(()),
        }
    }
}

/// A section of a set that was read. It keeps the set in memory.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    bytes: Arc<SetBytes>,
    name: &'static str,
    /// Its bytes in the set. They begin at a multiple of [`ALIGN`].
    range: Range<usize>,
}

impl Section {
    /// The section's bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let all = self.bytes.all();
        all.get(self.range.clone()).unwrap_or_default()
    }

    /// Its fields.
    pub fn fields(&self) -> FieldReader<'_> {
        FieldReader::new(self.bytes(), self.name, self.range.start as u64)
    }

    /// An error about the byte `at` of the section.
    pub fn damaged(&self, at: usize, what: impl Into<String>) -> SetError {
        SetError::damaged(self.name, (self.range.start + at) as u64, what)
    }
}
