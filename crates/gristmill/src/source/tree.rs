//! Directory trees, walked as ripgrep walks them: `rules` has the rules of the crate that ripgrep uses, and `walk`
//! ensures that nothing outside the trees is opened.

mod rules;
mod walk;

use super::entry::Source;
use gristmill_protocol::PipelineError;
use ignore::overrides::{Override, OverrideBuilder};
use rules::Rules;
use std::path::PathBuf;
use walk::{WalkOptions, Walking};

/// A glob that cannot be parsed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}; correct the glob")]
pub struct GlobError(ignore::Error);

impl From<GlobError> for PipelineError {
    fn from(error: GlobError) -> Self {
        PipelineError::Backend(error.to_string())
    }
}

/// Files under the given paths, with ripgrep's rules: ignore files are honoured, hidden files and symbolic links are
/// passed over, and every path that is named outright is read. The path `-` is standard input.
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

    /// Whether a leading `./` is left out of paths, for the walk of a directory that the user did not name.
    #[must_use]
    pub fn strip_dot(mut self, yes: bool) -> Self {
        self.strip_dot = yes;
        self
    }

    /// Adds a glob, as ripgrep's `-g` does: files must match it or, with a leading `!`, must not.
    #[must_use]
    pub fn glob(mut self, glob: impl Into<String>) -> Self {
        self.globs.push(glob.into());
        self
    }

    /// Starts the walk.
    ///
    /// If links are not followed, the files that are found are opened only below the directory that was named, through
    /// no link ([`Root`](super::Root)). The file that standard output goes to is passed over, as in ripgrep, and so are
    /// files given to [`Source::written`].
    ///
    /// # Errors
    /// [`GlobError`] for a glob that cannot be parsed.
    pub fn walk(&self) -> Result<impl Source + 'static, GlobError> {
        let overrides = if self.globs.is_empty() {
            Override::empty()
        } else {
            let root = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
            let mut overrides = OverrideBuilder::new(root);
            for glob in &self.globs {
                overrides.add(glob).map_err(GlobError)?;
            }
            overrides.build().map_err(GlobError)?
        };
        let rules = Rules::new(overrides, self.hidden, self.ignore_files);
        let options = WalkOptions {
            follow: self.follow,
            sorted: self.sorted,
            strip_dot: self.strip_dot,
        };
        Ok(Walking::new(self.paths.clone(), rules, options))
    }
}
