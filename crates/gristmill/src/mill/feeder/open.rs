//! Opening files: without waiting for any, and as the read path needs them.

use super::{Attempt, ChunkFeeder};
use crate::bounded;
use crate::jobs::Job;
use crate::mill::counters::count;
use crate::mill::piece::Kind;
use crate::source::{Entry, FileId, Origin};
use crate::sync::lock;
use gristmill_ingest::reader::ReadPathChoice;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::fs::{fcntl_getfl, fcntl_setfl, fstat, FileType, OFlags, Stat};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex};

/// A file that was opened, and how it is read.
pub(super) struct Opened {
    pub file: File,
    pub kind: Kind,
    /// The size that it was told to have, or 0 where nobody asked.
    pub told: u64,
}

impl Opened {
    /// As what was found of it says: files and disks by position, all else as it comes.
    fn as_found((file, found): (File, Stat)) -> Self {
        let kind = match bounded::kind_of(&found) {
            FileType::RegularFile | FileType::BlockDevice => Kind::Positioned,
            _ => Kind::Stream,
        };
        Self {
            file,
            kind,
            told: size_of(&found),
        }
    }

    fn stream(file: File) -> Self {
        Self {
            file,
            kind: Kind::Stream,
            told: 0,
        }
    }
}

/// The size that was told of a file.
pub(super) fn size_of(found: &Stat) -> u64 {
    u64::try_from(found.st_size).unwrap_or(0)
}

/// Says that an entry is a file that the run writes, which a walk passes over in silence.
#[derive(Debug)]
struct Written;

impl std::error::Error for Written {}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the run writes to it; read another file, or write elsewhere")
    }
}

/// Whether an entry was not opened as it is a file that the run writes, which nobody named.
pub(super) fn is_passed_over(entry: &Entry, error: &io::Error) -> bool {
    !entry.explicit && error.get_ref().is_some_and(|error| error.is::<Written>())
}

impl<J: Job + 'static> ChunkFeeder<J> {
    /// Opens a regular file, past the page cache where that is asked for. What is something else by now is refused.
    pub(super) fn open(&self, entry: &Entry) -> io::Result<Opened> {
        self.open_seen(entry).map(Opened::as_found)
    }

    /// Opens a file, and looks at the descriptor.
    fn open_seen(&self, entry: &Entry) -> io::Result<(File, Stat)> {
        let file = self.open_unseen(entry)?;
        let found = fstat(&file)?;
        let kind = bounded::kind_of(&found);
        if entry.origin == Origin::File && kind != FileType::RegularFile {
            return Err(io::Error::other(format!(
                "it was a regular file when it was listed, and is {} now; name it outright, or run again",
                bounded::name_of(kind)
            )));
        }
        self.not_written(entry, file, found)
    }

    /// Standard input, and how it is read.
    pub(super) fn standard_input(&self, entry: &Entry) -> io::Result<Opened> {
        let (file, kind) = standard_input()?;
        let found = fstat(&file)?;
        let (file, found) = self.not_written(entry, file, found)?;
        Ok(Opened {
            file,
            kind,
            told: size_of(&found),
        })
    }

    /// Gives a file back that the run does not write.
    fn not_written(&self, entry: &Entry, file: File, found: Stat) -> io::Result<(File, Stat)> {
        match self.run.status.control.writes(FileId::new(&found)) {
            None => Ok((file, found)),
            // What comes into it meanwhile is the run's own.
            Some(true) if entry.explicit => Ok((File::open("/dev/null")?, found)),
            Some(_) => Err(io::Error::other(Written)),
        }
    }

    /// Opens a file, whatever it is by now: without waiting, and where a walk has listed it, through no link.
    fn open_unseen(&self, entry: &Entry) -> io::Result<File> {
        let open = |direct: i32| {
            // Not blocking: what was a regular file when it was listed may be a FIFO now.
            let flags = libc::O_NONBLOCK | libc::O_NOCTTY | direct;
            match &entry.root {
                Some(root) => root.open_listed(&entry.path, flags),
                None => OpenOptions::new()
                    .read(true)
                    .custom_flags(flags)
                    .open(&entry.path),
            }
        };
        // Into peer memory nothing is read otherwise.
        let must = self.run.config.read_path == ReadPathChoice::Peer;
        if self.run.config.direct || must {
            match open(libc::O_DIRECT) {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                    if must {
                        let why =
                            "its file system refuses O_DIRECT, which reads into peer memory need";
                        return Err(io::Error::other(why));
                    }
                    count(&self.run.counters.direct_refused);
                }
                other => return other,
            }
        }
        open(0)
    }

    /// Opens what the user named, whatever it is, and looks at the descriptor. A FIFO is waited for until there is a
    /// writer, on a thread of its own, which hands the file in later.
    pub(super) fn open_special(&mut self, entry: &Arc<Entry>) -> Option<io::Result<Opened>> {
        let (file, found) = match self.open_seen(entry) {
            Err(error) => return Some(Err(error)),
            Ok(seen) => seen,
        };
        match bounded::kind_of(&found) {
            FileType::Directory => return Some(Err(io::Error::from_raw_os_error(libc::EISDIR))),
            FileType::Fifo => {}
            _ => return Some(Ok(Opened::as_found((file, found)))),
        }
        let opened = Arc::clone(&self.opened);
        let run = Arc::clone(&self.run);
        let entry = Arc::clone(entry);
        let spawned = std::thread::Builder::new()
            .name("gristmill-open".into())
            .spawn(move || {
                let then = run.descriptors.moment();
                let written = until_written(file);
                lock(&opened).push(Attempt {
                    entry,
                    opened: written.map(Opened::stream),
                    // It was not known when it would be written to, and it is open now.
                    permit: run.descriptors.take_anyway(),
                    then,
                });
                run.status.wake();
            });
        match spawned {
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// Waits until a FIFO that was opened without waiting has bytes, or has had a writer. From then on reads wait for bytes.
fn until_written(fifo: File) -> io::Result<File> {
    // Without a writer so far it is neither readable nor hung up.
    let mut asked = [PollFd::new(&fifo, PollFlags::IN)];
    while let Err(error) = poll(&mut asked, None) {
        if error != Errno::INTR {
            return Err(error.into());
        }
    }
    let flags = fcntl_getfl(&fifo)?;
    fcntl_setfl(&fifo, flags - OFlags::NONBLOCK)?;
    Ok(fifo)
}

/// Standard input, and how it is read. A regular file is read by position and from where it stands, and it counts as read
/// from then on: who reads the descriptor next, a second `-` or another process that shares it, finds it at its end.
fn standard_input() -> io::Result<(File, Kind)> {
    use std::io::{Seek, SeekFrom};
    // One worker at a time: of two that find it untouched, both would read it.
    static TAKING: Mutex<()> = Mutex::new(());
    let _turn = lock(&TAKING);
    let mut file = crate::source::stdin()?;
    let untouched = file.metadata().is_ok_and(|meta| meta.is_file())
        && file.stream_position().is_ok_and(|at| at == 0)
        && file.seek(SeekFrom::End(0)).is_ok();
    let kind = if untouched {
        Kind::Positioned
    } else {
        // What somebody has read from already goes on from there.
        Kind::Stream
    };
    Ok((file, kind))
}
