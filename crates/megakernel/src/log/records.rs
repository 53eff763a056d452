//! The payloads of a log's records: encoders and decoders.

use super::{Digest, LoggedBytes, LoggedResult, LoggedSlot, IN_FILE, KEPT, MAX_PATTERN_BYTES};
use crate::{KernelError, ScanMode, ScanSet, StreamJob};
use gristmill_patterns::{Boundary, Case, LineSettings};
use gristmill_protocol::slot::{SlotImage, SLOT_BYTES};
use gristmill_protocol::{opcode, PipelineError};
use gristmill_vir0::{container, verify, Limits, Verified};
use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;

/// The second word of a SCAN's record: what its patterns are, and what for.
const STRINGS_IN_LINES: u32 = 0;
const STRINGS: u32 = 1;
const REGEXES: u32 = 2;

/// The most memory that a log may ask for to compile its regexes, and to run them, in bytes.
const MAX_REGEX_BYTES: u64 = 1 << 30;

/// Appends a word of flags and two limits, of two words each.
fn encode_settings(settings: &LineSettings, until_nul: bool, payload: &mut Vec<u8>) {
    let case = match settings.case {
        Case::Sensitive => 0,
        Case::Insensitive => 1,
        Case::Smart => 2,
    };
    let boundary = match settings.boundary {
        None => 0,
        Some(Boundary::Word) => 1,
        Some(Boundary::Line) => 2,
    };
    let flags: u32 = case
        | boundary << 2
        | u32::from(settings.fixed_strings) << 4
        | u32::from(settings.unicode) << 5
        | u32::from(settings.crlf) << 6
        | u32::from(settings.text) << 7
        | u32::from(until_nul) << 8;
    payload.extend(flags.to_le_bytes());
    for limit in [settings.size_limit, settings.dfa_size_limit] {
        payload.extend((limit as u64).min(MAX_REGEX_BYTES).to_le_bytes());
    }
}

fn decode_settings(fields: &mut Fields<'_>) -> Option<(LineSettings, bool)> {
    let flags = fields.u32()?;
    (flags >> 9 == 0).then_some(())?;
    let mut limit = || -> Option<usize> {
        let bytes = fields.u64()?;
        (bytes <= MAX_REGEX_BYTES).then_some(())?;
        usize::try_from(bytes).ok()
    };
    let settings = LineSettings {
        case: match flags & 3 {
            0 => Case::Sensitive,
            1 => Case::Insensitive,
            2 => Case::Smart,
            _ => return None,
        },
        boundary: match flags >> 2 & 3 {
            0 => None,
            1 => Some(Boundary::Word),
            2 => Some(Boundary::Line),
            _ => return None,
        },
        fixed_strings: flags >> 4 & 1 != 0,
        unicode: flags >> 5 & 1 != 0,
        crlf: flags >> 6 & 1 != 0,
        text: flags >> 7 & 1 != 0,
        size_limit: limit()?,
        dfa_size_limit: limit()?,
    };
    Some((settings, flags >> 8 & 1 != 0))
}

/// Encodes the payload of a job's record.
pub(super) fn encode_job(job: &StreamJob) -> Result<Vec<u8>, PipelineError> {
    let mut payload = job.opcode().to_le_bytes().to_vec();
    let StreamJob::Scan(set) = job else {
        return Ok(payload);
    };
    let patterns = set.patterns();
    let bytes: usize = patterns.iter().map(|pattern| 4 + pattern.len()).sum();
    if bytes > MAX_PATTERN_BYTES as usize {
        return Err(PipelineError::InvalidArgument {
            what: "a ring log of patterns of more than 256 MiB",
            fix: "record with fewer or shorter patterns",
        });
    }
    let kind = match (set.line_settings(), set.mode()) {
        (Some(_), _) => REGEXES,
        (None, ScanMode::Lines) => STRINGS_IN_LINES,
        (None, ScanMode::All) => STRINGS,
    };
    // A set has at most 1,000,000 patterns, and their lengths are below 256 MiB, as was just checked.
    let word = |number: usize| u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes();
    payload.extend(kind.to_le_bytes());
    match set.line_settings() {
        Some(settings) => encode_settings(settings, set.is_until_nul(), &mut payload),
        None => payload.extend(u32::from(set.case_insensitive()).to_le_bytes()),
    }
    payload.extend(word(patterns.len()));
    for pattern in patterns {
        payload.extend(word(pattern.len()));
        payload.extend(&**pattern);
    }
    Ok(payload)
}

