//! Manifests: what `digest --manifest` writes, and how `diff` and `dupes` come by one.

use super::collected::Collected;
use super::destination::Destination;
use super::end::{self, End};
use super::engine::EngineArgs;
use super::mill::share::{Limits, Share};
use super::objects::stores;
use super::report_args::ReportArgs;
use super::rows::{Format, Rows, RowsArgs};
use super::{messages, one_job};
use gristmill::decode::Decode;
use gristmill::jobs::digest::{
    write_unread, Algorithms, Chunking, DigestJob, Several, MOST_CHUNKS,
};
use gristmill::manifest::{Gather, Head, Manifest, ManifestErrorKind};
use gristmill::mill::{FileErrorKind, Task};
use gristmill::source::{is_url, path_of_url, shown_name, Source, Tree};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Flags of `digest` for manifests.
#[derive(Debug, Clone, clap::Args)]
pub struct ManifestArgs {
    /// Write a manifest instead of rows: a table with a row for each file, with its size, time, all its digests, and
    /// any read error. `gristmill diff` compares it with the files at a later time.
    ///
    /// The file's extension determines the format unless --format does: .jsonl, .csv, .arrow or .parquet. The file
    /// appears under its name only once it is complete. docs/manifest.md lists its columns.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["output", "json", "tag", "zero", "check"]
    )]
    manifest: Option<PathBuf>,

    /// Cut files into content-defined chunks with `fastcdc` or `gear`. The manifest lists the position, length and
    /// BLAKE3 of each chunk. A colon and an average size may follow, such as fastcdc:16K; the default is 64K.
    ///
    /// The smallest chunk size is a quarter of the average, and the largest four times the average. A file has at most
    /// 2,097,152 chunks.
    #[arg(long, value_name = "NAME", requires = "manifest")]
    chunks: Option<Chunking>,
}

impl ManifestArgs {
    /// Where a manifest goes, if one is to be written. `format` is that of --format.
    pub fn rows(&self, format: Option<Format>) -> Option<RowsArgs> {
        let path = self.manifest.clone()?;
        Some(RowsArgs::new(path, format))
    }

    /// A manifest that is to be written there.
    ///
    /// # Errors
    /// A message, if the format has no place for one, or the output cannot be written.
    pub fn open(
        &self,
        rows: &RowsArgs,
        algorithms: Algorithms,
        roots: &[PathBuf],
    ) -> Result<ManifestOutput, String> {
        let head = Head::new(algorithms, self.chunks, roots.iter().cloned());
        let rows = rows.open_manifest(&head)?;
        Ok(ManifestOutput {
            job: Arc::new(DigestJob::manifest(algorithms, self.chunks)),
            head,
            rows,
            unlisted: Collected::of_listings(),
        })
    }

    /// Whether files are cut into chunks.
    pub fn cuts_files(&self) -> bool {
        self.chunks.is_some()
    }
}

/// A manifest while it is written.
pub struct ManifestOutput {
    pub job: Arc<DigestJob>,
    head: Head,
    pub rows: Rows,
    /// What could not be listed.
    pub unlisted: Collected,
}

impl ManifestOutput {
    /// What the run is told of it.
    pub fn report(&self, args: &ReportArgs) -> ReportArgs {
        ReportArgs {
            rows: self.rows.destination(),
            collected: Some(self.unlisted.clone()),
            ..args.clone()
        }
    }

    /// Ends the manifest.
    pub fn finish(mut self, end: &mut End) {
        let last = unlisted(&self.unlisted, &self.head);
        let to = self.rows.destination();
        end::write_last(&mut self.rows, &to, &last, end);
        tell_of_files(&self.job, "; its row says so", "and its row has none", end);
        self.rows.finish(b"", end);
    }
}

/// Says which files changed while they were read, and which have too many chunks. `changed` and `uncut` say what the
/// answer has of them.
fn tell_of_files(job: &DigestJob, changed: &str, uncut: &str, end: &mut End) {
    tell(
        &job.changed(),
        &format!("it changed while it was read{changed}"),
    );
    let too_many = job.uncut();
    end.failed |= too_many.count > 0;
    const { assert!(MOST_CHUNKS == 2_097_152, "the message says so") };
    tell(
        &too_many,
        &format!("it has more than 2,097,152 chunks, {uncut}; give a larger average, such as --chunks fastcdc:1M"),
    );
}

/// Says something of several files.
fn tell(several: &Several, what: &str) {
    for path in &several.first {
        messages::complain(&format!("{}: {what}", path.display()));
    }
    let more = several.count - several.first.len() as u64;
    if more > 0 {
        messages::complain(&format!("{more} more files: {what}"));
    }
}

/// The rows of what could not be listed.
fn unlisted(collected: &Collected, head: &Head) -> Vec<u8> {
    let mut rows = Vec::new();
    let (errors, more) = collected.take();
    for error in errors {
        if let (Some(path), FileErrorKind::Listing { reason }) = (error.path, error.kind) {
            write_unread(&path, &reason, &head.algorithms, head.has_chunks, &mut rows);
        }
    }
    if more > 0 {
        messages::complain(&format!(
            "{more} more directories could not be listed, and have no row in the manifest"
        ));
    }
    rows
}

