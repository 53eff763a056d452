//! Reads of real files into chunks of peer memory, with host memory in place of a device's memory. The tests in
//! `vm/guest` show that a disk's bytes arrive in a device's memory.

mod common;

use common::{noise, pipe, Scratch};
use gristmill_ingest::reader::{
    ChunkReader, ReadOutcome, ReadPath, ReadPathChoice, ReaderConfig, NO_OFFSET,
};
use gristmill_ingest::{why_copied, NativeReadPath};
use gristmill_ring::{ChunkBuf, ChunkMemory, ChunkPlan, HostVisible};
use gristmill_testing::Patience;
use std::alloc::Layout;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

const CHUNK: usize = 16 << 10;
const ADDRESS: &str = "0000:00:1f.7";

/// Host memory that claims to be a device's.
struct StandIn {
    base: NonNull<u8>,
    layout: Layout,
}

impl StandIn {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 4096).unwrap();
        assert!(bytes > 0);
        // SAFETY: the layout's size is not 0.
        let base = NonNull::new(unsafe { std::alloc::alloc_zeroed(layout) }).unwrap();
        StandIn { base, layout }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout.
        unsafe { std::alloc::dealloc(self.base.as_ptr(), self.layout) };
    }
}

// SAFETY: this is an address and a layout, and no method accesses the bytes.
unsafe impl Send for StandIn {}
// SAFETY: as above.
unsafe impl Sync for StandIn {}

// SAFETY: the allocation is readable, writable, zeroed, aligned to a page, nobody else's, and lives as long as the
// value.
unsafe impl HostVisible for StandIn {
    fn base(&self) -> NonNull<u8> {
        self.base
    }

    fn bytes(&self) -> usize {
        self.layout.size()
    }

    fn peer(&self) -> Option<&str> {
        Some(ADDRESS)
    }
}

fn chunks(count: u32) -> Vec<ChunkBuf> {
    let plan = ChunkPlan::new(count, CHUNK).unwrap();
    let memory = StandIn::new(plan.bytes());
    ChunkMemory::place(plan, Box::new(memory)).unwrap().1
}

/// A reader, if this machine supports it and can read files in `scratch` without a copy.
fn reader(scratch: &Scratch) -> Option<ChunkReader> {
    let path = scratch.0.join("probe");
    std::fs::write(&path, noise(8192)).unwrap();
    if let Some(why) = why_copied(&File::open(&path).unwrap(), 0, 8192) {
        gristmill_testing::skipped(format_args!("{}: {why}", path.display()));
        return None;
    }
    if let Err(error) = direct(&path) {
        gristmill_testing::skipped(format_args!("O_DIRECT on {}: {error}", path.display()));
        return None;
    }
    let config = ReaderConfig {
        depth: 4,
        path: ReadPathChoice::Only(ReadPath::PeerRead),
    };
    match ChunkReader::new(config) {
        Ok(reader) => Some(reader),
        Err(error) => {
            gristmill_testing::skipped(format_args!("io_uring: {error}"));
            None
        }
    }
}

fn direct(path: &Path) -> std::io::Result<Arc<OwnedFd>> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).custom_flags(libc::O_DIRECT).open(path);
    opened.map(|file| Arc::new(OwnedFd::from(file)))
}

fn next(reader: &mut ChunkReader) -> ReadOutcome {
    let mut patience = Patience::new();
    loop {
        if let Some(landed) = reader.poll() {
            return landed;
        }
        patience.check(&reader);
        reader.wait(Duration::from_secs(1)).unwrap();
    }
}

#[test]
fn files_of_every_size_land_to_their_end() {
    let scratch = Scratch::new();
    let Some(mut reader) = reader(&scratch) else {
        return;
    };
    assert_eq!(reader.path(), NativeReadPath::PeerRead);
    let (mut free, mut all) = (chunks(4), 0);
    let path = scratch.0.join("file");
    for size in [
        0,
        1,
        4095,
        4096,
        4097,
        CHUNK - 1,
        CHUNK,
        CHUNK + 1,
        5 * CHUNK + 100,
    ] {
        let content = noise(size);
        std::fs::write(&path, &content).unwrap();
        let file = direct(&path).unwrap();
        for (tag, offset) in (0..size + 2 * CHUNK).step_by(CHUNK).enumerate() {
            let chunk = free.pop().unwrap();
            // The chunk is not registered although this asks for it, and the read lands nevertheless.
            let submitted = reader.submit(&file, offset as u64, chunk, CHUNK, tag as u64, true);
            submitted.unwrap();
            let landed = next(&mut reader);
            let expected = &content[offset.min(size)..(offset + CHUNK).min(size)];
            assert_eq!((landed.tag, landed.error), (tag as u64, None), "{size}");
            assert_eq!(landed.bytes, expected.len(), "{size} at {offset}");
            assert_eq!(landed.end, landed.bytes < CHUNK, "{size} at {offset}");
            assert!(landed.buffer.as_slice()[..landed.bytes] == *expected);
            free.push(landed.buffer);
        }
        all += size as u64;
    }
    let stats = reader.stats();
    assert_eq!((stats.bytes(), stats.bytes_mapped), (all, all));
    assert_eq!(stats.unregistered_reason, None);
}

