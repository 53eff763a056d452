//! `ChunkReader` against the real kernel, on both paths.

mod common;

use common::{in_child, noise, pipe, Scratch};
use gristmill_ingest::reader::{
    is_on_fuse, ChunkReader, ReadOutcome, ReadPath, ReadPathChoice, ReaderConfig, NO_OFFSET,
};
use gristmill_ingest::NativeReadPath;
use gristmill_protocol::PipelineError;
use gristmill_ring::{ChunkBuf, ChunkMemory};
use gristmill_testing::Patience;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LONG: Duration = Duration::from_secs(600);

/// Makes readers for both paths, or only for the second one if the kernel refuses io_uring.
fn readers(depth: u32) -> Vec<ChunkReader> {
    let make = |path| ChunkReader::new(ReaderConfig { depth, path });
    let mut readers = vec![make(ReadPathChoice::Only(ReadPath::PositionedRead)).unwrap()];
    match make(ReadPathChoice::Only(ReadPath::RegisteredMappedRead)) {
        Ok(reader) => readers.push(reader),
        Err(error) => gristmill_testing::skipped(format_args!("io_uring: {error}")),
    }
    readers
}

fn uring(depth: u32) -> Option<ChunkReader> {
    readers(depth)
        .pop()
        .filter(|reader| reader.path() == NativeReadPath::RegisteredMappedRead)
}

fn chunks(count: u32, bytes: usize) -> Vec<ChunkBuf> {
    ChunkMemory::map(count, bytes).unwrap().1
}

fn submit(
    reader: &mut ChunkReader,
    file: &Arc<OwnedFd>,
    offset: u64,
    chunk: ChunkBuf,
    tag: u64,
    registered: bool,
) {
    let len = chunk.capacity();
    reader
        .submit(file, offset, chunk, len, tag, registered)
        .map_err(|(_, error)| error)
        .unwrap();
}

fn next(reader: &mut ChunkReader) -> ReadOutcome {
    let mut patience = Patience::new();
    loop {
        if let Some(landed) = reader.poll() {
            return landed;
        }
        patience.check(&reader);
        reader.wait(Duration::from_secs(1)).unwrap();
    }
}

/// Checks that nobody holds the pipe's reading end. It tries repeatedly, because the kernel may release it a moment
/// later, and a child process that another test starts holds it until it executes its program.
fn assert_pipe_is_closed(writer: &mut std::fs::File) {
    let mut patience = Patience::new();
    loop {
        match writer.write_all(b"x") {
            Ok(()) => std::thread::sleep(Duration::from_millis(1)),
            Err(error) => {
                assert_eq!(error.raw_os_error(), Some(libc::EPIPE));
                return;
            }
        }
        patience.check("somebody keeps the pipe open");
    }
}

/// Reads a whole file with as many reads in flight as there are chunks, and reassembles it.
fn read_all(
    reader: &mut ChunkReader,
    file: &Arc<OwnedFd>,
    mut free: Vec<ChunkBuf>,
    registered: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut offset = 0;
    let mut ended = false;
    loop {
        while let Some(chunk) = free.pop().filter(|_| !ended) {
            let len = chunk.capacity() as u64;
            submit(reader, file, offset, chunk, offset, registered);
            offset += len;
        }
        if reader.inflight() == 0 {
            return bytes;
        }
        reader.flush().unwrap();
        let landed = next(reader);
        assert_eq!(landed.error, None);
        assert_eq!(landed.end, landed.bytes < landed.buffer.capacity());
        ended |= landed.end;
        let at = landed.tag as usize;
        if landed.bytes > 0 {
            bytes.resize(bytes.len().max(at + landed.bytes), 0);
            bytes[at..at + landed.bytes].copy_from_slice(&landed.buffer.as_slice()[..landed.bytes]);
        }
        free.push(landed.buffer);
    }
}

#[test]
fn a_file_comes_back_byte_for_byte_whatever_its_length() {
    let scratch = Scratch::new();
    for len in [0, 1, 4095, 4096, 4097, 8192, 65_536, 1_000_003] {
        let bytes = noise(len);
        let file = scratch.file("f", &bytes);
        for mut reader in readers(8) {
            for registered in [false, true] {
                let read = read_all(&mut reader, &file, chunks(8, 4096), registered);
                assert!(read == bytes, "{len} bytes, {:?}", reader.path());
            }
        }
    }
}

