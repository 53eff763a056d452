//! `gristmill run`, `asm`, `disasm` and `verify`.

use crate::tool::{command, finish, gristmill, gristmill_reading, interrupt, wait_until_busy};
use gristmill_testing::noise;
use serde_json::{json, Value};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A shipped program.
fn shipped(name: &str) -> String {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs");
    programs.join(name).to_str().unwrap().to_owned()
}

/// A directory with files whose sizes are close to those of chunks.
fn tree() -> (TempDir, Vec<(String, Vec<u8>)>) {
    let tree = tempfile::tempdir().unwrap();
    let sizes = [0, 1, 4_095, 4_096, 4_097, 100_000, 600_001];
    let files: Vec<_> = (0_u64..)
        .zip(sizes)
        .map(|(seed, size)| (format!("{seed}-{size}"), noise(seed + 1, size)))
        .collect();
    for (name, bytes) in &files {
        fs::write(tree.path().join(name), bytes).unwrap();
    }
    (tree, files)
}

fn lines(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

const PROGRAM: &str = "
.name   above
.acc    count sum
.acc    least min
.acc    seen[4] or
.arg    limit = 100
.records 20000

    arg   r4, limit
    mov   r5, 1
    each  r1, 1
      ld8   r2, r1
      ltu   r3, r4, r2
      if    r3
        acc   count, r5
        acc   least, r2
        and   r6, r2, 3
        acc   seen, r6, r2
        emit  r1, r2
      end
    end
";

fn written(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, text).unwrap();
    path
}

#[test]
fn a_program_runs_over_every_byte_of_a_tree() {
    let (tree, files) = tree();
    let arguments = ["run", &shipped("newline_count.vasm"), "--sort", "path", "."];
    let expected: String = files
        .iter()
        .map(|(name, bytes)| format!("./{name}: lines {}\n", lines(bytes)))
        .collect();
    assert_eq!(gristmill(tree.path(), &arguments).rows(), expected);
    let all: usize = files.iter().map(|(_, bytes)| lines(bytes)).sum();
    let total = gristmill(
        tree.path(),
        &["run", "--total", &shipped("newline_count.vasm"), "."],
    );
    assert_eq!(
        total.rows(),
        format!("total of {} files: lines {all}\n", files.len())
    );
}

#[test]
fn records_accumulators_and_arguments_are_told_as_text_and_as_json() {
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "above.vasm", PROGRAM);
    fs::write(tree.path().join("file"), b"az!{|a").unwrap();
    let text = gristmill(
        tree.path(),
        &["run", "above.vasm", "--arg", "limit=0x61", "file"],
    );
    let expected = "file:1:122\nfile:3:123\nfile:4:124\nfile: count 3\nfile: least 122\n\
        file: seen[0] 124\nfile: seen[2] 122\nfile: seen[3] 123\n";
    assert_eq!(text.rows(), expected);
    let nothing = gristmill(
        tree.path(),
        &["run", "above.vasm", "--arg", "limit=255", "file"],
    );
    assert_eq!(nothing.rows(), "file: count 0\nfile: least none\n");
    let rows = gristmill(tree.path(), &["run", "--json", "above.vasm", "file"]).rows();
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let accs = json!({"count": 3, "least": 122, "seen": [124, 0, 122, 123]});
    let path = json!({"text": "file"});
    assert_eq!(
        rows[0],
        json!({"type": "record", "path": path, "offset": 1, "value": 122})
    );
    assert_eq!(
        rows[3],
        json!({"type": "file", "path": path, "bytes": 6, "accs": accs})
    );
    assert_eq!(
        rows[4],
        json!({"type": "total", "files": 1, "bytes": 6, "accs": accs})
    );
    assert_eq!(rows.len(), 5);
}

