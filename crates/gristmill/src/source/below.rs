//! Opening the files that a walk has listed, below the named directory and through no symbolic link.
//!
//! A program that can write to a tree can replace a listed file before it is opened. So a walk without `-L` holds the
//! named directory open, and everything below it, directories and files, is opened relative to that descriptor with
//! `openat2` and `RESOLVE_NO_SYMLINKS`. If the kernel has no `openat2` (before Linux 5.6) or a system call filter
//! refuses it, each component of the path is opened from its parent with `O_NOFOLLOW`, which takes more calls and is
//! just as safe.

use rustix::fs::{openat, openat2, Mode, OFlags, ResolveFlags, CWD};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

/// Whether `openat2` was refused once, so that it is not tried again.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// A listed file has been replaced by a symbolic link.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "it, or a directory on the way to it, was replaced by a symbolic link since it was listed, and links are not followed; follow \
     links, or name it directly"
)]
pub(crate) struct ReplacedByLink;

/// The directory below which a walk has found a file. It stays the same directory, whatever happens to its name.
#[derive(Debug, Clone)]
pub struct Root {
    held: Arc<Held>,
}

#[derive(Debug)]
struct Held {
    directory: OwnedFd,
    /// The beginning of a shown path, which names the directory.
    prefix: PathBuf,
}

impl PartialEq for Root {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.held, &other.held)
    }
}

impl Eq for Root {}

impl Root {
    /// Holds a directory, which may be named by links.
    ///
    /// # Errors
    /// The system's error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            held: Arc::new(Held {
                directory: openat(CWD, path, flags, Mode::empty())?,
                prefix: path.to_path_buf(),
            }),
        })
    }

    /// Opens a file that a walk has listed, for reading and without blocking, with these additional flags.
    ///
    /// # Errors
    /// The system's error, with its number; for a link, or a path that is not below this directory, an error without a
    /// number.
    pub fn open_listed(&self, path: &Path, flags: i32) -> io::Result<File> {
        // A walk that leaves a leading `./` out of its paths walks `./`.
        let relative = below(path, &self.held.prefix).unwrap_or_else(|| {
            path.strip_prefix(&self.held.prefix)
                .or_else(|_| path.strip_prefix("."))
                .unwrap_or(path)
        });
        self.open_below(relative, OFlags::from_bits_retain(flags.cast_unsigned()))
            .map(File::from)
    }

    /// Opens a path below this directory, or the directory itself for an empty one.
    pub(super) fn open_below(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if !goes_down(path) {
            return Err(io::Error::other(
                "it is not below the named directory; name it directly",
            ));
        }
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let root = self.held.directory.as_fd();
        if !REFUSED.load(Ordering::Relaxed) {
            let opened = openat2(
                root,
                path,
                flags,
                Mode::empty(),
                ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
            );
            match opened {
                Err(Errno::NOSYS) => REFUSED.store(true, Ordering::Relaxed),
                // The refusal came from a filter of system calls, or from a security module, which refuses the single
                // steps, too.
                Err(Errno::PERM) => {
                    let opened = by_steps(root, path, flags);
                    if opened.is_ok() {
                        REFUSED.store(true, Ordering::Relaxed);
                    }
                    return opened.map_err(told);
                }
                opened => return opened.map_err(told),
            }
        }
        by_steps(root, path, flags).map_err(told)
    }
}

/// The rest of a path that begins with the bytes of `prefix`, as the paths of a walk do. This is called for each file,
/// and taking paths apart would cost more than opening them relative to the directory saves.
fn below<'a>(path: &'a Path, prefix: &Path) -> Option<&'a Path> {
    let prefix = prefix.as_os_str().as_bytes();
    let rest = path.as_os_str().as_bytes().strip_prefix(prefix)?;
    let rest = if prefix.ends_with(b"/") {
        rest
    } else {
        rest.strip_prefix(b"/")?
    };
    (!rest.starts_with(b"/")).then(|| Path::new(OsStr::from_bytes(rest)))
}

/// Whether a path leads only downwards.
fn goes_down(path: &Path) -> bool {
    let plain = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
    let bytes = path.as_os_str().as_bytes();
    // A path that is written differently may still lead only downwards.
    bytes.split(|&byte| byte == b'/').all(plain)
        || path
            .components()
            .all(|component| matches!(component, Component::Normal(_)))
}

