//! `gristmill mill`: every subset of commands beside each command alone, its command line, and its files of jobs.

use crate::tool::{gristmill, gristmill_reading, Done};
use gristmill_testing::{noise, seed};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Files in which strings and long matches lie across the borders of chunks, beside empty and small ones.
fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let files = tree.path().join("files");
    fs::create_dir_all(files.join("below")).unwrap();
    fs::write(files.join("empty"), b"").unwrap();
    fs::write(files.join("short"), b"one needle\nand no\nNEEDLE").unwrap();
    fs::write(files.join("noise"), noise(1, 200_001)).unwrap();
    let mut text = b"hay in a line\n".repeat(20_000);
    for at in (4096 - 3..text.len() - 20).step_by(4096) {
        text[at..at + 6].copy_from_slice(b"needle");
    }
    text[50_000..90_000].fill(b'-');
    text[50_000] = b'<';
    text[90_000] = b'>';
    fs::write(files.join("below/text"), &text).unwrap();
    fs::write(files.join("pages"), &text[..65_536]).unwrap();
    for number in 0..20 {
        fs::write(files.join(format!("small-{number}")), &text[..number * 50]).unwrap();
    }
    fs::write(
        tree.path().join("pairs.vasm"),
        "
        .before  1
        .records 64
        .acc     lines sum
            mov   r4, 1
            each  r1, 1
              ld8   r2, r1
              eq    r3, r2, '\\n'
              if    r3
                ld8   r2, r1, -1
                acc   lines, r4
                emit  r1, r2
              end
            end
        ",
    )
    .unwrap();
    fs::write(
        tree.path().join("rules.toml"),
        "[[rules]]\nid = \"needle\"\nregex = '''(needle) (x|y|\\S)'''\n",
    )
    .unwrap();
    tree
}

/// The commands of which subsets are run.
const JOBS: [&[&str]; 7] = [
    &["scan", "--all", "-F", "-e", "needle", "-e", "e"],
    &["scan", "--all", "-e", "n[a-z]{3,9}e", "-e", "(?s)<[^>]*>"],
    &["digest", "--algorithm", "blake3,sha256"],
    &["stats", "--histogram"],
    &["run", "pairs.vasm"],
    &["scan", "--rules", "rules.toml"],
    &["digest", "--algorithm", "crc32c", "--json"],
];

/// What each command gives alone, over these files.
fn alone(run: impl Fn(&[&str]) -> Done) -> Vec<Done> {
    (JOBS.iter()).map(|job| run(job)).collect()
}

/// Compares a mill's answer with those of the commands alone.
fn compare(tree: &Path, about: &str, done: &Done, jobs: &[usize], alone: &[Done]) {
    let expected = |job: &usize| &alone[*job];
    for (place, job) in jobs.iter().enumerate() {
        let rows = fs::read(tree.join(format!("rows-{place}"))).unwrap();
        assert!(rows == expected(job).out, "{about}: job {job}");
    }
    assert_eq!(done.err, "", "{about}");
    let searches: Vec<_> = (jobs.iter().filter(|job| JOBS[**job][0] == "scan"))
        .map(|job| expected(job).code)
        .collect();
    let none = !searches.is_empty() && searches.iter().all(|code| *code == Some(1));
    assert_eq!(done.code, Some(i32::from(none)), "{about}");
}

/// The command line for these jobs, each of which writes to a file of its own.
fn line<'a>(front: &[&'a str], jobs: &[usize], outputs: &'a [String]) -> Vec<&'a str> {
    let mut line = vec!["mill"];
    line.extend(front);
    for (job, output) in jobs.iter().zip(outputs) {
        line.push("+");
        line.extend(JOBS[*job]);
        line.extend([
            "--format",
            if JOBS[*job].contains(&"--json") {
                "jsonl"
            } else {
                "text"
            },
        ]);
        line.extend(["--output", output]);
    }
    line
}

/// Runs a mill whose arguments are the words of a line.
fn mill(tree: &TempDir, line: &str) -> Done {
    let arguments: Vec<&str> = std::iter::once("mill")
        .chain(line.split_whitespace())
        .collect();
    gristmill(tree.path(), &arguments)
}

fn outputs() -> Vec<String> {
    (0..JOBS.len())
        .map(|place| format!("rows-{place}"))
        .collect()
}