#[test]
fn answers_do_not_depend_on_workers_chunks_or_read_paths() {
    let (tree, _) = tree();
    for name in [
        "utf8_validate.vasm",
        "content_chunks.vasm",
        "adler32_blocks.vasm",
        "longest_run.vasm",
    ] {
        let program = shipped(name);
        let base = ["run", &program, "--sort", "path", "."];
        let expected = gristmill(tree.path(), &base).rows();
        assert!(expected.lines().count() > 6, "{name}");
        for flags in [
            ["-j", "1", "--chunk-size", "4K"],
            ["-j", "3", "--chunk-size", "64K"],
            ["--read-path", "positioned", "--depth", "2"],
            ["--read-path", "registered", "--chunk-size", "12K"],
        ] {
            let arguments = [&base[..], &flags[..]].concat();
            assert_eq!(
                gristmill(tree.path(), &arguments).rows(),
                expected,
                "{name} {flags:?}"
            );
        }
        let check = gristmill(tree.path(), &["run", "--check", &program, "."]).rows();
        assert!(
            check.starts_with("the same answers from 7 files"),
            "{check}"
        );
    }
}

/// A program that says how its results are shown: a tenth of the largest byte, and the smallest above 200.
const SHOWN: &str = "
.name    shown
.acc     largest max
.acc     least min
.acc     pair[2] sum
.show    largest / 10 \"cm\", \"height\"
.show    pair / 3
.show    .records / 16 \"inches\"
.records 100

    each  r1, 1
      ld8   r2, r1
      acc   largest, r2
      acc   pair, 1, r2
      ltu   r3, r2, 200
      if    r3
      else
        acc   least, r2
        emit  r1, r2
      end
    end
";

#[test]
fn results_are_shown_as_the_program_says_and_whole_in_json() {
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "shown.vasm", SHOWN);
    fs::create_dir(tree.path().join("in")).unwrap();
    fs::write(tree.path().join("in/a"), [3, 216, 5]).unwrap();
    fs::write(tree.path().join("in/b"), [7]).unwrap();
    let run = |flags: &[&str]| {
        let call = [&["run", "shown.vasm", "in", "--sort", "path"], flags].concat();
        gristmill(tree.path(), &call).rows()
    };
    assert_eq!(
        run(&[]),
        "in/a:1:13.50 inches\n\
         in/a: height 21.6 cm\nin/a: least 216\nin/a: pair[1] 74.67\n\
         in/b: height 0.7 cm\nin/b: least none\nin/b: pair[1] 2.33\n"
    );
    let heading = "height (cm)       least     pair[0]     pair[1]  path\n";
    let total = "       21.6         216        0.00       77.00  total of 2 files\n";
    assert_eq!(
        run(&["--table"]),
        format!(
            "{heading}       21.6         216        0.00       74.67  in/a\n        0.7           -        0.00        2.33  in/b\n{total}"
        )
    );
    assert_eq!(run(&["--table", "--total"]), format!("{heading}{total}"));
    let rows = run(&["--json"]);
    let rows: Vec<Value> = rows
        .lines()
        .map(|row| serde_json::from_str(row).unwrap())
        .collect();
    let inches = json!({"value": 13.5, "unit": "inches"});
    assert_eq!(
        (&rows[0]["value"], &rows[0]["shown"]),
        (&json!(216), &inches)
    );
    assert_eq!(
        rows[1]["accs"],
        json!({"largest": 216, "least": 216, "pair": [0, 224]})
    );
    assert_eq!(
        rows[1]["shown"],
        json!({
            "largest": {"value": 21.6, "unit": "cm", "title": "height"},
            "pair": {"value": [0.0, 224.0 / 3.0]},
        })
    );
    assert_eq!(rows[2]["accs"]["least"], Value::Null);
    assert_eq!(rows[3]["shown"]["largest"]["value"], json!(21.6));

    // What the assembler and the disassembler make of it is shown alike.
    let asm = ["asm", "shown.vasm", "-o", "shown.vir0"];
    assert_eq!(gristmill(tree.path(), &asm).code, Some(0));
    let text = gristmill(tree.path(), &["disasm", "shown.vir0"]).rows();
    written(tree.path(), "again.vasm", &text);
    let again = gristmill(tree.path(), &["run", "again.vasm", "in", "--sort", "path"]).rows();
    assert_eq!(again, run(&[]));
}

