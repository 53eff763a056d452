//! `gristmill diff`: two manifests, or a manifest and files that are read now.

use super::destination::Destination;
use super::end::End;
use super::engine::EngineArgs;
use super::rows::{Format, RowsArgs};
use super::{manifest, messages};
use gristmill::manifest::{
    difference_schema, Change, Counts, Diff, Difference, Head, Manifest, Names,
};
use gristmill::source::{shown_name, FileId};
use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `gristmill diff`.
#[derive(Debug, Clone, clap::Args)]
pub struct DiffArgs {
    /// The old manifest, written by `gristmill digest --manifest`: a file, or the URL of an object.
    old: PathBuf,

    /// The new manifest, which is a file or an object whose name ends in .jsonl, .csv, .arrow or .parquet; or files,
    /// directories and URLs of objects, which are read now, with the digest algorithms of the old manifest.
    #[arg(required = true)]
    new: Vec<PathBuf>,

    /// Strip this prefix from paths before comparing, on both sides. May be given several times; the longest prefix
    /// that matches a path is stripped. By default, if each side was made from one path and these paths differ, they
    /// are stripped.
    #[arg(long, value_name = "PATH")]
    strip_prefix: Vec<PathBuf>,

    /// Write a JSON object for each difference, and one for the totals.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    rows: RowsArgs,

    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs `gristmill diff`.
///
/// # Errors
/// A message, if the manifests cannot be compared.
pub fn run(args: &DiffArgs) -> Result<ExitCode, String> {
    let json = args.json.then_some(("--json", Format::Jsonl));
    let format = args.rows.format(json)?;
    let old = manifest::open(&args.old, false)?.ok_or_else(|| {
        format!(
            "{}: there is no such object, and what is below it is not a manifest; give one that `gristmill digest --manifest` has written",
            shown_name(&args.old).display()
        )
    })?;
    let new = match &*args.new {
        [one] => manifest::named(one, false)?,
        _ => None,
    };
    // Nothing is begun before: while an object is fetched, a signal ends the process at once.
    let rows = args.rows.open(format, || Ok(difference_schema()))?;
    let (new, mut end) = match new {
        Some(new) => (new, manifest::NO_RUN),
        None => {
            let mut beside = rows.destination();
            // A manifest may lie among the files that it tells of.
            let own = File::open(shown_name(&args.old)).and_then(|file| FileId::of(&file));
            beside.written.extend(own);
            read(args, &args.new, &old, beside)?
        }
    };
    if !end.whole {
        messages::complain("the files were not all read, so that nothing is compared");
        return Ok(end.code(2));
    }
    let names = Names {
        strip: args.strip_prefix.clone(),
    };
    let diff = Diff::new(&old, &new, &names).map_err(|error| error.to_string())?;
    let counts = diff.counts();
    end.failed |= counts.unread > 0;
    let last = match format {
        Format::Jsonl => summary_json(&diff, counts),
        _ => summary(&diff, counts),
    };
    let row = |difference: Difference<'_>, out: &mut Vec<u8>| match format {
        Format::Text => text(&difference, out),
        Format::Jsonl => {
            out.extend(difference.json().as_bytes());
            out.push(b'\n');
        }
        _ => difference.write_row(out),
    };
    manifest::write(rows, diff.iter(), row, last.as_bytes(), &mut end);
    if diff.has_no_name_in_common() {
        messages::complain(
            "no path is in both: if they were named by different paths, give these with --strip-prefix",
        );
    }
    Ok(end.code(u8::from(!diff.is_empty())))
}

/// The manifest of files that are read now.
fn read(
    args: &DiffArgs,
    paths: &[PathBuf],
    old: &Manifest,
    beside: Destination,
) -> Result<(Manifest, End), String> {
    let head = Head::new(old.head().algorithms, None, paths.iter().cloned());
    let source = manifest::tree(paths)?;
    manifest::read_now(source, head, &args.engine, beside, false)
}

/// A difference as text.
fn text(difference: &Difference<'_>, out: &mut Vec<u8>) {
    let name = difference.change.name();
    out.extend(format!("{name:<9}").as_bytes());
    if let Some(old) = difference.old_name {
        out.extend(manifest::shown(old));
        out.extend(b" -> ");
    }
    out.extend(manifest::shown(difference.name));
    if difference.change == Change::Rot {
        out.extend(b": same size and time, other content");
    }
    if let Some(reason) = difference.reason() {
        out.extend(b": ");
        out.extend(messages::escaped(reason).as_bytes());
    }
    out.push(b'\n');
}

/// How many there are of each kind, as text.
fn summary(diff: &Diff<'_>, counts: Counts) -> String {
    let touched = match counts.touched {
        0 => String::new(),
        touched => format!(" ({touched} with another time)"),
    };
    format!(
        "{} added, {} removed, {} changed, {} moved, {} rot, {} unread, {} unchanged{touched}; compared by {}\n",
        counts.added,
        counts.removed,
        counts.changed,
        counts.moved,
        counts.rot,
        counts.unread,
        counts.unchanged,
        diff.algorithms().names().join(", ")
    )
}

fn summary_json(diff: &Diff<'_>, counts: Counts) -> String {
    let record = serde_json::json!({
        "type": "difference_summary",
        "added": counts.added,
        "removed": counts.removed,
        "changed": counts.changed,
        "moved": counts.moved,
        "rot": counts.rot,
        "unread": counts.unread,
        "unchanged": counts.unchanged,
        "touched": counts.touched,
        "algorithms": diff.algorithms().names(),
    });
    format!("{record}\n")
}
