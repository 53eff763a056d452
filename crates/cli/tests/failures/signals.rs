//! Signals: each ends a run as Ctrl-C does, whatever the run waits for, and an ignored signal stays ignored.

use crate::world::{Scratch, Tool};
use std::fs::File;
use std::io::Write;

const SIGNALS: [(&str, i32); 3] = [
    ("INT", libc::SIGINT),
    ("TERM", libc::SIGTERM),
    ("HUP", libc::SIGHUP),
];

const INTERRUPTED: &str = "gristmill: interrupted: what was done so far is above\n";

/// One signal ends a run whose list stays open without further bytes, and half a name does not count as a name.
#[test]
fn one_signal_ends_a_run_that_waits_for_its_list() {
    for arguments in [
        &["digest", "--files-from", "-"][..],
        &["digest", "--files-from", "-", "-j2"],
        &["digest", "--check", "-"],
        &["stats", "--files-from", "-"],
        &["scan", "-e", "x", "--files-from", "-"],
        // All processes of an ordinary user share a limit of locked memory.
        &["ingest", "--slot-size", "4K", "--files-from", "-"],
    ] {
        for (signal, number) in SIGNALS {
            let (stdin, mut list) = std::io::pipe().unwrap();
            let running = Tool::new(arguments).stdin(stdin).start();
            list.write_all(b"/no/such").unwrap();
            running.wait_until_caught(number);
            running.signal(signal);
            let answer = running.finish();
            answer.assert_code(128 + number);
            let told = answer.errors.ends_with(INTERRUPTED);
            assert!(told && !answer.errors.contains("/no/such"), "{answer:?}");
        }
    }
}

#[test]
fn one_signal_ends_a_run_whose_list_is_a_silent_fifo() {
    let scratch = Scratch::new();
    let Some(fifo) = scratch.fifo("list") else {
        return;
    };
    let _open = File::options().read(true).write(true).open(&fifo).unwrap();
    for (signal, number) in SIGNALS {
        let running = Tool::new(["digest", "--files-from"]).args([&fifo]).start();
        running.wait_until_caught(number);
        running.signal(signal);
        let answer = running.finish();
        answer.assert_code(128 + number);
        assert_eq!(answer.errors, INTERRUPTED);
    }
}

#[test]
fn one_signal_ends_a_replay_that_waits_for_its_log() {
    let scratch = Scratch::new();
    let (file, path) = (scratch.write("file", b"x"), scratch.join("log"));
    let recorded = Tool::new(["digest", "--algorithm=crc32c", "--record"])
        .args([&path, &file])
        .run();
    recorded.assert_code(0);
    let log = std::fs::read(&path).unwrap();
    for (signal, number) in SIGNALS {
        let (stdin, mut pipe) = std::io::pipe().unwrap();
        let running = Tool::new(["replay", "/dev/stdin"]).stdin(stdin).start();
        pipe.write_all(&log[..log.len() - 1]).unwrap();
        running.wait_until_caught(number);
        running.signal(signal);
        let answer = running.finish();
        answer.assert_code(128 + number);
        assert_eq!(answer.errors, INTERRUPTED, "{signal}");
    }
}

/// Before a run begins, a command waits for its input without a handler, so the signal itself ends the process.
#[test]
fn one_signal_ends_what_waits_before_a_run_begins() {
    let scratch = Scratch::new();
    let Some(fifo) = scratch.fifo("silent") else {
        return;
    };
    let silent = fifo.as_os_str();
    let cases: [&[&std::ffi::OsStr]; 5] = [
        &[
            "scan".as_ref(),
            "-f".as_ref(),
            "-".as_ref(),
            "/dev/null".as_ref(),
        ],
        &["scan".as_ref(), "-f".as_ref(), silent, "/dev/null".as_ref()],
        &["digest".as_ref(), "--files-from".as_ref(), silent],
        &["asm".as_ref(), "-".as_ref()],
        &["verify".as_ref(), "-".as_ref()],
    ];
    for arguments in cases {
        for (signal, number) in SIGNALS {
            let (stdin, _list) = std::io::pipe().unwrap();
            let running = Tool::new(arguments).stdin(stdin).start();
            running.signal(signal);
            running.finish().assert_code(128 + number);
        }
    }
}

#[test]
fn a_signal_that_was_ignored_stays_ignored() {
    for (signal, number) in SIGNALS {
        let (stdin, list) = std::io::pipe().unwrap();
        let tool = Tool::new(["digest", "--files-from", "-"]).stdin(stdin);
        // SAFETY: `signal` is async-signal-safe, and nothing is allocated.
        let tool = unsafe {
            tool.after_fork(move || {
                libc::signal(number, libc::SIG_IGN);
                Ok(())
            })
        };
        let running = tool.start();
        let other = if number == libc::SIGINT {
            libc::SIGHUP
        } else {
            libc::SIGINT
        };
        running.wait_until_caught(other);
        running.signal(signal);
        drop(list);
        running.finish().assert_code(0).assert_quiet();
    }
}

/// A first signal does not end a wait for somebody to read standard error.
#[test]
fn the_second_signal_ends_the_process_at_once() {
    let scratch = Scratch::new();
    let Some(fifo) = scratch.fifo("log") else {
        return;
    };
    let (_unread, errors) = std::io::pipe().unwrap();
    let mut full = errors.try_clone().unwrap();
    fill(&mut full);
    let running = Tool::digest([&fifo]).stderr(errors).start();
    running.wait_until_caught(libc::SIGTERM);
    running.signal("INT");
    running.signal("TERM");
    let code = running.finish().code();
    assert!([130, 143].contains(&code), "{code}");
}

/// Fills a pipe up to its last byte.
fn fill(pipe: &mut impl std::os::fd::AsRawFd) {
    let fd = pipe.as_raw_fd();
    // SAFETY: the descriptor is open while `pipe` is borrowed; only the bytes to write are passed as memory.
    unsafe {
        let flags = libc::fcntl(fd, libc::F_GETFL);
        libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK);
        while libc::write(fd, [0_u8; 4096].as_ptr().cast(), 4096) > 0 {}
        while libc::write(fd, [0_u8; 1].as_ptr().cast(), 1) > 0 {}
        libc::fcntl(fd, libc::F_SETFL, flags);
    }
}
