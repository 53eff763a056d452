//! Opening files, without waiting for any, in the way that the read path requires.

use super::counters::{count, Counters};
use super::descriptors::{Descriptors, Moment, Permit};
use super::kind::FileKind;
use super::piece::Handle;
use super::status::Status;
use crate::bounded;
use crate::source::{Entry, FileId, Found, Origin};
use gristmill_ingest::object::ObjectRef;
use gristmill_ingest::reader::{is_on_fuse, ReadPath, ReadPathChoice};
use gristmill_ingest::NvmeNamespace;
use gristmill_ring::lock;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fs::{fcntl_getfl, fcntl_setfl, fstat, FileType, OFlags, Stat};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A file that was opened, and how it is read.
pub(super) struct Opened {
    pub handle: Handle,
    pub kind: FileKind,
    /// The size that the file system gave when the file was opened, or 0 if it was not asked.
    pub told: u64,
    /// What the file system said of a regular file then.
    pub found: Option<Found>,
}

impl Opened {
    /// Files and disks are read by position, everything else as a stream.
    fn as_found((file, found): (File, Stat)) -> Self {
        let kind = match bounded::kind_of(&found) {
            FileType::RegularFile | FileType::BlockDevice => FileKind::Positioned,
            _ => FileKind::Stream,
        };
        Self::new(file, kind, &found)
    }

    fn new(file: File, kind: FileKind, found: &Stat) -> Self {
        Self {
            handle: Handle::File(Arc::new(OwnedFd::from(file))),
            kind,
            told: size_of(found),
            found: Found::new(found),
        }
    }

    fn stream(file: Arc<OwnedFd>) -> Self {
        Self {
            handle: Handle::File(file),
            kind: FileKind::Stream,
            told: 0,
            found: None,
        }
    }
}

/// The size in what `fstat` has found.
pub(super) fn size_of(found: &Stat) -> u64 {
    u64::try_from(found.st_size).unwrap_or(0)
}

/// The error for an entry that is a file which the run writes. An entry that a walk has found is passed over silently.
#[derive(Debug)]
struct Written;

impl std::error::Error for Written {}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the run writes to it; read another file, or write elsewhere")
    }
}

/// Whether an entry is a file that the run writes and that the user did not name.
pub(super) fn is_passed_over(entry: &Entry, error: &io::Error) -> bool {
    !entry.explicit && error.get_ref().is_some_and(|error| error.is::<Written>())
}

/// An attempt to open a file.
pub(super) struct Attempt {
    pub entry: Arc<Entry>,
    pub opened: io::Result<Opened>,
    pub permit: Permit,
    /// The state of the descriptors before the attempt.
    pub then: Moment,
}

/// A FIFO that is open and has had no writer yet.
struct Unwritten {
    entry: Arc<Entry>,
    fifo: Arc<OwnedFd>,
}

/// The FIFOs that wait for a writer. They stay open meanwhile, since a writer that finds a reader and loses it again is
/// told that its pipe is broken. Feeders look at them in passing, so they need no threads, which can run out.
#[derive(Default)]
pub(super) struct UnwrittenFifos {
    fifos: Mutex<Vec<Unwritten>>,
    /// Whether a feeder waits for them.
    awaited: AtomicBool,
}

/// Opens the files of one run.
pub(super) struct Opener {
    pub read_path: ReadPathChoice,
    /// Whether a range of each device is read, rather than files.
    pub device_range: bool,
    /// Whether the read path has no fallback.
    pub strict: bool,
    /// Whether files are opened past the page cache.
    pub direct: bool,
    pub descriptors: Arc<Descriptors>,
    pub counters: Arc<Counters>,
    pub status: Arc<Status>,
    pub unwritten: UnwrittenFifos,
}

impl Opener {
    /// Opens an entry. Returns `None` for a FIFO without a writer, whose attempt [`Opener::take_written`] will return.
    pub fn open(&self, entry: Arc<Entry>, permit: Permit) -> Option<Attempt> {
        let then = self.descriptors.moment();
        let opened = match &entry.origin {
            Origin::Object(object) => self.open_object(object),
            _ if self.strict => self.open_strictly(&entry),
            Origin::File => self.open_seen(&entry).map(Opened::as_found),
            Origin::Stdin if self.read_path == ReadPathChoice::Only(ReadPath::PeerRead) => {
                let why = "a disk cannot transfer standard input into peer memory; name a file";
                Err(io::Error::other(why))
            }
            Origin::Stdin => self.standard_input(&entry),
            Origin::Special => self.open_special(&entry)?,
        };
        Some(Attempt {
            entry,
            opened,
            permit,
            then,
        })
    }

