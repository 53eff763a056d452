//! Manifests in memory.

use super::error::ManifestErrorKind;
use super::head::Head;
use super::share::ChunkShare;
use crate::jobs::digest::{Algorithm, Algorithms, Digest};
use crate::source::MAX_NAME_BYTES;
use gristmill_rows::{RowReader, Texts, U64s, Value};
use std::cmp::Ordering;
use std::io::{self, Write};

/// A file of a manifest. Its path and digests lie in the manifest's own bytes, behind those of the files before it.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// Where its path ends.
    path_end: u64,
    size: u64,
    modified_ns: i64,
    device: u64,
    inode: u64,
    /// Which of these are known, as bits.
    known: u8,
    /// The number of its error, from 1; 0 for none.
    error: u32,
}

/// The bytes of memory that a manifest may take for each byte of its file. What is compressed well takes some 10.
const MOST_PER_BYTE: u64 = 64;

/// What it may take, however small its file is.
const LEAST_MOST: u64 = 1 << 30;

/// Bits of [`Record::known`].
const SIZE: u8 = 1;
const MODIFIED: u8 = 2;
const INODE: u8 = 4;
const CHANGED: u8 = 8;

/// A manifest in memory.
#[derive(Debug)]
pub struct Manifest {
    head: Head,
    files: Vec<Record>,
    paths: Vec<u8>,
    /// The digests of each file, one for each algorithm. Of a file that could not be read they are zeros.
    digests: Vec<u8>,
    errors: Vec<String>,
    share: Option<ChunkShare>,
}

/// What a manifest says of a file.
#[derive(Debug, Clone, Copy)]
pub struct FileRow<'m> {
    /// Its path.
    pub path: &'m [u8],
    /// Its length in bytes; `None` of a file that could not be read.
    pub size: Option<u64>,
    /// When it was last changed, in nanoseconds since 1970-01-01 UTC.
    pub modified_ns: Option<i64>,
    /// Whether it changed while it was read.
    pub changed: bool,
    /// Its device and inode.
    pub id: Option<(u64, u64)>,
    /// Why it could not be read.
    pub error: Option<&'m str>,
}

impl Manifest {
    /// What it says of itself.
    #[must_use]
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// How many bytes are in chunks that are there more than once, if that was asked for.
    #[must_use]
    pub fn chunk_share(&self) -> Option<ChunkShare> {
        self.share.clone()
    }

    /// A row, by its number from 0.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn file(&self, number: usize) -> FileRow<'_> {
        let file = &self.files[number];
        let known = |bit| file.known & bit != 0;
        let error = file.error.checked_sub(1).map(|error| error as usize);
        FileRow {
            path: self.path(number),
            size: known(SIZE).then_some(file.size),
            modified_ns: known(MODIFIED).then_some(file.modified_ns),
            changed: known(CHANGED),
            id: known(INODE).then_some((file.device, file.inode)),
            error: error.map(|error| &*self.errors[error]),
        }
    }

    /// The digests of a row, one for each algorithm of the head; `None` of a file that could not be read.
    #[must_use]
    pub fn digests(&self, number: usize) -> Option<Vec<Digest>> {
        self.file(number).size?;
        let algorithms = self.head.algorithms.iter();
        let digests = algorithms.map(|of| Some(Digest::new(self.digest(number, of)?)));
        digests.collect()
    }

    /// The path of a row.
    pub(super) fn path(&self, number: usize) -> &[u8] {
        let end = |number: usize| self.files[number].path_end as usize;
        let begin = number.checked_sub(1).map_or(0, end);
        &self.paths[begin..end(number)]
    }

    /// The digests of a row that are made by `algorithm`; `None` if the manifest has none by it.
    pub(super) fn digest(&self, number: usize, algorithm: Algorithm) -> Option<&[u8]> {
        let mut begin = number * self.digest_bytes();
        for of in self.head.algorithms.iter() {
            let end = begin + of.bytes();
            if of == algorithm {
                return self.digests.get(begin..end);
            }
            begin = end;
        }
        None
    }

    /// Orders a row of this manifest and one of another by their content: size, and digests by these algorithms.
    pub(super) fn cmp_content(
        &self,
        row: u32,
        (other, its): (&Self, u32),
        by: &Algorithms,
    ) -> Ordering {
        let (row, its) = (row as usize, its as usize);
        let digests = || {
            let ours = by.iter().map(|of| self.digest(row, of));
            ours.cmp(by.iter().map(|of| other.digest(its, of)))
        };
        let sizes = self.file(row).size.cmp(&other.file(its).size);
        sizes.then_with(digests)
    }

    fn digest_bytes(&self) -> usize {
        self.head.algorithms.iter().map(Algorithm::bytes).sum()
    }
}

/// Takes the rows of a manifest that are written to it, as
/// [`DigestJob::manifest`](crate::jobs::digest::DigestJob::manifest) makes them, into memory.
#[derive(Debug)]
pub struct Gather {
    reader: RowReader,
    taken: Taken,
}

