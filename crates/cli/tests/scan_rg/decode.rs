//! Text in other encodings (`-E`, byte order marks) and compressed files (`-z`), beside ripgrep, which runs the tools of
//! each format.

use super::*;
use encoding_rs::Encoding;
use fastrand::Rng;
use gristmill_testing::seed;
use std::io::Write;

/// The sizes at which files are cut.
const CHUNKS: [&str; 3] = ["4K", "64K", "1M"];

/// Lines of words in several scripts, some of them long.
fn text(random: &mut Rng, lines: usize, words: &[&str]) -> String {
    let mut text = String::new();
    for _ in 0..lines {
        let long = random.usize(..200) == 0;
        for _ in 0..random.usize(..if long { 3000 } else { 12 }) {
            text.push_str(words[random.usize(..words.len())]);
            text.push(' ');
        }
        text.push_str(["\n", "\r\n"][usize::from(random.usize(..20) == 0)]);
    }
    if random.bool() {
        text.push_str("needle at the end");
    }
    text
}

const WORDS: [&str; 9] = [
    "needle",
    "Needle",
    "hay",
    "naïve",
    "Größe",
    "страх",
    "日本語",
    "🦀",
    "x",
];

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let bytes = |unit: u16| match big {
        true => unit.to_be_bytes(),
        false => unit.to_le_bytes(),
    };
    text.encode_utf16().flat_map(bytes).collect()
}

fn with_mark(text: &str, big: bool) -> Vec<u8> {
    [utf16("\u{FEFF}", big), utf16(text, big)].concat()
}

/// Asserts the same answer, however files are cut.
fn same_cut(tree: &Tree, arguments: &[OsString], stdin: Option<&Path>) {
    let expected = rg(tree, arguments, stdin);
    for chunk in CHUNKS {
        let own = words(&["--chunk-size", chunk]);
        same_as(&expected, tree, arguments, &own, stdin);
    }
}

/// Asserts the same answers, whatever the flags and however files are cut.
fn same_however(tree: &Tree, pattern: &str, more: &[&str], stdin: Option<&Path>) {
    for flags in [
        &["-n"][..],
        &["-c"],
        &["-l"],
        &["-o", "-n"],
        &["-b"],
        &["-ob"],
        &["-n", "--column"],
        &["-v"],
        &["-vc"],
        &["--json"],
        &["-i", "--count-matches"],
        &["-F", "-n"],
        &["-F", "-c"],
        &["-m2", "-n"],
        &["--files-without-match"],
    ] {
        let sorted = words(&["--sort", "path", "-e", pattern]);
        same_cut(tree, &[words(flags), sorted, words(more)].concat(), stdin);
    }
}

#[test]
fn files_with_byte_order_marks_are_decoded() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    let tree = Tree::new();
    for (number, lines) in [3, 400, 4000].into_iter().enumerate() {
        let text = text(&mut random, lines, &WORDS);
        tree.write(format!("le{number}"), with_mark(&text, false));
        tree.write(format!("be{number}"), with_mark(&text, true));
        tree.write(format!("utf8{number}"), format!("\u{FEFF}{text}"));
        tree.write(format!("plain{number}"), &text);
    }
    // Lone surrogates, half a unit at the end, a mark alone, a mark twice, less than a mark, bytes that look like one.
    tree.write("lone", b"\xFF\xFEn\0\x00\xD8n\0e\0e\0d\0l\0e\0\n\0\x00\xDC");
    tree.write("half", b"\xFE\xFF\0n\0e\0e\0d\0l\0e\0");
    tree.write("mark", b"\xFF\xFE");
    tree.write("twice", b"\xFF\xFE\xFF\xFEn\0e\0e\0d\0l\0e\0");
    tree.write("one", b"\xFF");
    tree.write("two", b"\xEF\xBB");
    tree.write("later", b"needle \xFF\xFE\nneedle\n");
    same_however(&tree, "needle", &[], None);
    same_however(
        &tree,
        "needle",
        &["-uuu", "le1", "be2", "half", "lone"],
        None,
    );
    same_however(&tree, "н|Größe|語", &["le0", "be1", "utf82"], None);
    same_however(&tree, "needle", &["-"], Some(Path::new("be1")));
    for flags in [&["-n"][..], &["-c"], &["-ob"]] {
        for label in ["none", "utf-8", "auto"] {
            let arguments = [flags, &["--sort", "path", "-E", label, "needle"]].concat();
            same_cut(&tree, &words(&arguments), None);
        }
    }
    for name in ["le0", "half", "mark", "twice", "one", "two", "utf80"] {
        for flags in [&["-n"][..], &["-cv"], &["--json"]] {
            let arguments = words(&[flags, &["-e", "needle"]].concat());
            for more in [&[][..], &["-E", "none"], &["-E", "utf-8"]] {
                let one = [&arguments[..], &words(more), &words(&[name])].concat();
                same_answer(&tree, &one, &[], None);
                let stdin = [&arguments[..], &words(more), &words(&["-"])].concat();
                same_answer(&tree, &stdin, &[], Some(Path::new(name)));
            }
        }
    }
}

