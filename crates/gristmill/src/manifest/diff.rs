//! Two manifests, compared.
//!
//! Both are sorted by name and merged. What is there on one side alone is then matched by content: a file that was moved
//! has the same content under another name. Numbers of rows are all that is kept for that: 4 bytes for each file, and 20
//! for each difference.

use super::difference::{Change, Difference};
use super::error::ManifestErrorKind;
use super::names::{last, Names, Stripped};
use super::table::Manifest;
use crate::jobs::digest::{Algorithm, Algorithms, Digest};
use gristmill_rows::escape;
use std::cmp::Ordering;
use std::collections::HashSet;

/// How many files there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// With the same content under the same name.
    pub unchanged: u64,
    /// Of these, those with another time.
    pub touched: u64,
    /// In the new manifest alone.
    pub added: u64,
    /// In the old manifest alone.
    pub removed: u64,
    /// With other content.
    pub changed: u64,
    /// With the same content under another name.
    pub moved: u64,
    /// With other content, and the same size and time.
    pub rot: u64,
    /// Of which nothing is known.
    pub unread: u64,
}

/// A difference: the numbers of the rows.
#[derive(Debug, Clone, Copy)]
struct Found {
    change: Change,
    old: Option<u32>,
    new: Option<u32>,
}

/// The differences between two manifests.
#[derive(Debug)]
pub struct Diff<'m> {
    old: &'m Manifest,
    new: &'m Manifest,
    names: (Stripped, Stripped),
    algorithms: Algorithms,
    found: Vec<Found>,
    counts: Counts,
}

impl<'m> Diff<'m> {
    /// Compares two manifests by the digests that both have.
    ///
    /// # Errors
    /// [`ManifestErrorKind`], if they have none in common, or a name has two rows that differ.
    pub fn new(
        old: &'m Manifest,
        new: &'m Manifest,
        names: &Names,
    ) -> Result<Self, ManifestErrorKind> {
        let (of_old, of_new) = (old.head().algorithms, new.head().algorithms);
        let algorithms: Algorithms = (of_old.iter())
            .filter(|algorithm| of_new.contains(*algorithm))
            .collect();
        if algorithms.is_empty() {
            return Err(ManifestErrorKind::NoneInCommon {
                old: of_old,
                new: of_new,
            });
        }
        let mut diff = Self {
            old,
            new,
            names: names.stripped(old.head(), new.head()),
            algorithms,
            found: Vec::new(),
            counts: Counts::default(),
        };
        diff.compare()?;
        Ok(diff)
    }

    /// The digests that were compared.
    #[must_use]
    pub fn algorithms(&self) -> Algorithms {
        self.algorithms
    }

    /// How many files there are of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Whether there is no difference.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Whether both have files, and no name is in both: they were probably named by different paths.
    #[must_use]
    pub fn has_no_name_in_common(&self) -> bool {
        let Counts {
            unchanged,
            changed,
            rot,
            unread,
            ..
        } = self.counts;
        !self.old.is_empty() && !self.new.is_empty() && unchanged + changed + rot + unread == 0
    }

