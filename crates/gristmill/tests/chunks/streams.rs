//! Streams, which cannot be read twice.

use crate::world::{content, halo, run, sizes, start, Asked, How, AROUND};
use gristmill::jobs::{FileEnd, Flow, Geometry};
use gristmill::source::{Entry, Item, Origin, Source};
use gristmill_testing::Patience;
use std::collections::BTreeMap;
use std::io::{pipe, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::sync::{mpsc, Mutex};

/// A pipe as a source of one file. The kernel opens it by name, as it does a FIFO.
struct Pipe {
    entry: Option<Entry>,
    _reader: PipeReader,
}

impl Source for Pipe {
    fn next_item(&mut self) -> Option<Item> {
        self.entry.take().map(Item::Entry)
    }
}

fn pipe_source() -> (PathBuf, Pipe, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    let path = PathBuf::from(format!("/proc/self/fd/{}", reader.as_raw_fd()));
    let entry = Entry {
        path: path.clone(),
        explicit: true,
        origin: Origin::Special,
        root: None,
        part: None,
        sequence: 0,
    };
    let source = Pipe {
        entry: Some(entry),
        _reader: reader,
    };
    (path, source, writer)
}

/// Writes through a pipe in pieces of these sizes, again and again.
fn run_through_a_pipe(geometry: Geometry, chunk: usize, how: How, size: usize, pieces: &[usize]) {
    let (path, source, mut writer) = pipe_source();
    let pieces = pieces.to_vec();
    let writing = std::thread::spawn(move || {
        let mut left = content(size);
        for piece in pieces.iter().cycle() {
            if left.is_empty() {
                return;
            }
            let (now, later) = left.split_at(left.len().min(*piece));
            writer.write_all(now).unwrap();
            left = later;
        }
    });
    let asked = Asked {
        sizes: BTreeMap::from([(path.clone(), u32::try_from(size).unwrap())]),
        ..Asked::new(geometry)
    };
    let done = run(source, asked, how);
    writing.join().unwrap();
    assert_eq!(done.report.failures, 0, "{:?}", done.errors);
    let seen = &done.seen[&path];
    assert_eq!(seen.bytes(geometry.align), size as u64, "{how:?}");
    assert!(seen
        .parts
        .iter()
        .all(|part| part.own.end - part.own.start <= chunk as u64));
    assert!(matches!(seen.end, Some(FileEnd::Complete { bytes }) if bytes == size as u64));
    assert_eq!(done.report.bytes, size as u64);
}

#[test]
fn chunks_of_a_stream_see_what_is_around_them() {
    for chunk in [4096, 8192, 64 << 10] {
        for (before, after, align) in AROUND {
            let geometry = halo(before, after, align);
            for size in sizes(geometry, chunk) {
                for how in How::all(chunk).filter(|how| !how.direct) {
                    for pieces in [&[1 << 20][..], &[1, 3, 509, 4095, 4097, 70_001]] {
                        run_through_a_pipe(geometry, chunk, how, size, pieces);
                    }
                }
            }
        }
    }
}

#[test]
fn small_chunks_of_a_stream_see_what_is_around_them() {
    for (max_chunk, align) in [(1, 1), (16, 16), (3000, 8)] {
        for (before, after) in [(0, 0), (7, 5), (4096, 4096)] {
            let geometry = Geometry {
                max_chunk,
                ..halo(before, after, align)
            };
            for size in sizes(geometry, max_chunk) {
                for how in How::all(4096).filter(|how| !how.direct) {
                    for pieces in [&[1 << 20][..], &[1, 3, 509]] {
                        run_through_a_pipe(geometry, max_chunk, how, size, pieces);
                    }
                }
            }
        }
    }
}

/// Writes `first` bytes, and waits until `comes` of them have come to the job before the stream ends.
#[track_caller]
fn assert_comes_at_once(geometry: Geometry, first: usize, comes: u64) {
    let (path, source, mut writer) = pipe_source();
    let (sender, parts) = mpsc::channel();
    let sender = Mutex::new(sender);
    let mut asked = Asked::new(geometry);
    asked.flow = Box::new(move |part| {
        sender.lock().unwrap().send(part.own.end).unwrap();
        Flow::Continue
    });
    let ended = start(source, asked, How::slow(4096));
    writer.write_all(content(first)).unwrap();
    let mut reached = 0;
    while reached < comes {
        reached = Patience::new()
            .receive(&parts)
            .expect("what has landed does not come");
    }
    assert_eq!(reached, comes);
    drop(writer);
    let (done, wrong) = Patience::new().receive(&ended).unwrap().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(done.seen[&path].bytes(geometry.align), first as u64);
}

#[test]
fn what_is_there_of_a_stream_does_not_wait_for_more() {
    assert_comes_at_once(halo(0, 0, 1), 10, 10);
    assert_comes_at_once(halo(5, 0, 1), 10, 10);
    assert_comes_at_once(halo(0, 3, 1), 10, 7);
    assert_comes_at_once(halo(0, 3, 4), 10, 4);
    assert_comes_at_once(halo(64, 64, 64), 3 * 64, 2 * 64);
}
