//! Regexes: random ones, and errors.

use super::*;
use fastrand::Rng;

/// What a line may hold: letters whose other case lies outside ASCII, parts of words, bytes that are not UTF-8.
const PIECES: [&[u8]; 24] = [
    b"a",
    b"b",
    b"ab",
    b"foo",
    b"Foo",
    b"k",
    b"K",
    b"s",
    b"\xE2\x84\xAA",
    b"\xC5\xBF",
    b"\xC3\xA9",
    b"\xC3\x89",
    b"0",
    b"42",
    b"_",
    b"-",
    b" ",
    b"\t",
    b".",
    b"\r",
    b"\xFF",
    b"\xC3",
    b"\xE2\x84",
    b"x",
];

fn line(random: &mut Rng, bytes: &mut Vec<u8>, length: usize) {
    for _ in 0..length {
        bytes.extend_from_slice(PIECES[random.usize(..PIECES.len())]);
    }
    if random.usize(..8) == 0 {
        bytes.push(b'\r');
    }
    bytes.push(b'\n');
}

/// Appends a random line of so many pieces.
type AppendLine = fn(&mut Rng, &mut Vec<u8>, usize);

/// A tree of random files, each of about as many bytes as `size` says.
pub fn tree(random: &mut Rng, size: fn(&mut Rng) -> usize, line: AppendLine) -> Tree {
    let tree = Tree::new();
    // ripgrep's buffer stays as large as an earlier file's longest line made it, which changes how far it looks in
    // binary files. So a tree has either long lines or NULs.
    let with_nul = random.bool();
    for file in 0..2 + random.usize(..4) {
        let mut bytes = Vec::new();
        if random.usize(..4) == 0 {
            bytes.extend_from_slice(b"\xEF\xBB\xBF");
        }
        let whole = size(random);
        let usual = [2, 12, 60, 900][random.usize(..4)];
        while bytes.len() < whole {
            let long = !with_nul && random.usize(..300) == 0;
            let length = random.usize(..if long { 20_000 } else { usual });
            line(random, &mut bytes, length);
        }
        if random.bool() {
            bytes.pop();
        }
        if with_nul && random.usize(..3) == 0 && !bytes.is_empty() {
            let at = random.usize(..bytes.len());
            bytes[at] = 0;
        }
        tree.write(format!("d{}/f{file}", random.usize(..2)), bytes);
    }
    tree
}

/// A random regex.
fn regex(random: &mut Rng, depth: usize) -> String {
    const ATOMS: [&str; 36] = [
        "a",
        "b",
        "ab",
        "foo",
        "Foo",
        "k",
        "s",
        "é",
        "x",
        "42",
        ".",
        r"\w",
        r"\d",
        r"\s",
        r"\S",
        r"\W",
        "[a-f]",
        "[^a]",
        "[k-s]",
        r"[\d_]",
        "^",
        "$",
        r"\b",
        r"\B",
        r"\.",
        "-",
        "",
        "(?i:k)",
        "(?-u:\\w)",
        r"\pL",
        "[é-ÿ]",
        r"\b{start}",
        r"\b{end}",
        "_",
        " ",
        r"\t",
    ];
    let atom = |random: &mut Rng| ATOMS[random.usize(..ATOMS.len())].to_owned();
    if depth == 0 {
        return atom(random);
    }
    match random.usize(..8) {
        0 => atom(random),
        1..=3 => (0..1 + random.usize(..3))
            .map(|_| regex(random, depth - 1))
            .collect(),
        4 => format!("(?:{})", regex(random, depth - 1)),
        5 => format!(
            "({}|{})",
            regex(random, depth - 1),
            regex(random, depth - 1)
        ),
        _ => {
            let repeat = ["*", "+", "?", "*?", "+?", "{2}", "{1,3}", "{0,2}?"][random.usize(..8)];
            format!("(?:{}){repeat}", regex(random, depth - 1))
        }
    }
}

fn some_flags(random: &mut Rng) -> Vec<OsString> {
    const FLAGS: [&str; 19] = [
        "-F",
        "-S",
        "-s",
        "-i",
        "-w",
        "-x",
        "--crlf",
        "--no-unicode",
        "-q",
        "-l",
        "-o",
        "-c",
        "-n",
        "-m3",
        "-a",
        "-b",
        "-H",
        "--json",
        "--color=always",
    ];
    let mut chosen: Vec<OsString> = Vec::new();
    for flag in FLAGS {
        if random.usize(..6) == 0 {
            chosen.push(flag.into());
        }
    }
    chosen
}