    /// Takes the FIFOs that have a writer by now.
    pub fn take_written(&self) -> Vec<Attempt> {
        let mut fifos = lock(&self.unwritten.fifos);
        let mut written = written(fifos.iter().map(|waiting| &waiting.fifo), Duration::ZERO);
        written.resize(fifos.len(), false);
        let mut written = written.into_iter();
        let taken = fifos.extract_if(.., |_| written.next().unwrap_or(false));
        let attempt = |Unwritten { entry, fifo }| Attempt {
            entry,
            opened: blocking(fifo).map(Opened::stream),
            // The permit is given whatever the limit, because the FIFO is open already: nobody could know when a writer
            // would come.
            permit: self.descriptors.take_anyway(),
            then: self.descriptors.moment(),
        };
        taken.map(attempt).collect()
    }

    /// Whether [`Opener::take_written`] would return any.
    pub fn has_written(&self) -> bool {
        let fifos = lock(&self.unwritten.fifos);
        let fifos = fifos.iter().map(|waiting| &waiting.fifo);
        written(fifos, Duration::ZERO).contains(&true)
    }

    /// Waits until one of the FIFOs has a writer, for at most `timeout`, if there are any and no other feeder waits for
    /// them. Returns whether it waited.
    pub fn await_writers(&self, timeout: Duration) -> bool {
        let clone = |waiting: &Unwritten| Arc::clone(&waiting.fifo);
        // The lock is given back before the wait: others may have FIFOs to add.
        let fifos: Vec<_> = lock(&self.unwritten.fifos).iter().map(clone).collect();
        if fifos.is_empty() || self.unwritten.awaited.swap(true, Ordering::Acquire) {
            return false;
        }
        let waited = !written(fifos.iter(), timeout).is_empty();
        self.unwritten.awaited.store(false, Ordering::Release);
        waited
    }

    /// Takes an object. Nothing is asked of its store yet.
    fn open_object(&self, object: &ObjectRef) -> io::Result<Opened> {
        let refuses = self.counters.refuses_other_ways(
            self.read_path,
            self.strict,
            "objects are fetched by requests to their store",
        );
        if refuses || self.device_range {
            let why = "objects are fetched by requests, not by this read path; choose another";
            return Err(io::Error::other(why));
        }
        Ok(Opened {
            handle: Handle::Object(object.clone()),
            kind: FileKind::Positioned,
            told: object.0.size().unwrap_or(0),
            found: None,
        })
    }

    /// Opens a file, and stats its descriptor.
    fn open_seen(&self, entry: &Entry) -> io::Result<(File, Stat)> {
        let file = self.open_unseen(entry)?;
        let found = fstat(&file)?;
        let kind = bounded::kind_of(&found);
        if entry.origin == Origin::File && kind != FileType::RegularFile {
            return Err(io::Error::other(format!(
                "it was a regular file when it was listed, and is {} now; name it directly, or run again",
                bounded::name_of(kind)
            )));
        }
        self.not_written(entry, file, found)
    }

    /// Opens a file of a run whose read path has no fallback. The path must be able to read the file by position, and
    /// its size must be known.
    fn open_strictly(&self, entry: &Entry) -> io::Result<Opened> {
        let refused = |why: &str| Err(io::Error::other(why));
        if entry.origin == Origin::Stdin {
            return refused("standard input cannot be read at an offset; name a file");
        }
        let (file, found) = self.open_seen(entry)?;
        if self.device_range {
            NvmeNamespace::of(file.as_raw_fd()).map_err(io::Error::other)?;
        } else if bounded::kind_of(&found) != FileType::RegularFile {
            return refused(
                "it is not a regular file; name files, or the range of a device that is to be read",
            );
        } else if is_on_fuse(&file) {
            return refused(
                "it is on a FUSE file system, where io_uring may read bytes twice; read it by positioned reads",
            );
        } else {
            // Files of /proc and similar file systems have size 0 and yet bytes. Files that can be opened with O_DIRECT
            // have a true size.
            let by_disk = self.read_path == ReadPathChoice::Only(ReadPath::PeerRead);
            if size_of(&found) == 0 && !by_disk && file.read_at(&mut [0], 0)? > 0 {
                return refused("its size is unknown; read it without demanding a read path");
            }
        }
        Ok(Opened::new(file, FileKind::Positioned, &found))
    }