    /// The differences, by name.
    pub fn iter(&self) -> impl Iterator<Item = Difference<'m>> + use<'_, 'm> {
        let algorithm = self.algorithms.iter().next().unwrap_or(Algorithm::Blake3);
        let row = move |manifest: &'m Manifest, number: Option<u32>| {
            let number = number? as usize;
            let file = manifest.file(number);
            let digest = file.size.and_then(|_| manifest.digest(number, algorithm));
            Some((file, digest.map(Digest::new)))
        };
        self.found.iter().map(move |found| {
            let (old, new) = (row(self.old, found.old), row(self.new, found.new));
            let moved = found.change == Change::Moved;
            Difference {
                change: found.change,
                name: self.name(found),
                old_name: found.old.filter(|_| moved).map(|old| self.old_name(old)),
                old: old.map(|(file, _)| file),
                new: new.map(|(file, _)| file),
                digests: [
                    old.and_then(|(_, digest)| digest),
                    new.and_then(|(_, digest)| digest),
                ],
                algorithm,
            }
        })
    }

    fn old_name(&self, number: u32) -> &'m [u8] {
        self.names.0.name(self.old.path(number as usize))
    }

    fn new_name(&self, number: u32) -> &'m [u8] {
        self.names.1.name(self.new.path(number as usize))
    }

    fn name(&self, found: &Found) -> &'m [u8] {
        match (found.new, found.old) {
            (Some(new), _) => self.new_name(new),
            (None, Some(old)) => self.old_name(old),
            (None, None) => b"",
        }
    }

    /// The rows of a manifest in the order of names, each name once.
    fn sorted(
        &self,
        manifest: &Manifest,
        stripped: &Stripped,
    ) -> Result<Vec<u32>, ManifestErrorKind> {
        let name = |number: u32| stripped.name(manifest.path(number as usize));
        let count = u32::try_from(manifest.len()).map_err(|_| ManifestErrorKind::TooManyRows)?;
        let mut rows: Vec<u32> = (0..count).collect();
        // Rows of one name keep their order.
        rows.sort_by(|one, other| name(*one).cmp(name(*other)));
        for pair in rows.windows(2) {
            let (one, other) = (pair[0], pair[1]);
            if name(one) == name(other) && !self.same((manifest, one), (manifest, other)) {
                let path = escape(name(one)).into_owned();
                return Err(ManifestErrorKind::Twice { path });
            }
        }
        rows.dedup_by(|one, other| name(*one) == name(*other));
        Ok(rows)
    }

    fn compare(&mut self) -> Result<(), ManifestErrorKind> {
        let old_rows = self.sorted(self.old, &self.names.0)?;
        let new_rows = self.sorted(self.new, &self.names.1)?;
        let (old_gaps, new_gaps) = (gaps(self.old, &self.names.0), gaps(self.new, &self.names.1));
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        let (mut old_rows, mut new_rows) = (&*old_rows, &*new_rows);
        loop {
            let (old, new) = (old_rows.first().copied(), new_rows.first().copied());
            let order = match (old, new) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => self.old_name(old).cmp(self.new_name(new)),
            };
            let (old, new) = (old.filter(|_| order.is_le()), new.filter(|_| order.is_ge()));
            old_rows = &old_rows[usize::from(old.is_some())..];
            new_rows = &new_rows[usize::from(new.is_some())..];
            match (old, new) {
                (Some(old), Some(new)) => self.pair(old, new),
                (Some(row), None)
                    if is_unread(self.old, row) || lies_in(&new_gaps, self.old_name(row)) =>
                {
                    self.add(Change::Unread, old, None);
                }
                (None, Some(row))
                    if is_unread(self.new, row) || lies_in(&old_gaps, self.new_name(row)) =>
                {
                    self.add(Change::Unread, None, new);
                }
                (old, new) => {
                    removed.extend(old);
                    added.extend(new);
                }
            }
        }
        self.match_moved(removed, added);
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|one, other| {
            let by_name = self.name(one).cmp(self.name(other));
            by_name.then(one.change.cmp(&other.change))
        });
        self.found = found;
        Ok(())
    }

    fn add(&mut self, change: Change, old: Option<u32>, new: Option<u32>) {
        let counts = &mut self.counts;
        *match change {
            Change::Added => &mut counts.added,
            Change::Removed => &mut counts.removed,
            Change::Changed => &mut counts.changed,
            Change::Moved => &mut counts.moved,
            Change::Rot => &mut counts.rot,
            Change::Unread => &mut counts.unread,
        } += 1;
        self.found.push(Found { change, old, new });
    }

    /// Compares what has the same name on both sides.
    fn pair(&mut self, old: u32, new: u32) {
        let (before, after) = (self.old.file(old as usize), self.new.file(new as usize));
        if before.size.is_none() || after.size.is_none() {
            return self.add(Change::Unread, Some(old), Some(new));
        }
        let same_time = before.modified_ns.is_some() && before.modified_ns == after.modified_ns;
        let same_size = before.size == after.size;
        if self.same((self.old, old), (self.new, new)) {
            self.counts.unchanged += 1;
            self.counts.touched += u64::from(before.modified_ns != after.modified_ns);
            return;
        }
        // What changed while it was read has a time that does not belong to its bytes.
        let stable = !before.changed && !after.changed;
        let change = match same_time && same_size && stable {
            true => Change::Rot,
            false => Change::Changed,
        };
        self.add(change, Some(old), Some(new));
    }

    /// Orders two rows by their content, as far as it is compared.
    fn cmp(&self, (manifest, row): (&Manifest, u32), other: (&Manifest, u32)) -> Ordering {
        manifest.cmp_content(row, other, &self.algorithms)
    }

    fn same(&self, one: (&Manifest, u32), other: (&Manifest, u32)) -> bool {
        self.cmp(one, other).is_eq()
    }

    /// Sorts rows of a manifest by content, and those with the same content by last name and name.
    fn sort(&self, rows: &mut [u32], manifest: &Manifest, stripped: &Stripped) {
        let names = |row: u32| {
            let name = stripped.name(manifest.path(row as usize));
            (last(name), name)
        };
        rows.sort_by(|&one, &other| {
            let order = self.cmp((manifest, one), (manifest, other));
            order.then_with(|| names(one).cmp(&names(other)))
        });
    }

    /// Takes the rows that have the same content as the first from sorted ones.
    fn take_same<'r>(&self, rows: &mut &'r [u32], manifest: &Manifest) -> &'r [u32] {
        let all = *rows;
        let same = |row: &&u32| self.same((manifest, **row), (manifest, all[0]));
        let (same, rest) = all.split_at(all.iter().take_while(same).count());
        *rows = rest;
        same
    }

    /// Matches files that are on one side alone by their content.
    fn match_moved(&mut self, mut removed: Vec<u32>, mut added: Vec<u32>) {
        let (old, new) = (self.old, self.new);
        self.sort(&mut removed, old, &self.names.0);
        self.sort(&mut added, new, &self.names.1);
        let (mut olds, mut news) = (&*removed, &*added);
        while let (Some(&one), Some(&other)) = (olds.first(), news.first()) {
            let order = self.cmp((old, one), (new, other));
            let (mut same_olds, mut same_news): (&[u32], &[u32]) = (&[], &[]);
            if order.is_le() {
                same_olds = self.take_same(&mut olds, old);
            }
            if order.is_ge() {
                same_news = self.take_same(&mut news, new);
            }
            // Files of no bytes are never moved.
            if order.is_eq() && old.file(one as usize).size != Some(0) {
                self.match_same(same_olds, same_news);
            } else {
                self.alone(same_olds, same_news);
            }
        }
        self.alone(olds, news);
    }

    /// Tells what has become of files with the same content, which are sorted by their last names: those with the same
    /// last name have moved, and then as many of the others as there are on both sides.
    fn match_same(&mut self, mut olds: &[u32], mut news: &[u32]) {
        let (mut removed, mut added) = (Vec::new(), Vec::new());
        while let (Some(&old), Some(&new)) = (olds.first(), news.first()) {
            let names = last(self.old_name(old)).cmp(last(self.new_name(new)));
            match names {
                Ordering::Equal => self.add(Change::Moved, Some(old), Some(new)),
                Ordering::Less => removed.push(old),
                Ordering::Greater => added.push(new),
            }
            olds = &olds[usize::from(names.is_le())..];
            news = &news[usize::from(names.is_ge())..];
        }
        removed.extend(olds);
        added.extend(news);
        for (&old, &new) in removed.iter().zip(&added) {
            self.add(Change::Moved, Some(old), Some(new));
        }
        let moved = removed.len().min(added.len());
        self.alone(&removed[moved..], &added[moved..]);
    }

    /// Adds what is on one side alone.
    fn alone(&mut self, removed: &[u32], added: &[u32]) {
        for &old in removed {
            self.add(Change::Removed, Some(old), None);
        }
        for &new in added {
            self.add(Change::Added, None, Some(new));
        }
    }
}

fn is_unread(manifest: &Manifest, row: u32) -> bool {
    manifest.file(row as usize).size.is_none()
}

/// The names of what could not be read in a manifest; empty ones are those of a root.
fn gaps<'m>(manifest: &'m Manifest, stripped: &Stripped) -> HashSet<&'m [u8]> {
    let rows = 0..manifest.len();
    rows.filter(|row| manifest.file(*row).size.is_none())
        .map(|row| stripped.rest(manifest.path(row)))
        .collect()
}

/// Whether a name lies in one of these directories.
fn lies_in(gaps: &HashSet<&[u8]>, name: &[u8]) -> bool {
    if gaps.is_empty() {
        return false;
    }
    let slashes = memchr::memchr_iter(b'/', name);
    gaps.contains(&b""[..])
        || slashes
            .into_iter()
            .any(|slash| gaps.contains(&name[..slash]))
}
