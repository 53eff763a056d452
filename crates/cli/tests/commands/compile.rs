//! `gristmill compile`, and `scan --set` beside `scan --all` with the same patterns.

use crate::tool::{command, finish, gristmill, gristmill_reading, Done};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use tempfile::TempDir;

fn tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = tree.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write(
        "src/a",
        b"a needle in needles\nFoo.Bar foo-bar \xC3\x89cole \xE2\x84\xAA key-1234\0key-77\n",
    );
    write("src/b", "needle\nk\u{17F} K\n".repeat(8_000).as_bytes());
    write("src/c", b"nothing");
    write("list", b"needle\nneedles\nfoo\\.bar\nedl\n");
    write(
        "long",
        (0..5_000)
            .map(|n| format!("needle{n}\n"))
            .collect::<String>()
            .as_bytes(),
    );
    write("empty", b"");
    tree
}

/// The rows without what takes a time.
fn timeless(done: &Done) -> String {
    let lines = done.text().lines().map(|line| {
        let Ok(mut record) = serde_json::from_str::<Value>(line) else {
            let times = line.contains(" seconds ");
            return if times { "" } else { line }.to_owned();
        };
        if let Some(data) = record.get_mut("data").and_then(Value::as_object_mut) {
            data.remove("elapsed_total");
            if let Some(stats) = data.get_mut("stats").and_then(Value::as_object_mut) {
                stats.remove("elapsed");
            }
        }
        record.to_string()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_set_of_patterns_gives_the_answers_of_all() {
    let tree = tree();
    for patterns in [
        &["-f", "list"][..],
        &["-f", "long"],
        &["-F", "-f", "list"],
        &["-i", "-e", "foo\\.bar", "-e", "NEEDLE"],
        &["-F", "-i", "-e", "\u{c9}COLE", "-e", "ks"],
        &["-i", "-e", "\u{e9}cole", "-e", "k"],
        &["-S", "-e", "foo", "-e", "bar"],
        &["-S", "-e", "Foo", "-e", "bar"],
        &["-f", "list", "-e", r"key-\d+", "-e", "(?s)e\\nk."],
        &["-e", r"k\w", "--no-unicode", "-e", "needle"],
        &["-w", "-F", "-f", "list"],
        &["-w", "-i", "-f", "list", "-e", "need.e"],
        &["-x", "--crlf", "-e", "needle", "-e", r"k.*"],
        &["-w", "--no-unicode", "-e", "k"],
        &["-f", "empty"],
    ] {
        let mut compile = vec!["compile", "-o", "set.gms"];
        compile.extend(patterns);
        assert_eq!(gristmill(tree.path(), &compile).rows(), "");
        for flags in [
            &[][..],
            &["--json"],
            &["-c"],
            &["-l"],
            &["-l0"],
            &["-q"],
            &["-I"],
            &["--stats"],
            &["--color", "always"],
            &["--chunk-size", "4K", "-g", "!c"],
        ] {
            let run = |searched: &[&str]| {
                let mut arguments = vec!["scan", "--sort", "path"];
                arguments.extend(searched);
                arguments.extend(flags);
                arguments.push("src");
                gristmill(tree.path(), &arguments)
            };
            let mut all = vec!["--all"];
            all.extend(patterns);
            let (set, all) = (run(&["--set", "set.gms"]), run(&all));
            assert_eq!(set.code, all.code, "{patterns:?} {flags:?}: {}", set.err);
            assert!(timeless(&set) == timeless(&all), "{patterns:?} {flags:?}");
        }
    }
}

#[test]
fn standard_input_is_searched_and_sets_may_come_from_it() {
    let tree = tree();
    let stored = gristmill_reading(tree.path(), &["compile", "-f", "-", "-o", "-"], b"edl\n");
    assert_eq!((stored.code, &*stored.err), (Some(0), ""));
    fs::write(tree.path().join("s.gms"), &stored.out).unwrap();
    let found = gristmill_reading(tree.path(), &["scan", "--set", "s.gms"], b"needle");
    assert_eq!(found.text(), "<stdin>:2:3:edl\n");
    let done = gristmill(tree.path(), &["scan", "--set", "s.gms", "--stats", "src/a"]);
    assert!(
        done.err.contains("\nset           s.gms, loaded in "),
        "{}",
        done.err
    );
}

/// What is refused, in one line.
fn refusal(tree: &Path, arguments: &[&str]) -> String {
    let done = gristmill(tree, arguments);
    assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
    done.err
}

#[test]
fn what_is_no_set_is_refused_with_what_and_where() {
    let tree = tree();
    gristmill(tree.path(), &["compile", "-f", "long", "-o", "s.gms"]).rows();
    let set = fs::read(tree.path().join("s.gms")).unwrap();
    let told = |bytes: &[u8]| {
        fs::write(tree.path().join("x.gms"), bytes).unwrap();
        refusal(tree.path(), &["scan", "--set", "x.gms", "src"])
    };
    let plain = "gristmill: x.gms: not a compiled set: it does not begin like one\n";
    assert_eq!(told(b""), plain);
    assert_eq!(told(b"needle\n"), plain);
    let length = set.len();
    let cut = format!("gristmill: x.gms: the set is cut off: it has 1000 bytes of {length};");
    assert!(told(&set[..1000]).starts_with(&cut));
    let mut other = set.clone();
    other[8] = 2;
    let version = env!("CARGO_PKG_VERSION");
    let both = format!(
        "gristmill: x.gms: gristmill {version} wrote this set in format 2, and gristmill {version} reads format 3; \
         compile it again\n"
    );
    assert_eq!(told(&other), both);
    // A byte of the first section, which begins behind the table.
    let mut damaged = set.clone();
    let first = (64 + 40 * usize::from(set[56])).next_multiple_of(64);
    damaged[first] ^= 4;
    let section = format!("the set was damaged: section set, from byte {first} to ");
    assert!(told(&damaged).contains(&section), "{}", told(&damaged));
    for (file, why) in [
        ("src", "a directory"),
        ("none", "No such file"),
        ("/dev/zero", "device"),
    ] {
        let told = refusal(tree.path(), &["scan", "--set", file, "src"]);
        assert!(told.contains(file) && told.contains(why), "{told}");
    }
    let told = refusal(
        tree.path(),
        &["scan", "--set", "s.gms", "--set-memory", "10K", "src"],
    );
    assert!(
        told.contains("may take 10240; allow more (--set-memory)"),
        "{told}"
    );
}

#[test]
fn a_set_and_flags_that_mean_nothing_with_it_are_refused_by_name() {
    let tree = tree();
    gristmill(tree.path(), &["compile", "-f", "list", "-o", "s.gms"]).rows();
    let with_set = |flags: &[&str]| {
        let mut arguments = vec!["scan", "--set", "s.gms"];
        arguments.extend(flags);
        refusal(tree.path(), &arguments)
    };
    for (flags, named) in [
        (&["-e", "x"][..], "-e and -f together with --set"),
        (&["--rules", "list"], "--rules together with --set"),
        (
            &["--set", "s.gms"],
            "--set is given twice; compile what both",
        ),
        (&["--sarif"], "--sarif is for findings of rules"),
        (
            &["--show-secrets"],
            "--show-secrets is for findings of rules",
        ),
        (&["-i"], "--ignore-case"),
        (&["-F"], "--fixed-strings"),
        (&["-n"], "--line-number"),
        (&["-o"], "--only-matching"),
        (&["-U"], "--multiline"),
        (&["--record", "log"], "--record"),
        (&["--files"], "--files"),
    ] {
        let told = with_set(flags);
        assert!(told.contains(named), "{flags:?}: {told}");
    }
}

#[test]
fn an_output_replaces_a_set_and_nothing_else() {
    let tree = tree();
    let path = |name: &str| tree.path().join(name);
    let compile = |output: &str, pattern: &str| {
        gristmill(
            tree.path(),
            &["compile", "-f", "list", "-e", pattern, "-o", output],
        )
    };
    compile("s.gms", "x").rows();
    fs::set_permissions(path("s.gms"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("s.gms", path("link.gms")).unwrap();
    let before = fs::read(path("s.gms")).unwrap();
    compile("link.gms", "y").rows();
    // The file behind the link is another now, and the link and its permissions are what they were.
    assert_ne!(fs::read(path("s.gms")).unwrap(), before);
    assert!(path("link.gms").is_symlink());
    assert_eq!(
        path("s.gms").metadata().unwrap().permissions().mode() & 0o777,
        0o640
    );
    compile("empty", "x").rows();
    for (output, why) in [
        ("list", "it exists and is not a compiled set"),
        ("src/a", "it exists and is not a compiled set"),
        ("src", "directory"),
        ("none/s.gms", "No such file"),
    ] {
        let done = compile(output, "x");
        assert_eq!((done.code, done.text()), (Some(2), ""));
        assert!(
            done.err.starts_with(&format!("gristmill: {output}: ")),
            "{}",
            done.err
        );
        assert!(done.err.contains(why), "{}", done.err);
    }
    assert_eq!(
        fs::read(path("list")).unwrap(),
        b"needle\nneedles\nfoo\\.bar\nedl\n"
    );
    fs::write(path("blank"), "").unwrap();
    let blank = ["compile", "-f", "blank", "-o", "blank"];
    let told = refusal(tree.path(), &blank);
    assert!(told.contains("it would be overwritten, and is blank, which is read"));
    // A pattern that is refused leaves the set as it was, and nothing else behind.
    let before = fs::read(path("s.gms")).unwrap();
    assert_eq!(compile("s.gms", "(").code, Some(2));
    assert_eq!(fs::read(path("s.gms")).unwrap(), before);
    let names = fs::read_dir(tree.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(names
        .into_iter()
        .all(|name| !name.to_string_lossy().starts_with('.')));
}

#[test]
fn patterns_are_refused_as_scan_refuses_them() {
    let tree = tree();
    fs::write(tree.path().join("wrong"), "a\nb(\n").unwrap();
    fs::write(tree.path().join("blank"), "a\n\n").unwrap();
    let told = |arguments: &[&str]| {
        let mut all = vec!["compile", "-o", "s.gms"];
        all.extend(arguments);
        refusal(tree.path(), &all)
    };
    assert!(told(&["-f", "wrong"]).starts_with("gristmill: wrong:2:2: "));
    assert!(told(&["-f", "blank"]).contains("an empty string, which occurs at every byte"));
    assert!(told(&["-f", "none"]).starts_with("gristmill: none: "));
    assert!(told(&["-e", &"x".repeat(5000)]).contains("more than 4,096 bytes"));
    assert!(told(&["-f", "long", "--set-memory", "1K"]).contains("(--set-memory)"));
    assert!(told(&["--rules", "wrong"]).contains("wrong:1:1: no tab"));
    assert!(told(&["--rules", "empty", "-i"]).contains("-i applies to the patterns of -e and -f"));
    assert!(told(&[]).contains("--rules <FILE>"));
    let told = refusal(tree.path(), &["compile", "-e", "x"]);
    assert!(
        told.contains("--output <FILE>") && told.contains("--explain"),
        "{told}"
    );
    let told = refusal(tree.path(), &["compile", "-e", "x", "-o", "-", "--explain"]);
    assert!(told.contains("both write to standard output"), "{told}");
    assert!(!tree.path().join("s.gms").exists());
}

#[test]
fn explain_tells_slow_patterns_first() {
    let tree = tree();
    let patterns = [
        "compile",
        "--explain",
        "-e",
        "key-[0-9]{4}",
        "-e",
        "[a-z]+@x?",
        "-e",
        "needle",
        "-e",
        "jw?x",
    ];
    let told = gristmill(tree.path(), &patterns).rows();
    let place = |what: &str| {
        told.find(what)
            .unwrap_or_else(|| panic!("no {what} in\n{told}"))
    };
    assert!(
        place("[a-z]+@x?: searched alone") < place("key-[0-9]{4}: "),
        "{told}"
    );
    assert!(
        told.starts_with("set           1 strings, 3 regexes in "),
        "{told}"
    );
    assert!(place("hint          ") > 0 && place("\"key-0\"") > 0);
    let mut json = patterns.to_vec();
    json.push("--json");
    let told = gristmill(tree.path(), &json).rows();
    let records = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records: Vec<Value> = records.collect();
    let of = |kind: &'static str| records.iter().filter(move |record| record["type"] == kind);
    assert_eq!(of("set").next().unwrap()["data"]["patterns"], 4);
    assert_eq!(
        of("strings").next().unwrap()["data"]["classes"][0]["patterns"],
        1
    );
    let regexes: Vec<&Value> = of("regex").map(|record| &record["data"]).collect();
    assert_eq!((regexes.len(), &regexes[0]["index"]), (3, &Value::from(1)));
    let costs: Vec<f64> = regexes
        .iter()
        .map(|one| one["cycles"].as_f64().unwrap())
        .collect();
    assert!(costs.is_sorted_by(|one, other| one >= other), "{costs:?}");
    assert_eq!(regexes[0]["literals"], Value::Null);
}

/// Where a vector unit looks for rare bytes first, that is told, and counts.
#[test]
fn explain_tells_whether_rare_bytes_are_looked_for_first() {
    let tree = tempfile::tempdir().unwrap();
    let hash = |number: u64| number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let hashes =
        (1..600).map(|number| format!("{:016x}{:016x}\n", hash(number), hash(number + 600)));
    fs::write(tree.path().join("hashes"), hashes.collect::<String>()).unwrap();
    let told = |unit: Option<&str>, json: bool| {
        let mut compile = command(tree.path(), &["compile", "-F", "-f", "hashes", "--explain"]);
        compile.args(json.then_some("--json"));
        compile.env_remove("GRISTMILL_VECTOR");
        compile.envs(unit.map(|unit| ("GRISTMILL_VECTOR", unit)));
        finish(compile.spawn().unwrap(), Vec::new()).rows()
    };
    let strings = |unit| -> Value {
        let told = told(unit, true);
        let mut records = told
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let strings = records.find(|record| record["type"] == "strings").unwrap();
        strings["data"].clone()
    };
    let portable = strings(Some("portable"));
    assert_eq!(portable["rare_bytes"], Value::Null);
    assert!(!told(Some("portable"), false).contains("rare bytes"));
    let best = strings(None);
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        let rare = &best["rare_bytes"];
        assert_eq!(rare["patterns"], 599, "{best}");
        let cycles = |value: &Value| value["cycles"].as_f64().unwrap();
        assert!(cycles(&best) < cycles(&portable), "{best} {portable}");
        let unit = rare["unit"].as_str().unwrap();
        let line = format!(
            "599 first by rare bytes with {unit}, {:.1} cycles a byte",
            cycles(rare)
        );
        let told = told(None, false);
        assert!(told.contains(&line), "{line}: {told}");
        return;
    }
    assert_eq!(best, portable);
}

#[test]
fn names_with_dots_that_were_meant_as_strings_are_told() {
    let tree = tempfile::tempdir().unwrap();
    fs::write(
        tree.path().join("hosts"),
        "evil.example\nwww.bad.example\nplain\na.*b\n",
    )
    .unwrap();
    let explained = gristmill(tree.path(), &["compile", "-f", "hosts", "--explain"]).rows();
    assert!(
        explained.contains("2 of them are regexes only because of their dots"),
        "{explained}"
    );
    let explained = gristmill(tree.path(), &["compile", "-F", "-f", "hosts", "--explain"]).rows();
    assert!(!explained.contains("dots"), "{explained}");
}
