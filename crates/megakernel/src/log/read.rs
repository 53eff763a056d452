//! Reading a ring log.

use super::records::{decode_job, decode_program, decode_slot, Fields};
use super::{
    LoggedKernel, LoggedSlot, END, JOB, KERNEL, MAGIC, MAX_CHUNK_BYTES, MAX_JOBS, MAX_NAME_BYTES,
    MAX_PATH_BYTES, MAX_PATTERN_BYTES, MAX_RECORD_WORDS, PROGRAM, SLOT, VERSION,
};
use crate::KernelError;
use gristmill_protocol::PipelineError;
use gristmill_vir0::container;
use std::io::Read;
use std::sync::Arc;

/// The size of a slot's record without its path, its record area and its kept bytes, rounded up.
const SLOT_HEAD_BYTES: u32 = 256;

/// The largest size of a slot's record, in bytes.
const MAX_SLOT_BYTES: u32 =
    SLOT_HEAD_BYTES + MAX_PATH_BYTES + 4 * MAX_RECORD_WORDS + MAX_CHUNK_BYTES;

/// Reads a ring log slot by slot. The input should be buffered.
///
/// A length in the log never determines an allocation: memory grows only with the bytes that are actually there, and
/// the size of a record is bounded by its kind.
#[derive(Debug)]
pub struct RingLogReader<R> {
    input: R,
    kernel: LoggedKernel,
    /// The number of bytes read so far, all of which belong to whole records.
    offset: u64,
    /// The CRC-32C of everything read so far, except checksums.
    crc: u32,
    slots: u64,
    over: bool,
    payload: Vec<u8>,
}

impl<R: Read> RingLogReader<R> {
    /// Reads the head of a log, which describes the kernel.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] if the input is not a ring log of this version, or if its head is damaged;
    /// [`PipelineError::Backend`] if reading fails.
    pub fn new(input: R) -> Result<Self, PipelineError> {
        let mut reader = Self {
            input,
            kernel: LoggedKernel {
                backend: String::new(),
                record_words: 0,
                chunk_bytes: 0,
                jobs: Vec::new(),
                programs: Vec::new(),
            },
            offset: 0,
            crc: 0,
            slots: 0,
            over: false,
            payload: Vec::new(),
        };
        reader.begin()?;
        let (jobs, programs) = reader.kernel()?;
        for _ in 0..jobs {
            let job = reader.expect(JOB, decode_job)?;
            reader.kernel.jobs.push(job);
        }
        for _ in 0..programs {
            let program = reader.expect(PROGRAM, decode_program)?;
            reader.kernel.programs.push(program);
        }
        Ok(reader)
    }

    /// The description of the kernel that ran the slots.
    pub fn about(&self) -> &LoggedKernel {
        &self.kernel
    }

    /// The number of slots read so far.
    pub fn slots(&self) -> u64 {
        self.slots
    }

