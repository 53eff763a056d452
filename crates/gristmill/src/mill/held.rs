//! Slots that are freed when they are dropped.

use gristmill_protocol::PipelineError;
use gristmill_ring::{SlotToken, Submission, Submitter};

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
