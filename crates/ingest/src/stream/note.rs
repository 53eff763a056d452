//! What is known of reads in flight: whom they are for, and what to say when they fail.

use crate::nvme::{NvmeOp, NvmeStatus};
use gristmill_protocol::PipelineError;

/// What a pump wants published when a read has landed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scan {
    pub(crate) chunk: u32,
    pub(crate) slot: u32,
    pub(crate) tenant: u32,
    pub(crate) opcode: u32,
    pub(crate) args: [u32; 3],
}

/// Whom a read is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    /// Whoever polls the stream, who knows it by this number.
    Caller(u64),
    /// A pump.
    Scan(Scan),
    /// This slot of a driver.
    Slot(u32),
}

/// What is known of a read in flight.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Note {
    pub(super) fd: i32,
    pub(super) file_offset: u64,
    /// It is a socket, a pipe or the like: one that has no offsets.
    pub(super) is_stream: bool,
    pub(crate) owner: Owner,
}

impl Note {
    pub(crate) fn new(fd: i32, file_offset: u64, owner: Owner) -> Self {
        Note {
            fd,
            file_offset,
            is_stream: false,
            owner,
        }
    }

    pub(super) fn scan(&self) -> Option<&Scan> {
        match &self.owner {
            Owner::Scan(scan) => Some(scan),
            Owner::Caller(_) | Owner::Slot(_) => None,
        }
    }

    /// The error of this read, which ended after `bytes` bytes.
    pub(crate) fn error(&self, bytes: u32, errno: i32) -> PipelineError {
        let error = crate::setup::words_for(errno);
        let reason = match self.owner {
            Owner::Scan(scan) => format!("chunk {} for slot {}: {error}", scan.chunk, scan.slot),
            Owner::Slot(slot) => format!("slot {slot}: {error}"),
            Owner::Caller(_) => error,
        };
        PipelineError::Read {
            path: path_of(self.fd),
            offset: self.file_offset.saturating_add(u64::from(bytes)),
            errno: Some(errno),
            reason,
        }
    }
}

/// Whom an NVMe read is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum NvmeOwner {
    /// Whoever polls the stream, who knows it by this number.
    Caller(u64),
    /// This slot of a driver.
    Slot(u32),
    /// A canary.
    Canary,
}

/// The error of an NVMe read: of its command that failed, with the device's words.
pub(crate) fn nvme_error(owner: NvmeOwner, op: &NvmeOp, error: i32) -> PipelineError {
    let words = match u16::try_from(error.wrapping_neg()) {
        Ok(status) => NvmeStatus(status).to_string(),
        Err(_) => {
            let way = if error == libc::EFAULT {
                crate::peer::NO_PAGES
            } else {
                ""
            };
            format!("{}{way}", std::io::Error::from_raw_os_error(error))
        }
    };
    let of = match owner {
        NvmeOwner::Caller(user_data) => format!("user data {user_data}"),
        NvmeOwner::Slot(slot) => format!("slot {slot}"),
        NvmeOwner::Canary => "the first read, which tries the path".into(),
    };
    let (lba, block) = op.current().map_or((0, 0), |read| {
        let block = read.data_len.checked_div(read.blocks).unwrap_or(0);
        (read.starting_lba, block)
    });
    PipelineError::Read {
        path: path_of(op.fd()),
        offset: lba.saturating_mul(u64::from(block)),
        // A device's status has another sign.
        errno: (error > 0).then_some(error),
        reason: format!("{of}: the command at LBA {lba}: {words}"),
    }
}

fn path_of(fd: i32) -> String {
    std::fs::read_link(format!("/proc/self/fd/{fd}"))
        .map_or_else(|_| format!("fd {fd}"), |path| path.display().to_string())
}
