//! Random trees, patterns and flags.

use super::*;
use fastrand::Rng;

/// Files that span several chunks at any chunk size, with lines and matches across every kind of boundary.
#[test]
fn random_trees_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    for seed in 1..=12 {
        println!("seed {seed}");
        let mut random = Rng::with_seed(seed);
        let tree = Tree::new();
        // ripgrep's buffer stays as large as an earlier file's longest line made it, which changes how far it looks in
        // binary files. So a tree has either long lines or NULs.
        let with_nul = seed % 2 == 0;
        for file in 0..1 + random.usize(..8) {
            let length = random.usize(..900_000);
            let usual = [3, 80, 5000][random.usize(..3)];
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                let long = !with_nul && random.usize(..500) == 0;
                let line = random.usize(..if long { 400_000 } else { usual });
                bytes.extend((0..line).map(|_| b"abcd"[random.usize(..4)]));
                bytes.push(b'\n');
            }
            if with_nul && random.usize(..3) == 0 && !bytes.is_empty() {
                let at = random.usize(..bytes.len());
                bytes[at] = 0;
            }
            tree.write(format!("d{}/f{file}", random.usize(..3)), bytes);
        }
        for _ in 0..12 {
            let mut arguments = words(&["--sort", "path", "-e", "abcabc"]);
            arguments.push("-e".into());
            arguments.push(["dddddd", "ababa", "aaaaaaaa", "ca"][random.usize(..4)].into());
            for flag in [
                "-n",
                "-b",
                "-c",
                "-o",
                "-a",
                "-i",
                "-H",
                "--color=always",
                "-l",
                "-m3",
            ] {
                if random.usize(..4) == 0 {
                    arguments.push(flag.into());
                }
            }
            same_with(&tree, &arguments, None);
        }
    }
}
