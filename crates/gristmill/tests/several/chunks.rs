//! A chunk is read once, and belongs to its slots until the last of them has completed.

use crate::world::{job, list, mill, once, program, run, text, Once, PAIRS};
use gristmill::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk};
use gristmill::megakernel::stream::{StreamOpcode, StreamSlot};
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, Mill, MillError, Task, MAX_JOBS};
use gristmill::ring::{Outcome, RecordWriter};
use gristmill::source::{Entry, FileFacts};
use gristmill::uring::reader::{ReadPath, ReadPathChoice};
use std::io::{sink, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Files whose every byte is known from its offset and the file's number.
fn known(scratch: &Path, files: u8) -> Vec<PathBuf> {
    let path = |number: u8| {
        let path = scratch.join(format!("{number}"));
        std::fs::write(&path, of_file(number, 0..200_000)).unwrap();
        path
    };
    (0..files).map(path).collect()
}

fn of_file(number: u8, range: std::ops::Range<usize>) -> Vec<u8> {
    let byte = |at: usize| (at / 4096 * 7 + at % 251) as u8 ^ number.wrapping_mul(31);
    range.map(byte).collect()
}

/// An opcode that takes its time, and says then which bytes it has seen: their sum at its beginning and at its end.
struct Slow(u64);

impl StreamOpcode for Slow {
    fn run(
        &self,
        bytes: &[u8],
        _: &StreamSlot<'_>,
        _: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        let sum = || bytes.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let mut outcome = Outcome::value(sum());
        std::thread::sleep(Duration::from_micros(self.0));
        outcome.results[1] = sum();
        Ok(outcome)
    }
}

/// A job that compares what its opcode and itself see of a chunk with what the file holds.
struct Comparing {
    micros: u64,
    before: usize,
}

impl Job for Comparing {
    type File = u8;

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Custom(0x1_0000, Arc::new(Slow(self.micros))))
    }

    fn opcode(&self) -> u32 {
        // All these jobs have the same number: which one a slot is for, its argument says.
        0x1_0000
    }

    fn geometry(&self) -> Geometry {
        Geometry {
            before: self.before,
            ..Geometry::default()
        }
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> u8 {
        entry
            .path
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .parse()
            .unwrap()
    }

    fn chunk(&self, file: &mut u8, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        let start = chunk.offset as usize;
        let expected = of_file(*file, start..start + chunk.bytes.len());
        let sum: u32 = expected.iter().map(|byte| u32::from(*byte)).sum();
        let same = expected == chunk.bytes && chunk.results[..2] == [sum, sum];
        if !same {
            rows.extend(format!("file {file} at {start}: other bytes\n").as_bytes());
        }
        Flow::Continue
    }

    fn close(&self, file: u8, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        if !matches!(end, FileEnd::Complete { bytes: 200_000 }) {
            rows.extend(format!("file {file}: {end:?}\n").as_bytes());
        }
        Flow::Continue
    }
}

#[test]
fn no_chunk_is_read_into_while_a_slot_of_it_runs_or_waits() {
    let scratch = tempfile::tempdir().unwrap();
    let files = known(scratch.path(), 6);
    for (workers, chunks) in [(1, 2), (3, 2), (3, 4)] {
        let settings = mill(workers, 4096).chunks(chunks).ordered(false);
        // Slow jobs stand before and behind quick ones, and one sees bytes before its chunks.
        let jobs: Vec<Box<dyn Once>> = [(0, 0), (300, 0), (0, 100), (50, 0)]
            .map(|(micros, before)| once(Comparing { micros, before }))
            .into();
        let given = run(&settings.build().unwrap(), list(&files), &jobs);
        assert_eq!(given.failures, [""; 0]);
        for rows in given.rows {
            assert_eq!(String::from_utf8(rows).unwrap(), "");
        }
        // No chunk was lost, or was lent where it was not to be.
        assert_eq!(given.report.kernel.faults, 0);
    }
}

