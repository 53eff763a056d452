//! The context of a stream's read in flight: for whom it is, and what to report when it fails.

use crate::engine::{Completion, CHANGED};
use crate::fs::name_of;
use gristmill_protocol::PipelineError;
use std::os::fd::RawFd;

/// The publication that a pump makes when a read has landed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) chunk: u32,
    pub(crate) slot: u32,
    pub(crate) tenant: u32,
    pub(crate) opcode: u32,
    pub(crate) args: [u32; 3],
}

/// For whom a read is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// The stream's user, who knows it by this number.
    Caller(u64),
    /// A pump.
    Scan(Scan),
    /// This slot of a driver.
    Slot(u32),
}

/// The context of a read in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReadContext {
    pub(crate) fd: RawFd,
    pub(crate) file_offset: u64,
    pub(crate) owner: Owner,
}

impl ReadContext {
    pub(super) fn scan(&self) -> Option<&Scan> {
        match &self.owner {
            Owner::Scan(scan) => Some(scan),
            Owner::Caller(_) | Owner::Slot(_) => None,
        }
    }

    /// The number by which the stream's user knows the read.
    pub(super) fn user_data(&self) -> u64 {
        match self.owner {
            Owner::Caller(user_data) => user_data,
            Owner::Slot(slot) => u64::from(slot),
            Owner::Scan(scan) => u64::from(scan.slot),
        }
    }
}

impl Completion<ReadContext> {
    /// The number of bytes that landed, or why and where the read failed.
    ///
    /// # Errors
    /// [`PipelineError::Read`]. For a command, it has the place on the disk and a description of the device's status.
    pub(crate) fn outcome(&self) -> Result<u32, PipelineError> {
        let Some(error) = self.error else {
            return Ok(self.bytes);
        };
        let context = &self.payload;
        if let Some(command) = &self.command {
            let of = match context.owner {
                Owner::Caller(user_data) => format!("user data {user_data}"),
                _ => format!("slot {}", context.user_data()),
            };
            return Err(command.error(&of, error));
        }
        let (words, errno) = if error == CHANGED {
            let words = "the file changed while it was read past the file system".to_owned();
            (words, None)
        } else {
            (crate::setup::words_for(error), Some(error))
        };
        let reason = match context.owner {
            Owner::Scan(scan) => format!("chunk {} for slot {}: {words}", scan.chunk, scan.slot),
            Owner::Slot(slot) => format!("slot {slot}: {words}"),
            Owner::Caller(_) => words,
        };
        Err(PipelineError::Read {
            path: name_of(context.fd),
            offset: context.file_offset.saturating_add(u64::from(self.bytes)),
            errno,
            reason,
        })
    }
}