#[test]
fn a_table_that_would_be_too_wide_is_refused() {
    let tree = tempfile::tempdir().unwrap();
    let program = shipped("byte_histogram.vasm");
    let done = gristmill(tree.path(), &["run", "--table", &program, "."]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err
            .contains("each of 256 accumulators, and has at most 24"),
        "{}",
        done.err
    );
}

#[test]
fn a_stream_is_run_over_as_a_file_is() {
    let (tree, files) = tree();
    for name in ["longest_run.vasm", "utf8_validate.vasm", "entropy.vasm"] {
        let program = shipped(name);
        for (file, bytes) in &files {
            let expected = gristmill(tree.path(), &["run", &program, file]).rows();
            let done = gristmill_reading(tree.path(), &["run", &program, "-"], bytes).rows();
            assert_eq!(
                done.replace("<stdin>:", ":"),
                expected.replace(&format!("{file}:"), ":"),
                "{name} {file}"
            );
        }
    }
}

#[test]
fn too_many_records_are_split_and_nothing_is_lost() {
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "above.vasm", &PROGRAM.replace("20000", "100"));
    let bytes = noise(5, 70_000);
    fs::write(tree.path().join("file"), &bytes).unwrap();
    let rows = gristmill(
        tree.path(),
        &["run", "above.vasm", "--arg", "limit=200", "file"],
    )
    .rows();
    let expected: Vec<String> = bytes
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte > 200)
        .map(|(at, byte)| format!("file:{at}:{byte}"))
        .collect();
    let got: Vec<&str> = rows
        .lines()
        .filter(|row| row.starts_with("file:"))
        .collect();
    let records: Vec<&str> = got
        .iter()
        .copied()
        .filter(|row| !row.contains(": "))
        .collect();
    assert!(
        records == expected,
        "{} records and not {}",
        records.len(),
        expected.len()
    );
    assert!(rows.contains(&format!("count {}\n", expected.len())));
    // A single block with too many records is an error, and other files are not affected.
    let blocks = PROGRAM.replace("20000", "100\n.align 4096");
    written(tree.path(), "blocks.vasm", &blocks);
    fs::write(tree.path().join("fine"), b"\xFF").unwrap();
    let done = gristmill(
        tree.path(),
        &["run", "blocks.vasm", "--sort", "path", "file", "fine"],
    );
    assert_eq!(done.code, Some(2));
    assert!(done.text().contains("fine: count 1\n"), "{done:?}");
    assert!(
        done.err.contains("file") && done.err.contains("records"),
        "{}",
        done.err
    );
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
}

#[test]
fn a_fault_tells_program_instruction_and_line_and_spares_other_files() {
    let tree = tempfile::tempdir().unwrap();
    let source =
        ".name faulty\n.acc few[3] sum\n each r1, 1\n  ld8 r2, r1\n  acc few, r2, r1\n end\n";
    written(tree.path(), "faulty.vasm", source);
    fs::write(tree.path().join("bad"), [0, 1, 2, 3]).unwrap();
    fs::write(tree.path().join("good"), [0, 1, 2, 2]).unwrap();
    let done = gristmill(
        tree.path(),
        &["run", "faulty.vasm", "--sort", "path", "bad", "good"],
    );
    assert_eq!(done.code, Some(2));
    assert_eq!(done.text(), "good: few[1] 1\ngood: few[2] 5\n");
    assert_eq!(done.err.lines().count(), 1, "{}", done.err);
    for part in [
        "bad",
        "program faulty",
        "instruction 2",
        "faulty.vasm:5",
        "tenant 0",
    ] {
        assert!(done.err.contains(part), "{part}: {}", done.err);
    }
}

