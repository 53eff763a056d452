//! `gristmill digest` beside the tools whose digests and lists it makes: sha256sum, sha1sum and md5sum of coreutils,
//! b3sum, and xxhsum.

use crate::tool::{command, finish, gristmill, gristmill_reading, Done};
use gristmill_testing::{noise, seed, skipped};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A tool that is compared with.
struct Peer {
    program: &'static str,
    /// The flags for the algorithm.
    flags: &'static [&'static str],
    algorithm: &'static str,
    tag: &'static str,
}

const COREUTILS: [Peer; 3] = [
    peer("sha256sum", &[], "sha256", "SHA256"),
    peer("sha1sum", &[], "sha1", "SHA1"),
    peer("md5sum", &[], "md5", "MD5"),
];

const OTHERS: [Peer; 3] = [
    peer("b3sum", &[], "blake3", "BLAKE3"),
    peer("xxhsum", &["-H3"], "xxh3-64", "XXH3"),
    peer("xxhsum", &["-H128"], "xxh3-128", "XXH128"),
];

const fn peer(
    program: &'static str,
    flags: &'static [&'static str],
    algorithm: &'static str,
    tag: &'static str,
) -> Peer {
    Peer {
        program,
        flags,
        algorithm,
        tag,
    }
}

impl Peer {
    /// What the tool answers; `None` where it is not there.
    fn run<A: AsRef<OsStr>>(&self, place: &Path, arguments: &[A]) -> Option<Done> {
        self.run_reading(place, arguments, b"")
    }

    fn run_reading<A: AsRef<OsStr>>(
        &self,
        place: &Path,
        arguments: &[A],
        input: &[u8],
    ) -> Option<Done> {
        let spawned = Command::new(self.program)
            .args(self.flags)
            .args(arguments)
            .current_dir(place)
            .env("LC_ALL", "C")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match spawned {
            Ok(child) => Some(finish(child, input.to_vec())),
            Err(error) => {
                skipped(format_args!("{}: {error}", self.program));
                None
            }
        }
    }

    /// What `gristmill digest` answers for the tool's algorithm.
    fn ours<A: AsRef<OsStr>>(&self, place: &Path, arguments: &[A]) -> Done {
        let mut command = command(place, &["digest", "--algorithm", self.algorithm]);
        command.args(arguments).stdin(Stdio::null());
        finish(command.spawn().unwrap(), Vec::new())
    }
}

fn all() -> impl Iterator<Item = Peer> {
    COREUTILS.into_iter().chain(OTHERS)
}

/// Rows in an order of their own.
fn sorted(done: &Done) -> Vec<String> {
    let rows = done.out.split_inclusive(|byte| *byte == b'\n');
    let mut rows: Vec<String> = rows.map(|row| row.escape_ascii().to_string()).collect();
    rows.sort_unstable();
    rows
}

/// Files around the edges of leaves, blocks and chunks.
fn sizes() -> (TempDir, Vec<String>) {
    let tree = tempfile::tempdir().unwrap();
    let sizes = [
        0, 1, 3, 16, 17, 55, 56, 63, 64, 128, 129, 240, 241, 1_023, 1_024, 1_025, 2_047, 2_048,
        2_049, 3_072, 4_095, 4_096, 4_097, 7_168, 8_192, 12_288, 12_289, 16_384, 65_536, 65_537,
        262_144, 300_001, 1_048_576, 1_048_577, 3_145_728,
    ];
    let names: Vec<String> = sizes.iter().map(|size| format!("{size:08}")).collect();
    for (name, size) in names.iter().zip(sizes) {
        fs::write(tree.path().join(name), noise(size as u64, size)).unwrap();
    }
    (tree, names)
}