    /// Reads the next slot. Returns `None` after the last slot, and after an error.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] if the log is cut or damaged, with the offset up to which it is whole;
    /// [`PipelineError::Backend`] if reading fails.
    pub fn next_slot(&mut self) -> Result<Option<LoggedSlot<'static>>, PipelineError> {
        if self.over {
            return Ok(None);
        }
        let result = self.slot_or_end();
        self.over = !matches!(result, Ok(Some(_)));
        result
    }

    fn slot_or_end(&mut self) -> Result<Option<LoggedSlot<'static>>, PipelineError> {
        let begin = self.offset;
        match self.record()? {
            SLOT => {}
            END => {
                let slots = u64::from_le_bytes(match self.payload.as_slice().try_into() {
                    Ok(bytes) => bytes,
                    Err(_) => return Err(damaged(begin)),
                });
                if slots != self.slots {
                    return Err(damaged(begin));
                }
                let behind = self.offset;
                return match self.fill(1)? {
                    0 => Ok(None),
                    _ => Err(decode(
                        "a ring log: bytes behind its end,",
                        behind,
                        "record again; everything before is whole",
                    )),
                };
            }
            _ => return Err(damaged(begin)),
        }
        let slot = decode_slot(&self.payload)
            .filter(|slot| self.kernel.refuses(slot).is_none())
            .ok_or(damaged(begin))?;
        self.slots += 1;
        Ok(Some(slot))
    }

    fn begin(&mut self) -> Result<(), PipelineError> {
        let (magic, version) = (MAGIC.len(), VERSION.to_le_bytes());
        let head = [MAGIC.as_slice(), &version].concat();
        let there = self.fill(head.len())?;
        if there < head.len() && head.starts_with(&self.payload) {
            return Err(cut(0));
        }
        if self.payload.get(..magic) != Some(&MAGIC) {
            return Err(decode(
                "a ring log: it does not begin as one,",
                0,
                "name a ring log",
            ));
        }
        if self.payload.get(magic..) != Some(&version) {
            let fix = "replay it with the version of gristmill that recorded it";
            let what = "a ring log: its version is not 2,";
            return Err(decode(what, magic as u64, fix));
        }
        self.crc = crc32c::crc32c(&self.payload);
        self.offset = there as u64;
        Ok(())
    }

    /// Reads the kernel's record. Returns how many jobs and programs follow.
    fn kernel(&mut self) -> Result<(u32, u32), PipelineError> {
        let begin = self.offset;
        let (kernel, jobs, programs) = self.expect(KERNEL, |payload| {
            let mut fields = Fields(payload);
            let [record_words, chunk_bytes, jobs, programs] = fields.words()?;
            let kernel = LoggedKernel {
                backend: std::str::from_utf8(fields.0).ok()?.to_owned(),
                record_words,
                chunk_bytes,
                jobs: Vec::new(),
                programs: Vec::new(),
            };
            Some((kernel, jobs, programs))
        })?;
        if kernel.check().is_err() || jobs > MAX_JOBS || programs > MAX_JOBS {
            return Err(damaged(begin));
        }
        self.kernel = kernel;
        Ok((jobs, programs))
    }

    fn expect<T>(
        &mut self,
        tag: [u8; 4],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, PipelineError> {
        let begin = self.offset;
        if self.record()? != tag {
            return Err(damaged(begin));
        }
        decode(&self.payload).ok_or(damaged(begin))
    }

    /// Reads the next record. Returns its tag and leaves its payload in `self.payload`.
    fn record(&mut self) -> Result<[u8; 4], PipelineError> {
        let begin = self.offset;
        if self.fill(8)? < 8 {
            return Err(cut(begin));
        }
        let mut fields = Fields(&self.payload);
        let (Some([a, b, c, d]), Some(len)) = (fields.take(4), fields.u32()) else {
            return Err(cut(begin));
        };
        let (tag, len) = ([*a, *b, *c, *d], len);
        let most = match tag {
            KERNEL => 16 + MAX_NAME_BYTES,
            JOB => 16 + MAX_PATTERN_BYTES,
            // A container has at most 1 MiB.
            PROGRAM => 4 + u32::try_from(container::MAX_BYTES).unwrap_or(u32::MAX),
            SLOT => MAX_SLOT_BYTES,
            END => 8,
            _ => return Err(damaged(begin)),
        };
        if len > most {
            return Err(damaged(begin));
        }
        let crc = crc32c::crc32c_append(self.crc, &self.payload);
        let whole = len as usize + 4;
        if self.fill(whole)? < whole {
            return Err(cut(begin));
        }
        let Some((payload, checksum)) = self.payload.split_last_chunk::<4>() else {
            return Err(cut(begin));
        };
        self.crc = crc32c::crc32c_append(crc, payload);
        if u32::from_le_bytes(*checksum) != self.crc {
            return Err(damaged(begin));
        }
        self.payload.truncate(len as usize);
        self.offset = begin + 8 + whole as u64;
        Ok(tag)
    }

    /// Reads up to `len` bytes into `self.payload`. Returns how many bytes there were.
    fn fill(&mut self, len: usize) -> Result<usize, PipelineError> {
        self.payload.clear();
        let input = &mut self.input;
        input
            .take(len as u64)
            .read_to_end(&mut self.payload)
            .map_err(|error| {
                let (offset, cause) = (self.offset, Arc::new(error));
                KernelError::ReadLog { offset, cause }.into()
            })
    }
}

fn decode(what: &'static str, offset: u64, fix: &'static str) -> PipelineError {
    PipelineError::Decode {
        what,
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
        fix,
    }
}

fn cut(offset: u64) -> PipelineError {
    decode(
        "a ring log: it was cut",
        offset,
        "everything before is whole; record again for the rest",
    )
}

fn damaged(offset: u64) -> PipelineError {
    decode(
        "a ring log: it is damaged",
        offset,
        "everything before is whole; record again for the rest",
    )
}
