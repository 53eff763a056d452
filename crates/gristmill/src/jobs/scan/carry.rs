//! The line that a chunk leaves unfinished, and its way into the next chunk.

use super::error::ScanErrorKind;
use crate::source::FileFacts;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of unfinished lines that are kept, both for one line and for all open files together. Beyond that
/// only the position is kept, and the bytes are read again if they must be shown.
pub(super) const CARRY_BYTES: usize = 8 << 20;

/// The bytes of unfinished lines that all open files keep together.
#[derive(Debug, Default)]
pub(super) struct Budget(AtomicUsize);

impl Budget {
    /// Takes so many bytes, if they are there.
    pub fn charge(&self, bytes: usize) -> bool {
        let fits = self.0.load(Ordering::Relaxed) + bytes <= CARRY_BYTES;
        if fits {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        fits
    }

    /// Gives bytes back.
    pub fn refund(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Reads `length` bytes of an open file again, from `start` on. Of a stream there is no `file`.
///
/// # Errors
/// [`ScanErrorKind`], where they cannot be read again.
pub(super) fn read_again(
    file: Option<&FileFacts>,
    start: u64,
    length: u64,
) -> Result<Vec<u8>, ScanErrorKind> {
    let file = file.ok_or(ScanErrorKind::LineOfStream)?;
    let memory = || ScanErrorKind::LineLost(io::Error::from(io::ErrorKind::OutOfMemory));
    let length = usize::try_from(length).map_err(|_| memory())?;
    let mut line = Vec::new();
    line.try_reserve_exact(length).map_err(|_| memory())?;
    line.resize(length, 0);
    file.read_exact_at(&mut line, start)
        .map_err(ScanErrorKind::LineLost)?;
    Ok(line)
}

/// The beginning of a line whose end is in a later chunk.
#[derive(Debug, Default)]
pub(super) struct Carry {
    open: bool,
    start: u64,
    matched: bool,
    whole: bool,
    nul: bool,
    bytes: Vec<u8>,
    charged: usize,
}

/// How much of an unfinished line is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep<'a> {
    /// The number of last bytes in which a match that ends in the next chunk may begin.
    pub reach: usize,
    /// The budget within which all bytes are kept, because the line may have to be shown.
    pub show: Option<&'a Budget>,
}

impl Carry {
    /// Whether there is an unfinished line.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Where the unfinished line begins in the file.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Whether a match was found in it.
    pub fn matched(&self) -> bool {
        self.matched
    }

    /// Whether the caller found a NUL in it.
    pub fn nul(&self) -> bool {
        self.nul
    }

    /// Whether a match begins in the unfinished line and ends in `head`, the beginning of the chunk up to its first
    /// newline. This may also find matches that lie on one side only, which are valid matches, too.
    pub fn straddles(&self, head: &[u8], reach: usize, is_match: impl Fn(&[u8]) -> bool) -> bool {
        if reach == 0 || self.bytes.is_empty() || head.is_empty() {
            return false;
        }
        let tail = &self.bytes[self.bytes.len().saturating_sub(reach)..];
        let head = &head[..head.len().min(reach)];
        let mut window = Vec::with_capacity(tail.len() + head.len());
        window.extend_from_slice(tail);
        window.extend_from_slice(head);
        is_match(&window)
    }

    /// Adds a piece, which begins at byte `position` of the file, to the unfinished line. If no line is unfinished, the
    /// piece begins one.
    pub fn extend(
        &mut self,
        position: u64,
        piece: &[u8],
        matched: bool,
        nul: bool,
        keep: Keep<'_>,
    ) {
        if piece.is_empty() {
            return;
        }
        if !self.open {
            self.open = true;
            self.start = position;
            self.whole = true;
        }
        self.matched |= matched;
        self.nul |= nul;
        let room = keep.show.filter(|_| self.whole).is_some_and(|budget| {
            let fits = self.bytes.len() + piece.len() <= CARRY_BYTES && budget.charge(piece.len());
            if fits {
                self.charged += piece.len();
            }
            fits
        });
        if room {
            self.bytes.extend_from_slice(piece);
            return;
        }
        self.whole = false;
        if let Some(budget) = keep.show {
            self.refund(budget);
        }
        if piece.len() >= keep.reach {
            self.bytes.clear();
            self.bytes
                .extend_from_slice(&piece[piece.len() - keep.reach..]);
        } else {
            let spare = (self.bytes.len() + piece.len()).saturating_sub(keep.reach);
            self.bytes.drain(..spare);
            self.bytes.extend_from_slice(piece);
        }
        self.bytes.shrink_to(keep.reach.max(4096));
    }

    /// Ends the line with `rest` and calls `show` with all its bytes.
    ///
    /// # Errors
    /// [`ScanErrorKind`], where the line is longer than `most` bytes, or was not kept and could not be read again.
    pub fn complete<T>(
        &mut self,
        rest: &[u8],
        end: u64,
        file: Option<&FileFacts>,
        most: u64,
        show: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, ScanErrorKind> {
        let bytes = end - self.start;
        if bytes > most {
            return Err(ScanErrorKind::LongLine { bytes });
        }
        if self.whole {
            let kept = self.bytes.len();
            self.bytes.extend_from_slice(rest);
            let shown = show(&self.bytes);
            self.bytes.truncate(kept);
            return Ok(shown);
        }
        let mut line = read_again(file, self.start, bytes)?;
        // A NUL may end the line in the place of a newline.
        if let Some(last) = line
            .len()
            .checked_sub(rest.len())
            .and_then(|at| line.get_mut(at..))
        {
            last.copy_from_slice(rest);
        }
        Ok(show(&line))
    }

    /// Forgets the line.
    pub fn clear(&mut self, keep: Keep<'_>) {
        if let Some(budget) = keep.show {
            self.refund(budget);
        }
        self.bytes.clear();
        self.bytes.shrink_to(64 << 10);
        *self = Self {
            bytes: std::mem::take(&mut self.bytes),
            ..Self::default()
        };
    }

    fn refund(&mut self, budget: &Budget) {
        budget.refund(std::mem::take(&mut self.charged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::Arc;

    #[test]
    fn of_a_line_that_is_not_shown_only_the_reach_is_kept() {
        let keep = Keep {
            reach: 3,
            show: None,
        };
        let mut carry = Carry::default();
        carry.extend(10, b"abcdef", false, false, keep);
        carry.extend(16, b"g", false, false, keep);
        assert_eq!(carry.bytes, b"efg");
        assert!(carry.straddles(b"hij", 3, |window| window == b"efghij"));
        assert_eq!((carry.start(), carry.is_open()), (10, true));
        carry.clear(keep);
        assert!(!carry.is_open() && carry.bytes.is_empty());
    }

    #[test]
    fn a_line_beyond_the_budget_is_read_again() {
        let mut file = tempfile::tempfile().unwrap();
        let line = b"0123456789".repeat(CARRY_BYTES / 5);
        file.write_all(&line).unwrap();
        let file = FileFacts::new(None, Arc::new(file.into()));
        let budget = Budget::default();
        let keep = Keep {
            reach: 3,
            show: Some(&budget),
        };
        let mut carry = Carry::default();
        for (index, piece) in line.chunks(1 << 20).enumerate() {
            carry.extend((index as u64) << 20, piece, false, false, keep);
            assert!(carry.bytes.len() <= CARRY_BYTES);
        }
        assert!(!carry.whole);
        assert_eq!(budget.0.load(Ordering::Relaxed), 0);
        let end = line.len() as u64;
        let same = carry.complete(b"", end, Some(&file), end, |bytes| bytes == line);
        assert!(same.unwrap());
        assert!(matches!(
            carry.complete(b"", end, None, end, |_| ()),
            Err(ScanErrorKind::LineOfStream)
        ));
        assert!(matches!(
            carry.complete(b"", end, Some(&file), end - 1, |_| ()),
            Err(ScanErrorKind::LongLine { bytes }) if bytes == end
        ));
    }
}
