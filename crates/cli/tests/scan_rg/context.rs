//! Lines around matches, all lines, and what stands in the place of matches.

use super::*;
use fastrand::Rng;

/// The most pieces of a line.
const MOST_PIECES: usize = 4_000;

fn line(random: &mut Rng, bytes: &mut Vec<u8>, length: usize) {
    const PIECES: [&str; 16] = [
        "a", "b", "ab", "foo", " ", "\t", "xy", "\u{e9}", "42", "\r", "  ", "c", "d", "0", "(", "",
    ];
    for _ in 0..length.min(MOST_PIECES) {
        bytes.extend_from_slice(PIECES[random.usize(..PIECES.len())].as_bytes());
    }
    // Matches are few, so that lines around them are apart.
    if random.usize(..12) == 0 {
        bytes.extend_from_slice(b"needle");
    }
    bytes.push(b'\n');
}

fn some(random: &mut Rng, one_of: &[&str], chance: usize, chosen: &mut Vec<OsString>) {
    for flag in one_of {
        if random.usize(..chance) == 0 {
            chosen.extend(flag.split(' ').map(OsString::from));
        }
    }
}

/// Flags about lines around matches, or about all lines.
fn around(random: &mut Rng) -> Vec<OsString> {
    let mut chosen = Vec::new();
    let numbers = ["0", "1", "2", "3", "7", "40"];
    let mut number = || numbers[random.usize(..numbers.len())];
    let (a, b, c) = (number(), number(), number());
    match random.usize(..9) {
        0 | 1 => chosen.extend(words(&["-A", a])),
        2 | 3 => chosen.extend(words(&["-B", b])),
        4 | 5 => chosen.extend(words(&["-C", c])),
        6 => chosen.extend(words(&["-C", c, "-A", a])),
        7 => chosen.extend(words(&["-A", a, "-B", b])),
        _ => chosen.extend(words(&["--passthru"])),
    }
    if random.usize(..6) == 0 {
        let separators = [
            "--no-context-separator",
            "--context-separator=",
            "--context-separator=<\\t>",
            "--field-context-separator=\\x7f",
            "--field-match-separator= m ",
        ];
        chosen.push(separators[random.usize(..separators.len())].into());
    }
    chosen
}

fn patterns(random: &mut Rng) -> Vec<OsString> {
    const PATTERNS: [&str; 14] = [
        "needle",
        "needle",
        "needle",
        "needle",
        "n(e+)dle",
        "(?P<x>f)oo",
        "f.o",
        "^a",
        "b$",
        "42",
        "zz",
        "",
        "[0-9]+",
        "Needle",
    ];
    let mut chosen = Vec::new();
    for _ in 0..1 + random.usize(..2) {
        chosen.push("-e".into());
        chosen.push(PATTERNS[random.usize(..PATTERNS.len())].into());
    }
    chosen
}

/// Adds directories or files of the tree.
fn paths(random: &mut Rng, tree: &Tree, arguments: &mut Vec<OsString>) {
    let choice = random.usize(..4);
    if choice == 0 {
        arguments.extend(
            ["d0", "d1"]
                .into_iter()
                .filter(|name| tree.root.join(name).exists())
                .map(OsString::from),
        );
    } else if choice == 1 {
        let listed = fs::read_dir(tree.root.join("d0")).into_iter().flatten();
        let most = 1 + random.usize(..2);
        for entry in listed.take(most) {
            arguments.push(Path::new("d0").join(entry.unwrap().file_name()).into());
        }
    }
}

/// What is shown of lines, and how.
const SHOWN: [&str; 31] = [
    "-v",
    "--column",
    "--vimgrep",
    "-M30",
    "--max-columns-preview",
    "--trim",
    "-F",
    "-i",
    "-o",
    "-c",
    "-n",
    "-N",
    "-a",
    "-b",
    "-H",
    "-I",
    "-0",
    "--heading",
    "--json",
    "--color=always",
    "-w",
    "--crlf",
    "-l",
    "-q",
    "--count-matches",
    "--files-without-match",
    "-r <$0>",
    "-r $1$x",
    "-r $$${1}_$2",
    "-r -",
    "--include-zero",
];

/// Searches of random trees, with a random choice of chunk sizes, paths and what is shown.
fn random_searches(
    random: &mut Rng,
    size: fn(&mut Rng) -> usize,
    arguments: fn(&mut Rng) -> Vec<OsString>,
) {
    for _ in 0..2 {
        let tree = regexes::tree(random, size, line);
        for _ in 0..24 {
            let chunk = ["4K", "8K", "64K", "1M"][random.usize(..4)];
            // ripgrep has no bound on the rows of one line.
            let own = words(&["--chunk-size", chunk, "--max-line", "64M"]);
            let mut all = words(&["--sort", "path"]);
            all.extend(arguments(random));
            some(random, &SHOWN, 9, &mut all);
            let has = |flag: &str| all.iter().any(|argument| argument == flag);
            // Where lines without a match are looked for, ripgrep takes one more for found at the end of what it has
            // read, and says further than the last one that it searched.
            if random.usize(..5) == 0 && !has("-v") {
                all.push(["-m1", "-m3"][random.usize(..2)].into());
            }
            paths(random, &tree, &mut all);
            same_answer(&tree, &all, &own, None);
        }
    }
}

