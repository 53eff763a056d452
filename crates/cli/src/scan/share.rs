//! `scan --all` and `scan --rules` beside other jobs.

use super::args::ScanArgs;
use super::ask::Job;
use super::refusal::Refusal;
use super::search::{self, Search};
use super::{loaded, rules, sweep};
use crate::collected::Collected;
use crate::destination::Destination;
use crate::end::{self, End};
use crate::messages;
use crate::mill::share::{complain, Limits, Share};
use crate::rows::{Rows, RowsArgs};
use gristmill::jobs::sweep::findings::{
    finding_schema, sarif_tail, Findings, FindingsReport, Format, SarifWriter,
};
use gristmill::jobs::sweep::{SweepJob, SweepJobBuilder};
use gristmill::mill::Task;
use gristmill::rules::RuleSet;
use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

impl ScanArgs {
    /// Where rows go; `None` if there are none.
    pub fn rows_to(&self) -> Option<&RowsArgs> {
        (!self.quiet).then_some(&self.rows_to)
    }

    /// The share of a run with other jobs.
    ///
    /// # Errors
    /// A message, which may have several lines, if there is nothing to search for, the flags contradict each other, or the
    /// output cannot be written.
    pub fn share(&self) -> Result<Box<dyn Share>, String> {
        let args = self.with_format()?;
        if !args.all && !args.rules.are_given() && !args.set.is_given() {
            return Err(
                "a mill reads files as they are, and lines would be of decoded text; give --all, --rules or --set, or run that scan \
                 separately"
                    .into(),
            );
        }
        if let Some(path) = args.named_paths().first() {
            return Err(format!(
                "{}: paths apply to all jobs; write it before the first +",
                path.display()
            ));
        }
        if args.given.take_stdin() {
            return Err(
                "-f -: patterns of a job come from a file of their own; store them in one".into(),
            );
        }
        args.share_of_format().map_err(|refusal| match refusal {
            Refusal::Line(text) => messages::escaped(&text),
            Refusal::Lines(text) => text,
        })
    }

    fn share_of_format(mut self) -> Result<Box<dyn Share>, Refusal> {
        let job = if self.set.is_given() {
            let (set, _) = loaded::load(&self)?;
            if let Some(rules) = set.rules().map(Arc::clone) {
                return self.share_of_rules(rules, SweepJob::builder().set(set));
            }
            if set.patterns().is_empty() {
                return Err(nothing());
            }
            self.all = true;
            let job = sweep::settings(&self, &[]).set(set).build();
            let job = job.map_err(|error| Refusal::Line(error.to_string()))?;
            Job::Sweep(Box::new(job))
        } else if self.rules.are_given() {
            let (rules, job) = rules::asked(&self)?;
            return self.share_of_rules(rules, job);
        } else {
            let mut patterns = self.patterns()?;
            if patterns.all.is_empty() {
                return Err(nothing());
            }
            let all = std::mem::take(&mut patterns.all);
            self.searched(all, &patterns, &[])?
        };
        let rows = self.open_rows(self.schema())?;
        let (args, started) = (self, Instant::now());
        Ok(match job {
            Job::Scan(job) => Box::new(SearchShare {
                job: Arc::new(*job),
                args,
                rows,
                started,
                limits: None,
            }),
            Job::Sweep(job) => Box::new(SearchShare {
                job: Arc::new(*job),
                limits: Some(search::LIMITS),
                args,
                rows,
                started,
            }),
        })
    }

    fn share_of_rules(
        &self,
        rules: Arc<RuleSet>,
        job: SweepJobBuilder,
    ) -> Result<Box<dyn Share>, Refusal> {
        if rules.rules().is_empty() {
            return Err(nothing());
        }
        let (findings, job) = rules::searched(self, rules, job)?;
        let rows = self.open_rows(finding_schema())?;
        let (report, format) = (self.findings_report(), self.findings_format());
        let destination = rows.destination();
        let output = match (format, report) {
            (Format::Sarif, FindingsReport::Each) => {
                Output::Sarif(SarifWriter::new(rows, findings.rules()))
            }
            _ => Output::Rows(rows),
        };
        Ok(Box::new(FindingsShare {
            job,
            findings,
            output,
            destination,
            collected: (format == Format::Sarif).then(Collected::default),
        }))
    }
}

fn nothing() -> Refusal {
    let why =
        "there are no patterns, so that nothing can be found; give some, or leave the job out";
    Refusal::Line(why.into())
}

/// A search for every match of patterns.
struct SearchShare<J> {
    job: Arc<J>,
    args: ScanArgs,
    rows: Rows,
    started: Instant,
    limits: Option<Limits>,
}

impl<J: Search + 'static> Share for SearchShare<J> {
    fn task(&mut self) -> Task<'_> {
        Task::new(Arc::clone(&self.job), &mut self.rows)
    }

    fn destination(&self) -> Destination {
        self.rows.destination()
    }

    fn finish(self: Box<Self>, name: &str, end: &mut End) -> Option<bool> {
        for failed in self.job.take_failures() {
            complain(name, &failed, end);
        }
        let mut last = Vec::new();
        if self.args.json {
            // Writing to memory does not fail.
            let totals = self.job.totals();
            let _ = totals.write_json(&mut last, self.started.elapsed());
        }
        self.rows.finish(&last, end);
        Some(self.job.found())
    }

    fn limits(&self) -> Option<Limits> {
        self.limits
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        vec![("search", self.job.engine_report())]
    }
}

/// Where findings go.
enum Output {
    Rows(Rows),
    Sarif(SarifWriter<Rows>),
}

/// A search by rules.
struct FindingsShare {
    job: Arc<SweepJob>,
    findings: Arc<Findings>,
    output: Output,
    destination: Destination,
    collected: Option<Collected>,
}

impl Share for FindingsShare {
    fn task(&mut self) -> Task<'_> {
        let output: &mut dyn Write = match &mut self.output {
            Output::Rows(rows) => rows,
            Output::Sarif(log) => log,
        };
        Task::new(Arc::clone(&self.job), output)
    }

    fn destination(&self) -> Destination {
        self.destination.clone()
    }

    fn collected(&self) -> Option<Collected> {
        self.collected.clone()
    }

    fn finish(self: Box<Self>, name: &str, end: &mut End) -> Option<bool> {
        let collected = self.collected.unwrap_or_default();
        let mut notices = rules::notices(&collected);
        for failed in rules::failures(&self.job, &self.findings) {
            complain(name, &failed.text, end);
            notices.push(failed);
        }
        let found = self.findings.found() > 0;
        let rows = match self.output {
            Output::Rows(rows) => rows,
            Output::Sarif(mut log) => {
                let successful = !end.failed && !end.interrupted;
                let tail = sarif_tail(successful, end.number(u8::from(!found)), &notices);
                end::write_last(&mut log, &self.destination, &tail, end);
                log.into_inner()
            }
        };
        rows.finish(b"", end);
        Some(found)
    }

    fn limits(&self) -> Option<Limits> {
        Some(Limits {
            no_device: None,
            no_log: "--record keeps no search by rules; leave it out",
        })
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let (found, files) = (self.findings.found(), self.findings.files());
        vec![
            ("search", self.job.engine_report()),
            ("findings", format!("{found} in {files} files")),
        ]
    }
}
