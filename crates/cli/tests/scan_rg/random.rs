//! Random trees, patterns and flags.

use super::*;

pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(u64::wrapping_mul(seed, 0x9E37_79B9_7F4A_7C15))
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

/// Files that span several chunks at any chunk size, with lines and matches across every kind of boundary.
#[test]
fn random_trees_are_answered_as_ripgrep_answers_them() {
    if rg_is_missing() {
        return;
    }
    for seed in 1..=12 {
        println!("seed {seed}");
        let mut random = Random::new(seed);
        let tree = Tree::new();
        // ripgrep's buffer stays as large as an earlier file's longest line made it, which changes how far it looks in
        // binary files: so a tree has the ones or the others.
        let with_nul = seed % 2 == 0;
        for file in 0..1 + random.below(8) {
            let length = random.below(900_000);
            let usual = [3, 80, 5000][random.below(3)];
            let mut bytes = Vec::with_capacity(length);
            while bytes.len() < length {
                let long = !with_nul && random.below(500) == 0;
                let line = random.below(if long { 400_000 } else { usual });
                bytes.extend((0..line).map(|_| b"abcd"[random.below(4)]));
                bytes.push(b'\n');
            }
            if with_nul && random.below(3) == 0 && !bytes.is_empty() {
                let at = random.below(bytes.len());
                bytes[at] = 0;
            }
            tree.write(format!("d{}/f{file}", random.below(3)), bytes);
        }
        for _ in 0..12 {
            let mut arguments = words(&["--sort", "path", "-e", "abcabc"]);
            arguments.push("-e".into());
            arguments.push(["dddddd", "ababa", "aaaaaaaa", "ca"][random.below(4)].into());
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
                if random.below(4) == 0 {
                    arguments.push(flag.into());
                }
            }
            same_with(&tree, &arguments, None);
        }
    }
}
