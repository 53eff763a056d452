//! What one job does, or fails to do, changes nothing for the others.

use crate::world::{job, list, mill, once, program, run, text, tree, Once, PAIRS};
use gristmill::jobs::{FileEnd, Flow, Job, LandedChunk};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, FileErrorKind, RunReport, Task};
use gristmill::source::{Entry, FileFacts};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Where a [`Taking`] job does something.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    /// It is done with each file after so many chunks.
    SkipsFile(u64),
    /// It wants no more after so many files.
    Stops(usize),
    /// It wants no more in the first chunk of the file with this name.
    StopsIn(&'static str),
    /// It panics at the beginning of the file with this name.
    PanicsInOpen(&'static str),
    /// It panics in its second chunk.
    PanicsInChunk(&'static str),
    /// It panics at its end.
    PanicsInClose(&'static str),
}

/// A job that counts the chunks of each file, as far as it takes them.
struct Taking {
    does: Does,
    closed: Mutex<usize>,
}

fn taking(does: Does) -> Box<dyn Once> {
    let closed = Mutex::default();
    once(Taking { does, closed })
}

struct Taken {
    name: String,
    chunks: u64,
}

impl Job for Taking {
    type File = Taken;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Lines)
    }

    fn opcode(&self) -> u32 {
        StreamJob::Lines.opcode()
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Taken {
        let name = entry.path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_ne!(self.does, Does::PanicsInOpen(&*name.clone().leak()));
        Taken { name, chunks: 0 }
    }

    fn chunk(&self, file: &mut Taken, _: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        file.chunks += 1;
        rows.extend(format!("{} chunk\n", file.name).as_bytes());
        match self.does {
            Does::SkipsFile(most) if file.chunks == most => Flow::SkipFile,
            Does::StopsIn(name) if file.name == name => Flow::Stop,
            Does::PanicsInChunk(name) if file.name == name && file.chunks == 2 => {
                panic!("as the test asks")
            }
            _ => Flow::Continue,
        }
    }

    fn close(&self, file: Taken, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let end = match end {
            FileEnd::Complete { bytes } => format!("complete with {bytes}"),
            FileEnd::Skipped { .. } => "skipped".to_owned(),
            FileEnd::Failed { .. } => "failed".to_owned(),
        };
        rows.extend(format!("{} {end}\n", file.name).as_bytes());
        assert_ne!(self.does, Does::PanicsInClose(&*file.name.leak()));
        let mut closed = self.closed.lock().unwrap();
        *closed += 1;
        match self.does {
            Does::Stops(files) if *closed >= files => Flow::Stop,
            _ => Flow::Continue,
        }
    }
}

/// Runs the job beside digests and a sweep. Returns its rows, the failures and the report, after the others have been
/// seen to give what they give alone.
fn beside(does: Does, workers: usize, files: &[PathBuf]) -> (String, Vec<String>, RunReport) {
    let mill = mill(workers, 4096).build().unwrap();
    for places in [[0, 1, 2], [2, 0, 1], [1, 2, 0]] {
        let expected = run(&mill, list(files), &[job(2), job(1)]);
        let mut jobs = vec![(0, taking(does)), (1, job(2)), (2, job(1))];
        jobs.sort_by_key(|(number, _)| places[*number]);
        let jobs: Vec<Box<dyn Once>> = jobs.into_iter().map(|(_, job)| job).collect();
        let given = run(&mill, list(files), &jobs);
        assert!(!given.report.stopped, "{does:?}");
        assert!(given.rows[places[1]] == expected.rows[0], "{does:?}");
        assert!(given.rows[places[2]] == expected.rows[1], "{does:?}");
        assert_eq!(given.report.jobs[places[1]].bytes, given.report.bytes);
        if places == [1, 2, 0] {
            let own = String::from_utf8(given.rows[places[0]].clone()).unwrap();
            return (own, given.failures, given.report);
        }
    }
    unreachable!()
}

#[test]
fn a_job_that_is_done_with_a_file_is_done_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    for workers in [1, 3] {
        let (rows, failures, report) = beside(Does::SkipsFile(2), workers, &files);
        assert_eq!(failures, [""; 0]);
        assert_eq!(rows.matches("text chunk").count(), 2);
        assert_eq!(rows.matches("skipped").count(), 4, "{rows}");
        // It has seen less than the file has, and the others all of it.
        assert!(report.jobs.iter().any(|job| job.bytes < report.bytes));
        let alone = run(
            &mill(workers, 4096).build().unwrap(),
            list(&files),
            &[taking(Does::SkipsFile(2))],
        );
        assert_eq!(rows.as_bytes(), alone.rows[0]);
    }
}

#[test]
fn a_job_that_wants_no_more_stops_alone() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    for does in [
        Does::Stops(1),
        Does::Stops(5),
        Does::StopsIn("text"),
        Does::StopsIn("small-7"),
    ] {
        for workers in [1, 3] {
            let (rows, failures, report) = beside(does, workers, &files);
            assert_eq!(failures, [""; 0]);
            // Each file that was begun was closed. Several workers may have begun all of them before the job stops.
            let closed = rows.matches("skipped").count() + rows.matches("complete").count();
            assert!(workers > 1 || closed < files.len(), "{does:?}: {rows}");
            assert!(closed <= files.len(), "{does:?}: {rows}");
            if let Does::StopsIn(name) = does {
                assert!(rows.contains(&format!("{name} skipped")), "{rows}");
            }
            assert_eq!(report.files as usize, files.len());
        }
    }
}