    /// Opens standard input, and decides how it is read.
    fn standard_input(&self, entry: &Entry) -> io::Result<Opened> {
        let (file, kind) = standard_input()?;
        let found = fstat(&file)?;
        let (file, found) = self.not_written(entry, file, found)?;
        Ok(Opened::new(file, kind, &found))
    }

    /// Refuses a file that the run writes, and returns any other.
    fn not_written(&self, entry: &Entry, file: File, found: Stat) -> io::Result<(File, Stat)> {
        match self.status.control.writes(FileId::new(&found)) {
            None => Ok((file, found)),
            // The file was empty when the run began, and everything that has been written to it since is the run's own
            // output.
            Some(true) if entry.explicit => Ok((File::open("/dev/null")?, found)),
            Some(_) => Err(io::Error::other(Written)),
        }
    }

    /// Opens a file, whatever it may have become since it was listed: without waiting and, if a walk has listed it,
    /// through no link.
    fn open_unseen(&self, entry: &Entry) -> io::Result<File> {
        let open = |direct: i32| {
            // The open must not block: the file may have been regular when it was listed and be a FIFO now.
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY | direct;
            match &entry.root {
                Some(root) => root.open_listed(&entry.path, flags),
                None => OpenOptions::new()
                    .read(true)
                    .custom_flags(flags)
                    .open(&entry.path),
            }
        };
        // The read path `peer` reads by O_DIRECT alone.
        let must = self.read_path == ReadPathChoice::Only(ReadPath::PeerRead);
        if self.direct || must {
            match open(libc::O_DIRECT) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    if must {
                        let why =
                            "its file system refuses O_DIRECT, which reads into peer memory need";
                        return Err(io::Error::other(why));
                    }
                    count(&self.counters.direct_refused);
                }
                other => return other,
            }
        }
        open(0)
    }

    /// Opens a file that the user named, of whatever kind, and stats its descriptor. Keeps a FIFO until it has a writer.
    fn open_special(&self, entry: &Arc<Entry>) -> Option<io::Result<Opened>> {
        let (file, found) = match self.open_seen(entry) {
            Err(error) => return Some(Err(error)),
            Ok(seen) => seen,
        };
        match bounded::kind_of(&found) {
            FileType::Directory => Some(Err(io::Error::from_raw_os_error(libc::EISDIR))),
            FileType::Fifo => {
                let (entry, fifo) = (Arc::clone(entry), Arc::new(OwnedFd::from(file)));
                lock(&self.unwritten.fifos).push(Unwritten { entry, fifo });
                None
            }
            _ => Some(Ok(Opened::as_found((file, found)))),
        }
    }
}

/// For each FIFO, whether it has bytes or has had a writer, as soon as one of them has, or when `timeout` has passed:
/// one that has had no writer is neither readable nor hung up. Returns nothing if there are none, or if they cannot be
/// asked at the moment.
fn written<'a>(fifos: impl Iterator<Item = &'a Arc<OwnedFd>>, timeout: Duration) -> Vec<bool> {
    let mut asked: Vec<_> = fifos.map(|fifo| PollFd::new(fifo, PollFlags::IN)).collect();
    let timeout = Timespec::try_from(timeout).ok();
    if asked.is_empty() || poll(&mut asked, timeout.as_ref()).is_err() {
        return Vec::new();
    }
    asked
        .iter()
        .map(|fifo| !fifo.revents().is_empty())
        .collect()
}

/// Lets the reads of a FIFO that was opened without waiting block until bytes come.
fn blocking(fifo: Arc<OwnedFd>) -> io::Result<Arc<OwnedFd>> {
    let flags = fcntl_getfl(&fifo)?;
    fcntl_setfl(&fifo, flags - OFlags::NONBLOCK)?;
    Ok(fifo)
}

/// Opens standard input, and decides how it is read. A regular file whose position is 0 is read by position, and counts
/// as read from then on: the next reader of the descriptor, a second `-` or another process that shares it, finds it at
/// its end.
fn standard_input() -> io::Result<(File, FileKind)> {
    use std::io::{Seek, SeekFrom};
    // Only one worker may look at a time: two that find the descriptor at position 0 would both read the file.
    static TAKING: Mutex<()> = Mutex::new(());
    let _turn = lock(&TAKING);
    let mut file = crate::source::stdin()?;
    let untouched = file.metadata().is_ok_and(|meta| meta.is_file())
        && file.stream_position().is_ok_and(|at| at == 0)
        && file.seek(SeekFrom::End(0)).is_ok();
    let kind = if untouched {
        FileKind::Positioned
    } else {
        // A file that was partly read already is read on from its position.
        FileKind::Stream
    };
    Ok((file, kind))
}