#[test]
fn files_are_in_the_encoding_that_is_named() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    for (label, some) in [
        ("utf-16le", &WORDS[..]),
        ("utf-16be", &WORDS),
        ("UTF-16", &WORDS),
        ("latin1", &["needle", "Größe", "naïve"]),
        ("windows-1251", &["needle", "страх", "Страх"]),
        ("shift_jis", &["needle", "日本語", "ｱ"]),
        ("euc-kr", &["needle", "한국어"]),
        ("gb18030", &WORDS),
        ("big5", &["needle", "語"]),
        ("iso-2022-jp", &["needle", "日本語"]),
        ("x-user-defined", &["needle"]),
        ("utf8", &WORDS),
    ] {
        let tree = Tree::new();
        for (name, lines) in [("small", 5), ("large", 3000)] {
            let text = text(&mut random, lines, some);
            let bytes = match label {
                "utf-16le" | "UTF-16" => utf16(&text, false),
                "utf-16be" => utf16(&text, true),
                label => {
                    let encoding = Encoding::for_label(label.as_bytes()).unwrap();
                    encoding.encode(&text).0.into_owned()
                }
            };
            tree.write(name, bytes);
        }
        let mut noise = vec![0; 30_000];
        random.fill(&mut noise);
        noise.retain(|&byte| byte != 0);
        tree.write("noise", noise);
        let text = text(&mut random, 5, &WORDS);
        tree.write("marked", with_mark(&text, true));
        for (flags, pattern) in [
            (&["-n"][..], "needle"),
            (&["-c"], "Größe|трах|語|국"),
            (&["-ob"], "Größe|трах|語|국"),
            (&["--json"], "needle"),
            (&["-il"], "größe|needle"),
        ] {
            let named = words(&["--sort", "path", "-E", label, "-e", pattern]);
            let arguments = [words(flags), named].concat();
            same_cut(&tree, &arguments, None);
            let name = ["small", "large", "marked"][random.usize(..3)];
            let one = [&arguments[..], &words(&[name])].concat();
            same_answer(&tree, &one, &[], None);
            let stdin = [&arguments[..], &words(&["-"])].concat();
            same_answer(&tree, &stdin, &[], Some(Path::new(name)));
        }
    }
    let tree = Tree::new();
    tree.write("file", "needle\n");
    for label in ["no-such-label", "", "Auto", "replacement"] {
        let arguments = words(&["-E", label, "needle", "file"]);
        assert_eq!(
            rg(&tree, &arguments, None).status.code(),
            Some(2),
            "{label}"
        );
        let refused = gristmill(&tree, &arguments, None);
        assert_eq!(refused.status.code(), Some(2), "{label}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("Encoding Standard"));
    }
    same(&tree, &["-E", "utf-16le", "--no-encoding", "needle"]);
}