/// The rows so far, and why the last one was not taken.
#[derive(Debug)]
struct Taken {
    manifest: Manifest,
    error: Option<ManifestErrorKind>,
    /// The bytes of memory that they may take.
    most: u64,
    /// Those that errors take.
    error_bytes: u64,
}

/// Why a row is not taken.
#[derive(Debug)]
enum Refused {
    /// What is wrong with it.
    Wrong(&'static str),
    TooManyRows,
    TooMuch,
}

impl Gather {
    /// A manifest without rows.
    #[must_use]
    pub fn new(head: Head) -> Self {
        let manifest = Manifest {
            head,
            files: Vec::new(),
            paths: Vec::new(),
            digests: Vec::new(),
            errors: Vec::new(),
            share: None,
        };
        Self {
            reader: RowReader::new(&manifest.head.schema()),
            taken: Taken {
                manifest,
                error: None,
                most: u64::MAX,
                error_bytes: 0,
            },
        }
    }

    /// Whether the bytes of chunks that are there more than once are added up, too. That takes some 40 bytes for each
    /// different chunk. Default: no.
    #[must_use]
    pub fn sharing(mut self, yes: bool) -> Self {
        let manifest = &mut self.taken.manifest;
        manifest.share = (yes && manifest.head.has_chunks).then(ChunkShare::default);
        self
    }

    /// Takes rows of a file with so many bytes, which may be compressed, and come from anywhere: what they take in memory is
    /// bounded.
    pub(super) fn of_file(mut self, bytes: u64) -> Self {
        self.taken.most = bytes.saturating_mul(MOST_PER_BYTE).max(LEAST_MOST);
        self
    }

    /// Adds a row.
    pub(super) fn row(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        self.taken.row(row)
    }

    /// Why a row was not taken, as its error can be told better than by the one that was returned.
    pub(super) fn error(&mut self) -> Option<ManifestErrorKind> {
        self.taken.error.take()
    }

