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

#[test]
fn random_lines_around_matches_are_those_of_ripgrep() {
    if rg_is_missing() {
        return;
    }
    let seed = gristmill_testing::seed("CONTEXT_SEED");
    let mut random = Rng::with_seed(seed);
    for _ in 0..5 {
        let size = |random: &mut Rng| [0, 3, 50, 3_000, 20_000, 300_000][random.usize(..6)];
        let tree = regexes::tree(&mut random, size, line);
        for _ in 0..24 {
            let chunk = ["4K", "8K", "64K", "1M"][random.usize(..4)];
            let own = words(&["--chunk-size", chunk]);
            let mut arguments = words(&["--sort", "path"]);
            arguments.extend(patterns(&mut random));
            arguments.extend(around(&mut random));
            some(
                &mut random,
                &[
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
                ],
                9,
                &mut arguments,
            );
            let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
            // Where lines without a match are looked for, ripgrep takes one more for found at the end of what it has
            // read, and says further than the last one that it searched.
            if random.usize(..5) == 0 && !has("-v") {
                arguments.push(["-m1", "-m3"][random.usize(..2)].into());
            }
            paths(&mut random, &tree, &mut arguments);
            same_answer(&tree, &arguments, &own, None);
        }
    }
}
