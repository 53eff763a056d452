//! The compressed bytes of a file.

use gristmill_ring::lock;
use std::io::{self, BufRead, Read};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Bytes that are read at once.
const BUFFER_BYTES: usize = 64 << 10;

/// What is known of an input, also while a decoder owns it.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// Bytes that were taken.
    taken: AtomicU64,
    /// Whether more bytes were wanted than there are.
    ended: AtomicBool,
    /// The error of a read that failed.
    failed: Mutex<Option<io::Error>>,
}

impl Seen {
    /// Bytes that were taken. A decoder may take some more than it has decoded.
    pub fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    /// Whether more bytes were wanted than there are.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Takes the error of a read that failed. Decoders replace it by their own.
    pub fn take_failure(&self) -> Option<io::Error> {
        lock(&self.failed).take()
    }
}

/// The compressed bytes of a file, through a buffer.
pub(super) struct Input {
    raw: Box<dyn Read + Send>,
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    seen: Arc<Seen>,
}

impl Input {
    pub fn new(raw: Box<dyn Read + Send>) -> Self {
        Self {
            raw,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            start: 0,
            end: 0,
            seen: Arc::default(),
        }
    }

    /// What is known of the input.
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.seen)
    }

    /// The next `most` bytes, or fewer where the input ends. They are not taken. There may be at most 64 KiB.
    pub fn peek(&mut self, most: usize) -> io::Result<&[u8]> {
        if self.end - self.start < most {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            while self.end < most && self.more()? > 0 {}
        }
        let there = most.min(self.end - self.start);
        Ok(&self.buffer[self.start..self.start + there])
    }

    /// Takes `bytes` bytes, or all where there are fewer. Returns how many.
    pub fn skip(&mut self, bytes: u64) -> io::Result<u64> {
        let mut left = bytes;
        while left > 0 {
            let there = self.fill_buf()?.len();
            let taken = usize::try_from(left).map_or(there, |left| left.min(there));
            if taken == 0 {
                break;
            }
            self.consume(taken);
            left -= taken as u64;
        }
        Ok(bytes - left)
    }

    /// Takes the zeros that come next.
    pub fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let there = self.fill_buf()?;
            let zeros = there.iter().take_while(|&&byte| byte == 0).count();
            let more = zeros > 0 && zeros == there.len();
            self.consume(zeros);
            if !more {
                return Ok(());
            }
        }
    }

    /// Reads behind what is in the buffer.
    fn more(&mut self) -> io::Result<usize> {
        loop {
            match self.raw.read(&mut self.buffer[self.end..]) {
                Ok(read) => {
                    self.end += read;
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let told = io::Error::new(error.kind(), error.to_string());
                    *lock(&self.seen.failed) = Some(error);
                    return Err(told);
                }
            }
        }
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.more()? == 0 {
                self.seen.ended.store(true, Ordering::Relaxed);
            }
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        let bytes = bytes.min(self.end - self.start);
        self.start += bytes;
        self.seen.taken.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

impl Read for Input {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let there = self.fill_buf()?;
        let bytes = there.len().min(into.len());
        into[..bytes].copy_from_slice(&there[..bytes]);
        self.consume(bytes);
        Ok(bytes)
    }
}