#[test]
fn a_part_is_read_in_whole_blocks_and_is_only_what_was_asked_for() {
    let scratch = Scratch::new();
    let Some(mut reader) = reader(&scratch) else {
        return;
    };
    let (mut free, content) = (chunks(1), noise(10_000));
    let path = scratch.0.join("file");
    std::fs::write(&path, &content).unwrap();
    let file = direct(&path).unwrap();
    for (offset, len, bytes, end) in [
        (0, 100, 100, false),
        (4096, 4097, 4097, false),
        (8192, 1808, 1808, true),
        (8192, 1807, 1807, false),
        (8192, 4000, 1808, true),
    ] {
        let chunk = free.pop().unwrap();
        reader
            .submit(&file, offset as u64, chunk, len, 0, false)
            .unwrap();
        let landed = next(&mut reader);
        assert_eq!(
            (landed.bytes, landed.end, landed.error),
            (bytes, end, None),
            "{offset} {len}"
        );
        assert!(landed.buffer.as_slice()[..bytes] == content[offset..offset + bytes]);
        free.push(landed.buffer);
    }
}

#[test]
fn many_reads_are_in_flight_and_holes_are_zeros() {
    let scratch = Scratch::new();
    let Some(mut reader) = reader(&scratch) else {
        return;
    };
    let path = scratch.0.join("file");
    let (data, at) = (noise(CHUNK), 2 * CHUNK);
    let written = File::create(&path).unwrap();
    written.write_all_at(&data, at as u64).unwrap();
    written.set_len(4 * CHUNK as u64).unwrap();
    let file = direct(&path).unwrap();
    for (tag, mut chunk) in (0..).zip(chunks(4)) {
        chunk.as_mut_slice().fill(0xee);
        let offset = tag * CHUNK as u64;
        reader
            .submit(&file, offset, chunk, CHUNK, tag, false)
            .unwrap();
    }
    assert_eq!(reader.inflight(), 4);
    let mut extra = chunks(1);
    let full = reader.submit(&file, 0, extra.pop().unwrap(), CHUNK, 9, false);
    assert!(full.is_err());
    for _ in 0..4 {
        let landed = next(&mut reader);
        assert_eq!((landed.bytes, landed.error), (CHUNK, None));
        let expected = if landed.tag == 2 {
            &data[..]
        } else {
            &[0; CHUNK]
        };
        assert!(landed.buffer.as_slice() == expected, "chunk {}", landed.tag);
    }
}

#[test]
fn what_a_disk_does_not_bring_there_alone_is_refused_and_the_chunk_comes_back() {
    let scratch = Scratch::new();
    let Some(mut reader) = reader(&scratch) else {
        return;
    };
    let mut free = chunks(1);
    let mut refuse = |file: &Arc<OwnedFd>, offset, len, reason: &str| {
        let chunk = free.pop().unwrap();
        let (chunk, error) = reader
            .submit(file, offset, chunk, len, 0, false)
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        free.push(chunk);
    };
    let cached = scratch.file("cached", &noise(8192));
    refuse(&cached, 0, 4096, "without O_DIRECT");
    let file = direct(&scratch.0.join("cached")).unwrap();
    refuse(&file, 512, 4096, "multiples of 4,096");
    let (stream, _writer) = pipe(0);
    refuse(&stream, NO_OFFSET, 4096, "stream");
    refuse(&stream, 0, 4096, "not a regular file");
    let (_, mut host) = ChunkMemory::map(1, CHUNK).unwrap();
    let (_, error) = reader
        .submit(&file, 0, host.pop().unwrap(), CHUNK, 0, false)
        .unwrap_err();
    assert!(error.to_string().contains("host memory"), "{error}");

    // A file system without a disk, which accepts O_DIRECT since Linux 6.6.
    let path = Path::new("/dev/shm").join(format!("gristmill-{}", std::process::id()));
    if let Err(error) = std::fs::write(&path, noise(4096)) {
        return gristmill_testing::skipped(format_args!("{}: {error}", path.display()));
    }
    let opened = direct(&path);
    std::fs::remove_file(&path).unwrap();
    match opened {
        Err(error) => {
            gristmill_testing::skipped(format_args!("O_DIRECT on {}: {error}", path.display()))
        }
        Ok(file) => {
            let chunk = free.pop().unwrap();
            let (_, error) = reader.submit(&file, 0, chunk, CHUNK, 0, false).unwrap_err();
            assert!(
                error.to_string().contains("not on a block device"),
                "{error}"
            );
        }
    }
    assert_eq!((reader.inflight(), reader.stats().reads), (0, 0));
}

#[test]
fn a_file_that_grows_behind_a_read_of_its_end_has_landed_as_it_was() {
    let scratch = Scratch::new();
    let Some(mut reader) = reader(&scratch) else {
        return;
    };
    // The file ends within a block, where a direct read cannot continue.
    let (before, path) = (noise(5000), scratch.0.join("grows"));
    std::fs::write(&path, &before).unwrap();
    let file = direct(&path).unwrap();
    let chunk = chunks(1).remove(0);
    assert!(reader.submit(&file, 0, chunk, CHUNK, 1, false).is_ok());
    reader.flush().unwrap();
    // The disk has answered by then, but the reader does not know it yet.
    std::thread::sleep(Duration::from_millis(100));
    let grown = OpenOptions::new().write(true).open(&path).unwrap();
    grown.write_all_at(&noise(5000), 5000).unwrap();
    grown.sync_all().unwrap();
    let landed = next(&mut reader);
    assert_eq!((landed.bytes, landed.end, landed.error), (5000, true, None));
    assert_eq!(landed.buffer.as_slice()[..5000], before);
}
