//! Which entries of a tree are skipped: globs, ignore files, types and hidden names, with ripgrep's precedence.
//!
//! The globs are those of the crate `ignore`, which ripgrep uses. This module finds and reads the ignore files: a
//! directory may contain a FIFO, a device or an endless file of that name, and the user must learn which files cannot
//! be read.

use crate::bounded;
use crate::source::entry::Item;
use ignore::gitignore::{gitconfig_excludes_path, Gitignore, GitignoreBuilder};
use ignore::overrides::Override;
use ignore::types::Types;
use ignore::Match;
use rustix::fs::{fstat, makedev, openat, statat, AtFlags, FileType, Mode, OFlags, CWD};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest size of a file of rules, in bytes.
const MAX_BYTES: usize = 4 << 20;

/// The largest size of a file that names another directory of git, in bytes.
const MAX_POINTER_BYTES: usize = 1 << 16;

/// The rules of one directory.
#[derive(Debug)]
pub(super) struct Layer {
    /// In the order of precedence: `.rgignore`, `.ignore`, `.gitignore`, `.git/info/exclude`.
    kinds: [Gitignore; 4],
    /// Whether a repository begins here.
    repository: bool,
}

/// How many of [`Layer::kinds`], from the first, also apply outside repositories.
const WITHOUT_GIT: usize = 2;

impl Layer {
    fn empty() -> Self {
        Self {
            kinds: std::array::from_fn(|_| Gitignore::empty()),
            repository: false,
        }
    }
}

/// Which files of rules are honoured.
#[derive(Debug, Clone)]
pub(super) struct RuleFiles {
    /// `.ignore` and `.rgignore`.
    pub dot: bool,
    /// git's: `.gitignore`, and the next two.
    pub vcs: bool,
    /// `.git/info/exclude`.
    pub exclude: bool,
    /// The file that git's configuration names.
    pub global: bool,
    /// Those of the directories above the one that is walked.
    pub parents: bool,
    /// Whether git's apply only within a repository.
    pub require_git: bool,
    /// Whether letters match in either case.
    pub any_case: bool,
    /// Files that the user named; the rules of a later one take precedence.
    pub named: Vec<PathBuf>,
}

impl RuleFiles {
    /// Whether any that are found by their names are honoured.
    fn any(&self) -> bool {
        self.dot || self.vcs
    }
}

/// The rules for what a walk passes over.
#[derive(Debug)]
pub(super) struct Rules {
    overrides: Override,
    types: Types,
    hidden: bool,
    files: RuleFiles,
    global: Gitignore,
    /// The rules of the files that the user named, in that order.
    named: Vec<Gitignore>,
    /// The rules of directories above those that are walked, by path.
    known: HashMap<PathBuf, Arc<Layer>>,
    /// The directory that is walked, with links resolved, and the rules of the directories above it, nearest first.
    absolute: PathBuf,
    above: Vec<Arc<Layer>>,
}

impl Rules {
    pub(super) fn new(overrides: Override, types: Types, hidden: bool, files: RuleFiles) -> Self {
        Self {
            overrides,
            types,
            hidden,
            files,
            global: Gitignore::empty(),
            named: Vec::new(),
            known: HashMap::new(),
            absolute: PathBuf::new(),
            above: Vec::new(),
        }
    }

    /// Reads git's global rules, and those of the files that the user named.
    pub(super) fn read_global(&mut self, told: &mut impl Extend<Item>) {
        let directory = std::env::current_dir().ok();
        if self.files.vcs && self.files.global {
            let place = directory.clone().zip(gitconfig_excludes_path());
            // A device at that path, such as /dev/null, means that there are no rules.
            if let Some((directory, path)) = place.filter(|(_, path)| path.is_file()) {
                let any_case = self.files.any_case;
                self.global = read_rules(&directory, CWD, &path, &path, any_case, told);
            }
        }
        let directory = directory.unwrap_or_default();
        for path in &self.files.named {
            let mut wrong = Vec::new();
            if let Err(error) = std::fs::metadata(path) {
                wrong.push(unreadable(path, &error));
            } else {
                let rules = read_rules(&directory, CWD, path, path, false, &mut wrong);
                self.named.push(rules);
            }
            // The search goes on without these rules and succeeds, as in ripgrep.
            told.extend(wrong.into_iter().map(|item| match item {
                Item::Error { path, reason } => {
                    Item::Notice(format!("{}: {reason}", path.unwrap_or_default().display()))
                }
                notice => notice,
            }));
        }
    }

    /// Reads the rules above a directory that is walked from now on.
    pub(super) fn enter(&mut self, root: &Path, told: &mut impl Extend<Item>) {
        self.above.clear();
        if !self.files.any() {
            return;
        }
        let Ok(absolute) = root.canonicalize() else {
            return;
        };
        for directory in absolute.ancestors().skip(1) {
            let known = self.known.get(directory).cloned();
            let layer = known.unwrap_or_else(|| {
                let layer = Arc::new(read_layer(directory, directory, CWD, &self.files, told));
                self.known
                    .insert(directory.to_path_buf(), Arc::clone(&layer));
                layer
            });
            self.above.push(layer);
        }
        self.absolute = absolute;
    }

