use super::switch::{next, open, reader, CHUNK};
use crate::media_error::SHAPE;
use gristmill_ingest::reader::{ReadPath, ReadPathChoice};
use gristmill_ingest::{IoSource, IoTables, MegakernelIoLoop};
use gristmill_protocol::io::{io_op, IoRequest};
use gristmill_ring::{live_ring, ChunkMemory, RingConfig};
use gristmill_testing::Patience;
use gristmill_vm_guest::disk::{file, word, BAD_BYTE};
use gristmill_vm_guest::in_guest;
use std::fs::File;

#[test]
fn only_the_chunk_that_touches_the_sector_fails_and_says_why() {
    if !in_guest(SHAPE) {
        return;
    }
    let (mut reader, chunks) = reader(16);
    let file = open("one-extent");
    for (tag, chunk) in (0..).zip(chunks) {
        let offset = tag * CHUNK as u64;
        reader
            .submit(&file, offset, chunk, CHUNK, tag, true)
            .unwrap();
    }
    let mut failed = Vec::new();
    for _ in 0..16 {
        let mut landed = next(&mut reader);
        if let Some(reason) = landed.reason() {
            failed.push((landed.tag, landed.bytes, reason));
            continue;
        }
        assert_eq!(landed.bytes, CHUNK);
        let first = landed.tag * CHUNK as u64 / 8;
        for (index, found) in (first..).zip(landed.buffer.as_mut_slice().chunks_exact(8)) {
            assert_eq!(found, word(1, index).to_le_bytes(), "word {index}");
        }
    }
    let words = "the disk: unrecovered read error (NVMe status 0x0281)";
    assert_eq!(failed, [(BAD_BYTE / CHUNK as u64, 0, words.to_owned())]);
}

#[test]
fn a_device_that_asks_for_it_is_told_an_error_number() {
    if !in_guest(SHAPE) {
        return;
    }
    let config = RingConfig {
        io_slots: 1,
        ..RingConfig::default()
    };
    let (submitter, _completions, device) = live_ring(config).unwrap();
    let (memory, mut chunks) = ChunkMemory::map(1, CHUNK).unwrap();
    let mut tables = IoTables::new();
    for name in ["one-extent", "hole"] {
        tables.add_source(IoSource {
            file: File::open(file(name)).unwrap(),
            len: 1 << 20,
            tenants: vec![0],
            writable: false,
        });
    }
    tables.add_destination(chunks.remove(0), vec![0]);
    let (queue, path) = (
        submitter.take_io_queue().unwrap(),
        ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough),
    );
    let served = MegakernelIoLoop::start(queue, tables, path).unwrap();
    let ask = |source, offset| {
        let request = IoRequest {
            op_type: io_op::READ,
            src_handle: source,
            offset,
            byte_count: 4096,
            ..IoRequest::default()
        };
        let pending = device.ask(&request).unwrap();
        let mut patience = Patience::new();
        while pending.outcome().is_none() {
            patience.check(());
            std::thread::yield_now();
        }
        pending.outcome().unwrap()
    };
    let number = |errno: i32| Err(errno.unsigned_abs());
    assert_eq!(ask(0, 0), Ok(4096));
    assert_eq!(ask(0, BAD_BYTE), number(libc::EIO));
    assert_eq!(ask(1, 0), number(libc::EOPNOTSUPP));
    assert_eq!(
        ask(0, 100),
        number(libc::EOPNOTSUPP),
        "no block begins there"
    );
    assert_eq!(ask(0, BAD_BYTE + 4096), Ok(4096));
    let landed = memory.borrow_chunk(0).unwrap();
    assert_eq!(landed[..8], word(1, BAD_BYTE / 8 + 512).to_le_bytes());
    drop(landed);
    assert_eq!(served.stop().unwrap().stats.reader.bytes_passthrough, 8192);
}
