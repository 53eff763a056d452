//! Shortages: too few descriptors, too little memory, and an io_uring that fails in the middle of a run.

use crate::world::{
    assert_rows_of_files, digest_row, hash, prepare, skipped, text, Scratch, Tool, LINE_BYTES,
};
use std::ffi::OsStr;
use std::io::{self, Write};

impl Tool {
    /// Limits the process to `value` of a resource, which it cannot raise.
    fn with_limit(self, resource: libc::__rlimit_resource_t, value: u64) -> Self {
        let limit = libc::rlimit {
            rlim_cur: value,
            rlim_max: value,
        };
        // SAFETY: the closure makes one system call and nothing else.
        unsafe {
            self.after_fork(move || {
                // SAFETY: `limit` is valid through the call.
                match libc::setrlimit(resource, &limit) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            })
        }
    }
}

/// Writes small files in many directories, and a few files of several chunks. Returns their rows of `digest`.
fn tree(scratch: &Scratch) -> Vec<Vec<u8>> {
    (0..301)
        .map(|number| {
            let lines = if number % 50 == 7 { 40_000 } else { number % 5 };
            let bytes = text(lines);
            let path = scratch.write(
                format!("tree/{}/{}/{number}", number % 7, number % 3),
                &bytes,
            );
            digest_row(&path, hash(&bytes))
        })
        .collect()
}

#[test]
fn few_descriptors_fail_no_file_and_hide_no_directory() {
    let scratch = Scratch::new();
    let rows = tree(&scratch);
    for descriptors in [12, 32, 64] {
        for workers in ["1", "2", "64"] {
            let digested = Tool::digest([scratch.join("tree")])
                .args(["-j", workers])
                .with_limit(libc::RLIMIT_NOFILE, descriptors)
                .run();
            digested.assert_code(0).assert_quiet();
            assert_rows_of_files(&digested.rows, &rows);
        }
    }
}

#[test]
fn a_small_address_space_gives_fewer_workers_and_says_so() {
    let scratch = Scratch::new();
    let rows = tree(&scratch);
    for workers in ["1", "64", "256"] {
        let digested = Tool::digest([scratch.join("tree")])
            .args(["-j", workers, "--stats"])
            .with_limit(libc::RLIMIT_AS, 400 << 20)
            .run();
        digested.assert_code(0);
        assert_rows_of_files(&digested.rows, &rows);
        let told = format!(" of {workers} workers with ");
        let is_told = digested.errors.contains(&told) && digested.errors.contains("ulimit -v");
        assert_eq!(is_told, workers != "1", "{}", digested.errors);
    }
}

#[test]
fn the_memory_of_a_run_is_bounded_by_what_was_asked_for() {
    let scratch = Scratch::new();
    let rows = tree(&scratch);
    let digested = Tool::digest([scratch.join("tree")])
        .args(["-j", "8", "--memory", "4M", "--stats"])
        .run();
    digested.assert_code(0);
    assert_rows_of_files(&digested.rows, &rows);
    assert!(
        digested
            .errors
            .contains("of 8 workers with 2 of 24 chunk buffers"),
        "{}",
        digested.errors
    );
}

/// Each FIFO is opened by the tool, keeps its writer for as long as that writes, and is read to its end, however many
/// wait at once and however little memory there is, of which a thread's stack would take some.
#[test]
fn many_fifos_wait_for_their_writers_where_memory_is_short() {
    let scratch = Scratch::new();
    let mut fifos = Vec::new();
    for number in 0..300 {
        let Some(fifo) = scratch.fifo(&format!("fifo{number}")) else {
            return;
        };
        fifos.push(fifo);
    }
    let bytes = text(30);
    let running = Tool::digest(&fifos)
        .args(["-j", "2"])
        .with_limit(libc::RLIMIT_AS, 400 << 20)
        .start();
    let writer = {
        let (fifos, bytes) = (fifos.clone(), bytes.clone());
        std::thread::spawn(move || {
            // Each of these waits for its reader, and all stay open until the last has one.
            let open = |fifo| std::fs::OpenOptions::new().write(true).open(fifo);
            let ends: Vec<_> = fifos.iter().map(open).collect::<io::Result<_>>()?;
            ends.iter().try_for_each(|mut end| end.write_all(&bytes))
        })
    };
    let answer = running.finish();
    // Before the writer's end, for which nothing would come if a FIFO was refused.
    answer.assert_code(0).assert_quiet();
    writer.join().unwrap().unwrap();
    let rows: Vec<_> = fifos
        .iter()
        .map(|fifo| digest_row(fifo, hash(&bytes)))
        .collect();
    assert_rows_of_files(&answer.rows, &rows);
}

