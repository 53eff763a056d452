//! `io_uring_enter` fails in the middle of a run: at each call in turn, once or permanently. Every buffer must come
//! back, and nothing may wait for ever.

mod common;

use common::supervised::with_answers;
use common::{noise, pipe, Scratch};
use gristmill_ingest::reader::{
    ChunkReader, ReadOutcome, ReadPath, ReadPathChoice, ReaderConfig, NO_OFFSET,
};
use gristmill_ingest::{AsyncUringStream, GpuMappedBuffer, IoUringState, Iovec};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkMemory;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

const LEN: usize = 4096;
const CHUNKS: u32 = 8;
const ROUNDS: usize = 3;
/// The number of calls of a run without failures, plus some more.
const CALLS: u32 = 16;

/// Refuses call number `at`, counted from 0, with `errno`, and, if `for_good`, all that follow.
fn refusing(at: u32, errno: i32, for_good: bool) -> impl FnMut() -> Option<i32> {
    let mut call = 0;
    move || {
        let refused = call == at || for_good && call > at;
        call += 1;
        refused.then_some(errno)
    }
}

/// Whether an errno is temporary.
fn passes(errno: i32) -> bool {
    [libc::EAGAIN, libc::EBUSY, libc::ENOMEM].contains(&errno)
}

fn reader(depth: u32) -> Option<ChunkReader> {
    let path = ReadPathChoice::Only(ReadPath::RegisteredMappedRead);
    ChunkReader::new(ReaderConfig { depth, path })
        .map_err(gristmill_testing::skipped)
        .ok()
}

/// The sources that a test reads: a file (read past the page cache, if that is possible), and a pipe that stays silent
/// until the test writes to it.
struct Sources {
    _scratch: Scratch,
    bytes: Vec<u8>,
    cached: Arc<OwnedFd>,
    direct: Arc<OwnedFd>,
    pipe: (Arc<OwnedFd>, std::fs::File),
}

fn sources() -> Sources {
    let scratch = Scratch::new();
    let bytes = noise(CHUNKS as usize * LEN);
    let cached = scratch.file("file", &bytes);
    let direct = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_DIRECT)
        .open(scratch.0.join("file"))
        .map_or_else(|_| Arc::clone(&cached), |file| Arc::new(file.into()));
    Sources {
        bytes,
        cached,
        direct,
        pipe: pipe(libc::O_CLOEXEC),
        _scratch: scratch,
    }
}

/// The result of a run.
struct Ran {
    error: Option<PipelineError>,
    failed_reads: usize,
}

/// Reads the file several times, with a read of a pipe in flight; each time all buffers must come back. Stops at the
/// first error.
fn run(sources: &mut Sources) -> Option<Ran> {
    let mut reader = reader(CHUNKS)?;
    let (memory, mut free) = ChunkMemory::map(CHUNKS, LEN).unwrap();
    let mut ran = Ran {
        error: None,
        failed_reads: 0,
    };
    for round in 0..ROUNDS {
        let mut out = 0;
        while let Some(buffer) = free.pop() {
            let tag = free.len();
            let (file, offset) = match tag {
                0 => (&sources.pipe.0, NO_OFFSET),
                even if even % 2 == 0 => (&sources.direct, (tag * LEN) as u64),
                _ => (&sources.cached, (tag * LEN) as u64),
            };
            let submitted =
                reader.submit(file, offset, buffer, LEN, tag as u64, tag > 3 && round > 0);
            match submitted {
                Ok(()) => out += 1,
                Err((buffer, error)) => {
                    ran.error.get_or_insert(error);
                    free.push(buffer);
                    break;
                }
            }
        }
        if let Err(error) = reader.flush() {
            ran.error.get_or_insert(error);
        }
        while reader.inflight() > 0 {
            if reader.inflight() == 1 && ran.error.is_none() {
                sources.pipe.1.write_all(b"at last").unwrap();
            }
            if let Err(error) = reader.wait(Duration::from_secs(1)) {
                let first = ran.error.is_none();
                ran.error.get_or_insert(error);
                assert!(first, "told twice");
            }
            while let Some(landed) = reader.poll() {
                ran.failed_reads += usize::from(landed.error.is_some());
                check(&landed, &sources.bytes);
                free.push(landed.buffer);
                out -= 1;
            }
        }
        assert_eq!((out, free.len()), (0, CHUNKS as usize));
        if ran.error.is_some() || ran.failed_reads > 0 {
            let buffer = free.pop().unwrap();
            let refused = reader.submit(&sources.cached, 0, buffer, LEN, 0, false);
            let (buffer, error) = refused.unwrap_err();
            free.push(buffer);
            ran.error.get_or_insert(error);
            break;
        }
        free.sort_by_key(|buffer| buffer.index());
    }
    drop(reader);
    drop(free);
    // The only reference is that of this function, so nothing was leaked.
    assert_eq!(Arc::strong_count(&memory), 1);
    Some(ran)
}

