//! User code that panics, on a worker and on the host.

use gristmill::jobs::{FileEnd, Flow, Job, LandedChunk};
use gristmill::megakernel::stream::{StreamOpcode, StreamSlot};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, FileError, Mill, RunReport};
use gristmill::ring::{Outcome, RecordWriter};
use gristmill::source::{Entry, FileFacts, Item, Source, Tree};
use gristmill_testing::Patience;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::world::Scratch;

/// The first opcode that users may choose.
const OPCODE: u32 = 0x1_0000;

/// A word that no good chunk holds.
const POISON: &[u8] = b"poison";

fn is_poisoned(bytes: &[u8]) -> bool {
    memchr::memmem::find(bytes, POISON).is_some()
}

/// Sums bytes, and panics at a poisoned chunk if told so.
struct Sum {
    panics: bool,
}

impl StreamOpcode for Sum {
    fn run(
        &self,
        bytes: &[u8],
        _slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert!(!(self.panics && is_poisoned(bytes)), "a poisoned chunk");
        let sum = bytes
            .iter()
            .fold(0, |sum: u32, &byte| sum.wrapping_add(byte.into()));
        Ok(Outcome::value(sum))
    }
}

/// The call in which the host's half panics.
#[derive(Clone, Copy, PartialEq)]
enum Host {
    Never,
    Open,
    Chunk,
    Close,
}

struct SumJob {
    opcode: Arc<Sum>,
    host: Host,
}

impl Job for SumJob {
    type File = (PathBuf, u32);

    fn stream_job(&self) -> Option<StreamJob> {
        let opcode = Arc::clone(&self.opcode) as Arc<dyn StreamOpcode>;
        Some(StreamJob::Custom(OPCODE, opcode))
    }

    fn opcode(&self) -> u32 {
        OPCODE
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Self::File {
        let poisoned = entry.path.ends_with("poisoned");
        assert!(!(self.host == Host::Open && poisoned), "a poisoned file");
        (entry.path.clone(), 0)
    }

    fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, _: &mut Vec<u8>) -> Flow {
        let poisoned = self.host == Host::Chunk && is_poisoned(chunk.bytes);
        assert!(!poisoned, "a poisoned chunk");
        file.1 = file.1.wrapping_add(chunk.results[0]);
        Flow::Continue
    }

    fn close(&self, file: Self::File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let poisoned = file.0.ends_with("poisoned");
        assert!(!(self.host == Host::Close && poisoned), "a poisoned file");
        if matches!(end, FileEnd::Complete { .. }) {
            rows.extend(format!("{} {}\n", file.0.display(), file.1).as_bytes());
        }
        Flow::Continue
    }
}

/// A tree with a poisoned file among others. Returns the tree, the rows that the other files must give, and the
/// poison's offset.
fn tree(scratch: &Scratch) -> (PathBuf, Vec<Vec<u8>>) {
    let mut rows = Vec::new();
    for number in 0..30_usize {
        let bytes = vec![b'a'; number * 60_000];
        let sum = bytes
            .iter()
            .fold(0, |sum: u32, &byte| sum.wrapping_add(byte.into()));
        let path = scratch.write(format!("tree/{number}"), &bytes);
        rows.push(format!("{} {sum}\n", path.display()).into_bytes());
    }
    let mut poisoned = vec![b'a'; 4 << 20];
    poisoned[3 << 20..][..POISON.len()].copy_from_slice(POISON);
    scratch.write("tree/poisoned", &poisoned);
    (scratch.join("tree"), rows)
}

/// Runs a job over a source, until it ends or the test's patience does.
fn run(
    source: impl Source + 'static,
    workers: usize,
    job: SumJob,
) -> (Vec<u8>, Vec<FileError>, RunReport) {
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let errors = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&errors);
        let control =
            Control::default().on_error(move |error| told.lock().unwrap().push(error.clone()));
        let mill = Mill::builder().workers(workers).build().unwrap();
        let mut rows = Vec::new();
        let report = mill
            .run(source, Arc::new(job), &mut rows, &control)
            .unwrap();
        let errors = std::mem::take(&mut *errors.lock().unwrap());
        let _ = sender.send((rows, errors, report));
    });
    Patience::new().receive(&ended).expect("the run hangs")
}

#[track_caller]
fn assert_only_the_poisoned_file_fails(panics: bool, host: Host) {
    let scratch = Scratch::new();
    let (tree, good) = tree(&scratch);
    for workers in [1, 2, 4] {
        let job = SumJob {
            opcode: Arc::new(Sum { panics }),
            host,
        };
        let (rows, errors, report) = run(Tree::new([&tree]).walk().unwrap(), workers, job);
        crate::world::assert_rows_of_files(&rows, &good);
        assert_eq!(report.failures, 1);
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert_eq!(errors[0].path, Some(tree.join("poisoned")));
        let reason = &errors[0].kind.to_string();
        assert!(reason.contains("panicked"), "{reason:?}");
        if panics {
            // The chunk that holds the poison begins at or before the poison.
            assert!(
                errors[0].offset.is_some_and(|at| at <= 3 << 20),
                "{errors:?}"
            );
            assert_eq!(report.kernel.faults, 1);
        }
    }
}

#[test]
fn a_panicking_worker_fails_the_file_and_no_other() {
    assert_only_the_poisoned_file_fails(true, Host::Never);
}

#[test]
fn a_job_that_panics_at_a_chunk_fails_the_file_and_no_other() {
    assert_only_the_poisoned_file_fails(false, Host::Chunk);
}

#[test]
fn a_job_that_panics_at_a_files_begin_fails_the_file_and_no_other() {
    assert_only_the_poisoned_file_fails(false, Host::Open);
}

#[test]
fn a_job_that_panics_at_a_files_end_fails_the_file_and_no_other() {
    assert_only_the_poisoned_file_fails(false, Host::Close);
}

/// A source that gives the items of another, and panics at its end.
struct PanicsAtTheEnd<S>(S);

impl<S: Source> Source for PanicsAtTheEnd<S> {
    fn next_item(&mut self) -> Option<Item> {
        Some(self.0.next_item().expect("no end was planned for"))
    }
}

#[test]
fn a_source_that_panics_ends_the_run_as_failed() {
    let scratch = Scratch::new();
    let (tree, _) = tree(&scratch);
    for workers in [1, 2] {
        let job = SumJob {
            opcode: Arc::new(Sum { panics: false }),
            host: Host::Never,
        };
        let source = PanicsAtTheEnd(Tree::new([&tree]).walk().unwrap());
        let (_, errors, report) = run(source, workers, job);
        assert!(report.failures > 0);
        assert!(
            errors
                .iter()
                .any(|error| error.kind.to_string().contains("panicked")),
            "{errors:?}"
        );
    }
}