#[test]
fn a_file_opened_with_o_direct_comes_back_whole_although_it_ends_inside_of_a_block() {
    use std::os::unix::fs::OpenOptionsExt;
    let scratch = Scratch::new();
    for len in [0, 10, 4096, 10_000, 65_536, 65_537] {
        let bytes = noise(len);
        drop(scratch.file("f", &bytes));
        let opened = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(scratch.0.join("f"));
        let file: Arc<OwnedFd> = match opened {
            Ok(file) => Arc::new(file.into()),
            Err(error) => {
                gristmill_testing::skipped(format_args!(
                    "O_DIRECT on {}: {error}",
                    scratch.0.display()
                ));
                return;
            }
        };
        for mut reader in readers(4) {
            let read = read_all(&mut reader, &file, chunks(4, 16384), true);
            assert!(read == bytes, "{len} bytes, {:?}", reader.path());
        }
    }
}

#[test]
fn registered_reads_are_fixed_reads_and_others_are_not() {
    let scratch = Scratch::new();
    let bytes = noise(1 << 20);
    let file = scratch.file("f", &bytes);
    let Some(mut reader) = uring(4) else { return };
    let (_, mut free) = ChunkMemory::map(8, 64 << 10).unwrap();
    let rest = free.split_off(4);
    assert!(read_all(&mut reader, &file, free, true) == bytes);
    let stats = reader.stats();
    assert_eq!(stats.unregistered_reason, None);
    assert_eq!((stats.bytes_registered, stats.bytes_mapped), (1 << 20, 0));
    assert!(read_all(&mut reader, &file, rest, false) == bytes);
    let stats = reader.stats();
    assert_eq!(
        (stats.bytes_registered, stats.bytes_mapped),
        (1 << 20, 1 << 20)
    );
    assert_eq!(stats.depth_max, 4);
    assert!(stats.mean_depth() > 1.0 && stats.mean_depth() <= 4.0);
}

#[test]
fn positioned_reads_say_that_their_depth_is_one() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(100_000));
    let mut reader = readers(8).swap_remove(0);
    read_all(&mut reader, &file, chunks(8, 4096), true);
    let stats = reader.stats();
    assert_eq!(stats.bytes_positioned, 100_000);
    assert_eq!(stats.bytes(), 100_000);
    assert_eq!((stats.depth_max, stats.depth_sum), (1, stats.reads));
}

#[test]
fn completions_out_of_order_find_their_reads() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[7; 100]);
    for mut reader in readers(4) {
        let mut free = chunks(2, 4096);
        let (stream, mut writer) = pipe(libc::O_CLOEXEC);
        submit(&mut reader, &stream, NO_OFFSET, free.remove(0), 1, true);
        submit(&mut reader, &file, 0, free.remove(0), 2, true);
        let first = next(&mut reader);
        assert_eq!((first.tag, first.bytes, first.end), (2, 100, true));
        assert_eq!(&first.buffer.as_slice()[..100], &[7; 100]);
        writer.write_all(b"late").unwrap();
        drop(writer);
        let second = next(&mut reader);
        assert_eq!((second.tag, second.bytes, second.end), (1, 4, false));
        assert_eq!(&second.buffer.as_slice()[..4], b"late");
    }
}