#[test]
fn digests_are_those_of_the_tools_however_files_are_cut() {
    let (tree, names) = sizes();
    for peer in all() {
        let Some(theirs) = peer.run(tree.path(), &names) else {
            continue;
        };
        for flags in [
            &[][..],
            &["-j1", "--chunk-size", "4K", "--depth", "1"],
            &["-j4", "--chunk-size", "4K"],
            &["-j3", "--chunk-size", "12K"],
            &["-j3", "--chunk-size", "20K", "--depth", "3"],
            &["-j2", "--chunk-size", "64K", "--read-path", "positioned"],
        ] {
            let names = names.iter().map(String::as_str);
            let arguments: Vec<&str> = flags.iter().copied().chain(names).collect();
            let ours = peer.ours(tree.path(), &arguments);
            assert_eq!((ours.code, ours.err.as_str()), (Some(0), ""));
            let (ours, theirs) = (sorted(&ours), sorted(&theirs));
            assert_eq!(ours, theirs, "{} {flags:?}", peer.algorithm);
        }
    }
}

/// A stream's chunks are what reads bring.
#[test]
fn bytes_of_a_pipe_have_the_digests_of_the_tools_however_they_come() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_SUMS_SEED"));
    let place = tempfile::tempdir().unwrap();
    let every = "blake3,sha256,sha1,md5,xxh3-64,xxh3-128,crc32c";
    for len in [0, 1, 1_024, 5_000, 70_000, 300_000] {
        let bytes = noise(random.u64(..), len);
        let flags = ["digest", "--chunk-size", "4K", "--algorithm", every, "-"];
        let mut command = command(place.path(), &flags);
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (some, after) = rest.split_at(random.usize(1..=rest.len().min(9_000)));
            pipe.write_all(some).unwrap();
            rest = after;
        }
        drop(pipe);
        let rows = finish(child, Vec::new()).rows();
        assert_eq!(rows.lines().count(), 7, "{rows}");
        for peer in all() {
            let Some(theirs) = peer.run_reading(place.path(), &["-"], &bytes) else {
                continue;
            };
            let digest = theirs
                .text()
                .split_whitespace()
                .find(|word| word.len() > 12);
            let row = format!("{} (-) = {}\n", peer.tag, digest.unwrap());
            assert!(rows.contains(&row), "{len}: {rows} {row}");
        }
    }
}

/// All at once, many files, each of many chunks, and hardly a buffer: a worker that waited for another would wait for
/// ever.
#[test]
fn hashes_in_order_of_many_files_do_not_wait_for_each_other() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_SUMS_SEED"));
    let tree = tempfile::tempdir().unwrap();
    for number in 0..40 {
        let len = random.usize(..400_000);
        let path = tree.path().join(format!("{number:03}"));
        fs::write(path, noise(number, len)).unwrap();
    }
    let every = "md5,blake3,xxh3-64,sha256,sha1,crc32c,xxh3-128";
    let mut before = None;
    for flags in [
        &["-j1", "--depth", "1", "--memory", "300K"][..],
        &["-j2", "--depth", "1"],
        &["-j2", "--memory", "300K"],
        &["-j7", "--sort", "path"],
        &["-j5", "--depth", "3", "--sort", "path"],
    ] {
        let arguments = [
            &["digest", "--algorithm", every, "--chunk-size", "4K", "."],
            flags,
        ]
        .concat();
        let done = gristmill(tree.path(), &arguments);
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{flags:?}");
        let rows = sorted(&done);
        assert_eq!(rows.len(), 7 * 40);
        assert!(before.is_none_or(|before| before == rows), "{flags:?}");
        before = Some(rows);
        fs::write(tree.path().join("../list"), &done.out).ok();
        // Each tool takes its own rows of it, and this one all.
        for peer in COREUTILS {
            let tag = format!("{} (", peer.tag);
            let list = done.text().lines().filter(|row| row.starts_with(&tag));
            let list: String = list.map(|row| format!("{row}\n")).collect();
            let theirs = peer.run_reading(tree.path(), &["-c", "--quiet", "-"], list.as_bytes());
            assert_eq!(theirs.unwrap().rows(), "");
        }
        let check = ["digest", "--check", "-", "--quiet", "-j3"];
        assert_eq!(gristmill_reading(tree.path(), &check, &done.out).rows(), "");
    }
}

