//! Where a chunk's own bytes lie in its buffer, and which bytes surround them, for jobs that look beyond a chunk.
//!
//! In a file that is read by position, the read for each chunk also lands the bytes before and behind it, so these
//! bytes are read again with the neighbouring chunks. A stream cannot be read twice: [`StreamTail`] keeps the bytes
//! that its next chunk needs again, and puts them in front of the bytes that land next.

use crate::error::FileErrorKind;
use crate::jobs::Geometry;

/// How a chunk's reading ended.
#[derive(Debug, Clone, Default)]
pub(super) struct Landing {
    /// The chunk's own bytes.
    pub bytes: usize,
    /// Where the own bytes begin in the buffer.
    pub start: usize,
    /// Bytes of the file behind them in the buffer.
    pub after: usize,
    /// Whether the file ends with them.
    pub end: bool,
    /// The error after which no more could be read, if any. Then `bytes` are as many as some job may see, and `after` all
    /// that are behind them: what each job sees is up to [`Layout::of_job`].
    pub error: Option<FileErrorKind>,
    /// Whether the error is told with this chunk though the chunk is whole, because no other follows.
    pub last: bool,
}

impl Landing {
    /// A landing of no bytes, for this reason.
    pub fn failed(error: impl Into<FileErrorKind>) -> Self {
        Self {
            error: Some(error.into()),
            last: true,
            ..Self::default()
        }
    }
}

/// File systems require direct reads to begin and end at multiples of this.
const BLOCK: usize = 4096;

/// The size of chunks, and the room that their buffers have around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// What all jobs together need.
    pub geometry: Geometry,
    /// The least that any of the jobs needs behind its chunks, and of their alignment.
    least: (usize, usize),
    /// Own bytes of a chunk.
    pub chunk: usize,
    /// Room before them.
    pub lead: usize,
    /// Room behind them.
    pub tail: usize,
}

