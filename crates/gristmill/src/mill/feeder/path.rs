//! How a feeder reads, and what becomes of its reads where its ring fails.

use super::{ChunkFeeder, WAIT};
use crate::jobs::Job;
use crate::mill::halo::Landing;
use crate::mill::piece::{Kind, Piece};
use gristmill_ingest::reader::{Landed, ReadPathChoice};
use gristmill_protocol::PipelineError;

/// How a feeder reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Path {
    By(ReadPathChoice),
    /// Not at all: a ring was demanded, and there are descriptors for those of other feeders alone.
    Not,
}

/// Why a reader does without a ring of its own.
const NO_RING: &str = "some readers had no ring, as the limit of open files leaves too few descriptors for one each; raise it \
                       (ulimit -n), or use fewer workers";

impl<J: Job + 'static> ChunkFeeder<J> {
    /// How this feeder reads: settled when it first wants to.
    pub(super) fn path(&mut self) -> Path {
        let wanted = self.run.config.read_path;
        *self.path.get_or_insert_with(|| {
            if wanted == ReadPathChoice::Positioned || self.run.descriptors.take_ring() {
                return Path::By(wanted);
            }
            self.run.counters.add_fallback(NO_RING);
            if wanted == ReadPathChoice::Auto {
                Path::By(ReadPathChoice::Positioned)
            } else {
                Path::Not
            }
        })
    }

    /// Whether another read path may stand in for a ring that failed.
    fn goes_on(&self) -> bool {
        self.run.config.read_path == ReadPathChoice::Auto
    }

    /// What a reader gives back whose ring has failed. An error may be the ring's or the file's own: a second reader meets
    /// the latter again, and without one the file is not blamed for the former.
    pub(super) fn landed_at_last(&mut self, piece: Piece, landed: Landed, error: &PipelineError) {
        // What a stream's read has taken is gone.
        let lost = landed.unanswered && piece.file.kind == Kind::Stream;
        if landed.error.is_none() {
            self.landed(piece, landed);
        } else if self.goes_on() && !lost {
            self.run.intake.read_again(piece, landed.buffer);
        } else {
            self.run
                .collector
                .hand_in(piece, Landing::failed(error.clone()));
        }
    }

    /// The ring itself failed. What had landed goes its way; what the kernel did not do is read again, by positioned reads
    /// where the choice is ours, and has failed where a ring was demanded.
    pub(super) fn reader_failed(&mut self, error: &PipelineError) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        if self.goes_on() {
            self.path = Some(Path::By(ReadPathChoice::Positioned));
            self.run.counters.add_fallback(&format!(
                "io_uring failed in the middle of the run, and what followed was read without it: {error}"
            ));
        }
        // Every read comes back, those that the kernel had as soon as it lets go of their memory.
        loop {
            while let Some(landed) = reader.poll() {
                if let Some(piece) = self.piece_of(landed.tag) {
                    self.landed_at_last(piece, landed, error);
                }
            }
            if reader.inflight() == 0 || self.run.status.stopping() {
                break;
            }
            // Its error is the one that brought us here.
            let _ = reader.wait(WAIT);
        }
        self.run.counters.add_reader(&reader);
        self.pending.clear();
    }
}