/// Names that have to be escaped, and such as do not.
fn awkward() -> Vec<OsString> {
    [
        &b"back\\slash"[..],
        b"new\nline",
        b"car\rriage",
        b"lat\xff\xfein",
        b"\\n",
        b" two  spaces ",
        b"(a) = b",
        b"*star",
        b"plain",
    ]
    .map(|name| OsString::from_vec(name.to_vec()))
    .into()
}

fn awkward_tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for (number, name) in awkward().iter().enumerate() {
        fs::write(tree.path().join(name), noise(number as u64, 100 + number)).unwrap();
    }
    tree
}

#[test]
fn lists_of_awkward_names_are_those_of_coreutils_byte_by_byte_and_are_taken_both_ways() {
    let tree = awkward_tree();
    for peer in COREUTILS {
        for flags in [&[][..], &["--tag"], &["-z"], &["--tag", "--zero"]] {
            let flags = flags.iter().map(OsString::from);
            let arguments: Vec<OsString> = flags.chain(awkward()).collect();
            let theirs = peer.run(tree.path(), &arguments).unwrap();
            let order = ["--sort", "none", "-j1"].map(OsString::from);
            let ours: Vec<OsString> = order.into_iter().chain(arguments.clone()).collect();
            let ours = peer.ours(tree.path(), &ours);
            assert_eq!(sorted(&ours), sorted(&theirs), "{arguments:?}");
            if arguments.contains(&"-z".into()) || arguments.contains(&"--zero".into()) {
                continue;
            }
            let verdicts = peer.run_reading(tree.path(), &["-c", "-"], &ours.out);
            let verdicts = verdicts.unwrap();
            assert_eq!((verdicts.code, &*verdicts.err), (Some(0), ""));
            let check = ["digest", "--algorithm", peer.algorithm, "-c", "-"];
            let mine = gristmill_reading(tree.path(), &check, &theirs.out);
            assert_eq!((mine.code, &*mine.err), (Some(0), ""), "{arguments:?}");
            assert_eq!(sorted(&mine), sorted(&verdicts));
        }
    }
}

/// b3sum shows a path that is not UTF-8 with a replacement, and takes no list of it; its older releases leave a carriage
/// return as it is. xxhsum's older releases escape nothing.
#[test]
fn lists_of_b3sum_and_xxhsum_are_taken_both_ways() {
    let tree = awkward_tree();
    for peer in OTHERS {
        let told = |name: &OsString| match name.as_encoded_bytes() {
            name if peer.program == "b3sum" => name.is_ascii() && !name.contains(&b'\r'),
            name => !name.iter().any(|byte| b"\\\n\r".contains(byte)),
        };
        let names: Vec<OsString> = awkward().into_iter().filter(told).collect();
        let Some(theirs) = peer.run(tree.path(), &names) else {
            continue;
        };
        let ours = peer.ours(tree.path(), &names);
        assert_eq!(sorted(&ours), sorted(&theirs));
        let verdicts = peer.run_reading(tree.path(), &["-c", "-"], &ours.out);
        assert_eq!(verdicts.unwrap().code, Some(0));
        let check = ["digest", "--algorithm", peer.algorithm, "-c", "-"];
        let mine = gristmill_reading(tree.path(), &check, &theirs.out);
        assert_eq!((mine.code, &*mine.err), (Some(0), ""));
        assert_eq!(
            mine.out.split(|byte| *byte == b'\n').count(),
            names.len() + 1
        );
        if peer.program == "xxhsum" {
            let tagged = peer.run(
                tree.path(),
                &[&[OsString::from("--tag")], &names[..]].concat(),
            );
            let arguments = [&[OsString::from("--tag")], &names[..]].concat();
            assert_eq!(
                sorted(&peer.ours(tree.path(), &arguments)),
                sorted(&tagged.unwrap())
            );
        }
    }
    // What newer releases of xxhsum write for XXH3.
    let xxh3 = peer("xxhsum", &["-H3"], "xxh3-64", "XXH3");
    let row = xxh3.ours(tree.path(), &["plain"]).rows();
    let digest = row.rsplit(' ').next().unwrap().trim();
    let list = format!("XXH3_{digest}  plain\n");
    let mine = gristmill_reading(tree.path(), &["digest", "-c", "-"], list.as_bytes());
    assert_eq!(mine.rows(), "plain: OK\n");
}