#[test]
fn random_lines_around_matches_are_those_of_ripgrep() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(gristmill_testing::seed("CONTEXT_SEED"));
    random_searches(
        &mut random,
        |random| [0, 3, 50, 3_000, 20_000, 300_000][random.usize(..6)],
        |random| [patterns(random), around(random)].concat(),
    );
}

#[test]
fn random_replacements_are_those_of_ripgrep() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(gristmill_testing::seed("REPLACE_SEED"));
    random_searches(
        &mut random,
        |random| [0, 3, 50, 3_000, 20_000][random.usize(..5)],
        |random| {
            let mut arguments = patterns(random);
            let replacements = [
                "", "<$0>", "$1", "$x-${1}", "$$1", "a$0b", "\\n", "$9", "${x}y",
            ];
            arguments.push("-r".into());
            arguments.push(replacements[random.usize(..replacements.len())].into());
            arguments
        },
    );
}

#[test]
fn random_matches_that_span_lines_are_those_of_ripgrep() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(gristmill_testing::seed("MULTILINE_SEED"));
    random_searches(
        &mut random,
        |random| [0, 3, 50, 3_000, 20_000, 300_000][random.usize(..6)],
        |random| {
            const PATTERNS: [&str; 16] = [
                "needle\\n",
                "needle\n",
                "\\n\\n",
                "e\\s+a",
                "(?s)foo.{1,9}42",
                "foo[^x]*?xy",
                "a.b",
                "^a",
                "b$",
                "needle",
                "(b)\\r?\\n(?P<x>[^b])",
                "\\n",
                "",
                "zz\\nz",
                "42\\W+a",
                "\\A.",
            ];
            let mut arguments = words(&["-U"]);
            for _ in 0..1 + random.usize(..2) {
                arguments.push("-e".into());
                arguments.push(PATTERNS[random.usize(..PATTERNS.len())].into());
            }
            some(random, &["--multiline-dotall"], 4, &mut arguments);
            if random.usize(..3) == 0 {
                arguments.extend(around(random));
            }
            arguments
        },
    );
}

#[test]
fn lines_around_matches_are_shown_at_every_edge() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write("a/none", "hay\nhay\n");
    tree.write("a/one", "1\n2\n3\n4\nneedle\n6\n7\n8\n9");
    tree.write("a/two", "needle\n2\n3\n4\n5\nneedle");
    tree.write("b/near", "1\nneedle\n3\nneedle\nneedle\n6\n7\n");
    tree.write("b/mark", "\u{feff}1\nneedle\n3\n");
    tree.write("b/crlf", "1\r\nneedle\r\n3\r\n");
    tree.write("nul", "1\n2\nneedle\n4\0\n5\nneedle\n");
    tree.write("nul-first", "\0\n2\nneedle\n4\n5\nneedle\n");
    tree.write("nul-before", "1\n2\0\nneedle\n4\n");
    let mut late = b"1\nneedle\n3\n".to_vec();
    late.extend_from_slice(&b"hay\n".repeat(50_000));
    late.extend_from_slice(b"1\n2\0\nneedle\n4\n5\nneedle\n");
    tree.write("nul-late", late);
    // Lines that span chunks, before and after a match.
    let mut long = b"1\n".to_vec();
    long.resize(30_000, b'x');
    long.extend_from_slice(b"\nneedle\n");
    long.resize(90_000, b'y');
    long.extend_from_slice(b"\n5\nneedle\n");
    tree.write("long", long);
    let files = ["nul", "nul-first", "nul-before", "nul-late", "long"];
    for context in [
        "-A1",
        "-B1",
        "-C1",
        "-A2",
        "-B2",
        "-C0",
        "-C9",
        "-B3 -A1",
        "--passthru",
        "-A1 --passthru",
        "--passthru -B1",
        "-A2 -m1",
        "-C1 -m2",
        "--passthru -m1",
        "-C1 --no-context-separator",
        "-C1 --context-separator=",
        "-C1 --context-separator=\\x41\\n--",
        "-A1 -v",
        "-B1 -v -m1",
        "-C1 -v --color=always",
        "-B1 -vo",
        "-C1 --field-context-separator=",
    ] {
        for shown in ["", "-nb", "--color=always --heading -n", "--json", "-c"] {
            if context.contains("-v -m") && shown == "--json" {
                // ripgrep says how far it went on to the next match.
                continue;
            }
            let flags: Vec<&str> = context
                .split(' ')
                .chain(shown.split(' '))
                .filter(|flag| !flag.is_empty())
                .collect();
            let mut all = words(&["--sort", "path", "needle"]);
            all.extend(words(&flags));
            let own = words(&["--chunk-size", "4K"]);
            same_answer(
                &tree,
                &[all.clone(), words(&["a", "b"])].concat(),
                &own,
                None,
            );
            for file in files {
                same_answer(&tree, &[all.clone(), words(&[file])].concat(), &own, None);
            }
            let stdin = Some(Path::new("long"));
            same_answer(&tree, &[all.clone(), words(&["-"])].concat(), &own, stdin);
        }
    }
    for counted in [
        "-C1",
        "-A2 -m1",
        "--passthru",
        "-B1 -r new",
        "-U -e needle\\n -C1",
    ] {
        let flags: Vec<&str> = counted.split(' ').collect();
        let arguments = [
            words(&["--stats", "--sort", "path", "-e", "needle"]),
            words(&flags),
            words(&["a", "b", "long"]),
        ];
        let (expected, got) = (
            rg(&tree, &arguments.concat(), None),
            gristmill(&tree, &arguments.concat(), None),
        );
        assert_eq!(
            timeless(&got.stdout),
            timeless(&expected.stdout),
            "{counted}"
        );
    }
}

