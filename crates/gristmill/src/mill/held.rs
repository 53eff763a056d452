//! Slots that are freed when they are dropped, and chunks that go back when their last slot has completed.

use gristmill_protocol::PipelineError;
use gristmill_ring::{LentChunk, SlotToken, Submission, Submitter};
use std::sync::Arc;

/// An empty slot of the run's ring, free again when it is dropped: no error path loses one.
#[derive(Debug)]
pub(super) struct HeldSlot {
    /// Present until the slot is published or dropped.
    token: Option<SlotToken>,
    submitter: Submitter,
}

impl HeldSlot {
    pub fn new(token: SlotToken, submitter: &Submitter) -> Self {
        Self {
            token: Some(token),
            submitter: submitter.clone(),
        }
    }

    pub fn index(&self) -> u32 {
        self.token
            .as_ref()
            .map_or(u32::MAX, |token| token.index().get())
    }

    /// Fills and publishes the slot, or frees it and returns the reason.
    pub fn publish(mut self, submission: &Submission) -> Result<(), PipelineError> {
        let Some(token) = self.token.take() else {
            return Ok(());
        };
        match self.submitter.publish(token, submission) {
            Ok(_slot) => Ok(()),
            Err((token, error)) => {
                self.token = Some(token);
                Err(error)
            }
        }
    }
}

impl Drop for HeldSlot {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.submitter.release(token);
        }
    }
}

/// A lent chunk, held for one of the slots that name it, which has completed or was not published yet. The last of its
/// holders to be dropped gives the chunk back to its reader.
///
/// A slot in flight holds a clone of the claim, too. So while any slot of the chunk is in flight there is a claim beside
/// this one, [`Arc::into_inner`] gives none away, and the chunk cannot be reclaimed: only the claim itself can do that.
#[derive(Debug)]
pub(super) struct HeldChunk {
    /// Present until this is dropped.
    lent: Option<Arc<LentChunk>>,
}

impl HeldChunk {
    pub fn new(lent: Arc<LentChunk>) -> Self {
        Self { lent: Some(lent) }
    }

    /// Another claim to the chunk, for a slot that is published.
    pub fn claim(&self) -> Option<Arc<LentChunk>> {
        self.lent.clone()
    }

    /// The whole chunk. Slots of other jobs may be running over it.
    pub fn as_slice(&self) -> &[u8] {
        self.lent.as_ref().map_or(&[], |lent| lent.as_slice())
    }
}

impl Drop for HeldChunk {
    fn drop(&mut self) {
        if let Some(last) = self.lent.take().and_then(Arc::into_inner) {
            drop(last.reclaim_completed());
        }
    }
}
