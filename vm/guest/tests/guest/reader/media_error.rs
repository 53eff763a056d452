use super::switch::{next, open, reader, CHUNK};
use crate::media_error::SHAPE;
use gristmill_vm_guest::disk::{word, BAD_BYTE};
use gristmill_vm_guest::in_guest;

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
