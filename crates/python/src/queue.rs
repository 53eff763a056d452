//! The batches of a run's jobs, between the thread that makes them and those that take them.
//!
//! A queue holds [`WAITING`] batches; then the run waits for whoever takes them. But nobody waits in vain: if a job's queue
//! is full while another job's batches are waited for, they are written to a temporary file, and read back when their
//! turn comes. So the streams of several jobs may be read in turn, in little memory.

use arrow_array::RecordBatch;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use gristmill::ring::lock;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Batches of a job that wait in memory.
const WAITING: usize = 2;

/// A batch that waits.
enum Held {
    Here(RecordBatch),
    /// It was written to the file.
    Written(Arc<File>, u64, usize),
}

#[derive(Default)]
struct Queue {
    held: VecDeque<Held>,
    /// How many of these are in memory.
    here: usize,
    /// Threads that wait for a batch.
    takers: usize,
    /// Whether nobody takes any.
    closed: bool,
}

/// What has come of waiting for a batch.
pub enum Taken {
    /// A batch of the queue with this number.
    Batch(usize, RecordBatch),
    /// None yet.
    Nothing,
    /// None comes any more.
    End,
}

#[derive(Default)]
struct All {
    queues: Vec<Queue>,
    /// Whether no batch comes any more.
    ended: bool,
}

/// Queues, one for each job.
pub struct Queues {
    all: Mutex<All>,
    changed: Condvar,
    /// Where batches lie that have no room, with the bytes of it that are used.
    file: Mutex<Option<(Arc<File>, u64)>>,
}

impl Queues {
    pub fn new(count: usize) -> Self {
        let mut all = All::default();
        all.queues.resize_with(count, Queue::default);
        Self {
            all: Mutex::new(all),
            changed: Condvar::new(),
            file: Mutex::default(),
        }
    }

    /// Adds a batch to a queue, once there is room, or to the file if others wait in vain meanwhile.
    ///
    /// # Errors
    /// [`io::ErrorKind::BrokenPipe`] if nobody takes batches of this queue; those of the file.
    pub fn put(&self, number: usize, batch: RecordBatch) -> io::Result<()> {
        let mut all = lock(&self.all);
        loop {
            let queue = &mut all.queues[number];
            if queue.closed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if queue.here < WAITING {
                queue.here += 1;
                queue.held.push_back(Held::Here(batch));
                self.changed.notify_all();
                return Ok(());
            }
            let in_vain = |queue: &Queue| queue.takers > 0 && queue.held.is_empty();
            if all.queues.iter().any(in_vain) {
                break;
            }
            all = self
                .changed
                .wait(all)
                .unwrap_or_else(PoisonError::into_inner);
        }
        // Only the run's thread adds batches, so that none comes in between.
        drop(all);
        let written = self.write(&batch)?;
        lock(&self.all).queues[number].held.push_back(written);
        self.changed.notify_all();
        Ok(())
    }

    fn write(&self, batch: &RecordBatch) -> io::Result<Held> {
        let mut bytes = Vec::new();
        let mut writer =
            StreamWriter::try_new(&mut bytes, &batch.schema()).map_err(io::Error::other)?;
        writer.write(batch).map_err(io::Error::other)?;
        writer.finish().map_err(io::Error::other)?;
        drop(writer);
        let mut file = lock(&self.file);
        if file.is_none() {
            *file = Some((Arc::new(tempfile::tempfile()?), 0));
        }
        let Some((file, used)) = &mut *file else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let at = *used;
        file.write_all_at(&bytes, at).map_err(|error| {
            let why = format!("rows that wait for their reader cannot be kept in a temporary file: {error}; read the streams \
                at the same time, or set TMPDIR to a directory with more room");
            io::Error::other(why)
        })?;
        *used += bytes.len() as u64;
        Ok(Held::Written(Arc::clone(file), at, bytes.len()))
    }

    /// Takes the next batch of any of these queues, or waits for one, no longer than `timeout`.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn take(&self, numbers: &[usize], timeout: Duration) -> io::Result<Taken> {
        let mut all = lock(&self.all);
        for waited in [false, true] {
            for &number in numbers {
                let queue = &mut all.queues[number];
                let Some(held) = queue.held.pop_front() else {
                    continue;
                };
                if matches!(held, Held::Here(_)) {
                    queue.here -= 1;
                }
                self.changed.notify_all();
                drop(all);
                return read(held).map(|batch| Taken::Batch(number, batch));
            }
            if all.ended {
                return Ok(Taken::End);
            }
            if waited {
                break;
            }
            numbers
                .iter()
                .for_each(|number| all.queues[*number].takers += 1);
            self.changed.notify_all();
            let waits = |all: &mut All| {
                let mut queues = numbers.iter().map(|number| &all.queues[*number]);
                !all.ended && queues.all(|queue| queue.held.is_empty())
            };
            let waited = self.changed.wait_timeout_while(all, timeout, waits);
            all = waited.unwrap_or_else(PoisonError::into_inner).0;
            numbers
                .iter()
                .for_each(|number| all.queues[*number].takers -= 1);
        }
        Ok(Taken::Nothing)
    }

    /// Nobody takes batches of this queue any more. Returns whether nobody takes any.
    pub fn close(&self, number: usize) -> bool {
        let mut all = lock(&self.all);
        let queue = &mut all.queues[number];
        queue.closed = true;
        queue.held.clear();
        queue.here = 0;
        let closed = all.queues.iter().all(|queue| queue.closed);
        self.changed.notify_all();
        closed
    }

    /// No batch comes any more.
    pub fn end(&self) {
        lock(&self.all).ended = true;
        self.changed.notify_all();
    }
}

fn read(held: Held) -> io::Result<RecordBatch> {
    let (file, at, length) = match held {
        Held::Here(batch) => return Ok(batch),
        Held::Written(file, at, length) => (file, at, length),
    };
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, at)?;
    let mut reader = StreamReader::try_new(&bytes[..], None).map_err(io::Error::other)?;
    let batch = reader.next().ok_or(io::ErrorKind::UnexpectedEof)?;
    batch.map_err(io::Error::other)
}
