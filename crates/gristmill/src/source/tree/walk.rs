//! The walk through a tree: one directory after another, each opened below the one that was named.

use super::level::{failed, Found, Level, Listing};
use super::rules::Rules;
use crate::source::below::Root;
use crate::source::entry::{Entry, Item, Origin, Source};
use crate::source::file_id::FileId;
use crate::source::remote::{Named, Remote};
use gristmill_ingest::object::{Names, Stores};
use rustix::fs::{fstat, lstat, openat, stat, Dir, FileType, Mode, OFlags, CWD};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The number of directories that are kept open while those in them are walked. The rest of any other directory is read
/// into memory.
const OPEN_LEVELS: usize = 8;

/// Below this limit of descriptors no directory is kept open, because files need the descriptors.
const FEW_DESCRIPTORS: u64 = 256;

/// How a tree is walked.
#[derive(Debug, Clone, Copy)]
pub(super) struct WalkOptions {
    pub follow: bool,
    pub sorted: bool,
    pub strip_dot: bool,
    /// Whether the file that standard output goes to is listed.
    pub stdout_too: bool,
    /// How many directories deep files may lie: 1 is in the directory that was named.
    pub max_depth: Option<usize>,
    /// The largest size of a file, in bytes.
    pub max_bytes: Option<u64>,
    /// Whether directories on another file system than the one that was named are passed over.
    pub one_file_system: bool,
}

/// The state of a walk.
pub(super) struct Walking {
    options: WalkOptions,
    rules: Rules,
    /// Paths that were named and are not walked yet, the next one last.
    named: Vec<PathBuf>,
    /// The directory that is walked; `None` if links are followed.
    root: Option<Root>,
    /// If links are followed: the directories above it, to which a link below may lead back.
    above: Vec<(FileId, PathBuf)>,
    /// The directories from the root down to the walk's current one.
    levels: Vec<Level>,
    /// A path that could not be opened for lack of descriptors or memory, and is tried again.
    starved: Option<(Waiting, io::Error)>,
    /// Errors and notices to give before anything else is listed.
    told: VecDeque<Item>,
    /// The stores of URLs, if names may be URLs, and what a URL is giving.
    stores: Option<Arc<dyn Stores>>,
    remote: Option<Remote>,
    /// Files that the run writes.
    written: Vec<FileId>,
    /// The largest number of directories that are kept open.
    most_open: usize,
}

/// A directory to go into.
struct Step {
    path: PathBuf,
    relative: PathBuf,
}

/// A path that waits for descriptors.
enum Waiting {
    Named(PathBuf),
    Step(Step),
}

impl Waiting {
    fn path(&self) -> &Path {
        match self {
            Waiting::Named(path) => path,
            Waiting::Step(step) => &step.path,
        }
    }
}

impl Walking {
    pub(super) fn new(
        mut named: Vec<PathBuf>,
        mut rules: Rules,
        options: WalkOptions,
        stores: Option<Arc<dyn Stores>>,
    ) -> Self {
        named.reverse();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = limit.current.is_some_and(|limit| limit < FEW_DESCRIPTORS);
        let mut told = VecDeque::new();
        if !named.is_empty() {
            rules.read_global(&mut told);
        }
        Self {
            options,
            rules,
            named,
            root: None,
            above: Vec::new(),
            levels: Vec::new(),
            starved: None,
            told,
            stores,
            remote: None,
            written: FileId::of_redirected_stdout()
                .filter(|_| !options.stdout_too)
                .into_iter()
                .collect(),
            most_open: if few { 0 } else { OPEN_LEVELS },
        }
    }

    /// Begins with a path that was named outright: a file is an entry, and a directory is walked from now on.
    fn begin(&mut self, path: PathBuf) -> Option<Item> {
        if path == Path::new("-") {
            return Some(Item::Entry(Entry::stdin()));
        }
        let names = Names::ObjectsOrPrefixes;
        let path = match Named::of(path, self.stores.as_deref(), names) {
            Named::Path(path) => path,
            Named::Remote(remote) => {
                self.remote = Some(remote);
                return None;
            }
            Named::Refused(item) => return Some(item),
        };
        let kind = match stat(&path) {
            Ok(found) => FileType::from_raw_mode(found.st_mode),
            Err(error) => return Some(failed(path, error)),
        };
        if kind != FileType::Directory {
            return Some(self.entry(path, kind, true));
        }
        if self.options.follow {
            self.above = above(&path);
        } else {
            match Root::open(&path) {
                Ok(root) => self.root = Some(root),
                Err(error) if is_starved(&error) => {
                    return Some(self.starve(Waiting::Named(path), error));
                }
                Err(error) => return Some(failed(path, error)),
            }
        }
        if self.options.max_depth == Some(0) {
            return None;
        }
        self.rules.enter(&path, &mut self.told);
        self.go_into(Step {
            path,
            relative: PathBuf::new(),
        })
    }

