//! Chunks with surroundings: what is read for them, what of it is the chunk's own, and what a stream must keep.
//!
//! A file that is read by position is read anew around each chunk: one read lands the bytes before it, its own and those
//! behind. A stream cannot be read twice, so what the next chunk needs again is carried on in memory, and its chunks are
//! moved behind that in their buffers.

use super::run::Landing;
use crate::jobs::Geometry;

/// File systems want direct reads to begin and end at multiples of this.
const BLOCK: usize = 4096;

/// How large chunks are, and how much room their buffers have around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub geometry: Geometry,
    /// Own bytes of a chunk.
    pub chunk: usize,
    /// Room before them.
    pub lead: usize,
    /// Room behind them.
    pub tail: usize,
}

impl Layout {
    /// The layout for a job, when chunks of `chunk` bytes are asked for.
    pub fn new(geometry: Geometry, chunk: usize) -> Self {
        let align = geometry.align.max(1);
        let most = chunk.min(geometry.max_chunk).max(1);
        Self {
            geometry,
            chunk: (most / align).max(1) * align,
            lead: geometry.before.next_multiple_of(BLOCK),
            tail: geometry.after.next_multiple_of(BLOCK),
        }
    }

    /// Bytes of a chunk's buffer.
    pub fn buffer(&self) -> usize {
        self.lead + self.chunk + self.tail
    }

    /// Whether direct reads are possible.
    pub fn is_direct(&self) -> bool {
        self.chunk.is_multiple_of(BLOCK)
    }

    /// The read for the chunk at `offset` of a file: how many bytes before it, and how many in all.
    pub fn read(&self, offset: u64) -> (usize, usize) {
        let before = usize::try_from(offset).map_or(self.lead, |offset| offset.min(self.lead));
        (before, before + self.chunk + self.tail)
    }

    /// What has landed for a chunk of a file, when its read began `before` bytes before it.
    pub fn landed(&self, before: usize, landing: Landing) -> Landing {
        if self.geometry.is_plain() {
            return landing;
        }
        let there = landing.bytes.saturating_sub(before);
        let own = there.min(self.chunk);
        let after = (there - own).min(self.geometry.after);
        // Where reading failed, bytes that are not there do not mean that the file ends.
        let incomplete = landing.error.is_some() && after < self.geometry.after;
        Landing {
            bytes: if incomplete { 0 } else { own },
            start: before,
            after,
            // Bytes behind the chunk belong to the next one.
            end: landing.end && there <= self.chunk,
            error: landing.error.filter(|_| incomplete || there < self.chunk),
        }
    }
}

/// What a stream's next chunk needs again.
#[derive(Debug, Default)]
pub(super) struct Carry {
    /// Bytes before the next chunk, and then such as are not in a chunk yet.
    bytes: Vec<u8>,
    /// How many are before it.
    before: usize,
    /// How the stream ended, while there are chunks left of it.
    ended: Option<Option<String>>,
}

impl Carry {
    /// How many bytes to read next.
    pub fn wanted(&self, layout: &Layout) -> usize {
        (self.before + layout.chunk + layout.tail).saturating_sub(self.bytes.len())
    }

    /// How the stream has ended, where no more is to be read of it.
    pub fn ended(&self) -> Option<Option<String>> {
        self.ended.clone()
    }

    /// `landing.bytes` bytes have landed in `buffer`. Moves them behind those that were carried, takes as many as make a
    /// chunk, and carries on the rest. The landing says where the chunk is in the buffer; of no bytes, there is none yet
    /// (or, at the end, none more).
    pub fn landed(&mut self, layout: &Layout, buffer: &mut [u8], landing: Landing) -> Landing {
        let Geometry {
            before,
            after,
            align,
            ..
        } = layout.geometry;
        let carried = self.bytes.len();
        let total = (carried + landing.bytes).min(buffer.len());
        buffer.copy_within(..total - carried, carried);
        buffer[..carried].copy_from_slice(&self.bytes);
        let there = total - self.before;
        let over = landing.end || landing.error.is_some();
        // Where reading failed, bytes that are not there do not mean that the stream ends.
        let certain = if landing.end && landing.error.is_none() {
            there
        } else {
            let certain = there.saturating_sub(after);
            certain - certain % align.max(1)
        };
        let own = certain.min(layout.chunk);
        let start = self.before;
        let end = start + own;
        let kept = end.min(before);
        let left = certain > own;
        self.bytes.clear();
        self.bytes.extend_from_slice(&buffer[end - kept..total]);
        self.before = kept;
        self.ended = (over && left).then(|| landing.error.clone());
        Landing {
            bytes: own,
            start,
            after: (total - end).min(after),
            end: landing.end && !left,
            error: landing.error.filter(|_| !left),
        }
    }
}
