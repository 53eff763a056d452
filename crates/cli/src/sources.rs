//! The flags that say which files `digest`, `stats`, `run`, `ingest` and `mill` read. `scan` has more of ripgrep's
//! flags, in `scan/walk.rs`.

use super::objects::{any_url, stores};
use super::progress::Estimate;
use super::select::{OrderArgs, SelectArgs};
use super::{advice, signals};
use gristmill::source::{FileList, Source, Stdin, Tree};
use std::path::{Path, PathBuf};

/// Which files these commands read.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceArgs {
    /// Files and directories to read. `-`, or no path at all, is standard input. URLs name objects and prefixes in
    /// object storage: s3://, gs://, az://, https://.
    paths: Vec<PathBuf>,

    /// Read the names of files from this file, one per line; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "files0_from"])]
    files_from: Option<PathBuf>,

    /// Read the names of files from this file, each terminated by a NUL, as in the output of `find -print0`; `-` is
    /// standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    files0_from: Option<PathBuf>,

    #[command(flatten)]
    select: SelectArgs,

    /// Skip the files that `scan` skips: hidden files, and those that ignore files exclude.
    #[arg(long)]
    ignore: bool,

    #[command(flatten)]
    order: OrderArgs,
}

impl SourceArgs {
    /// Whether standard input, which can be read only once, is among the inputs.
    pub fn is_stream(&self) -> bool {
        let stdin = Path::new("-");
        match self.files_from.as_ref().or(self.files0_from.as_ref()) {
            Some(list) => list == stdin,
            None => self.paths.is_empty() || self.paths.iter().any(|path| path == stdin),
        }
    }

    /// Whether the inputs are named.
    pub fn are_named(&self) -> bool {
        !self.paths.is_empty() || self.files_from.is_some() || self.files0_from.is_some()
    }

    /// The paths that were named: none where there is a list.
    pub fn roots(&self) -> &[PathBuf] {
        &self.paths
    }

    /// Whether files come in an order.
    pub fn sorted(&self) -> bool {
        self.order.is_given()
    }

    fn tree(&self) -> Result<Tree, String> {
        let tree = Tree::new(self.paths.iter().cloned())
            .hidden(!self.ignore)
            .ignore_files(self.ignore)
            .objects(stores());
        self.order.check(&self.paths)?;
        self.select.apply(self.order.apply(tree))
    }

    /// The source.
    ///
    /// # Errors
    /// A message about a list that cannot be opened or a glob that cannot be parsed.
    pub fn source(&self) -> Result<Box<dyn Source>, String> {
        if let Some(list) = file_list(
            self.files_from.as_deref(),
            self.files0_from.as_deref(),
            self.order,
        )? {
            return Ok(Box::new(list));
        }
        if self.paths.is_empty() {
            return Ok(Box::new(Stdin::new()));
        }
        Ok(Box::new(
            self.tree()?.walk().map_err(|error| advice::glob(&error))?,
        ))
    }

    /// The files whose sizes a progress display may add up.
    pub fn estimate(&self) -> Option<Estimate> {
        let countable = self.files_from.is_none()
            && self.files0_from.is_none()
            && !self.paths.is_empty()
            && !any_url(&self.paths)
            && !self.paths.iter().any(|path| path == Path::new("-"));
        let tree = self.tree().ok().filter(|_| countable)?;
        Some(Estimate::new(tree))
    }
}

/// The list of names that --files-from or --files0-from gives; `None` if neither was given.
///
/// # Errors
/// A message, if the list cannot be opened, or its files are to come in another order than the list's.
pub fn file_list(
    lines: Option<&Path>,
    nul: Option<&Path>,
    order: OrderArgs,
) -> Result<Option<FileList>, String> {
    let Some(list) = lines.or(nul) else {
        return Ok(None);
    };
    if !order.keeps_lists() {
        return Err(
            "the files of a list come in the list's order, with --sort path, or as they finish; sort the list".into(),
        );
    }
    let names = FileList::live(signals::list(list)?);
    Ok(Some(names.nul(nul.is_some()).objects(stores())))
}