    fn entry(&self, path: PathBuf, kind: FileType, explicit: bool) -> Item {
        let path = match path.strip_prefix("./") {
            Ok(stripped) if self.options.strip_dot => stripped.to_path_buf(),
            _ => path,
        };
        Item::Entry(Entry {
            path,
            explicit,
            origin: match kind {
                FileType::RegularFile => Origin::File,
                _ => Origin::Special,
            },
            root: if explicit { None } else { self.root.clone() },
            part: None,
            sequence: 0,
        })
    }

    /// Goes into a directory, or reports why it cannot.
    fn go_into(&mut self, step: Step) -> Option<Item> {
        if self.open_levels() >= self.most_open {
            self.close_a_level();
        }
        let (directory, id) = loop {
            match self.open(&step) {
                Err(error) if is_starved(&error) => {
                    // The walk's own descriptors are freed first.
                    if !self.close_a_level() {
                        return Some(self.starve(Waiting::Step(step), error));
                    }
                }
                Err(error) => return Some(failed(step.path, error)),
                Ok(opened) => break opened,
            }
        };
        if let Some(back) = self.leads_back(id) {
            let reason = format!(
                "a loop of links, not followed: it leads back to {}",
                back.display()
            );
            return Some(Item::Error {
                path: Some(step.path),
                reason,
            });
        }
        let elsewhere = |top: &Level| !top.id.is_on_device_of(id);
        if self.options.one_file_system && self.levels.first().is_some_and(elsewhere) {
            return None;
        }
        let layer = self
            .rules
            .layer(&step.path, directory.as_fd(), &mut self.told);
        let listing = match Dir::new(directory) {
            Ok(directory) => Listing::Open(directory),
            Err(error) => return Some(failed(step.path, error)),
        };
        let mut level = Level {
            path: step.path,
            relative: step.relative,
            listing,
            layer,
            id,
        };
        if self.options.sorted || self.most_open == 0 {
            level.read_rest(&mut self.told);
            if let Listing::Rest(rest) = &mut level.listing {
                rest.sort_unstable_by(|a, b| b.name.cmp(&a.name));
            }
        }
        self.levels.push(level);
        None
    }

    /// The path of an ancestor that is the same directory, to which a followed link leads back.
    fn leads_back(&self, id: FileId) -> Option<&Path> {
        if !self.options.follow || self.levels.is_empty() {
            return None;
        }
        let on_the_way = self.levels.iter().find(|level| level.id == id);
        on_the_way.map(|level| level.path.as_path()).or_else(|| {
            let above = self.above.iter().find(|(above, _)| *above == id);
            above.map(|(_, path)| path.as_path())
        })
    }

    fn open(&self, step: &Step) -> io::Result<(OwnedFd, FileId)> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = match &self.root {
            Some(root) => root.open_below(&step.relative, flags)?,
            None => openat(CWD, &step.path, flags, Mode::empty())?,
        };
        let id = FileId::new(&fstat(&directory)?);
        Ok((directory, id))
    }

    fn starve(&mut self, waiting: Waiting, error: io::Error) -> Item {
        let item = Item::Starved {
            path: waiting.path().to_path_buf(),
            reason: error.to_string(),
        };
        self.starved = Some((waiting, error));
        item
    }

    fn open_levels(&self) -> usize {
        self.levels.iter().filter(|level| level.is_open()).count()
    }

    /// Reads the rest of the directory that has been open longest, and closes it; false if none is open.
    fn close_a_level(&mut self) -> bool {
        let Some(level) = self.levels.iter_mut().find(|level| level.is_open()) else {
            return false;
        };
        level.read_rest(&mut self.told);
        true
    }

    /// Takes the next step in the walk's current directory. The outer `None` is the end of the walk below the named path.
    fn step(&mut self) -> Option<Option<Item>> {
        let level = self.levels.last_mut()?;
        let Some(found) = level.next(&mut self.told) else {
            self.levels.pop();
            return Some(None);
        };
        Some(self.found(found))
    }

    fn found(&mut self, found: Found) -> Option<Item> {
        let level = self.levels.last()?;
        let path = level.path.join(&found.name);
        let relative = || level.relative.join(&found.name);
        let ignored = |is_dir| {
            let layers = self.levels.iter().map(|level| &level.layer);
            self.rules.pass_over(&path, relative, is_dir, layers)
        };
        let mut kind = found.kind;
        let mut inode = found.inode;
        if kind == FileType::Symlink {
            if !self.options.follow {
                return None;
            }
            match stat(&path) {
                Ok(target) => {
                    kind = FileType::from_raw_mode(target.st_mode);
                    inode = target.st_ino;
                }
                Err(_) if ignored(false) => return None,
                Err(error) => return Some(failed(path, error)),
            }
        }
        let is_dir = kind == FileType::Directory;
        if ignored(is_dir) {
            return None;
        }
        if is_dir {
            // The levels are as many as the depth of what is found in the last.
            if self
                .options
                .max_depth
                .is_some_and(|most| self.levels.len() >= most)
            {
                return None;
            }
            let relative = relative();
            return self.go_into(Step { path, relative });
        }
        if kind != FileType::RegularFile || self.is_written(&path, relative, inode) {
            return None;
        }
        if self
            .options
            .max_bytes
            .is_some_and(|most| self.size(&path) > most)
        {
            return None;
        }
        Some(self.entry(path, kind, false))
    }

    /// The size of a file in bytes; 0 where it cannot be asked, so that opening the file will say why.
    fn size(&self, path: &Path) -> u64 {
        let found = if self.options.follow {
            stat(path)
        } else {
            lstat(path)
        };
        found.map_or(0, |found| u64::try_from(found.st_size).unwrap_or(0))
    }

    /// Whether a file is one that the run writes. The file system is asked only if the inode number matches.
    fn is_written(&self, path: &Path, relative: impl Fn() -> PathBuf, inode: u64) -> bool {
        if !self.written.iter().any(|written| written.has_inode(inode)) {
            return false;
        }
        let found = match &self.root {
            Some(root) => root
                .open_below(&relative(), OFlags::PATH)
                .and_then(|file| FileId::of(&file)),
            None => stat(path)
                .map(|found| FileId::new(&found))
                .map_err(Into::into),
        };
        found.is_ok_and(|found| self.written.contains(&found))
    }
}