/// Opens a path component by component, none of which may be a link.
fn by_steps(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let (above, name) = match (path.parent(), path.file_name()) {
        (Some(above), Some(name)) => (above, name),
        _ => return openat(root, path, flags, Mode::empty()),
    };
    let mut at: Option<OwnedFd> = None;
    for component in above.components() {
        let from = at.as_ref().map_or(root, |at| at.as_fd());
        at = Some(openat(from, component.as_os_str(), step, Mode::empty())?);
    }
    let from = at.as_ref().map_or(root, |at| at.as_fd());
    openat(from, name, flags, Mode::empty())
}

/// Replaces the error for a link by one that explains it. Other errors keep their number.
fn told(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::other(ReplacedByLink),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A tree with a secret outside it, and links to the secret as the last and as an earlier component.
    fn tree() -> tempfile::TempDir {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        std::fs::create_dir_all(at("tree/sub")).unwrap();
        std::fs::create_dir(at("outside")).unwrap();
        std::fs::write(at("outside/file"), "secret").unwrap();
        std::fs::write(at("tree/sub/file"), "public").unwrap();
        symlink("../outside/file", at("tree/link")).unwrap();
        symlink("../outside", at("tree/away")).unwrap();
        symlink("tree", at("named")).unwrap();
        scratch
    }

    #[test]
    fn no_way_of_opening_goes_through_a_link_below_the_root() {
        let scratch = tree();
        for named in ["tree", "named"] {
            let root = Root::open(&scratch.path().join(named)).unwrap();
            let directory = root.held.directory.as_fd();
            let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
            assert!(root
                .open_below(Path::new("sub/file"), OFlags::empty())
                .is_ok());
            assert!(by_steps(directory, Path::new("sub/file"), flags).is_ok());
            assert!(by_steps(directory, Path::new("sub"), flags).is_ok());
            for path in ["link", "away/file", "away"] {
                let path = Path::new(path);
                assert!(root.open_below(path, OFlags::empty()).is_err(), "{path:?}");
                assert!(by_steps(directory, path, flags).is_err(), "{path:?}");
            }
            for path in ["../outside/file", "/etc/passwd", "sub/../../outside/file"] {
                let path = Path::new(path);
                assert!(root.open_below(path, OFlags::empty()).is_err(), "{path:?}");
            }
        }
    }

    #[test]
    fn a_root_stays_the_directory_that_it_was() {
        let scratch = tree();
        let named = scratch.path().join("tree/sub");
        let root = Root::open(&named).unwrap();
        std::fs::rename(&named, scratch.path().join("moved")).unwrap();
        symlink("../outside", &named).unwrap();
        let file = root.open_listed(&named.join("file"), 0).unwrap();
        assert_eq!(io::read_to_string(file).unwrap(), "public");
    }

    #[test]
    fn what_is_below_a_path_is_told_as_the_library_tells_it() {
        for (path, prefix) in [
            ("tree/sub/file", "tree"),
            ("tree/sub/file", "tree/"),
            ("trees/file", "tree"),
            ("./sub/file", "."),
            (".hidden/file", "."),
            ("/file", "/"),
            ("tree//file", "tree"),
            ("other", "tree"),
        ] {
            let (path, prefix) = (Path::new(path), Path::new(prefix));
            if let Some(rest) = below(path, prefix) {
                assert_eq!(Some(rest), path.strip_prefix(prefix).ok(), "{path:?}");
            }
        }
        assert!(below(Path::new("trees/file"), Path::new("tree")).is_none());
        assert!(below(Path::new(".hidden/file"), Path::new(".")).is_none());
        assert!(["", "a", "a/b", "a//b", "a/./b"]
            .map(Path::new)
            .iter()
            .all(|path| goes_down(path)));
        assert!(!["/", "..", "a/..", "a/../b", "/a", "./a"]
            .map(Path::new)
            .iter()
            .any(|path| goes_down(path)));
    }

    #[test]
    fn errors_keep_their_number() {
        let scratch = tree();
        let root = Root::open(&scratch.path().join("tree")).unwrap();
        let error = root.open_below(Path::new("sub/none"), OFlags::empty());
        assert_eq!(error.unwrap_err().raw_os_error(), Some(libc::ENOENT));
    }
}
