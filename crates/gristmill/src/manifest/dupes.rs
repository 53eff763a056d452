//! Files with the same content.

use super::table::Manifest;
use crate::jobs::digest::Digest;
use crate::jobs::names;
use gristmill_rows::{Field, Kind, RowWriter, Schema};
use serde_json::{json, Value};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Files with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The size of each, in bytes.
    pub size: u64,
    /// The files, in the order of their first names. Each is the numbers of its rows, in the order of names: those behind
    /// the first are hard links to the same file.
    pub files: Vec<Vec<usize>>,
}

impl Group {
    /// The bytes that all files but one take.
    #[must_use]
    pub fn savable_bytes(&self) -> u64 {
        self.size.saturating_mul(self.files.len() as u64 - 1)
    }
}

/// The files of a manifest that have the same content as another. Size and all digests decide; names of one file (hard
/// links) are no duplicates of each other.
#[derive(Debug)]
pub struct Duplicates<'m> {
    manifest: &'m Manifest,
    groups: Vec<Group>,
    unread: u64,
}

impl<'m> Duplicates<'m> {
    /// Finds them. Files of no bytes are left out, unless `empty`. Groups come by the bytes that could be saved, the most
    /// first.
    #[must_use]
    pub fn new(manifest: &'m Manifest, empty: bool) -> Self {
        let mut unread = 0;
        let mut files: Vec<u32> = Vec::new();
        for number in 0..manifest.len() {
            match manifest.file(number).size {
                None => unread += 1,
                Some(0) if !empty => {}
                // A manifest has no more rows than that.
                Some(_) => files.push(u32::try_from(number).unwrap_or(u32::MAX)),
            }
        }
        let algorithms = manifest.head().algorithms;
        let content =
            |one: &u32, other: &u32| manifest.cmp_content(*one, (manifest, *other), &algorithms);
        files.sort_unstable_by(content);
        let same = files.chunk_by(|one, other| content(one, other).is_eq());
        let groups = same.filter(|group| group.len() > 1);
        let mut groups: Vec<Group> = groups
            .filter_map(|group| {
                let size = manifest.file(group[0] as usize).size?;
                let files = by_inode(manifest, group);
                (files.len() > 1).then_some(Group { size, files })
            })
            .collect();
        groups.sort_by(|one, other| {
            let path = |group: &Group| manifest.path(group.files[0][0]);
            let saves = other.savable_bytes().cmp(&one.savable_bytes());
            saves.then_with(|| path(one).cmp(path(other)))
        });
        Self {
            manifest,
            groups,
            unread,
        }
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// How many files could not be read, so that nothing is known of them.
    #[must_use]
    pub fn unread(&self) -> u64 {
        self.unread
    }

    /// The bytes that all files but one of each group take.
    #[must_use]
    pub fn savable_bytes(&self) -> u64 {
        let groups = self.groups.iter();
        groups.fold(0, |sum, group| sum.saturating_add(group.savable_bytes()))
    }

    /// How many files are in groups.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.groups
            .iter()
            .map(|group| group.files.len() as u64)
            .sum()
    }

    /// A group as a record of JSON, of the type `duplicates`.
    #[must_use]
    pub fn json(&self, group: &Group) -> String {
        let path =
            |number: &usize| names::json(Path::new(OsStr::from_bytes(self.manifest.path(*number))));
        let files = group.files.iter().map(|names| {
            let links: Vec<Value> = names[1..].iter().map(path).collect();
            json!({ "path": path(&names[0]), "hard_links": links })
        });
        let (algorithm, digest) = self.digest(group);
        let record = json!({
            "type": "duplicates",
            "size": group.size,
            "savable_bytes": group.savable_bytes(),
            "algorithm": algorithm,
            "digest": digest,
            "files": files.collect::<Vec<_>>(),
        });
        record.to_string()
    }

    /// The first algorithm of the manifest, and the digest of a group by it.
    fn digest(&self, group: &Group) -> (&'static str, String) {
        let algorithm = self.manifest.head().algorithms.iter().next();
        algorithm.map_or_else(Default::default, |algorithm| {
            let digest = self.manifest.digest(group.files[0][0], algorithm);
            let digest = Digest::new(digest.unwrap_or_default()).to_string();
            (algorithm.name(), digest)
        })
    }

    /// What was found in all, as a record of JSON, of the type `duplicates_summary`.
    #[must_use]
    pub fn json_summary(&self) -> String {
        let chunks = self.manifest.chunk_share().map(|share| {
            json!({
                "bytes": share.bytes,
                "repeated_bytes": share.repeated_bytes,
                "chunks": share.chunks,
                "different": share.different,
            })
        });
        let record = json!({
            "type": "duplicates_summary",
            "groups": self.groups.len(),
            "files": self.files(),
            "savable_bytes": self.savable_bytes(),
            "unread": self.unread,
            "chunks": chunks,
        });
        record.to_string()
    }

    /// Appends the rows of a group, whose number is `number`, to those of a table of the schema [`duplicate_schema`].
    pub fn write_rows(&self, number: u64, group: &Group, rows: &mut Vec<u8>) {
        let (algorithm, digest) = self.digest(group);
        for (file, names) in group.files.iter().enumerate() {
            for (place, name) in names.iter().enumerate() {
                RowWriter::row(rows)
                    .bytes(self.manifest.path(*name))
                    .u64(number)
                    .u64(file as u64)
                    .bool(place > 0)
                    .u64(group.size)
                    .bytes(algorithm.as_bytes())
                    .bytes(digest.as_bytes())
                    .end();
            }
        }
    }
}

/// Rows with the same content, by file. A path that is there several times counts once.
fn by_inode(manifest: &Manifest, rows: &[u32]) -> Vec<Vec<usize>> {
    let mut rows: Vec<usize> = rows.iter().map(|number| *number as usize).collect();
    rows.sort_unstable_by_key(|number| manifest.path(*number));
    rows.dedup_by_key(|number| manifest.path(*number));
    let mut places: HashMap<(u64, u64), usize> = HashMap::new();
    let mut files: Vec<Vec<usize>> = Vec::new();
    for row in rows {
        let place = manifest
            .file(row)
            .id
            .map(|id| *places.entry(id).or_insert(files.len()));
        match place.and_then(|place| files.get_mut(place)) {
            Some(names) => names.push(row),
            None => files.push(vec![row]),
        }
    }
    files
}

/// The columns of a table of duplicates.
#[must_use]
pub fn duplicate_schema() -> Schema {
    Schema::new(
        "duplicate",
        1,
        "A name of a file that has the same content as another: `dupes`.",
        [
            Field::new("path", Kind::Path, "The name."),
            Field::new("group", Kind::U64, "The number of its group, from 0: files of one group have the same content."),
            Field::new("file", Kind::U64, "The number of the file in its group, from 0: names of one file have the same number."),
            Field::new("hard_link", Kind::Bool, "Whether it is another name of a file whose first name stands before it."),
            Field::new("size", Kind::U64, "The size of the file.").unit("bytes"),
            Field::new("algorithm", Kind::Text, "How the digest was made."),
            Field::new("digest", Kind::Text, "The digest, in hexadecimal digits and small letters."),
        ],
    )
}