/// Runs `digest` while every `io_uring_enter` of a thread, from its `first` on, fails with `errno`.
fn refused_from(first: u32, errno: &str, tree: &OsStr, arguments: &[&str]) -> std::process::Output {
    let inject = format!("inject=io_uring_enter:error={errno}:when={first}+");
    std::process::Command::new("strace")
        .args([
            "-f",
            "--seccomp-bpf",
            "-o",
            "/dev/null",
            "-e",
            "trace=io_uring_enter",
            "-e",
        ])
        .arg(inject)
        .arg(env!("CARGO_BIN_EXE_gristmill"))
        .args(["digest", "--stats", "-j2"])
        .args(arguments)
        .arg(tree)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

/// A ring that works at first, and is then refused for good: by a filter that is installed late, or by a kernel without
/// memory.
#[test]
fn a_ring_that_fails_in_the_middle_costs_no_file_and_hangs_nothing() {
    let works = [
        OsStr::new("-o"),
        OsStr::new("/dev/null"),
        OsStr::new("true"),
    ];
    if prepare("strace", &works).is_none() {
        return;
    }
    let scratch = Scratch::new();
    let rows = tree(&scratch);
    let tree = scratch.join("tree");
    let mut refused = 0;
    let calls = ["EPERM", "ENOSYS", "EINVAL"].into_iter().cycle();
    for (first, errno) in (1..=12).zip(calls).chain([(1, "ENOMEM"), (3, "EAGAIN")]) {
        // With `--direct`, the kernel has reads in progress when the ring is refused.
        for arguments in [&[][..], &["--direct"]] {
            let ended = refused_from(first, errno, tree.as_os_str(), arguments);
            let errors = String::from_utf8_lossy(&ended.stderr);
            if errors.contains("io_uring is refused") {
                return skipped("io_uring is refused here");
            }
            assert_eq!(
                ended.status.code(),
                Some(0),
                "{first} {errno} {arguments:?}: {errors}"
            );
            assert_rows_of_files(&ended.stdout, &rows);
            refused += usize::from(errors.contains("io_uring failed in the middle of the run"));
        }
    }
    assert!(refused >= 14, "{refused} runs went on without their ring");

    // If a ring was required, its files fail with the ring's reason.
    let ended = refused_from(2, "EPERM", tree.as_os_str(), &["--read-path", "registered"]);
    assert_eq!(ended.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&ended.stderr);
    for line in errors
        .lines()
        .filter(|line| line.starts_with("gristmill: "))
    {
        assert!(
            line.contains("io_uring_enter failed with errno 1"),
            "{line}"
        );
    }
}

#[test]
fn errors_that_wait_to_be_told_are_bounded() {
    use gristmill::jobs::digest::{Algorithm, DigestJob, DigestRows};
    use gristmill::mill::{Control, Mill};
    use gristmill::source::{Item, Source};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::Arc;

    const NAMES: usize = 200_000;
    /// A source whose names all fail, and which counts the names that were asked for.
    struct Failing(Arc<AtomicUsize>);
    impl Source for Failing {
        fn next_item(&mut self) -> Option<Item> {
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            (number < NAMES).then(|| Item::Error {
                path: None,
                reason: format!("{number} of the test"),
            })
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&asked);
    let mut told = 0;
    let control = Control::default().on_error(move |_| {
        if told == 0 {
            // No error is reported until the largest number of errors waits.
            while seen.load(Ordering::SeqCst) < 1000 {
                std::thread::yield_now();
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        told += 1;
        let ahead = seen.load(Ordering::SeqCst) - told;
        // At most a full queue is being reported and another full queue waits, and each worker may be one ahead.
        assert!(ahead <= 2 * 1024 + 8, "{ahead} wait");
    });
    let mill = Mill::builder().workers(2).build().unwrap();
    let job = Arc::new(DigestJob::new(Algorithm::Blake3.into(), DigestRows::Text));
    let report = mill
        .run(Failing(asked), job, &mut io::sink(), &control)
        .unwrap();
    assert_eq!(report.failures, NAMES as u64);
    // The time of workers that only listed is counted, too.
    assert!(!report.stages.source.is_zero());
}

/// A stream's rows are written as its lines come, and a run does not wait for the end of a stream that is answered.
#[test]
fn lines_of_a_pipe_are_shown_when_they_come_and_a_pipe_that_is_answered_may_go_on() {
    use std::io::Write;
    use std::os::fd::OwnedFd;
    for arguments in [
        &[][..],
        &["-n"],
        &["--json"],
        &["--read-path", "positioned"],
    ] {
        let (reader, mut writer) = io::pipe().unwrap();
        let running = Tool::new(["scan", "needle", "-"])
            .args(arguments)
            .stdin(OwnedFd::from(reader))
            .start();
        for line in 0..3 {
            writer.write_all(b"hay\nneedle\nunfinished ").unwrap();
            // The pipe stays open and nothing more is written to it, so the row must come from the bytes written so
            // far.
            running.wait_for_rows(|rows| memchr::memmem::find_iter(rows, b"needle").count() > line);
        }
        drop(writer);
        running.finish().assert_code(0);
    }
    for arguments in [&["-m", "1"][..], &["-q"], &["-l"]] {
        let (reader, mut writer) = io::pipe().unwrap();
        let running = Tool::new(["scan", "needle", "-"])
            .args(arguments)
            .stdin(OwnedFd::from(reader))
            .start();
        writer.write_all(b"hay\nneedle\n").unwrap();
        // The writer is kept open until the tool has ended.
        running.finish().assert_code(0);
        drop(writer);
    }
}

#[test]
fn standard_input_that_is_a_file_is_consumed() {
    use std::io::Seek;
    let scratch = Scratch::new();
    let bytes = text(100);
    let path = scratch.write("file", &bytes);
    let open = || std::fs::File::open(&path).unwrap();
    // A second `-` finds standard input at its end, as in ripgrep.
    let counted = Tool::new(["scan", "-c", "-e", "needle", "-", "-"])
        .stdin(open())
        .run();
    counted.assert_code(0);
    let once = Tool::new(["scan", "-H", "-c", "-e", "needle", "-"])
        .stdin(open())
        .run();
    assert_eq!(counted.rows, once.rows);
    // A process that shares the descriptor finds it at its end, too.
    let mut file = open();
    Tool::digest(["-"])
        .stdin(file.try_clone().unwrap())
        .run()
        .assert_code(0);
    assert_eq!(file.stream_position().unwrap(), bytes.len() as u64);
    // Bytes that were read before are not read again.
    file.seek(io::SeekFrom::Start(LINE_BYTES as u64)).unwrap();
    let rest = Tool::digest(["-"]).stdin(file).run();
    let sum = hash(&bytes[LINE_BYTES..]).to_string();
    assert!(rest.rows.starts_with(sum.as_bytes()));
}
