//! `AsyncUringStream` against the real kernel.

mod common;

use common::{in_child, noise, pipe, Scratch};
use gristmill_ingest::{AsyncUringStream, GpuMappedBuffer, IoUringState, Iovec};
use gristmill_protocol::PipelineError;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

const NO_IOVEC: Iovec = Iovec {
    iov_base: std::ptr::null_mut(),
    iov_len: 0,
};

/// Runs `check` with a stream over `bytes` bytes; returns the memory and the tail afterwards.
fn with_stream(
    entries: u32,
    bytes: usize,
    check: impl FnOnce(&mut AsyncUringStream<'_>, &AtomicU32),
) -> (Vec<u8>, u32) {
    let mut memory = vec![0xEE; bytes];
    let tail = AtomicU32::new(0);
    match IoUringState::new(entries) {
        Ok(state) => {
            // SAFETY: `memory` is not touched until the stream is dropped, at the end of this block.
            let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
            let mut stream = AsyncUringStream::new(state, buffer, &tail);
            check(&mut stream, &tail);
        }
        Err(error) => gristmill_testing::skipped(format_args!("io_uring: {error}")),
    }
    (memory, tail.into_inner())
}

/// Submits a read of chunk `chunk`; the caller keeps `file` open until the stream is done with it.
fn submit(
    stream: &mut AsyncUringStream<'_>,
    file: &impl AsRawFd,
    offset: u64,
    len: u32,
    chunk: usize,
) -> Result<Iovec, PipelineError> {
    let mut iovs = [NO_IOVEC];
    // SAFETY: the tests keep their files open and leave the memory alone until the stream is dropped.
    unsafe { stream.submit_read_to_gpu(file.as_raw_fd(), offset, len, chunk, &mut iovs) }?;
    Ok(iovs[0])
}

/// Polls until nothing is in flight.
fn finish(stream: &mut AsyncUringStream<'_>) -> Result<u32, PipelineError> {
    let mut landed = 0;
    while stream.inflight() > 0 {
        stream.wait_for_completion()?;
        landed += stream.poll()?;
    }
    Ok(landed)
}

#[test]
fn reads_land_in_their_chunks_by_fixed_reads_and_raise_the_tail() {
    let scratch = Scratch::new();
    let bytes = noise(4 * 4096);
    let file = scratch.file("f", &bytes);
    let (memory, tail) = with_stream(4, 4 * 4096, |stream, tail| {
        for chunk in 0..4 {
            let iovec = submit(stream, &file, (3 - chunk as u64) * 4096, 4096, chunk).unwrap();
            assert_eq!(iovec.iov_len, 4096);
        }
        assert_eq!((stream.inflight(), tail.load(Ordering::Acquire)), (4, 0));
        stream.flush_submissions().unwrap();
        assert_eq!(finish(stream).unwrap(), 4);
        let stats = stream.stats();
        assert_eq!((stats.bytes_registered, stats.bytes_mapped), (4 * 4096, 0));
        assert_eq!((stats.reads, stats.depth_max), (4, 4));
        assert_eq!(stats.unregistered_reason, None);
    });
    if tail > 0 {
        assert_eq!(tail, 4);
        for chunk in 0..4 {
            let (at, from) = (chunk * 4096, (3 - chunk) * 4096);
            assert!(memory[at..at + 4096] == bytes[from..from + 4096]);
        }
    }
}

#[test]
fn a_target_anywhere_is_read_into_and_nothing_beside_it() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"0123456789");
    let (memory, tail) = with_stream(4, 64, |stream, _| {
        let mut iovs = [NO_IOVEC];
        // SAFETY: as in `submit`.
        unsafe { stream.submit_read_to_gpu_at(file.as_raw_fd(), 2, 5, 30, &mut iovs) }.unwrap();
        assert_eq!(finish(stream).unwrap(), 1);
    });
    if tail > 0 {
        assert_eq!(&memory[29..36], b"\xEE23456\xEE");
    }
}

