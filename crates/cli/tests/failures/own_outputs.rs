//! Outputs never replace an input, or a file that the tool has not written itself.

use crate::world::{Scratch, Tool};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::Path;

/// Runs a digest with this log, and checks its exit code.
#[track_caller]
fn record(log: &Path, paths: &[&Path], code: i32) -> String {
    // One worker is used, so that a log of the same files is the same: a log names the chunks that were used.
    let tool = Tool::new(["digest", "--algorithm=crc32c", "-j1", "--record"])
        .args([log])
        .args(paths);
    let answer = tool.run();
    answer.assert_code(code);
    answer.errors
}

#[test]
fn a_log_takes_the_place_of_a_log_and_of_nothing_else() {
    let scratch = Scratch::new();
    let file = scratch.write("tree/file", b"text");
    let (log, empty) = (scratch.join("a.log"), scratch.write("b.log", b""));
    assert_eq!(record(&log, &[&file], 0), "");
    assert_eq!(record(&empty, &[&file], 0), "");
    let first = fs::read(&log).unwrap();
    assert_eq!(first.len(), fs::read(&empty).unwrap().len());
    assert_eq!(record(&log, &[&file, &file], 0), "");
    assert!(fs::read(&log).unwrap().len() > first.len());
    assert_eq!(record(&log, &[&file], 0), "");
    assert_eq!(
        fs::read(&log).unwrap(),
        first,
        "nothing is left of the longer one"
    );
    // All other files are left unchanged, including the run's own input and files that are reached by a link.
    let link = scratch.join("link");
    symlink(&file, &link).unwrap();
    let walked = scratch.join("tree");
    for other in [&file, &link] {
        for (input, why) in [(&file, "which is read"), (&walked, "not a ring log")] {
            let errors = record(other, &[input], 2);
            assert!(errors.contains(why), "{errors}");
            assert_eq!(fs::read(&file).unwrap(), b"text");
        }
    }
    let errors = record(&scratch.join("tree"), &[&file], 2);
    assert!(errors.contains("directory"), "{errors}");
    assert_eq!(record(Path::new("/dev/null"), &[&file], 0), "");
}

#[test]
fn a_log_that_is_named_as_input_is_not_emptied() {
    let scratch = Scratch::new();
    let file = scratch.write("file", b"text");
    let log = scratch.join("log");
    record(&log, &[&file], 0);
    let before = fs::read(&log).unwrap();
    let alias = scratch.join("alias");
    fs::hard_link(&log, &alias).unwrap();
    for named in [&log, &alias] {
        let errors = record(&log, &[&file, named], 2);
        assert!(errors.contains("which is read"), "{errors}");
        assert_eq!(fs::read(&log).unwrap(), before);
    }
}

#[test]
fn a_walk_passes_over_the_log_and_the_rows() {
    let scratch = Scratch::new();
    let file = scratch.write("tree/file", b"text");
    for flags in [&[][..], &["-L"], &["--sort", "path"]] {
        let (log, rows) = (scratch.join("tree/log"), scratch.join("tree/rows"));
        let answer = Tool::new(["digest", "--algorithm=crc32c", "--record"])
            .args([&log, &scratch.join("tree")])
            .args(flags)
            .stdout(File::create(&rows).unwrap())
            .run();
        answer.assert_code(0).assert_quiet();
        let rows = fs::read_to_string(rows).unwrap();
        assert_eq!(rows.lines().count(), 1, "{rows}");
        assert!(rows.ends_with(&format!("{}\n", file.display())), "{rows}");
    }
}

