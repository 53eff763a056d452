//! The jobs of a run: what each is asked, and where its rows go. A run has any number of jobs of different types, so here
//! their types are forgotten.

use super::error::MillError;
use super::plan::MAX_JOBS;
use crate::divided::Divided;
use crate::error::FileErrorKind;
use crate::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk, SlotPlace};
use crate::source::{through_cache, Entry, FileFacts, FilePart, Found};
use gristmill_megakernel::{Kernel, StreamJob};
use gristmill_protocol::{PipelineError, ARGS_PER_SLOT};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// A job of [`Mill::run_all`](super::Mill::run_all), and where its rows go.
pub struct Task<'a> {
    job: Arc<dyn AnyJob>,
    needs: Needs,
    name: Option<String>,
    output: &'a mut dyn Write,
}

/// What a job says of itself before the run begins.
struct Needs {
    stream_job: Option<StreamJob>,
    geometry: Geometry,
    chunk_bytes: usize,
    record_words: u32,
}

impl<'a> Task<'a> {
    /// Lets `job` run, and writes its rows to `output`.
    pub fn new<J: Job + 'static>(job: Arc<J>, output: &'a mut dyn Write) -> Self {
        let needs = Needs {
            stream_job: job.stream_job(),
            geometry: job.geometry(),
            chunk_bytes: job.chunk_bytes(),
            record_words: job.record_words(),
        };
        Self {
            job,
            needs,
            name: None,
            output,
        }
    }

    /// The job's name in reports and errors. Default: its number among the jobs, from 1, as in `job 2`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl std::fmt::Debug for Task<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Task")
            .field("name", &self.name)
            .field("geometry", &self.needs.geometry)
            .finish_non_exhaustive()
    }
}

/// A [`Job`] whose type is forgotten.
pub(super) trait AnyJob: Send + Sync {
    fn prepare(&self, kernel: &Kernel) -> Result<(), PipelineError>;
    fn opcode(&self) -> u32;
    fn mode(&self, entry: &Entry, offset: u64) -> u32;
    fn args(&self, place: &SlotPlace) -> Result<[u32; ARGS_PER_SLOT], PipelineError>;
    fn fault(&self, word: u32) -> Option<String>;
    fn refused(&self, entry: &Entry, why: &FileErrorKind, rows: &mut Vec<u8>);
    fn takes_parts(&self) -> bool;
    fn part_from(&self, file: &OwnedFd, begin: u64) -> std::io::Result<u64>;
    /// Begins a file.
    fn open(self: Arc<Self>, entry: &Arc<Entry>, facts: &FileFacts) -> Box<dyn AnyFile>;
}

/// A file as one job sees it.
pub(super) trait AnyFile: Send {
    fn chunk(&mut self, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow;
    fn close(self: Box<Self>, end: &FileEnd, rows: &mut Vec<u8>) -> Flow;
}

/// What a job remembers of a file, with the job.
struct FileOf<J: Job> {
    job: Arc<J>,
    file: J::File,
}

impl<J: Job + 'static> AnyJob for J {
    fn prepare(&self, kernel: &Kernel) -> Result<(), PipelineError> {
        Job::prepare(self, kernel)
    }

    fn opcode(&self) -> u32 {
        Job::opcode(self)
    }

    fn mode(&self, entry: &Entry, offset: u64) -> u32 {
        Job::mode(self, entry, offset)
    }

    fn args(&self, place: &SlotPlace) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
        Job::args(self, place)
    }

    fn fault(&self, word: u32) -> Option<String> {
        Job::fault(self, word)
    }

    fn refused(&self, entry: &Entry, why: &FileErrorKind, rows: &mut Vec<u8>) {
        Job::refused(self, entry, why, rows);
    }

    fn takes_parts(&self) -> bool {
        Job::takes_parts(self)
    }

    fn part_from(&self, file: &OwnedFd, begin: u64) -> std::io::Result<u64> {
        Job::part_from(self, file, begin)
    }

    fn open(self: Arc<Self>, entry: &Arc<Entry>, facts: &FileFacts) -> Box<dyn AnyFile> {
        let file = Job::open(&*self, entry, facts);
        Box::new(FileOf { job: self, file })
    }
}

