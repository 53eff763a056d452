//! BLAKE3 leaves the parts of a file's tree that the protocol promises, for chunks of all sizes and at all offsets. The
//! values are those of the crate `blake3`, cut here in this suite's own words.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{random_bytes, word, Fault, World};
use blake3::hazmat::HasherExt;
use gristmill_megakernel::StreamJob;
use gristmill_protocol::stream::{
    Blake3Results, StreamArgs, BLAKE3_LEAF_BYTES, BLAKE3_VALUE_WORDS, WITHOUT_TREE,
};
use gristmill_protocol::{fault, opcode};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("BLAKE3 of chunks of all sizes", sizes),
    ("BLAKE3 where there is no tree", refused),
];

/// More leaves than a group of lanes joins at a time, and no power of two.
const CHUNK: usize = 600 * LEAF + 8;

const LEAF: usize = BLAKE3_LEAF_BYTES as usize;

/// The digests of the first bytes of 0, 1, .. 250, 0, 1, ..: the published test vectors of BLAKE3.
const VECTORS: [(usize, &str); 5] = [
    (
        0,
        "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    ),
    (
        1,
        "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213",
    ),
    (
        1023,
        "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11",
    ),
    (
        1024,
        "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7",
    ),
    (
        1025,
        "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444",
    ),
];

fn setup() -> Setup {
    Setup::default()
        .chunk_bytes(CHUNK)
        .jobs(vec![StreamJob::Blake3])
}

/// What the protocol promises of these bytes at this offset: whether the first part is a root, and all parts.
fn promised(own: &[u8], offset: u64) -> (u32, Vec<[u8; 32]>) {
    let ends = !own.len().is_multiple_of(LEAF);
    let mut parts = Vec::new();
    if offset == 0 && (ends || own.len() == LEAF) {
        parts.push(*blake3::hash(own).as_bytes());
        if ends {
            return (1, parts);
        }
    }
    let root = word(parts.len());
    let (mut at, mut rest) = (offset, own);
    while !rest.is_empty() {
        let most = match at {
            0 => u64::MAX,
            _ => 1 << at.trailing_zeros(),
        };
        let mut size = LEAF;
        if ends && rest.len() as u64 <= most {
            size = rest.len();
        } else {
            while 2 * size <= rest.len()
                && 2 * size as u64 <= most
                && (at != 0 || 2 * size != rest.len())
            {
                size *= 2;
            }
        }
        let (subtree, behind) = rest.split_at(size);
        let mut hasher = blake3::Hasher::new();
        hasher.set_input_offset(at);
        parts.push(hasher.update(subtree).finalize_non_root());
        at += size as u64;
        rest = behind;
    }
    (root, parts)
}

/// Runs BLAKE3 over a part of a chunk with these bytes, and compares.
fn compare(
    world: &mut World,
    data: &[u8],
    start: usize,
    len: usize,
    offset: u64,
) -> Result<(), Stop> {
    let own = &data[start..start + len];
    let lent = world.lend(data)?;
    let args = StreamArgs {
        chunk: lent.index(),
        start: word(start),
        len: word(len),
        offset,
        ..StreamArgs::default()
    };
    let done = world.run(&Submission::new(opcode::BLAKE3, &args.encode()))?;
    world.take_back(lent)?;
    let what = format!("{len} bytes at {start} of the chunk, {offset} of the file");
    let (root, parts) = promised(own, offset);
    same!(done.fault, Fault::NONE, "{what}");
    let results = Blake3Results {
        parts: word(parts.len()),
        root,
    };
    same!(Blake3Results::decode(&done.results), results, "{what}");
    same!(
        done.records,
        results.parts * BLAKE3_VALUE_WORDS / 2,
        "the records of {what}"
    );
    for (number, part) in parts.iter().enumerate() {
        let mut got = [0; 32];
        let (words, _) = got.as_chunks_mut::<4>();
        for (index, four) in words.iter_mut().enumerate() {
            let at = number * BLAKE3_VALUE_WORDS as usize + index;
            *four = world.records.word(done.slot, at).to_le_bytes();
        }
        same!(&got, part, "part {number} of {what}");
    }
    Ok(())
}

fn sizes(suite: &Suite<'_>) -> Checked {
    let counting: Vec<u8> = (0..CHUNK).map(|at| (at % 251) as u8).collect();
    for (len, digest) in VECTORS {
        let hash = blake3::hash(&counting[..len]);
        same!(&*hash.to_hex(), digest, "the crate's digest of {len} bytes");
    }
    let mut numbers = suite.numbers(33);
    let mut world = World::launch(suite, setup())?;
    let leaf = LEAF as u64;
    let mut places = 0;
    for (len, offset) in [
        (0, 0),
        (1, 0),
        (63, 0),
        (64, 0),
        (65, 0),
        (1023, 0),
        (1024, 0),
        (1025, 0),
        (2048, 0),
        (5 * LEAF, 0),
        (5 * LEAF + 1, 0),
        (256 * LEAF, 0),
        (256 * LEAF + 1, 0),
        (257 * LEAF, 0),
        (512 * LEAF, 0),
        (600 * LEAF, 0),
        (600 * LEAF + 7, 0),
        (0, leaf),
        (1, leaf),
        (1024, leaf),
        (2047, 3 * leaf),
        (7 * LEAF + 9, 8 * leaf),
        (8 * LEAF, 8 * leaf),
        (9 * LEAF + 1, 8 * leaf),
        (512 * LEAF, 512 * leaf),
        (512 * LEAF + 3, 1024 * leaf),
        (600 * LEAF, 1 << 42),
        (600 * LEAF + 1, (1 << 42) - leaf),
        (40 * LEAF, u64::MAX / leaf * leaf - 64 * leaf),
    ] {
        compare(&mut world, &counting, 0, len, offset)?;
        let start = numbers.usize(..=CHUNK - len);
        compare(&mut world, &counting, start, len, offset)?;
        places += 2;
    }
    for _ in 0..40 {
        let data = random_bytes(&mut numbers, CHUNK);
        let most = [3 * LEAF, 40 * LEAF, CHUNK][numbers.usize(..3)];
        let mut len = numbers.usize(..=most);
        if numbers.bool() {
            len = len / LEAF * LEAF;
        }
        let start = numbers.usize(..=CHUNK - len);
        let offset = leaf * (numbers.u64(..64) << numbers.u32(..12));
        compare(&mut world, &data, start, len, offset)?;
        places += 1;
    }
    world.close()?;
    Ok(format!("{places} places of 0 to {CHUNK} bytes"))
}

/// Chunks of streams have no tree; offsets that are no leaf's fault, and so do areas that are too small.
fn refused(suite: &Suite<'_>) -> Checked {
    let beyond = Fault(fault::INDEX_OUT_OF_RANGE);
    for (record_words, len, offset, mode, expected) in [
        (512, 100, 5, WITHOUT_TREE, Fault::NONE),
        (512, 100, 1023, 0, beyond),
        (512, 100, 1025, 0, beyond),
        (512, 2 * LEAF, u64::MAX - 1023, 0, beyond),
        (0, LEAF, 1024, 0, beyond),
        (7, LEAF, 1024, 0, beyond),
        (8, LEAF, 1024, 0, Fault::NONE),
        (8, LEAF, 0, 0, beyond),
        (15, 2 * LEAF, 0, 0, beyond),
        (16, 2 * LEAF, 0, 0, Fault::NONE),
    ] {
        let mut world = World::launch(suite, setup().record_words(record_words))?;
        let lent = world.lend(&[7; CHUNK])?;
        let args = StreamArgs {
            chunk: lent.index(),
            len: word(len),
            offset,
            mode,
            ..StreamArgs::default()
        };
        let done = world.run(&Submission::new(opcode::BLAKE3, &args.encode()))?;
        let what = format!("{len} bytes at {offset}, mode {mode:#x}, area of {record_words} words");
        same!(done.fault, expected, "{what}");
        if mode == WITHOUT_TREE {
            same!((done.results, done.records), ([0; 8], 0), "{what}");
        }
        for area in (0..64).filter(|area| *area != done.slot) {
            for index in 0..record_words as usize {
                let found = world.records.word(area, index);
                same!(found, 0, "word {index} of slot {area}'s area, {what}");
            }
        }
        world.take_back(lent)?;
        world.close()?;
    }
    Ok("a stream, offsets within a leaf, areas of 0 to 16 words".into())
}