/// Every kind of list with every flag of a check: the rows and the exit code are the tool's.
#[test]
fn checks_answer_as_coreutils_does() {
    let tree = tempfile::tempdir().unwrap();
    for name in ["one", "two", "three"] {
        fs::write(tree.path().join(name), name).unwrap();
    }
    fs::create_dir(tree.path().join("dir")).unwrap();
    std::os::unix::fs::symlink("nowhere", tree.path().join("dangling")).unwrap();
    for peer in COREUTILS {
        let good = peer
            .run(tree.path(), &["one", "two", "three"])
            .unwrap()
            .rows();
        let tagged = peer
            .run(tree.path(), &["--tag", "one", "two"])
            .unwrap()
            .rows();
        let digest = good.split(' ').next().unwrap().to_owned();
        let other: String = digest.chars().rev().collect();
        let lists = [
            good.clone(),
            String::new(),
            "\n\n# nothing\n".to_owned(),
            "nonsense\n".to_owned(),
            good.replace('\n', "\r\n"),
            good.trim_end().to_owned(),
            good.replace("  ", "\t"),
            good.replace("  ", " "),
            good.replace("  ", " *"),
            good.to_uppercase()
                .replace("ONE", "one")
                .replace("TWO", "two")
                .replace("THREE", "three"),
            good.replacen("  ", " ", 1),
            format!("# comment\n\n  \t{good}nonsense\n"),
            format!("{good}{digest}  dir\n"),
            format!("{good}{digest}  gone\n"),
            format!("{digest}  gone\n{digest}  dangling\n"),
            format!("{digest}  one/below\n"),
            format!("{digest}  gone\nnonsense\n{good}"),
            format!("{other}  one\n{good}"),
            format!("{other}  one\n"),
            format!("{good}{good}"),
            tagged.clone(),
            tagged.replace(" (", "(").replace(") = ", ")= "),
            tagged.replace(&format!("{} ", peer.tag), "SHA512 "),
            format!("{good}{tagged}"),
            format!("{} (one) = {other}\n", peer.tag),
            format!("{} (one) {digest}\n", peer.tag),
            format!("\\{digest}  o\\ne\n"),
            format!("\\{digest}  bad\\escape\n{good}"),
            format!("{digest}0  one\n{good}"),
            format!("{}  one\n", &digest[1..]),
            format!("{digest}\n{digest} \n{digest}  \n"),
        ];
        let flags: [&[&str]; 9] = [
            &[],
            &["--quiet"],
            &["--status"],
            &["--strict"],
            &["-w"],
            &["--warn", "--strict"],
            &["--ignore-missing"],
            &["--ignore-missing", "--quiet", "--strict"],
            &["--ignore-missing", "--status"],
        ];
        for list in &lists {
            for flags in flags {
                let theirs = [&["-c", "-"], flags].concat();
                let theirs = peer
                    .run_reading(tree.path(), &theirs, list.as_bytes())
                    .unwrap();
                let ours = ["digest", "--algorithm", peer.algorithm, "-j2", "-c", "-"];
                let ours =
                    gristmill_reading(tree.path(), &[&ours, flags].concat(), list.as_bytes());
                let about = format!("{} {flags:?} {list:?}", peer.program);
                assert_eq!(ours.text(), theirs.text(), "{about}: {ours:?}");
                assert_eq!(ours.code, theirs.code, "{about}: {ours:?}");
                // Whoever asks for a status alone is still told what could not be read.
                let said = |done: &Done| !done.err.is_empty();
                assert!(said(&ours) || !said(&theirs), "{about}: {theirs:?}");
            }
        }
    }
}