#[test]
fn what_the_rows_go_to_is_not_read_where_it_is_named() {
    let scratch = Scratch::new();
    let other = scratch.write("other", b"needle\n");
    for command in [&["scan", "-H", "-e", "needle"][..], &["digest"], &["stats"]] {
        // The file is refused, as `cat` refuses it, and nothing follows the rows.
        let file = scratch.write("file", b"needle\n");
        let append = || OpenOptions::new().append(true).open(&file).unwrap();
        let answer = Tool::new(command).args([&file]).stdout(append()).run();
        answer.assert_code(2);
        let (_, reason) = answer.only_failure(&file);
        assert!(reason.contains("the run writes to it"), "{reason}");
        let answer = Tool::new(command)
            .args(["-"])
            .stdin(File::open(&file).unwrap())
            .stdout(append())
            .run();
        answer.assert_code(2);
    }
    // A file that the shell has emptied counts as empty, as for `cat` and ripgrep, even if it is written to in the
    // meantime.
    let file = scratch.write("file", b"");
    let answer = Tool::count([&other, &file])
        .stdout(File::create(&file).unwrap())
        .run();
    answer.assert_code(0).assert_quiet();
    let rows = format!("{}:1\n", other.display());
    assert_eq!(fs::read_to_string(&file).unwrap(), rows);
}

#[test]
fn a_list_that_names_the_log_does_not_have_it_read() {
    let scratch = Scratch::new();
    let log = scratch.join("log");
    let list = scratch.write("list", log.as_os_str().as_encoded_bytes());
    let tool = Tool::new(["digest", "--algorithm=crc32c", "--record"]).args([&log]);
    let answer = tool.args(["--files-from".as_ref(), list.as_os_str()]).run();
    answer.assert_code(2);
    let (_, reason) = answer.only_failure(&log);
    assert!(reason.contains("the run writes to it"), "{reason}");
}

#[test]
fn a_list_that_names_an_old_log_does_not_have_it_emptied() {
    let scratch = Scratch::new();
    let (log, file) = (scratch.join("log"), scratch.write("file", b"x"));
    let record = || Tool::new(["digest", "--algorithm=crc32c", "--record"]).args([&log]);
    record().args([&file]).run().assert_code(0);
    let before = fs::read(&log).unwrap();
    let names = [file.as_os_str(), log.as_os_str()].map(|name| name.as_encoded_bytes());
    for (flag, separator) in [("--files-from", b"\n"), ("--files0-from", b"\0")] {
        let list = scratch.write("list", &names.join(&separator[..]));
        let answer = record().args([flag.as_ref(), list.as_os_str()]).run();
        answer.assert_code(2);
        assert!(answer.errors.contains("which is read"), "{answer:?}");
        assert_eq!(fs::read(&log).unwrap(), before, "{flag}");
    }
}

#[test]
fn a_program_is_not_written_over_what_it_was_made_of() {
    let scratch = Scratch::new();
    let text = ".file \"table\"\n.acc count sum\n  arg r1, 0\n";
    let text = text.replace("  arg r1, 0\n", "  each r1, 1\n    acc count, r1\n  end\n");
    let source = scratch.write("p.vasm", text.as_bytes());
    let table = scratch.write("table", b"table");
    let other = scratch.write("other", b"other");
    let out = scratch.join("p.vir0");
    Tool::new(["asm"]).args([&source]).run().assert_code(0);
    // A program may replace a program.
    let asm = |output: &Path| Tool::new(["asm", "-o"]).args([output, &source]).run();
    asm(&out).assert_code(0);
    for (output, why) in [
        (&source, "which is read"),
        (&table, "which is read"),
        (&other, "not an assembled program"),
    ] {
        let before = fs::read(output).unwrap();
        let answer = asm(output);
        answer.assert_code(2);
        assert!(answer.errors.contains(why), "{}", answer.errors);
        assert_eq!(fs::read(output).unwrap(), before);
    }
    let alias = scratch.join("alias.vir0");
    fs::hard_link(&out, &alias).unwrap();
    let before = fs::read(&out).unwrap();
    for output in [&out, &alias] {
        let answer = Tool::new(["disasm", "-o"]).args([output, &out]).run();
        answer.assert_code(2);
        assert!(answer.errors.contains("which is read"), "{}", answer.errors);
        assert_eq!(fs::read(&out).unwrap(), before);
    }
}
