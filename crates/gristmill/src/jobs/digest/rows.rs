//! How digests and the results of checks are written.

use super::algorithm::{Algorithm, Digest};
use crate::jobs::names;
use serde_json::json;
use std::path::Path;

/// How rows show digests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestRows {
    /// `DIGEST  PATH`, as coreutils' tools, b3sum and xxhsum write theirs; but XXH3 with 64 bits as
    /// [`Tagged`](Self::Tagged), as plain rows of its length mean XXH64. Where the path holds a newline, a carriage
    /// return or a backslash, they are escaped and the row begins with a backslash.
    #[default]
    Text,
    /// `ALGORITHM (PATH) = DIGEST`, as the same tools write it with `--tag`; paths are escaped likewise.
    Tagged,
    /// As [`Text`](Self::Text), but a row ends with a NUL, and no path is escaped.
    TextZero,
    /// As [`Tagged`](Self::Tagged), but a row ends with a NUL, and no path is escaped.
    TaggedZero,
    /// One JSON object per line: `type` (`digest`, or `check` for a check), `path`, `algorithm`, `digest`, and `bytes`
    /// (or, for a check, `expected` and `ok`).
    Json,
}

impl DigestRows {
    fn is_zero(self) -> bool {
        matches!(self, Self::TextZero | Self::TaggedZero)
    }

    /// Appends the backslash that says that the path is escaped, if it is. Returns the path as rows show it.
    fn begin(self, path: &Path, out: &mut Vec<u8>) -> Vec<u8> {
        if self.is_zero() {
            return path.as_os_str().as_encoded_bytes().to_vec();
        }
        let (marked, path) = names::escaped(path);
        if marked {
            out.push(b'\\');
        }
        path
    }

    fn end(self, out: &mut Vec<u8>) {
        out.push(if self.is_zero() { 0 } else { b'\n' });
    }
}

/// Appends the row of a file's digest. `bytes` is the file's length.
pub fn write_row(
    rows: DigestRows,
    path: &Path,
    algorithm: Algorithm,
    digest: &Digest,
    bytes: u64,
    out: &mut Vec<u8>,
) {
    if rows == DigestRows::Json {
        let row = json!({
            "type": "digest",
            "path": names::json(path),
            "algorithm": algorithm.name(),
            "digest": digest.to_string(),
            "bytes": bytes,
        });
        out.extend(row.to_string().as_bytes());
        return rows.end(out);
    }
    let path = rows.begin(path, out);
    let tagged = matches!(rows, DigestRows::Tagged | DigestRows::TaggedZero);
    if tagged || algorithm == Algorithm::Xxh3_64 {
        out.extend(algorithm.tag().as_bytes());
        out.extend(b" (");
        out.extend(path);
        out.extend(b") = ");
        digest.append_to(out);
    } else {
        digest.append_to(out);
        out.extend(b"  ");
        out.extend(path);
    }
    rows.end(out);
}

/// Appends the row of a listed file; `found` is its digest, if it could be read.
pub fn write_check(
    rows: DigestRows,
    path: &Path,
    algorithm: Algorithm,
    found: Option<&Digest>,
    expected: &Digest,
    out: &mut Vec<u8>,
) {
    let same = found == Some(expected);
    if rows == DigestRows::Json {
        let row = json!({
            "type": "check",
            "path": names::json(path),
            "algorithm": algorithm.name(),
            "digest": found.map(Digest::to_string),
            "expected": expected.to_string(),
            "ok": same,
        });
        out.extend(row.to_string().as_bytes());
        return rows.end(out);
    }
    // b3sum escapes here what it escapes in lists; coreutils' tools do so only where the row would be broken.
    if algorithm == Algorithm::Blake3 || path.as_os_str().as_encoded_bytes().contains(&b'\n') {
        let path = rows.begin(path, out);
        out.extend(path);
    } else {
        out.extend(path.as_os_str().as_encoded_bytes());
    }
    out.extend(match found {
        Some(_) if same => &b": OK"[..],
        Some(_) => b": FAILED",
        None => b": FAILED open or read",
    });
    rows.end(out);
}
