//! The flags that choose and order files.

use super::rules::{answers, fill, one, rules};
use super::*;
use fastrand::Rng;
use std::time::{Duration, SystemTime};

/// Flags of which a random command line has some.
const FLAGS: [&[&str]; 32] = [
    &["--hidden"],
    &["--no-ignore"],
    &["--no-ignore-dot"],
    &["--no-ignore-vcs"],
    &["--no-ignore-exclude"],
    &["--no-ignore-global"],
    &["--no-ignore-parent"],
    &["--no-ignore-files"],
    &["--no-require-git"],
    &["--ignore-file-case-insensitive"],
    &["-u"],
    &["-uu"],
    &["-uuu"],
    &["-t", "rust"],
    &["-t", "txt"],
    &["-t", "all"],
    &["-T", "txt"],
    &["-T", "all"],
    &["--type-add", "mine:a", "-t", "mine"],
    &["--type-add", "mine:.h", "-t", "mine"],
    &[
        "--type-clear",
        "txt",
        "--type-add",
        "txt:*.log",
        "-t",
        "txt",
    ],
    &["--iglob", "*.TXT"],
    &["--iglob", "!SUB"],
    &["--glob-case-insensitive"],
    &["-g", "*.LOG"],
    &["-g", "!*.Txt"],
    &["-d", "0"],
    &["-d", "1"],
    &["--max-depth", "2"],
    &["--max-filesize", "1"],
    &["--max-filesize", "1K"],
    &["--one-file-system"],
];

#[test]
fn random_flags_choose_the_files_that_ripgrep_chooses() {
    if rg_is_missing() {
        return;
    }
    let first = gristmill_testing::seed("GRISTMILL_WALK_SEED");
    for seed in (0..80).map(|number| first.wrapping_add(number)) {
        let mut random = Rng::with_seed(seed);
        let tree = Tree::new();
        let mut directories = Vec::new();
        fill(&mut random, &tree, Path::new("t"), 0, &mut directories);
        tree.write("named", rules(&mut random).to_uppercase());
        tree.write("named-2", rules(&mut random));
        if random.bool() {
            tree.write("home/.config/git/ignore", rules(&mut random));
        }
        let from = tree
            .root
            .join(&directories[random.usize(..directories.len())]);
        let mut arguments = words(match random.usize(..3) {
            0 => &["--sort", "path", "-l", "-e", "x"],
            1 => &["--sort", "path", "--files"],
            _ => &["--sortr", "path", "--files"],
        });
        for _ in 0..random.usize(..5) {
            let flags = FLAGS[random.usize(..FLAGS.len())];
            if flags[0].starts_with("-u")
                && arguments
                    .iter()
                    .any(|a| a.len() < 5 && a.to_string_lossy().starts_with("-u"))
            {
                continue;
            }
            arguments.extend(words(flags));
        }
        for named in ["named", "named-2"] {
            if random.usize(..4) == 0 {
                arguments.push("--ignore-file".into());
                arguments.push(tree.root.join(named).into());
            }
        }
        if random.usize(..3) == 0 {
            arguments.push("--".into());
            arguments.push(one(&mut random, &[".", "./", "..", "a"]).into());
        }
        let (got, expected) = answers(&tree, &from, &arguments);
        assert_eq!(
            (String::from_utf8_lossy(&got.stdout), got.status.code()),
            (
                String::from_utf8_lossy(&expected.stdout),
                expected.status.code()
            ),
            "seed {seed}: {arguments:?} in {}\n{}",
            from.display(),
            String::from_utf8_lossy(&got.stderr)
        );
    }
}

