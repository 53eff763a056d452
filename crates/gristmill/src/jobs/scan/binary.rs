//! Binary files: which bytes ripgrep would have looked at.
//!
//! ripgrep reads a file through a line buffer and looks for NUL in each read. A NUL stops it (files found in a walk) or
//! leaves only a note to be printed (files given as arguments, standard input); the lines of the *earlier* reads are
//! printed in both cases. So the result depends on where those reads end, which depends on where lines end: each read
//! fills the part of the buffer that is not occupied by the unfinished last line of earlier reads. [`Fills`] computes
//! these ends without reading anything twice: it needs one newline near each 64 KiB boundary, which is in the current
//! chunk anyway.
//!
//! Files that ripgrep maps instead (few files, all given as arguments) are not read through the buffer: NULs are looked
//! for in their first 64 KiB, and then in each matching line.

use memchr::{memchr_iter, memrchr, memrchr_iter};

/// What NULs mean for a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binary {
    /// Nothing.
    Text,
    /// The file ends with the last read before the NUL.
    Quit,
    /// Every NUL ends a line, and from the read that holds the first one on, matching lines are only noted.
    Stream,
    /// As [`Binary::Stream`], but NULs are not converted, and only those in the first [`MAPPED_PREFIX`] bytes and in
    /// matching lines are seen.
    Mapped,
}

/// The bytes of a mapped file that are searched for NUL at its start.
pub(super) const MAPPED_PREFIX: u64 = BUFFER;

/// The byte order mark that ripgrep removes from UTF-8 files.
pub(super) const BOM: &[u8] = b"\xEF\xBB\xBF";

/// ripgrep's line buffer, in bytes.
const BUFFER: u64 = 64 << 10;

/// The standard library's buffer around standard input, in bytes.
const STDIN_BUFFER: u64 = 8 << 10;

/// Bytes that are read first, to look for a byte order mark.
const BOM_BYTES: u64 = 3;

/// The most lines before a match of which it is followed that ripgrep keeps them in its buffer.
const MOST_KEPT: usize = 1 << 20;

/// The reads that ripgrep's line buffer makes of a file, as far as they are complete.
#[derive(Debug)]
pub(super) struct Fills {
    /// Where the first line begins that is not yet complete: lines before it were searched.
    start: u64,
    /// End of the last read.
    end: u64,
    /// First byte of the buffer: `start`, or the first of the lines that ripgrep keeps before that because they may have
    /// to be shown.
    buffer: u64,
    /// Size of the buffer; lines that do not fit make it grow.
    capacity: u64,
    /// Whether a read for the byte order mark is still to come, as a short one.
    short_first: bool,
    /// For standard input: bytes in the standard library's buffer.
    buffered: Option<u64>,
    /// Start and end, in order, of each fill that [`Fills::fill_of`] may still be asked for.
    past: Vec<(u64, u64)>,
    /// How many lines are shown before a match, if any are shown around matches.
    context: Option<usize>,
    /// Where context is shown: the newlines within the buffer and before the current chunk.
    newlines: Vec<u64>,
}

impl Fills {
    /// A file whose text begins at `origin`: 0, or after a byte order mark. `context` is how many lines are shown before a
    /// match, if any are shown before or after one.
    pub fn new(origin: u64, stdin: bool, context: Option<usize>) -> Self {
        Self {
            start: origin,
            end: origin,
            buffer: origin,
            capacity: BUFFER,
            short_first: origin == 0,
            buffered: stdin.then_some(STDIN_BUFFER - BOM_BYTES),
            past: Vec::new(),
            context: context.map(|lines| lines.min(MOST_KEPT)),
            newlines: Vec::new(),
        }
    }

    /// Where the lines begin that ripgrep has not searched yet.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Where the bytes begin that ripgrep has in its buffer.
    pub fn buffer(&self) -> u64 {
        self.buffer
    }

