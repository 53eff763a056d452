//! The search that the command line asks for: its job and its files.

use super::patterns::Patterns;
use super::refusal::Refusal;
use super::set::Loaded;
use super::{sweep, ScanArgs};
use crate::advice;
use crate::objects::any_url;
use crate::progress::Estimate;
use gristmill::jobs::scan::{PatternError, ScanBuildError, ScanJob};
use gristmill::jobs::sweep::{SweepBuildError, SweepJob};
use gristmill::source::Source;
use std::path::{Path, PathBuf};

/// What is searched for.
pub enum Job {
    /// Lines, or every occurrence of strings.
    Scan(Box<ScanJob>),
    /// Every match of patterns some of which are regexes.
    Sweep(Box<SweepJob>),
}

/// A scan as the command line asks for it.
pub struct Asked {
    pub job: Job,
    pub source: Box<dyn Source>,
    pub estimate: Option<Estimate>,
    /// Whether ripgrep would search with one thread.
    pub one_thread: bool,
    /// Whether the current directory is searched because no path was named.
    pub default_directory: bool,
    /// The set that was loaded, if one was.
    pub loaded: Option<Loaded>,
}

/// Why a job is refused.
enum Refused {
    Pattern(PatternError),
    Other(String),
}

impl ScanArgs {
    /// The job that searches these paths for `all`, the patterns that were read as `patterns`.
    pub(super) fn searched(
        &self,
        all: Vec<Vec<u8>>,
        patterns: &Patterns,
        paths: &[PathBuf],
    ) -> Result<Job, Refusal> {
        let job = match sweep::job(self, &all, paths) {
            Some(job) => job
                .map(|job| Job::Sweep(Box::new(job)))
                .map_err(|error| match error {
                    SweepBuildError::Pattern(error) => Refused::Pattern(error),
                    error @ SweepBuildError::Memory { .. } => {
                        Refused::Other(advice::set_memory(&error))
                    }
                    error => Refused::Other(error.to_string()),
                }),
            None => {
                let job = self.job(all, paths).build_or_place();
                job.map(|job| Job::Scan(Box::new(job)))
                    .map_err(|error| match error {
                        ScanBuildError::Pattern(error) => Refused::Pattern(error),
                        error @ ScanBuildError::Memory { .. } => {
                            Refused::Other(advice::set_memory(&error))
                        }
                        error => Refused::Other(error.to_string()),
                    })
            }
        };
        job.map_err(|refused| match refused {
            Refused::Pattern(error) => Refusal::Lines(advice::pattern(&error, patterns)),
            Refused::Other(error) => Refusal::Line(error),
        })
    }

    /// The scan that is asked for; `None` if it is known that nothing can be found.
    pub(super) fn asked(&self) -> Result<Option<Asked>, Refusal> {
        let mut patterns = self.patterns()?;
        let (paths, default_directory) = self.paths()?;
        let some = self.output.invert_match || !patterns.all.is_empty();
        if !some || self.max_count == Some(0) {
            return Ok(None);
        }
        let all = std::mem::take(&mut patterns.all);
        let job = self.searched(all, &patterns, &paths)?;
        self.ask(job, paths, default_directory).map(Some)
    }

    /// The search of these paths by a job.
    pub(super) fn ask(
        &self,
        job: Job,
        paths: Vec<PathBuf>,
        default_directory: bool,
    ) -> Result<Asked, Refusal> {
        let one_thread = self.one_thread(&paths);
        let countable = !self.decoding.decompresses()
            && !any_url(&paths)
            && !paths.iter().any(|path| path == Path::new("-"));
        let (source, estimate) = self.source(paths, default_directory)?;
        Ok(Asked {
            job,
            source,
            estimate: estimate.filter(|_| countable),
            one_thread,
            default_directory,
            loaded: None,
        })
    }
}
