//! Directory trees, walked as ripgrep walks them: `rules` has the rules of the crate that ripgrep uses, and `walk`
//! ensures that nothing outside the trees is opened.

mod level;
mod rules;
mod sorted;
mod types;
mod walk;

use super::entry::Source;
use crate::setters::setters;
use gristmill_ingest::object::Stores;
use gristmill_protocol::PipelineError;
use ignore::overrides::{Override, OverrideBuilder};
use rules::{RuleFiles, Rules};
pub use sorted::SortKey;
use sorted::Sorted;
use std::path::PathBuf;
use std::sync::Arc;
pub use types::{FileTypes, TypeChange, TypeError};
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
    rule_files: RuleFiles,
    types: FileTypes,
    sort: Option<(SortKey, bool)>,
    globs: Vec<String>,
    iglobs: Vec<String>,
    globs_ignore_case: bool,
    options: WalkOptions,
    stores: Option<Arc<dyn Stores>>,
}

impl Tree {
    /// The given files and directories.
    pub fn new<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            hidden: false,
            rule_files: RuleFiles {
                dot: true,
                vcs: true,
                exclude: true,
                global: true,
                parents: true,
                require_git: true,
                any_case: false,
                named: Vec::new(),
            },
            types: FileTypes::default(),
            sort: None,
            globs: Vec::new(),
            iglobs: Vec::new(),
            globs_ignore_case: false,
            options: WalkOptions {
                follow: false,
                sorted: false,
                strip_dot: false,
                stdout_too: false,
                max_depth: None,
                max_bytes: None,
                one_file_system: false,
            },
            stores: None,
        }
    }

    /// Whether hidden files and directories are taken too. Default: no.
    #[must_use]
    pub fn hidden(mut self, yes: bool) -> Self {
        self.hidden = yes;
        self
    }

    /// Whether `.gitignore`, `.ignore`, `.rgignore` and git's other ignore files are honoured, above what is walked and
    /// in it. Default: yes.
    #[must_use]
    pub fn ignore_files(mut self, yes: bool) -> Self {
        let files = &mut self.rule_files;
        for kind in [
            &mut files.dot,
            &mut files.vcs,
            &mut files.exclude,
            &mut files.global,
            &mut files.parents,
        ] {
            *kind = yes;
        }
        self
    }

    setters! {
        /// Whether `.ignore` and `.rgignore` are honoured. Default: yes.
        ignore_dot(yes: bool) { rule_files.dot = yes }

        /// Whether git's ignore files are honoured: `.gitignore`, `.git/info/exclude`, and the one that its
        /// configuration names. Default: yes.
        ignore_vcs(yes: bool) { rule_files.vcs = yes }

        /// Whether `.git/info/exclude` is honoured, if [git's ignore files](Self::ignore_vcs) are. Default: yes.
        ignore_exclude(yes: bool) { rule_files.exclude = yes }

        /// Whether the file is honoured that git's configuration names (`core.excludesFile`), if
        /// [git's ignore files](Self::ignore_vcs) are. Default: yes.
        ignore_global(yes: bool) { rule_files.global = yes }

        /// Whether ignore files in the directories above the one that is walked are honoured. Default: yes.
        ignore_parents(yes: bool) { rule_files.parents = yes }

        /// Whether git's ignore files are honoured only within a repository. Default: yes.
        require_git(yes: bool) { rule_files.require_git = yes }

        /// Whether the rules of ignore files match letters in either case, except those of files that were
        /// [named](Self::ignore_file). Default: no.
        ignore_files_ignore_case(yes: bool) { rule_files.any_case = yes }
    }

    /// Adds a file with rules as in `.gitignore`, relative to the current directory. All other ignore files take
    /// precedence over it, and so do later files that are added. A file that cannot be read is reported as a notice.
    #[must_use]
    pub fn ignore_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.rule_files.named.push(path.into());
        self
    }

    setters! {
        /// Which types of files are taken. Default: files of all names.
        types(types: FileTypes) { types = types }

        /// Whether symbolic links are followed. Default: no.
        follow(yes: bool) { options.follow = yes }

        /// How many directories deep files may lie: with 1, only files in the directories that were named are taken,
        /// with 0 only files that were named themselves. Default: no limit.
        max_depth(depth: Option<usize>) { options.max_depth = depth }

        /// The largest size, in bytes, of files that a walk finds; larger ones are passed over. Default: no limit.
        max_file_bytes(bytes: Option<u64>) { options.max_bytes = bytes }

        /// Whether a walk stays on the file system of the directory that was named. Default: no.
        one_file_system(yes: bool) { options.one_file_system = yes }

        /// Whether the entries of a directory come sorted by path. Default: no.
        sorted(yes: bool) { options.sorted = yes }

        /// Sorts all files, of all paths that were named, by this key, in falling order if `reverse`. All files are
        /// listed, and their paths are in memory, before the first is read. `None`, the default, leaves them as they
        /// come.
        sort(key: Option<SortKey>, reverse: bool) { sort = key.map(|key| (key, reverse)) }

        /// Whether a leading `./` is left out of paths, for the walk of a directory that the user did not name.
        strip_dot(yes: bool) { options.strip_dot = yes }

        /// Whether the file that standard output goes to is listed, too, for a walk whose files are not read. Default:
        /// no.
        list_stdout(yes: bool) { options.stdout_too = yes }
    }

    /// Adds a glob, as ripgrep's `-g` does: files must match it or, with a leading `!`, must not. The last glob that
    /// matches decides, and globs take precedence over all other rules.
    #[must_use]
    pub fn glob(mut self, glob: impl Into<String>) -> Self {
        self.globs.push(glob.into());
        self
    }

    /// Adds a glob that matches letters in either case. It counts as given after all [globs](Self::glob).
    #[must_use]
    pub fn iglob(mut self, glob: impl Into<String>) -> Self {
        self.iglobs.push(glob.into());
        self
    }

    /// Whether all globs match letters in either case. Default: no.
    #[must_use]
    pub fn globs_ignore_case(mut self, yes: bool) -> Self {
        self.globs_ignore_case = yes;
        self
    }

    /// Lets names be URLs of objects, which these stores read: `s3://bucket/key` is an object or, where there is none
    /// or the URL ends with `/`, all objects below it, which globs, types, hidden names, depth and size choose among as
    /// among files; globs with a `/` and ignore files given by name are taken relative to the URL. Ignore files in
    /// stores are not read. `file://` URLs are the paths that they name. Default: URLs are paths.
    #[must_use]
    pub fn objects(mut self, stores: Arc<dyn Stores>) -> Self {
        self.stores = Some(stores);
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
        let types = self.types.matcher();
        let rules = Rules::new(
            self.overrides()?,
            types,
            self.hidden,
            self.rule_files.clone(),
        );
        let walking = Walking::new(self.paths.clone(), rules, self.options, self.stores.clone());
        Ok(match self.sort {
            None => Box::new(walking) as Box<dyn Source>,
            Some((key, reverse)) => Box::new(Sorted::new(walking, key, reverse)),
        })
    }

    /// The globs.
    fn overrides(&self) -> Result<Override, GlobError> {
        if self.globs.is_empty() && self.iglobs.is_empty() {
            return Ok(Override::empty());
        }
        let root = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let mut overrides = OverrideBuilder::new(root);
        // A builder's letters match in either case in globs that are added after that is set.
        if self.globs_ignore_case {
            overrides.case_insensitive(true).map_err(GlobError)?;
        }
        for glob in &self.globs {
            overrides.add(glob).map_err(GlobError)?;
        }
        overrides.case_insensitive(true).map_err(GlobError)?;
        for glob in &self.iglobs {
            overrides.add(glob).map_err(GlobError)?;
        }
        overrides.build().map_err(GlobError)
    }
}