#[test]
fn what_does_not_fit_is_refused_as_full() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[1; 100]);
    with_stream(2, 100, |stream, _| {
        let full = |result: Result<(), PipelineError>| {
            assert!(
                matches!(result, Err(PipelineError::QueueFull { .. })),
                "{result:?}"
            );
        };
        let fd = file.as_raw_fd();
        // SAFETY: as in `submit`, here and below.
        full(unsafe { stream.submit_read_to_gpu(fd, 0, 10, 0, &mut []) });
        full(submit(stream, &file, 0, 10, 10).map(drop));
        full(submit(stream, &file, 0, 101, 0).map(drop));
        full(submit(stream, &file, 0, 10, usize::MAX).map(drop));
        // SAFETY: as in `submit`.
        full(unsafe { stream.submit_read_to_gpu_at(fd, 0, 10, u64::MAX, &mut [NO_IOVEC]) });
        assert_eq!(stream.inflight(), 0);
        submit(stream, &file, 0, 10, 0).unwrap();
        submit(stream, &file, 0, 10, 1).unwrap();
        full(submit(stream, &file, 0, 10, 2).map(drop));
        assert_eq!(finish(stream).unwrap(), 2);
        submit(stream, &file, 0, 10, 2).unwrap();
    });
}

#[test]
fn a_fixed_read_uses_the_registered_buffer_that_it_names_or_fails() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[7; 100]);
    let (memory, tail) = with_stream(4, 100, |stream, _| {
        let fd = file.as_raw_fd();
        // SAFETY: as in `submit`, here and below.
        let wrong = unsafe { stream.submit_read_fixed(fd, 0, 10, 1, 1) };
        assert!(
            matches!(wrong, Err(PipelineError::QueueFull { .. })),
            "{wrong:?}"
        );
        // SAFETY: as in `submit`.
        unsafe { stream.submit_read_fixed(fd, 0, 10, 1, 0) }.unwrap();
        assert_eq!(finish(stream).unwrap(), 1);
        assert_eq!(stream.stats().bytes_registered, 10);
    });
    if tail > 0 {
        assert_eq!(
            &memory[9..21],
            b"\xEE\x07\x07\x07\x07\x07\x07\x07\x07\x07\x07\xEE"
        );
    }
}

#[test]
fn a_failed_read_is_named_and_the_others_land() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[1; 100]);
    let directory = std::fs::File::open(&scratch.0).unwrap();
    let (_, tail) = with_stream(4, 40, |stream, tail| {
        submit(stream, &directory, 20, 10, 0).unwrap();
        for chunk in 1..4 {
            submit(stream, &file, 0, 10, chunk).unwrap();
        }
        stream.flush_submissions().unwrap();
        let mut errors = Vec::new();
        while stream.inflight() > 0 {
            stream.wait_until_ready().unwrap();
            errors.extend(stream.poll().err());
        }
        assert_eq!(errors.len(), 1);
        let PipelineError::Read {
            path,
            offset,
            errno,
            reason,
        } = &errors[0]
        else {
            panic!("{:?}", errors[0]);
        };
        assert_eq!((path.as_str(), *offset), (scratch.0.to_str().unwrap(), 20));
        assert!(reason.contains("os error 21"), "{reason}");
        assert_eq!(*errno, Some(libc::EISDIR));
        assert_eq!(tail.load(Ordering::Acquire), 3);
    });
    assert!(tail == 0 || tail == 3);
}

#[test]
fn a_short_read_at_the_end_of_a_file_has_landed() {
    let scratch = Scratch::new();
    let file = scratch.file("f", b"abc");
    let (memory, tail) = with_stream(4, 10, |stream, _| {
        submit(stream, &file, 0, 10, 0).unwrap();
        assert_eq!(finish(stream).unwrap(), 1);
    });
    assert!(tail == 0 || memory.starts_with(b"abc\xEE"));
}

