//! Threads whose `io_uring_enter` is answered by the test: a supervisor gives the answers for the kernel, by seccomp's
//! notifications, and lets the other calls through.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc;

const ENTER: u32 = 426;

/// Has each `io_uring_enter` of the calling thread, for as long as it lives, asked for at what is returned; `None`,
/// having said so, where that cannot be had.
fn watch_enter() -> Option<OwnedFd> {
    let op = |code: u32, jf, k: u32| libc::sock_filter {
        code: code as u16,
        jt: 0,
        jf,
        k,
    };
    let mut program = [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        op(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, ENTER),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_USER_NOTIF),
        op(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog {
        len: 4,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: takes numbers only.
    let result = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(result, 0);
    // SAFETY: `filter` points at four valid instructions, and both live through the call.
    let listener = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_NEW_LISTENER,
            &raw const filter,
        )
    };
    let Ok(listener @ 0..) = i32::try_from(listener) else {
        gristmill_testing::skipped(format_args!("seccomp: {}", std::io::Error::last_os_error()));
        return None;
    };
    // SAFETY: the call has just made this descriptor, and nobody else owns it.
    Some(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// Answers calls until the thread that makes them has ended: with the errno that `answer` returns, or as the kernel
/// does.
fn supervise(listener: &OwnedFd, mut answer: impl FnMut() -> Option<i32>) {
    loop {
        let mut poll = libc::pollfd {
            fd: listener.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: `poll` is one valid entry, and lives through the call.
        let ready = unsafe { libc::poll(&raw mut poll, 1, -1) };
        if ready < 0 {
            continue;
        }
        if poll.revents & libc::POLLIN == 0 {
            return;
        }
        // SAFETY: all-zero bytes are a valid notification, a structure of numbers, and what the kernel asks for.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the call writes one notification, which `call` has room for.
        if unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                &raw mut call,
            )
        } != 0
        {
            continue;
        }
        let errno = answer();
        let response = libc::seccomp_notif_resp {
            id: call.id,
            val: 0,
            error: -errno.unwrap_or(0),
            // Bit 0: go on as if nobody had asked (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
            flags: u32::from(errno.is_none()),
        };
        // SAFETY: the call reads one response. A call that a signal has ended meanwhile needs none.
        unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            )
        };
    }
}

/// Runs `test` on a thread of its own, whose calls are answered by `answer`.
pub fn with_answers(answer: impl FnMut() -> Option<i32>, test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let (gives, given) = mpsc::channel();
        scope.spawn(move || {
            let listener = watch_enter();
            let there = listener.is_some();
            gives.send(listener).unwrap();
            if there {
                test();
            }
        });
        if let Some(listener) = given.recv().unwrap() {
            supervise(&listener, answer);
        }
    });
}