#[test]
fn a_run_ends_when_all_jobs_want_no_more() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    let mill = mill(1, 4096).build().unwrap();
    let jobs = [taking(Does::Stops(2)), taking(Does::Stops(9))];
    let given = run(&mill, list(&files), &jobs);
    assert!((given.report.files as usize) < files.len());
    // Nobody else has ended it.
    assert!(!given.report.stopped);
}

#[test]
fn a_job_that_panics_fails_the_file_for_itself_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    for does in [
        Does::PanicsInOpen("text"),
        Does::PanicsInChunk("text"),
        Does::PanicsInClose("text"),
    ] {
        for workers in [1, 3] {
            let (rows, failures, _) = beside(does, workers, &files);
            let [failure] = &failures[..] else {
                panic!("{does:?}: {failures:?}");
            };
            assert!(failure.contains("text: offset"), "{failure}");
            assert!(failure.contains("job 2: the job panicked"), "{failure}");
            assert!(!rows.contains("text complete"), "{does:?}: {rows}");
            assert!(rows.contains("zeros complete with 70000"), "{rows}");
        }
    }
}

#[test]
fn a_program_whose_records_do_not_fit_fails_for_itself_by_name() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("lines");
    std::fs::write(&path, [b"\n".repeat(100), text(50_000)].concat()).unwrap();
    let dense = PAIRS.replace(".before  1", ".align 128");
    let mill = mill(1, 4096).build().unwrap();
    let files = [path];
    let expected = run(&mill, list(&files), &[job(1), job(4)]);
    let given = run(
        &mill,
        list(&files),
        &[job(1), once(program(&dense)), job(4)],
    );
    assert!(given.rows[0] == expected.rows[0] && given.rows[2] == expected.rows[1]);
    let [failure] = &given.failures[..] else {
        panic!("{:?}", given.failures);
    };
    let told = failure.contains("offset 0: job 2: more records than the program declares");
    assert!(told, "{failure}");
}

/// An output that takes so many bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, rows: &[u8]) -> io::Result<usize> {
        if rows.len() > self.0 {
            return Err(io::Error::from_raw_os_error(28));
        }
        self.0 -= rows.len();
        Ok(rows.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_ends_its_job_and_no_other() {
    let scratch = tempfile::tempdir().unwrap();
    let files = tree(scratch.path());
    let mill = mill(3, 4096).build().unwrap();
    let expected = run(&mill, list(&files), &[job(2)]);
    let (mut full, mut rows) = (Full(100), Vec::new());
    let errors = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&errors);
    let control = Control::default().on_error(move |error| {
        told.lock()
            .unwrap()
            .push(matches!(error.kind, FileErrorKind::Notice { .. }));
    });
    let (first, second) = (job(3), job(2));
    let tasks = vec![first.task(&mut full).named("stats"), second.task(&mut rows)];
    let report = mill.run_all(list(&files), tasks, &control).unwrap();
    assert!(rows == expected.rows[0]);
    assert!(!report.stopped && report.failures == 0);
    assert!(errors.lock().unwrap().is_empty());
    let error = report.jobs[0].output.as_ref().unwrap_err();
    assert_eq!(error.raw_os_error(), Some(28));
    assert!(report.jobs[1].output.is_ok());
    assert!(report
        .output
        .unwrap_err()
        .to_string()
        .starts_with("stats: "));

    // Where no output is left, the run ends.
    let (mut one, mut other) = (Full(0), Full(0));
    let (first, second) = (job(3), job(2));
    let tasks: Vec<Task<'_>> = vec![first.task(&mut one), second.task(&mut other)];
    let report = mill.run_all(list(&files), tasks, &control).unwrap();
    assert!(report.stopped && report.jobs.iter().all(|job| job.output.is_err()));
}
