//! BLAKE3 as a tree: what a chunk of a file gives to it, and how the chunks' parts are joined.
//!
//! The leaves of the tree are 1,024 bytes each (section 2.1 of the BLAKE3 paper). A *subtree* is a power of two of them,
//! at a multiple of its own size; at the end of a file it may be shorter. A worker hashes the subtrees that a chunk of
//! the file consists of, in any order with those of other chunks, and the host joins their chaining values from the left
//! to the right. Only the root differs: it is finished in another way than the node of a subtree, so of a file whose end
//! may be the chunk's end, there are always two subtrees to be joined, or the root itself.

use blake3::hazmat::{
    max_subtree_len, merge_subtrees_non_root, merge_subtrees_root, ChainingValue, HasherExt, Mode,
};
use blake3::{Hasher, CHUNK_LEN};

/// Bytes of a leaf. Chunks begin at multiples of it, so that they consist of whole leaves; only the last chunk of a file
/// ends elsewhere. That is so in all files but streams.
pub const LEAF: usize = CHUNK_LEN;

/// Bytes of a chaining value and of a root.
pub const VALUE: usize = 32;

/// What a chunk gives to the tree, in the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The root of a file that consists of this chunk alone.
    Root([u8; VALUE]),
    /// The chaining value of a subtree.
    Subtree(ChainingValue),
}

/// Hashes the chunk at `offset`, and gives its parts. `more` is asked from time to time whether to go on.
pub fn parts(
    mut bytes: &[u8],
    mut offset: u64,
    more: impl Fn() -> bool,
    mut give: impl FnMut(Part),
) {
    // The chunks of a file that is no stream have a size of some blocks of 4,096 bytes, but for the last.
    let last = !bytes.len().is_multiple_of(LEAF);
    if offset == 0 && (last || bytes.len() == LEAF) {
        if let Some(root) = hashed(Hasher::new(), bytes, &more) {
            give(Part::Root(root.finalize().into()));
        }
        if last {
            return;
        }
    }
    while !bytes.is_empty() {
        let size = piece(bytes.len(), offset, last);
        let (subtree, rest) = bytes.split_at(size);
        let mut hasher = Hasher::new();
        hasher.set_input_offset(offset);
        let Some(hasher) = hashed(hasher, subtree, &more) else {
            return;
        };
        give(Part::Subtree(hasher.finalize_non_root()));
        bytes = rest;
        offset += size as u64;
    }
}

/// The bytes that are hashed before `more` is asked again.
const LOOK_BYTES: usize = 1 << 20;

/// The hasher with all of `bytes`; `None` if it is not to go on.
fn hashed(mut hasher: Hasher, bytes: &[u8], more: impl Fn() -> bool) -> Option<Hasher> {
    for part in bytes.chunks(LOOK_BYTES) {
        if !more() {
            return None;
        }
        hasher.update(part);
    }
    Some(hasher)
}

/// The length of the next subtree, where `len` bytes are left from `offset` on. `last` says whether the file ends with
/// them.
fn piece(len: usize, offset: u64, last: bool) -> usize {
    // Without a remainder, a power of two of leaves; at most a gigabyte.
    let whole = 1 << (usize::BITS - 1 - len.max(1).leading_zeros());
    match max_subtree_len(offset) {
        // At the beginning of a file any size is possible, but a file that ends here needs two subtrees for its root.
        None if whole == len && len > LEAF => len / 2,
        None => whole.min(len),
        Some(most) => {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            if last && len <= most {
                len
            } else {
                whole.min(most)
            }
        }
    }
}

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
    /// [`parts`] has given for a chunk of `len` bytes.
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
            // A file of no bytes. There is no single node: see `parts`.
            _ => blake3::hash(b"").into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
            parts(chunk, offset, || true, |part| given.push(part));
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
        parts(&[0; 8 * LEAF], 0, || false, |_| given += 1);
        assert_eq!(given, 0);
    }
}