#[test]
fn every_subset_writes_what_each_command_writes_alone() {
    let tree = tree();
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_MILL_SEED"));
    let alone = alone(|job| gristmill(tree.path(), &[job, &["--sort", "path", "files"]].concat()));
    assert!(alone.iter().all(|done| !done.out.is_empty()), "{alone:?}");
    let outputs = outputs();
    for subset in 1_u32..1 << JOBS.len() {
        let mut jobs: Vec<usize> = (0..JOBS.len())
            .filter(|job| subset >> job & 1 != 0)
            .collect();
        random.shuffle(&mut jobs);
        let workers = ["1", "3"][random.usize(..2)];
        let chunk = ["4K", "12K", "64K", "512K"][random.usize(..4)];
        let front = [
            "--sort",
            "path",
            "-j",
            workers,
            "--chunk-size",
            chunk,
            "files",
        ];
        let done = gristmill(tree.path(), &line(&front, &jobs, &outputs));
        assert_eq!(String::from_utf8_lossy(&done.out), "");
        compare(tree.path(), &format!("{front:?}"), &done, &jobs, &alone);
    }
}

#[test]
fn every_command_sees_all_of_standard_input() {
    let tree = tree();
    let text = fs::read(tree.path().join("files/below/text")).unwrap();
    let alone = alone(|job| gristmill_reading(tree.path(), &[job, &["-"]].concat(), &text));
    let jobs: Vec<usize> = (0..JOBS.len()).collect();
    let outputs = outputs();
    for workers in ["1", "3"] {
        let front = ["-j", workers, "--chunk-size", "8K", "-"];
        let done = gristmill_reading(tree.path(), &line(&front, &jobs, &outputs), &text);
        compare(tree.path(), workers, &done, &jobs, &alone);
    }
}

#[test]
fn one_job_may_write_to_standard_output_and_no_output_is_read() {
    let tree = tree();
    let files = tree.path().join("files");
    let digests = gristmill(tree.path(), &["digest", "--sort", "path", "files"]);
    for _ in 0..2 {
        // The second time, the output of the first lies among the files.
        let done = mill(
            &tree,
            "--sort path files + digest + stats --output files/table.txt",
        );
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
        assert!(done.out == digests.out);
    }
    let table = fs::read_to_string(files.join("table.txt")).unwrap();
    assert!(table.ends_with("total of 25 files\n"), "{table}");
}

#[test]
fn what_is_wrong_on_the_command_line_is_told_with_what_to_do() {
    let tree = tree();
    for (line, parts) in [
        ("files", &["no jobs", "+ digest"][..]),
        ("files +", &["a + without a command"]),
        (
            "files + doctor",
            &["`+ doctor`", "scan, digest, stats, run"],
        ),
        (
            "files + digest + stats",
            &["`+ digest` and `+ stats`", "--output FILE"],
        ),
        (
            "files + digest --output a.txt + digest --output ./a.txt",
            &["`+ digest 1` and `+ digest 2`", "./a.txt"],
        ),
        (
            "files + digest files",
            &["`+ digest`", "files", "before the first +"],
        ),
        ("files + digest -j 2", &["--workers", "before the first +"]),
        (
            "files + scan needle",
            &["`+ scan`", "--all, --rules or --set"],
        ),
        (
            "files + scan --all -e x files",
            &["files: paths", "before the first +"],
        ),
        ("files + scan --all x -z", &["--search-zip", "as they are"]),
        (
            "files + scan --all x -E utf-16",
            &["--encoding", "as they are"],
        ),
        ("files + scan --all -f -", &["-f -", "store them"]),
        ("files + scan --all (", &["`+ scan`"]),
        (
            "files + digest --check list",
            &["--check", "run that digest separately"],
        ),
        (
            "files + run pairs.vasm --check",
            &["--check", "run it separately"],
        ),
        ("files + run nowhere.vasm", &["`+ run`", "nowhere.vasm"]),
        (
            "files --record log + digest --algorithm sha1",
            &["--record", "crc32c"],
        ),
        (
            "files --backend opencl + digest --algorithm sha256",
            &["`+ digest`", "--backend cpu"],
        ),
    ] {
        let done = mill(&tree, line);
        assert_eq!(done.code, Some(2), "{line}: {done:?}");
        assert_eq!(done.out, b"", "{line}");
        assert!(done.err.starts_with("gristmill: "), "{line}: {}", done.err);
        for part in parts {
            assert!(done.err.contains(part), "{line}: {}", done.err);
        }
    }
}