    /// Returns the size of the next read, if the file goes on that long, and what the reader holds afterwards.
    fn next_read(&self, capacity: u64) -> (u64, Option<u64>) {
        if self.short_first {
            return (BOM_BYTES, self.buffered);
        }
        let free = capacity.saturating_sub(self.end - self.buffer);
        match self.buffered {
            None => (free, None),
            Some(0) if free >= STDIN_BUFFER => (free, Some(0)),
            Some(held) => {
                let held = if held == 0 { STDIN_BUFFER } else { held };
                let taken = held.min(free);
                (taken, Some(held - taken))
            }
        }
    }

    fn grown(&self) -> u64 {
        if self.end - self.buffer >= self.capacity {
            self.capacity * 3
        } else {
            self.capacity
        }
    }

    /// Drops from the buffer what ripgrep drops before it reads on, where it has shown lines up to `shown`. `chunk` is
    /// the file's bytes from `offset` on.
    fn roll(&mut self, chunk: &[u8], offset: u64, shown: u64) {
        let Some(lines) = self.context else {
            self.buffer = self.start;
            return;
        };
        if self.start == self.buffer {
            return;
        }
        // The last line that was searched, and as many as are shown before it.
        let last = self.start - 1;
        let here = usize::try_from(last.saturating_sub(offset)).unwrap_or(usize::MAX);
        let here = chunk.get(..here).unwrap_or(chunk);
        let kept = memrchr_iter(b'\n', here)
            .map(|at| offset + at as u64)
            .chain(self.newlines.iter().rev().copied())
            .filter(|&at| at < last)
            .take_while(|&at| at >= self.buffer)
            .nth(lines)
            .map_or(self.buffer, |newline| newline + 1);
        self.buffer = kept.max(shown.min(self.start));
        let gone = self.newlines.partition_point(|&at| at < self.buffer);
        self.newlines.drain(..gone);
    }

    /// Follows one read that ends at `limit` or before. Returns whether there was one.
    ///
    /// `chunk` is the file's bytes from `offset` on, `newline` the last newline before it; `limit` is at most the end
    /// of the chunk, and earlier calls went up to `offset`. Lines up to `shown` were shown.
    pub fn step(
        &mut self,
        chunk: &[u8],
        offset: u64,
        newline: Option<u64>,
        limit: u64,
        shown: u64,
    ) -> bool {
        self.roll(chunk, offset, shown);
        let capacity = self.grown();
        let (length, buffered) = self.next_read(capacity);
        let end = self.end + length;
        if end > limit {
            return false;
        }
        let within = |position: u64| {
            usize::try_from(position.saturating_sub(offset))
                .unwrap_or(usize::MAX)
                .min(chunk.len())
        };
        let last = memrchr(b'\n', &chunk[within(self.end)..within(end)])
            .map(|at| offset.max(self.end) + at as u64)
            .or(newline.filter(|&at| at >= self.end && at < end));
        self.capacity = capacity;
        self.buffered = buffered;
        self.short_first = false;
        self.end = end;
        if let Some(last) = last {
            self.past.push((self.start, end));
            self.start = last + 1;
        }
        true
    }

    /// Follows all reads that end at `limit` or before, where no line was shown. The arguments are those of
    /// [`step`](Self::step).
    pub fn advance(&mut self, chunk: &[u8], offset: u64, newline: Option<u64>, limit: u64) {
        while self.step(chunk, offset, newline, limit, 0) {}
    }

    /// Leaves a chunk, all of whose reads were followed.
    pub fn leave(&mut self, chunk: &[u8], offset: u64) {
        if self.context.is_some() {
            let from = usize::try_from(self.buffer.saturating_sub(offset)).unwrap_or(usize::MAX);
            let here = chunk.get(from..).unwrap_or_default();
            let from = offset + from as u64;
            self.newlines
                .extend(memchr_iter(b'\n', here).map(|at| from + at as u64));
        }
    }

    /// Follows a short read of a stream, which ended at `end`. `newline` is the last one before that.
    pub fn short_read(&mut self, end: u64, newline: Option<u64>) {
        if end <= self.end {
            return;
        }
        self.short_first = false;
        self.buffered = self.buffered.map(|_| 0);
        if let Some(last) = newline.filter(|&at| at >= self.end) {
            self.past.push((self.start, end));
            self.start = last + 1;
        }
        self.end = end;
    }

