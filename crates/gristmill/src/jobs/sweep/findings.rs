//! What comes after a match of a rule: whether it is a finding, and its row.
//!
//! Whoever searches calls, for each file, [`FindingsFile::matched`] for every match of every rule, in the order of
//! starts and, of those with the same start, of rules; and [`FindingsFile::keyword`] when a [keyword](Findings::keywords)
//! stands in the file. The rules' judge then says what is a finding, and a row is made of it.
//!
//! Findings of a rule one of whose keywords must stand elsewhere in the file are held until it was seen, and those behind
//! them wait, so that rows do not depend on how the file is cut. No more than [`HELD_BYTES`] are held for each file.
//!
//! A secret is shown only where that is asked for. Else rows have a part of it ([`redacted`]) and its SHA-256, by which
//! findings can be compared.

mod finding;
mod held;
mod json;
mod sarif;
mod style;
mod table;
mod text;

#[cfg(test)]
mod tests;

pub use finding::{redacted, Match};
pub use held::HELD_BYTES;
pub use sarif::{tail as sarif_tail, Notice, SarifWriter};
pub use table::finding_schema;

use crate::jobs::Flow;
use crate::setters::setters;
use finding::{without_dot, Found, Shown};
use gristmill_ring::lock;
use gristmill_rules::{Matched, PathRules, RuleSet};
use held::Held;
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use style::Style;

/// The most errors that are kept for [`Findings::take_errors`].
const MAX_ERRORS: usize = 1000;

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `PATH:LINE:COLUMN: RULE: SECRET`, a line for each.
    #[default]
    Text,
    /// JSON Lines: records of type `finding`. `docs/rules.md` lists their fields.
    Json,
    /// The results of a SARIF log. [`SarifWriter`] writes what stands around them.
    Sarif,
    /// Rows of a table, as [`RowWriter`](gristmill_rows::RowWriter) writes them: its columns are [`finding_schema`]'s.
    Table,
}

/// What is written of findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FindingsReport {
    /// Each of them.
    #[default]
    Each,
    /// The number of them for each file that has any.
    Count,
    /// The paths of files that have any.
    Paths,
    /// Nothing: the first ends the run.
    Quiet,
}

/// Findings of a file that are not shown, although they are findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unshown {
    /// The file.
    pub path: PathBuf,
    /// The rule's id.
    pub rule: String,
    /// Their number.
    pub findings: u64,
    /// Where the first of them is, in bytes from the start of the file.
    pub offset: u64,
}

impl std::fmt::Display for Unshown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: offset {}: {} findings of the rule {} are not shown: they stand before the file's first keyword of the \
             rule, and more than {HELD_BYTES} bytes of rows were waiting for it; take the keywords out of the rule",
            self.path.display(),
            self.offset,
            self.findings,
            self.rule,
        )
    }
}

/// What a pattern that is searched for stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sought {
    /// The rule with this number.
    Rule(u32),
    /// The keyword with this number.
    Keyword(u32),
}

/// Rules, and how their findings are written. Files that are searched at the same time share it.
#[derive(Debug)]
pub struct Findings {
    rules: Arc<RuleSet>,
    format: Format,
    report: FindingsReport,
    style: Style,
    keywords: Vec<String>,
    /// For each rule with keywords of the file, their places in `keywords`.
    keywords_of: HashMap<u32, Vec<u32>>,
    /// For each rule, its place in the list of rules of a SARIF log, which has each id once.
    sarif_rules: Vec<u32>,
    found: AtomicU64,
    files: AtomicU64,
    errors: Mutex<Vec<Unshown>>,
}

impl Findings {
    /// Findings of these rules, as lines of text without secrets.
    #[must_use]
    pub fn new(rules: Arc<RuleSet>) -> Self {
        let mut keywords = Vec::new();
        let mut keywords_of = HashMap::new();
        let mut places: HashMap<&str, u32> = HashMap::new();
        for (number, rule) in (0..).zip(rules.rules()) {
            let words = rule.keywords_of_file().iter().map(|word| {
                *places.entry(word).or_insert_with(|| {
                    keywords.push(word.clone());
                    u32::try_from(keywords.len() - 1).unwrap_or(u32::MAX)
                })
            });
            let words: Vec<u32> = words.collect();
            if !words.is_empty() {
                keywords_of.insert(number, words);
            }
        }
        Self {
            format: Format::default(),
            report: FindingsReport::default(),
            style: Style::default(),
            keywords,
            keywords_of,
            sarif_rules: Vec::new(),
            found: AtomicU64::new(0),
            files: AtomicU64::new(0),
            errors: Mutex::default(),
            rules,
        }
    }

