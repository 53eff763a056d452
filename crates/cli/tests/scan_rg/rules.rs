//! Which files of a tree are searched, in random trees with many files of rules, repositories and links.

use super::*;
use fastrand::Rng;

const NAMES: [&str; 11] = [
    "a", "b", "c.log", "d.txt", ".h", ".hd", "x y", "[z", "sub", "lib", "k.rs",
];

const GLOBS: [&str; 33] = [
    "*",
    "*.log",
    "?",
    "**/a",
    "sub/",
    "/a",
    "/sub/a",
    "lib/**",
    "**",
    "a/b",
    "!a",
    "!*.log",
    "!sub/",
    ".*",
    "!.h",
    "/",
    "!",
    "#c",
    "\\!a",
    "a ",
    "a\\ ",
    "[z",
    "[a-c]",
    "{a,b}",
    "*.{rs,txt}",
    "sub/*/a",
    ".",
    "./a",
    "..",
    "sub//a",
    "lib",
    "k.rs",
    "b",
];

pub(super) fn one<'a>(random: &mut Rng, of: &[&'a str]) -> &'a str {
    of[random.usize(..of.len())]
}

pub(super) fn rules(random: &mut Rng) -> String {
    let lines: Vec<&str> = (0..random.usize(..5))
        .map(|_| one(random, &GLOBS))
        .collect();
    lines.join("\n") + one(random, &["", "\n", "\r\n"])
}

/// Fills a directory, and adds the paths of all directories, from the tree's root.
pub(super) fn fill(
    random: &mut Rng,
    tree: &Tree,
    at: &Path,
    depth: usize,
    directories: &mut Vec<PathBuf>,
) {
    directories.push(at.to_path_buf());
    fs::create_dir_all(tree.root.join(at)).unwrap();
    let mut names = NAMES.to_vec();
    for _ in 0..1 + random.usize(..6) {
        let path = at.join(names.swap_remove(random.usize(..names.len())));
        if depth < 3 && random.usize(..5) < 2 {
            fill(random, tree, &path, depth + 1, directories);
        } else {
            tree.write(path, "x\n");
        }
    }
    for name in [".gitignore", ".ignore", ".rgignore"] {
        if random.usize(..3) == 0 {
            tree.write(at.join(name), rules(random));
        }
    }
    match random.usize(..12) {
        0 => tree.write(at.join(".git/info/exclude"), rules(random)),
        1 => fs::create_dir(tree.root.join(at).join(".jj")).unwrap(),
        2 => {
            // Make a working tree of a repository that lies elsewhere.
            let git = tree.root.join(at).join("elsewhere");
            tree.write(at.join("elsewhere/commondir"), "../common\n");
            tree.write(at.join("common/info/exclude"), rules(random));
            tree.write(at.join(".git"), format!("gitdir: {}\n", git.display()));
        }
        3 => tree.write(at.join(".git"), "nothing of the kind"),
        _ => {}
    }
    if random.usize(..3) == 0 {
        let target = one(random, &["a", "sub", "..", ".", "nowhere"]);
        symlink(target, tree.root.join(at).join("link")).unwrap();
    }
}

/// The answers of gristmill and of ripgrep in a directory of a tree, with the tree's configuration of git.
pub(super) fn answers(tree: &Tree, from: &Path, arguments: &[OsString]) -> (Output, Output) {
    let answer = |program: &Path, before: &[&str]| {
        let mut command = Command::new(program);
        command
            .args(before)
            .args(arguments)
            .env("HOME", tree.root.join("home"))
            .env_remove("XDG_CONFIG_HOME");
        run(command, from, None)
    };
    let expected = answer(ripgrep::program().unwrap(), &["-F", "--no-config"]);
    let got = answer(Path::new(env!("CARGO_BIN_EXE_gristmill")), &["scan"]);
    (got, expected)
}

#[test]
fn random_rules_are_followed_as_ripgrep_follows_them() {
    if rg_is_missing() {
        return;
    }
    for seed in 1..=150 {
        let mut random = Rng::with_seed(seed);
        let tree = Tree::new();
        let mut directories = Vec::new();
        fill(&mut random, &tree, Path::new("t"), 0, &mut directories);
        if random.usize(..2) == 0 {
            tree.write("home/.config/git/ignore", rules(&mut random));
        }
        let mut any = || directories[random.usize(..directories.len())].clone();
        let (from, other) = (tree.root.join(any()), tree.root.join(any()));
        let mut arguments = words(&["--sort", "path", "-l", "-e", "x"]);
        for (flag, odds) in [("--hidden", 3), ("--no-ignore", 7)] {
            if random.usize(..odds) == 0 {
                arguments.push(flag.into());
            }
        }
        for _ in 0..random.usize(..3) {
            let globs = [
                "*.txt", "!a", "sub/**", "!sub", "*.log", "/a", "**/b", "!.h", ".*",
            ];
            arguments.extend(words(&["-g", one(&mut random, &globs)]));
        }
        arguments.push("--".into());
        match random.usize(..5) {
            0 => {}
            1 => arguments.push(".".into()),
            2 => arguments.push("./".into()),
            3 => arguments.push("..".into()),
            _ => arguments.push(other.into()),
        }
        let (got, expected) = answers(&tree, &from, &arguments);
        assert_eq!(
            (String::from_utf8_lossy(&got.stdout), got.status.code()),
            (
                String::from_utf8_lossy(&expected.stdout),
                expected.status.code()
            ),
            "seed {seed}: {arguments:?} in {}",
            from.display()
        );
    }
}
