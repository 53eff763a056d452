//! Files whose bytes are not those that the job sees: compressed ones, and text in other encodings.
//!
//! Such a file is read by [`Converter`], in the place of a feeder's reads: on the thread of the worker, as the page
//! cache would be copied there, straight into a chunk. It is read in order, so it counts as a stream; several workers
//! may take its chunks one after the other. What its decoder keeps lives from its first read to its end.

use super::ahead::Ahead;
use super::kind::FileKind;
use super::status::Status;
use crate::decode::Decoding;
use crate::error::FileErrorKind;
use gristmill_ring::lock;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long a read waits for a pipe before it looks whether the run goes on.
const WAIT: Duration = Duration::from_millis(50);

/// What the raw bytes come from.
pub(super) enum RawBytes {
    /// A descriptor.
    File(Arc<OwnedFd>, FileKind),
    /// An object.
    Object(Arc<Mutex<Ahead>>),
}

/// The raw bytes of an object, behind those that were fetched already.
struct RawObject {
    ahead: Arc<Mutex<Ahead>>,
    read: Arc<AtomicU64>,
}

impl Read for RawObject {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = lock(&self.ahead).read(into)?;
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

/// The raw bytes of a file; of a stream, behind those that were read already.
struct Raw {
    file: Arc<OwnedFd>,
    kind: FileKind,
    offset: u64,
    read: Arc<AtomicU64>,
    status: Arc<Status>,
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.status.stopping() {
                return Err(io::Error::other("the run was stopped"));
            }
            let read = match self.kind {
                FileKind::Positioned => rustix::io::pread(&self.file, &mut *into, self.offset),
                FileKind::Stream if is_ready(&self.file) => {
                    rustix::io::read(&self.file, &mut *into)
                }
                FileKind::Stream => continue,
            };
            match read {
                Ok(bytes) => {
                    self.offset += bytes as u64;
                    self.read.fetch_add(bytes as u64, Ordering::Relaxed);
                    return Ok(bytes);
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Whether a stream has bytes, an error or an end, for which this waits for [`WAIT`].
fn is_ready(file: &OwnedFd) -> bool {
    let timeout = Timespec::try_from(WAIT).ok();
    let ready = poll(&mut [PollFd::new(file, PollFlags::IN)], timeout.as_ref());
    // A descriptor that cannot be polled is read, which tells why.
    !matches!(ready, Ok(0) | Err(Errno::INTR | Errno::AGAIN))
}

/// What a read of a converted file brought.
#[derive(Debug, Default)]
pub(super) struct Converted {
    pub bytes: usize,
    /// Whether the file ends with them.
    pub end: bool,
    /// Why nothing follows them, if that is not its end.
    pub error: Option<FileErrorKind>,
    /// Raw bytes that were read for it.
    pub raw: u64,
}

enum State {
    New(Vec<u8>),
    Open(Box<dyn Read + Send>),
    Over,
}

/// The decoder of one file.
pub(super) struct Converter {
    decoding: Decoding,
    from: RawBytes,
    status: Arc<Status>,
    state: State,
    read: Arc<AtomicU64>,
}

impl fmt::Debug for Converter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Converter");
        shown.field("decoding", &self.decoding);
        shown.finish_non_exhaustive()
    }
}

impl Converter {
    /// A decoder of this file. Of a stream or object, `before` are bytes that were read of it already.
    pub fn new(decoding: Decoding, from: RawBytes, before: Vec<u8>, status: Arc<Status>) -> Self {
        Self {
            decoding,
            from,
            status,
            state: State::New(before),
            read: Arc::default(),
        }
    }

    /// Whether a read would wait now, after waiting for a moment.
    pub fn is_early(&self) -> bool {
        let has_bytes = matches!(&self.state, State::New(before) if !before.is_empty());
        match &self.from {
            _ if has_bytes => false,
            RawBytes::File(file, FileKind::Stream) => !is_ready(file),
            RawBytes::File(_, FileKind::Positioned) => false,
            RawBytes::Object(ahead) => {
                let ahead = lock(ahead);
                ahead.wait();
                !ahead.is_ready()
            }
        }
    }

    /// Fills `buffer` with the next decoded bytes; of a stream, with those that are there. Where the run was stopped,
    /// there may be fewer.
    pub fn read(&mut self, buffer: &mut [u8]) -> Converted {
        let mut done = Converted::default();
        let before = self.read.load(Ordering::Relaxed);
        if let State::New(bytes) = &mut self.state {
            let bytes = std::mem::take(bytes);
            match self.open(bytes) {
                Ok(reader) => self.state = State::Open(reader),
                Err(error) => {
                    let reason = error.to_string();
                    done.error = Some(FileErrorKind::Read { reason });
                    self.state = State::Over;
                }
            }
        }
        while done.bytes < buffer.len() && !self.status.stopping() {
            let State::Open(reader) = &mut self.state else {
                done.end = done.error.is_none();
                break;
            };
            let into = buffer.get_mut(done.bytes..).unwrap_or_default();
            // A decoder that panics on what a file holds is the end of that file, and not of the run.
            let read = catch_unwind(AssertUnwindSafe(|| reader.read(into)));
            match read {
                Ok(Ok(0)) => self.state = State::Over,
                Ok(Ok(bytes)) => done.bytes += bytes,
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(Err(error)) => {
                    self.state = State::Over;
                    if !self.status.stopping() {
                        let reason = error.to_string();
                        done.error = Some(FileErrorKind::Read { reason });
                    }
                    break;
                }
                Err(_panicked) => {
                    self.state = State::Over;
                    let reason = "its decoder panicked; its message says where, please report it";
                    done.error = Some(FileErrorKind::Read {
                        reason: reason.into(),
                    });
                    break;
                }
            }
            let waits = match &self.from {
                RawBytes::File(_, kind) => *kind == FileKind::Stream,
                // Another file's bytes may be there.
                RawBytes::Object(ahead) => !lock(ahead).is_ready(),
            };
            if waits && done.bytes > 0 {
                break;
            }
        }
        done.raw = self.read.load(Ordering::Relaxed) - before;
        done
    }

    fn open(&self, before: Vec<u8>) -> io::Result<Box<dyn Read + Send>> {
        let before = io::Cursor::new(before);
        let (file, kind) = match &self.from {
            RawBytes::File(file, kind) => (file, *kind),
            RawBytes::Object(ahead) => {
                return Ok(self.decoding.reader(before.chain(RawObject {
                    ahead: Arc::clone(ahead),
                    read: Arc::clone(&self.read),
                })))
            }
        };
        let flags = fcntl_getfl(file)?;
        if flags.contains(OFlags::DIRECT) {
            // A decoder reads any number of bytes to any place.
            fcntl_setfl(file, flags - OFlags::DIRECT)?;
        }
        Ok(self.decoding.reader(before.chain(Raw {
            file: Arc::clone(file),
            kind,
            offset: 0,
            read: Arc::clone(&self.read),
            status: Arc::clone(&self.status),
        })))
    }
}