#[test]
fn what_a_stream_has_lands_at_once_until_it_ends() {
    for (flags, name) in [(0, "blocking"), (libc::O_NONBLOCK, "non-blocking")] {
        for mut reader in readers(4) {
            let bytes = noise(10_000);
            let (stream, mut writer) = pipe(flags | libc::O_CLOEXEC);
            let sent = bytes.clone();
            let sender = std::thread::spawn(move || {
                for piece in sent.chunks(997) {
                    writer.write_all(piece).unwrap();
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let mut read = Vec::new();
            let mut chunk = chunks(1, 4096).remove(0);
            loop {
                submit(&mut reader, &stream, NO_OFFSET, chunk, 0, true);
                let landed = next(&mut reader);
                assert_eq!(landed.error, None, "{name} {:?}", reader.path());
                assert_eq!(landed.end, landed.bytes == 0);
                read.extend_from_slice(&landed.buffer.as_slice()[..landed.bytes]);
                chunk = landed.buffer;
                if landed.end {
                    break;
                }
            }
            sender.join().unwrap();
            assert!(read == bytes, "{name} {:?}", reader.path());
        }
    }
}

#[test]
fn a_read_that_would_block_is_asked_for_again_when_it_would_not() {
    let scratch = Scratch::new();
    let path = scratch.0.join("f");
    std::fs::write(&path, "x").unwrap();
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    for mut reader in readers(4) {
        // SAFETY: takes a number; the descriptor that comes back is nobody else's.
        let inotify = unsafe {
            use std::os::fd::FromRawFd;
            let fd = libc::inotify_init1(libc::IN_NONBLOCK | libc::IN_CLOEXEC);
            assert!(fd >= 0);
            Arc::new(OwnedFd::from_raw_fd(fd))
        };
        // SAFETY: `name` is a string that lives through the call.
        let watch = unsafe {
            use std::os::fd::AsRawFd;
            libc::inotify_add_watch(inotify.as_raw_fd(), name.as_ptr(), libc::IN_MODIFY)
        };
        assert!(watch >= 0);
        // One event without a name.
        submit(
            &mut reader,
            &inotify,
            NO_OFFSET,
            chunks(1, 16).remove(0),
            0,
            false,
        );
        reader.wait(Duration::from_millis(20)).unwrap();
        assert!(reader.poll().is_none());
        std::fs::write(&path, "y").unwrap();
        let landed = next(&mut reader);
        assert_eq!(
            (landed.error, landed.bytes),
            (None, 16),
            "{:?}",
            reader.path()
        );
    }
}

#[test]
fn a_file_read_as_a_stream_goes_on_where_the_last_read_ended() {
    let scratch = Scratch::new();
    let bytes = noise(10_000);
    for mut reader in readers(2) {
        let file = scratch.file("f", &bytes);
        let mut chunk = chunks(1, 4096).remove(0);
        let mut read = Vec::new();
        loop {
            submit(&mut reader, &file, NO_OFFSET, chunk, 0, false);
            let landed = next(&mut reader);
            assert_eq!(landed.error, None);
            read.extend_from_slice(&landed.buffer.as_slice()[..landed.bytes]);
            chunk = landed.buffer;
            if landed.end {
                break;
            }
        }
        assert!(read == bytes, "{:?}", reader.path());
    }
}

#[test]
fn an_error_is_that_reads_alone_and_brings_its_chunk_back() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[1; 10]);
    let directory: Arc<OwnedFd> = Arc::new(std::fs::File::open(&scratch.0).unwrap().into());
    for mut reader in readers(4) {
        let mut free = chunks(2, 4096);
        submit(&mut reader, &directory, 0, free.remove(0), 1, true);
        submit(&mut reader, &file, 0, free.remove(0), 2, true);
        let mut landed = [next(&mut reader), next(&mut reader)];
        landed.sort_by_key(|landed| landed.tag);
        let [bad, good] = landed;
        assert_eq!(
            (bad.error, bad.bytes, bad.end),
            (Some(libc::EISDIR), 0, false)
        );
        assert_eq!((good.error, good.bytes, good.end), (None, 10, true));
    }
}

#[test]
fn what_cannot_be_read_is_refused_with_its_chunk() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &[1; 10]);
    for mut reader in readers(1) {
        let mut free = chunks(3, 4096);
        let mut refused = |reader: &mut ChunkReader, file, offset, len| {
            let chunk = free.pop().unwrap();
            let (chunk, error) = reader
                .submit(file, offset, chunk, len, 0, false)
                .unwrap_err();
            free.push(chunk);
            error
        };
        for (offset, len) in [(0, 0), (0, 4097), (i64::MAX as u64, 1), (u64::MAX - 1, 1)] {
            let error = refused(&mut reader, &file, offset, len);
            assert!(
                matches!(error, PipelineError::InvalidArgument { .. }),
                "{error}"
            );
        }
        let (stream, _writer) = pipe(0);
        let chunk = chunks(1, 4096).remove(0);
        submit(&mut reader, &stream, NO_OFFSET, chunk, 0, false);
        let error = refused(&mut reader, &stream, NO_OFFSET, 10);
        assert!(
            matches!(error, PipelineError::InvalidArgument { .. }),
            "{error}"
        );
        let error = refused(&mut reader, &file, 0, 10);
        assert!(matches!(error, PipelineError::QueueFull { .. }), "{error}");
    }
}

#[test]
fn dropping_a_reader_whose_reads_never_end_is_prompt_and_lets_the_file_go() {
    for mut reader in readers(4) {
        let path = reader.path();
        let (stream, mut writer) = pipe(libc::O_CLOEXEC);
        let mut free = chunks(2, 4096);
        let memory = Arc::clone(free[0].memory());
        submit(&mut reader, &stream, NO_OFFSET, free.remove(0), 0, true);
        reader.flush().unwrap();
        reader.wait(Duration::from_millis(20)).unwrap();
        assert_eq!(reader.inflight(), 1);
        drop((stream, free));
        drop(reader);
        // The read held the last reference to the pipe's reading end and to the arena. If it had been left behind, it
        // would still hold them.
        assert_eq!(Arc::strong_count(&memory), 1, "{path:?}");
        assert_pipe_is_closed(&mut writer);
    }
}