/// Runs a program that is given these bytes by a pipe, in pieces.
fn fed(command: &mut Command, bytes: &[u8], piece: usize) -> std::io::Result<Output> {
    let piped = || Stdio::piped();
    command.stdin(piped()).stdout(piped()).stderr(piped());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for piece in bytes.chunks(piece) {
                stdin.write_all(piece).unwrap();
            }
        });
        child.wait_with_output()
    })
}

/// Runs gristmill with these bytes in a pipe, in pieces.
fn piped(tree: &Tree, arguments: &[&str], bytes: &[u8], piece: usize) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gristmill"));
    command.arg("scan").args(arguments).current_dir(&tree.root);
    fed(&mut command, bytes, piece).unwrap()
}

#[test]
fn pipes_are_decoded_however_they_are_written() {
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    let tree = Tree::new();
    let text = text(&mut random, 60, &WORDS);
    tree.write("text", &text);
    let plain = gristmill(&tree, &words(&["-nb", "needle", "text"]), None);
    let marked = with_mark(&text, false);
    let be = utf16(&text, true);
    let utf8 = format!("\u{FEFF}{text}");
    for (more, bytes) in [
        (&[][..], &marked[..]),
        (&["-E", "utf-16be"], &be),
        (&[], utf8.as_bytes()),
    ] {
        for piece in [1, 2, 3, 4096, usize::MAX] {
            let arguments = [&["-nb", "needle", "-"][..], more].concat();
            let got = piped(&tree, &arguments, bytes, piece);
            assert_eq!(
                String::from_utf8_lossy(&got.stdout),
                String::from_utf8_lossy(&plain.stdout),
                "{more:?}, {piece} bytes at a time: {}",
                String::from_utf8_lossy(&got.stderr)
            );
        }
    }
}

/// The tools: the program, its arguments, and the end of the names of its files.
const TOOLS: [(&str, &[&str], &str); 11] = [
    ("brotli", &["-c", "-q", "5"], "br"),
    ("gzip", &["-c"], "gz"),
    ("gzip", &["-1", "-c"], "tgz"),
    ("bzip2", &["-1", "-c"], "bz2"),
    ("xz", &["-0", "-c"], "xz"),
    ("xz", &["-1", "--block-size=65536", "-Csha256", "-c"], "txz"),
    ("xz", &["-1", "--format=lzma", "-c"], "lzma"),
    ("zstd", &["-q", "-c"], "zst"),
    (
        "zstd",
        &["-q", "--ultra", "-20", "--no-check", "-c"],
        "zstd",
    ),
    ("lz4", &["-q", "-c", "-B4", "-BD"], "lz4"),
    ("lz4", &["-q", "-c", "-l"], "legacy.lz4"),
];

/// Compresses bytes; `None` where the tool is not there, which is said.
fn compressed(tool: &str, arguments: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
    match fed(Command::new(tool).args(arguments), bytes, usize::MAX) {
        Ok(done) => {
            assert!(done.status.success(), "{tool}: {done:?}");
            Some(done.stdout)
        }
        Err(error) => {
            gristmill_testing::skipped(format!("{tool} does not run: {error}"));
            None
        }
    }
}