/// A manifest beside other jobs.
pub struct ManifestShare {
    pub output: ManifestOutput,
    pub limits: Option<Limits>,
}

impl Share for ManifestShare {
    fn task(&mut self) -> Task<'_> {
        Task::new(Arc::clone(&self.output.job), &mut self.output.rows)
    }

    fn destination(&self) -> Destination {
        self.output.rows.destination()
    }

    fn collected(&self) -> Option<Collected> {
        Some(self.output.unlisted.clone())
    }

    fn finish(self: Box<Self>, _name: &str, end: &mut End) -> Option<bool> {
        self.output.finish(end);
        None
    }

    fn limits(&self) -> Option<Limits> {
        self.limits
    }
}

/// A manifest that was named, or nothing if what was named is to be read: a manifest is a regular file, or an object, with
/// the ending of a format that manifests have. `sharing` is as [`Gather::sharing`].
///
/// # Errors
/// A message, if it is one, and cannot be read.
pub fn named(path: &Path, sharing: bool) -> Result<Option<Manifest>, String> {
    let shown = shown_name(path);
    let named = Format::of(&shown).is_some_and(|format| format != Format::Text);
    match named && (is_url(path) || shown.is_file()) {
        true => open(path, sharing),
        false => Ok(None),
    }
}

/// The manifest at a path or URL; nothing if a URL is no object, and others lie below it.
///
/// # Errors
/// A message, if it cannot be read.
pub fn open(path: &Path, sharing: bool) -> Result<Option<Manifest>, String> {
    let read = match path_of_url(path) {
        Some(path) => Manifest::open(&path?, sharing).map(Some),
        None if is_url(path) => {
            let file = tempfile::tempfile();
            let file = file.map_err(|error| {
                format!(
                    "{}: a file in {} for the manifest: {error}; name another directory with TMPDIR",
                    shown_name(path).display(),
                    std::env::temp_dir().display()
                )
            })?;
            Manifest::fetch(&*stores(), path, file, sharing)
        }
        None => Manifest::open(path, sharing).map(Some),
    };
    read.map_err(|error| match error.kind {
        ManifestErrorKind::Keep(_) => format!(
            "{error}; it is in {}: name another directory with TMPDIR",
            std::env::temp_dir().display()
        ),
        _ => error.to_string(),
    })
}

/// How a command ends that has read nothing but manifests.
pub const NO_RUN: End = End {
    failed: false,
    interrupted: false,
    unread: false,
    lost: false,
    whole: true,
};

/// The files and objects below these paths and URLs, as `digest` walks them.
///
/// # Errors
/// A message about a path that nothing can be listed of.
pub fn tree(paths: &[PathBuf]) -> Result<impl Source + 'static, String> {
    let tree = Tree::new(paths.iter().cloned())
        .hidden(true)
        .ignore_files(false)
        .objects(stores());
    tree.walk().map_err(|error| super::advice::glob(&error))
}

/// Reads files now, into a manifest in memory. Returns it, and how that ended. `sharing` is as [`Gather::sharing`].
///
/// # Errors
/// A message, if the run cannot start.
pub fn read_now(
    source: impl Source + 'static,
    head: Head,
    engine: &EngineArgs,
    rows: Destination,
    sharing: bool,
) -> Result<(Manifest, End), String> {
    let refusal = "files are read for a manifest only on the CPU; use --backend cpu";
    let mill = engine.mill_on_cpu(false, Decode::default(), refusal)?;
    let job = Arc::new(DigestJob::manifest(head.algorithms, head.chunking));
    let collected = Collected::of_listings();
    let report = ReportArgs {
        collected: Some(collected.clone()),
        rows: Destination {
            is_file: true,
            ..rows
        },
        ..ReportArgs::default()
    };
    let mut gather = Gather::new(head.clone()).sharing(sharing);
    let (_, mut end) = one_job::run(&mill, source, Arc::clone(&job), &mut gather, &report, None)?;
    let failed = |error: std::io::Error| format!("the files that were read: {error}");
    gather
        .write_all(&unlisted(&collected, &head))
        .map_err(failed)?;
    tell_of_files(&job, "", "which are not counted", &mut end);
    Ok((gather.finish().map_err(failed)?, end))
}

/// Writes rows that come one after the other, and ends the output.
pub fn write<T>(
    mut rows: Rows,
    all: impl Iterator<Item = T>,
    mut row: impl FnMut(T, &mut Vec<u8>),
    last: &[u8],
    end: &mut End,
) {
    let to = rows.destination();
    let mut bytes = Vec::new();
    for one in all {
        row(one, &mut bytes);
        if bytes.len() >= 64 << 10 {
            let written = rows.write_all(&bytes);
            bytes.clear();
            if written.is_err() {
                end::note_last(&to, written, end);
                break;
            }
        }
    }
    end::write_last(&mut rows, &to, &bytes, end);
    rows.finish(last, end);
}

/// A path as text for people: on one line, with `\n`, `\r` and `\\` as escapes.
pub fn shown(path: &[u8]) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    gristmill::jobs::names::escaped(path).1
}