#[test]
fn dropping_a_reader_before_and_right_after_flush_is_safe() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(1 << 20));
    for flush in [false, true] {
        for mut reader in readers(8) {
            for (tag, chunk) in (0..).zip(chunks(8, 64 << 10)) {
                submit(&mut reader, &file, tag * 65536, chunk, tag, true);
            }
            if flush {
                reader.flush().unwrap();
            }
        }
    }
}

#[test]
fn a_file_read_often_gets_a_slot_which_keeps_it_open_no_longer_than_its_owners() {
    let Some(mut reader) = uring(4) else { return };
    let (stream, mut writer) = pipe(libc::O_CLOEXEC);
    let mut chunk = chunks(1, 8).remove(0);
    for _ in 0..10 {
        writer.write_all(b"12345678").unwrap();
        submit(&mut reader, &stream, NO_OFFSET, chunk, 0, false);
        chunk = next(&mut reader).buffer;
        assert_eq!(chunk.as_slice(), b"12345678");
    }
    assert_eq!(reader.stats().fixed_files, 1);
    drop(stream);
    reader.flush().unwrap();
    assert_eq!(reader.stats().fixed_files, 0);
    assert_pipe_is_closed(&mut writer);
}

#[test]
fn a_wait_ends_with_its_timeout_and_with_nothing_in_flight() {
    for mut reader in readers(4) {
        let started = Instant::now();
        reader.wait(LONG).unwrap();
        let (stream, _writer) = pipe(0);
        submit(
            &mut reader,
            &stream,
            NO_OFFSET,
            chunks(1, 16).remove(0),
            0,
            false,
        );
        reader.wait(Duration::from_millis(30)).unwrap();
        assert!(reader.poll().is_none());
        let elapsed = started.elapsed();
        assert!(
            elapsed >= Duration::from_millis(25) && elapsed < LONG,
            "{elapsed:?}"
        );
    }
}

#[test]
fn many_small_files_take_few_system_calls() {
    let scratch = Scratch::new();
    let Some(mut reader) = uring(16) else { return };
    for (tag, chunk) in (0..).zip(chunks(16, 8192)) {
        let file = scratch.file(&format!("{tag}"), &noise(4096));
        submit(&mut reader, &file, 0, chunk, tag, false);
    }
    reader.flush().unwrap();
    for _ in 0..16 {
        let landed = next(&mut reader);
        assert_eq!((landed.bytes, landed.end), (4096, true));
    }
    assert!(reader.stats().enters <= 6, "{:?}", reader.stats());
}

fn where_io_uring_is_refused(test: &str, errno: i32, hint: &str) {
    if in_child(test).is_some() {
        return;
    }
    let scratch = Scratch::new();
    let file = scratch.file("f", b"bytes");
    common::refuse_io_uring(errno);
    let mut reader = ChunkReader::new(ReaderConfig::default()).unwrap();
    assert_eq!(reader.path(), NativeReadPath::PositionedRead);
    let why = reader.why().unwrap();
    assert!(
        why.contains("io_uring_setup") && why.contains(hint),
        "{why}"
    );
    assert_eq!(
        read_all(&mut reader, &file, chunks(2, 4096), true),
        b"bytes"
    );
    assert_eq!(reader.stats().bytes_positioned, 5);
    let demanded = ChunkReader::new(ReaderConfig {
        path: ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
        ..ReaderConfig::default()
    });
    assert!(matches!(
        demanded,
        Err(PipelineError::IoUringSyscall { syscall: "io_uring_setup", errno: e, .. }) if e == errno
    ));
}

#[test]
fn io_uring_forbidden_by_seccomp_means_positioned_reads_and_a_reason() {
    where_io_uring_is_refused(
        "io_uring_forbidden_by_seccomp_means_positioned_reads_and_a_reason",
        libc::EPERM,
        "seccomp",
    );
}

#[test]
fn io_uring_hidden_by_a_sandbox_means_positioned_reads_and_a_reason() {
    where_io_uring_is_refused(
        "io_uring_hidden_by_a_sandbox_means_positioned_reads_and_a_reason",
        libc::ENOSYS,
        "Linux 5.11",
    );
}

