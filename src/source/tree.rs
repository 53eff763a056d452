//! Directory trees, walked by the crate that ripgrep walks with.

use super::{stdin_entry, Entry, Item, Origin, Source};
use gristmill_protocol::PipelineError;
use ignore::overrides::OverrideBuilder;
use ignore::{DirEntry, Walk, WalkBuilder};
use std::io;
use std::path::{Path, PathBuf};

/// Files under the given paths, with ripgrep's rules: ignore files are honoured, hidden files and symbolic links are
/// passed over, and whatever is named outright is read. The path `-` is standard input.
#[derive(Debug, Clone)]
pub struct Tree {
    paths: Vec<PathBuf>,
    hidden: bool,
    ignore_files: bool,
    follow: bool,
    sorted: bool,
    strip_dot: bool,
    globs: Vec<String>,
}

impl Tree {
    /// The given files and directories.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            hidden: false,
            ignore_files: true,
            follow: false,
            sorted: false,
            strip_dot: false,
            globs: Vec::new(),
        }
    }

    /// Whether hidden files and directories are taken too. Default: no.
    #[must_use]
    pub fn hidden(mut self, yes: bool) -> Self {
        self.hidden = yes;
        self
    }

    /// Whether `.gitignore`, `.ignore`, `.rgignore` and git's other ignore files are honoured. Default: yes.
    #[must_use]
    pub fn ignore_files(mut self, yes: bool) -> Self {
        self.ignore_files = yes;
        self
    }

    /// Whether symbolic links are followed. Default: no.
    #[must_use]
    pub fn follow(mut self, yes: bool) -> Self {
        self.follow = yes;
        self
    }

    /// Whether the entries of a directory come sorted by path. Default: no.
    #[must_use]
    pub fn sorted(mut self, yes: bool) -> Self {
        self.sorted = yes;
        self
    }

    /// Whether a leading `./` is left out of paths: for walks of a directory that the user did not name.
    #[must_use]
    pub fn strip_dot(mut self, yes: bool) -> Self {
        self.strip_dot = yes;
        self
    }

    /// Adds a glob, as ripgrep's `-g`: files must match it, or with a leading `!` must not.
    #[must_use]
    pub fn glob(mut self, glob: impl Into<String>) -> Self {
        self.globs.push(glob.into());
        self
    }

    /// Starts the walk.
    ///
    /// # Errors
    /// A glob that cannot be parsed.
    pub fn walk(&self) -> Result<impl Source + 'static, PipelineError> {
        let bad_glob = |error: ignore::Error| {
            PipelineError::Backend(format!("{error}; correct the glob given with -g"))
        };
        let Some((first, rest)) = self.paths.split_first() else {
            return Ok(Walking {
                walk: None,
                strip_dot: false,
            });
        };
        let mut builder = WalkBuilder::new(first);
        for path in rest {
            builder.add(path);
        }
        if !self.globs.is_empty() {
            let root = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
            let mut overrides = OverrideBuilder::new(root);
            for glob in &self.globs {
                overrides.add(glob).map_err(bad_glob)?;
            }
            builder.overrides(overrides.build().map_err(bad_glob)?);
        }
        builder
            .hidden(!self.hidden)
            .parents(self.ignore_files)
            .ignore(self.ignore_files)
            .git_ignore(self.ignore_files)
            .git_exclude(self.ignore_files)
            .git_global(self.ignore_files)
            .follow_links(self.follow)
            // A tree that holds the run's own output would never end.
            .skip_stdout(true);
        if self.ignore_files {
            builder.add_custom_ignore_filename(".rgignore");
        }
        if self.sorted {
            builder.sort_by_file_path(Path::cmp);
        }
        Ok(Walking {
            walk: Some(builder.build()),
            strip_dot: self.strip_dot,
        })
    }
}

struct Walking {
    walk: Option<Walk>,
    strip_dot: bool,
}

impl Walking {
    /// The entry to read, or `None` for what is passed over.
    fn entry(&self, found: &DirEntry) -> Option<Entry> {
        if found.is_stdin() {
            return Some(stdin_entry());
        }
        let explicit = found.depth() == 0;
        let kind = found.file_type();
        let wanted = match kind {
            Some(kind) if explicit => !(kind.is_dir() || is_link_to_directory(found)),
            Some(kind) => kind.is_file(),
            None => explicit,
        };
        if !wanted {
            return None;
        }
        let path = found.path();
        let path = match path.strip_prefix("./") {
            Ok(stripped) if self.strip_dot => stripped,
            _ => path,
        };
        Some(Entry {
            path: path.to_path_buf(),
            explicit,
            origin: match kind {
                Some(kind) if kind.is_file() => Origin::File,
                _ => Origin::Special,
            },
            sequence: 0,
        })
    }
}

/// Whether a path that the user named is a link to a directory: its files follow, it is none.
fn is_link_to_directory(found: &DirEntry) -> bool {
    found.path_is_symlink() && found.path().is_dir()
}

impl Source for Walking {
    fn next_item(&mut self) -> Option<Item> {
        loop {
            let found = self.walk.as_mut()?.next()?;
            match found {
                Ok(found) => {
                    if let Some(error) = found.error() {
                        // The ignore file is at fault; the entry itself is fine, and comes with the next call.
                        let notice = error.to_string();
                        if self.entry(&found).is_none() {
                            return Some(Item::Notice(notice));
                        }
                    }
                    if let Some(entry) = self.entry(&found) {
                        return Some(Item::Entry(entry));
                    }
                }
                Err(error) => return Some(problem(&error)),
            }
        }
    }
}

fn problem(error: &ignore::Error) -> Item {
    let path = path_of(error);
    // The path is shown by whoever reports the error: once is enough.
    let reason = match (error.io_error(), ancestor_of(error)) {
        (Some(io), _) if path.is_some() => errno_of(io).map_or_else(
            || io.to_string(),
            |errno| io::Error::from_raw_os_error(errno).to_string(),
        ),
        (_, Some(ancestor)) => format!(
            "a loop of links, not followed: it leads back to {}",
            ancestor.display()
        ),
        _ => error.to_string(),
    };
    Item::Error { path, reason }
}

/// The errno at the bottom of an error that was wrapped on its way.
fn errno_of(error: &io::Error) -> Option<i32> {
    let mut error: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(some) = error {
        let errno = some.downcast_ref().and_then(io::Error::raw_os_error);
        if errno.is_some() {
            return errno;
        }
        error = some.source();
    }
    None
}

/// Where a loop of links leads back to.
fn ancestor_of(error: &ignore::Error) -> Option<&Path> {
    match error {
        ignore::Error::Loop { ancestor, .. } => Some(ancestor),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithPath { err, .. } => {
            ancestor_of(err)
        }
        _ => None,
    }
}

fn path_of(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        ignore::Error::Loop { child, .. } => Some(child.clone()),
        _ => None,
    }
}
