use gristmill_ingest::reader::{
    ChunkReader, ReadOutcome, ReadPath, ReadPathChoice, ReaderConfig, CHANGED,
};
use gristmill_ring::{ChunkBuf, ChunkMemory};
use gristmill_vm_guest::disk::{file, word, Disk, Pretence, FILES};
use gristmill_vm_guest::in_guest;
use std::fs::{File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

pub const CHUNK: usize = 64 << 10;

pub fn reader(depth: u32) -> (ChunkReader, Vec<ChunkBuf>) {
    let path = ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough);
    let reader = ChunkReader::new(ReaderConfig { depth, path }).unwrap();
    let (_, chunks) = ChunkMemory::map(depth, CHUNK).unwrap();
    (reader, chunks)
}

pub fn open(name: &str) -> Arc<OwnedFd> {
    Arc::new(OwnedFd::from(File::open(file(name)).unwrap()))
}

pub fn next(reader: &mut ChunkReader) -> ReadOutcome {
    loop {
        if let Some(landed) = reader.poll() {
            return landed;
        }
        reader.wait(Duration::from_secs(10)).unwrap();
    }
}

#[test]
fn chunks_of_a_file_land_to_its_end() {
    if !in_guest("") {
        return;
    }
    let (mut reader, mut chunks) = reader(8);
    for (tag, (name, bytes)) in (1..).zip(FILES).take(2) {
        let (file, bytes) = (open(name), usize::try_from(bytes).unwrap());
        let mut read = 0;
        for offset in (0..bytes + 2 * CHUNK).step_by(CHUNK) {
            let chunk = chunks.pop().unwrap();
            reader
                .submit(&file, offset as u64, chunk, CHUNK, 7, true)
                .unwrap();
            let mut landed = next(&mut reader);
            assert_eq!((landed.tag, landed.error), (7, None));
            assert_eq!(
                landed.bytes,
                bytes.saturating_sub(offset).min(CHUNK),
                "{name} at {offset}"
            );
            assert_eq!(landed.end, landed.bytes < CHUNK);
            let words = landed.buffer.as_mut_slice()[..landed.bytes].chunks_exact(8);
            for (index, found) in (offset as u64 / 8..).zip(words) {
                assert_eq!(
                    found,
                    word(tag, index).to_le_bytes(),
                    "{name} at word {index}"
                );
            }
            read += landed.bytes;
            chunks.push(landed.buffer);
        }
        assert_eq!(read, bytes);
    }
    let stats = reader.stats();
    let blocks: u64 = FILES[..2]
        .iter()
        .map(|(_, bytes)| bytes.next_multiple_of(512))
        .sum();
    assert_eq!((stats.bytes(), stats.bytes_passthrough), (blocks, blocks));
}

#[test]
fn a_file_that_changes_while_it_is_read_lands_with_that_error_and_no_byte() {
    if !in_guest("") {
        return;
    }
    let path = file("changed-while-read");
    std::fs::copy(file("one-extent"), &path).unwrap();
    let writer = OpenOptions::new().write(true).open(&path).unwrap();
    writer.sync_all().unwrap();
    let (mut reader, mut chunks) = reader(8);
    let opened = open("changed-while-read");
    let chunk = chunks.pop().unwrap();
    reader.submit(&opened, 0, chunk, CHUNK, 0, false).unwrap();
    writer.write_all_at(b"other bytes", 100_000).unwrap();
    let landed = next(&mut reader);
    assert_eq!(
        (landed.bytes, landed.end, landed.error),
        (0, false, Some(CHANGED))
    );
    assert!(landed.reason().unwrap().contains("changed"));
    // The reader also reads behind the file's former end.
    writer.set_len(2 << 20).unwrap();
    reader
        .submit(
            &opened,
            (1 << 20) + CHUNK as u64,
            landed.buffer,
            CHUNK,
            0,
            false,
        )
        .unwrap();
    assert_eq!(next(&mut reader).error, Some(CHANGED));
}

#[test]
fn what_commands_cannot_read_is_refused_when_it_is_submitted_and_the_chunk_comes_back() {
    if !in_guest("") {
        return;
    }
    let (mut reader, mut chunks) = reader(8);
    let mut refuse = |file: &Arc<OwnedFd>, offset, reason: &str| {
        let chunk = chunks.pop().unwrap();
        let (chunk, error) = reader
            .submit(file, offset, chunk, 4096, 0, false)
            .unwrap_err();
        assert!(error.to_string().contains(reason), "{reason}: {error}");
        chunks.push(chunk);
    };
    for (name, reason) in [
        ("hole", "hole"),
        ("unwritten", "unwritten"),
        ("inline", "inline"),
    ] {
        refuse(&open(name), 0, reason);
    }
    let one = open("one-extent");
    refuse(&one, 100, "does not begin a block");
    refuse(&one, gristmill_ingest::reader::NO_OFFSET, "stream");
    assert_eq!((reader.inflight(), reader.stats().bytes()), (0, 0));
}

#[test]
fn blocks_that_the_disk_has_not_got_fail_one_read_with_the_disks_words() {
    if !in_guest("") {
        return;
    }
    let (one, many) = (open("one-extent"), open("many-extents"));
    let namespace = Disk::find("files").namespace(1);
    let disk = namespace.block_path.file_name().unwrap().to_str().unwrap();
    let block = namespace.queue.parent().unwrap();
    // Sysfs says that the disk is larger, and then that its partition begins behind the disk's end.
    let _size = Pretence::new(&block.join("size"), "1000000\n");
    let (mut reader, mut chunks) = reader(8);
    let read = |reader: &mut ChunkReader, chunks: &mut Vec<ChunkBuf>, file| {
        let chunk = chunks.pop().unwrap();
        reader.submit(file, 0, chunk, 4096, 0, false).unwrap();
        let landed = next(reader);
        (landed.bytes, landed.reason())
    };
    assert_eq!(read(&mut reader, &mut chunks, &one), (4096, None));
    let start = block.join(format!("{disk}p1/start"));
    let moved = Pretence::new(&start, "500000\n");
    let (bytes, reason) = read(&mut reader, &mut chunks, &many);
    let words = "the disk: LBA out of range (NVMe status 0x4080";
    assert!(bytes == 0 && reason.unwrap().starts_with(words));
    assert_eq!(read(&mut reader, &mut chunks, &one), (4096, None));
    drop(moved);
}