    /// Writes findings in this format.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.format = format;
        self.sarif_rules = match format {
            Format::Sarif => sarif::rule_indices(&self.rules),
            Format::Text | Format::Json | Format::Table => Vec::new(),
        };
        self
    }

    setters! {
        /// Writes this of findings. Counts and paths are text, whatever the format.
        report(report: FindingsReport) { report = report }

        /// Whether secrets are shown whole.
        show_secrets(yes: bool) { style.show_secrets = yes }

        /// Whether text has colours.
        color(yes: bool) { style.color = yes }

        /// Whether paths in text end with a NUL, and are written as they are. Otherwise control characters in them are
        /// escaped.
        null(yes: bool) { style.null = yes }
    }

    /// The rules.
    #[must_use]
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    pub(super) fn shared_rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.rules)
    }

    /// The words of which a searcher tells [`FindingsFile::keyword`], in lower case. A word is to be found in either
    /// case.
    #[must_use]
    pub fn keywords(&self) -> &[String] {
        &self.keywords
    }

    /// The regexes to search for, each with what it stands for.
    pub(super) fn patterns(&self) -> impl Iterator<Item = (Sought, Cow<'_, str>)> {
        let rules = (0..).zip(self.rules.rules());
        let rules = rules.filter_map(|(number, rule)| {
            Some((Sought::Rule(number), Cow::Borrowed(rule.pattern()?)))
        });
        let keywords = (0..).zip(&self.keywords);
        let keywords = keywords
            .map(|(number, word)| (Sought::Keyword(number), Cow::Owned(in_either_case(word))));
        rules.chain(keywords)
    }

    /// Whether the first finding ends the run.
    pub(super) fn is_quiet(&self) -> bool {
        self.report == FindingsReport::Quiet
    }

    /// The number of findings so far.
    #[must_use]
    pub fn found(&self) -> u64 {
        self.found.load(Ordering::Relaxed)
    }

    /// The number of files so far that have findings.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// What was found and is not shown. No more than a thousand are kept.
    #[must_use]
    pub fn take_errors(&self) -> Vec<Unshown> {
        let mut errors = lock(&self.errors);
        std::mem::take(&mut *errors)
    }

    fn error(&self, error: Unshown) {
        let mut errors = lock(&self.errors);
        if errors.len() < MAX_ERRORS {
            errors.push(error);
        }
    }

    /// Appends the row of a finding of a rule.
    fn row(&self, rule: u32, shown: &Shown<'_>, rows: &mut Vec<u8>) {
        if self.report != FindingsReport::Each {
            return;
        }
        match self.format {
            Format::Text => text::finding(&self.style, shown, rows),
            Format::Json => json::finding(&self.style, shown, rows),
            Format::Table => table::finding(&self.style, shown, rows),
            Format::Sarif => {
                sarif::result(&self.style, self.sarif_rules[rule as usize], shown, rows)
            }
        }
    }
}

/// The findings of one file while it is searched.
#[derive(Debug)]
pub struct FindingsFile {
    path: PathBuf,
    at_path: PathRules,
    /// Which keywords were seen, a bit for each.
    seen: Vec<u64>,
    held: Held,
    /// The number of findings that were written.
    count: u64,
    /// Whether the findings by the path alone were written.
    begun: bool,
}

impl FindingsFile {
    /// A file begins, whose path is shown as `path`. Rules see it without the `./` that it may begin with.
    #[must_use]
    pub fn new(findings: &Findings, path: &Path) -> Self {
        use std::os::unix::ffi::OsStrExt;
        Self {
            path: path.to_owned(),
            at_path: findings
                .rules
                .at_path(without_dot(path.as_os_str().as_bytes())),
            seen: Vec::new(),
            held: Held::default(),
            count: 0,
            begun: false,
        }
    }

    /// What is needed of the file: nothing more where no rule applies to its path, or where it is answered.
    #[must_use]
    pub fn flow(&self, findings: &Findings) -> Flow {
        let path_finds = !self.begun && !self.at_path.found().is_empty();
        match findings.report {
            FindingsReport::Quiet if self.count > 0 || path_finds => Flow::Stop,
            FindingsReport::Paths if self.count > 0 || path_finds => Flow::SkipFile,
            _ if self.at_path.allows_all() => Flow::SkipFile,
            _ => Flow::Continue,
        }
    }