impl<J: Job + 'static> AnyFile for FileOf<J> {
    fn chunk(&mut self, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        self.job.chunk(&mut self.file, chunk, rows)
    }

    fn close(self: Box<Self>, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        self.job.close(self.file, end, rows)
    }
}

/// Calls the job's own code. `None` if it panics: then its file fails, and the run goes on.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

/// One job of a run, and what became of it.
pub(super) struct Running {
    pub job: Arc<dyn AnyJob>,
    pub name: Arc<str>,
    pub geometry: Geometry,
    /// Its stream opcode, if it has one.
    pub stream_job: Option<StreamJob>,
    /// Where a device runs a part of its opcode, and the host the rest.
    pub divided: Option<Divided>,
    /// The number of its stream opcode in the kernel.
    pub number: u32,
    /// Whether it wants no more, or its rows cannot be written.
    stopped: AtomicBool,
    /// Bytes that it was shown.
    pub bytes: AtomicU64,
    /// Chunks that it was shown.
    pub chunks: AtomicU64,
}

/// All jobs of a run. Their numbers here are their places in the list that the caller gave.
pub(super) struct Jobs {
    all: Vec<Running>,
    /// How all of them need files to be cut.
    pub geometry: Geometry,
    /// The chunk size that suits them.
    pub chunk_bytes: usize,
    /// Words of a record area that is large enough for each.
    pub record_words: u32,
}

impl Jobs {
    /// The jobs of these tasks, and where the rows of each go. `on_device` says that the kernel runs on a device.
    ///
    /// # Errors
    /// [`MillError`] for none, for too many, for a job whose geometry is out of range, for jobs whose chunks have no
    /// size in common, and for a job of which a device can do no part.
    pub fn new(
        tasks: Vec<Task<'_>>,
        on_device: bool,
    ) -> Result<(Self, Vec<&mut dyn Write>), MillError> {
        if tasks.is_empty() || tasks.len() > MAX_JOBS {
            return Err(MillError::JobCount { count: tasks.len() });
        }
        let mut jobs = Self {
            all: Vec::new(),
            geometry: Geometry::of_all(tasks.iter().map(|task| task.needs.geometry)),
            // The records of a chunk must fit into a slot's area, and its bytes into a cache until the last job has seen
            // them.
            chunk_bytes: (tasks.iter().map(|task| task.needs.chunk_bytes).min())
                .unwrap_or_default(),
            record_words: (tasks.iter().map(|task| task.needs.record_words).max())
                .unwrap_or_default(),
        };
        let mut outputs = Vec::new();
        let mut number = 0;
        for (place, task) in tasks.into_iter().enumerate() {
            task.needs.geometry.check()?;
            let name = task.name.unwrap_or_else(|| format!("job {}", place + 1));
            let named = number;
            number += u32::from(task.needs.stream_job.is_some());
            outputs.push(task.output);
            let stream_job = task.needs.stream_job;
            let divided = match &stream_job {
                Some(stream_job) if on_device => Divided::new(stream_job)?,
                _ => None,
            };
            if let Some(divided) = &divided {
                jobs.record_words = jobs.record_words.max(divided.record_words());
            }
            jobs.all.push(Running {
                job: task.job,
                name: name.into(),
                geometry: task.needs.geometry,
                stream_job,
                divided,
                number: named,
                stopped: AtomicBool::new(false),
                bytes: AtomicU64::new(0),
                chunks: AtomicU64::new(0),
            });
        }
        jobs.check_sizes()?;
        Ok((jobs, outputs))
    }