/// The standard error of a search that ends with 2.
fn complaint(tree: &Tree, arguments: &[&str], stdin: Option<&Path>) -> String {
    let output = gristmill(tree, &words(arguments), stdin);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn long_lines_around_matches_are_read_again_or_named() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let mut text = b"1\n".to_vec();
    text.resize(1_500_000, b'y');
    text.extend_from_slice(b"\nneedle\n");
    text.resize(3_200_000, b'z');
    text.extend_from_slice(b"\n5\n");
    tree.write("f", &text);
    for flags in ["-C1", "-B2", "-A2", "--passthru"] {
        for report in ["-nb", "--json", "-c"] {
            let arguments = words(&[flags, report, "needle", "f"]);
            same_answer(&tree, &arguments, &words(&["--chunk-size", "64K"]), None);
            same_answer(&tree, &arguments, &[], Some(Path::new("f")));
        }
    }
    let small = ["--chunk-size", "64K", "--max-line", "1M", "needle"];
    for (flags, offset) in [("-B1", "offset 2: "), ("-A1", "offset 1500008: ")] {
        let stderr = complaint(&tree, &[&small[..], &[flags, "f"]].concat(), None);
        assert!(
            stderr.contains(offset) && stderr.contains("--max-line"),
            "{stderr}"
        );
    }
    let lines = 1_200_000;
    tree.write("many", [&b"\n".repeat(lines)[..], b"needle\n"].concat());
    let output = gristmill(
        &tree,
        &words(&["-B2000000", "--chunk-size", "64K", "needle", "many"]),
        None,
    );
    let shown = output.stdout.iter().filter(|&&byte| byte == b'\n').count();
    assert!((1 << 20..lines).contains(&shown), "{shown}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("only {} lines before", shown - 1)),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn files_that_are_searched_as_a_whole_find_room_or_are_named() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    for file in 0..12 {
        tree.write(
            format!("small/{file}"),
            "some hay\nneedle\nin it\n".repeat(150),
        );
    }
    tree.write("large", "some hay\nneedle\n".repeat(1_000));
    let own = words(&["--max-multiline", "8K", "--chunk-size", "4K"]);
    for flags in ["-c", "-n", "-l", "--json"] {
        let arguments = words(&["-U", "--sort", "path", flags, "hay\\nn", "small"]);
        same_answer(&tree, &arguments, &own, None);
    }
    for stdin in [None, Some(Path::new("large"))] {
        let file = if stdin.is_some() { "-" } else { "large" };
        let stderr = complaint(
            &tree,
            &["-U", "--max-multiline", "8K", "hay\\nn", file],
            stdin,
        );
        assert!(stderr.contains("--max-multiline"), "{stderr}");
    }
}

#[test]
fn a_replacement_of_too_many_bytes_is_an_error() {
    let tree = Tree::new();
    tree.write("f", "a\n".to_owned() + &"a".repeat(4_000) + "\nba\n");
    let replacement = "x".repeat(100);
    let arguments = ["-r", &replacement, "--max-line", "4K", "a", "f"];
    let output = gristmill(&tree, &words(&arguments), None);
    assert_eq!(
        output.stdout,
        format!("{replacement}\nb{replacement}\n").as_bytes()
    );
    let stderr = complaint(&tree, &arguments, None);
    assert!(
        stderr.contains("f: offset 2: ") && stderr.contains("--max-line"),
        "{stderr}"
    );
}
