//! The flags that choose among the files of a walk and order them, with ripgrep's names and meanings, for all commands
//! that walk trees.

use super::given::args_of;
use super::objects::any_url;
use super::size::parse_size;
use clap::ArgMatches;
use gristmill::source::{FileTypes, SortKey, Tree, TypeChange};
use std::path::PathBuf;

/// The flags that choose files, as the parser gives them.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(skip)]
struct Given {
    /// Read only files that match this glob; with a leading `!`, only files that do not. May be given several times;
    /// the last glob that matches decides. Globs take precedence over all ignore rules.
    #[arg(
        short = 'g',
        long = "glob",
        value_name = "GLOB",
        allow_hyphen_values = true
    )]
    globs: Vec<String>,

    /// Like -g, but case-insensitive. Counts as given after all -g.
    #[arg(long = "iglob", value_name = "GLOB", allow_hyphen_values = true)]
    iglobs: Vec<String>,

    /// Make the globs of -g case-insensitive, too.
    #[arg(long)]
    glob_case_insensitive: bool,

    /// Read only files of this type, such as `rust` or `py`; `scan --type-list` lists all. May be given several times.
    #[arg(short = 't', long = "type", value_name = "TYPE")]
    type_select: Vec<String>,

    /// Do not read files of this type. May be given several times.
    #[arg(short = 'T', long = "type-not", value_name = "TYPE")]
    type_not: Vec<String>,

    /// Add a glob to a type, for this run: `name:*.ext`. `name:include:other,another` adds the globs of other types.
    #[arg(long, value_name = "TYPESPEC")]
    type_add: Vec<String>,

    /// Remove all globs of a type, for this run.
    #[arg(long, value_name = "TYPE")]
    type_clear: Vec<String>,

    /// Follow symbolic links.
    #[arg(short = 'L', long)]
    follow: bool,

    /// Descend at most NUM levels: 1 means the files in the named directories, 0 only files that are named themselves.
    #[arg(short = 'd', long, value_name = "NUM", alias = "maxdepth")]
    max_depth: Option<usize>,

    /// Skip files larger than this, unless they are named: a number of bytes, or one with K, M or G.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_filesize: Option<usize>,

    /// Do not descend into directories on other file systems than that of the named directory.
    #[arg(long)]
    one_file_system: bool,
}

/// The flags that choose files. Changes to types keep their order on the command line, which matters.
#[derive(Debug, Clone, Default)]
pub struct SelectArgs {
    given: Given,
    types: Vec<TypeChange>,
}

args_of!(SelectArgs, Given);

impl SelectArgs {
    /// What the flags say together.
    fn of(given: Given, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut types = Vec::new();
        let mut add = |id: &str, values: &[String], change: fn(String) -> TypeChange| {
            let places = matches.indices_of(id).into_iter().flatten();
            types.extend(places.zip(values.iter().cloned().map(change)));
        };
        add("type_select", &given.type_select, TypeChange::Select);
        add("type_not", &given.type_not, TypeChange::Negate);
        add("type_add", &given.type_add, TypeChange::Add);
        add("type_clear", &given.type_clear, TypeChange::Clear);
        types.sort_by_key(|(place, _)| *place);
        Ok(Self {
            given,
            types: types.into_iter().map(|(_, change)| change).collect(),
        })
    }

    /// The types of files, as changed and chosen.
    ///
    /// # Errors
    /// A message about a type that is not known, or a definition that cannot be parsed.
    pub fn types(&self) -> Result<FileTypes, String> {
        FileTypes::new(self.types.iter().cloned())
            .map_err(|error| format!("{error}; `gristmill scan --type-list` lists all types"))
    }

    /// The tree, walked by these flags.
    ///
    /// # Errors
    /// As [`types`](Self::types).
    pub fn apply(&self, tree: Tree) -> Result<Tree, String> {
        let given = &self.given;
        let tree = tree
            .globs_ignore_case(given.glob_case_insensitive)
            .follow(given.follow)
            .max_depth(given.max_depth)
            .max_file_bytes(given.max_filesize.map(|bytes| bytes as u64))
            .one_file_system(given.one_file_system);
        let tree = given.globs.iter().fold(tree, |tree, glob| tree.glob(glob));
        let tree = given
            .iglobs
            .iter()
            .fold(tree, |tree, glob| tree.iglob(glob));
        if self.types.is_empty() {
            return Ok(tree);
        }
        Ok(tree.types(self.types()?))
    }
}

/// The flags that order files.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct OrderArgs {
    /// The order of files: `path`; `modified`, `accessed` or `created` for that time, oldest first; or `none`, the
    /// default, for files as they finish.
    #[arg(long, value_name = "SORTBY", overrides_with = "sortr")]
    sort: Option<Sort>,

    /// Like --sort, but in reverse order.
    #[arg(long, value_name = "SORTBY", overrides_with = "sort")]
    sortr: Option<Sort>,
}

/// The order of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Sort {
    /// As files finish.
    None,
    /// By path.
    Path,
    /// By the time of the last change.
    Modified,
    /// By the time of the last access.
    Accessed,
    /// By the time of creation.
    Created,
}

impl Sort {
    fn key(self) -> Option<SortKey> {
        match self {
            Sort::None => None,
            Sort::Path => Some(SortKey::Path),
            Sort::Modified => Some(SortKey::Modified),
            Sort::Accessed => Some(SortKey::Accessed),
            Sort::Created => Some(SortKey::Created),
        }
    }
}

impl OrderArgs {
    /// What files are sorted by, and whether in reverse order.
    fn key(self) -> Option<(SortKey, bool)> {
        let reverse = self.sortr.is_some();
        let key = self.sortr.or(self.sort)?.key()?;
        Some((key, reverse))
    }

    /// Whether files come in an order.
    pub fn is_given(self) -> bool {
        self.key().is_some()
    }

    /// Whether files that a list names may keep the list's order.
    pub fn keeps_lists(self) -> bool {
        matches!(self.key(), None | Some((SortKey::Path, false)))
    }

    /// Checks that these paths can come in this order.
    ///
    /// # Errors
    /// A message, if one is a URL and the order is not that in which stores list.
    pub fn check(self, paths: &[PathBuf]) -> Result<(), String> {
        if any_url(paths) && !self.keeps_lists() {
            return Err(
                "objects come in their store's order, with --sort path, or as they finish; give one of these".into(),
            );
        }
        Ok(())
    }

    /// The tree, in this order. By path each directory is sorted when it is read.
    pub fn apply(self, tree: Tree) -> Tree {
        match self.key() {
            None => tree,
            Some((SortKey::Path, false)) => tree.sorted(true),
            Some((key, reverse)) => tree.sort(Some(key), reverse),
        }
    }
}