#[test]
fn a_list_of_several_algorithms_is_checked_row_by_row() {
    let (tree, names) = sizes();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let every = "crc32c,sha256,blake3,xxh3-64,md5,xxh3-128,sha1";
    let digest = ["digest", "--sort", "path", "--algorithm", every];
    let list = gristmill(tree.path(), &[&digest[..], &names].concat()).rows();
    assert_eq!(list.lines().count(), 7 * names.len());
    let tags: Vec<&str> = list
        .lines()
        .take(7)
        .map(|row| row.split(' ').next().unwrap())
        .collect();
    // The rows of a file come in the order of the flag.
    assert_eq!(
        tags,
        ["CRC32C", "SHA256", "BLAKE3", "XXH3", "MD5", "XXH128", "SHA1"]
    );
    for flags in [&["-j1"][..], &["-j4", "--chunk-size", "4K"]] {
        let check = [&["digest", "--check", "-"], flags].concat();
        let done = gristmill_reading(tree.path(), &check, list.as_bytes());
        let verdicts: String = list
            .lines()
            .map(|row| {
                format!(
                    "{}: OK\n",
                    &row[row.find('(').unwrap() + 1..row.find(')').unwrap()]
                )
            })
            .collect();
        assert!(
            done.text() == verdicts && done.code == Some(0),
            "{}",
            done.err
        );
    }
    // Of some algorithms alone, the other rows are no rows.
    let check = [
        "digest",
        "--check",
        "-",
        "--algorithm",
        "md5,sha1",
        "--strict",
    ];
    let done = gristmill_reading(tree.path(), &check, list.as_bytes());
    assert_eq!(done.code, Some(1));
    assert_eq!(done.text().lines().count(), 2 * names.len());
    let malformed = format!("{} lines of the list", 5 * names.len());
    assert!(done.err.contains(&malformed), "{}", done.err);
    // A flag for each is the same as commas, and one that comes again counts once.
    let twice = ["--algorithm", "md5", "--algorithm", "sha1,md5", "00000001"];
    let rows = gristmill(tree.path(), &[&["digest"], &twice[..]].concat()).rows();
    assert_eq!(rows.lines().count(), 2, "{rows}");
    let json = ["digest", "--json", "--algorithm", "md5,sha1", "00000001"];
    let rows = gristmill(tree.path(), &json).rows();
    assert!(
        rows.contains(r#""algorithm":"md5""#) && rows.lines().count() == 2,
        "{rows}"
    );
}

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    let tree = awkward_tree();
    for (arguments, told) in [
        (&["--algorithm", "sha512", "plain"][..], "sha256"),
        (&["--tag", "--check", "list"], "--check"),
        (&["-z", "--check", "list"], "--check"),
        (&["--tag", "--json", "plain"], "--json"),
        (&["--status", "plain"], "--check"),
        (&["--strict", "plain"], "--check"),
        (&["--warn", "plain"], "--check"),
        (&["--ignore-missing", "plain"], "--check"),
        (
            &["--record", "log", "--algorithm", "blake3,md5", "plain"],
            "--algorithm blake3 or crc32c",
        ),
        (
            &["--backend", "opencl", "--algorithm", "md5", "plain"],
            "--algorithm blake3 or crc32c",
        ),
        (
            &["--backend", "cuda", "--algorithm", "sha1", "plain"],
            "--algorithm blake3 or crc32c",
        ),
    ] {
        let done = gristmill(tree.path(), &[&["digest"], arguments].concat());
        assert_eq!((done.code, done.text()), (Some(2), ""), "{arguments:?}");
        assert!(done.err.contains(told), "{arguments:?}: {}", done.err);
    }
}