/// Lines that a regex needs as a whole, in chunks that cut them everywhere.
#[test]
fn random_regexes_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    let seed = gristmill_testing::seed("REGEX_SEED");
    let mut random = Rng::with_seed(seed);
    for _ in 0..5 {
        let tree = tree(&mut random, |random| random.usize(..120_000), line);
        for _ in 0..25 {
            let chunk = ["4K", "8K", "64K", "1M"][random.usize(..4)];
            let own = words(&["--chunk-size", chunk]);
            let mut arguments = words(&["--sort", "path"]);
            for _ in 0..1 + random.usize(..2) {
                let depth = random.usize(..4);
                arguments.push("-e".into());
                arguments.push(regex(&mut random, depth).into());
            }
            arguments.extend(some_flags(&mut random));
            if random.usize(..3) == 0 {
                arguments.extend(
                    words(&["--", "d0", "d1"])
                        .into_iter()
                        .filter(|name| name == "--" || tree.root.join(name).exists()),
                );
            }
            same_answer(&tree, &arguments, &own, None);
        }
    }
}

/// Asserts that both refuse it, with exit code 2 and nothing found.
fn both_refuse(tree: &Tree, arguments: &[&str]) -> String {
    let arguments = words(arguments);
    let (expected, got) = (
        rg(tree, &arguments, None),
        gristmill(tree, &arguments, None),
    );
    let codes = (expected.status.code(), got.status.code());
    assert_eq!(codes, (Some(2), Some(2)), "{arguments:?} {got:?}");
    assert!(got.stdout.is_empty() && expected.stdout.is_empty());
    String::from_utf8(got.stderr).unwrap()
}

#[test]
fn what_ripgrep_refuses_is_refused_with_its_place() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write("text", "some text\n");
    tree.write("patterns", "one\n# two\nthr(ee\nfour\n");
    tree.write("latin1", b"one\ncaf\xe9\n");
    for (arguments, told) in [
        (
            &["-f", "patterns", "text"][..],
            "gristmill: patterns:3:4: unclosed group\n    thr(ee\n       ^\n",
        ),
        (
            &["a[z-b]", "text"],
            "gristmill: pattern, line 1, column 3: invalid character class range, the start must be <= the end\n    \
             a[z-b]\n      ^^^\n",
        ),
        (
            &["-e", "ok", "-e", r"\pX", "text"],
            "gristmill: pattern 2, line 1, column 1: Unicode property not found\n    \\pX\n    ^^^\n",
        ),
        (&["a\nb", "text"], "the literal \"\\n\" is not allowed in a regex"),
        (&[r"a\nb", "text"], "the literal \"\\n\" is not allowed in a regex"),
        (&["--crlf", r"a\r", "text"], "the literal \"\\r\" is not allowed in a regex"),
        (&["-F", "a\nb", "text"], "a newline in a pattern, which no line can contain"),
        (&[r"a\x00b", "text"], "(-a)"),
        (&["--regex-size-limit", "10K", r"\w{100}", "text"], "(--regex-size-limit)"),
        (&["-f", "latin1", "text"], "gristmill: latin1:2:4: found invalid UTF-8 in pattern"),
    ] {
        let error = both_refuse(&tree, arguments);
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}

#[test]
fn of_flags_that_contradict_each_other_the_last_applies() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write(
        "text",
        "Foo\nfoo\nfoo bar\nfoobar\nK\n\u{212A}\nf.o\ncr\r\n",
    );
    for flags in [
        "-i -s foo",
        "-s -i foo",
        "-S -s Foo",
        "-S foo",
        "-S Foo",
        "-s -S foo",
        "-w -x foo",
        "-x -w foo",
        "-F f.o",
        "-F --no-fixed-strings f.o",
        "-i k",
        "-F -i k",
        "--no-unicode -i k",
        "--no-unicode --unicode -i k",
        "--crlf r$",
        "--crlf --no-crlf r$",
        r"-S \S\pL",
        r"-S \x46oo",
        "-x -F foo",
        "-w -F oo",
        "-i -w -F FOO",
    ] {
        same_answer(
            &tree,
            &words(&flags.split(' ').collect::<Vec<_>>()),
            &[],
            None,
        );
    }
}