#[test]
fn the_exit_code_is_that_of_the_searches_unless_something_failed() {
    let tree = tree();
    let code = |line: &str| mill(&tree, line).code;
    let stats = "+ stats --output a.txt";
    assert_eq!(code(&format!("files + scan --all needle {stats}")), Some(0));
    assert_eq!(
        code(&format!("files + scan --all needles {stats}")),
        Some(1)
    );
    let two = "+ scan --all -q needle + scan --all -q needles";
    assert_eq!(code(&format!("files {two}")), Some(0));
    assert_eq!(code("files + digest"), Some(0));
    assert_eq!(
        code(&format!("files missing + scan --all needle {stats}")),
        Some(2)
    );
    assert_eq!(
        code("files + digest --output /dev/full --format text"),
        Some(2)
    );
    // A job whose output fails ends, and the others are whole.
    let failing =
        "files --sort path + digest --format text --output /dev/full + stats --output a.txt";
    assert_eq!(code(failing), Some(2));
    let alone = gristmill(tree.path(), &["stats", "--sort", "path", "files"]);
    assert!(fs::read(tree.path().join("a.txt")).unwrap() == alone.out);
}

#[test]
fn the_report_says_that_bytes_were_read_once() {
    let tree = tree();
    let done = mill(
        &tree,
        "files --stats + digest --output a.txt + stats --output b.txt + scan --all needle -q",
    );
    assert_eq!(done.code, Some(0), "{done:?}");
    let line = |start: &str| {
        let mut lines = done.err.lines().filter(|line| line.starts_with(start));
        let line = lines
            .next()
            .unwrap_or_else(|| panic!("no {start}: {}", done.err));
        line.to_owned()
    };
    let bytes: u64 = walk(&tree.path().join("files"));
    assert!(
        line("read once").contains(&format!("{bytes} bytes")),
        "{}",
        done.err
    );
    assert!(
        line("job           digest").contains(&format!("{bytes} bytes")),
        "{}",
        done.err
    );
    assert!(
        line("job           stats").contains(&format!("{bytes} bytes")),
        "{}",
        done.err
    );
    assert!(line("search").contains("scan: "), "{}", done.err);
}

/// The bytes of all files below a directory.
fn walk(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    let bytes = entries.map(|entry| match entry.file_type().unwrap().is_dir() {
        true => walk(&entry.path()),
        false => entry.metadata().unwrap().len(),
    });
    bytes.sum()
}

#[test]
fn findings_and_tables_have_their_formats_beside_digests() {
    let tree = tree();
    let done = mill(
        &tree,
        "--sort path files + scan --rules rules.toml --sarif --output log.sarif --format text + digest --output sums.csv + stats --json",
    );
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let alone = |arguments: &[&str]| gristmill(tree.path(), arguments).out;
    let sarif = [
        "scan",
        "--rules",
        "rules.toml",
        "--sarif",
        "--sort",
        "path",
        "files",
    ];
    assert!(fs::read(tree.path().join("log.sarif")).unwrap() == alone(&sarif));
    let csv = ["digest", "--format", "csv", "--sort", "path", "files"];
    assert!(fs::read(tree.path().join("sums.csv")).unwrap() == alone(&csv));
    assert!(done.out == alone(&["stats", "--json", "--sort", "path", "files"]));
}

#[test]
fn compiled_sets_are_searched_beside_other_jobs() {
    let tree = tree();
    for (source, set) in [
        ("-e needle -e n[a-z]{3,9}e", "p.gms"),
        ("--rules rules.toml", "r.gms"),
    ] {
        let compile: Vec<&str> = ["compile"].into_iter().chain(source.split(' ')).collect();
        let done = gristmill(tree.path(), &[&compile[..], &["-o", set]].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let line = format!("--sort path files + digest --output sums.txt + scan --set {set}");
        let alone = ["scan", "--set", set, "--sort", "path", "files"];
        let alone = gristmill(tree.path(), &alone);
        assert!(!alone.out.is_empty());
        assert!(mill(&tree, &line).out == alone.out, "{set}");
    }
}

#[test]
fn a_recorded_mill_replays_the_same() {
    let tree = tree();
    let outputs = outputs();
    let front = ["files", "--record", "log", "--chunk-size", "16K"];
    let mut line = line(&front, &[0, 3, 4, 6], &outputs);
    // The program is there twice, with other arguments of the kernel's.
    line.extend(["+", "run", "pairs.vasm", "--output", "again.txt"]);
    let done = gristmill(tree.path(), &line);
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""));
    let replayed = gristmill(tree.path(), &["replay", "log"]);
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
}