#[test]
fn flags_that_choose_files_mean_what_they_mean_to_ripgrep() {
    if rg_is_missing() {
        return;
    }
    let tree = mixed_tree();
    // ripgrep's buffer stays as large as this file makes it, which changes its later reads.
    fs::remove_file(tree.root.join("long-lines")).unwrap();
    tree.write("big.rs", b"needle\n".repeat(1000));
    tree.write("named-rules", "*.rs\n!text.rs\n");
    tree.write("binary-dir/late", b"needle\nab\0cd needle\nneedle\n");
    for line in [
        "--type-list",
        "--type-list --type-add web:*.{html,css}",
        "--type-list --type-clear rust",
        "--type-list --files --sort path",
        "--files --type-list -e x",
        "--files",
        "--files .",
        "--files sub kept.log",
        "-l --files",
        "--json --files",
        "--files -0",
        "--files --color=always",
        "--files -q",
        "--files -q nowhere",
        "--files -q nowhere sub",
        "--files nowhere sub",
        "--files -",
        "--files -f no-such-patterns sub",
        "--files -t rust -g !sub",
        "--files -g nothing-like-it",
        "--files -d 0",
        "--files -d 0 kept.log sub",
        "--files -d1 --maxdepth 2",
        "-l -L needle",
        "-l -L needle sub link-to-dir",
        "-l -t rust needle",
        "-l -t rust needle kept.log",
        "-l -trust -ttxt needle",
        "-l -Trust needle",
        "-l -trust -Trust needle",
        "-l -tnosuch needle",
        "-l -Tnosuch needle",
        "-l --type-add nosuch needle",
        "-l --type-add x:*.log -tx needle",
        "-l --type-add x:include:rust,txt -tx needle",
        "-l --type-add x:include:nosuch -tx needle",
        "-l --type-clear rust --type-add rust:*.txt -trust needle",
        "-l --type-add rust:*.txt --type-clear rust -trust needle",
        "-l --iglob *.TXT needle",
        "-l --iglob { needle",
        "-l --glob-case-insensitive -g *.TXT needle",
        "-l --max-filesize 100 needle",
        "-l --max-filesize 100 needle big.rs sub",
        "-l --max-filesize 7000 needle",
        "-l --max-filesize 6999 needle",
        "-l --max-filesize 7K needle",
        "-l --max-filesize 7Q needle",
        "-l -d x needle",
        "-d 0 needle",
        "-d 0 needle sub kept.log",
        "-d 2 -l needle",
        "-u -l needle",
        "-uu -l needle",
        "-uuu needle",
        "-uuu -c needle",
        "-uuu -a needle binary-dir",
        "-a -uuu needle binary-dir",
        "-uuuu needle",
        "--binary needle",
        "--binary -c needle",
        "--binary -l needle binary-dir",
        "--binary -a needle binary-dir",
        "-a --binary needle binary-dir",
        "--binary --json needle binary-dir",
        "--binary -m1 needle binary-dir",
        "-l --no-ignore-vcs needle",
        "-l --no-ignore-dot needle",
        "-l --no-ignore-vcs --no-ignore-dot needle",
        "-l --no-ignore-parent needle sub",
        "-l --ignore-file named-rules needle",
        "-l --ignore-file named-rules --no-ignore needle",
        "-l --ignore-file named-rules --no-ignore-files needle",
        "-l --ignore-file nowhere needle",
        "-l --ignore-file sub needle",
        "-l --ignore-file nowhere --no-messages needle",
        "--no-messages needle nowhere",
        "--no-messages needle nowhere kept.log",
        "--no-messages not-there nowhere kept.log",
        "-l --one-file-system needle",
        "--sort none -q needle",
        "--sortr path -l needle",
        "--sortr path --sort path -l needle",
        "--sort modified --sort path -l needle",
        "--sortr path --heading needle sub zz",
        "--sort nonsense needle",
    ] {
        let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let ordered = ["--sort", "--type-list"]
            .iter()
            .any(|word| line.contains(word));
        let before = if ordered {
            &[][..]
        } else {
            &["--sort", "path"]
        };
        same_with(&tree, &[words(before), arguments].concat(), None);
    }
}

/// Ties would come in the order of the directory's listing.
#[test]
fn files_come_in_the_order_of_their_times() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    let mut random = Rng::with_seed(gristmill_testing::seed("GRISTMILL_WALK_SEED"));
    let mut ages: Vec<u64> = (1..=40).collect();
    random.shuffle(&mut ages);
    for (number, age) in ages.iter().enumerate() {
        let name = format!("d{}/f{number}", number % 3);
        tree.write(&name, format!("needle {age}\n"));
        let at = |age: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + age);
        let times = fs::FileTimes::new()
            .set_modified(at(*age))
            // The search must not change it: a time later than the other two.
            .set_accessed(at(100_000_000 + (age * 7) % 41));
        let file = fs::File::options()
            .write(true)
            .open(tree.root.join(name))
            .unwrap();
        file.set_times(times).unwrap();
    }
    for key in ["modified", "accessed", "created"] {
        for flag in ["--sort", "--sortr"] {
            same(&tree, &[flag, key, "--files"]);
            same(&tree, &[flag, key, "--files", "d2", "d0/f0", "-"]);
            same(&tree, &[flag, key, "-n", "needle"]);
            same(&tree, &[flag, key, "-l", "needle", "nowhere"]);
        }
    }
}

/// The file that the list goes to is listed, too; a search passes it over.
#[test]
fn the_file_that_the_output_goes_to_is_listed_and_not_searched() {
    if rg_is_missing() {
        return;
    }
    let tree = Tree::new();
    tree.write("a", "needle\n");
    let ended = |program: &Path, first: &[&str], arguments: &[&str]| {
        let output = tree.root.join("output");
        let mut command = Command::new(program);
        command.args(first).args(arguments).current_dir(&tree.root);
        command
            .stdin(Stdio::null())
            .stdout(fs::File::create(&output).unwrap());
        let code = command.status().unwrap().code();
        (code, fs::read_to_string(output).unwrap())
    };
    for arguments in [
        &["--sort", "path", "--files"][..],
        &["--sort", "path", "-c", ""],
    ] {
        let expected = ended(
            ripgrep::program().unwrap(),
            &["-F", "--no-config"],
            arguments,
        );
        let got = ended(
            Path::new(env!("CARGO_BIN_EXE_gristmill")),
            &["scan"],
            arguments,
        );
        assert_eq!(got, expected, "{arguments:?}");
    }
}
