//! The patterns of a class by their windows: a hash table of lists, with a way through long lists.
//!
//! Many patterns may share a window, whatever is chosen: all that begin with the same hundred bytes, say. A list is
//! sorted by where the window begins in the pattern, by the pattern's length and by a hash of the whole pattern, so that
//! of a long list one hash for each length is looked up.

use super::store::{is_ascending, Store};
use crate::saved::{Section, SetError, SetWriter, Table, Tag};
use std::ops::Range;

/// A pattern by its window, as the table has it: its fields in their order.
type Row = [u32; 6];

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

impl From<Row> for Member {
    #[inline(always)]
    fn from([print, at, len, whole, pattern, from]: Row) -> Self {
        Self {
            print,
            at,
            len,
            whole,
            pattern,
            from,
        }
    }
}

impl From<Member> for Row {
    fn from(member: Member) -> Self {
        let Member { print, at, len, .. } = member;
        [print, at, len, member.whole, member.pattern, member.from]
    }
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
    lists: Table<u32>,
    members: Table<Row>,
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
    store: &Store<'_>,
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
    /// The number of lists, by its logarithm, for so many patterns.
    fn bits(count: usize) -> u32 {
        (2 * count).next_power_of_two().trailing_zeros().max(1)
    }

    pub fn new(store: &Store<'_>, windows: &[Window], fold: bool) -> Self {
        let bits = Self::bits(windows.len());
        let shift = 64 - bits;
        let mut lists = vec![0_u32; (1 << bits) + 1];
        for window in windows {
            lists[(window.hash >> shift) as usize + 1] += 1;
        }
        let mut sum = 0;
        for list in &mut lists {
            sum += *list;
            *list = sum;
        }
        let mut next = lists.clone();
        let mut members = vec![Row::default(); windows.len()];
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
            }
            .into();
            *slot += 1;
        }
        for list in lists.windows(2) {
            if list[1] - list[0] > SHORT as u32 {
                members[list[0] as usize..list[1] as usize].sort_unstable();
            }
        }
        Self {
            shift,
            lists: lists.into(),
            members: members.into(),
            fold,
        }
    }

    /// Adds both tables to a set.
    pub fn save(&self, set: &mut SetWriter, number: u32) {
        let lists: &[u8] = bytemuck::cast_slice(&self.lists);
        let members: &[u8] = bytemuck::cast_slice(&self.members);
        set.section(Tag::Lists, number, lists);
        set.section(Tag::Members, number, members);
    }

    /// Takes both tables, of `count` patterns, from a set, and returns the furthest that a window begins in its pattern.
    /// Of a class it is said whether case is folded, and how long windows are. `seen` has a bit for each pattern; those
    /// of these patterns are set.
    ///
    /// # Errors
    /// If anything but a hash contradicts the patterns.
    pub fn load(
        lists: &Section,
        members: &Section,
        store: &Store<'_>,
        count: usize,
        (fold, window): (bool, usize),
        seen: &mut [u64],
    ) -> Result<(Self, usize), SetError> {
        let bits = Self::bits(count);
        let loaded = Self {
            shift: 64 - bits,
            lists: Table::of(lists)?,
            members: Table::of(members)?,
            fold,
        };
        let (places, rows): (&[u32], &[Row]) = (&loaded.lists, &loaded.members);
        if places.len() != (1 << bits) + 1 || rows.len() != count {
            return Err(lists.damaged(0, format!("tables of another size than {count} patterns")));
        }
        let is_whole = places.first() == Some(&0) && places[1 << bits] as usize == count;
        if !is_whole || !is_ascending(places) {
            let wrong = places.windows(2).position(|list| list[0] > list[1]);
            let at = 4 * wrong.map_or(0, |list| list + 1);
            return Err(lists.damaged(at, "lists that do not lie one behind the other"));
        }
        let wrong = |row: usize, what| Err(members.damaged(size_of::<Row>() * row, what));
        let mut furthest = 0;
        for (index, row) in rows.iter().enumerate() {
            let member = Member::from(*row);
            let range = store.range(member.pattern);
            if range.start != member.from as usize || range.len() != member.len as usize {
                return wrong(index, "not where the pattern lies");
            }
            // Patterns that are there have at least one byte.
            if member.at as usize + window > range.len() {
                return wrong(index, "the pattern is too short for its window");
            }
            furthest = furthest.max(member.at as usize);
            let bit = 1 << (member.pattern % 64);
            match seen.get_mut(member.pattern as usize / 64) {
                Some(word) if *word & bit == 0 => *word |= bit,
                _ => return wrong(index, "a pattern that stands elsewhere, too"),
            }
        }
        let behind = &places[1..];
        let lengths = places.iter().zip(behind).map(|(from, until)| until - from);
        if lengths.fold(0, u32::max) as usize > SHORT {
            for list in places.windows(2) {
                let (from, until) = (list[0] as usize, list[1] as usize);
                let list = Some(&rows[from..until]).filter(|list| list.len() > SHORT);
                let mut pairs = list.unwrap_or_default().windows(2);
                if let Some(index) = pairs.position(|pair| pair[0] > pair[1]) {
                    return wrong(from + index + 1, "a long list that is not in order");
                }
            }
        }
        Ok((loaded, furthest))
    }

    /// The patterns' numbers, in the order of the table.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.members.iter().map(|row| Member::from(*row).pattern)
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
        store: &Store<'_>,
        text: &[u8],
        starts: &Range<usize>,
        windows: &[(usize, u64)],
        found: &mut impl FnMut(usize, u32),
    ) {
        let (places, rows): (&[u32], &[Row]) = (&self.lists, &self.members);
        let mut lists = [(0, 0); MOST_WINDOWS];
        for (list, (_, hash)) in lists.iter_mut().zip(windows) {
            let number = (hash >> self.shift) as usize;
            *list = (places[number], places[number + 1]);
        }
        let mut taken = [Taken::default(); MOST_WINDOWS + SHORT];
        let mut len = 0;
        for ((window, hash), (from, until)) in windows.iter().zip(lists) {
            let list = &rows[from as usize..until as usize];
            if list.len() > SHORT {
                self.compare_many(store, text, starts, (*window, *hash, list), found);
                continue;
            }
            for row in list {
                let member = Member::from(*row);
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
        store: &Store<'_>,
        text: &[u8],
        starts: &Range<usize>,
        (window, hash, list): (usize, u64, &[Row]),
        found: &mut impl FnMut(usize, u32),
    ) {
        let print = hash as u32;
        let mut rest = &list[list.partition_point(|row| row[0] < print)..];
        // The hash of so many bytes behind a start.
        let (mut at, mut hashed, mut whole) = (u32::MAX, 0, 0);
        while let Some(first) = rest.first().filter(|row| row[0] == print) {
            let first = Member::from(*first);
            let shape = [print, first.at, first.len];
            let start = window.checked_sub(first.at as usize);
            let Some(start) = start.filter(|start| starts.contains(start)) else {
                let behind = rest.partition_point(|row| row[..2] <= [print, first.at][..]);
                rest = &rest[behind..];
                continue;
            };
            if at != first.at {
                (at, hashed, whole) = (first.at, 0, 0);
            }
            let Some(bytes) = text.get(start + hashed..start + first.len as usize) else {
                // Longer ones reach beyond the end, too.
                let behind = rest.partition_point(|row| row[..2] <= [print, first.at][..]);
                rest = &rest[behind..];
                continue;
            };
            whole = longer(whole, bytes, self.fold);
            hashed = first.len as usize;
            let behind = rest.partition_point(|row| row[..3] <= shape[..]);
            let (same, others) = rest.split_at(behind);
            let from = same.partition_point(|row| row[3] < whole);
            let alike = same[from..].iter().map(|row| Member::from(*row));
            for member in alike.take_while(|member| member.whole == whole) {
                if store.stands_at(text, start, member.pattern) {
                    found(start, member.pattern);
                }
            }
            rest = others;
        }
    }
}
