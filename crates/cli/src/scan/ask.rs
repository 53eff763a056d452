//! The search that the command line asks for: its job and its files.

use super::args::ScanArgs;
use super::loaded::Loaded;
use super::patterns::Patterns;
use super::refusal::Refusal;
use super::sweep;
use crate::objects::any_url;
use crate::progress::Estimate;
use gristmill::jobs::scan::ScanJob;
use gristmill::jobs::sweep::SweepJob;
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
    pub over: Asking,
}

/// What is searched, whatever for.
pub struct Asking {
    pub source: Box<dyn Source>,
    pub estimate: Option<Estimate>,
    /// Whether ripgrep would search with one thread.
    pub one_thread: bool,
    /// Whether the current directory is searched because no path was named.
    pub default_directory: bool,
    /// The set that was loaded, if one was.
    pub loaded: Option<Loaded>,
}

impl ScanArgs {
    /// The job that searches these paths for `all`, the patterns that were read as `patterns`.
    pub(super) fn searched(
        &self,
        all: Vec<Vec<u8>>,
        patterns: &Patterns,
        paths: &[PathBuf],
    ) -> Result<Job, Refusal> {
        match sweep::job(self, &all, paths) {
            Some(Ok(job)) => Ok(Job::Sweep(Box::new(job))),
            Some(Err(error)) => Err(Refusal::of_sweep(error, patterns)),
            None => match self.job(all, paths).build_or_place() {
                Ok(job) => Ok(Job::Scan(Box::new(job))),
                Err(error) => Err(Refusal::of_scan(error, patterns)),
            },
        }
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
        let over = Asking {
            source,
            estimate: estimate.filter(|_| countable),
            one_thread,
            default_directory,
            loaded: None,
        };
        Ok(Asked { job, over })
    }
}
