//! What is read and run: open files, their chunks, and the parts of chunks that slots run over.

use super::descriptors::Permit;
use super::halo::{Landing, StreamTail};
use super::parts::Parts;
use crate::source::Entry;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// By position: several readers may cut it into chunks.
    Positioned,
    /// In order, one read at a time: a pipe, a terminal.
    Stream,
}

/// A file that is open, shared by the readers that cut it.
#[derive(Debug)]
pub(super) struct OpenFile {
    pub entry: Arc<Entry>,
    pub file: Arc<OwnedFd>,
    pub kind: FileKind,
    /// The number of the next chunk that no reader has taken.
    pub next: AtomicU64,
    /// Bytes up to which chunks are handed out: the file's size when it was found to be large, more as it grows.
    pub limit: AtomicU64,
    /// The size that the file system told when the first chunk was full, or 0 before.
    pub size: AtomicU64,
    /// The size that the file system told when it was opened, or 0 where it was not asked. /proc and its like tell sizes that
    /// mean nothing.
    pub told: u64,
    /// For a stream: bytes in chunks so far.
    pub position: AtomicU64,
    /// For a stream: what its next chunk needs again.
    pub tail: Mutex<StreamTail>,
    /// No more chunks are wanted: ended, failed or answered.
    pub finished: AtomicBool,
    /// Gives the descriptor back when `file`, which is dropped before it, has been closed.
    pub _permit: Permit,
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

/// A part of a chunk that has landed: what one slot runs over. Unless records overflow it is the whole chunk.
#[derive(Debug)]
pub(super) struct ChunkPart {
    pub piece: Piece,
    pub landing: Landing,
    /// The part that is run now, and those that follow it.
    pub parts: Parts,
    /// The slot's mode and flags, as the job said them of the chunk.
    pub mode: u32,
    /// Whether it is the chunk's first part that the job is shown.
    pub first: bool,
}

impl ChunkPart {
    /// Where the part begins in the file.
    pub fn offset(&self) -> u64 {
        self.piece.offset + self.parts.current().start as u64
    }
}