    /// The keyword with number `index` of [`Findings::keywords`] stands in the file.
    pub fn keyword(&mut self, index: u32) {
        let word = index as usize / 64;
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let bit = 1 << (index % 64);
        self.held.ripe |= self.seen[word] & bit == 0;
        self.seen[word] |= bit;
    }

    /// Takes the next match, and appends rows.
    ///
    /// # Panics
    /// If no rule has the match's number, or its range is not within its lines.
    pub fn matched(&mut self, findings: &Findings, matched: &Match<'_>, rows: &mut Vec<u8>) {
        self.begin(findings, rows);
        let judged = findings.rules.judge(
            &self.at_path,
            &Matched {
                rule: matched.rule,
                text: matched.text(),
                line: matched.lines,
            },
        );
        let Some(finding) = judged else { return };
        self.ripen(findings, rows);
        let waits = finding.needs_keyword && !sees_keyword(&self.seen, findings, matched.rule);
        let found = Found::new(matched, &finding);
        let shown = self.shown(findings, matched.rule, Some(found));
        if !waits && self.held.is_empty() {
            findings.row(matched.rule, &shown, rows);
            self.count += 1;
            return;
        }
        let mut row = Vec::new();
        findings.row(matched.rule, &shown, &mut row);
        let waiting = waits.then_some((matched.rule, shown.offset()));
        self.count += self.held.push(row, waiting, rows);
    }

    /// The file has ended: appends its last rows. `complete` says whether it was read to its end.
    pub fn close(mut self, findings: &Findings, complete: bool, rows: &mut Vec<u8>) {
        self.begin(findings, rows);
        self.held.ripe = true;
        self.ripen(findings, rows);
        self.count += self.held.finish(rows);
        for (rule, lost) in self.held.lost() {
            if sees_keyword(&self.seen, findings, rule) {
                findings.error(Unshown {
                    path: self.path.clone(),
                    rule: findings.rules.rules()[rule as usize].id().to_owned(),
                    findings: lost.number,
                    offset: lost.first,
                });
            }
        }
        if self.count == 0 {
            return;
        }
        findings.found.fetch_add(self.count, Ordering::Relaxed);
        findings.files.fetch_add(1, Ordering::Relaxed);
        match findings.report {
            FindingsReport::Count if complete => {
                text::count(&findings.style, &self.path, self.count, rows)
            }
            FindingsReport::Paths => text::path(&findings.style, &self.path, rows),
            _ => {}
        }
    }

    /// The findings by the path alone come first.
    fn begin(&mut self, findings: &Findings, rows: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for &rule in self.at_path.found() {
            findings.row(rule, &self.shown(findings, rule, None), rows);
        }
        self.count += self.at_path.found().len() as u64;
    }

    /// Appends what waited for a keyword that was seen by now.
    fn ripen(&mut self, findings: &Findings, rows: &mut Vec<u8>) {
        let seen = &self.seen;
        self.count += self
            .held
            .ripen(|rule| sees_keyword(seen, findings, rule), rows);
    }

    fn shown<'a>(
        &'a self,
        findings: &'a Findings,
        rule: u32,
        found: Option<Found<'a>>,
    ) -> Shown<'a> {
        Shown {
            path: &self.path,
            rule: &findings.rules.rules()[rule as usize],
            found,
        }
    }
}

/// A regex for a word in either case. Of the letters that are not ASCII the Kelvin sign alone is taken for one that is, as
/// gitleaks takes it.
fn in_either_case(word: &str) -> String {
    let mut regex = String::new();
    for letter in word.chars() {
        match letter {
            'k' => regex.push_str("[kK\\x{212A}]"),
            'a'..='z' => regex.extend(['[', letter, letter.to_ascii_uppercase(), ']']),
            letter if letter.is_ascii() => regex += &format!("\\x{:02X}", letter as u32),
            letter => regex += &format!("(?i:\\x{{{:X}}})", letter as u32),
        }
    }
    regex
}

/// Whether a keyword of the rule was seen.
fn sees_keyword(seen: &[u64], findings: &Findings, rule: u32) -> bool {
    let words = findings.keywords_of.get(&rule);
    words.into_iter().flatten().any(|&word| {
        let bits = seen.get(word as usize / 64);
        bits.is_some_and(|bits| bits & (1 << (word % 64)) != 0)
    })
}