#[test]
fn an_ordinary_users_memory_lock_limit_is_named_and_reads_go_on_unregistered() {
    if in_child("an_ordinary_users_memory_lock_limit_is_named_and_reads_go_on_unregistered")
        .is_some()
    {
        return;
    }
    let scratch = Scratch::new();
    let bytes = noise(3 << 20);
    let file = scratch.file("f", &bytes);
    drop(scratch);
    if !common::become_nobody(1 << 20) {
        gristmill_testing::skipped("this user cannot become another one");
        return;
    }
    let Some(mut reader) = uring(16) else { return };
    assert!(read_all(&mut reader, &file, chunks(16, 256 << 10), true) == bytes);
    let stats = reader.stats();
    let reason = stats.unregistered_reason.clone().unwrap();
    assert!(
        reason.contains("1048576") && reason.contains("ulimit -l"),
        "{reason}"
    );
    assert!(stats.bytes_mapped > 0, "{stats:?}");
    assert_eq!(stats.bytes_mapped + stats.bytes_registered, 3 << 20);
}

extern "C" fn ignore(_: libc::c_int) {}

#[test]
fn signals_that_interrupt_system_calls_lose_nothing() {
    if in_child("signals_that_interrupt_system_calls_lose_nothing").is_some() {
        return;
    }
    // SAFETY: an all-zero sigaction is a valid one: no flags (so no restart), no mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = ignore as *const () as usize;
    let every_millisecond = libc::timeval {
        tv_sec: 0,
        tv_usec: 1000,
    };
    let timer = libc::itimerval {
        it_interval: every_millisecond,
        it_value: every_millisecond,
    };
    // SAFETY: both structures are valid through the calls, and the handler does nothing at all.
    unsafe {
        assert_eq!(
            libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()),
            0
        );
        assert_eq!(
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()),
            0
        );
    }
    let bytes = noise(100_000);
    for mut reader in readers(4) {
        let (stream, mut writer) = pipe(libc::O_CLOEXEC);
        let sent = bytes.clone();
        let sender = std::thread::spawn(move || {
            for piece in sent.chunks(1000) {
                writer.write_all(piece).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let mut read = Vec::new();
        let mut chunk = chunks(1, 4096).remove(0);
        loop {
            submit(&mut reader, &stream, NO_OFFSET, chunk, 0, true);
            let landed = next(&mut reader);
            assert_eq!(landed.error, None);
            read.extend_from_slice(&landed.buffer.as_slice()[..landed.bytes]);
            chunk = landed.buffer;
            if landed.end {
                break;
            }
        }
        sender.join().unwrap();
        assert!(read == bytes, "{:?}", reader.path());
    }
}

#[test]
fn the_probe_and_the_reader_agree() {
    let probe = gristmill_ingest::probe();
    assert_eq!(probe.is_available(), uring(1).is_some());
    if probe.is_available() {
        assert!(probe.has_registered_files());
    }
}

#[test]
fn a_file_whose_file_system_cannot_be_asked_is_taken_for_one_on_fuse() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(100));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(!is_on_fuse(file.as_ref()));
            common::refuse(libc::SYS_fstatfs as u32, libc::EPERM);
            assert!(is_on_fuse(file.as_ref()));
        });
    });
}

/// If the size of a file is known, one read is enough to find its end. If the file has another size by now, it is
/// nevertheless read to its end.
#[test]
fn a_first_read_ends_where_the_file_was_seen_to_end_and_nowhere_else() {
    let scratch = Scratch::new();
    let bytes = noise(10_000);
    let file = scratch.file("file", &bytes);
    for mut reader in readers(4) {
        for (told, reads) in [(10_000, 1), (0, 2), (4096, 2), (20_000, 2), (1 << 40, 2)] {
            let chunk = chunks(1, 65_536).pop().unwrap();
            let before = reader.stats().reads;
            reader
                .submit_first(&file, chunk, 65_536, 1, told)
                .map_err(|(_, error)| error)
                .unwrap();
            reader.flush().unwrap();
            let landed = next(&mut reader);
            assert!(landed.end && landed.error.is_none(), "{told}: {landed:?}");
            assert_eq!(landed.buffer.as_slice()[..landed.bytes], bytes);
            assert_eq!(reader.stats().reads - before, reads, "told {told}");
        }
        // A read that fills its chunk has not reached the end.
        let chunk = chunks(1, 4096).pop().unwrap();
        reader
            .submit_first(&file, chunk, 4096, 1, 4096)
            .map_err(|(_, error)| error)
            .unwrap();
        reader.flush().unwrap();
        assert!(!next(&mut reader).end);
    }
}
