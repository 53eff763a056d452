//! Progress on a terminal, for runs that take more than a second.
//!
//! The mill counts bytes and files during the run. The total is not known, because files are not examined before they
//! are read; so when a display is shown, a thread of its own lists the same files during the run and adds up their
//! sizes. When it has finished, the display shows an estimate of the remaining time.

use super::report;
use gristmill::mill::Progress;
use gristmill::source::{Item, Source, Tree};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a run may take without a display.
const QUIET: Duration = Duration::from_secs(1);

const TICK: Duration = Duration::from_millis(100);

/// The files whose sizes a display may add up.
#[derive(Debug, Clone)]
pub struct Estimate {
    tree: Tree,
}

impl Estimate {
    /// The files of a tree.
    pub fn new(tree: Tree) -> Self {
        Self { tree }
    }

    /// The total size of all files, or `None` if stopped before the end.
    fn bytes(&self, stop: &AtomicBool) -> Option<u64> {
        let mut source = self.tree.walk().ok()?;
        let mut total = 0;
        while let Some(item) = source.next_item() {
            if stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Item::Entry(entry) = item {
                total += std::fs::metadata(&entry.path).map_or(0, |meta| meta.len());
            }
        }
        Some(total)
    }
}

/// A display, or none without a terminal.
#[derive(Clone)]
pub struct Shown {
    bar: Option<ProgressBar>,
    over: Arc<AtomicBool>,
    thread: Arc<OnceLock<JoinHandle<()>>>,
}

impl Shown {
    /// Starts to watch a run.
    pub fn start(progress: &Arc<Progress>, estimate: Option<Estimate>, wanted: bool) -> Self {
        let mut shown = Self {
            bar: None,
            over: Arc::default(),
            thread: Arc::default(),
        };
        if !wanted || !io::stderr().is_terminal() {
            return shown;
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        shown.bar = Some(bar.clone());
        let (progress, over) = (Arc::clone(progress), Arc::clone(&shown.over));
        let thread = std::thread::Builder::new()
            .name("gristmill-progress".into())
            .spawn(move || watch(&bar, &progress, estimate, &over));
        if let Ok(thread) = thread {
            let _first = shown.thread.set(thread);
        }
        shown
    }

    /// Does work that writes to the terminal, with the display removed.
    pub fn aside<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) => bar.suspend(work),
            None => work(),
        }
    }

    /// An output that removes the display during each write.
    pub fn writer<'a>(&self, inner: &'a mut dyn Write) -> impl Write + 'a {
        Aside {
            inner,
            shown: self.clone(),
        }
    }

    /// Removes the display.
    pub fn finish(&self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.get() {
            thread.thread().unpark();
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

struct Aside<'a> {
    inner: &'a mut dyn Write,
    shown: Shown,
}

impl Write for Aside<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { inner, shown } = self;
        shown.aside(|| inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

fn watch(
    bar: &ProgressBar,
    progress: &Progress,
    estimate: Option<Estimate>,
    over: &Arc<AtomicBool>,
) {
    let began = Instant::now();
    while began.elapsed() < QUIET {
        if over.load(Ordering::Relaxed) {
            return;
        }
        std::thread::park_timeout(QUIET.saturating_sub(began.elapsed()));
    }
    bar.set_draw_target(ProgressDrawTarget::stderr());
    let total: Arc<OnceLock<u64>> = Arc::default();
    if let Some(estimate) = estimate {
        let (total, over) = (Arc::clone(&total), Arc::clone(over));
        // If the thread cannot be started, the display shows no estimate.
        let _ = std::thread::Builder::new()
            .name("gristmill-estimate".into())
            .spawn(move || {
                if let Some(bytes) = estimate.bytes(&over) {
                    let _first = total.set(bytes);
                }
            });
    }
    let style = |template: &str| {
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    };
    bar.set_style(style("{spinner} {msg}"));
    let mut known = false;
    while !over.load(Ordering::Relaxed) {
        let bytes = progress.bytes.load(Ordering::Relaxed);
        let files = progress.files.load(Ordering::Relaxed);
        let rate = bytes as f64 / began.elapsed().as_secs_f64();
        if let (false, Some(total)) = (known, total.get()) {
            known = true;
            bar.set_length(*total);
            bar.set_style(style("{wide_bar} {percent}% {msg}, {eta} left"));
        }
        bar.set_message(format!(
            "{}, {}/s, {files} files",
            report::bytes(bytes as f64),
            report::bytes(rate)
        ));
        bar.set_position(bytes);
        bar.tick();
        std::thread::park_timeout(TICK);
    }
}