    /// Reads the rules of a directory in the walk, given its descriptor and its shown path.
    pub(super) fn layer(
        &self,
        directory: &Path,
        open: BorrowedFd<'_>,
        told: &mut impl Extend<Item>,
    ) -> Layer {
        if self.files.any() {
            read_layer(directory, Path::new(""), open, &self.files, told)
        } else {
            Layer::empty()
        }
    }

    /// Whether an entry is passed over. `layers` are those of the directories from the one that is walked down to the
    /// entry's, `relative` is its path below the first.
    pub(super) fn pass_over<'a>(
        &self,
        path: &Path,
        relative: impl Fn() -> PathBuf,
        is_dir: bool,
        layers: impl DoubleEndedIterator<Item = &'a Layer> + Clone,
    ) -> bool {
        let path = path.strip_prefix("./").unwrap_or(path);
        let has_rules = self.files.any() || !self.named.is_empty();
        let by_files = || has_rules.then(|| self.by_files(path, relative, is_dir, layers));
        self.passes_over(path, is_dir, || by_files().flatten())
    }

    /// Whether an object is passed over. `below` is its name below the prefix that was listed.
    pub(super) fn pass_over_object(&self, below: &Path) -> bool {
        let directories = below.ancestors().skip(1);
        let mut directories = directories.filter(|path| *path != Path::new(""));
        let passes_over =
            |path: &Path, is_dir| self.passes_over(path, is_dir, || self.by_named(path, is_dir));
        directories.any(|path| passes_over(path, true)) || passes_over(below, false)
    }

    /// Whether a path is passed over, on which the ignore files have the verdict `by_files`.
    fn passes_over(
        &self,
        path: &Path,
        is_dir: bool,
        by_files: impl FnOnce() -> Option<bool>,
    ) -> bool {
        match self.overrides.matched(path, is_dir) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => return false,
            Match::None => {}
        }
        let by_files = by_files();
        if by_files == Some(true) {
            return true;
        }
        let listed = match self.types.matched(path, is_dir) {
            Match::Ignore(_) => return true,
            Match::Whitelist(_) => true,
            Match::None => by_files.is_some(),
        };
        let name = path.file_name();
        !listed && !self.hidden && name.is_some_and(|name| name.as_bytes().starts_with(b"."))
    }

    /// The verdict of the files that the user named, if any has one.
    fn by_named(&self, path: &Path, is_dir: bool) -> Option<bool> {
        let mut named = self.named.iter().rev();
        named.find_map(|rules| verdict(rules, path, is_dir))
    }

    /// The verdict of the ignore files, if any has one.
    fn by_files<'a>(
        &self,
        path: &Path,
        relative: impl Fn() -> PathBuf,
        is_dir: bool,
        layers: impl DoubleEndedIterator<Item = &'a Layer> + Clone,
    ) -> Option<bool> {
        let above = || self.above.iter().map(Arc::as_ref);
        let required = self.files.require_git;
        let in_repository = !required
            || layers.clone().any(|layer| layer.repository)
            || above().any(|layer| layer.repository);
        let mut found: [Option<bool>; 4] = [None; 4];
        // Git's rules apply only within the nearest repository.
        let mut git = in_repository;
        let mut look = |layer: &Layer, path: &Path| {
            for (number, (kind, found)) in layer.kinds.iter().zip(&mut found).enumerate() {
                if found.is_none() && (number < WITHOUT_GIT || git) {
                    *found = verdict(kind, path, is_dir);
                }
            }
            git &= !(required && layer.repository);
        };
        for layer in layers.rev() {
            look(layer, path);
        }
        if self.files.parents
            && above().any(|layer| layer.kinds.iter().any(|kind| !kind.is_empty()))
        {
            let path = self.absolute.join(relative());
            for layer in above() {
                look(layer, &path);
            }
        }
        let global = || {
            in_repository
                .then(|| verdict(&self.global, path, is_dir))
                .flatten()
        };
        let found = found.into_iter().flatten().next();
        found
            .or_else(global)
            .or_else(|| self.by_named(path, is_dir))
    }
}

/// Whether a file of rules ignores a path or re-includes it; `None` if it does neither.
fn verdict(rules: &Gitignore, path: &Path, is_dir: bool) -> Option<bool> {
    match rules.matched(path, is_dir) {
        Match::None => None,
        Match::Ignore(_) => Some(true),
        Match::Whitelist(_) => Some(false),
    }
}

