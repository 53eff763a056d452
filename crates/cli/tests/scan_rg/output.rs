//! Lines without a match, counts, and how rows are shown.

use super::*;
use fastrand::Rng;

/// The most pieces of a line. `--vimgrep` prints a line as often as it has matches: with an empty pattern these rows are
/// still within the bound on the rows of a line, and the line spans chunks of the smallest size.
const MOST_PIECES: usize = 4_000;

fn line(random: &mut Rng, bytes: &mut Vec<u8>, length: usize) {
    const PIECES: [&str; 12] = [
        "a", "b", "ab", "foo", " ", "\t", "x", "\u{e9}", "e\u{301}", "42", "\r", "  ",
    ];
    for _ in 0..length.min(MOST_PIECES) {
        bytes.extend_from_slice(PIECES[random.usize(..PIECES.len())].as_bytes());
    }
    bytes.push(b'\n');
}

fn some_flags(random: &mut Rng) -> Vec<OsString> {
    const FLAGS: [&str; 30] = [
        "-v",
        "-v",
        "-v",
        "--count-matches",
        "--include-zero",
        "--files-without-match",
        "--column",
        "--no-column",
        "--vimgrep",
        "-M8",
        "-M40",
        "--max-columns-preview",
        "--max-columns-preview",
        "--trim",
        "-F",
        "-i",
        "-q",
        "-l",
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
    ];
    let mut chosen: Vec<OsString> = Vec::new();
    for flag in FLAGS {
        if random.usize(..7) == 0 {
            chosen.push(flag.into());
        }
    }
    let limit = random.usize(..6) == 0;
    // Of lines without a match, ripgrep says further than the last one that it searched.
    let without = chosen.iter().any(|flag| flag == "-v");
    if limit && !(without && chosen.iter().any(|flag| flag == "--json")) {
        chosen.push(["-m1", "-m3"][random.usize(..2)].into());
    }
    if random.usize(..8) == 0 {
        chosen.push("--crlf".into());
    }
    chosen
}

#[test]
fn random_flags_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    let seed = gristmill_testing::seed("OUTPUT_SEED");
    let mut random = Rng::with_seed(seed);
    for _ in 0..4 {
        let size = |random: &mut Rng| [0, 3, 50, 20_000, 200_000][random.usize(..5)];
        let tree = regexes::tree(&mut random, size, line);
        for _ in 0..30 {
            let chunk = ["4K", "8K", "64K", "1M"][random.usize(..4)];
            let own = words(&["--chunk-size", chunk]);
            let mut arguments = words(&["--sort", "path"]);
            for _ in 0..1 + random.usize(..2) {
                arguments.push("-e".into());
                let some = [
                    "a", "foo", "ab", "x", "aaab", "42", "f.o", "^a", "b$", "", "zz",
                ];
                arguments.push(some[random.usize(..some.len())].into());
            }
            arguments.extend(some_flags(&mut random));
            if random.usize(..3) == 0 {
                let directories = ["d0", "d1"].into_iter();
                arguments.push("--".into());
                arguments.extend(
                    directories
                        .filter(|name| tree.root.join(name).exists())
                        .map(OsString::from),
                );
            } else if random.usize(..3) == 0 {
                for entry in fs::read_dir(tree.root.join("d0"))
                    .into_iter()
                    .flatten()
                    .take(2)
                {
                    arguments.push(entry.unwrap().path().into());
                }
            }
            same_answer(&tree, &arguments, &own, None);
        }
    }
}

/// A row for each match is quadratic in the length of a line: memory is bounded, and the place is named.
#[test]
fn too_many_rows_of_one_line_are_an_error() {
    let tree = Tree::new();
    let mut text = b"a\n".to_vec();
    text.extend_from_slice(&b"a".repeat(20_000));
    text.extend_from_slice(b"\nba\n");
    tree.write("f", text);
    let arguments = ["--vimgrep", "--max-line", "4K", "a", "f"];
    let output = gristmill(&tree, &words(&arguments), None);
    assert_eq!(output.stdout, b"f:1:1:a\nf:3:2:ba\n");
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("f: offset 2: ") && stderr.contains("20000 matches"),
        "{stderr}"
    );
}

