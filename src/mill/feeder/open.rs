//! Opening files: without waiting for any, and as the read path needs them.

use super::{Attempt, ChunkFeeder};
use crate::jobs::Job;
use crate::mill::run::{lock, Kind};
use crate::source::Entry;
use gristmill_ingest::reader::ReadPathChoice;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

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

    /// Opens what the user named, whatever it is. Opening a FIFO waits for its writer: on a thread of its own, which hands
    /// the file in later.
    pub(super) fn open_special(&mut self, entry: &Arc<Entry>) -> Option<(io::Result<File>, Kind)> {
        let meta = match std::fs::metadata(&entry.path) {
            Err(error) => return Some((Err(error), Kind::Stream)),
            Ok(meta) => meta,
        };
        if meta.is_dir() {
            let error = io::Error::from_raw_os_error(libc::EISDIR);
            return Some((Err(error), Kind::Stream));
        }
        if !meta.file_type().is_fifo() {
            let file = self.open(entry);
            let kind = kind_of(file.as_ref().ok());
            return Some((file, kind));
        }
        let opened = Arc::clone(&self.opened);
        let run = Arc::clone(&self.run);
        let entry = Arc::clone(entry);
        let spawned = std::thread::Builder::new()
            .name("gristmill-open".into())
            .spawn(move || {
                let then = run.descriptors.moment();
                let file = File::open(&entry.path);
                lock(&opened).push(Attempt {
                    entry,
                    file,
                    kind: Kind::Stream,
                    // It was not known when it would open, and it is open now.
                    permit: run.descriptors.take_anyway(),
                    then,
                });
                run.wake();
            });
        match spawned {
            Ok(_) => None,
            Err(error) => Some((Err(error), Kind::Stream)),
        }
    }
}

/// Standard input, and how it is read. A regular file is read by position and from where it stands, and it counts as read
/// from then on: who reads the descriptor next, a second `-` or another process that shares it, finds it at its end.
pub(super) fn standard_input() -> (io::Result<File>, Kind) {
    use std::io::{Seek, SeekFrom};
    // One worker at a time: of two that find it untouched, both would read it.
    static TAKING: Mutex<()> = Mutex::new(());
    let _turn = lock(&TAKING);
    let mut file = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(file) => File::from(file),
        Err(error) => return (Err(error), Kind::Stream),
    };
    let untouched = file.metadata().is_ok_and(|meta| meta.is_file())
        && file.stream_position().is_ok_and(|at| at == 0)
        && file.seek(SeekFrom::End(0)).is_ok();
    let kind = if untouched {
        Kind::Positioned
    } else {
        // What somebody has read from already goes on from there.
        Kind::Stream
    };
    (Ok(file), kind)
}

/// Whether a file is read by position or as a stream.
pub(super) fn kind_of(file: Option<&File>) -> Kind {
    let positioned = file
        .and_then(|file| file.metadata().ok())
        .is_some_and(|meta| {
            let kind = meta.file_type();
            kind.is_file() || kind.is_block_device()
        });
    if positioned {
        Kind::Positioned
    } else {
        Kind::Stream
    }
}