#[test]
fn waiting_ends_when_the_first_read_is_over() {
    with_stream(4, 20, |stream, _| {
        let (reading, mut writer) = pipe(0);
        let (silent, _silent_writer) = pipe(0);
        submit(stream, &silent, u64::MAX, 10, 0).unwrap();
        submit(stream, &reading, u64::MAX, 10, 1).unwrap();
        let sender = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            writer.write_all(b"0123456789").unwrap();
        });
        let started = Instant::now();
        stream.wait_for_completion().unwrap();
        assert!(started.elapsed() >= Duration::from_millis(40));
        assert_eq!(stream.poll().unwrap(), 1);
        assert_eq!(stream.inflight(), 1);
        sender.join().unwrap();
    });
}

#[test]
fn dropping_a_stream_whose_read_never_ends_is_prompt_and_nothing_lands_afterwards() {
    let (reading, mut writer) = pipe(0);
    // If this waited for the pipe, it would never return.
    let (mut memory, tail) = with_stream(4, 10, |stream, _| {
        submit(stream, &reading, u64::MAX, 10, 0).unwrap();
        stream.flush_submissions().unwrap();
        assert_eq!(stream.poll().unwrap(), 0);
    });
    assert_eq!(tail, 0);
    memory.fill(1);
    writer.write_all(b"0123456789").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(memory, [1; 10]);
}

#[test]
fn bytes_carved_out_for_another_owner_are_no_target() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[9; 100]);
    let Ok(state) = IoUringState::new(2) else {
        gristmill_testing::skipped("io_uring is refused");
        return;
    };
    let mut memory = vec![0; 40];
    let tail = AtomicU32::new(0);
    {
        // SAFETY: `memory` is not touched until buffer and stream are dropped, at the end of this block.
        let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
        let part = buffer.sub_region(10, 10).unwrap();
        let mut stream = AsyncUringStream::new(state, buffer, &tail);
        assert!(submit(&mut stream, &file, 0, 10, 1).is_err());
        submit(&mut stream, &file, 0, 10, 2).unwrap();
        assert_eq!(finish(&mut stream).unwrap(), 1);
        drop(part);
        submit(&mut stream, &file, 0, 10, 1).unwrap();
        assert_eq!(finish(&mut stream).unwrap(), 1);
    }
    assert_eq!(memory, [[0; 10], [9; 10], [9; 10], [0; 10]].concat());
}