#[test]
fn jobs_come_from_a_file_with_flags_and_paths() {
    let tree = tree();
    let jobs = r#"
        paths = ["files"]
        sort = "path"
        workers = 1
        stats = false

        [[job]]
        command = "scan"
        all = true
        regexp = ["needle", "e"]
        fixed-strings = true
        output = "rows-0"
        format = "text"

        [[job]]
        command = "digest"
        algorithm = ["blake3", "sha256"]
        output = "rows-1"
        format = "text"

        [[job]]
        command = "run"
        program = "pairs.vasm"
        output = "rows-2"
        format = "text"

        [[job]]
        command = "stats"
        arguments = ["--histogram", "--output", "rows-3"]
        format = "text"
    "#;
    fs::write(tree.path().join("jobs.toml"), jobs).unwrap();
    let numbers = [0, 2, 4, 3];
    let alone = alone(|job| gristmill(tree.path(), &[job, &["--sort", "path", "files"]].concat()));
    for more in [&[][..], &["--chunk-size", "4K", "-j3"], &["files"]] {
        let line = [&["mill", "--jobs", "jobs.toml"], more].concat();
        let done = gristmill(tree.path(), &line);
        compare(tree.path(), &format!("{more:?}"), &done, &numbers, &alone);
    }
    // Paths given beside the file are read in place of its own, and jobs beside it come behind its own.
    let line = ["mill", "files/short", "--jobs", "jobs.toml", "+", "digest"];
    let done = gristmill(tree.path(), &line);
    assert!(done.out == gristmill(tree.path(), &["digest", "files/short"]).out);
    let pairs = fs::read_to_string(tree.path().join("rows-2")).unwrap();
    assert!(pairs.ends_with("files/short: lines 2\n"), "{pairs}");
}

#[test]
fn what_is_wrong_in_a_file_of_jobs_is_told_with_line_and_column() {
    let tree = tree();
    let path = tree.path().join("jobs.toml");
    for (text, parts) in [
        ("paths = [", &["jobs.toml:1:", "not TOML"][..]),
        (
            "a = 1",
            &["jobs.toml:1:1: unknown key `a`", "`paths`, `job`"],
        ),
        (
            "\npaths = 'x'",
            &["jobs.toml:2:9: `paths` is an array of strings"],
        ),
        ("jobs = 'x'", &["jobs.toml:1:1", "names no other"]),
        (
            "workers = true",
            &["jobs.toml:1:11: `workers` is a string or a number"],
        ),
        ("stats = 1", &["jobs.toml:1:9: `stats` is true or false"]),
        ("workers = 'x'", &["jobs.toml", "--workers"]),
        ("job = 1", &["jobs.toml:1:7", "[[job]]"]),
        ("[[job]]\n", &["jobs.toml:1:1", "a job without a command"]),
        (
            "[[job]]\ncommand = 'doctor'",
            &["jobs.toml:2:11: `command` is one of scan"],
        ),
        (
            "[[job]]\ncommand = 'digest'\n  algoritm = 'md5'",
            &["jobs.toml:3:3: unknown key `algoritm`", "gristmill digest"],
        ),
        (
            "[[job]]\ncommand = 'digest'\nalgorithm = 'md6'",
            &["jobs.toml:1:1: digest: ", "md6"],
        ),
        (
            "[[job]]\ncommand = 'digest'\nworkers = 2",
            &["jobs.toml:1:1: `+ digest`: --workers", "before the first +"],
        ),
        (
            "[[job]]\ncommand = 'scan'\nrules = 'nowhere.toml'",
            &["jobs.toml:1:1: scan: nowhere.toml"],
        ),
        (
            "[[job]]\ncommand = 'digest'\narguments = ['x']",
            &["jobs.toml:1:1: `+ digest`: x"],
        ),
    ] {
        fs::write(&path, text).unwrap();
        let done = mill(&tree, "files --jobs jobs.toml");
        assert_eq!(done.code, Some(2), "{text}: {done:?}");
        for part in parts {
            assert!(done.err.contains(part), "{text}: {}", done.err);
        }
    }
    fs::write(&path, b"# \xFF").unwrap();
    let done = mill(&tree, "files --jobs jobs.toml");
    assert!(
        done.err.contains("jobs.toml:1:3: not UTF-8"),
        "{}",
        done.err
    );
    let done = mill(&tree, "files --jobs nowhere");
    assert!(
        done.code == Some(2) && done.err.contains("nowhere: "),
        "{done:?}"
    );
}