    /// Checks that one chunk can be both as aligned and as small as the jobs ask for.
    fn check_sizes(&self) -> Result<(), MillError> {
        let Geometry {
            align, max_chunk, ..
        } = self.geometry;
        let named = |wanted: &dyn Fn(&Geometry) -> bool| {
            let job = self.all.iter().find(|job| wanted(&job.geometry));
            job.map_or_else(String::new, |job| job.name.to_string())
        };
        if max_chunk < align {
            return Err(MillError::ChunksOfJobs {
                aligned: named(&|geometry| geometry.align == align),
                align,
                small: named(&|geometry| geometry.max_chunk == max_chunk),
                max_chunk,
            });
        }
        Ok(())
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// All jobs, in the caller's order.
    pub fn iter(&self) -> std::slice::Iter<'_, Running> {
        self.all.iter()
    }

    /// The job with this number.
    pub fn get(&self, number: usize) -> &Running {
        &self.all[number]
    }

    /// The name that an error of a job carries: none where it is the only one.
    pub fn error_name(&self, number: usize) -> Option<Arc<str>> {
        (self.all.len() > 1).then(|| Arc::clone(&self.all[number].name))
    }

    /// Notes that a job wants no more. Returns whether no job does.
    pub fn stop(&self, number: usize) -> bool {
        self.all[number].stopped.store(true, Ordering::Relaxed);
        self.all.iter().all(Running::is_stopped)
    }

    /// From which byte on a file must be read for a part of it.
    ///
    /// # Errors
    /// Those of reading it; for a job that takes whole files only, for a file that was changed since it was cut, and for a
    /// part that lies outside of it, one that says so.
    pub fn part_from(
        &self,
        file: &OwnedFd,
        part: &FilePart,
        found: Option<Found>,
        told: u64,
    ) -> io::Result<u64> {
        if let Some(whole) = self.all.iter().find(|running| !running.job.takes_parts()) {
            return Err(io::Error::other(format!(
                "{} takes whole files, and this is a part of one; give it the file",
                whole.name
            )));
        }
        if found.is_some_and(|found| found.modified_ns != part.modified) {
            return Err(io::Error::other(
                "it was changed after it was cut into parts; plan again",
            ));
        }
        if told != part.size {
            return Err(io::Error::other(format!(
                "it had {} bytes when it was cut into parts, and has {told} now; plan again",
                part.size
            )));
        }
        if part.begin > part.end || part.end > part.size {
            return Err(io::Error::other(format!(
                "bytes {} to {} are no part of a file of {} bytes; plan again",
                part.begin, part.end, part.size
            )));
        }
        let through_cache = through_cache(file)?;
        let file = through_cache.as_ref().unwrap_or(file);
        let wanted = self
            .all
            .iter()
            .map(|running| running.job.part_from(file, part.begin));
        wanted
            .reduce(|one, other| Ok(one?.min(other?)))
            .unwrap_or(Ok(part.begin))
    }

    /// Prepares all jobs for the kernel.
    ///
    /// # Errors
    /// The first job's that cannot run on it.
    pub fn prepare(&self, kernel: &Kernel) -> Result<(), PipelineError> {
        self.all
            .iter()
            .try_for_each(|running| running.job.prepare(kernel))
    }

    /// The stream opcodes of all jobs that have one, in the order of their numbers.
    pub fn stream_jobs(&self) -> Vec<StreamJob> {
        let streams = self.all.iter();
        streams.filter_map(|job| job.stream_job.clone()).collect()
    }

    /// What the kernel runs of them: the same, but of an opcode that is divided the device's part.
    pub fn kernel_jobs(&self) -> Vec<StreamJob> {
        let of_kernel = |job: &Running| match &job.divided {
            Some(divided) => Some(divided.part.clone()),
            None => job.stream_job.clone(),
        };
        self.all.iter().filter_map(of_kernel).collect()
    }
}

impl Running {
    /// The opcode of its slots, as the kernel knows it.
    pub fn kernel_opcode(&self) -> u32 {
        match &self.divided {
            Some(divided) => divided.part.opcode(),
            None => self.job.opcode(),
        }
    }

    /// Whether the job wants no more.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}