impl Layout {
    /// The layout for jobs with these geometries, when chunks of `chunk` bytes are asked for.
    pub fn new(geometries: impl Iterator<Item = Geometry> + Clone, chunk: usize) -> Self {
        let geometry = Geometry::of_all(geometries.clone());
        let (afters, aligns) = (
            geometries.clone().map(|geometry| geometry.after),
            geometries,
        );
        let aligns = aligns.map(|geometry| geometry.align);
        let align = geometry.align.max(1);
        let most = chunk.min(geometry.max_chunk).max(1);
        Self {
            geometry,
            least: (
                afters.min().unwrap_or_default(),
                aligns.min().unwrap_or_default(),
            ),
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

    /// The read for the chunk at `offset` of a file: the number of bytes before it, and the number of bytes in all.
    pub fn read(&self, offset: u64) -> (usize, usize) {
        let before = usize::try_from(offset).map_or(self.lead, |offset| offset.min(self.lead));
        (before, before + self.chunk + self.tail)
    }

    /// The landing of a chunk of a file whose read began `before` bytes before it.
    pub fn landed(&self, before: usize, landing: Landing) -> Landing {
        if self.geometry.is_plain() {
            return landing;
        }
        let there = landing.bytes.saturating_sub(before);
        let some = match landing.error {
            Some(_) => self.certain_for_some(there),
            None => there,
        };
        let own = some.min(self.chunk);
        Landing {
            bytes: own,
            start: before,
            after: there - own,
            // Bytes behind the chunk belong to the next one.
            end: landing.end && there <= self.chunk,
            error: landing.error,
            // The bytes behind a whole chunk are read again as the next chunk's own, which will find the error.
            last: false,
        }
    }

    /// What a job with this geometry sees of a chunk that has landed.
    pub fn of_job(&self, landing: &Landing, geometry: &Geometry) -> Landing {
        let there = landing.bytes + landing.after;
        let own = match landing.error {
            Some(_) => certain(there, geometry.after, geometry.align).min(self.chunk),
            None => landing.bytes,
        };
        let error = landing.error.as_ref();
        Landing {
            bytes: own,
            start: landing.start,
            after: (there - own).min(geometry.after),
            end: landing.end,
            error: error.filter(|_| own < self.chunk || landing.last).cloned(),
            last: landing.last,
        }
    }

    /// How many of `there` bytes can be in chunks of all jobs while more may follow.
    fn certain(&self, there: usize) -> usize {
        certain(there, self.geometry.after, self.geometry.align)
    }

    /// How many of `there` bytes some job may see where no more follow because reading has failed.
    fn certain_for_some(&self, there: usize) -> usize {
        let (after, align) = self.least;
        certain(there, after, align)
    }
}

/// How many of `there` bytes, which begin at a multiple of `align`, can be in chunks while more may follow: whole blocks
/// that are followed by all the bytes that a job looks at. The rest is left out after a failed read, because a failure
/// does not mean that the file ends.
fn certain(there: usize, after: usize, align: usize) -> usize {
    let certain = there.saturating_sub(after);
    certain - certain % align.max(1)
}

/// The last bytes of a stream that its next chunk needs again.
#[derive(Debug, Default)]
pub(super) struct StreamTail {
    /// The bytes before the next chunk, followed by those that are not in a chunk yet.
    bytes: Vec<u8>,
    /// How many of them lie before the next chunk.
    before: usize,
    /// How the stream ended, while some of its chunks are still left: with an error, or at its end.
    ended: Option<Option<FileErrorKind>>,
    /// Bytes that were copied since [`StreamTail::take_copied`].
    copied: u64,
}

impl StreamTail {
    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.ended.is_none()
    }

    /// How many bytes to read next.
    pub fn wanted(&self, layout: &Layout) -> usize {
        (self.before + layout.chunk + layout.tail).saturating_sub(self.bytes.len())
    }

    /// How the stream has ended, if it is not read further: with an error, or at its end.
    pub fn ended(&self) -> Option<Option<FileErrorKind>> {
        self.ended.clone()
    }

    /// How many bytes were copied since this was last asked.
    pub fn take_copied(&mut self) -> u64 {
        std::mem::take(&mut self.copied)
    }

    /// `landing.bytes` bytes have landed in `buffer`. Moves them behind those that were kept, takes as many as make a
    /// chunk, and keeps the rest. The returned landing says where the chunk lies in the buffer. A landing of no bytes
    /// means that there is no chunk yet or, at the stream's end, that no chunk is left.
    pub fn landed(&mut self, layout: &Layout, buffer: &mut [u8], landing: Landing) -> Landing {
        let before = layout.geometry.before;
        let carried = self.bytes.len();
        let total = (carried + landing.bytes).min(buffer.len());
        let there = total - self.before;
        let over = landing.end || landing.error.is_some();
        let certain = match (&landing.error, landing.end) {
            (Some(_), _) => layout.certain_for_some(there),
            (None, true) => there,
            (None, false) => layout.certain(there),
        };
        if certain == 0 && !over {
            // Only new bytes are copied, since a stream may come byte by byte.
            self.bytes.extend_from_slice(&buffer[..total - carried]);
            self.copied += (total - carried) as u64;
            return Landing::default();
        }
        if carried > 0 {
            buffer.copy_within(..total - carried, carried);
            buffer[..carried].copy_from_slice(&self.bytes);
        }
        let own = certain.min(layout.chunk);
        let start = self.before;
        let end = start + own;
        let kept = end.min(before);
        let left = certain > own;
        self.bytes.clear();
        self.bytes.extend_from_slice(&buffer[end - kept..total]);
        let moved = if carried == 0 { 0 } else { total };
        self.copied += (moved + self.bytes.len()) as u64;
        self.before = kept;
        self.ended = (over && left).then(|| landing.error.clone());
        Landing {
            bytes: own,
            start,
            after: total - end,
            end: landing.end && !left,
            // A job that looks further than others may have seen its last whole chunk before.
            error: landing.error,
            last: !left,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(before: usize, after: usize, align: usize, chunk: usize) -> Layout {
        let geometry = Geometry {
            before,
            after,
            align,
            ..Geometry::default()
        };
        Layout::new(std::iter::once(geometry), chunk)
    }

    fn landing(bytes: usize, end: bool, error: bool) -> Landing {
        Landing {
            bytes,
            end,
            error: error.then(|| FileErrorKind::Read {
                reason: "broken".to_owned(),
            }),
            ..Landing::default()
        }
    }

    /// The number of own bytes and of bytes behind them, whether the file ends, and whether it failed.
    fn told(layout: &Layout, landing: &Landing) -> (usize, usize, bool, bool) {
        let landing = layout.of_job(landing, &layout.geometry);
        let Landing {
            bytes, after, end, ..
        } = landing;
        (bytes, after, end, landing.error.is_some())
    }

    #[test]
    fn reads_begin_and_end_at_whole_blocks() {
        let layout = layout(1, 904, 1, 8192);
        assert_eq!((layout.lead, layout.tail), (4096, 4096));
        assert_eq!(layout.buffer(), 16_384);
        assert_eq!(layout.read(0), (0, 12_288));
        assert_eq!(layout.read(8192), (4096, 16_384));
        assert!(layout.is_direct());
    }

    #[test]
    fn a_file_that_ends_behind_a_chunk_has_another() {
        let layout = layout(10, 10, 1, 4096);
        let landed = |bytes: usize, end| {
            told(
                &layout,
                &layout.landed(4096, landing(4096 + bytes, end, false)),
            )
        };
        assert_eq!(landed(100, true), (100, 0, true, false));
        assert_eq!(landed(4096, true), (4096, 0, true, false));
        assert_eq!(landed(4097, true), (4096, 1, false, false));
        assert_eq!(landed(4106, true), (4096, 10, false, false));
        assert_eq!(landed(8192, false), (4096, 10, false, false));
        // The file has shrunk in the meantime.
        let shrunk = layout.landed(4096, landing(100, true, false));
        assert_eq!(told(&layout, &shrunk), (0, 0, true, false));
    }

    #[test]
    fn what_a_broken_file_does_not_give_is_not_its_end() {
        let layout = layout(10, 10, 64, 4096);
        let landed =
            |bytes: usize| told(&layout, &layout.landed(4096, landing(bytes, false, true)));
        assert_eq!(landed(0), (0, 0, false, true));
        assert_eq!(landed(4096 + 5), (0, 5, false, true));
        // Whole blocks land, with all bytes that they look at.
        assert_eq!(landed(4096 + 64 + 9), (0, 10, false, true));
        assert_eq!(landed(4096 + 64 + 10), (64, 10, false, true));
        assert_eq!(landed(4096 + 4096 + 9), (4032, 10, false, true));
        // The chunk is whole; the next one will meet the error.
        assert_eq!(landed(4096 + 4096 + 10), (4096, 10, false, false));
    }

    #[test]
    fn a_broken_stream_gives_whole_blocks_and_then_its_error() {
        let layout = layout(10, 10, 64, 64);
        let mut buffer = vec![0; layout.buffer()];
        let mut tail = StreamTail::default();
        let mut land = |bytes, error| {
            let landed = tail.landed(&layout, &mut buffer, landing(bytes, false, error));
            (told(&layout, &landed), tail.ended().is_some())
        };
        assert_eq!(land(50, false), ((0, 0, false, false), false));
        assert_eq!(land(24, false), ((64, 10, false, false), false));
        // 10 and 127 bytes have come: one block, but not all the bytes that the next block would look at.
        assert_eq!(land(127, true), ((64, 10, false, true), false));

        let mut tail = StreamTail::default();
        let mut land = |bytes, error| {
            let landed = tail.landed(&layout, &mut buffer, landing(bytes, false, error));
            (told(&layout, &landed), tail.ended().is_some())
        };
        assert_eq!(land(150, true), ((64, 10, false, false), true));
        assert_eq!(land(0, true), ((64, 10, false, true), false));
    }

    #[test]
    fn each_job_sees_of_a_broken_file_what_it_would_see_alone() {
        let geometries = [
            Geometry::default(),
            Geometry {
                after: 10,
                ..Geometry::default()
            },
            Geometry {
                before: 7,
                align: 64,
                ..Geometry::default()
            },
        ];
        let together = Layout::new(geometries.into_iter(), 4096);
        for there in (0..200).chain(4000..4300).chain(8100..8192) {
            let broken = landing(4096 + there, false, true);
            let shared = together.landed(4096, broken.clone());
            for geometry in &geometries {
                let alone = Layout::new(std::iter::once(*geometry), 4096);
                // The reads of a job alone begin and end where it looks, and no further.
                let read = landing(alone.lead + there.min(4096 + alone.tail), false, true);
                let mut expected = alone.of_job(&alone.landed(alone.lead, read), geometry);
                let mut seen = together.of_job(&shared, geometry);
                if there >= 4096 && geometry.is_plain() {
                    // Its read alone ended with the chunk, and met no error.
                    expected.error = None;
                }
                (expected.last, seen.last) = (false, false);
                expected.start = seen.start;
                let told = |landing: &Landing| (landing.bytes, landing.after, landing.end);
                assert_eq!(told(&seen), told(&expected), "{there}: {geometry:?}");
                assert_eq!(seen.error.is_some(), expected.error.is_some(), "{there}");
            }
        }
    }

    #[test]
    fn a_stream_always_has_something_to_read() {
        // Chunks may be far smaller than the bytes around them.
        for (before, after, align, chunk) in [
            (0, 4096, 1, 1),
            (4096, 4096, 1, 1),
            (4096, 4096, 4096, 4096),
            (1, 1, 64, 64),
        ] {
            let layout = layout(before, after, align, chunk);
            let mut buffer = vec![0; layout.buffer()];
            let mut tail = StreamTail::default();
            for bytes in [1, usize::MAX, 1, 1, usize::MAX, usize::MAX] {
                let wanted = tail.wanted(&layout);
                assert!((1..=buffer.len()).contains(&wanted), "{layout:?}");
                tail.landed(
                    &layout,
                    &mut buffer,
                    landing(bytes.min(wanted), false, false),
                );
            }
        }
    }
}
