//! Recording a run: every finished slot goes into a ring log, in the order in which slots finish.
//!
//! Recording is off by default. The thread that drains completions writes the log, under the collector's lock.

use super::control::LogOutput;
use super::finished::Finished;
use super::kind::FileKind;
use super::opener::size_of;
use super::piece::Piece;
use crate::source::Origin;
use gristmill_megakernel::log::{
    Digest, LoggedBytes, LoggedKernel, LoggedResult, LoggedSlot, RingLog,
};
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::{fault, PipelineError};
use gristmill_ring::{RecordMemory, Submission};
use rustix::fs::fstat;
use rustix::io::Errno;
use std::borrow::Cow;
use std::io::BufWriter;
use std::path::PathBuf;

/// The number of bytes of the log that are written together.
const BUFFER_BYTES: usize = 256 << 10;

/// Writes the ring log of one run.
pub(super) struct Recorder {
    log: RingLog<BufWriter<LogOutput>>,
    /// The directory against which relative paths are resolved.
    directory: PathBuf,
    failed: Option<PipelineError>,
}

/// The size that the file system gives for a slot's file.
fn size(piece: &Piece) -> Result<u64, PipelineError> {
    let found = piece.file.descriptor().map_or(Err(Errno::BADF), fstat);
    found.map(|found| size_of(&found)).map_err(|error| {
        let path = piece.file.entry.path.display();
        PipelineError::Backend(format!(
            "the size of {path}, which the ring log records: {error}; leave the file out"
        ))
    })
}

impl Recorder {
    /// Begins the log of a kernel.
    pub fn begin(output: LogOutput, kernel: LoggedKernel) -> Result<Self, PipelineError> {
        let directory = std::env::current_dir().map_err(|error| {
            PipelineError::Backend(format!(
                "the current directory, to which paths in the ring log are relative: {error}; run in another"
            ))
        })?;
        Ok(Self {
            log: RingLog::new(BufWriter::with_capacity(BUFFER_BYTES, output), kernel)?,
            directory,
            failed: None,
        })
    }

    /// Appends a finished slot. False if nothing more can be recorded.
    pub fn slot(&mut self, done: &Finished, records: &RecordMemory) -> bool {
        // A cancelled slot has no results for its bytes.
        if self.failed.is_none() && fault::reason(done.fault) != fault::CANCELLED {
            self.failed = self.append(done, records).err();
        }
        self.failed.is_none()
    }

    fn append(&mut self, done: &Finished, records: &RecordMemory) -> Result<(), PipelineError> {
        let part = &done.part;
        let (piece, chunk) = (&part.piece, done.chunk.as_slice());
        let submission = Submission::new(done.opcode, &done.args);
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
        let start = part.landing.start + part.parts.current().start;
        let before = start.saturating_sub(visible.start) as u64;
        let bytes = chunk.get(visible).unwrap_or(&[]);
        let index = done.slot.index();
        let area = kernel.area_words(words.opcode, done.status, done.flags, done.records);
        let area: Vec<u32> = (0..area).map(|word| records.word(index, word)).collect();
        let again =
            piece.file.kind() == FileKind::Positioned && piece.file.entry.origin == Origin::File;
        self.log.slot(&LoggedSlot {
            words,
            index,
            bytes: if again {
                LoggedBytes::File {
                    path: Cow::Owned(self.directory.join(&piece.file.entry.path)),
                    offset: part.offset().saturating_sub(before),
                    size: size(piece)?,
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
