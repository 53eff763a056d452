//! One file that is searched for what rules find: its matches with the lines around them, judged.

use super::around::{Around, Placed};
use super::findings::{Findings, FindingsFile, Match as FoundMatch, Sought};
use super::order::Match;
use crate::jobs::Flow;
use std::path::Path;
use std::sync::Arc;

/// What is searched for because of rules.
#[derive(Debug)]
pub(super) struct Rules {
    pub findings: Arc<Findings>,
    /// What each pattern stands for, by its number.
    pub sought: Vec<Sought>,
}

/// A file while it is searched.
#[derive(Debug)]
pub(super) struct Judged {
    file: FindingsFile,
    around: Around,
}

impl Judged {
    pub fn new(rules: &Rules, path: &Path) -> Self {
        Self {
            file: FindingsFile::new(&rules.findings, path),
            around: Around::default(),
        }
    }

    /// Takes the next match in the order of rows.
    pub fn push(&mut self, rules: &Rules, hit: Match) {
        match rules.sought.get(hit.pattern as usize) {
            Some(Sought::Keyword(keyword)) => self.file.keyword(*keyword),
            Some(Sought::Rule(rule)) => self.around.push(Match {
                pattern: *rule,
                ..hit
            }),
            None => {}
        }
    }

    /// Takes the bytes that follow, behind the matches that they make known. Later matches begin at `needed` or behind it.
    /// Returns whether the file is answered.
    pub fn chunk(&mut self, rules: &Rules, bytes: &[u8], needed: u64, rows: &mut Vec<u8>) -> bool {
        let file = &mut self.file;
        self.around.chunk(bytes, needed, |placed| {
            judge(file, rules, &placed, rows);
        });
        self.file.flow(&rules.findings) != Flow::Continue
    }

    /// The file has ended; `complete` says whether it was read to its end.
    pub fn close(mut self, rules: &Rules, complete: bool, rows: &mut Vec<u8>) {
        let file = &mut self.file;
        self.around.end(|placed| judge(file, rules, &placed, rows));
        self.file.close(&rules.findings, complete, rows);
    }
}

fn judge(file: &mut FindingsFile, rules: &Rules, placed: &Placed<'_>, rows: &mut Vec<u8>) {
    let matched = FoundMatch {
        rule: placed.hit.pattern,
        offset: placed.hit.start,
        lines: &placed.lines,
        range: placed.range.clone(),
        line: placed.line,
        column: placed.column,
    };
    file.matched(&rules.findings, &matched, rows);
}
