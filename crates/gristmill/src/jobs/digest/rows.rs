//! How digests and the results of checks are written.

use super::algorithm::{Algorithm, Digest};
use crate::jobs::names;
use gristmill_rows::{Field, Kind, RowWriter, Schema};
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
    /// Rows of a table, as [`RowWriter`] writes them: its columns are [`digest_schema`]'s, or for a check
    /// [`check_schema`]'s.
    Table,
}

/// The columns of a table of digests. Digests are hexadecimal digits, as all lists of digests have them.
#[must_use]
pub fn digest_schema() -> Schema {
    Schema::new(
        "digest",
        1,
        "A file's digest by one algorithm: `digest`.",
        [
            path(),
            algorithm(),
            Field::new(
                "digest",
                Kind::Text,
                "The digest, in lower-case hexadecimal digits.",
            )
            .distinct(),
            Field::new("bytes", Kind::U64, "The length of the file.").unit("bytes"),
        ],
    )
}

/// The columns of a table of listed files.
#[must_use]
pub fn check_schema() -> Schema {
    let digits = |name, about| Field::new(name, Kind::Text, about).distinct();
    Schema::new(
        "check",
        1,
        "A file of a list, compared with the digest there: `digest --check`.",
        [
            path(),
            algorithm(),
            digits(
                "digest",
                "The file's digest, in hexadecimal digits; none if it could not be read.",
            )
            .nullable(),
            digits("expected", "The list's digest, in hexadecimal digits."),
            Field::new("ok", Kind::Bool, "Whether the two are the same."),
        ],
    )
}

fn path() -> Field {
    Field::new("path", Kind::Path, "The file; `-` is standard input.")
}

fn algorithm() -> Field {
    Field::new(
        "algorithm",
        Kind::Text,
        "How the digest was made: `blake3`, `sha256`, `sha1`, `md5`, `xxh3-128`, `xxh3-64` or `crc32c`.",
    )
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
    if rows == DigestRows::Table {
        let row = RowWriter::row(out).bytes(path.as_os_str().as_encoded_bytes());
        let row = row.bytes(algorithm.name().as_bytes());
        return row.bytes(digest.to_string().as_bytes()).u64(bytes).end();
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
    if rows == DigestRows::Table {
        let row = RowWriter::row(out).bytes(path.as_os_str().as_encoded_bytes());
        let row = row.bytes(algorithm.name().as_bytes());
        let row = match found {
            Some(found) => row.bytes(found.to_string().as_bytes()),
            None => row.null(),
        };
        return row.bytes(expected.to_string().as_bytes()).bool(same).end();
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
