//! `gristmill dupes`: files with the same content.

use super::engine::EngineArgs;
use super::rows::{Format, RowsArgs};
use super::{manifest, messages};
use gristmill::jobs::digest::{Algorithm, Chunking};
use gristmill::manifest::{duplicate_schema, Duplicates, Group, Head, Manifest, SameSizes};
use gristmill::source::{is_url, shown_name};
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `gristmill dupes`.
#[derive(Debug, Clone, clap::Args)]
pub struct DupesArgs {
    /// Files and directories; files whose size no other file has are not read. Or a single manifest, which is a file or
    /// an object whose name ends in .jsonl, .csv, .arrow or .parquet; then no files are read.
    #[arg(required = true)]
    paths: Vec<PathBuf>,

    /// Also report empty files.
    #[arg(long)]
    empty: bool,

    /// Read all files, cut them into content-defined chunks, and report how many bytes are in chunks that occur more
    /// than once. The values are those of --chunks of digest. For a manifest that has chunks, this is reported without
    /// the flag.
    #[arg(long, value_name = "NAME")]
    chunks: Option<Chunking>,

    /// Write a JSON object for each group of files with the same content, and one for the totals.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs `gristmill dupes`.
///
/// # Errors
/// A message, if the files cannot be read.
pub fn run(args: &DupesArgs) -> Result<ExitCode, String> {
    let json = args.json.then_some(("--json", Format::Jsonl));
    let format = args.rows.format(json)?;
    let named = match &*args.paths {
        [one] => manifest::named(one, true)?,
        _ => None,
    };
    if named.is_some() && args.chunks.is_some() {
        return Err(format!(
            "--chunks: {} is a manifest, which has chunks or not; leave it out, or name the files",
            shown_name(&args.paths[0]).display()
        ));
    }
    let mut urls = args.paths.iter().filter(|path| is_url(path));
    if let (None, Some(url)) = (&named, urls.next()) {
        return Err(format!(
            "{}: dupes reads files, not objects in object storage; write their digests with `gristmill digest --manifest FILE URL`, \
             and give it FILE",
            shown_name(url).display()
        ));
    }
    let rows = args.rows.open(format, || Ok(duplicate_schema()))?;
    let (manifest, mut end) = match named {
        Some(manifest) => (manifest, manifest::NO_RUN),
        None => {
            let roots = args.paths.iter().cloned();
            let head = Head::new(Algorithm::Blake3.into(), args.chunks, roots);
            let (tree, to) = (manifest::tree(&args.paths)?, rows.destination());
            match args.chunks {
                Some(_) => manifest::read_now(tree, head, &args.engine, to, true)?,
                None => manifest::read_now(SameSizes::new(tree), head, &args.engine, to, false)?,
            }
        }
    };
    if !end.whole {
        messages::complain("not all files could be read, so nothing is reported");
        return Ok(end.code(2));
    }
    let dupes = Duplicates::new(&manifest, args.empty);
    end.failed |= dupes.unread() > 0;
    let last = match format {
        Format::Jsonl => dupes.json_summary() + "\n",
        _ => summary(&manifest, &dupes),
    };
    let mut number = 0;
    let row = |group: &Group, out: &mut Vec<u8>| {
        match format {
            Format::Text => text(&manifest, group, out),
            Format::Jsonl => {
                out.extend(dupes.json(group).as_bytes());
                out.push(b'\n');
            }
            _ => dupes.write_rows(number, group, out),
        }
        number += 1;
    };
    manifest::write(rows, dupes.groups().iter(), row, last.as_bytes(), &mut end);
    Ok(end.code(u8::from(!dupes.groups().is_empty())))
}

/// A group as text.
fn text(manifest: &Manifest, group: &Group, out: &mut Vec<u8>) {
    out.extend(format!("{} each:\n", counted(group.size, "byte")).as_bytes());
    for names in &group.files {
        for (place, name) in names.iter().enumerate() {
            if place > 0 {
                out.extend(b"  hard link: ");
            }
            out.extend(manifest::shown(manifest.file(*name).path));
            out.push(b'\n');
        }
    }
    out.push(b'\n');
}

/// A number of things, each of which is a `what`.
fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {what}{s}")
}

/// What was found in all, as text.
fn summary(manifest: &Manifest, dupes: &Duplicates<'_>) -> String {
    let mut text = format!(
        "{}, {}; {} could be saved\n",
        counted(dupes.groups().len() as u64, "group"),
        counted(dupes.files(), "file"),
        counted(dupes.savable_bytes(), "byte")
    );
    if dupes.unread() > 0 {
        text += &format!("{} could not be read\n", counted(dupes.unread(), "file"));
    }
    if let Some(share) = manifest.chunk_share() {
        text += &format!(
            "{:.2} % of {} bytes are in repeated chunks: {} bytes; {} chunks, {} different\n",
            100.0 * share.share(),
            share.bytes,
            share.repeated_bytes,
            share.chunks,
            share.different
        );
    }
    text
}
