//! Opening files: without waiting for any, and as the read path needs them.

use super::ChunkFeeder;
use crate::bounded;
use crate::jobs::Job;
use crate::mill::run::{lock, Kind};
use crate::source::{Entry, FileId, Origin};
use gristmill_ingest::reader::ReadPathChoice;
use gristmill_ring::ChunkBuf;
use rustix::event::{poll, PollFd, PollFlags};
use rustix::fs::{fcntl_getfl, fcntl_setfl, OFlags};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Says that an entry is a file that the run writes, which a walk passes over in silence.
#[derive(Debug)]
struct Written;

impl std::error::Error for Written {}

impl std::fmt::Display for Written {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it is the run's own output")
    }
}

/// Whether an entry was not opened as it is a file that the run writes, which nobody named.
pub(super) fn is_passed_over(entry: &Entry, error: &io::Error) -> bool {
    !entry.explicit && error.get_ref().is_some_and(|error| error.is::<Written>())
}

impl<J: Job + 'static> ChunkFeeder<J> {
    /// Opens a regular file, past the page cache where that is asked for. What is something else by now is refused.
    pub(super) fn open(&self, entry: &Entry) -> io::Result<File> {
        let file = self.open_unseen(entry)?;
        let found = file.metadata()?;
        if entry.origin == Origin::File && !found.is_file() {
            return Err(io::Error::other(format!(
                "it was a regular file when it was listed, and is {} now; name it outright, or run again",
                bounded::name_of(found.file_type())
            )));
        }
        self.not_written(&file, &found)?;
        Ok(file)
    }

    /// Refuses what the run writes. An empty one is read, as `cat` does: there is nothing to read again and again.
    fn not_written(&self, file: &File, found: &std::fs::Metadata) -> io::Result<()> {
        if self.run.control.writes(FileId::of(file)?) && found.is_file() && found.len() > 0 {
            return Err(io::Error::other(Written));
        }
        Ok(())
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
                    self.run.direct_refused.fetch_add(1, Ordering::Relaxed);
                }
                other => return other,
            }
        }
        open(0)
    }

    /// Opens what the user named, whatever it is, and looks at the descriptor. A FIFO is waited for, on a thread of its
    /// own, until there is a writer.
    pub(super) fn open_special(&mut self, entry: Arc<Entry>, buffers: &mut Vec<ChunkBuf>) {
        let file = self.open(&entry);
        let kind = file.as_ref().ok().and_then(|file| file.metadata().ok());
        match (file, kind.map(|kind| kind.file_type())) {
            (Ok(_), Some(kind)) if kind.is_dir() => {
                let error = io::Error::from_raw_os_error(libc::EISDIR);
                self.begin(entry, Err(error), Kind::Stream, buffers);
            }
            (Ok(file), Some(kind)) if kind.is_fifo() => self.wait_for_writer(entry, file, buffers),
            (file, _) => {
                let kind = kind_of(file.as_ref().ok(), false);
                self.begin(entry, file, kind, buffers);
            }
        }
    }

    fn wait_for_writer(&mut self, entry: Arc<Entry>, fifo: File, buffers: &mut Vec<ChunkBuf>) {
        let opened = Arc::clone(&self.opened);
        let run = Arc::clone(&self.run);
        let spare = Arc::clone(&entry);
        let spawned = std::thread::Builder::new()
            .name("gristmill-open".into())
            .spawn(move || {
                let file = until_written(fifo);
                lock(&opened).push((entry, file));
                run.wake();
            });
        if let Err(error) = spawned {
            self.begin(spare, Err(error), Kind::Stream, buffers);
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

/// Whether a file is read by position or as a stream.
pub(super) fn kind_of(file: Option<&File>, at_its_position: bool) -> Kind {
    use std::io::Seek;
    let Some(mut file) = file else {
        return Kind::Stream;
    };
    let regular = file.metadata().is_ok_and(|meta| {
        let kind = meta.file_type();
        kind.is_file() || kind.is_block_device()
    });
    // Standard input may be a file that somebody has read from already: then its position counts.
    if regular && (!at_its_position || file.stream_position().is_ok_and(|at| at == 0)) {
        Kind::Positioned
    } else {
        Kind::Stream
    }
}