#[test]
fn a_program_that_depends_on_where_chunks_begin_is_found_out() {
    let (tree, _) = tree();
    let source = ".acc chunks sum\n mov r1, 1\n acc chunks, r1\n each r2, 1\n end\n";
    written(tree.path(), "chunks.vasm", source);
    let done = gristmill(
        tree.path(),
        &["run", "--check", "chunks.vasm", "6-600001", "1-1"],
    );
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.text().starts_with("different answers from 2 files"),
        "{done:?}"
    );
    assert!(done.err.contains("6-600001: chunks of"), "{done:?}");
    assert!(!done.err.contains("1-1:"), "{done:?}");
    // Small chunks are compared, too, and a message says if there is nothing to compare.
    for (chunk, said) in [("64", "different answers"), ("1", "nothing to compare")] {
        written(
            tree.path(),
            "small.vasm",
            &format!(".chunk {chunk}\n{source}"),
        );
        let done = gristmill(tree.path(), &["run", "--check", "small.vasm", "2-4095"]);
        assert!(done.text().starts_with(said), "{done:?}");
    }
    // Without files, the answer says that nothing was compared.
    fs::create_dir(tree.path().join("nothing")).unwrap();
    let done = gristmill(tree.path(), &["run", "--check", "chunks.vasm", "nothing"]);
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(
        done.text().starts_with("no answers from 0 files"),
        "{done:?}"
    );
    assert!(done.err.contains("nothing to compare"), "{done:?}");
    let stream = gristmill_reading(tree.path(), &["run", "--check", "chunks.vasm"], b"x");
    assert_eq!(stream.code, Some(2));
    assert!(stream.err.contains("name files"), "{stream:?}");
}

#[test]
fn the_program_in_the_readme_counts_what_it_says() {
    let readme = include_str!("../../../../README.md");
    let (_, program) = readme.split_once("\n```asm\n").unwrap();
    let (program, _) = program.split_once("```\n").unwrap();
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "above.vasm", program);
    fs::write(tree.path().join("file"), [0, 127, 128, 200, 201, 255]).unwrap();
    let run = |arguments: &[&str]| gristmill(tree.path(), arguments).rows();
    assert_eq!(run(&["run", "above.vasm", "file"]), "file: count 4\n");
    let above = run(&["run", "above.vasm", "--arg", "limit=200", "file"]);
    assert_eq!(above, "file: count 2\n");
}

#[test]
fn assembling_and_disassembling_go_round() {
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "above.vasm", PROGRAM);
    assert_eq!(gristmill(tree.path(), &["asm", "above.vasm"]).rows(), "");
    let bytes = fs::read(tree.path().join("above.vir0")).unwrap();
    assert_eq!(&bytes[..4], b"VIR0");
    let text = gristmill(tree.path(), &["disasm", "above.vir0"]).rows();
    let again = gristmill_reading(
        tree.path(),
        &["asm", "-", "-o", "again.vir0"],
        text.as_bytes(),
    );
    assert_eq!(again.rows(), "");
    assert_eq!(fs::read(tree.path().join("again.vir0")).unwrap(), bytes);
    // An assembled program runs and has its line numbers; a stripped one is shorter.
    fs::write(tree.path().join("file"), b"az").unwrap();
    let rows = gristmill(tree.path(), &["run", "above.vir0", "file"]).rows();
    assert!(rows.starts_with("file:1:122\n"), "{rows}");
    gristmill(
        tree.path(),
        &["asm", "--strip", "above.vasm", "-o", "stripped.vir0"],
    )
    .rows();
    assert!(fs::read(tree.path().join("stripped.vir0")).unwrap().len() < bytes.len());
}

#[test]
fn what_the_assembler_refuses_is_shown_with_its_place() {
    let tree = tempfile::tempdir().unwrap();
    written(
        tree.path(),
        "wrong.vasm",
        ".acc n sum\n    add r1, r32, 4\n",
    );
    for arguments in [
        &["asm", "wrong.vasm"][..],
        &["verify", "wrong.vasm"],
        &["run", "wrong.vasm", "wrong.vasm"],
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
        let shown: Vec<&str> = done.err.lines().collect();
        assert_eq!(shown.len(), 3, "{}", done.err);
        assert!(shown[0].contains("wrong.vasm:2:13: "), "{}", done.err);
        assert!(shown[1].contains("add r1, r32, 4"), "{}", done.err);
        assert_eq!(shown[2].find('^'), shown[1].find("r32"), "{}", done.err);
    }
    assert!(!tree.path().join("wrong.vir0").exists());
}

