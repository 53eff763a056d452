//! Attempts of safe code to misuse reads and their memory, which must not succeed. Attempts that must not compile are
//! in `refused/`.

#![cfg_attr(
    miri,
    allow(
        unused_imports,
        reason = "Miri has no readers, and their tests are left out"
    )
)]

use gristmill_ingest::reader::{ChunkReader, ReadPath, ReadPathChoice, ReaderConfig, NO_OFFSET};
use gristmill_ingest::{GpuMappedBuffer, IoTables};
use gristmill_ring::{ChunkBuf, ChunkMemory, ChunkPool};
use proptest::prelude::*;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

#[test]
#[cfg(not(miri))]
fn the_compiler_refuses_what_would_be_unsound() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused");
    gristmill_testing::refused(
        directory,
        &["gristmill_ingest", "gristmill_ring", "gristmill_protocol"],
    );
}

/// A step of the test with a buffer's parts, which are named by their numbers.
#[derive(Debug, Clone)]
enum Step {
    /// Carves bytes out of a part.
    Carve(usize, usize, usize),
    /// Drops a part.
    Drop(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let carve = (0..8usize, 0..80usize, 1..40usize);
    let step = prop_oneof![
        3 => carve.prop_map(|(part, offset, len)| Step::Carve(part, offset, len)),
        1 => (0..8usize).prop_map(Step::Drop),
    ];
    proptest::collection::vec(step, 1..40)
}

/// A part, and its range of bytes. Bytes that were carved out of it belong to the carved parts.
struct Part<'a> {
    buffer: GpuMappedBuffer<'a>,
    bytes: std::ops::Range<usize>,
    parents: Vec<usize>,
    number: usize,
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 8 } else { 256 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// In whatever order parts are carved and dropped, two live parts overlap only if one was carved out of the other.
    #[test]
    fn no_two_owners_have_the_same_byte(steps in steps()) {
        let mut memory = vec![0u8; 64];
        // SAFETY: nobody uses `memory` until the buffer and its parts are gone, and nothing is read into it.
        let whole = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
        let mut parts = vec![Part { buffer: whole, bytes: 0..64, parents: Vec::new(), number: 0 }];
        for (step, number) in steps.into_iter().zip(1..) {
            match step {
                Step::Carve(part, offset, len) => {
                    let Some(part) = parts.get(part) else { continue };
                    let Ok(buffer) = part.buffer.sub_region(offset, len) else { continue };
                    let start = part.bytes.start + offset;
                    prop_assert!(start + len <= part.bytes.end);
                    let mut parents = part.parents.clone();
                    parents.push(part.number);
                    parts.push(Part { buffer, bytes: start..start + len, parents, number });
                }
                Step::Drop(part) if part < parts.len() => drop(parts.remove(part)),
                Step::Drop(_) => {}
            }
            for (index, one) in parts.iter().enumerate() {
                for other in &parts[index + 1..] {
                    let apart = one.bytes.end <= other.bytes.start || other.bytes.end <= one.bytes.start;
                    let nested = one.parents.contains(&other.number) || other.parents.contains(&one.number);
                    prop_assert!(apart || nested, "{:?} {:?}", one.bytes, other.bytes);
                }
            }
        }
    }
}

#[test]
fn sizes_that_overflow_carve_nothing() {
    let mut memory = vec![0u8; 64];
    // SAFETY: as above.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
    for (offset, len) in [
        (usize::MAX, 1),
        (usize::MAX, usize::MAX),
        (1, usize::MAX),
        (65, 0),
    ] {
        assert!(buffer.sub_region(offset, len).is_err(), "{offset} {len}");
    }
}

/// A file that never ends, whose reads last until its other end is used.
#[cfg(not(miri))]
fn pipe() -> (Arc<OwnedFd>, std::io::PipeWriter) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Arc::new(reader.into()), writer)
}

