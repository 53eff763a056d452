//! Hashes that process a file's bytes in order, and which chunk is next.
//!
//! Chunks come to the workers in any order, and no worker may wait for another: the next chunk may be waiting in the
//! ring for this very worker. So the state of a file's hashes is behind a lock that is only ever tried. A worker whose
//! chunk is not the next one leaves it unhashed, with the flag OVERFLOW. The mill passes chunks to the job in file
//! order, and publishes such a chunk again when its turn has come: by then all earlier chunks are hashed. Meanwhile the
//! worker takes a chunk of another file, so several files are hashed in parallel, each in order.

use super::algorithm::{Algorithm, Algorithms, Digest};
use super::chunks::{Chunk, Chunking, Cutter};
use crate::source::Entry;
use gristmill_protocol::stream::WITHOUT_TREE;
use gristmill_ring::lock;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use xxhash_rust::xxh3::Xxh3;

/// The states of those hashes of a file that take its bytes in order.
#[derive(Default)]
pub struct Hashes {
    /// The offset of the byte that is due.
    next: u64,
    /// Gives 64 bits and 128.
    xxh3: Option<Box<Xxh3>>,
    sha256: Option<Sha256>,
    md5: Option<Md5>,
    sha1: Option<Sha1>,
    cutter: Option<Cutter>,
}

impl Hashes {
    /// The hashes of no bytes, which are cut into chunks if `chunking` says how.
    pub fn new(algorithms: &Algorithms, chunking: Option<Chunking>) -> Self {
        use Algorithm::{Xxh3_128, Xxh3_64};
        let has = |algorithm| algorithms.contains(algorithm);
        Self {
            next: 0,
            xxh3: (has(Xxh3_64) || has(Xxh3_128)).then(Box::default),
            sha256: has(Algorithm::Sha256).then(Sha256::default),
            md5: has(Algorithm::Md5).then(Md5::default),
            sha1: has(Algorithm::Sha1).then(Sha1::default),
            cutter: chunking.map(Cutter::new),
        }
    }

    /// Whether the byte at `offset` is due.
    pub fn is_due(&self, offset: u64) -> bool {
        self.next == offset
    }

    /// Hashes the next bytes, which must stay in a cache while all hashes see them: some kilobytes.
    fn add_part(&mut self, bytes: &[u8]) {
        if let Some(xxh3) = &mut self.xxh3 {
            xxh3.update(bytes);
        }
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(cutter) = &mut self.cutter {
            cutter.add(bytes);
        }
        self.next += bytes.len() as u64;
    }

    /// Hashes the next bytes. `more` is asked from time to time whether to go on.
    pub fn add(&mut self, bytes: &[u8], more: impl Fn() -> bool) {
        const PART_BYTES: usize = 64 << 10;
        for part in bytes.chunks(PART_BYTES).take_while(|_| more()) {
            self.add_part(part);
        }
    }

    /// The chunks of the file, which ends here; `None` if it has too many, or is not cut.
    pub fn chunks(&mut self) -> Option<Vec<Chunk>> {
        self.cutter.take()?.finish()
    }

    /// The digest of the bytes so far; `None` of an algorithm that this file is not hashed with, or not in order.
    pub fn digest(&self, algorithm: Algorithm) -> Option<Digest> {
        let xxh3 = self.xxh3.as_ref();
        match algorithm {
            Algorithm::Xxh3_64 => xxh3.map(|xxh3| Digest::new(&xxh3.digest().to_be_bytes())),
            Algorithm::Xxh3_128 => xxh3.map(|xxh3| Digest::new(&xxh3.digest128().to_be_bytes())),
            Algorithm::Sha256 => finished(self.sha256.as_ref()),
            Algorithm::Md5 => finished(self.md5.as_ref()),
            Algorithm::Sha1 => finished(self.sha1.as_ref()),
            Algorithm::Crc32c | Algorithm::Blake3 => None,
        }
    }
}

fn finished<D: sha2::Digest + Clone>(state: Option<&D>) -> Option<Digest> {
    state.map(|state| Digest::new(&state.clone().finalize()))
}

/// What workers do with a file.
pub struct Work {
    /// How its digests are made.
    pub algorithms: Algorithms,
    /// Present if some are made in order, or chunks.
    pub hashes: Option<Mutex<Hashes>>,
}

