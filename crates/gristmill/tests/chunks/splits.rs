//! Chunks whose records overflow.

use crate::world::{halo, run, write_files, Asked, Done, How};
use gristmill::jobs::{FileEnd, Flow, Geometry};
use gristmill::source::Tree;
use std::ops::Range;

const SIZE: usize = 3 * 65_536 + 17;

fn splitting(before: usize, after: usize, align: usize) -> Geometry {
    Geometry {
        split: true,
        ..halo(before, after, align)
    }
}

fn longer_than(fits: u64) -> Box<dyn Fn(Range<u64>) -> bool + Send + Sync> {
    Box::new(move |own| own.end - own.start > fits)
}

/// Runs over one file of [`SIZE`] bytes.
fn run_over_one(asked: Asked, how: How) -> Done {
    let tree = tempfile::tempdir().unwrap();
    let sizes = write_files(tree.path(), &[SIZE]);
    let asked = Asked { sizes, ..asked };
    run(Tree::new([tree.path()]).walk().unwrap(), asked, how)
}

#[test]
fn parts_come_in_order_and_cover_the_chunk() {
    // In a chunk with an odd number of blocks, the middle is inside a block.
    let odd = 119 * 512;
    for (geometry, fits, chunk) in [
        (splitting(0, 0, 1), 1000, 65_536),
        (splitting(64, 64, 512), 1024, 65_536),
        (splitting(4096, 4096, 512), 700, odd),
        (splitting(1, 3, 4096), 4096, 65_536),
        (splitting(100, 5, 1), 65_535, 65_536),
        (splitting(100, 5, 1), 65_536, 65_536),
    ] {
        let geometry = Geometry {
            max_chunk: chunk,
            ..geometry
        };
        let chunk = chunk as u64;
        for how in How::all(65_536).filter(|how| !how.direct || chunk != odd as u64) {
            let mut asked = Asked::new(geometry);
            asked.overflows = longer_than(fits);
            let done = run_over_one(asked, how);
            assert_eq!(done.report.failures, 0, "{:?}", done.errors);
            let seen = done.seen.values().next().unwrap();
            assert_eq!(seen.bytes(geometry.align), SIZE as u64);
            for part in &seen.parts {
                let own = &part.own;
                assert!(own.end - own.start <= fits, "{part:?}");
                // The chunk's first part, and its last.
                assert_eq!(part.first, own.start.is_multiple_of(chunk), "{part:?}");
                let ends = own.end.is_multiple_of(chunk) || own.end == SIZE as u64;
                assert_eq!(part.last, ends, "{part:?}");
            }
            assert_eq!(done.report.bytes, SIZE as u64);
            assert_eq!(done.report.chunks, 4);
        }
    }
}

#[test]
fn only_what_overflows_is_split() {
    // The records at one position overflow in every part that is larger than its block.
    let at = 70_000;
    let mut asked = Asked::new(splitting(16, 16, 512));
    asked.overflows = Box::new(move |own| own.contains(&at) && own.end - own.start > 512);
    let done = run_over_one(asked, How::slow(65_536));
    let seen = done.seen.values().next().unwrap();
    assert_eq!(seen.bytes(512), SIZE as u64);
    let bounds: Vec<u64> = seen.parts.iter().map(|part| part.own.start).collect();
    let expected = [
        0, 65_536, 69_632, 70_144, 70_656, 71_680, 73_728, 81_920, 98_304, 131_072, 196_608,
    ];
    assert_eq!(bounds, expected);
}

#[test]
fn a_block_that_overflows_by_itself_ends_the_file_there() {
    for how in How::all(65_536) {
        for (at, align, offset, block) in [
            (0, 4096, 0, 4096),
            (70_000, 4096, 69_632, 4096),
            (70_000, 1, 70_000, 1),
            (SIZE as u64 - 1, 512, 196_608, 17),
        ] {
            let mut asked = Asked::new(splitting(64, 64, align));
            asked.overflows = Box::new(move |own| own.contains(&at));
            let done = run_over_one(asked, how);
            let seen = done.seen.values().next().unwrap();
            assert_eq!(seen.bytes(align), offset, "all before it is handed in");
            assert_eq!(done.report.bytes, offset);
            let end = &seen.end;
            assert!(
                matches!(end, Some(FileEnd::Failed { offset: at, .. }) if *at == offset),
                "{end:?}"
            );
            let [error] = done.errors.as_slice() else {
                panic!("{:?}", done.errors);
            };
            assert_eq!(error.offset, Some(offset));
            let reason =
                format!("more records than the program declares in one block of {block} bytes");
            assert!(error.to_string().contains(&reason), "{error:?}");
        }
    }
}

#[test]
fn a_job_may_leave_a_chunk_between_its_parts() {
    for answer in [Flow::SkipFile, Flow::Stop] {
        let mut asked = Asked::new(splitting(64, 64, 64));
        asked.overflows = longer_than(20_000);
        asked.flow = Box::new(move |part| {
            if part.own.end >= 80_000 {
                answer
            } else {
                Flow::Continue
            }
        });
        let done = run_over_one(asked, How::slow(65_536));
        let seen = done.seen.values().next().unwrap();
        // 65,536 bytes and a quarter of that.
        assert_eq!(seen.bytes(64), 81_920);
        let end = &seen.end;
        assert!(
            matches!(end, Some(FileEnd::Skipped { bytes: 81_920 })),
            "{end:?}"
        );
        assert_eq!(done.report.bytes, 81_920);
        assert_eq!(done.report.failures, 0);
    }
}

#[test]
fn a_kernel_that_goes_on_where_it_has_been_ends_the_file() {
    // The opcode reports an overflow and asks to be resumed at byte 0, each time.
    let mut asked = Asked::new(halo(0, 0, 1));
    asked.overflows = Box::new(|_| true);
    let done = run_over_one(asked, How::slow(65_536));
    let [error] = done.errors.as_slice() else {
        panic!("{:?}", done.errors);
    };
    assert_eq!(error.offset, Some(0));
    assert!(error.to_string().contains("where it has been"), "{error:?}");
}
