//! A chunk in parts: if its records overflow, it is halved, and its halves are run one after the other.

use std::ops::Range;

/// The parts of a chunk's own bytes that are still to be run, the current one first. Together they form one range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    /// The offsets in bytes at which parts begin and end, descending: the current part lies between the last two.
    bounds: Vec<usize>,
}

impl Parts {
    /// A single part with all own bytes.
    pub fn whole(bytes: usize) -> Self {
        Self {
            bounds: vec![bytes, 0],
        }
    }

    /// The part to run.
    pub fn current(&self) -> Range<usize> {
        match self.bounds.as_slice() {
            [.., end, start] => *start..*end,
            _ => 0..0,
        }
    }

    /// Whether no other part follows.
    pub fn is_last(&self) -> bool {
        self.bounds.len() <= 2
    }

    /// The parts that are left after the current one, if any.
    pub fn next(&self) -> Option<Parts> {
        if self.is_last() {
            return None;
        }
        let mut bounds = self.bounds.clone();
        bounds.pop();
        Some(Parts { bounds })
    }

    /// The same parts with the current one cut in two, at the multiple of `align` inside it that is nearest its middle,
    /// or at the first of two equally near ones (docs/vir0.md, section 9.2). Multiples are counted in the file, where
    /// the chunk begins at `offset`. `None` if the part is one block.
    pub fn halved(&self, offset: u64, align: usize) -> Option<Parts> {
        let part = self.current();
        let align = align.max(1) as u64;
        let (start, end) = (part.start as u64, part.end as u64);
        let middle = start + (end - start) / 2;
        // The distance of the middle from the multiple below it; for an odd number of bytes the true distance is half a
        // byte more. All positions in files are below 2^63.
        let beyond = offset.wrapping_add(middle) % align;
        let twice_beyond = 2 * beyond + (end - start) % 2;
        let below = middle.checked_sub(beyond);
        let above = below.map_or(middle + (align - beyond), |below| below + align);
        let (near, far) = if twice_beyond <= align {
            (below, Some(above))
        } else {
            (Some(above), below)
        };
        let cut = [near, far]
            .into_iter()
            .flatten()
            .filter_map(|cut| usize::try_from(cut).ok())
            .find(|cut| part.start < *cut && *cut < part.end)?;
        let mut bounds = self.bounds.clone();
        bounds.insert(bounds.len() - 1, cut);
        Some(Parts { bounds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts in the order in which they run, if parts longer than `fits` are halved.
    fn parts(bytes: usize, offset: u64, align: usize, fits: usize) -> Option<Vec<Range<usize>>> {
        let mut run = Vec::new();
        let mut left = Some(Parts::whole(bytes));
        while let Some(parts) = left {
            let part = parts.current();
            if part.len() > fits {
                left = Some(parts.halved(offset, align)?);
                continue;
            }
            run.push(part);
            left = parts.next();
        }
        Some(run)
    }

    #[test]
    fn parts_come_in_order_and_cover_the_chunk() {
        for (bytes, align, fits) in [(1, 1, 1), (1000, 1, 1), (1000, 64, 64), (4097, 1024, 1024)] {
            let run = parts(bytes, 1 << 20, align, fits).unwrap();
            assert_eq!(run.first().unwrap().start, 0);
            assert_eq!(run.last().unwrap().end, bytes);
            for pair in run.windows(2) {
                assert_eq!(pair[0].end, pair[1].start);
                assert_eq!(pair[0].end % align, 0);
            }
            assert!(run
                .iter()
                .all(|part| !part.is_empty() && part.len() <= fits));
        }
    }

    #[test]
    fn the_cut_is_the_multiple_nearest_the_middle() {
        let cut = |bytes, offset, align| {
            let halved = Parts::whole(bytes).halved(offset, align);
            halved.map(|parts| parts.current().end)
        };
        assert_eq!(cut(8292, 0, 4096), Some(4096));
        assert_eq!(cut(12290, 0, 4096), Some(8192));
        assert_eq!(cut(4097, 1 << 40, 4096), Some(4096));
        assert_eq!(cut(1000, 1 << 40, 1), Some(500));
        // Multiples are counted in the file, even if the chunk does not begin at one.
        assert_eq!(cut(100, 50, 64), Some(78));
        assert_eq!(cut(20, 60, 64), Some(4));
        assert_eq!(cut(20, 20, 64), None);
    }

    #[test]
    fn the_cut_is_what_the_specification_says() {
        for align in [1, 2, 4, 8] {
            for offset in 0..2 * align {
                for bytes in 0..5 * align as usize + 3 {
                    // The multiples inside the part, each with twice its distance from the middle; the first of the
                    // nearest is chosen.
                    let inside =
                        (1..bytes).filter(|cut| (offset + *cut as u64).is_multiple_of(align));
                    let expected = inside.min_by_key(|cut| (2 * cut).abs_diff(bytes));
                    let halved = Parts::whole(bytes).halved(offset, align as usize);
                    let cut = halved.map(|parts| parts.current().end);
                    assert_eq!(cut, expected, "{bytes} bytes at {offset}, align {align}");
                }
            }
        }
    }

    #[test]
    fn a_block_is_not_cut() {
        assert_eq!(parts(64, 0, 64, 63), None);
        assert_eq!(parts(1, 0, 1, 0), None);
        assert!(parts(65, 0, 64, 64).is_some());
        assert_eq!(Parts::whole(0).current(), 0..0);
        assert_eq!(Parts::whole(0).next(), None);
    }
}