    /// Follows the last read, which the file's end cut short. `newline` is the last one of the file.
    pub fn end_of_file(&mut self, length: u64, newline: Option<u64>) {
        if let Some(last) = newline.filter(|&at| at >= self.end) {
            self.past.push((self.start, length));
            self.start = last + 1;
        }
        self.end = self.end.max(length);
    }

    /// Forgets the fills that hold no line from `line` on.
    pub fn forget_before(&mut self, line: u64) {
        let keep = self
            .past
            .partition_point(|fill| fill.0 <= line)
            .saturating_sub(1);
        self.past.drain(..keep);
    }

    /// Start, and end of the last read, of the fill that holds the line which begins at `line`.
    pub fn fill_of(&self, line: u64) -> (u64, u64) {
        if line >= self.start {
            let (length, _) = self.next_read(self.grown());
            return (self.start, self.end + length);
        }
        let after = self.past.partition_point(|fill| fill.0 <= line);
        after
            .checked_sub(1)
            .and_then(|index| self.past.get(index).copied())
            .unwrap_or((self.start, self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A model of ripgrep's line buffer over a whole file.
    fn model(file: &[u8], upto: usize) -> u64 {
        let (mut start, mut end, mut capacity) = (0, 0, 65536);
        let mut first = true;
        loop {
            if end - start == capacity {
                capacity *= 3;
            }
            let length = if first { 3 } else { capacity - (end - start) };
            first = false;
            if end + length > upto {
                return start as u64;
            }
            if let Some(at) = memrchr(b'\n', &file[end..end + length]) {
                start = end + at + 1;
            }
            end += length;
        }
    }

    #[test]
    fn fills_do_not_depend_on_how_the_file_is_cut() {
        let mut file = Vec::new();
        let mut seed = 7_u64;
        for _ in 0..400 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let long = if seed >> 60 == 0 { 300_000 } else { 2_000 };
            file.resize(file.len() + (seed >> 33) as usize % long, b'x');
            file.push(b'\n');
        }
        for size in [1000, 65_536, 70_001, 1 << 20] {
            let mut fills = Fills::new(0, false, None);
            let (mut offset, mut newline) = (0_u64, None);
            for chunk in file.chunks(size) {
                let end = offset + chunk.len() as u64;
                fills.advance(chunk, offset, newline, end);
                assert_eq!(fills.start(), model(&file, end as usize), "{size} {end}");
                newline = memrchr(b'\n', chunk)
                    .map(|at| offset + at as u64)
                    .or(newline);
                offset = end;
            }
        }
    }

    #[test]
    fn lines_of_a_stream_are_searched_when_the_read_that_brought_them_has_ended() {
        let mut fills = Fills::new(0, true, None);
        fills.advance(b"one\ntwo", 0, None, 7);
        assert_eq!(fills.start(), 0);
        fills.short_read(7, Some(3));
        assert_eq!((fills.start(), fills.fill_of(0)), (4, (0, 7)));
        fills.short_read(9, Some(3));
        assert_eq!(fills.start(), 4);
        fills.advance(b"o\nthree\n", 9, Some(3), 17);
        fills.short_read(17, Some(16));
        assert_eq!((fills.start(), fills.fill_of(4)), (17, (4, 17)));
    }

    #[test]
    fn a_fill_can_be_asked_for_until_it_is_forgotten() {
        let file = b"0123456789abcde\n".repeat(16_384);
        let mut fills = Fills::new(0, false, None);
        fills.advance(&file, 0, None, file.len() as u64);
        assert_eq!(fills.fill_of(16), (0, 65_536));
        assert_eq!(fills.fill_of(65_536), (65_536, 131_072));
        fills.forget_before(65_552);
        assert_eq!(fills.fill_of(65_552), (65_536, 131_072));
    }
}
