//! Which files are decoded on their way into chunks, and their decoders.

use crate::decode::{Decoding, TextDecoding};
use crate::error::FileErrorKind;
use crate::mill::ahead::Ahead;
use crate::mill::convert::{Converter, RawBytes};
use crate::mill::counters::count;
use crate::mill::kind::FileKind;
use crate::mill::piece::{Handle, Piece};
use crate::mill::run::Run;
use gristmill_ingest::object::Fetched;
use gristmill_ingest::ReadPath;
use gristmill_ring::lock;
use std::sync::{Arc, Mutex};

/// How a file must be decoded of which a read brought these first bytes.
pub(super) fn found_encoded(
    run: &Run,
    piece: &Piece,
    bytes: &[u8],
    more: bool,
) -> Option<Decoding> {
    let decode = &run.config.decode;
    let first = decode.text != TextDecoding::Bytes
        && piece.offset == 0
        && piece.file.converter.get().is_none();
    if !first || !lock(&piece.file.tail).is_empty() {
        return None;
    }
    let in_order = piece.file.kind() == FileKind::Stream;
    decode.of_beginning(bytes, more && in_order)
}

/// A decoder of a file, or why the read path has none. Of an object, `before` and `fetched` are what its first fetch
/// brought.
pub(super) fn converter(
    run: &Run,
    decoding: Decoding,
    handle: &Handle,
    kind: FileKind,
    before: Vec<u8>,
    fetched: Option<Fetched>,
) -> Result<Converter, FileErrorKind> {
    let config = &run.config;
    let status = Arc::clone(&run.status);
    let decoded = &run.counters.decoded.files;
    let file = match handle {
        Handle::File(file) => file,
        Handle::Object(object) => {
            count(decoded);
            let fetches = Arc::clone(&run.fetches);
            let offset = before.len() as u64;
            let ahead = Ahead::new(
                object.clone(),
                offset,
                fetched,
                fetches,
                Arc::clone(&status),
            );
            let from = RawBytes::Object(Arc::new(Mutex::new(ahead)));
            return Ok(Converter::new(decoding, from, before, status));
        }
    };
    let refuses = run.counters.refuses_other_ways(
        config.read_path,
        config.strict,
        "files that are decompressed or decoded are read by pread",
    );
    if refuses {
        let what = decoding.what();
        return Err(FileErrorKind::NotDecoded { what });
    }
    count(decoded);
    run.counters.add_path(ReadPath::PositionedRead);
    let from = RawBytes::File(Arc::clone(file), kind);
    Ok(Converter::new(decoding, from, before, status))
}