#[test]
fn verify_tells_what_a_program_costs_or_what_rule_it_breaks() {
    let tree = tempfile::tempdir().unwrap();
    written(tree.path(), "good.vasm", PROGRAM);
    written(
        tree.path(),
        "bad.vasm",
        " each r1, 1\n  each r2, 1\n  end\n end\n",
    );
    let good = gristmill(tree.path(), &["verify", "good.vasm"]).rows();
    assert!(
        good.starts_with("good.vasm: accepted: 13 instructions"),
        "{good}"
    );
    assert!(good.contains("3 + 8 for each window of 1 byte"), "{good}");
    let bad = gristmill(tree.path(), &["verify", "bad.vasm", "good.vasm"]);
    assert_eq!(bad.code, Some(1));
    let rows: Vec<&str> = bad.text().lines().collect();
    assert!(
        rows[0].starts_with("bad.vasm:2:3: refused: instruction 1: "),
        "{rows:?}"
    );
    assert!(rows[0].contains("top level"), "{rows:?}");
    assert_eq!(rows[1..3], ["  each r2, 1", "  ^^^^^^^^^^"]);
    assert!(rows[3].contains("accepted"), "{rows:?}");
    let refused = gristmill(tree.path(), &["asm", "bad.vasm"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .err
            .contains("bad.vasm:2:3: refused: instruction 1: "),
        "{}",
        refused.err
    );
    gristmill(tree.path(), &["asm", "--unverified", "bad.vasm"]).rows();
    let done = gristmill(tree.path(), &["verify", "bad.vir0"]);
    assert_eq!(
        (done.code, done.text().contains("line 2")),
        (Some(1), true),
        "{done:?}"
    );
    let mut bytes = fs::read(tree.path().join("bad.vir0")).unwrap();
    bytes[9] ^= 1;
    fs::write(tree.path().join("broken.vir0"), bytes).unwrap();
    for arguments in [
        &["verify", "broken.vir0"][..],
        &["disasm", "broken.vir0"],
        &["run", "broken.vir0", "."],
    ] {
        let done = gristmill(tree.path(), arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
        assert!(
            done.err.contains("broken.vir0") && done.err.contains("checksum"),
            "{}",
            done.err
        );
    }
}

#[test]
fn arguments_that_are_wrong_are_told() {
    let tree = tempfile::tempdir().unwrap();
    written(
        tree.path(),
        "needs.vasm",
        ".arg limit\n.acc n sum\n arg r1, limit\n acc n, r1\n",
    );
    fs::write(tree.path().join("file"), b"x").unwrap();
    for (given, said) in [
        (&[][..], "needs its argument limit"),
        (
            &["--arg", "other=1", "--arg", "limit=1"],
            "no argument other; it has: limit",
        ),
        (&["--arg", "limit=many"], "NAME=VALUE"),
        (&["--arg", "limit=4294967296"], "NAME=VALUE"),
        (&["--arg", "limit=-2147483649"], "NAME=VALUE"),
        (&["--arg", "limit"], "NAME=VALUE"),
    ] {
        let arguments = [&["run", "needs.vasm", "file"][..], given].concat();
        let done = gristmill(tree.path(), &arguments);
        assert_eq!((done.code, done.text()), (Some(2), ""), "{given:?}");
        assert!(done.err.contains(said), "{given:?}: {}", done.err);
    }
    for (given, value) in [("limit=7", 7), ("limit=0x10", 16), ("limit=-1", u32::MAX)] {
        let rows = gristmill(tree.path(), &["run", "needs.vasm", "file", "--arg", given]).rows();
        assert_eq!(rows, format!("file: n {value}\n"));
    }
}

#[test]
fn run_ends_with_the_path_taken() {
    let (tree, _) = tree();
    let arguments = [
        "run",
        "--stats",
        &shipped("byte_histogram.vasm"),
        "--total",
        ".",
    ];
    let done = finish(
        command(tree.path(), &arguments).spawn().unwrap(),
        Vec::new(),
    );
    assert_eq!(done.code, Some(0));
    assert!(done.err.contains("cpu"), "{}", done.err);
    assert!(done.err.contains("712290"), "own bytes only: {}", done.err);
}

#[test]
fn a_refusal_shows_the_line_and_what_would_cure_it() {
    let tree = tempfile::tempdir().unwrap();
    let text =
        "; costly\n\t.chunk 0x1000000  ; bytes\n each r1, 1\n loop 60000 ; trips\n end\n end\n";
    written(tree.path(), "costly.vasm", text);
    for arguments in [
        &["asm", "costly.vasm"][..],
        &["asm", "--strip", "costly.vasm"],
        &["run", "costly.vasm", "."],
        &["verify", "costly.vasm"],
    ] {
        let done = gristmill(tree.path(), arguments);
        let shown = if arguments[0] == "verify" {
            assert_eq!(done.code, Some(1), "{done:?}");
            done.text().to_owned()
        } else {
            assert_eq!(done.code, Some(2), "{done:?}");
            done.err.trim_start_matches("gristmill: ").to_owned()
        };
        let lines: Vec<&str> = shown.lines().collect();
        assert!(
            lines[0].starts_with("costly.vasm:2:2: refused: "),
            "{shown}"
        );
        assert_eq!(lines[1], " .chunk 0x1000000  ; bytes", "{arguments:?}");
        assert_eq!(lines[2], " ^^^^^^^^^^^^^^^^", "{arguments:?}");
        // The chunk size that the message proposes is accepted, and the next larger one is not.
        let (_, rest) = lines[0].split_once("a chunk of ").unwrap();
        let (_, rest) = rest.split_once("a chunk of ").unwrap();
        let bytes: u32 = rest.split(' ').next().unwrap().parse().unwrap();
        for (chunk, code) in [(bytes, 0), (bytes + 1, 1)] {
            let text = text.replace("0x1000000", &chunk.to_string());
            written(tree.path(), "smaller.vasm", &text);
            let done = gristmill(tree.path(), &["verify", "smaller.vasm"]);
            assert_eq!(done.code, Some(code), "{chunk}: {done:?}");
        }
    }
    // If no chunk is small enough, the message says so.
    written(
        tree.path(),
        "top.vasm",
        " loop 65535\n loop 65535\n loop 65535\n end\n end\n end\n",
    );
    let done = gristmill(tree.path(), &["verify", "top.vasm"]);
    assert_eq!(done.code, Some(1));
    assert!(done.text().contains("fewer trips of loops"), "{done:?}");
}

#[test]
fn an_interrupt_ends_a_run_inside_of_a_chunk() {
    let tree = tempfile::tempdir().unwrap();
    // Each chunk has nearly as much work as the verifier accepts, which takes seconds, or minutes in a debug build.
    let text = " .chunk 64\n .acc n sum\n loop 12000\n loop 12000\n add r1, r1, 1\n end\n end\n acc n, r1\n";
    written(tree.path(), "long.vasm", text);
    fs::write(tree.path().join("file"), vec![b'x'; 64 * 1000]).unwrap();
    let recorded = ["run", "--record", "log", "long.vasm", "file"];
    for arguments in [&["run", "long.vasm", "file"][..], &recorded] {
        let child = command(tree.path(), arguments).spawn().unwrap();
        wait_until_busy(&child);
        interrupt(&child);
        let done = finish(child, Vec::new());
        assert_eq!(done.code, Some(130), "{done:?}");
        assert_eq!(
            done.err,
            "gristmill: interrupted: what was done so far is above\n"
        );
        assert_eq!(done.text(), "", "a file that is not done has no row");
    }
    // Cancelled slots are not in the log.
    let replayed = gristmill(tree.path(), &["replay", "log"]);
    assert!(
        replayed.text().starts_with("nothing was replayed"),
        "{replayed:?}"
    );
}
