//! Helpers for the tests of this crate: files, pipes, and child processes with fewer rights.
#![allow(dead_code, reason = "each test program uses a part of this module")]

pub mod supervised;

use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;

/// A directory that is removed at the end of the test.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("gristmill-ingest-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Scratch(path)
    }

    /// A file of these bytes, open for reading.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Arc<OwnedFd> {
        let path = self.0.join(name);
        File::create(&path).unwrap().write_all(bytes).unwrap();
        Arc::new(File::open(path).unwrap().into())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Random bytes, so that no two ranges look the same.
pub fn noise(len: usize) -> Vec<u8> {
    gristmill_testing::noise(1, len)
}

/// A pipe: its reading and its writing end.
pub fn pipe(flags: libc::c_int) -> (Arc<OwnedFd>, File) {
    let mut ends = [0; 2];
    // SAFETY: `ends` has room for the two descriptors that pipe2 writes.
    assert_eq!(unsafe { libc::pipe2(ends.as_mut_ptr(), flags) }, 0);
    // SAFETY: pipe2 has just opened both, and nobody else owns them.
    unsafe {
        (
            Arc::new(OwnedFd::from_raw_fd(ends[0])),
            File::from_raw_fd(ends[1]),
        )
    }
}

const CHILD: &str = "GRISTMILL_TEST_CHILD";

/// Runs the calling test again in a child process, in which this returns `None`. In the calling process it checks that
/// the child succeeded, and returns its output.
pub fn in_child(test: &str) -> Option<Output> {
    if std::env::var_os(CHILD).is_some() {
        return None;
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines().filter(|line| line.contains("skipped:")) {
        println!("{line}");
    }
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output)
}

/// Makes this thread's later calls of `io_uring_setup` fail with `errno`.
pub fn refuse_io_uring(errno: i32) {
    refuse(425, errno);
}

/// Makes this thread's later calls of this system call fail with `errno`.
pub fn refuse(call: u32, errno: i32) {
    let load_number = libc::sock_filter {
        code: (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16,
        jt: 0,
        jf: 0,
        k: 0,
    };
    let is_call = libc::sock_filter {
        code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
        jt: 0,
        jf: 1,
        k: call,
    };
    let answer = |k| libc::sock_filter {
        code: (libc::BPF_RET | libc::BPF_K) as u16,
        jt: 0,
        jf: 0,
        k,
    };
    let mut program = [
        load_number,
        is_call,
        answer(libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()),
        answer(libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0);
    // SAFETY: `filter` points at four valid instructions, and both live through the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    assert_eq!(result, 0);
}

/// Lowers this process's memory-lock limit to `memlock` bytes and changes to an unprivileged user. Returns false if
/// that is not permitted.
pub fn become_nobody(memlock: u64) -> bool {
    let limit = libc::rlimit {
        rlim_cur: memlock,
        rlim_max: memlock,
    };
    // SAFETY: `limit` is valid through the call.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
    // SAFETY: these take numbers only.
    unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 }
}
