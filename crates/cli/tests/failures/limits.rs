//! Machines that refuse features that the tool would use: io_uring, locked memory.

use crate::world::{assert_rows_of_files, digest_row, hash, needle_rows, text, Scratch, Tool};
use std::io;

/// `io_uring_setup`, the same on every architecture.
const IO_URING_SETUP: u32 = 425;

impl Tool {
    /// Makes `io_uring_setup` fail with `errno`, as the filters of containers do.
    fn without_io_uring(self, errno: i32) -> Self {
        // SAFETY: `refuse_io_uring` makes two system calls and nothing else; its data lie on the stack.
        unsafe { self.after_fork(move || refuse_io_uring(errno)) }
    }

    /// Limits the memory that may be locked to `bytes` bytes.
    fn with_locked_memory(self, bytes: u64) -> Self {
        let limit = libc::rlimit {
            rlim_cur: bytes,
            rlim_max: bytes,
        };
        // SAFETY: the closure makes one system call and nothing else.
        unsafe {
            self.after_fork(move || {
                // SAFETY: `limit` is valid through the call.
                match libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            })
        }
    }
}

/// From now on `io_uring_setup` fails with `errno` on this thread and those that it starts. Allocates nothing.
pub fn refuse_io_uring(errno: i32) -> io::Result<()> {
    refuse(IO_URING_SETUP, errno)
}

/// From now on a system call fails with `errno` on this thread and those that it starts. Allocates nothing.
pub fn refuse(call: u32, errno: i32) -> io::Result<()> {
    let instruction = |code: u32, jt, jf, k| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt,
        jf,
        k,
    };
    let mut program = [
        // Load the system call's number, which is the first word of a filter's input.
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call),
        instruction(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ERRNO | errno.unsigned_abs(),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: this call takes numbers only.
    if unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: `filter` points at four valid instructions, and both live through the call.
    let set = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    match set {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Files of several chunks and files of few bytes.
fn tree(scratch: &Scratch) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let sizes = [0, 1, 100, 8_191, 40_000, 70_000];
    sizes
        .map(|lines| {
            let lines = text(lines);
            let name = format!("tree/{}", lines.len());
            (scratch.write(name, &lines), lines)
        })
        .into()
}

#[test]
fn where_io_uring_is_refused_the_rows_are_the_same_and_the_report_says_why() {
    let scratch = Scratch::new();
    let files = tree(&scratch);
    let rows: Vec<_> = files
        .iter()
        .map(|(path, lines)| needle_rows(path, lines))
        .collect();
    let digests: Vec<_> = files
        .iter()
        .map(|(path, lines)| digest_row(path, hash(lines)))
        .collect();
    for errno in [libc::EPERM, libc::ENOSYS] {
        let scanned = Tool::scan([scratch.join("tree")])
            .without_io_uring(errno)
            .run();
        scanned.assert_code(0).assert_quiet();
        assert_rows_of_files(&scanned.rows, &rows);

        let digested = Tool::digest([scratch.join("tree")])
            .args(["--stats"])
            .without_io_uring(errno)
            .run();
        digested.assert_code(0);
        assert_rows_of_files(&digested.rows, &digests);
        let report = &digested.errors;
        assert!(report.contains("positioned"), "{report}");
        assert!(!report.contains("registered"), "{report}");
        let why = report.lines().find(|line| line.contains("io_uring_setup"));
        let number = format!("{errno}");
        assert!(why.is_some_and(|why| why.contains(&number)), "{report}");
    }
}

#[test]
fn io_uring_that_is_demanded_and_refused_is_an_error() {
    let scratch = Scratch::new();
    let files = tree(&scratch);
    let answer = Tool::digest([&files[3].0])
        .args(["--read-path", "registered"])
        .without_io_uring(libc::EPERM)
        .run();
    answer.assert_code(2);
    assert_eq!(answer.rows, b"");
    assert_eq!(answer.errors.lines().count(), 1, "{:?}", answer.errors);
    assert!(
        answer.errors.starts_with("gristmill: "),
        "{:?}",
        answer.errors
    );
    assert!(
        answer.errors.contains("io_uring_setup"),
        "{:?}",
        answer.errors
    );
}

#[test]
fn an_ordinary_user_without_lockable_memory_gets_the_same_rows_and_the_reason() {
    let scratch = Scratch::new();
    let files = tree(&scratch);
    let digests: Vec<_> = files
        .iter()
        .map(|(path, lines)| digest_row(path, hash(lines)))
        .collect();
    for bytes in [0, 64 << 10] {
        let answer = Tool::digest([scratch.join("tree")])
            .args(["--stats"])
            .ordinary_user()
            .with_locked_memory(bytes)
            .run();
        answer.assert_code(0);
        assert_rows_of_files(&answer.rows, &digests);
        // Either the chunks could not be registered, and the message names the limit, or io_uring was refused
        // altogether.
        let report = &answer.errors;
        let told = ["RLIMIT_MEMLOCK", "memory-lock", "memlock", "io_uring_setup"];
        assert!(told.iter().any(|why| report.contains(why)), "{report}");
    }
    let answer = Tool::scan([scratch.join("tree")])
        .ordinary_user()
        .with_locked_memory(0)
        .run();
    answer.assert_code(0).assert_quiet();
    let rows: Vec<_> = files
        .iter()
        .map(|(path, lines)| needle_rows(path, lines))
        .collect();
    assert_rows_of_files(&answer.rows, &rows);
}

#[test]
fn an_ordinary_user_ingests_with_the_usual_limit_and_is_told_what_to_do_below_it() {
    let scratch = Scratch::new();
    let content = text(70_000);
    let path = scratch.write("file", &content);
    let ingest = |flags: &[&str], lockable| {
        let tool = Tool::new(["ingest"]).args(flags).args([&path]);
        tool.ordinary_user().with_locked_memory(lockable).run()
    };
    let row = digest_row(&path, format!("{:08x}", crc32c::crc32c(&content)));
    // The memory that Linux lets all processes of an ordinary user lock is more than the slots take by default.
    for (flags, lockable) in [
        (&[][..], 8 << 20),
        (&["--slots", "2", "--slot-size", "32K"], 1 << 20),
    ] {
        let answer = ingest(flags, lockable);
        if answer.errors.contains("io_uring_setup") {
            return gristmill_testing::skipped(format_args!("{}", answer.errors));
        }
        answer.assert_code(0);
        assert_eq!(answer.rows, row, "{}", answer.errors);
    }
    let answer = ingest(&[], 64 << 10);
    answer.assert_code(2);
    assert_eq!(answer.rows, b"");
    for words in ["ulimit -l", "fewer or smaller slots"] {
        assert!(answer.errors.contains(words), "{}", answer.errors);
    }
}