#[test]
fn bytes_are_read_once_for_all_jobs() {
    let scratch = tempfile::tempdir().unwrap();
    let files = known(scratch.path(), 5);
    let bytes = 5 * 200_000;
    let by = |path| {
        let settings = mill(1, 65_536).read_path(ReadPathChoice::Only(path));
        settings.build().unwrap()
    };
    for path in [ReadPath::PositionedRead, ReadPath::RegisteredMappedRead] {
        let mill = by(path);
        let one = run(&mill, list(&files), &[job(3)]).report;
        let plain: Vec<_> = [2, 3, 6, 7].map(job).into();
        let four = run(&mill, list(&files), &plain).report;
        assert_eq!(four.reads.bytes(), bytes, "{path:?}");
        assert_eq!(four.reads.reads, one.reads.reads, "{path:?}");
        assert_eq!((four.bytes, four.chunks), (bytes, one.chunks));
        for job in &four.jobs {
            assert_eq!((job.bytes, job.chunks), (bytes, one.chunks), "{}", job.name);
        }
        // A job that looks around its chunks reads those bytes again, and the others do not read more beside it.
        let around = run(&mill, list(&files), &[job(1)]).report;
        let beside: Vec<_> = [1, 2, 3].map(job).into();
        let beside = run(&mill, list(&files), &beside).report;
        assert_eq!(beside.reads.bytes(), around.reads.bytes(), "{path:?}");
        assert_eq!(beside.reads.reads, around.reads.reads, "{path:?}");
    }
}

/// A job that appends to each file when it sees the first chunk of it.
struct Growing(PathBuf);

impl Job for Growing {
    type File = ();

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Lines)
    }

    fn opcode(&self) -> u32 {
        StreamJob::Lines.opcode()
    }

    fn open(&self, _: &Arc<Entry>, _: &FileFacts) {}

    fn chunk(&self, (): &mut (), chunk: &LandedChunk<'_>, _: &mut Vec<u8>) -> Flow {
        if chunk.offset == 0 {
            let file = std::fs::File::options().append(true).open(&self.0);
            file.unwrap().write_all(&[b'x'; 70_000]).unwrap();
        }
        Flow::Continue
    }

    fn close(&self, (): (), _: &FileEnd, _: &mut Vec<u8>) -> Flow {
        Flow::Continue
    }
}

#[test]
fn all_jobs_see_the_same_bytes_of_a_file_that_grows() {
    for workers in [1, 3] {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("grows");
        std::fs::write(&path, text(30_001)).unwrap();
        let jobs = vec![once(Growing(path.clone())), job(7), job(1), job(2), job(5)];
        let mill = mill(workers, 4096).build().unwrap();
        let given = run(&mill, list(std::slice::from_ref(&path)), &jobs);
        assert_eq!(given.failures, [""; 0]);
        let bytes = given.report.bytes;
        assert!(given.report.jobs.iter().all(|job| job.bytes == bytes));
        // What they have seen is the beginning of what is there now: each gives what it gives of that alone.
        let whole = std::fs::read(&path).unwrap();
        assert!((30_001..=whole.len() as u64).contains(&bytes));
        std::fs::write(&path, &whole[..bytes as usize]).unwrap();
        for (rows, number) in given.rows[1..].iter().zip([7, 1, 2, 5]) {
            let alone = run(&mill, list(std::slice::from_ref(&path)), &[job(number)]);
            assert!(*rows == alone.rows[0], "{number}");
        }
    }
}

fn refused(tasks: Vec<Task<'_>>) -> MillError {
    let mill = Mill::builder().workers(1).build().unwrap();
    mill.run_all(list(&[]), tasks, &Control::default())
        .unwrap_err()
}

#[test]
fn jobs_that_cannot_share_chunks_are_refused_by_name() {
    let (aligned, small) = (
        PAIRS.replace(".before  1", ".align 4096"),
        PAIRS.replace(".before  1", ".chunk 1024"),
    );
    let (mut one, mut other) = (sink(), sink());
    let error = refused(vec![
        Task::new(Arc::new(program(&aligned)), &mut one).named("blocks"),
        Task::new(Arc::new(program(&small)), &mut other),
    ]);
    let text = error.to_string();
    assert!(matches!(error, MillError::ChunksOfJobs { .. }), "{text}");
    for part in ["blocks", "job 2", "4096", "1024"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn no_jobs_and_too_many_are_refused() {
    assert!(matches!(
        refused(Vec::new()),
        MillError::JobCount { count: 0 }
    ));
    let mut sinks: Vec<_> = (0..=MAX_JOBS).map(|_| sink()).collect();
    let all = sinks.iter_mut();
    let tasks = all.map(|sink| Task::new(Arc::new(program(PAIRS)), sink));
    let error = refused(tasks.collect());
    assert!(error.to_string().contains("65 jobs"), "{error}");
}
