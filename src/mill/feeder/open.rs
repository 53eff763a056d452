//! Opening files: without waiting for any, and as the read path needs them.

use super::ChunkFeeder;
use crate::jobs::Job;
use crate::mill::run::{lock, Kind};
use crate::source::Entry;
use gristmill_ingest::reader::ReadPathChoice;
use gristmill_ring::ChunkBuf;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::Ordering;
use std::sync::Arc;

impl<J: Job + 'static> ChunkFeeder<J> {
    /// Opens a file, past the page cache where that is asked for.
    pub(super) fn open(&self, entry: &Entry) -> io::Result<File> {
        // Not blocking: what was a regular file when it was listed may be a FIFO now.
        let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
        // Into peer memory nothing is read otherwise.
        let must = self.run.config.read_path == ReadPathChoice::Peer;
        if self.run.config.direct || must {
            let direct = OpenOptions::new()
                .read(true)
                .custom_flags(flags | libc::O_DIRECT)
                .open(&entry.path);
            match direct {
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
        OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&entry.path)
    }

    /// Opens what the user named, whatever it is. Opening a FIFO waits for its writer: on a thread of its own.
    pub(super) fn open_special(&mut self, entry: Arc<Entry>, buffers: &mut Vec<ChunkBuf>) {
        let meta = std::fs::metadata(&entry.path);
        match meta {
            Err(error) => self.begin(entry, Err(error), Kind::Stream, buffers),
            Ok(meta) if meta.is_dir() => {
                let error = io::Error::from_raw_os_error(libc::EISDIR);
                self.begin(entry, Err(error), Kind::Stream, buffers);
            }
            Ok(meta) if meta.file_type().is_fifo() => {
                let opened = Arc::clone(&self.opened);
                let run = Arc::clone(&self.run);
                let path = entry.path.clone();
                let spare = Arc::clone(&entry);
                let spawned = std::thread::Builder::new()
                    .name("gristmill-open".into())
                    .spawn(move || {
                        let file = File::open(path);
                        lock(&opened).push((entry, file));
                        run.wake();
                    });
                if let Err(error) = spawned {
                    self.begin(spare, Err(error), Kind::Stream, buffers);
                }
            }
            Ok(_) => {
                let file = self.open(&entry);
                let kind = kind_of(file.as_ref().ok(), false);
                self.begin(entry, file, kind, buffers);
            }
        }
    }
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