#[test]
fn a_buffer_above_the_memory_lock_limit_is_read_into_unregistered_and_that_is_named() {
    if in_child("a_buffer_above_the_memory_lock_limit_is_read_into_unregistered_and_that_is_named")
        .is_some()
    {
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.file("f", &[3; 100]);
    drop(scratch);
    if !common::become_nobody(64 << 10) {
        gristmill_testing::skipped("this user cannot become another one");
        return;
    }
    let (memory, tail) = with_stream(2, 1 << 20, |stream, _| {
        submit(stream, &file, 0, 100, 0).unwrap();
        // SAFETY: as in `submit`.
        let fixed = unsafe { stream.submit_read_fixed(file.as_raw_fd(), 0, 100, 1, 0) };
        assert!(
            matches!(
                fixed,
                Err(PipelineError::IoUringSyscall {
                    errno: libc::ENOMEM,
                    ..
                })
            ),
            "{fixed:?}"
        );
        assert_eq!(finish(stream).unwrap(), 1);
        let stats = stream.stats();
        assert_eq!((stats.bytes_registered, stats.bytes_mapped), (0, 100));
        let reason = stats.unregistered_reason.unwrap();
        assert!(
            reason.contains("65536") && reason.contains("ulimit -l"),
            "{reason}"
        );
    });
    assert!(tail == 0 || memory.starts_with(&[3; 100]));
}

#[test]
fn a_socket_or_pipe_is_read_from_where_it_stands_and_what_arrived_is_the_read() {
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    let near = Arc::new(OwnedFd::from(near));
    let (reading, mut writer) = pipe(0);
    let (memory, tail) = with_stream(4, 40, |stream, _| {
        for (chunk, (source, sink)) in
            [(&near, &mut far as &mut dyn Write), (&reading, &mut writer)]
                .into_iter()
                .enumerate()
        {
            for part in 0..2 {
                let chunk = 2 * chunk + part;
                // Sources of this kind have no offsets, so this one is ignored.
                submit(stream, source, 4096 * (1 + part as u64), 10, chunk).unwrap();
                let second = submit(stream, source, 0, 10, 3).unwrap_err();
                assert!(second.to_string().contains("socket or pipe"), "{second}");
                sink.write_all(&[b'a' + chunk as u8; 3]).unwrap();
                assert_eq!(finish(stream).unwrap(), 1);
            }
        }
    });
    let blank = [0xEE; 7];
    let expected = [*b"aaa", *b"bbb", *b"ccc", *b"ddd"].map(|bytes| [&bytes[..], &blank].concat());
    assert!(tail == 0 || (tail, memory) == (4, expected.concat()));
}

#[test]
fn waiting_while_reads_are_in_flight_ends_and_polling_counts_them_afterwards() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(40));
    with_stream(4, 40, |stream, tail| {
        for chunk in 0..4 {
            submit(stream, &file, 10 * chunk as u64, 10, chunk).unwrap();
        }
        while stream.inflight() > 0 {
            stream.wait_for_completion().unwrap();
        }
        assert_eq!(tail.load(Ordering::Acquire), 4);
        assert_eq!(stream.poll().unwrap(), 4);
        assert_eq!(stream.poll().unwrap(), 0);
        let directory = std::fs::File::open(&scratch.0).unwrap();
        submit(stream, &directory, 0, 10, 0).unwrap();
        let error = stream.wait_for_completion().unwrap_err();
        assert_eq!(error.errno(), Some(libc::EISDIR));
        stream.wait_for_completion().unwrap();
        assert_eq!(stream.inflight(), 0);
    });
}

#[test]
fn reads_are_told_by_the_numbers_they_were_submitted_with() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(35));
    let directory = std::fs::File::open(&scratch.0).unwrap();
    with_stream(8, 80, |stream, _| {
        let mut iovec = [NO_IOVEC];
        let (file, directory) = (file.as_raw_fd(), directory.as_raw_fd());
        // SAFETY: both stay open until all is over, below, and the stream is dropped.
        unsafe {
            stream
                .submit_read_to_gpu_at_with_user_data(file, 0, 10, 0, u64::MAX, &mut iovec)
                .unwrap();
            stream
                .submit_read_fixed_at(file, 30, 10, 15, 0, 77)
                .unwrap();
            stream
                .submit_read_to_gpu_at_with_user_data(directory, 0, 10, 40, 78, &mut iovec)
                .unwrap();
            stream
                .submit_read_to_gpu(file, 10, 10, 5, &mut iovec)
                .unwrap();
            stream
                .submit_read_to_gpu_at(file, 10, 10, 60, &mut iovec)
                .unwrap();
            stream.submit_read_fixed(file, 10, 10, 7, 0).unwrap();
        }
        let (mut told, mut round) = (Vec::new(), Vec::new());
        while stream.inflight() > 0 {
            stream.wait_until_ready().unwrap();
            stream.poll_completions_into(&mut round).unwrap();
            told.extend(round.drain(..).map(|read| {
                let outcome = read.outcome.map_err(|error| error.errno().unwrap());
                (read.user_data, outcome)
            }));
        }
        told.sort_unstable();
        let expected = [
            (5, Ok(10)),
            (7, Ok(10)),
            (60, Ok(10)),
            (77, Ok(5)),
            (78, Err(libc::EISDIR)),
            (u64::MAX, Ok(10)),
        ];
        assert_eq!(told, expected);
    });
}
