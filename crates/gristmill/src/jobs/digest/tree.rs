//! BLAKE3's tree of a file, in which the host joins what chunks of the file give
//! ([`gristmill_megakernel::stream::subtrees`]).

use blake3::hazmat::{merge_subtrees_non_root, merge_subtrees_root, ChainingValue, Mode};
use gristmill_megakernel::stream::subtrees::{piece, Part, LEAF, VALUE};

/// The tree of a file, as far as its chunks have been joined.
#[derive(Debug, Default)]
pub struct Tree {
    /// The root, if the file ends with the chunk that was added last.
    root: Option<[u8; VALUE]>,
    /// The nodes that wait for their right neighbour, the smallest last.
    nodes: Vec<ChainingValue>,
}

impl Tree {
    /// Adds the parts of the chunk at `offset`, which follows the last one. The sizes of the subtrees are those that
    /// [`parts`](gristmill_megakernel::stream::subtrees::parts) has given for a chunk of `len` bytes.
    pub fn add(&mut self, offset: u64, len: usize, parts: impl IntoIterator<Item = Part>) {
        self.root = None;
        let (mut at, mut left) = (offset, len);
        let last = !len.is_multiple_of(LEAF);
        for part in parts {
            let node = match part {
                Part::Root(root) => {
                    self.root = Some(root);
                    continue;
                }
                Part::Subtree(node) => node,
            };
            // A finished node for each bit of the number of leaves before this one. The two last are joined only now,
            // when it is certain that the file goes on, as the root would be joined in another way.
            let finished = (at / LEAF as u64).count_ones() as usize;
            while self.nodes.len() > finished {
                self.join();
            }
            self.nodes.push(node);
            let size = piece(left, at, last);
            at += size as u64;
            left -= size.min(left);
        }
    }

    /// Joins the two last nodes.
    fn join(&mut self) {
        if let (Some(right), Some(left)) = (self.nodes.pop(), self.nodes.pop()) {
            self.nodes
                .push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }

    /// The digest of the file, which ends here.
    pub fn finish(mut self) -> [u8; VALUE] {
        if let Some(root) = self.root {
            return root;
        }
        while self.nodes.len() > 2 {
            self.join();
        }
        match *self.nodes {
            [left, right] => merge_subtrees_root(&left, &right, Mode::Hash).into(),
            // A file of no bytes. There is no single node: see `subtrees::parts`.
            _ => blake3::hash(b"").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gristmill_megakernel::stream::subtrees;
    use gristmill_testing::{noise, seed};

    /// The digest where the file is cut into chunks of these sizes, the last of which is what is left.
    fn cut(bytes: &[u8], sizes: impl IntoIterator<Item = usize>) -> [u8; VALUE] {
        let mut tree = Tree::default();
        let (mut rest, mut offset) = (bytes, 0);
        for size in sizes {
            if rest.is_empty() {
                break;
            }
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            let mut given = Vec::new();
            subtrees::parts(chunk, offset, || true, |part| given.push(part));
            tree.add(offset, chunk.len(), given);
            rest = after;
            offset += chunk.len() as u64;
        }
        assert!(rest.is_empty());
        tree.finish()
    }

    #[test]
    fn files_of_all_sizes_around_leaves_have_their_digest_however_they_are_cut() {
        let bytes = noise(3, 40 * LEAF);
        for leaves in 0..=20 {
            for len in [-1_isize, 0, 1, 500] {
                let Some(len) = (leaves * LEAF).checked_add_signed(len) else {
                    continue;
                };
                let bytes = &bytes[..len];
                let expected: [u8; VALUE] = blake3::hash(bytes).into();
                for chunk in [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 64] {
                    let sizes = std::iter::repeat(chunk * LEAF);
                    assert_eq!(cut(bytes, sizes), expected, "{len} bytes, {chunk} leaves");
                }
            }
        }
    }

    #[test]
    fn random_cuts_give_the_same_digest() {
        let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_CUTS_SEED"));
        let bytes = noise(4, 300 * LEAF);
        for _ in 0..300 {
            let len = random.usize(..bytes.len());
            let mut sizes = random.clone();
            let most = 1 << random.usize(0..8);
            let sizes = std::iter::repeat_with(|| sizes.usize(1..=most) * LEAF);
            let expected: [u8; VALUE] = blake3::hash(&bytes[..len]).into();
            assert_eq!(cut(&bytes[..len], sizes), expected, "{len} bytes");
        }
    }

    #[test]
    fn hashing_ends_where_it_is_not_to_go_on() {
        let mut given = 0;
        subtrees::parts(&[0; 8 * LEAF], 0, || false, |_| given += 1);
        assert_eq!(given, 0);
    }
}