    /// The manifest.
    ///
    /// # Errors
    /// An error, if the last row is not whole.
    pub fn finish(mut self) -> io::Result<Manifest> {
        self.reader.finish()?;
        let manifest = &mut self.taken.manifest;
        manifest.files.shrink_to_fit();
        manifest.paths.shrink_to_fit();
        manifest.digests.shrink_to_fit();
        if let Some(share) = &mut manifest.share {
            share.forget();
        }
        Ok(self.taken.manifest)
    }
}

impl Write for Gather {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &mut self.taken;
        self.reader.read(bytes, |row| taken.row(row))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Taken {
    fn row(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        let number = self.manifest.files.len() as u64 + 1;
        self.add(row).map_err(|reason| {
            let error = match reason {
                Refused::Wrong(reason) => ManifestErrorKind::Row {
                    row: number,
                    reason: reason.into(),
                },
                Refused::TooManyRows => ManifestErrorKind::TooManyRows,
                Refused::TooMuch => ManifestErrorKind::TooMuch { most: self.most },
            };
            let told = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
            self.error = Some(error);
            told
        })
    }

    /// Adds a row; its values have the types of the schema's columns.
    ///
    /// # Errors
    /// What is wrong with it.
    fn add(&mut self, row: &[Value<'_>]) -> Result<(), Refused> {
        let manifest = &mut self.manifest;
        let mut row = row.iter().copied();
        let mut next = || row.next().unwrap_or(Value::Null);
        if u32::try_from(manifest.files.len()).is_err() {
            return Err(Refused::TooManyRows);
        }
        let path = match next() {
            Value::Bytes([]) => return Err(Refused::Wrong("an empty path")),
            Value::Bytes(path) if path.len() > MAX_NAME_BYTES => {
                return Err(Refused::Wrong("a path of more than 65,536 bytes"))
            }
            Value::Bytes(path) => path,
            _ => return Err(Refused::Wrong("no path")),
        };
        let mut known = 0;
        let size = match next() {
            Value::U64(size) => {
                known |= SIZE;
                size
            }
            _ => 0,
        };
        let modified_ns = match next() {
            Value::I64(modified) => {
                known |= MODIFIED;
                modified
            }
            _ => 0,
        };
        if next() == Value::Bool(true) {
            known |= CHANGED;
        }
        for algorithm in manifest.head.algorithms.iter() {
            let digest = match next() {
                Value::Bytes(digits) => Digest::from_hex(digits),
                _ if known & SIZE != 0 => return Err(Refused::Wrong("a file without a digest")),
                _ => Digest::from_hex(&[b'0'; 64][..2 * algorithm.bytes()]),
            };
            let digest = digest.filter(|digest| digest.as_bytes().len() == algorithm.bytes());
            let digest = digest.ok_or(Refused::Wrong(
                "a digest of another length, or with other digits",
            ))?;
            manifest.digests.extend_from_slice(digest.as_bytes());
        }
        let chunks = match manifest.head.has_chunks {
            true => Some([next(), next(), next()]),
            false => None,
        };
        let (device, inode) = match (next(), next()) {
            (Value::U64(device), Value::U64(inode)) => {
                known |= INODE;
                (device, inode)
            }
            _ => (0, 0),
        };
        if let Some([Value::U64s(offsets), Value::U64s(lengths), Value::Texts(hashes)]) = chunks {
            let id = (known & INODE != 0).then_some((device, inode));
            let share = manifest.share.as_mut();
            let share = share.and_then(|share| share.begin(id).then_some(share));
            add_chunks(share, size, offsets, lengths, hashes).map_err(Refused::Wrong)?;
        }
        let error = match next() {
            Value::Bytes(error) => {
                self.error_bytes += (error.len() + size_of::<String>()) as u64;
                manifest
                    .errors
                    .push(String::from_utf8_lossy(error).into_owned());
                u32::try_from(manifest.errors.len()).map_err(|_| Refused::TooManyRows)?
            }
            _ if known & SIZE == 0 => return Err(Refused::Wrong("neither a size nor an error")),
            _ => 0,
        };
        manifest.paths.extend_from_slice(path);
        manifest.files.push(Record {
            path_end: manifest.paths.len() as u64,
            size,
            modified_ns,
            device,
            inode,
            known,
            error,
        });
        match self.memory() <= self.most {
            true => Ok(()),
            false => Err(Refused::TooMuch),
        }
    }

    /// The bytes of memory that the rows take, or somewhat more.
    fn memory(&self) -> u64 {
        let Manifest {
            files,
            paths,
            digests,
            share,
            ..
        } = &self.manifest;
        let bytes = size_of_val(&files[..]) + paths.len() + digests.len();
        let share = share.as_ref().map_or(0, ChunkShare::memory);
        (bytes as u64)
            .saturating_add(self.error_bytes)
            .saturating_add(share)
    }
}

/// Checks that the chunks of a file of this size follow each other to its end, and adds them to what files share, if they
/// are counted.
///
/// # Errors
/// What is wrong with them.
fn add_chunks(
    mut share: Option<&mut ChunkShare>,
    size: u64,
    offsets: U64s<'_>,
    lengths: U64s<'_>,
    hashes: Texts<'_>,
) -> Result<(), &'static str> {
    let (mut end, mut count) = (0_u64, 0);
    let pieces = offsets.iter().zip(lengths.iter()).zip(hashes.iter());
    for ((offset, length), hash) in pieces {
        let digest = Digest::from_hex(hash).filter(|_| offset == end);
        let digest = digest.ok_or("chunks that do not follow each other")?;
        end = end.checked_add(length).ok_or("a chunk without end")?;
        count += 1;
        if let Some(share) = &mut share {
            share.add(length, digest.as_bytes());
        }
    }
    let lists = [
        offsets.iter().count(),
        lengths.iter().count(),
        hashes.iter().count(),
    ];
    match end == size && lists == [count; 3] {
        true => Ok(()),
        false => Err("chunks that are not those of the whole file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather() -> Gather {
        let algorithms: Algorithms = Algorithm::Blake3.into();
        Gather::new(Head::new(algorithms, None, Vec::new()))
    }

    fn add(gather: &mut Gather, path: &[u8], error: Option<&[u8]>) -> Result<(), String> {
        let digest = [b'0'; 64];
        let row = [
            Value::Bytes(path),
            error.map_or(Value::U64(1), |_| Value::Null),
            Value::Null,
            Value::Null,
            error.map_or(Value::Bytes(&digest), |_| Value::Null),
            Value::Null,
            Value::Null,
            error.map_or(Value::Null, Value::Bytes),
        ];
        gather.row(&row).map_err(|error| error.to_string())
    }

    #[test]
    fn a_path_longer_than_any_is_refused() {
        let mut rows = gather();
        assert_eq!(add(&mut rows, &[b'p'; MAX_NAME_BYTES], None), Ok(()));
        let error = add(&mut rows, &[b'p'; MAX_NAME_BYTES + 1], None).unwrap_err();
        assert!(
            error.contains("row 2: a path of more than 65,536"),
            "{error}"
        );
    }

    #[test]
    fn rows_of_a_file_take_no_more_memory_than_they_may() {
        // As a file of a few bytes has them that says of each row that it is the one before.
        for error in [None, Some(&[b'e'; 60_000][..])] {
            let path = match error {
                None => vec![b'p'; 60_000],
                Some(_) => b"p".to_vec(),
            };
            let mut rows = gather().of_file(1000);
            assert_eq!(rows.taken.most, 1 << 30);
            rows.taken.most = 10 << 20;
            let refused =
                (0..1000).find_map(|row| Some((row, add(&mut rows, &path, error).err()?)));
            let (row, error) = refused.unwrap();
            assert!((160..180).contains(&row), "{row}");
            assert!(
                error.contains("more than 10485760 bytes of memory"),
                "{error}"
            );
            assert!(matches!(
                rows.error(),
                Some(ManifestErrorKind::TooMuch { .. })
            ));
        }
        // A large file may have more, and what this run makes is not bounded here.
        assert_eq!(gather().of_file(1 << 30).taken.most, 64 << 30);
        assert_eq!(gather().taken.most, u64::MAX);
    }
}
