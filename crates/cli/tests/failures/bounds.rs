//! Inputs that have no end, or that should not be inputs: each is refused within a bound.

use crate::world::{Scratch, Tool};
use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A program that names this file.
fn program(scratch: &Scratch, name: &str) -> PathBuf {
    let text =
        format!(".file \"{name}\"\n.acc count sum\n  each r1, 1\n    acc count, r1\n  end\n");
    scratch.write("sources/p.vasm", text.as_bytes())
}

/// Every command that assembles a program.
const ASSEMBLE: [&[&str]; 3] = [&["verify"], &["asm", "-o", "/dev/null"], &["run"]];

#[track_caller]
fn assert_refused(command: &[&str], program: &Path, why: &str) {
    let answer = Tool::new(command).args([program]).run();
    answer.assert_code(2);
    assert!(
        answer.errors.contains(why),
        "{command:?}: {}",
        answer.errors
    );
}

#[test]
fn files_of_a_program_stay_below_its_directory() {
    let scratch = Scratch::new();
    let outside = scratch.write("outside/table", b"table");
    scratch.write("sources/sub/table", b"table");
    let at = |name: &str| scratch.join(name);
    symlink("../outside/table", at("sources/link")).unwrap();
    symlink("../outside", at("sources/away")).unwrap();
    symlink("sub/table", at("sources/inside")).unwrap();
    for command in ASSEMBLE {
        for name in ["sub/table", "./sub/table", "inside"] {
            let answer = Tool::new(command).args([program(&scratch, name)]).run();
            answer.assert_code(0).assert_quiet();
        }
        let absolute = outside.to_str().unwrap();
        for name in [
            absolute,
            "../outside/table",
            "sub/../../outside/table",
            "link",
            "away/table",
        ] {
            let source = program(&scratch, name);
            assert_refused(command, &source, "--allow-include");
            let allowed = |directory: &str| {
                let tool = Tool::new(command).args([&source]);
                tool.args(["--allow-include".as_ref(), at(directory).as_os_str()])
                    .run()
            };
            allowed("outside").assert_code(0).assert_quiet();
            allowed("sources/sub").assert_code(2);
        }
    }
}

#[test]
fn files_of_a_program_that_have_no_end_are_refused() {
    let scratch = Scratch::new();
    scratch.write("sources/none", b"");
    scratch.sparse("sources/huge", 1 << 40, b"");
    symlink("/dev/zero", scratch.join("sources/zero")).unwrap();
    let fifo = scratch.fifo("sources/fifo").is_some();
    for command in ASSEMBLE {
        assert_refused(command, &program(&scratch, "huge"), "longer than");
        assert_refused(command, &program(&scratch, "sub"), "No such file");
        let device = program(&scratch, "zero");
        let answer = Tool::new(command)
            .args([&device])
            .args(["--allow-include", "/dev"])
            .run();
        answer.assert_code(2);
        assert!(
            answer.errors.contains("a character device"),
            "{}",
            answer.errors
        );
        if fifo {
            assert_refused(command, &program(&scratch, "fifo"), "a FIFO");
        }
    }
}

#[test]
fn programs_that_are_none_or_have_no_end_are_refused() {
    let scratch = Scratch::new();
    let huge = scratch.sparse("huge", 1 << 40, b"");
    let fifo = scratch.fifo("fifo");
    for command in [&["disasm"][..]].into_iter().chain(ASSEMBLE) {
        assert_refused(command, &huge, "longer than");
        assert_refused(command, Path::new("/dev/zero"), "a character device");
        assert_refused(command, scratch.path(), "a directory");
        if let Some(fifo) = &fifo {
            assert_refused(command, fifo, "a FIFO");
        }
    }
    for command in [&["asm"][..], &["verify"], &["disasm"]] {
        let zero = File::open("/dev/zero").unwrap();
        let answer = Tool::new(command).args(["-"]).stdin(zero).run();
        answer.assert_code(2);
        assert!(answer.errors.contains("longer than"), "{}", answer.errors);
    }
}

#[test]
fn a_program_may_come_from_another_by_the_shell() {
    let scratch = Scratch::new();
    let source = program(&scratch, "table");
    scratch.write("sources/table", b"table");
    let out = scratch.join("p.vir0");
    Tool::new(["asm", "-o"])
        .args([&out, &source])
        .run()
        .assert_code(0);
    let answer = Tool::new(["verify", "/dev/stdin"])
        .stdin(pipe_of(&out))
        .run();
    answer.assert_code(0).assert_quiet();
}

/// A pipe that delivers a file's bytes.
fn pipe_of(file: &Path) -> std::io::PipeReader {
    let (reader, mut writer) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut writer, &std::fs::read(file).unwrap()).unwrap();
    reader
}

#[test]
fn lists_without_end_are_refused() {
    for arguments in [
        &["digest", "--files-from", "/dev/zero"][..],
        &["digest", "--files0-from", "/dev/zero"],
        &["digest", "--check", "/dev/zero"],
        &["scan", "-e", "x", "--files-from", "/dev/zero"],
        &["scan", "-f", "/dev/zero", "/dev/null"],
        &["replay", "/dev/zero"],
    ] {
        let answer = Tool::new(arguments).run();
        answer.assert_code(2);
        assert_eq!(
            answer.errors.lines().count(),
            1,
            "{arguments:?}: {}",
            answer.errors
        );
    }
}
