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
    /// Where the pattern lies in the store.
    from: u32,
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

/// The most windows that are looked up together.
pub(super) const MOST_WINDOWS: usize = 96;

/// A pattern that may stand at a place.
#[derive(Debug, Clone, Copy, Default)]
struct Taken {
    start: usize,
    from: u32,
    len: u32,
    pattern: u32,
}

/// Compares patterns where they may stand.
fn compare_taken(
    store: &Store,
    text: &[u8],
    starts: &Range<usize>,
    taken: &[Taken],
    found: &mut impl FnMut(usize, u32),
) {
    for one in taken {
        let range = one.from as usize..one.from as usize + one.len as usize;
        if starts.contains(&one.start) && store.is_at(text, one.start, range) {
            found(one.start, one.pattern);
        }
    }
}

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
                from: store.range(window.pattern).start as u32,
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

    /// Calls `found` with start and number of each pattern that has one of these windows, stands in `text` and begins in
    /// `starts`. There are at most [`MOST_WINDOWS`]: where they begin, and their hashes.
    ///
    /// Each step is done for all of them before the next, so that loads from memory do not wait for each other.
    pub fn compare(
        &self,
        store: &Store,
        text: &[u8],
        starts: &Range<usize>,
        windows: &[(usize, u64)],
        found: &mut impl FnMut(usize, u32),
    ) {
        let mut lists = [(0, 0); MOST_WINDOWS];
        for (list, (_, hash)) in lists.iter_mut().zip(windows) {
            let number = (hash >> self.shift) as usize;
            *list = (self.lists[number], self.lists[number + 1]);
        }
        let mut taken = [Taken::default(); MOST_WINDOWS + SHORT];
        let mut len = 0;
        for ((window, hash), (from, until)) in windows.iter().zip(lists) {
            let list = &self.members[from as usize..until as usize];
            if list.len() > SHORT {
                self.compare_many(store, text, starts, (*window, *hash, list), found);
                continue;
            }
            for member in list {
                taken[len] = Taken {
                    start: window.wrapping_sub(member.at as usize),
                    from: member.from,
                    len: member.len,
                    pattern: member.pattern,
                };
                len += usize::from(member.print == *hash as u32);
            }
            if len >= MOST_WINDOWS {
                compare_taken(store, text, starts, &taken[..len], found);
                len = 0;
            }
        }
        compare_taken(store, text, starts, &taken[..len], found);
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