/// Reads the rules of a directory, given its shown path. Its files are opened from `at`, with `from` before their
/// names.
fn read_layer(
    shown: &Path,
    from: &Path,
    at: BorrowedFd<'_>,
    files: &RuleFiles,
    told: &mut impl Extend<Item>,
) -> Layer {
    let any_case = files.any_case;
    let stat = |name: &str| statat(at, from.join(name), AtFlags::empty());
    let git = stat(".git").ok();
    let repository = git.is_some() || stat(".jj").is_ok();
    let kinds = [
        (".rgignore", files.dot),
        (".ignore", files.dot),
        (".gitignore", files.vcs),
    ]
    .map(|(name, honoured)| {
        if !honoured {
            return Gitignore::empty();
        }
        let (path, shown_path) = (from.join(name), shown.join(name));
        read_rules(shown, at, &path, &shown_path, any_case, told)
    });
    let git = git.filter(|_| files.vcs && files.exclude);
    let exclude = match git.map(|git| FileType::from_raw_mode(git.st_mode)) {
        None => Gitignore::empty(),
        Some(FileType::RegularFile) => match common_directory(shown) {
            Ok(Some(directory)) => {
                let path = directory.join("info/exclude");
                read_rules(shown, CWD, &path, &path, any_case, told)
            }
            Ok(None) => Gitignore::empty(),
            Err(error) => {
                told.extend([unreadable(&shown.join(".git"), &error)]);
                Gitignore::empty()
            }
        },
        Some(_) => {
            let name = ".git/info/exclude";
            read_rules(
                shown,
                at,
                &from.join(name),
                &shown.join(name),
                any_case,
                told,
            )
        }
    };
    let [custom, plain, of_git] = kinds;
    Layer {
        kinds: [custom, plain, of_git, exclude],
        repository,
    }
}

/// The location of the repository of a working tree whose `.git` is a file.
fn common_directory(directory: &Path) -> io::Result<Option<PathBuf>> {
    let line = |path: &Path| -> io::Result<Option<PathBuf>> {
        let bytes = match bounded::read_regular(path, MAX_POINTER_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read?,
        };
        let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or(&bytes);
        Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(line))))
    };
    let Some(pointer) = line(&directory.join(".git"))? else {
        return Ok(None);
    };
    let Some(git) = pointer.as_os_str().as_bytes().strip_prefix(b"gitdir: ") else {
        return Ok(None);
    };
    let git = directory.join(std::ffi::OsStr::from_bytes(git));
    Ok(line(&git.join("commondir"))?.map(|common| git.join(common)))
}

/// Reads a file of rules for the paths below `directory`, given the path that opens it and the one that is shown. A
/// file that does not exist has no rules; errors of a file that exists are reported.
fn read_rules(
    directory: &Path,
    at: BorrowedFd<'_>,
    path: &Path,
    shown: &Path,
    any_case: bool,
    told: &mut impl Extend<Item>,
) -> Gitignore {
    let text = match read_file(at, path) {
        Ok(None) => return Gitignore::empty(),
        Ok(Some(text)) => text,
        Err(error) => {
            told.extend([unreadable(shown, &error)]);
            return Gitignore::empty();
        }
    };
    let mut notice = |line: Option<u64>, wrong: &str| {
        let line = line.map_or(String::new(), |line| format!("line {line}: "));
        told.extend([Item::Notice(format!("{}: {line}{wrong}", shown.display()))]);
    };
    let mut builder = GitignoreBuilder::new(directory);
    if let Err(error) = builder.case_insensitive(any_case) {
        notice(None, &error.to_string());
    }
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match std::str::from_utf8(line) {
            Err(_) => notice(Some(number), "a rule that is not UTF-8 is ignored"),
            Ok(line) => {
                if let Err(error) = builder.add_line(None, line) {
                    notice(Some(number), &error.to_string());
                }
            }
        }
    }
    builder.build().unwrap_or_else(|error| {
        notice(None, &error.to_string());
        Gitignore::empty()
    })
}

/// The bytes of a file of rules; `None` where there is none.
fn read_file(at: BorrowedFd<'_>, path: &Path) -> io::Result<Option<Vec<u8>>> {
    // The open must not block: opening a FIFO would wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(at, path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
        // If the directory may not be searched, nobody can tell whether it has such a file.
        Err(Errno::ACCESS) if statat(at, path, AtFlags::SYMLINK_NOFOLLOW).is_err() => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    // The null device means that there are no rules.
    if is_null_device(&file)? {
        return Ok(Some(Vec::new()));
    }
    bounded::must_be_regular(&file)?;
    bounded::read(file, MAX_BYTES).map(Some)
}

fn is_null_device(file: &File) -> io::Result<bool> {
    let found = fstat(file)?;
    Ok(
        FileType::from_raw_mode(found.st_mode) == FileType::CharacterDevice
            && found.st_rdev == makedev(1, 3),
    )
}

fn unreadable(path: &Path, error: &io::Error) -> Item {
    Item::Error {
        path: Some(path.to_path_buf()),
        reason: format!(
            "{error}; its rules are not applied: fix or remove it, or disable ignore files"
        ),
    }
}
