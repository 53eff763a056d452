//! Files that change while they are read.

use gristmill::jobs::digest::{Algorithm, DigestFile, DigestJob};
use gristmill::jobs::{FileEnd, Flow, Geometry, Job, LandedChunk, SlotPlace};
use gristmill::manifest::{Gather, Head};
use gristmill::megakernel::protocol::ARGS_PER_SLOT;
use gristmill::megakernel::StreamJob;
use gristmill::mill::{Control, Mill};
use gristmill::source::{Entry, FileFacts, Tree};
use gristmill::PipelineError;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// A job for a manifest that does something to a file when it has seen its first chunk.
struct Meddling {
    job: DigestJob,
    done: AtomicBool,
    meddle: fn(&mut File),
    path: PathBuf,
}

impl Job for Meddling {
    type File = DigestFile;

    fn stream_job(&self) -> Option<StreamJob> {
        self.job.stream_job()
    }

    fn opcode(&self) -> u32 {
        self.job.opcode()
    }

    fn geometry(&self) -> Geometry {
        self.job.geometry()
    }

    fn args(&self, place: &SlotPlace) -> Result<[u32; ARGS_PER_SLOT], PipelineError> {
        self.job.args(place)
    }

    fn mode(&self, entry: &Entry, offset: u64) -> u32 {
        self.job.mode(entry, offset)
    }

    fn open(&self, entry: &Arc<Entry>, facts: &FileFacts) -> DigestFile {
        self.job.open(entry, facts)
    }

    fn chunk(&self, file: &mut DigestFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        if !self.done.swap(true, Ordering::Relaxed) {
            let mut file = File::options().append(true).open(&self.path).unwrap();
            (self.meddle)(&mut file);
        }
        self.job.chunk(file, chunk, rows)
    }

    fn close(&self, file: DigestFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        self.job.close(file, end, rows)
    }
}

/// Whether the row of a file to which this is done says that it changed; the job tells of the same.
fn is_changed(meddle: fn(&mut File)) -> bool {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    std::fs::write(&path, vec![7; 100_000]).unwrap();
    let time = UNIX_EPOCH + Duration::new(1_000_000, 5);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_modified(time).unwrap();
    let algorithm = Algorithm::Blake3.into();
    let job = Arc::new(Meddling {
        job: DigestJob::manifest(algorithm, None),
        done: AtomicBool::new(false),
        meddle,
        path: path.clone(),
    });
    let mut gather = Gather::new(Head::new(algorithm, None, []));
    let mill = Mill::builder().workers(1).build().unwrap();
    let files = Tree::new([&path]).walk().unwrap();
    let report = mill.run(files, Arc::clone(&job), &mut gather, &Control::default());
    report.unwrap().output.unwrap();
    let manifest = gather.finish().unwrap();
    let row = manifest.file(0);
    // What the file was when it was opened.
    assert_eq!(row.modified_ns, Some(1_000_000_000_000_005));
    let told = job.job.changed();
    assert_eq!(told.count, u64::from(row.changed));
    assert_eq!(told.first.len(), usize::from(row.changed));
    row.changed
}

#[test]
fn a_file_that_changes_while_it_is_read_is_told() {
    assert!(!is_changed(|_| {}));
    assert!(is_changed(|file| file.write_all(b"more").unwrap()));
    assert!(is_changed(|file| {
        let other = UNIX_EPOCH + Duration::new(1_000_000, 6);
        file.set_modified(other).unwrap();
    }));
    // Its size alone, with the time set back.
    assert!(is_changed(|file| {
        file.write_all(b"more").unwrap();
        let same = UNIX_EPOCH + Duration::new(1_000_000, 5);
        file.set_modified(same).unwrap();
    }));
}
