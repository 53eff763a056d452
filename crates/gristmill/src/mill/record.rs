//! Recording a run: every finished slot goes into a ring log, in the order in which slots finish.
//!
//! Off unless asked for. The log is written under the collector's lock, by whoever drains completions; when it cannot be
//! written the run ends.

use super::run::{lock, Kind, Landing, Piece, Run};
use super::split::Parts;
use crate::jobs::Job;
use crate::source::Origin;
use gristmill_megakernel::log::{
    Digest, LoggedBytes, LoggedKernel, LoggedResult, LoggedSlot, RingLog,
};
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::{fault, PipelineError, ARGS_PER_SLOT};
use gristmill_ring::{ChunkBuf, Completion, RecordMemory, Submission};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

/// Where a log goes.
pub(super) type LogOutput = Box<dyn Write + Send>;

/// Bytes of the log that are written together.
const BUFFER_BYTES: usize = 256 << 10;

pub(super) struct Recorder {
    log: RingLog<BufWriter<LogOutput>>,
    /// Relative paths are relative to this.
    directory: PathBuf,
    failed: Option<PipelineError>,
}

/// Records a finished slot, where that was asked for; a log that cannot be written ends the run.
pub(super) fn record<J: Job>(
    run: &Run<J>,
    piece: &Piece,
    landing: &Landing,
    parts: &Parts,
    args: [u32; ARGS_PER_SLOT],
    chunk: &ChunkBuf,
    done: &Completion,
) {
    let Some(port) = run.port.get() else {
        return;
    };
    let Some(recorder) = &port.recorder else {
        return;
    };
    // A slot that was cancelled says nothing of its bytes.
    if fault::reason(done.fault) == fault::CANCELLED {
        return;
    }
    let first = parts.current().start;
    let ran = Ran {
        piece,
        submission: Submission::new(run.job.opcode(), &args),
        offset: piece.offset + first as u64,
        start: landing.start + first,
        buffer: chunk.as_slice(),
        done,
        records: &port.records,
    };
    let recorded = lock(recorder)
        .as_mut()
        .is_none_or(|recorder| recorder.slot(&ran));
    if !recorded {
        run.control.stop();
    }
}

/// A slot that has run.
struct Ran<'a> {
    piece: &'a Piece,
    submission: Submission,
    /// Where the first own byte lies in the file.
    offset: u64,
    /// Where it lies in the buffer.
    start: usize,
    /// The chunk's buffer.
    buffer: &'a [u8],
    done: &'a Completion,
    records: &'a RecordMemory,
}

/// The size that the file system tells of a slot's file.
fn size_of(piece: &Piece) -> Result<u64, PipelineError> {
    let open = piece.file.file.try_clone().map(File::from);
    open.and_then(|file| file.metadata())
        .map(|metadata| metadata.len())
        .map_err(|error| {
            PipelineError::Backend(format!(
                "the size of {}, which the ring log tells: {error}; leave the file out",
                piece.file.entry.path.display()
            ))
        })
}

impl Recorder {
    /// Begins the log of a kernel.
    pub fn begin(output: LogOutput, kernel: LoggedKernel) -> Result<Self, PipelineError> {
        let directory = std::env::current_dir().map_err(|error| {
            PipelineError::Backend(format!(
                "the current directory, which the ring log tells paths by: {error}; run in another"
            ))
        })?;
        Ok(Self {
            log: RingLog::new(BufWriter::with_capacity(BUFFER_BYTES, output), kernel)?,
            directory,
            failed: None,
        })
    }

    /// Appends a finished slot. False if nothing more can be recorded.
    fn slot(&mut self, ran: &Ran<'_>) -> bool {
        if self.failed.is_none() {
            self.failed = self.append(ran).err();
        }
        self.failed.is_none()
    }

    fn append(&mut self, ran: &Ran<'_>) -> Result<(), PipelineError> {
        let Ran {
            piece,
            submission,
            done,
            ..
        } = ran;
        let kernel = self.log.kernel();
        let words = SlotImage {
            status: slot::PUBLISHED,
            opcode: submission.opcode,
            tenant: submission.tenant,
            priority: submission.priority.word(),
            args: submission.args,
        };
        // An opcode that the log does not know sees nothing here; the log refuses it.
        let visible = kernel.visible(&words).unwrap_or(0..0);
        let before = ran.start.saturating_sub(visible.start) as u64;
        let bytes = ran.buffer.get(visible).unwrap_or(&[]);
        let index = done.token.index().get();
        let area = kernel.area_words(words.opcode, done.status, done.flags, done.records);
        let area: Vec<u32> = (0..area)
            .map(|word| ran.records.word(index, word))
            .collect();
        let again = piece.file.kind == Kind::Positioned && piece.file.entry.origin == Origin::File;
        self.log.slot(&LoggedSlot {
            words,
            index,
            bytes: if again {
                LoggedBytes::File {
                    path: Cow::Owned(self.directory.join(&piece.file.entry.path)),
                    offset: ran.offset.saturating_sub(before),
                    size: size_of(piece)?,
                }
            } else {
                LoggedBytes::Kept(Cow::Borrowed(bytes))
            },
            digest: Digest::of(bytes),
            result: LoggedResult {
                status: done.status,
                fault: done.fault,
                results: done.results,
                records: done.records,
                flags: done.flags,
                area: Cow::Owned(area),
            },
        })
    }

    /// Ends the log.
    pub fn finish(self) -> Result<(), PipelineError> {
        match self.failed {
            Some(error) => Err(error),
            None => self.log.finish().map(drop),
        }
    }
}