#[test]
fn rows_of_matches_alone_are_not_too_many() {
    let tree = Tree::new();
    let text = "a".repeat(20_000) + "\n";
    tree.write("f", &text);
    for (replacement, row) in [(&["-r", "<$0>"][..], "f:1:1:<a>"), (&[], "f:1:1:a")] {
        let mut arguments = vec!["--vimgrep", "-o", "--max-line", "32K", "a", "f"];
        arguments.extend(replacement);
        let arguments = &arguments;
        let output = gristmill(&tree, &words(arguments), None);
        let rows = String::from_utf8(output.stdout).unwrap();
        assert_eq!(rows.lines().count(), 20_000);
        assert_eq!(rows.lines().next(), Some(row));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn lines_without_a_match_are_found_at_every_edge() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write("empty", "");
    tree.write("newline", "\n");
    tree.write("first", "needle\nhay\nhay");
    tree.write("last", "hay\nhay\nneedle");
    tree.write("only", "needle");
    tree.write("none", "hay");
    tree.write("all", "needle\nneedle\n");
    tree.write("nul", "hay\nne\0edle\nneedle\nhay\n");
    tree.write("no-patterns", "");
    let mut long = b"needle\n".to_vec();
    long.resize(300_000, b'x');
    long.extend_from_slice(b"needle\n");
    long.resize(700_000, b'x');
    tree.write("long", long);
    for arguments in [
        &["-v", "needle"][..],
        &["-vn", "needle"],
        &["-vc", "needle"],
        &["-vc", "--include-zero", "needle"],
        &["-c", "--include-zero", "needle"],
        &["--count-matches", "--include-zero", "needle"],
        &["-v", "--count-matches", "needle"],
        &["-vco", "needle"],
        &["-vl", "needle"],
        &["-vq", "needle"],
        &["--files-without-match", "needle"],
        &["-q", "--files-without-match", "needle"],
        &["-v", "--files-without-match", "needle"],
        &["-q", "--files-without-match", "needle", "only"],
        &["-vo", "needle"],
        &["-v", "--json", "needle"],
        &["-v", "--vimgrep", "needle"],
        &["-v", "--color=always", "--column", "-M3", "needle"],
        &["-v", ""],
        &["-vc", "", "--include-zero"],
        &["-v", "-f", "no-patterns"],
        &["-vc", "-f", "no-patterns", "only"],
        &["-vw", "--json", "-f", "no-patterns"],
        &["-vm1", "needle"],
        &["-vm2", "-c", "needle"],
        &["-v", "--no-invert-match", "needle"],
        &["-l", "--count-matches", "needle"],
        &["--count-matches", "-l", "needle"],
        &["--vimgrep", "--heading", "e", "first"],
        &["--vimgrep", "--no-column", "-N", "e", "first"],
        &["--trim", "-M0", "hay"],
    ] {
        for fixed in [true, false] {
            let mut all = words(&["--sort", "path"]);
            all.extend(fixed.then(|| OsString::from("-F")));
            all.extend(words(arguments));
            for chunk in ["4K", "64K"] {
                same_answer(&tree, &all, &words(&["--chunk-size", chunk]), None);
            }
            all.extend(words(&["-g", "n*"]));
            same_answer(&tree, &all, &[], Some(Path::new("nul")));
        }
    }
    for file in ["nul", "first", "empty"] {
        for flags in [
            "-v",
            "-vn",
            "-vc",
            "-vl",
            "--files-without-match",
            "--vimgrep",
        ] {
            same_answer(&tree, &words(&[flags, "needle", file]), &[], None);
            let stdin = Some(Path::new(file));
            same_answer(&tree, &words(&[flags, "needle"]), &[], stdin);
        }
    }
}
