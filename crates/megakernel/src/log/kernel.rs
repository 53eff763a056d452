//! The description of a recorded kernel, and the check whether a slot belongs to it.

use super::{
    Digest, LoggedBytes, LoggedSlot, MAX_CHUNK_BYTES, MAX_JOBS, MAX_NAME_BYTES, MAX_PATH_BYTES,
    MAX_RECORD_WORDS,
};
use crate::StreamJob;
use gristmill_protocol::priority::Priority;
use gristmill_protocol::program::{area_words, ProgramArgs};
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{completion, PipelineError};
use gristmill_vir0::Verified;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// The jobs and sizes with which a kernel was launched, and the programs that were bound in it.
#[derive(Debug, Clone)]
pub struct LoggedKernel {
    /// The name of the back end.
    pub backend: String,
    /// The number of words in each slot's record area.
    pub record_words: u32,
    /// The number of bytes in each chunk's buffer.
    pub chunk_bytes: u32,
    /// The jobs that slots name by index.
    pub jobs: Vec<StreamJob>,
    /// The programs of tenant 0, by the opcode that each was bound to.
    pub programs: Vec<(u32, Verified)>,
}

impl LoggedKernel {
    /// Checks that a log can hold this kernel.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a job that is host code, or for sizes out of range.
    pub fn check(&self) -> Result<(), PipelineError> {
        let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
        let custom = |job: &StreamJob| matches!(job, StreamJob::Custom(..));
        if self.jobs.iter().any(custom) {
            return invalid(
                "a ring log of a job that is host code, which no log can hold",
                "record jobs of the built-in opcodes, or programs",
            );
        }
        let few = |len: usize| len <= MAX_JOBS as usize;
        if self.record_words > MAX_RECORD_WORDS
            || !(1..=MAX_CHUNK_BYTES).contains(&self.chunk_bytes)
            || !few(self.jobs.len())
            || !few(self.programs.len())
            || self.backend.len() > MAX_NAME_BYTES as usize
        {
            return invalid(
                "a ring log of a kernel with larger chunks, larger record areas or more jobs than a log can hold",
                "use chunks of at most 64 MiB and record areas of at most 16 million words",
            );
        }
        Ok(())
    }

    fn program(&self, opcode: u32) -> Option<&Verified> {
        let mut programs = self.programs.iter();
        programs
            .find(|(bound, _)| *bound == opcode)
            .map(|(_, program)| program)
    }

    /// The bytes of its chunk's buffer that a slot can see: its own bytes and their surroundings. `None` if the opcode
    /// belongs to no job and to no program, or if the range is outside of the buffer.
    pub fn visible(&self, words: &SlotImage) -> Option<Range<usize>> {
        let (start, before, len, after) = if let Some(program) = self.program(words.opcode) {
            let args = ProgramArgs::decode(&words.args);
            let before = args.start.min(program.program().before.into());
            (args.start, before, args.len, args.after)
        } else {
            let known = |job: &StreamJob| job.opcode() == words.opcode;
            let args = StreamArgs::decode(&words.args);
            self.jobs.iter().any(known).then_some(())?;
            (args.start, args.before, args.len, args.after)
        };
        let first = start.checked_sub(before)?;
        let end = start.checked_add(len)?.checked_add(after)?;
        (end <= self.chunk_bytes).then_some(first as usize..end as usize)
    }

    /// How many words of a slot's record area are results, given the status with which the slot ended, its flags, and
    /// its number of records.
    pub fn area_words(&self, opcode: u32, status: u32, flags: u32, records: u32) -> usize {
        if status != slot::DONE {
            return 0;
        }
        let accs = match self.program(opcode) {
            // If a program's records overflowed, nothing in the area counts.
            Some(_) if flags & completion::FLAG_OVERFLOW != 0 => return 0,
            Some(program) => program.program().acc_count(),
            None => 0,
        };
        area_words(accs, records as usize).min(self.record_words as usize)
    }

    /// The reason why a log cannot hold a slot, or `None` if it can. The reader of the log refuses the same slots.
    pub(super) fn refuses(&self, slot: &LoggedSlot<'_>) -> Option<&'static str> {
        let LoggedSlot { words, result, .. } = slot;
        let Some(visible) = self.visible(words) else {
            return Some("a slot of a ring log whose opcode or bytes its kernel does not have");
        };
        let area = self.area_words(words.opcode, result.status, result.flags, result.records);
        let fits = match &slot.bytes {
            LoggedBytes::File { path, .. } => {
                path.as_os_str().as_bytes().len() <= MAX_PATH_BYTES as usize
            }
            LoggedBytes::Kept(bytes) => Digest::of(bytes) == slot.digest,
        };
        let right = words.status == slot::PUBLISHED
            && words.tenant == 0
            && Priority::from_word(words.priority).is_some()
            && matches!(result.status, slot::DONE | slot::FAULT)
            && visible.len() == slot.digest.len as usize
            && area == result.area.len()
            && fits;
        (!right).then_some("a slot of a ring log whose parts do not belong together")
    }
}