/// Decodes the job in a record's payload.
pub(super) fn decode_job(payload: &[u8]) -> Option<StreamJob> {
    let mut fields = Fields(payload);
    let number = fields.u32()?;
    let job = match number {
        opcode::HISTOGRAM => StreamJob::Histogram,
        opcode::LINES => StreamJob::Lines,
        opcode::CRC32C => StreamJob::Crc32c,
        opcode::BLAKE3 => StreamJob::Blake3,
        opcode::SCAN => {
            let kind = fields.u32()?;
            let (settings, until_nul) = match kind {
                REGEXES => decode_settings(&mut fields)?,
                _ => <(LineSettings, bool)>::default(),
            };
            let case_insensitive = kind != REGEXES
                && match fields.u32()? {
                    0 => false,
                    1 => true,
                    _ => return None,
                };
            let count = fields.u32()? as usize;
            let mut patterns = Vec::new();
            for _ in 0..count {
                let len = fields.u32()? as usize;
                patterns.push(fields.take(len)?);
            }
            let strings = |mode| ScanSet::build(&patterns, case_insensitive, mode).ok();
            let set = match kind {
                STRINGS_IN_LINES => strings(ScanMode::Lines),
                STRINGS => strings(ScanMode::All),
                REGEXES => {
                    let patterns = patterns.iter().map(|pattern| pattern.to_vec()).collect();
                    let set = ScanSet::regex(patterns, &settings).ok();
                    set.map(|set| set.until_nul(until_nul))
                }
                _ => None,
            }?;
            StreamJob::Scan(Arc::new(set))
        }
        _ => return None,
    };
    fields.0.is_empty().then_some(job)
}

/// Encodes the payload of a program's record.
pub(super) fn encode_program(opcode: u32, program: &Verified) -> Result<Vec<u8>, PipelineError> {
    let container = container::encode(program.program())
        .map_err(|error| KernelError::RecordProgram(error.to_string()))?;
    Ok([opcode.to_le_bytes().as_slice(), &container].concat())
}

/// Decodes the program in a record's payload, and the opcode to which it was bound.
pub(super) fn decode_program(payload: &[u8]) -> Option<(u32, Verified)> {
    let mut fields = Fields(payload);
    let number = fields.u32()?;
    opcode::is_open_to(number, 0).then_some(())?;
    (opcode::tenant_of(number) == Some(0)).then_some(())?;
    let program = container::decode(fields.0).ok()?;
    Some((number, verify(program, &Limits::default()).ok()?))
}

/// Appends the payload of a slot's record to `payload`, except its last part, which is returned.
pub(super) fn encode_slot<'a>(
    slot: &'a LoggedSlot<'_>,
    payload: &mut Vec<u8>,
) -> Result<&'a [u8], PipelineError> {
    let mut words = [0; SLOT_BYTES];
    slot.words.encode_into(&mut words)?;
    payload.extend(words);
    let result = &slot.result;
    // An area has at most 2^24 words.
    let area = u32::try_from(result.area.len()).unwrap_or(u32::MAX);
    let head = [slot.index, slot.digest.len, slot.digest.crc];
    let ends = [result.status, result.fault];
    let tail = [result.records, result.flags, area];
    let words = head.iter().chain(&ends).chain(&result.results);
    for word in words.chain(&tail).chain(&*result.area) {
        payload.extend(word.to_le_bytes());
    }
    Ok(match &slot.bytes {
        LoggedBytes::File { path, offset, size } => {
            payload.extend(IN_FILE.to_le_bytes());
            payload.extend(offset.to_le_bytes());
            payload.extend(size.to_le_bytes());
            path.as_os_str().as_bytes()
        }
        LoggedBytes::Kept(bytes) => {
            payload.extend(KEPT.to_le_bytes());
            bytes
        }
    })
}

/// Decodes the slot in a record's payload.
pub(super) fn decode_slot(payload: &[u8]) -> Option<LoggedSlot<'static>> {
    let mut fields = Fields(payload);
    let words = SlotImage::decode_from(fields.take(SLOT_BYTES)?).ok()?;
    let [index, len, crc, status, fault] = fields.words()?;
    let results = fields.words()?;
    let [records, flags, area] = fields.words()?;
    let (area, _) = fields.take((area as usize).checked_mul(4)?)?.as_chunks();
    let area: Vec<u32> = area.iter().map(|word| u32::from_le_bytes(*word)).collect();
    let bytes = match fields.u32()? {
        IN_FILE => LoggedBytes::File {
            offset: fields.u64()?,
            size: fields.u64()?,
            path: Cow::Owned(PathBuf::from(OsStr::from_bytes(fields.0))),
        },
        KEPT => LoggedBytes::Kept(Cow::Owned(fields.0.to_vec())),
        _ => return None,
    };
    Some(LoggedSlot {
        words,
        index,
        bytes,
        digest: Digest { len, crc },
        result: LoggedResult {
            status,
            fault,
            results,
            records,
            flags,
            area: Cow::Owned(area),
        },
    })
}

/// The part of a payload that a decoder has not read yet.
pub(super) struct Fields<'a>(pub &'a [u8]);

impl<'a> Fields<'a> {
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u32(&mut self) -> Option<u32> {
        let (word, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*word))
    }

    pub fn u64(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    pub fn words<const N: usize>(&mut self) -> Option<[u32; N]> {
        let mut words = [0; N];
        for word in &mut words {
            *word = self.u32()?;
        }
        Some(words)
    }
}
