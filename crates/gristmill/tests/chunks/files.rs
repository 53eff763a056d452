//! Files that are read by position.

use crate::world::{content, halo, run, sizes, start, write_files, Asked, Done, How, AROUND};
use gristmill::jobs::{FileEnd, Flow, Geometry};
use gristmill::source::Tree;
use gristmill::PipelineError;
use gristmill_testing::Patience;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Runs over a tree of files around the chunk's size, in every way.
fn run_over_all(geometry: Geometry, configured: usize, chunk: usize) {
    let tree = tempfile::tempdir().unwrap();
    let files = write_files(tree.path(), &sizes(geometry, chunk));
    for how in How::all(configured) {
        if how.direct && !chunk.is_multiple_of(4096) {
            continue;
        }
        let asked = Asked {
            sizes: files.clone(),
            ..Asked::new(geometry)
        };
        let done = run(Tree::new([tree.path()]).walk().unwrap(), asked, how);
        assert_eq!(done.report.failures, 0, "{:?}", done.errors);
        assert_eq!(done.report.chunk_bytes, chunk);
        assert_eq!(done.seen.len(), files.len());
        for (path, size) in &files {
            let seen = &done.seen[path];
            assert_eq!(seen.bytes(geometry.align), u64::from(*size), "{how:?}");
            for part in &seen.parts {
                assert!(part.last, "a chunk that is not split");
                assert!(part.own.start.is_multiple_of(chunk as u64), "{part:?}");
                assert!(part.own.end - part.own.start <= chunk as u64, "{part:?}");
            }
            let end = &seen.end;
            assert!(
                matches!(end, Some(FileEnd::Complete { bytes }) if *bytes == u64::from(*size)),
                "{end:?}"
            );
        }
        let all: u64 = files.values().map(|size| u64::from(*size)).sum();
        assert_eq!(done.report.bytes, all, "each byte counts once");
        let reads = done.report.reads;
        let host = reads.bytes_registered + reads.bytes_mapped + reads.bytes_positioned;
        let read = host + reads.bytes_passthrough;
        assert!(read >= all);
        if geometry == Geometry::default() {
            assert_eq!(read, all, "without a halo nothing is read twice");
        }
    }
}

#[test]
fn chunks_see_what_is_around_them() {
    for chunk in [4096, 8192, 64 << 10] {
        for (before, after, align) in AROUND {
            run_over_all(halo(before, after, align), chunk, chunk);
        }
    }
}

#[test]
fn chunks_are_as_large_as_the_job_allows() {
    for (max_chunk, align, chunk) in [
        (16, 16, 16),
        (3000, 1, 3000),
        (3000, 64, 2944),
        (8192, 4096, 8192),
        (1 << 20, 4096, 12288),
        (1 << 20, 8192, 8192),
        (1 << 20, 1 << 14, 1 << 14),
    ] {
        // The surrounding bytes are sometimes more than a small chunk.
        for (before, after) in [(0, 0), (7, 5), (100, 4096)] {
            let geometry = Geometry {
                max_chunk,
                ..halo(before, after, align)
            };
            run_over_all(geometry, 12288, chunk);
        }
    }
}

/// A file in a directory that is removed when the first value is dropped.
fn file_of(size: usize) -> (tempfile::TempDir, PathBuf) {
    let tree = tempfile::tempdir().unwrap();
    let path = tree.path().join("file");
    std::fs::write(&path, content(size)).unwrap();
    (tree, path)
}

fn run_over_one(path: &Path, asked: Asked) -> Done {
    run(Tree::new([path]).walk().unwrap(), asked, How::slow(4096))
}

#[test]
fn a_file_that_grows_is_seen_to_its_new_end() {
    for geometry in [halo(0, 0, 1), halo(64, 64, 64), halo(0, 4096, 1)] {
        for (size, grown) in [
            (40 * 4096 + 17, 60 * 4096 + 5),
            (40 * 4096, 40 * 4096 + 1),
            (40 * 4096 + 30, 41 * 4096 + 1),
        ] {
            let (_tree, path) = file_of(size);
            let file = path.clone();
            let mut asked = Asked::new(geometry);
            asked.flow = Box::new(move |part| {
                if part.own.start == 0 {
                    let mut file = std::fs::File::options().append(true).open(&file).unwrap();
                    file.write_all(&content(grown)[size..]).unwrap();
                }
                Flow::Continue
            });
            let done = run_over_one(&path, asked);
            assert_eq!(done.report.failures, 0, "{:?}", done.errors);
            assert_eq!(done.seen[&path].bytes(1), grown as u64);
            assert_eq!(done.report.bytes, grown as u64);
        }
    }
}

#[test]
fn a_file_that_shrinks_fails_where_it_ends() {
    for geometry in [halo(0, 0, 1), halo(64, 64, 64), halo(4096, 4096, 1)] {
        for left in [0, 10, 4096, 5000, 30 * 4096, 30 * 4096 + 64] {
            let size = 40 * 4096 + 17;
            let (_tree, path) = file_of(size);
            let file = path.clone();
            let mut asked = Asked::new(geometry);
            asked.flow = Box::new(move |part| {
                if part.own.start == 0 {
                    let file = std::fs::File::options().write(true).open(&file).unwrap();
                    file.set_len(left).unwrap();
                }
                Flow::Continue
            });
            let done = run_over_one(&path, asked);
            let reached = done.seen[&path].bytes(1);
            assert!(reached >= left && reached < size as u64, "{reached}");
            let [error] = done.errors.as_slice() else {
                panic!("{:?}", done.errors);
            };
            assert_eq!(error.offset, Some(reached));
            let reason = format!("the file shrank while it was read: it had {size} bytes");
            assert!(error.to_string().contains(&reason), "{error:?}");
            assert_eq!(done.report.bytes, reached);
        }
    }
}

#[test]
fn a_geometry_out_of_range_is_refused() {
    let bad = [
        halo(4097, 0, 1),
        halo(0, 4097, 1),
        halo(usize::MAX, usize::MAX, 1),
        halo(0, 0, 0),
        halo(0, 0, 3),
        Geometry {
            max_chunk: 0,
            ..Geometry::default()
        },
        Geometry {
            max_chunk: 100,
            ..halo(0, 0, 128)
        },
        // No machine has the memory for an arena of such chunks.
        halo(1, 1, 1 << 63),
    ];
    for geometry in bad {
        let source = Tree::new(["Cargo.toml"]).walk().unwrap();
        let ended = Patience::new().receive(&start(source, Asked::new(geometry), How::slow(4096)));
        let error = ended.expect("the run hangs").unwrap_err();
        assert!(
            matches!(error, PipelineError::InvalidArgument { .. }),
            "{error}"
        );
    }
}

#[test]
fn an_opcode_of_the_user_is_not_recorded() {
    let asked = Asked {
        record: true,
        ..Asked::new(Geometry::default())
    };
    let source = Tree::new(["Cargo.toml"]).walk().unwrap();
    let ended = Patience::new().receive(&start(source, asked, How::slow(4096)));
    let error = ended.expect("the run hangs").unwrap_err();
    assert!(error.to_string().contains("host code"), "{error}");
}
