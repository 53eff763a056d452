//! Chunks with surrounding bytes: the bytes that a program sees around its own are those of the file, however the file
//! is cut, and every byte is an own byte exactly once.

use gristmill::jobs::run::{RunJob, RunRows};
use gristmill::mill::{Control, Mill};
use gristmill::program::Program;
use gristmill::source::Tree;
use gristmill::uring::reader::{ReadPath, ReadPathChoice};
use serde_json::Value;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// Bytes that depend on their position.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64)
        .map(|at| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8)
        .collect()
}

/// Sums, over every byte, the bytes around it, weighted by its position; and reports for every chunk its position, its
/// length and the number of bytes around it that it sees.
fn program(before: usize, after: usize, align: usize) -> Program {
    let (first, last) = (-(before.min(3) as i64), after.min(5) as i64);
    let mut around = String::new();
    for offset in first..=last {
        around.push_str(&format!(
            "ld8 r2, r1, {offset}\n mul r3, r3, 31\n add r3, r3, r2\n"
        ));
    }
    // The farthest bytes that it can see are included, too.
    around.push_str(&format!(
        "ld8 r2, r1, {}\n add r3, r3, r2\n",
        -(before as i64)
    ));
    around.push_str(&format!("ld8 r2, r1, {after}\n add r3, r3, r2\n"));
    let source = format!(
        ".before {before}\n.after {after}\n.align {align}\n.records 8\n.acc all sum\n.acc own sum\n\
         mov r9, 1\n base.lo r8\n\
         avail.before r4\n shl r4, r4, 16\n avail.after r5\n or r4, r4, r5\n emit r0, r4\n\
         len r6\n or r6, r6, 0x80000000\n emit r0, r6\n\
         each r1, 1\n mov r3, 7\n {around} add r7, r8, r1\n or r7, r7, 1\n mul r3, r3, r7\n\
         acc all, r3\n acc own, r9\n end\n"
    );
    Program::from_source("halo.vasm", &source).unwrap()
}

/// The program's result if the file is one chunk.
fn expected(file: &[u8], before: usize, after: usize) -> u64 {
    let byte = |at: i64| {
        let byte = usize::try_from(at).ok().and_then(|at| file.get(at));
        u32::from(byte.copied().unwrap_or(0))
    };
    let (first, last) = (-(before.min(3) as i64), after.min(5) as i64);
    (0..file.len() as i64)
        .map(|at| {
            let around = (first..=last).fold(7_u32, |sum, offset| {
                sum.wrapping_mul(31).wrapping_add(byte(at + offset))
            });
            let far = byte(at - before as i64).wrapping_add(byte(at + after as i64));
            u64::from(around.wrapping_add(far).wrapping_mul(at as u32 | 1))
        })
        .sum()
}

struct World {
    before: usize,
    after: usize,
    align: usize,
    chunk: usize,
    workers: usize,
    path: ReadPathChoice,
}

