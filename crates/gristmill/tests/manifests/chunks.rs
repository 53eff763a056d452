//! Chunks of manifests: those of the file as a whole, by the crate `fastcdc` and by the shipped program, whatever the mill
//! reads at once.

use fastcdc::v2020::FastCDC;
use gristmill::jobs::digest::{Algorithm, Chunking, Cutting, DigestJob};
use gristmill::jobs::run::{RunJob, RunRows};
use gristmill::manifest::{Head, ManifestFormat, ManifestWriter};
use gristmill::mill::{Control, Mill};
use gristmill::program::Program;
use gristmill::source::Tree;
use gristmill_testing::{noise, seed};
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;

const PROGRAM: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../programs/content_chunks.vasm"
);

/// A file's bytes: noise, with runs of one value and repetitions.
fn content(random: &mut fastrand::Rng, len: usize) -> Vec<u8> {
    let mut bytes = noise(random.u64(..), len / 2);
    bytes.resize(len * 5 / 8, random.u8(..));
    bytes.extend_from_within(..len / 4);
    bytes.extend(noise(random.u64(..), len - bytes.len()));
    bytes
}

fn mill(chunk_bytes: usize) -> Mill {
    let mill = Mill::builder().workers(2).chunk_bytes(chunk_bytes);
    mill.build().unwrap()
}

/// The chunks in a manifest of a file: lengths and digests.
fn noted(path: &Path, chunking: Chunking, chunk_bytes: usize) -> Vec<(usize, String)> {
    let head = Head::new(Algorithm::Blake3.into(), Some(chunking), []);
    let mut bytes = Vec::new();
    let mut writer = ManifestWriter::new(ManifestFormat::Jsonl, &head, &mut bytes).unwrap();
    let job = DigestJob::manifest(Algorithm::Blake3.into(), Some(chunking));
    let files = Tree::new([path]).walk().unwrap();
    let run = mill(chunk_bytes).run(files, Arc::new(job), &mut writer, &Control::default());
    run.unwrap().output.unwrap();
    writer.finish(true).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let row: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let list = |name: &str| row[name].as_array().unwrap().clone();
    let mut end = 0;
    let chunks = list("chunk_offsets").into_iter().zip(list("chunk_lengths"));
    let chunks = chunks
        .zip(list("chunk_hashes"))
        .map(|((offset, length), hash)| {
            assert_eq!(offset.as_u64(), Some(end));
            end += length.as_u64().unwrap();
            let length = usize::try_from(length.as_u64().unwrap()).unwrap();
            (length, hash.as_str().unwrap().to_owned())
        });
    chunks.collect()
}

/// Chunks with these lengths.
fn of_lengths(bytes: &[u8], lengths: &[usize]) -> Vec<(usize, String)> {
    let mut rest = bytes;
    let chunks = lengths.iter().map(|length| {
        let (chunk, behind) = rest.split_at(*length);
        rest = behind;
        (*length, blake3::hash(chunk).to_hex().to_string())
    });
    chunks.collect()
}

/// Where the shipped program cuts a file.
fn cuts(path: &Path, chunking: Chunking) -> Vec<usize> {
    let source = std::fs::read_to_string(PROGRAM).unwrap();
    let program = Program::from_source("content_chunks.vasm", &source).unwrap();
    let job = RunJob::builder(program)
        .arg("mask", chunking.mask())
        .rows(RunRows::Json)
        .build()
        .unwrap();
    let mut rows = Vec::new();
    let files = Tree::new([path]).walk().unwrap();
    let run = mill(1 << 20).run(files, Arc::new(job), &mut rows, &Control::default());
    run.unwrap().output.unwrap();
    let text = String::from_utf8(rows).unwrap();
    let rows = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let records = rows.filter(|row| row["type"] == "record");
    records
        .map(|row| usize::try_from(row["offset"].as_u64().unwrap()).unwrap())
        .collect()
}

/// The lengths of chunks by these cuts, with the least and the greatest size.
fn lengths(cuts: &[usize], chunking: Chunking, size: usize) -> Vec<usize> {
    let (mut lengths, mut last) = (Vec::new(), 0);
    let mut cuts = cuts.iter().copied().peekable();
    while last < size {
        while cuts.next_if(|cut| *cut < last + chunking.least()).is_some() {}
        let next = cuts.peek().copied().unwrap_or(size);
        let end = next.min(last + chunking.greatest()).min(size);
        lengths.push(end - last);
        last = end;
    }
    lengths
}

#[test]
fn chunks_are_those_of_the_whole_file_for_every_size_that_is_read_at_once() {
    let mut random = fastrand::Rng::with_seed(seed("GRISTMILL_CHUNKS_SEED"));
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("file");
    for len in [0, 1, 4096, 100_000, 2_500_001] {
        let bytes = content(&mut random, len);
        std::fs::write(&path, &bytes).unwrap();
        for average in [1 << 10, 8 << 10, 64 << 10] {
            let fastcdc = Chunking::new(Cutting::FastCdc, average).unwrap();
            let cut = FastCDC::new(&bytes, average / 4, average, average * 4);
            let cut: Vec<usize> = cut.map(|chunk| chunk.length).collect();
            let gear = Chunking::new(Cutting::Gear, average).unwrap();
            let by_program = lengths(&cuts(&path, gear), gear, len);
            for (chunking, expected) in [(fastcdc, cut), (gear, by_program)] {
                let expected = of_lengths(&bytes, &expected);
                for chunk_bytes in [4 << 10, 64 << 10, 1 << 20] {
                    let found = noted(&path, chunking, chunk_bytes);
                    assert_eq!(
                        found, expected,
                        "{chunking}, {len} bytes, {chunk_bytes} at once"
                    );
                }
            }
        }
    }
}
