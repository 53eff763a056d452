//! The promise that the fuzz target `log` checks, as a function of bytes. It runs under libFuzzer, and also without it
//! in `crates/megakernel/tests/log.rs`.

use gristmill_megakernel::log::{RingLog, RingLogReader, MAGIC};

/// The size of the head in bytes, before the first record.
const HEAD_BYTES: usize = MAGIC.len() + 4;

/// If bytes can be read as a whole log, writing that log gives the same bytes; nothing panics. The bytes are tried as
/// they are, and with their checksums corrected.
pub fn log(input: &[u8]) {
    canonical(input);
    canonical(&with_checksums(input));
}

fn canonical(bytes: &[u8]) {
    let Ok(mut reader) = RingLogReader::new(bytes) else {
        return;
    };
    let mut again =
        RingLog::new(Vec::new(), reader.about().clone()).expect("what was read can be written");
    loop {
        match reader.next_slot() {
            Ok(Some(slot)) => again.slot(&slot).expect("what was read can be written"),
            Ok(None) => break,
            Err(_) => return,
        }
    }
    let again = again.finish().expect("writing to memory does not fail");
    assert!(again == bytes, "a log has one encoding");
}

/// The offsets at which the records of a log begin, and the one at which the last whole record ends.
pub fn records(bytes: &[u8]) -> Vec<usize> {
    let mut bounds = vec![HEAD_BYTES];
    let mut at = HEAD_BYTES;
    while let Some(len) = bytes.get(at + 4..at + 8) {
        let len = u32::from_le_bytes(len.try_into().expect("four bytes")) as usize;
        if bytes.len() - at < 12 + len {
            break;
        }
        at += 12 + len;
        bounds.push(at);
    }
    bounds
}

/// The bytes, with the checksum of each record replaced by the correct one.
pub fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let Some(head) = bytes.get(..HEAD_BYTES) else {
        return bytes;
    };
    let mut crc = crc32c(u32::MAX, head);
    for bounds in records(&bytes).windows(2) {
        let checksum = bounds[1] - 4;
        crc = crc32c(crc, &bytes[bounds[0]..checksum]);
        bytes[checksum..bounds[1]].copy_from_slice(&(!crc).to_le_bytes());
    }
    bytes
}

/// CRC-32C (RFC 3720), computed bit by bit and without the final inversion: reflected polynomial 0x82F63B78.
fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0x82F6_3B78 }
        })
    })
}
