//! A model of the device, by which files are fed to a job.

use super::super::ScanJob;
use super::close;
use crate::jobs::{Flow, Job, LandedChunk, Records};
use crate::source::{Entry, FileFacts};
use gristmill_protocol::stream::{self, NONE};
use std::sync::Arc;

/// A part of a chunk's results: result words and records.
type Part = ([u32; 8], Vec<(u32, u32)>);

/// A model of the device that searches a chunk by brute force.
pub struct Device<'a> {
    pub patterns: &'a [Vec<u8>],
    pub insensitive: bool,
    pub records: usize,
}

impl Device<'_> {
    pub fn occurrences(&self, bytes: &[u8]) -> Vec<(usize, usize, u32)> {
        let mut all = Vec::new();
        for (index, pattern) in self.patterns.iter().enumerate() {
            if pattern.len() > bytes.len() {
                continue;
            }
            for start in 0..=bytes.len() - pattern.len() {
                let found = &bytes[start..start + pattern.len()];
                let same = if self.insensitive {
                    found.eq_ignore_ascii_case(pattern)
                } else {
                    found == pattern
                };
                if same {
                    all.push((start, start + pattern.len(), index as u32));
                }
            }
        }
        all.sort_by_key(|&(_, end, pattern)| (end, pattern));
        all
    }

    /// The contract of SCAN, part by part.
    fn scan(&self, bytes: &[u8], mode: u32) -> Vec<Part> {
        let word = |position: Option<usize>| position.map_or(NONE, |at| at as u32);
        let occurrences = self.occurrences(bytes);
        let first = memchr::memchr(b'\n', bytes);
        let last = memchr::memrchr(b'\n', bytes);
        let head_end = first.unwrap_or(bytes.len());
        let tail_start = last.map_or(0, |at| at + 1);
        let head = occurrences.iter().any(|&(_, end, _)| end <= head_end);
        let tail = occurrences.iter().any(|&(start, ..)| start >= tail_start);
        let mut words = [0, 0, word(first), word(last), 0, NONE, 0, NONE];
        words[4] = u32::from(head) | u32::from(tail) << 1;
        if mode & stream::WANT_NEWLINES != 0 {
            words[1] = memchr::memchr_iter(b'\n', bytes).count() as u32;
        }
        if mode & stream::WANT_NUL != 0 {
            words[5] = word(memchr::memchr(0, bytes));
        }
        words[7] = word(occurrences.iter().map(|&(start, ..)| start).min());
        let mut lines = Vec::new();
        let mut start = head_end + 1;
        while start < tail_start {
            let end = start + memchr::memchr(b'\n', &bytes[start..]).unwrap() + 1;
            if occurrences.iter().any(|&(s, e, _)| s >= start && e < end) {
                lines.push((start as u32, end as u32));
            }
            start = end;
        }
        let records = match mode & 0xff {
            stream::MODE_ANY => {
                words[0] = u32::from(!occurrences.is_empty());
                Vec::new()
            }
            stream::MODE_COUNT_LINES => {
                words[0] = lines.len() as u32;
                Vec::new()
            }
            stream::MODE_LINES => lines,
            _ => occurrences
                .iter()
                .map(|&(start, _, pattern)| (start as u32, pattern))
                .collect(),
        };
        if records.is_empty() {
            return vec![(words, records)];
        }
        records
            .chunks(self.records)
            .map(|part| {
                words[0] = part.len() as u32;
                (words, part.to_vec())
            })
            .collect()
    }
}

/// Feeds a file to a job in chunks of sizes that `next_size` gives.
pub fn feed(
    job: &ScanJob,
    entry: Entry,
    bytes: &[u8],
    records: usize,
    mut next_size: impl FnMut() -> usize,
) -> Vec<u8> {
    let entry = Arc::new(entry);
    let newline = [b"\n".to_vec()];
    let device = Device {
        patterns: if job.plan.every_line {
            &newline
        } else {
            &job.plan.patterns
        },
        insensitive: job.plan.case_insensitive,
        records,
    };
    let mut file = job.open(&entry, &FileFacts::default());
    let mut rows = Vec::new();
    let mut offset = 0;
    let mut skipped = false;
    while offset < bytes.len() && !skipped {
        let end = bytes.len().min(offset + next_size());
        let chunk = &bytes[offset..end];
        let parts = device.scan(chunk, job.mode(&entry, offset as u64));
        for (index, (results, list)) in parts.iter().enumerate() {
            let landed = LandedChunk {
                offset: offset as u64,
                bytes: chunk,
                results: *results,
                records: Records::List(list),
                first_part: index == 0,
                stream: false,
                decoded: false,
                last_part: index + 1 == parts.len(),
            };
            skipped = job.chunk(&mut file, &landed, &mut rows) != Flow::Continue;
            if skipped {
                break;
            }
        }
        offset = end;
    }
    close(job, file, offset, skipped, &mut rows);
    rows
}
