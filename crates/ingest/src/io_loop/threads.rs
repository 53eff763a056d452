//! Threads that carry out blocking reads and writes, by `pread` and `pwrite`.
//!
//! A file whose file system does not answer occupies at most [`PER_FILE`] threads, and takes none away from other
//! files. Each thread owns the chunk and the file of its job until the job is done. A job that does not end can only be
//! left behind: its thread then keeps both until the file system answers, and ends.

use crate::path::{ReadPath, ReadPathChoice};
use crate::reader::{ChunkReader, ReadStats, ReaderConfig};
use gristmill_ring::ChunkBuf;
use std::collections::VecDeque;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::Arc;
use std::time::Duration;

/// The number of threads that one file may occupy. Its other jobs wait, in order.
const PER_FILE: usize = 4;

/// How long one attempt at a read waits for bytes.
const PATIENCE: Duration = Duration::from_secs(1);

/// A read or a write.
pub(super) struct Job {
    /// The number that identifies the job when it ends.
    pub number: u64,
    /// Number of the file in its table.
    pub source: usize,
    pub file: Arc<OwnedFd>,
    pub offset: u64,
    pub chunk: ChunkBuf,
    /// The number of bytes, from the start of the chunk; at least 1, and at most the chunk's size.
    pub count: usize,
    pub writes: bool,
}

/// A job that has ended.
pub(super) struct Done {
    pub number: u64,
    pub chunk: ChunkBuf,
    /// Bytes, or the error number.
    pub outcome: Result<usize, i32>,
    /// The system calls that it made, if it was a read.
    pub stats: ReadStats,
}

struct FileThread {
    jobs: Sender<Job>,
    /// Source and number of its current job; `None` while it is idle.
    job: Option<(usize, u64)>,
}

/// The threads. Their number is the largest number of jobs that were ever under way at once. Dropping this ends the
/// idle threads, and leaves the others behind.
pub(super) struct FileThreads {
    threads: Vec<FileThread>,
    queued: VecDeque<Job>,
    /// A job whose end [`FileThreads::wait`] has received.
    landed: Option<(usize, Done)>,
    ends: Sender<(usize, Done)>,
    ended: Receiver<(usize, Done)>,
    /// Reads under way.
    reading: Arc<AtomicU32>,
}

impl FileThreads {
    pub fn new() -> Self {
        let (ends, ended) = mpsc::channel();
        Self {
            threads: Vec::new(),
            queued: VecDeque::new(),
            landed: None,
            ends,
            ended,
            reading: Arc::default(),
        }
    }

    /// Numbers of the jobs that threads are carrying out.
    pub fn under_way(&self) -> impl Iterator<Item = u64> + '_ {
        let jobs = self.threads.iter().filter_map(|thread| thread.job);
        jobs.map(|(_, number)| number)
    }

    /// Starts a job, at once or after other jobs of its file.
    ///
    /// # Errors
    /// The job's chunk, with EAGAIN if no thread can be started.
    pub fn give(&mut self, job: Job) -> Result<(), (ChunkBuf, i32)> {
        if !self.has_room(job.source) {
            self.queued.push_back(job);
            return Ok(());
        }
        let idle = self.threads.iter().position(|thread| thread.job.is_none());
        let index = match idle.map_or_else(|| self.spawn(), Ok) {
            Ok(index) => index,
            Err(_) => return Err((job.chunk, libc::EAGAIN)),
        };
        self.hand(index, job);
        Ok(())
    }

    /// The next job that has ended. Never blocks.
    pub fn poll(&mut self) -> Option<Done> {
        let landed = self.landed.take().or_else(|| self.ended.try_recv().ok());
        let (index, done) = landed?;
        if let Some(thread) = self.threads.get_mut(index) {
            thread.job = None;
        }
        let next = self
            .queued
            .iter()
            .position(|job| self.has_room(job.source))
            .and_then(|next| self.queued.remove(next));
        if let Some(job) = next {
            self.hand(index, job);
        }
        Some(done)
    }

    /// Waits until a job has ended, or until `timeout`.
    pub fn wait(&mut self, timeout: Duration) {
        if self.landed.is_none() {
            self.landed = self.ended.recv_timeout(timeout).ok();
        }
    }

    /// Takes back the jobs that have not begun.
    pub fn take_queued(&mut self) -> VecDeque<Job> {
        std::mem::take(&mut self.queued)
    }

    fn has_room(&self, source: usize) -> bool {
        let jobs = self.threads.iter().filter_map(|thread| thread.job);
        jobs.filter(|(of, _)| *of == source).count() < PER_FILE
    }

    fn hand(&mut self, index: usize, job: Job) {
        if let Some(thread) = self.threads.get_mut(index) {
            thread.job = Some((job.source, job.number));
            // A thread lives as long as its sender.
            let _ = thread.jobs.send(job);
        }
    }

    /// Starts one more thread and returns its index.
    fn spawn(&mut self) -> std::io::Result<usize> {
        let index = self.threads.len();
        let (jobs, given) = mpsc::channel::<Job>();
        let (ends, reading) = (self.ends.clone(), Arc::clone(&self.reading));
        let body = move || {
            for job in given {
                // The receiver may be gone.
                let _ = ends.send((index, run(job, &reading)));
            }
        };
        let builder = std::thread::Builder::new().name("gristmill-file".into());
        builder.spawn(body)?;
        self.threads.push(FileThread { jobs, job: None });
        Ok(index)
    }
}

fn run(job: Job, reading: &AtomicU32) -> Done {
    if job.writes {
        return write(job);
    }
    let depth = reading.fetch_add(1, Ordering::Relaxed) + 1;
    let mut done = read(job);
    reading.fetch_sub(1, Ordering::Relaxed);
    // The job's reader had only this one read, but the loop has as many reads in flight as there are threads reading.
    done.stats.depth_sum = done.stats.reads * u64::from(depth);
    done.stats.depth_max = done.stats.depth_max.max(depth);
    done
}

fn read(job: Job) -> Done {
    let number = job.number;
    let config = ReaderConfig {
        depth: 1,
        path: ReadPathChoice::Only(ReadPath::PositionedRead),
    };
    let failed = |chunk, errno| Done {
        number,
        chunk,
        outcome: Err(errno),
        stats: ReadStats::default(),
    };
    let Ok(mut reader) = ChunkReader::new(config) else {
        return failed(job.chunk, libc::EIO);
    };
    let submitted = reader.submit(&job.file, job.offset, job.chunk, job.count, number, false);
    drop(job.file);
    if let Err((chunk, _)) = submitted {
        return failed(chunk, libc::EINVAL);
    }
    let landed = loop {
        if let Some(landed) = reader.poll() {
            break landed;
        }
        // Positioned reads fail in `poll`, not here.
        let _ = reader.wait(PATIENCE);
    };
    Done {
        number,
        chunk: landed.buffer,
        outcome: landed.error.map_or(Ok(landed.bytes), Err),
        stats: reader.stats(),
    }
}

fn write(job: Job) -> Done {
    // This duplicates the descriptor, because safe code can write only to a `File`. Writes are rare.
    let file = job.file.try_clone().map(File::from);
    drop(job.file);
    let bytes = job.chunk.as_slice().get(..job.count).unwrap_or(&[]);
    let written = file.and_then(|file| file.write_all_at(bytes, job.offset));
    Done {
        number: job.number,
        outcome: written
            .map(|()| job.count)
            .map_err(|error| crate::setup::errno_of(&error)),
        chunk: job.chunk,
        stats: ReadStats::default(),
    }
}
