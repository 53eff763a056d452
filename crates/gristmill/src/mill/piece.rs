//! Open files, their chunks, and the parts of chunks that slots run over.

use super::convert::Converter;
use super::descriptors::Permit;
use super::halo::{Landing, StreamTail};
use super::kind::FileKind;
use super::parts::Parts;
use crate::source::{Entry, FileFacts};
use gristmill_ingest::object::{Fetched, ObjectRef};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// What the bytes of a file come from.
#[derive(Debug, Clone)]
pub(super) enum Handle {
    /// A descriptor.
    File(Arc<OwnedFd>),
    /// An object of a store.
    Object(ObjectRef),
}

/// A file that is open, shared by the readers that cut it.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub entry: Arc<Entry>,
    pub handle: Handle,
    /// What jobs may ask about it.
    pub facts: FileFacts,
    /// How the raw bytes are read.
    pub raw: FileKind,
    /// What the first fetch of an object has told, before more than one reader knows it.
    pub fetched: OnceLock<Fetched>,
    /// Bytes that were fetched of an object that is fetched in order.
    pub arrived: AtomicU64,
    /// What decodes the raw bytes. It is set before more than one reader knows the file.
    pub converter: OnceLock<Mutex<Converter>>,
    /// Where its first chunk begins: with the file, unless a part of it is read.
    pub base: u64,
    /// The number of the next chunk that no reader has taken.
    pub next: AtomicU64,
    /// How many chunks have been seen by every job that takes them in order.
    pub seen: AtomicU64,
    /// The offset up to which chunks are handed out: the file's size when it was found to be large, and more as the
    /// file grows.
    pub limit: AtomicU64,
    /// The size that the file system gave when the first chunk was full, or 0 before that.
    pub size: AtomicU64,
    /// The size that the file system gave when the file was opened, or 0 if it was not asked. File systems such as
    /// /proc give meaningless sizes.
    pub told: u64,
    /// For a stream: the number of bytes in chunks so far.
    pub position: AtomicU64,
    /// For a stream: the bytes that its next chunk needs again.
    pub tail: Mutex<StreamTail>,
    /// The jobs that need no more chunks of it, as bits by number.
    pub done: AtomicU64,
    /// Whether no job needs more chunks, because the file has ended, failed or been answered.
    pub finished: AtomicBool,
    /// Gives the descriptor back when `handle`, which is dropped before it, has been closed.
    pub _permit: Permit,
}

impl OpenFile {
    /// Whether a job needs no more chunks.
    pub fn is_done_for(&self, job: usize) -> bool {
        self.done.load(Ordering::Relaxed) >> job & 1 != 0
    }

    /// Notes that a job needs no more chunks.
    pub fn done_for(&self, job: usize) {
        self.done.fetch_or(1 << job, Ordering::Relaxed);
    }

    /// The object, if it is one.
    pub fn object(&self) -> Option<&ObjectRef> {
        match &self.handle {
            Handle::Object(object) => Some(object),
            Handle::File(_) => None,
        }
    }

    /// The descriptor, of all but objects.
    pub fn descriptor(&self) -> Option<&Arc<OwnedFd>> {
        match &self.handle {
            Handle::File(file) => Some(file),
            Handle::Object(_) => None,
        }
    }

    /// Whether the raw bytes come in order alone: of a pipe, or of an object whose store does not support range requests.
    pub fn is_stream(&self) -> bool {
        let in_order = |fetched: &Fetched| !fetched.in_ranges;
        self.raw == FileKind::Stream || self.fetched.get().is_some_and(in_order)
    }

    /// How the file is read. What is decoded is read in order.
    pub fn kind(&self) -> FileKind {
        if self.converter.get().is_some() || self.is_stream() {
            FileKind::Stream
        } else {
            FileKind::Positioned
        }
    }
}

/// One chunk of one file.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub file: Arc<OpenFile>,
    /// The chunk's number in the file.
    pub number: u64,
    /// Its position in the file.
    pub offset: u64,
}

/// A part of a landed chunk, over which one slot runs. It is the whole chunk unless records overflow.
#[derive(Debug)]
pub(super) struct ChunkPart {
    /// The number of the job whose slot this is.
    pub job: usize,
    pub piece: Piece,
    pub landing: Landing,
    /// The part that is run now, and those that follow it.
    pub parts: Parts,
    /// The slot's mode and flags, as the job gave them for the chunk.
    pub mode: u32,
    /// Whether this is the first part of the chunk that the job is shown.
    pub first: bool,
}

impl ChunkPart {
    /// Where the part begins in the file.
    pub fn offset(&self) -> u64 {
        self.piece.offset + self.parts.current().start as u64
    }
}
