//! How a file ends: its last line, its note or count, and its totals.

use super::LinesFile;
use crate::jobs::scan::binary::{Binary, Fills};
use crate::jobs::scan::json;
use crate::jobs::scan::plan::Plan;
use crate::jobs::scan::report::Report;
use crate::jobs::scan::totals::ScanTotals;
use crate::jobs::FileEnd;
use std::os::unix::ffi::OsStrExt;

impl LinesFile {
    /// The file has ended.
    pub fn close(mut self, plan: &Plan, end: &FileEnd, rows: &mut Vec<u8>) {
        if let (Some(_), FileEnd::Complete { bytes }, false) = (&self.around, end, self.done) {
            self.close_around(plan, *bytes, rows);
            return self.carry.clear(self.keep(plan));
        }
        if !self.done {
            if let (Some(fills), FileEnd::Complete { bytes }) = (&mut self.fills, end) {
                fills.end_of_file(*bytes, self.last_newline);
            }
            if self.nul.is_none() {
                self.bound = u64::MAX;
            }
            self.release(plan, rows);
        }
        if let (false, FileEnd::Complete { bytes }) = (self.done, end) {
            if self.carry.is_open()
                && (plan.regex.is_some() || plan.wants(plan.every_line || self.carry.matched()))
            {
                self.carried(plan, b"", *bytes, false, rows);
            }
            if !self.done {
                let complete = self.limited.is_none().then_some(*bytes);
                self.finish(plan, rows, complete, self.limited);
            }
        } else if !self.done {
            // The file was left early or failed. Its rows stay, but it gets no count and no note, which would describe
            // only a part of the file.
            plan.found(self.lines > 0 && !plan.report.is_without());
        }
        self.leave_around(plan);
        self.carry.clear(self.keep(plan));
    }

    /// Writes the last rows of an answered file. `complete` is its length, if it was searched to its end; `stopped` is
    /// the line at which the search stopped.
    pub(super) fn finish(
        &mut self,
        plan: &Plan,
        rows: &mut Vec<u8>,
        complete: Option<u64>,
        stopped: Option<(u64, u64)>,
    ) {
        self.done = true;
        let quit = self.text.binary == Binary::Quit;
        let searched = self.searched(complete, stopped);
        let mut nul = self.nul;
        if let (Some((line, _)), Some(fills)) = (stopped, &self.fills) {
            // Where lines are held until no NUL can undo them, the certain lines end before a NUL is seen.
            let seen = if self.gated {
                line >= self.bound
            } else {
                nul.is_some_and(|at| at < fills.fill_of(line).1)
            };
            nul = nul.filter(|_| seen);
        }
        let origin = self.text.origin;
        let shown_nul = nul.map(|at| at - origin);
        let before = rows.len();
        let squashed = quit && nul.is_some();
        let path = self.entry.path.as_os_str().as_bytes();
        match plan.report {
            Report::Lines | Report::Matches if plan.style.json => {}
            Report::Lines | Report::Matches => {
                if let (Some(at), true) = (shown_nul, self.lines > 0) {
                    plan.style.binary_note(rows, &mut self.out, quit, at);
                }
            }
            _ => {}
        }
        self.printed += (rows.len() - before) as u64;
        self.uncounted += std::mem::take(&mut self.out.uncounted);
        let totals = ScanTotals {
            matches: self.matches,
            matched_lines: self.lines,
            searches_with_match: u64::from(self.lines > 0),
            searches: 1,
            bytes_printed: self.printed - self.uncounted,
            bytes_searched: searched - origin,
            elapsed: self.started.map(|at| at.elapsed()).unwrap_or_default(),
        };
        plan.add(&totals);
        if plan.style.json && !plan.style.table && self.printed > 0 {
            json::end(rows, path, shown_nul, &totals);
        }
        if plan.report.is_summary() {
            plan.summary(rows, path, self.lines, self.matches, squashed);
        } else {
            plan.found(self.lines > 0);
        }
    }

    /// Bytes that ripgrep would say it searched.
    fn searched(&self, complete: Option<u64>, stopped: Option<(u64, u64)>) -> u64 {
        let origin = self.text.origin;
        if self.text.mapped {
            let position = stopped.map_or(complete.unwrap_or(origin), |line| line.1);
            return self.nul.map_or(position, |at| at.min(position));
        }
        match stopped {
            Some((_, end)) => end,
            None if self.text.binary == Binary::Quit && self.nul.is_some() => {
                self.fills.as_ref().map_or(origin, Fills::buffer)
            }
            None => complete.unwrap_or(origin).max(origin),
        }
    }
}
