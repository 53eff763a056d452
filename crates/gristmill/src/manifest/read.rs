//! Manifests, read from files of any format.

use super::error::{ManifestError, ManifestErrorKind};
use super::head::{Head, CHUNKS, COMPLETE, ROOTS};
use super::json;
use super::table::{Gather, Manifest};
use crate::bounded;
use crate::jobs::digest::{Algorithm, Algorithms, Chunking, MANIFEST, MANIFEST_VERSION};
use gristmill_rows::{RowReader, TableReader};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::Path;
use xxhash_rust::xxh3::Xxh3;

/// The most bytes of a line.
const MOST_BYTES: u64 = 1 << 30;

impl Manifest {
    /// Reads a manifest in any format that [`ManifestWriter`](super::ManifestWriter) writes; which it is, its first bytes
    /// tell. `sharing` is as [`Gather::sharing`].
    ///
    /// A table without metadata, as CSV is, is taken for a manifest of this version by its columns.
    ///
    /// # Errors
    /// [`ManifestError`], of which nothing is left: a manifest that is damaged is not used in part.
    pub fn open(path: &Path, sharing: bool) -> Result<Self, ManifestError> {
        read(path, sharing).map_err(|kind| ManifestError {
            path: path.to_owned(),
            kind,
        })
    }
}

fn read(path: &Path, sharing: bool) -> Result<Manifest, ManifestErrorKind> {
    read_file(bounded::open_regular(path)?, sharing)
}

/// Reads a manifest from the beginning of a file.
pub(super) fn read_file(mut file: File, sharing: bool) -> Result<Manifest, ManifestErrorKind> {
    let mut first = [0];
    let length = file.metadata()?.len();
    let count = file.read(&mut first)?;
    file.rewind()?;
    match &first[..count] {
        b"{" => read_json(file, length, sharing),
        _ => read_table(file, length, sharing),
    }
}

/// The version of a manifest must be this one.
fn check_version(found: &str, by: Option<&str>) -> Result<(), ManifestErrorKind> {
    if found.parse() == Ok(MANIFEST_VERSION) {
        return Ok(());
    }
    Err(ManifestErrorKind::Version {
        found: found.to_owned(),
        own: env!("CARGO_PKG_VERSION"),
        by: by.map_or_else(String::new, |by| format!(" (version {by})")),
    })
}

fn read_table(file: File, length: u64, sharing: bool) -> Result<Manifest, ManifestErrorKind> {
    let table = TableReader::open(file)?;
    if let Some((name, version)) = table.schema() {
        if name != MANIFEST {
            return Err(ManifestErrorKind::OtherTable { found: name.into() });
        }
        check_version(version, table.metadata("gristmill.version"))?;
    }
    if table
        .metadata(COMPLETE)
        .is_some_and(|complete| complete != "true")
    {
        return Err(ManifestErrorKind::Unfinished);
    }
    let columns = table.columns();
    // In the order of the columns, as the sum of the rows depends on it.
    let algorithms: Algorithms = (columns.iter())
        .filter_map(|name| Algorithm::ALL.into_iter().find(|of| of.column() == *name))
        .collect();
    if algorithms.is_empty() {
        return Err(ManifestErrorKind::NoDigests {
            found: columns.join(", "),
        });
    }
    let roots = table.metadata(ROOTS);
    let roots = roots.and_then(|roots| Head::roots_of(&serde_json::from_str(roots).ok()?));
    let chunking = table.metadata(CHUNKS);
    let head = Head {
        algorithms,
        chunking: chunking.and_then(|chunking| chunking.parse().ok()),
        has_chunks: columns.iter().any(|name| name.starts_with("chunk_")),
        roots: roots.unwrap_or_default(),
    };
    let schema = head.schema();
    let mut rows = Gather::new(head).of_file(length).sharing(sharing);
    let read = table.read(&schema, |row| rows.row(row));
    if let Some(error) = rows.error() {
        return Err(error);
    }
    read?;
    Ok(rows.finish()?)
}

/// Lines of a file, within a bound.
struct Lines {
    file: BufReader<File>,
    line: Vec<u8>,
    number: u64,
    /// The XXH3 of all lines before this one.
    before: Box<Xxh3>,
}

impl Lines {
    fn wrong(&self, reason: impl Into<String>) -> ManifestErrorKind {
        ManifestErrorKind::Line {
            line: self.number,
            reason: reason.into(),
        }
    }