#[test]
fn compressed_files_are_searched_for_what_they_hold() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    let tree = Tree::new();
    tree.write("plain", text(&mut random, 100, &WORDS));
    for (tool, arguments, end) in TOOLS {
        for (name, lines) in [("small", 3), ("large", 1600)] {
            let text = text(&mut random, lines, &WORDS);
            let Some(one) = compressed(tool, arguments, text.as_bytes()) else {
                continue;
            };
            tree.write(format!("{name}.{end}"), &one);
            if !matches!(end, "lzma" | "legacy.lz4" | "br") {
                tree.write(format!("d/{name}2.{end}"), [&one[..], &one].concat());
            }
            let marked = with_mark(&text, lines == 3);
            tree.write(
                format!("d/{name}.utf16.{end}"),
                compressed(tool, arguments, &marked).unwrap(),
            );
            let mark = compressed(tool, arguments, format!("\u{FEFF}{text}").as_bytes());
            tree.write(format!("d/{name}.utf8.{end}"), mark.unwrap());
            let be = compressed(tool, arguments, &utf16(&text, true)).unwrap();
            tree.write(format!("be/{name}.{end}"), be);
            let named = format!("{name}.{end}");
            same(
                &tree,
                &["-zcv", "--sort", "path", "-e", "needle", &named, "plain"],
            );
            same_answer(&tree, &words(&["-zob", r"\w*edl\w", &named]), &[], None);
            same(&tree, &["-zn", "needle", &format!("d/{name}.utf16.{end}")]);
        }
        if let Some(empty) = compressed(tool, arguments, b"") {
            tree.write(format!("empty.{end}"), empty);
        }
    }
    // Names that only look so, and what is not decompressed from standard input.
    tree.write("name.gz.txt", "needle\n");
    tree.write("name.GZ", "needle\n");
    same_however(
        &tree,
        "needle",
        &["-z", "small.gz", "plain", "d/large2.zst"],
        None,
    );
    for flags in [&["-n"][..], &["-c"], &["-ob"], &["-l"], &["--json"]] {
        for more in [
            &["-z"][..],
            &["-z", "-E", "utf-16be", "be"],
            &["-z", "--no-search-zip"],
        ] {
            let sorted = words(&["--sort", "path", "-e", "needle"]);
            let arguments = [words(flags), sorted, words(more)].concat();
            same_cut(&tree, &arguments, None);
            same_answer(&tree, &arguments, &words(&["-j1"]), None);
        }
    }
    let stdin = Path::new("small.gz");
    if tree.root.join(stdin).exists() {
        same_with(&tree, &words(&["-zc", "needle", "-"]), Some(stdin));
    }
}

/// What is wrong with a compressed file.
enum Fault {
    Cut,
    Flipped,
    Followed,
}

