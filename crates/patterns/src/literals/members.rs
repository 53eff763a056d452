//! The patterns of a class by their windows: a hash table of lists, with a way through long lists.
//!
//! Many patterns may share a window, whatever is chosen: all that begin with the same hundred bytes, say. A list is
//! sorted by where the window begins in the pattern, by the pattern's length and by a hash of the whole pattern, so that
//! of a long list one hash for each length is looked up.

use super::store::Store;
use std::ops::Range;

/// A pattern by its window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Member {
    /// Bits of the hash of the window.
    print: u32,
    /// Where the window begins in the pattern.
    at: u32,
    len: u32,
    /// A hash of the pattern.
    whole: u32,
    pattern: u32,
}

/// A window that was chosen in a pattern.
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    /// The hash of its bytes.
    pub hash: u64,
    pub pattern: u32,
    /// Where it begins.
    pub at: u32,
}

#[derive(Debug)]
pub(super) struct Members {
    shift: u32,
    /// Where each list begins; the last is where the last list ends.
    lists: Vec<u32>,
    members: Vec<Member>,
    fold: bool,
}

/// A list of no more members than this is gone through.
const SHORT: usize = 6;

/// A hash that goes on behind any byte.
#[inline]
fn longer(hash: u32, bytes: &[u8], fold: bool) -> u32 {
    bytes.iter().fold(hash, |hash, byte| {
        let byte = if fold {
            byte.to_ascii_lowercase()
        } else {
            *byte
        };
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

impl Members {
    pub fn new(store: &Store, windows: &[Window], fold: bool) -> Self {
        let bits = (2 * windows.len()).next_power_of_two().trailing_zeros();
        let shift = 64 - bits.max(1);
        let mut lists = vec![0_u32; (1 << bits.max(1)) + 1];
        for window in windows {
            lists[(window.hash >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for list in &mut lists {
            sum += *list;
            *list = sum;
        }
        let mut next = lists.clone();
        let mut members = vec![Member::default(); windows.len()];
        for window in windows {
            let slot = &mut next[(window.hash >> shift) as usize];
            let pattern = store.pattern(window.pattern);
            members[*slot as usize] = Member {
                print: window.hash as u32,
                at: window.at,
                len: pattern.len() as u32,
                whole: longer(0, pattern, false),
                pattern: window.pattern,
            };
            *slot += 1;
        }
        for list in lists.windows(2) {
            if list[1] - list[0] > SHORT as u32 {
                members[list[0] as usize..list[1] as usize].sort_unstable();
            }
        }
        Self {
            shift,
            lists,
            members,
            fold,
        }
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&self.lists[..]) + size_of_val(&self.members[..])
    }

    /// Where the list of a window lies.
    #[inline]
    pub fn list(&self, hash: u64) -> Range<usize> {
        let list = (hash >> self.shift) as usize;
        self.lists[list] as usize..self.lists[list + 1] as usize
    }

    /// Calls `found` with start and number of each pattern of the list whose window has this hash and stands in `text`
    /// at `window`, so that the pattern stands there and begins in `starts`.
    #[inline]
    pub fn compare(
        &self,
        store: &Store,
        text: &[u8],
        starts: &Range<usize>,
        (window, hash, list): (usize, u64, Range<usize>),
        found: &mut impl FnMut(usize, u32),
    ) {
        let list = &self.members[list];
        if list.len() > SHORT {
            return self.compare_many(store, text, starts, (window, hash, list), found);
        }
        for member in list {
            if member.print != hash as u32 {
                continue;
            }
            let Some(start) = window.checked_sub(member.at as usize) else {
                continue;
            };
            if starts.contains(&start) && store.stands_at(text, start, member.pattern) {
                found(start, member.pattern);
            }
        }
    }

    #[inline(never)]
    fn compare_many(
        &self,
        store: &Store,
        text: &[u8],
        starts: &Range<usize>,
        (window, hash, list): (usize, u64, &[Member]),
        found: &mut impl FnMut(usize, u32),
    ) {
        let print = hash as u32;
        let mut rest = &list[list.partition_point(|member| member.print < print)..];
        // The hash of so many bytes behind a start.
        let (mut at, mut hashed, mut whole) = (u32::MAX, 0, 0);
        while let Some(first) = rest.first().filter(|first| first.print == print) {
            let shape = (print, first.at, first.len);
            let start = window.checked_sub(first.at as usize);
            let Some(start) = start.filter(|start| starts.contains(start)) else {
                let behind =
                    rest.partition_point(|member| (member.print, member.at) <= (print, first.at));
                rest = &rest[behind..];
                continue;
            };
            if at != first.at {
                (at, hashed, whole) = (first.at, 0, 0);
            }
            let Some(bytes) = text.get(start + hashed..start + first.len as usize) else {
                // Longer ones reach beyond the end, too.
                let behind =
                    rest.partition_point(|member| (member.print, member.at) <= (print, first.at));
                rest = &rest[behind..];
                continue;
            };
            whole = longer(whole, bytes, self.fold);
            hashed = first.len as usize;
            let behind =
                rest.partition_point(|member| (member.print, member.at, member.len) <= shape);
            let (same, others) = rest.split_at(behind);
            let from = same.partition_point(|member| member.whole < whole);
            for member in same[from..]
                .iter()
                .take_while(|member| member.whole == whole)
            {
                if store.stands_at(text, start, member.pattern) {
                    found(start, member.pattern);
                }
            }
            rest = others;
        }
    }
}
