//! Writing a ring log.

use super::records::{encode_job, encode_program, encode_slot};
use super::{LoggedKernel, LoggedSlot, END, JOB, KERNEL, MAGIC, PROGRAM, SLOT, VERSION};
use crate::KernelError;
use gristmill_protocol::PipelineError;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes a ring log record by record. The output should be buffered.
///
/// A log that is dropped without [`finish`](Self::finish) can be read as a log that was cut.
#[derive(Debug)]
pub struct RingLog<W> {
    output: W,
    kernel: LoggedKernel,
    /// The CRC-32C of everything written so far, except checksums.
    crc: u32,
    slots: u64,
    payload: Vec<u8>,
}

impl<W: Write> RingLog<W> {
    /// Begins a log of the slots that run on a kernel.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] if a log cannot hold the kernel's jobs (see [`LoggedKernel::check`]);
    /// [`PipelineError::Backend`] if the output cannot be written.
    pub fn new(output: W, kernel: LoggedKernel) -> Result<Self, PipelineError> {
        kernel.check()?;
        let mut log = Self {
            output,
            kernel,
            crc: 0,
            slots: 0,
            payload: Vec::new(),
        };
        let LoggedKernel { jobs, programs, .. } = &log.kernel;
        let jobs: Vec<_> = jobs.iter().map(encode_job).collect::<Result<_, _>>()?;
        let programs = programs.iter();
        let programs: Vec<_> = programs
            .map(|(opcode, program)| encode_program(*opcode, program))
            .collect::<Result<_, _>>()?;
        let mut payload = Vec::new();
        // There are at most 64 of each, as `check` says.
        let count = |list: &[Vec<u8>]| u32::try_from(list.len()).unwrap_or(u32::MAX);
        for word in [
            log.kernel.record_words,
            log.kernel.chunk_bytes,
            count(&jobs),
            count(&programs),
        ] {
            payload.extend(word.to_le_bytes());
        }
        payload.extend(log.kernel.backend.as_bytes());
        let begin = |log: &mut Self| -> io::Result<()> {
            log.put(&MAGIC)?;
            log.put(&VERSION.to_le_bytes())?;
            log.record(KERNEL, &[&payload])?;
            for job in &jobs {
                log.record(JOB, &[job])?;
            }
            for program in &programs {
                log.record(PROGRAM, &[program])?;
            }
            Ok(())
        };
        begin(&mut log).map_err(unwritable)?;
        Ok(log)
    }

    /// The log's description of its kernel.
    pub fn kernel(&self) -> &LoggedKernel {
        &self.kernel
    }

    /// Appends a finished slot.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for a slot that does not belong to the kernel; nothing is written then.
    /// [`PipelineError::Backend`] if the output cannot be written; the log then ends with the slot before.
    pub fn slot(&mut self, slot: &LoggedSlot<'_>) -> Result<(), PipelineError> {
        if let Some(what) = self.kernel.refuses(slot) {
            let fix = "record slots of one kernel, with what they could see";
            return Err(PipelineError::InvalidArgument { what, fix });
        }
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let kept = encode_slot(slot, &mut payload)?;
        let written = self.record(SLOT, &[&payload, kept]);
        self.payload = payload;
        self.slots += u64::from(written.is_ok());
        written.map_err(unwritable)
    }

    /// Ends the log and flushes it.
    ///
    /// # Errors
    /// [`PipelineError::Backend`] if the output cannot be written.
    pub fn finish(mut self) -> Result<W, PipelineError> {
        let slots = self.slots.to_le_bytes();
        self.record(END, &[&slots])
            .and_then(|()| self.output.flush())
            .map_err(unwritable)?;
        Ok(self.output)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.crc = crc32c::crc32c_append(self.crc, bytes);
        self.output.write_all(bytes)
    }

    /// Writes one record. The limits on its parts bound their total size to about 200 MiB.
    fn record(&mut self, tag: [u8; 4], parts: &[&[u8]]) -> io::Result<()> {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        let len = u32::try_from(len).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.put(&tag)?;
        self.put(&len.to_le_bytes())?;
        for part in parts {
            self.put(part)?;
        }
        self.output.write_all(&self.crc.to_le_bytes())
    }
}

fn unwritable(error: io::Error) -> PipelineError {
    KernelError::WriteLog(Arc::new(error)).into()
}