#[test]
fn damaged_files_are_searched_up_to_the_damage() {
    if rg_is_missing() {
        return;
    }
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    for (tool, arguments, end) in TOOLS {
        let tree = Tree::new();
        let text = text(&mut random, 20_000, &["needle", "hay", "straw"]);
        let Some(whole) = compressed(tool, arguments, text.as_bytes()) else {
            continue;
        };
        let name = format!("file.{end}");
        for turn in 0..9 {
            let fault = [Fault::Cut, Fault::Flipped, Fault::Followed];
            let fault = &fault[turn % fault.len()];
            let mut bytes = whole.clone();
            match fault {
                Fault::Cut => bytes.truncate(random.usize(..bytes.len())),
                Fault::Flipped => {
                    let at = random.usize(..bytes.len());
                    bytes[at] ^= 1 << random.u8(..8);
                }
                Fault::Followed => bytes.extend_from_slice(b"what does not belong here"),
            }
            tree.write(&name, &bytes);
            let arguments = words(&["-znF", "needle", &name]);
            let (theirs, ours) = (
                rg(&tree, &arguments, None),
                gristmill(&tree, &arguments, None),
            );
            let why = String::from_utf8_lossy(&ours.stderr);
            let what = format!(
                "{name}, turn {turn} in {}: rg {:?}, gristmill {:?} {why}",
                tree.root.display(),
                theirs.status,
                ours.status
            );
            match (fault, ours.status.code()) {
                // Some bits mean nothing, some tools check less.
                (Fault::Flipped, Some(0)) => assert!(why.is_empty(), "{what}"),
                (Fault::Followed, Some(0)) => assert_eq!(tool, "bzip2", "{what}"),
                // A legacy frame ends with the file.
                (Fault::Cut, Some(0 | 1)) => assert!(
                    end == "legacy.lz4" || bytes.is_empty() && end == "lz4",
                    "{what}"
                ),
                (_, code) => {
                    assert_eq!(code, Some(2), "{what}");
                    assert!(why.contains(&name) && why.lines().count() == 1, "{what}");
                    assert!(
                        why.contains("compressed file") || why.contains("its name"),
                        "{what}"
                    );
                }
            }
            // Decoders see an error some bytes earlier or later, but nothing is made up before it.
            let common = theirs.stdout.len().min(ours.stdout.len());
            if !matches!(fault, Fault::Flipped) {
                assert!(ours.stdout[..common] == theirs.stdout[..common], "{what}");
                assert!(theirs.stdout.len() <= ours.stdout.len() + 1000, "{what}");
            }
            let counted = gristmill(&tree, &words(&["-zc", "needle", &name]), None);
            if counted.status.code() == Some(2) {
                assert!(counted.stdout.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn all_occurrences_have_offsets_in_what_was_decoded() {
    let mut random = Rng::with_seed(seed("SCAN_DECODE_SEED"));
    let tree = Tree::new();
    let text = text(&mut random, 3000, &WORDS);
    tree.write("text", &text);
    tree.write("marked", with_mark(&text, false));
    let rows = |arguments: &[&str], name: &str| {
        let more = ["--all", "-I", "-e", "needle", "-e", "Größe", name];
        let got = gristmill(&tree, &words(&[arguments, &more].concat()), None);
        assert!(got.stderr.is_empty(), "{got:?}");
        String::from_utf8(got.stdout).unwrap()
    };
    let plain = rows(&[], "text");
    assert!(!plain.is_empty());
    for chunk in CHUNKS {
        let chunk = ["--chunk-size", chunk];
        assert_eq!(
            rows(&[&chunk[..], &["-E", "auto"]].concat(), "marked"),
            plain
        );
        assert_eq!(
            rows(&[&chunk[..], &["-E", "utf-16be"]].concat(), "marked"),
            plain
        );
        // Without -E, bytes are searched.
        assert_eq!(rows(&chunk, "marked"), "");
        if let Some(bytes) = compressed("gzip", &["-c"], text.as_bytes()) {
            tree.write("text.gz", bytes);
            assert_eq!(rows(&[&chunk[..], &["-z"]].concat(), "text.gz"), plain);
        }
    }
}

#[test]
fn a_read_path_without_fallback_refuses_what_must_be_decoded() {
    let tree = Tree::new();
    tree.write("marked", with_mark("needle\n", false));
    let by = |path: &str| {
        gristmill(
            &tree,
            &words(&["-c", "--read-path", path, "needle", "marked"]),
            None,
        )
    };
    for path in ["auto", "positioned", "registered"] {
        let answer = by(path);
        // Where io_uring is refused, so is its path.
        if path == "registered" && answer.status.code() == Some(2) {
            continue;
        }
        assert_eq!(answer.stdout, b"1\n", "{path}: {answer:?}");
    }
    tree.write("file.gz", b"\x1F\x8B");
    let refused = gristmill(
        &tree,
        &words(&["-z", "--read-path", "passthrough", "needle", "file.gz"]),
        None,
    );
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(2), "{why}");
    assert!(
        why.contains("file.gz") && why.contains("--read-path"),
        "{why}"
    );
}

/// A line that is longer than what is kept of an unfinished one cannot be read again from a compressed file.
#[test]
fn long_lines_of_decoded_files_are_counted_and_not_read_again() {
    let tree = Tree::new();
    let line = format!("needle{}\nneedle\n", "x".repeat(9 << 20));
    tree.write("file", with_mark(&line, false));
    let counted = gristmill(&tree, &words(&["-cF", "needle", "file"]), None);
    assert_eq!(counted.stdout, b"2\n");
    let shown = gristmill(&tree, &words(&["-F", "needle", "file"]), None);
    assert_eq!(
        (shown.stdout, shown.status.code()),
        (b"needle\n".to_vec(), Some(2))
    );
    assert!(String::from_utf8_lossy(&shown.stderr).contains("offset 0"));
}