#[cfg(not(miri))]
fn readers() -> Vec<ChunkReader> {
    [
        ReadPathChoice::Auto,
        ReadPathChoice::Only(ReadPath::PositionedRead),
    ]
    .into_iter()
    .map(|path| {
        let depth = 4;
        ChunkReader::new(ReaderConfig { depth, path }).unwrap()
    })
    .collect()
}

/// Nobody gets a chunk while the kernel may write into it: neither its pool, nor a worker that names it, nor a caller
/// that drops the file, the arena, and finally the reader.
#[test]
#[cfg(not(miri))]
fn a_chunk_is_nobodys_while_its_read_is_in_flight() {
    for mut reader in readers() {
        let (memory, chunks) = ChunkMemory::map(1, 4096).unwrap();
        let pool = ChunkPool::new(chunks, 1);
        let chunk = pool.take(0).unwrap();
        let (file, writer) = pipe();
        reader
            .submit(&file, NO_OFFSET, chunk, 4096, 0, true)
            .unwrap();
        drop(file);
        reader.flush().unwrap();
        assert!(reader.poll().is_none());
        assert!(pool.take(0).is_none() && memory.borrow_chunk(0).is_none());
        drop(memory);
        drop(reader);
        // Now there is no read left that could write into the chunk.
        let mut chunk = pool
            .take(0)
            .expect("the chunk of a reader that was dropped");
        chunk.as_mut_slice().fill(7);
        drop(writer);
        assert!(chunk.as_slice().iter().all(|byte| *byte == 7));
    }
}

/// A forgotten reader keeps everything that its reads use, for ever.
#[test]
#[cfg(not(miri))]
fn a_forgotten_reader_gives_nobody_its_chunks() {
    for mut reader in readers() {
        let (memory, chunks) = ChunkMemory::map(1, 4096).unwrap();
        let pool = ChunkPool::new(chunks, 1);
        let (file, mut writer) = pipe();
        reader
            .submit(&file, NO_OFFSET, pool.take(0).unwrap(), 4096, 0, false)
            .unwrap();
        reader.flush().unwrap();
        std::mem::forget(reader);
        drop(file);
        drop(memory);
        std::io::Write::write_all(&mut writer, b"late").unwrap();
        assert!(pool.take(0).is_none());
    }
}

/// Reads of more bytes than a chunk holds, and of 0 bytes, are refused and return their chunk.
#[test]
#[cfg(not(miri))]
fn a_read_stays_within_its_chunk() {
    let file: Arc<OwnedFd> = Arc::new(File::open("/dev/zero").unwrap().into());
    for mut reader in readers() {
        let (_, mut chunks) = ChunkMemory::map(2, 4096).unwrap();
        let mut beside = chunks.pop().unwrap();
        beside.as_mut_slice().fill(9);
        let mut chunk = chunks.pop().unwrap();
        for len in [0, 4097, usize::MAX] {
            let (back, _) = reader.submit(&file, 0, chunk, len, 0, true).unwrap_err();
            chunk = back;
        }
        reader.submit(&file, 0, chunk, 4096, 0, true).unwrap();
        while reader.inflight() > 0 {
            reader.wait(Duration::from_millis(100)).unwrap();
            reader.poll();
        }
        assert!(beside.as_slice().iter().all(|byte| *byte == 9));
    }
}

/// Handles are only numbers of table entries.
#[test]
fn handles_that_were_not_given_out_name_nothing() {
    let mut tables = IoTables::new();
    let (_, mut chunks) = ChunkMemory::map(1, 4096).unwrap();
    let chunk: ChunkBuf = chunks.pop().unwrap();
    let handle = tables.add_destination(chunk, vec![0]);
    assert_eq!(tables.chunk_of(handle), Some(0));
    for unknown in [handle + 1, u32::MAX] {
        assert_eq!(tables.chunk_of(unknown), None);
    }
    assert_eq!(tables.into_chunks().len(), 1);
}