/// Runs over one file and checks all results.
fn check(world: &World, path: &Path, file: &[u8]) {
    let what = format!(
        "{} bytes, halo {} and {}, align {}, chunks of {}, {} workers, {:?}",
        file.len(),
        world.before,
        world.after,
        world.align,
        world.chunk,
        world.workers,
        world.path
    );
    let program = program(world.before, world.after, world.align);
    let job = Arc::new(
        RunJob::builder(program)
            .rows(RunRows::Json)
            .build()
            .unwrap(),
    );
    let mill = Mill::builder()
        .workers(world.workers)
        .chunk_bytes(world.chunk)
        .read_path(world.path)
        .build()
        .unwrap();
    let mut rows = Vec::new();
    let source = Tree::new([path]).walk().unwrap();
    let report = mill
        .run(source, Arc::clone(&job), &mut rows, &Control::default())
        .unwrap();
    assert_eq!(report.failures, 0, "{what}");
    assert_eq!(report.bytes, file.len() as u64, "own bytes: {what}");
    let accs = job.total().accs;
    assert_eq!(accs[1], file.len() as u64, "{what}");
    assert_eq!(accs[0], expected(file, world.before, world.after), "{what}");
    // Each chunk has two records, both at its beginning: its length, and the bytes that it sees.
    let rows: Vec<Value> = rows
        .split(|byte| *byte == b'\n')
        .filter(|row| !row.is_empty())
        .map(|row| serde_json::from_slice(row).unwrap())
        .filter(|row: &Value| row["type"] == "record")
        .collect();
    let mut reached = 0;
    for pair in rows.chunks(2) {
        let begin = pair[0]["offset"].as_u64().unwrap();
        assert_eq!(begin, reached, "{what}");
        assert_eq!(begin % world.align as u64, 0, "{what}");
        // The bytes that it sees come first, because the length has its top bit set.
        let [seen, len] = [0, 1].map(|index: usize| pair[index]["value"].as_u64().unwrap());
        let len = len - (1 << 31);
        let left = file.len() as u64 - begin - len;
        let sees = begin.min(world.before as u64) << 16 | left.min(world.after as u64);
        assert_eq!(seen, sees, "at {begin}, {len} bytes: {what}");
        assert!(len > 0, "{what}");
        assert!(len <= world.chunk as u64, "{what}");
        reached += len;
    }
    assert_eq!(reached, file.len() as u64, "{what}");
}

const HALOS: [(usize, usize, usize); 7] = [
    (0, 0, 1),
    (1, 0, 1),
    (0, 3, 1),
    (64, 64, 4096),
    (4096, 4096, 4096),
    (4096, 1, 512),
    (0, 0, 4096),
];

#[test]
fn a_file_is_seen_as_it_lies_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    for (before, after, align) in HALOS {
        for (chunk, workers) in [(4096, 1), (8192, 3), (65_536, 2)] {
            let around = [0, 1, before, after, after + 1, 4095];
            let mut sizes: Vec<usize> = around.to_vec();
            sizes.extend(around.iter().map(|more| chunk + more));
            sizes.extend(around.iter().map(|less| (2 * chunk).saturating_sub(*less)));
            sizes.push(3 * chunk + 17);
            sizes.sort_unstable();
            sizes.dedup();
            for (size, path_choice) in sizes.into_iter().zip(
                [
                    ReadPathChoice::Auto,
                    ReadPathChoice::Only(ReadPath::PositionedRead),
                ]
                .into_iter()
                .cycle(),
            ) {
                let file = bytes(size);
                std::fs::write(&path, &file).unwrap();
                let world = World {
                    before,
                    after,
                    align,
                    chunk,
                    workers,
                    path: path_choice,
                };
                check(&world, &path, &file);
            }
        }
    }
}

#[test]
fn a_stream_is_seen_as_a_file_is() {
    let scratch = tempfile::tempdir().unwrap();
    for (run, (before, after, align)) in HALOS.into_iter().enumerate() {
        for (size, piece) in [
            (0, 1),
            (1, 1),
            (5_000, 7),
            (4096, 4096),
            (30_000, 4_097),
            (70_000, 60_000),
        ] {
            // Each run has its own FIFO, because the kernel may keep a reader open for a moment longer.
            let path = scratch.path().join(format!("fifo-{run}-{size}"));
            let made = std::process::Command::new("mkfifo").arg(&path).status();
            if !made.is_ok_and(|status| status.success()) {
                gristmill_testing::skipped("mkfifo cannot be run");
                return;
            }
            let file = bytes(size);
            let writer = std::thread::spawn({
                let (path, file) = (path.clone(), file.clone());
                move || {
                    let mut fifo = std::fs::OpenOptions::new().write(true).open(path).unwrap();
                    for piece in file.chunks(piece) {
                        fifo.write_all(piece).unwrap();
                    }
                }
            });
            let world = World {
                before,
                after,
                align,
                chunk: 4096,
                workers: 2,
                path: ReadPathChoice::Auto,
            };
            check(&world, &path, &file);
            writer.join().unwrap();
        }
    }
}
