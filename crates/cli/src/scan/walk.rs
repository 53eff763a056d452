//! The flags of `scan` that say which files are searched, and as what: ripgrep's, with ripgrep's meanings.

use crate::given::args_of;
use crate::objects::stores;
use crate::select::{OrderArgs, SelectArgs};
use clap::ArgMatches;
use gristmill::source::Tree;
use std::path::PathBuf;

/// The largest number of -u.
const MOST_UNRESTRICTED: u8 = 3;

/// The flags as the parser gives them.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
struct Given {
    /// List the files that would be searched, without searching them. All arguments are then paths.
    #[arg(long, overrides_with = "type_list")]
    files: bool,

    /// List all types of files, with their globs.
    #[arg(long, overrides_with = "files")]
    type_list: bool,

    /// Search files that contain NULs as if they were text.
    #[arg(short = 'a', long)]
    text: bool,

    /// Also search files found in directories beyond a NUL, and report whether they match, as for files that are named.
    #[arg(long)]
    binary: bool,

    #[command(flatten)]
    select: SelectArgs,

    /// Search hidden files and directories too.
    #[arg(short = '.', long)]
    hidden: bool,

    /// Skip fewer files: once is --no-ignore, twice also --hidden, three times also --binary.
    #[arg(short = 'u', long, action = clap::ArgAction::Count)]
    unrestricted: u8,

    /// Do not honour ignore files (.gitignore, .ignore, .rgignore and git's others), except those of --ignore-file.
    #[arg(long)]
    no_ignore: bool,

    /// Do not honour .ignore and .rgignore.
    #[arg(long)]
    no_ignore_dot: bool,

    /// Do not honour git's ignore files: .gitignore, .git/info/exclude, and the one that its configuration names.
    #[arg(long)]
    no_ignore_vcs: bool,

    /// Do not honour .git/info/exclude.
    #[arg(long)]
    no_ignore_exclude: bool,

    /// Do not honour the ignore file that git's configuration names (core.excludesFile).
    #[arg(long)]
    no_ignore_global: bool,

    /// Do not honour ignore files in directories above those searched.
    #[arg(long)]
    no_ignore_parent: bool,

    /// Do not honour the files of --ignore-file.
    #[arg(long)]
    no_ignore_files: bool,

    /// Honour git's ignore files outside of repositories, too.
    #[arg(long)]
    no_require_git: bool,

    /// Honour the rules of this file, written as in .gitignore, relative to the current directory. All other ignore
    /// files take precedence. May be given several times; later ones take precedence over earlier ones.
    #[arg(long, value_name = "PATH")]
    ignore_file: Vec<PathBuf>,

    /// Make the rules of ignore files case-insensitive, except those of --ignore-file.
    #[arg(long)]
    ignore_file_case_insensitive: bool,

    /// Do not report files and directories that cannot be opened or read, or bad rules in ignore files. The exit code
    /// is still 2.
    #[arg(long)]
    no_messages: bool,

    #[command(flatten)]
    order: OrderArgs,
}

/// What NULs mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nul {
    /// A file found in a directory is left at its first NUL.
    Quits,
    /// It is searched beyond it.
    Noted,
    /// Nothing.
    Text,
}

/// Which files are searched, and as what.
#[derive(Debug, Clone)]
pub struct WalkArgs {
    given: Given,
    nul: Nul,
}

args_of!(WalkArgs, Given);

impl WalkArgs {
    /// What the flags say together.
    fn of(given: Given, matches: &ArgMatches) -> Result<Self, clap::Error> {
        if given.unrestricted > MOST_UNRESTRICTED {
            return Err(clap::Error::raw(
                clap::error::ErrorKind::TooManyValues,
                "-u can be given up to 3 times; give it 3 times to leave out nothing\n",
            ));
        }
        // The last of the flags decides. -u is here where it was given for the third time.
        let noted = [
            given.binary.then_some("binary"),
            (given.unrestricted == MOST_UNRESTRICTED).then_some("unrestricted"),
        ];
        let place = |id: &str| matches.indices_of(id).and_then(Iterator::max);
        let noted = noted.into_iter().flatten().filter_map(place).max();
        let text = Some("text").filter(|_| given.text).and_then(place);
        let nul = match (noted, text) {
            (None, None) => Nul::Quits,
            (noted, text) if noted > text => Nul::Noted,
            _ => Nul::Text,
        };
        Ok(Self { given, nul })
    }

    /// Whether files are listed and not searched.
    pub fn lists_files(&self) -> bool {
        self.given.files
    }

    /// Whether the types of files are listed.
    pub fn lists_types(&self) -> bool {
        self.given.type_list
    }

    /// Whether NULs mean nothing.
    pub fn text(&self) -> bool {
        self.nul == Nul::Text
    }

    /// Whether files found in directories are searched beyond a NUL.
    pub fn binary(&self) -> bool {
        self.nul == Nul::Noted
    }

    /// Whether nothing is said about files that cannot be read.
    pub fn is_silent(&self) -> bool {
        self.given.no_messages
    }

    /// The order of files.
    pub fn order(&self) -> OrderArgs {
        self.given.order
    }

    /// The flags that choose files.
    pub fn select(&self) -> &SelectArgs {
        &self.given.select
    }

    /// The tree of these paths. `default_directory` says that the user named none.
    ///
    /// # Errors
    /// A message about a type that is not known.
    pub fn tree(&self, paths: Vec<PathBuf>, default_directory: bool) -> Result<Tree, String> {
        let given = &self.given;
        let honoured = !given.no_ignore && given.unrestricted == 0;
        given.order.check(&paths)?;
        let tree = Tree::new(paths)
            .objects(stores())
            .hidden(given.hidden || given.unrestricted >= 2)
            .ignore_dot(honoured && !given.no_ignore_dot)
            .ignore_vcs(honoured && !given.no_ignore_vcs)
            .ignore_exclude(!given.no_ignore_exclude)
            .ignore_global(!given.no_ignore_global)
            .ignore_parents(honoured && !given.no_ignore_parent)
            .require_git(!given.no_require_git)
            .ignore_files_ignore_case(given.ignore_file_case_insensitive)
            .strip_dot(default_directory)
            .list_stdout(given.files);
        let named = given.ignore_file.iter().filter(|_| !given.no_ignore_files);
        let tree = named.fold(tree, Tree::ignore_file);
        given.select.apply(given.order.apply(tree))
    }
}
