//! Threads whose `io_uring_enter` is answered by the test. A supervisor answers in place of the kernel, by seccomp's
//! notifications, and lets the other calls through.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::mpsc;

const ENTER: u32 = 426;

/// From now on, each `io_uring_enter` of the calling thread sends a notification to the returned descriptor. Returns
/// `None`, after reporting that the test is skipped, if the system does not support this.
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

/// Answers calls until the thread that makes them has ended. A call gets the errno that `answer` returns; with `None`,
/// it goes to the kernel.
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
        // SAFETY: all-zero bytes are a valid notification, which is a structure of numbers; the kernel also requires
        // them to be zero.
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
            // Bit 0: continue the call as if it had not been intercepted (SECCOMP_USER_NOTIF_FLAG_CONTINUE).
            flags: u32::from(errno.is_none()),
        };
        // SAFETY: the call reads one response. A call that a signal has ended meanwhile needs no response.
        unsafe {
            libc::ioctl(
                listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                &raw const response,
            )
        };
    }
}

/// Runs `test` on a new thread, whose calls are answered by `answer`.
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
