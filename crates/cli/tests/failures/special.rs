//! Inputs that are not regular files.

use crate::world::{
    count_row, digest_row, hash, needle_rows, skipped, text, Failure, Scratch, Tool,
};
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::path::Path;

#[test]
fn a_named_fifo_is_read_to_its_writers_end() {
    let scratch = Scratch::new();
    let lines = text(60_000);
    let beside = scratch.write("beside", &lines);
    for piece_bytes in [100, 64 << 10, lines.len()] {
        // One for each: the kernel gives back what a ring has held a moment after its process has ended, and a writer that
        // comes in between finds a reader and loses it again.
        let Some(fifo) = scratch.fifo(&format!("fifo{piece_bytes}")) else {
            return;
        };
        let writer = {
            let (fifo, lines) = (fifo.clone(), lines.clone());
            std::thread::spawn(move || {
                let mut end = std::fs::OpenOptions::new().write(true).open(fifo)?;
                let mut pieces = lines.chunks(piece_bytes);
                pieces.try_for_each(|piece| end.write_all(piece))
            })
        };
        let answer = Tool::scan([&fifo, &beside]).run();
        let written = writer.join().unwrap();
        answer.assert_code(0).assert_quiet();
        written.unwrap();
        let rows = [&fifo, &beside].map(|path| needle_rows(path, &lines));
        crate::world::assert_rows_of_files(&answer.rows, &rows);
    }
}

#[test]
fn what_cannot_be_read_to_an_end_is_passed_over_in_a_tree() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("tree/file", &lines);
    if scratch.fifo("tree/fifo").is_none() {
        return;
    }
    let _socket = UnixListener::bind(scratch.join("tree/socket")).unwrap();
    let answer = Tool::count([scratch.join("tree")]).run();
    answer.assert_code(0).assert_quiet();
    assert_eq!(answer.rows, count_row(&file, &lines));
}

#[test]
fn a_named_socket_is_told() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("file", &lines);
    let socket = scratch.join("socket");
    let _socket = UnixListener::bind(&socket).unwrap();
    let answer = Tool::count([&socket, &file]).run();
    answer.assert_failures(&[Failure::new(&socket, libc::ENXIO)]);
    assert_eq!(answer.rows, count_row(&file, &lines));
}

#[test]
fn devices_are_read_to_their_end() {
    let scratch = Scratch::new();
    let lines = text(300);
    let file = scratch.write("file", &lines);
    let null = Path::new("/dev/null");
    let answer = Tool::count([null, &file]).run();
    answer.assert_code(0).assert_quiet();
    assert_eq!(answer.rows, count_row(&file, &lines));

    let answer = Tool::digest([null]).run();
    answer.assert_code(0).assert_quiet();
    assert_eq!(answer.rows, digest_row(null, hash(b"")));
}

#[test]
fn files_of_proc_that_tell_no_size_are_read() {
    let answer = Tool::new(["scan", "-e", "Name:", "/proc/self/status"]).run();
    answer.assert_code(0).assert_quiet();
    assert_eq!(answer.rows, b"Name:\tgristmill\n");
}

#[test]
fn a_file_of_proc_that_is_larger_than_a_chunk_is_read_to_its_end() {
    let symbols = Path::new("/proc/kallsyms");
    let count = || {
        let bytes = std::fs::read(symbols).unwrap_or_default();
        let lines = bytes.split(|&byte| byte == b'\n');
        let found = lines.filter(|line| memchr::memmem::find(line, b" T ").is_some());
        (bytes.len(), found.count())
    };
    // Symbols come and go with the modules and programs that other tests load, so read the file until it did not change
    // in between.
    for _ in 0..20 {
        let before = count();
        if before.0 < 1 << 20 {
            return skipped("/proc/kallsyms is not to be had");
        }
        let answer = Tool::new(["scan", "-c", "-e", " T ", "/proc/kallsyms"]).run();
        if before == count() {
            answer.assert_code(0).assert_quiet();
            return assert_eq!(answer.rows, format!("{}\n", before.1).as_bytes());
        }
    }
    skipped("/proc/kallsyms never stands still");
}

#[test]
fn a_directory_as_standard_input_is_told() {
    let answer = Tool::new(["digest", "-"])
        .stdin(std::fs::File::open("/").unwrap())
        .run();
    answer.assert_code(2);
    assert_eq!(answer.rows, b"");
    let (_, reason) = answer.only_failure(Path::new("<stdin>"));
    assert!(reason.contains("directory"), "{reason:?}");
}

/// Names of a list that is still being written are handled as they come, by any number of workers, and reading the list
/// does not wait for rows to be written.
#[test]
fn files_of_a_live_list_are_answered_as_their_names_come() {
    let scratch = Scratch::new();
    let lines = text(200_000);
    let files: Vec<_> = (0..3)
        .map(|number| scratch.write(format!("file-{number}"), &lines))
        .collect();
    let program = scratch.write(
        "count.vasm",
        b".acc count sum\n  each r1, 1\n    acc count, r1\n  end\n",
    );
    let program = program.to_str().unwrap();
    for arguments in [
        &["scan", "needle", "--files-from", "-"][..],
        &["scan", "-j1", "needle", "--files-from", "-"],
        &["digest", "--files-from", "-"],
        &["digest", "-j1", "--files-from", "-"],
        &["stats", "--files-from", "-"],
        &["run", program, "--files-from", "-"],
        &["ingest", "--slot-size", "4K", "--files-from", "-"],
    ] {
        let (stdin, mut list) = std::io::pipe().unwrap();
        let running = Tool::new(arguments).stdin(stdin).start();
        for file in &files {
            let path = file.to_str().unwrap();
            let name = format!("{path}\n");
            // The name's end comes later than its beginning.
            let (begin, end) = name.split_at(name.len() / 2);
            list.write_all(begin.as_bytes()).unwrap();
            list.write_all(end.as_bytes()).unwrap();
            running.wait_for_rows(|rows| memchr::memmem::find(rows, path.as_bytes()).is_some());
        }
        drop(list);
        running.finish().assert_code(0);
    }
}

#[test]
fn a_live_list_of_digests_is_checked_as_its_rows_come() {
    let scratch = Scratch::new();
    let lines = text(2_000);
    let (stdin, mut list) = std::io::pipe().unwrap();
    let running = Tool::new(["digest", "--check", "-"]).stdin(stdin).start();
    for number in 0..3 {
        let path = scratch.write(format!("file-{number}"), &lines);
        let row = digest_row(&path, hash(&lines));
        let (begin, end) = row.split_at(row.len() / 2);
        list.write_all(begin).unwrap();
        list.write_all(end).unwrap();
        running.wait_for_count(number + 1);
    }
    drop(list);
    running.finish().assert_code(0);
}