/// The directories above `directory`, with their paths.
fn above(directory: &Path) -> Vec<(FileId, PathBuf)> {
    let Ok(absolute) = directory.canonicalize() else {
        return Vec::new();
    };
    let found = |path: &Path| Some((FileId::new(&stat(path).ok()?), path.to_path_buf()));
    absolute.ancestors().skip(1).filter_map(found).collect()
}

/// Whether an error says that a resource ran out that may be freed later.
fn is_starved(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    matches!(errno, Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM))
}

impl Source for Walking {
    fn next_item(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.told.pop_front() {
                return Some(item);
            }
            if let Some((waiting, _)) = self.starved.take() {
                let item = match waiting {
                    Waiting::Named(path) => self.begin(path),
                    Waiting::Step(step) => self.go_into(step),
                };
                if item.is_some() {
                    return item;
                }
                continue;
            }
            if let Some(remote) = &mut self.remote {
                let (rules, options) = (&self.rules, &self.options);
                let passes = |below: &Path, size: Option<u64>| {
                    let depth = below.components().count();
                    options.max_depth.is_none_or(|most| depth <= most)
                        && options
                            .max_bytes
                            .zip(size)
                            .is_none_or(|(most, size)| size <= most)
                        && !rules.pass_over_object(below)
                };
                match remote.next_item(passes) {
                    Some(item) => return Some(item),
                    None => self.remote = None,
                }
                continue;
            }
            match self.step() {
                Some(Some(item)) => return Some(item),
                Some(None) => {}
                None => {
                    self.root = None;
                    let path = self.named.pop()?;
                    if let Some(item) = self.begin(path) {
                        return Some(item);
                    }
                }
            }
        }
    }

    fn wait(&mut self, timeout: Duration) -> bool {
        self.remote
            .as_mut()
            .is_none_or(|remote| remote.wait(timeout))
    }

    fn is_remote(&self) -> bool {
        let url = |path: &PathBuf| gristmill_ingest::object::is_url(path);
        self.stores.is_some() && self.named.iter().any(url)
    }

    fn only_file(&self) -> Option<u64> {
        let [path] = self.named.as_slice() else {
            return None;
        };
        let found = stat(path).ok()?;
        let is_file = FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
        let is_named = path != Path::new("-") && self.told.is_empty();
        (is_file && is_named).then(|| u64::try_from(found.st_size).unwrap_or(0))
    }

    fn give_up(&mut self) -> Option<Item> {
        let (waiting, error) = self.starved.take()?;
        Some(failed(waiting.path().to_path_buf(), error))
    }

    fn written(&mut self, file: FileId) -> Option<PathBuf> {
        self.written.push(file);
        let named = self.named.iter().find(|path| {
            **path != Path::new("-")
                && stat(path.as_path()).is_ok_and(|found| FileId::new(&found) == file)
        });
        named.cloned()
    }
}