impl Work {
    /// A file of which no byte has been hashed yet.
    pub fn new(algorithms: Algorithms, chunking: Option<Chunking>) -> Self {
        let any = algorithms.any_in_order() || chunking.is_some();
        let hashes = any.then(|| Mutex::new(Hashes::new(&algorithms, chunking)));
        Self { algorithms, hashes }
    }
}

/// The bit of a slot's mode that says that its file is a stream, whose chunks begin and end within leaves. A tree of them
/// is left to the host, which sees them in order.
pub const STREAM: u32 = WITHOUT_TREE;

/// The files that are being hashed. A slot names its file by a number in the word of its mode.
#[derive(Default)]
pub struct Files(Mutex<Numbered>);

impl std::fmt::Debug for Files {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Files({} are hashed)", lock(&self.0).files.len())
    }
}

#[derive(Default)]
struct Numbered {
    /// The number of the file that has this place in the source's order.
    numbers: HashMap<u64, u32>,
    files: HashMap<u32, Arc<Work>>,
    last: u32,
}

impl Files {
    /// The word for slots of a file that is none of these any more.
    const GONE: u32 = 0;

    /// Adds a file, and returns its number, which leaves the bit [`STREAM`] free.
    pub fn begin(&self, entry: &Entry, algorithms: Algorithms, chunking: Option<Chunking>) -> u32 {
        let mut files = lock(&self.0);
        // As many files as there are numbers are never open at the same time.
        loop {
            files.last = files.last.wrapping_add(1) & !STREAM;
            if files.last != Self::GONE && !files.files.contains_key(&files.last) {
                break;
            }
        }
        let number = files.last;
        files.numbers.insert(entry.sequence, number);
        files
            .files
            .insert(number, Arc::new(Work::new(algorithms, chunking)));
        number
    }

    /// The number of a file that was added.
    pub fn number(&self, entry: &Entry) -> u32 {
        let files = lock(&self.0);
        let number = files.numbers.get(&entry.sequence);
        number.copied().unwrap_or(Self::GONE)
    }

    /// The file with this number; `None` if it was taken away, because it has failed before this chunk of it was run.
    pub fn get(&self, number: u32) -> Option<Arc<Work>> {
        lock(&self.0).files.get(&number).cloned()
    }

    /// Takes a file away; `None` if it was never added, because it has no byte.
    pub fn end(&self, entry: &Entry) -> Option<Arc<Work>> {
        let mut files = lock(&self.0);
        let number = files.numbers.remove(&entry.sequence)?;
        files.files.remove(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hashes_of_nothing_and_of_abc_are_those_of_their_specifications() {
        let all: Algorithms = Algorithm::ALL.into_iter().collect();
        let mut hashes = Hashes::new(&all, None);
        let shown = |hashes: &Hashes, algorithm| {
            let digest = hashes.digest(algorithm);
            digest.map_or_else(String::new, |digest| digest.to_string())
        };
        // XXH3: the reference implementation's test vectors for length 0; its second line by xxhsum 0.8.
        let empty = "99aa06d3014798d86001c324468d497f";
        assert_eq!(shown(&hashes, Algorithm::Xxh3_128), empty);
        assert_eq!(shown(&hashes, Algorithm::Xxh3_64), "2d06800538d394c2");
        assert!(hashes.is_due(0));
        hashes.add(b"abc", || true);
        assert!(hashes.is_due(3) && !hashes.is_due(0));
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(shown(&hashes, Algorithm::Sha256), sha256);
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        assert_eq!(shown(&hashes, Algorithm::Sha1), sha1);
        let md5 = "900150983cd24fb0d6963f7d28e17f72";
        assert_eq!(shown(&hashes, Algorithm::Md5), md5);
        assert_eq!(shown(&hashes, Algorithm::Blake3), "");
    }

    #[test]
    fn a_file_has_a_number_until_it_ends() {
        let files = Files::default();
        let entry = |sequence| Entry {
            sequence,
            ..Entry::named("file")
        };
        let (one, two) = (entry(5), entry(6));
        let number = files.begin(&one, Algorithm::Md5.into(), None);
        assert_eq!(files.number(&one), number);
        assert!(files.get(files.number(&two)).is_none());
        assert!(files.get(number).unwrap().hashes.is_some());
        let other = files.begin(&two, Algorithm::Blake3.into(), None);
        assert!(other != number && files.get(other).unwrap().hashes.is_none());
        assert!(files.end(&one).is_some() && files.end(&one).is_none());
        assert!(files.get(number).is_none());
    }
}