    /// The next line as a record, with its type; `None` at the end.
    fn next(&mut self) -> Result<Option<(String, Value)>, ManifestErrorKind> {
        self.before.update(&self.line);
        self.line.clear();
        self.number += 1;
        let bounded = &mut (&mut self.file).take(MOST_BYTES);
        bounded.read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        if self.line.last() != Some(&b'\n') {
            return Err(self.wrong("the line has no end"));
        }
        let record: Result<Value, _> = serde_json::from_slice(&self.line);
        let record = record.map_err(|error| self.wrong(format!("it is no JSON: {error}")))?;
        let kind = record["type"].as_str().map(str::to_owned);
        let kind = kind.ok_or_else(|| self.wrong("it is no record with a type"))?;
        Ok(Some((kind, record)))
    }
}

/// The head that the record in the first line holds.
fn head_of(head: &Value, lines: &Lines) -> Result<Head, ManifestErrorKind> {
    let version = head["schema_version"].to_string();
    check_version(&version, head["gristmill_version"].as_str())?;
    let names = head["algorithms"].as_array().cloned().unwrap_or_default();
    let algorithms: Option<Algorithms> = (names.iter())
        .map(|name| name.as_str()?.parse::<Algorithm>().ok())
        .collect::<Option<Vec<_>>>()
        .map(|all| all.into_iter().collect());
    let algorithms = algorithms.filter(|algorithms| !algorithms.is_empty());
    let algorithms = algorithms.ok_or_else(|| lines.wrong("no algorithms, or unknown ones"))?;
    let chunking: Option<Chunking> = match &head["chunks"] {
        Value::Null => None,
        chunks => {
            let chunking = chunks.as_str().and_then(|chunks| chunks.parse().ok());
            Some(chunking.ok_or_else(|| lines.wrong("an unknown way to cut files"))?)
        }
    };
    let roots = Head::roots_of(&head["roots"]);
    let roots = roots.ok_or_else(|| lines.wrong("no roots"))?;
    Ok(Head::new(algorithms, chunking, roots))
}

fn read_json(file: File, length: u64, sharing: bool) -> Result<Manifest, ManifestErrorKind> {
    let mut lines = Lines {
        file: BufReader::with_capacity(1 << 16, file),
        line: Vec::new(),
        number: 0,
        before: Box::default(),
    };
    let head = match lines.next()? {
        Some((kind, head)) if kind == MANIFEST => head,
        other => {
            return Err(ManifestErrorKind::OtherTable {
                found: other.map_or_else(String::new, |(kind, _)| kind),
            })
        }
    };
    let head = head_of(&head, &lines)?;
    let schema = head.schema();
    let mut reader = RowReader::new(&schema);
    let mut rows = Gather::new(head).of_file(length).sharing(sharing);
    let (mut files, mut bytes) = (0, Vec::new());
    let end = loop {
        let next = lines.next()?;
        let next = next.ok_or_else(|| lines.wrong("the record manifest_end is missing"))?;
        match next {
            (kind, record) if kind == json::FILE => {
                files += 1;
                bytes.clear();
                json::parse(&schema, &record, &mut bytes)
                    .map_err(|field| lines.wrong(format!("{} is of another type", field.name())))?;
                let read = reader.read(&bytes, |row| rows.row(row));
                read.map_err(|error| match rows.error() {
                    Some(ManifestErrorKind::Row { reason, .. }) => lines.wrong(reason),
                    Some(other) => other,
                    None => lines.wrong(error.to_string()),
                })?;
            }
            (kind, record) if kind == json::END => break record,
            (kind, _) => return Err(lines.wrong(format!("a record of the type {kind:?}"))),
        }
    };
    if end["files"].as_u64() != Some(files) {
        let told = &end["files"];
        return Err(lines.wrong(format!("{files} files, where {told} are told")));
    }
    if end["xxh3"].as_str() != Some(&format!("{:016x}", lines.before.digest())) {
        return Err(lines.wrong("the lines are not those that were written: their XXH3 is another"));
    }
    if end["complete"] != true {
        return Err(ManifestErrorKind::Unfinished);
    }
    if lines.next()?.is_some() {
        return Err(lines.wrong("lines behind the record manifest_end"));
    }
    Ok(rows.finish()?)
}