fn check(landed: &ReadOutcome, bytes: &[u8]) {
    let tag = usize::try_from(landed.tag).unwrap();
    let expected = match tag {
        0 => &b"at last"[..],
        _ => &bytes[tag * LEN..],
    };
    assert!(expected.starts_with(&landed.buffer.as_slice()[..landed.bytes]));
    if landed.error.is_none() {
        assert!(landed.bytes == if tag == 0 { 7 } else { LEN });
    }
}

#[test]
fn every_buffer_comes_back_wherever_the_kernel_begins_to_refuse() {
    std::thread::scope(|scope| {
        let fatal = [libc::EPERM, libc::ENOSYS, libc::EINVAL];
        let passing = [libc::ENOMEM, libc::EAGAIN, libc::EBUSY];
        for errno in fatal.into_iter().chain(passing) {
            for for_good in [false, true] {
                scope.spawn(move || {
                    for at in 0..CALLS {
                        let mut sources = sources();
                        let mut calls = 0;
                        let mut answer = refusing(at, errno, for_good);
                        let counted = || {
                            calls += 1;
                            answer()
                        };
                        let mut ran = None;
                        with_answers(counted, || ran = run(&mut sources));
                        let Some(ran) = ran else { return };
                        let hit = calls > at;
                        let fails = hit && (for_good || !passes(errno));
                        let found = ran.error.as_ref().map(|error| match error {
                            PipelineError::IoUringSyscall { errno, .. } => *errno,
                            other => panic!("{other}"),
                        });
                        let case = format!("call {at}, errno {errno}, for good: {for_good}");
                        if fails {
                            assert_eq!(found, Some(errno), "{case}");
                        } else {
                            assert_eq!((found, ran.failed_reads), (None, 0), "{case}");
                        }
                        if !hit || for_good && passes(errno) && at > 3 {
                            // No run makes more calls. Besides, the queue waits for temporary refusals to end, which
                            // takes long.
                            return;
                        }
                    }
                });
            }
        }
    });
}

#[test]
fn a_reader_that_is_dropped_after_a_refusal_ends_and_leaks_nothing() {
    for errno in [libc::EPERM, libc::EAGAIN] {
        let sources = sources();
        // The first call submits the reads. All calls after it are refused.
        with_answers(refusing(1, errno, true), || {
            let Some(mut reader) = reader(CHUNKS) else {
                return;
            };
            let (memory, chunks) = ChunkMemory::map(2, LEN).unwrap();
            let files = [
                (&sources.pipe.0, NO_OFFSET, 0),
                (&sources.direct, LEN as u64, 1),
            ];
            for (buffer, (file, offset, tag)) in chunks.into_iter().zip(files) {
                let submitted = reader.submit(file, offset, buffer, LEN, tag, false);
                submitted.map_err(|(_, error)| error).unwrap();
            }
            reader.flush().unwrap();
            drop(reader);
            assert_eq!(Arc::strong_count(&memory), 1);
        });
    }
}

#[test]
fn a_stream_over_borrowed_memory_ends_when_the_kernel_has_let_go_of_it() {
    let (silent, writer) = pipe(libc::O_CLOEXEC);
    with_answers(refusing(1, libc::EPERM, true), || {
        let Ok(state) = IoUringState::new(4).map_err(gristmill_testing::skipped) else {
            return;
        };
        let tail = AtomicU32::new(0);
        let mut memory = vec![0; LEN];
        {
            // SAFETY: the memory is not touched until the stream is dropped, at the end of this block.
            let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
            let mut stream = AsyncUringStream::new(state, buffer, &tail);
            let mut iovec = [Iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }];
            // SAFETY: the pipe stays open, and the stream is dropped.
            let submitted = unsafe {
                stream.submit_read_to_gpu(silent.as_raw_fd(), NO_OFFSET, 64, 0, &mut iovec)
            };
            submitted.unwrap();
            stream.flush_submissions().unwrap();
            assert_eq!(stream.inflight(), 1);
        }
        // Bytes written now find no reader.
        (&writer).write_all(b"late").unwrap();
        assert_eq!((tail.load(Ordering::Acquire), memory), (0, vec![0; LEN]));
    });
}
