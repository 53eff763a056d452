//! A device's tables: the images of jobs, and those of programs, which are loaded and unloaded while the kernel runs.
//!
//! The directory names a program's image, with release order, only after the image is in the tables. An image is
//! removed in three steps. First the directory entry is cleared. Then every slot that was published before completes.
//! Only after that are the image's words and its directory entry used again. So no worker ever reads an image that is
//! being replaced.

use super::driver::DeviceMemory;
use super::layout::directory;
use super::program;
use crate::programs::ProgramSink;
use crate::KernelError;
use gristmill_protocol::PipelineError;
use gristmill_ring::{lock, SharedWords, Submitter};
use gristmill_vir0::Verified;
use std::sync::atomic::Ordering;
use std::sync::Mutex;

/// The number of words of which each image's place is a multiple: one line of a GPU's cache.
pub(crate) const IMAGE_ALIGN: usize = 32;

/// The programs of a running kernel, as the device sees them.
pub(crate) struct ProgramTables {
    memory: Box<dyn DeviceMemory>,
    directory: SharedWords,
    /// The number of instructions that a slot may cost.
    budget: u64,
    /// Knows which slots have completed.
    submitter: Submitter,
    room: Mutex<Room>,
}

/// A range of words in the tables: from and to.
type Span = (usize, usize);

/// An image in the tables, and the directory entry that names it.
struct Bound {
    opcode: u32,
    entry: usize,
    span: Span,
}

struct Room {
    /// In ascending order; no two of them are adjacent.
    free: Vec<Span>,
    bound: Vec<Bound>,
    /// Images that were unbound but that slots may still read, each with the number of slots that had been published at
    /// that time.
    retired: Vec<(Bound, u64)>,
}

impl ProgramTables {
    /// Makes tables in which programs use the words from `span.0` to `span.1`.
    pub fn new(
        memory: Box<dyn DeviceMemory>,
        span: Span,
        directory: SharedWords,
        budget: u64,
        submitter: Submitter,
    ) -> Self {
        Self {
            memory,
            directory,
            budget,
            submitter,
            room: Mutex::new(Room {
                free: vec![span],
                bound: Vec::new(),
                retired: Vec::new(),
            }),
        }
    }

    /// The device's address of the tables.
    pub fn address(&self) -> u64 {
        self.memory.address()
    }

    /// The largest chunk that the budget allows this program, in bytes.
    fn longest(&self, program: &Verified) -> u32 {
        gristmill_vir0::cost::largest(u32::MAX, |len| program.cost().at(len) <= self.budget)
    }

    fn word(&self, entry: usize, word: usize) -> &std::sync::atomic::AtomicU32 {
        &self.directory[entry * directory::WORDS + word]
    }

    /// The first entry in an opcode's probe sequence that names no program.
    fn entry(&self, opcode: u32, room: &Room) -> Option<usize> {
        let first = opcode as usize;
        (0..directory::ENTRIES)
            .map(|step| (first + step) % directory::ENTRIES)
            .find(|entry| {
                let taken = |bound: &Bound| bound.entry == *entry;
                let retired = |retired: &(Bound, u64)| taken(&retired.0);
                !room.bound.iter().any(taken) && !room.retired.iter().any(retired)
            })
    }
}

impl Room {
    /// Frees the words of images that no slot can still read.
    fn reclaim(&mut self, submitter: &Submitter) {
        let done = |retired: &mut (Bound, u64)| submitter.is_done(retired.1);
        let free = self.retired.extract_if(.., done);
        self.free.extend(free.map(|(bound, _)| bound.span));
        self.free.sort_unstable();
        self.free.dedup_by(|next, before| {
            let touch = before.1 == next.0;
            if touch {
                before.1 = next.1;
            }
            touch
        });
    }

    fn take(&mut self, words: usize) -> Option<Span> {
        let words = words.next_multiple_of(IMAGE_ALIGN);
        let index = self.free.iter().position(|(from, to)| to - from >= words)?;
        let (from, to) = self.free[index];
        if from + words == to {
            self.free.remove(index);
        } else {
            self.free[index].0 = from + words;
        }
        Some((from, from + words))
    }
}

impl ProgramSink for ProgramTables {
    fn bind(&self, opcode: u32, program: &Verified) -> Result<(), KernelError> {
        let full = || PipelineError::QueueFull {
            queue: "the device's memory for programs",
            fix: "unload programs that are no longer used, or launch another kernel",
        };
        let image = program::image(program);
        let mut room = lock(&self.room);
        room.reclaim(&self.submitter);
        let entry = self.entry(opcode, &room).ok_or_else(full)?;
        let span = room.take(image.len()).ok_or_else(full)?;
        let place = u32::try_from(span.0).map_err(|_| full())?;
        if let Err(error) = self.memory.write(span.0, &image) {
            room.free.push(span);
            return Err(error);
        }
        self.word(entry, directory::IMAGE)
            .store(place, Ordering::Relaxed);
        self.word(entry, directory::LONGEST)
            .store(self.longest(program), Ordering::Relaxed);
        self.word(entry, directory::OPCODE)
            .store(opcode, Ordering::Release);
        room.bound.push(Bound {
            opcode,
            entry,
            span,
        });
        Ok(())
    }

    fn unbind(&self, opcode: u32) {
        let mut room = lock(&self.room);
        if let Some(index) = room.bound.iter().position(|bound| bound.opcode == opcode) {
            let bound = room.bound.swap_remove(index);
            self.word(bound.entry, directory::OPCODE)
                .store(directory::GONE, Ordering::Release);
            room.retired.push((bound, self.submitter.published()));
        }
    }
}
