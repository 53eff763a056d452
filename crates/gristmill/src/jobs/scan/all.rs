//! Every occurrence of every pattern, including overlapping ones, in the unconverted bytes of a file.
//!
//! The device finds those that lie within a chunk, ordered by end and pattern. Those that straddle a boundary are found
//! here, in the bytes around it, and merged in.

use super::plan::Plan;
use super::report::Report;
use super::totals::ScanTotals;
use crate::jobs::sweep::Occurrence;
use crate::jobs::{FileEnd, LandedChunk};
use crate::source::Entry;
use gristmill_protocol::stream::ScanResults;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Instant;

/// An occurrence by its end in the file and its pattern: the order of rows.
type Place = (u64, u32);

pub(super) struct AllFile {
    entry: Arc<Entry>,
    /// The last bytes before the current chunk, as far back as an occurrence can reach.
    tail: Vec<u8>,
    /// Occurrences that straddle the boundary before the current chunk, last first.
    straddling: Vec<Place>,
    count: u64,
    printed: u64,
    found: bool,
    started: Option<Instant>,
}

impl AllFile {
    pub fn new(plan: &Plan, entry: &Arc<Entry>) -> Self {
        Self {
            entry: Arc::clone(entry),
            tail: Vec::new(),
            straddling: Vec::new(),
            count: 0,
            printed: 0,
            found: false,
            started: plan.timed().then(Instant::now),
        }
    }

    /// Takes the next part of the next chunk. Returns whether the file is answered.
    pub fn chunk(&mut self, plan: &Plan, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> bool {
        if plan.decides_only() {
            self.found |=
                ScanResults::decode(&chunk.results).matches > 0 || self.straddles(plan, chunk);
            if self.found {
                return true;
            }
        } else {
            if chunk.first_part {
                self.find_straddling(plan, chunk);
            }
            self.part(plan, chunk, rows);
        }
        if chunk.last_part {
            self.keep_tail(plan.reach, chunk.bytes);
        }
        false
    }

    fn window(&self, plan: &Plan, bytes: &[u8]) -> Vec<u8> {
        let mut window = self.tail.clone();
        window.extend_from_slice(&bytes[..bytes.len().min(plan.reach)]);
        window
    }

    fn straddles(&self, plan: &Plan, chunk: &LandedChunk<'_>) -> bool {
        !self.tail.is_empty() && plan.matcher().is_match(&self.window(plan, chunk.bytes))
    }

    fn find_straddling(&mut self, plan: &Plan, chunk: &LandedChunk<'_>) {
        let boundary = self.tail.len();
        if boundary == 0 {
            return;
        }
        let window = self.window(plan, chunk.bytes);
        let mut found: Vec<Place> = Vec::new();
        plan.overlapping(&window, |start, end, pattern| {
            if start < boundary && end > boundary {
                found.push((chunk.offset + (end - boundary) as u64, pattern));
            }
        });
        found.sort_unstable();
        found.reverse();
        self.straddling = found;
    }

    fn part(&mut self, plan: &Plan, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) {
        let before = rows.len();
        if plan.report != Report::Lines {
            self.count += u64::from(ScanResults::decode(&chunk.results).matches);
            self.count += self.straddling.len() as u64;
            self.straddling.clear();
            return;
        }
        for index in 0..chunk.records.len() {
            let (start, pattern) = chunk.records.get(index);
            let end = chunk.offset + u64::from(start) + plan.length(pattern);
            while let Some(place) = self.straddling.pop_if(|place| *place <= (end, pattern)) {
                self.row(plan, place, before, rows);
            }
            self.row(plan, (end, pattern), before, rows);
        }
        if chunk.last_part {
            while let Some(place) = self.straddling.pop() {
                self.row(plan, place, before, rows);
            }
        }
        self.printed += (rows.len() - before) as u64;
    }

    /// Appends a row. `piece` is where the rows of this part begin.
    fn row(&mut self, plan: &Plan, (end, pattern): Place, piece: usize, rows: &mut Vec<u8>) {
        self.count += 1;
        let length = plan.length(pattern);
        let occurrence = Occurrence {
            path: self.entry.path.as_os_str().as_bytes(),
            offset: end - length,
            length,
            index: pattern,
            name: plan.pattern(pattern),
            around: None,
        };
        plan.style
            .occurrences()
            .occurrence(rows, piece, &occurrence);
    }

    fn keep_tail(&mut self, reach: usize, bytes: &[u8]) {
        if bytes.len() >= reach {
            self.tail.clear();
            self.tail.extend_from_slice(&bytes[bytes.len() - reach..]);
        } else {
            let spare = (self.tail.len() + bytes.len()).saturating_sub(reach);
            self.tail.drain(..spare);
            self.tail.extend_from_slice(bytes);
        }
    }

    /// Ends the file: writes its count or path, if that is what the report shows.
    pub fn close(self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        let path = self.entry.path.as_os_str().as_bytes();
        let found = self.found || self.count > 0;
        let bytes = match end {
            FileEnd::Complete { bytes } | FileEnd::Skipped { bytes } => *bytes,
            FileEnd::Failed { offset, .. } => *offset,
        };
        let complete = matches!(end, FileEnd::Complete { .. });
        if found && complete && plan.report == Report::Count {
            plan.style.count(rows, path, self.count);
        }
        if found && plan.report == Report::Paths {
            plan.style.path_line(rows, path);
        }
        plan.found(found);
        plan.add(&ScanTotals {
            matches: self.count,
            matched_lines: 0,
            searches_with_match: u64::from(found),
            searches: 1,
            bytes_printed: self.printed,
            bytes_searched: bytes,
            elapsed: self.started.map(|at| at.elapsed()).unwrap_or_default(),
        });
    }
}
