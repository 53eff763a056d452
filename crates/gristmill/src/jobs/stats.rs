//! Bytes, lines, byte histogram and entropy of files: the device counts the bytes of each chunk by value.

use super::names;
use super::{FileEnd, Flow, Job, LandedChunk};
use crate::source::{Entry, FileFacts};
use gristmill_megakernel::StreamJob;
use gristmill_protocol::{opcode, stream};
use gristmill_ring::lock;
use gristmill_rows::{Field, Kind, RowWriter, Schema};
use serde_json::{json, Value};
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, Mutex};

/// How often each byte value occurs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; 256]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([0; 256]),
        }
    }
}

impl Histogram {
    /// The counts, by byte value.
    pub fn counts(&self) -> &[u64; 256] {
        &self.counts
    }

    /// The number of all bytes.
    pub fn bytes(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The number of newlines, as `wc -l` counts them.
    pub fn lines(&self) -> u64 {
        self.counts[usize::from(b'\n')]
    }

    /// Shannon's entropy of the byte values, in bits for each byte: 0 to 8.
    pub fn entropy(&self) -> f64 {
        let total = self.bytes() as f64;
        let sum: f64 = self
            .counts
            .iter()
            .filter(|count| **count > 0)
            .map(|count| {
                let share = *count as f64 / total;
                -share * share.log2()
            })
            .sum();
        // The sum is minus zero if there is no byte or only one distinct value, and `max` may keep the sign.
        sum.max(0.0) + 0.0
    }

    fn add(&mut self, other: &Histogram) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts.iter()) {
            *sum += count;
        }
    }

    fn json(&self) -> Value {
        json!({
            "bytes": self.bytes(),
            "lines": self.lines(),
            "entropy": self.entropy(),
            "histogram": self.counts.to_vec(),
        })
    }
}

/// What is written for each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StatsRows {
    /// Bytes, lines, entropy in bits for each byte, and path, in columns, whose names are [`HEADER`].
    #[default]
    Text,
    /// A JSON object: `type` (`file`), `path`, `bytes`, `lines`, `entropy`, `histogram`.
    Json,
    /// Rows of a table, as [`RowWriter`] writes them: its columns are [`stats_schema`]'s. The total is no row.
    Table,
    /// Nothing.
    None,
}

/// The columns of a table of files.
#[must_use]
pub fn stats_schema() -> Schema {
    Schema::new(
        "stats",
        1,
        "A file that was read to its end: `stats`.",
        [
            Field::new("path", Kind::Path, "The file."),
            Field::new("bytes", Kind::U64, "Its length.").unit("bytes"),
            Field::new("lines", Kind::U64, "Its newlines.").unit("lines"),
            Field::new(
                "entropy",
                Kind::F64,
                "Shannon's entropy of its bytes, from 0 to 8.",
            )
            .unit("bits per byte"),
            Field::new(
                "histogram",
                Kind::U64s,
                "How often each byte value occurs, from 0 to 255: 256 numbers.",
            )
            .unit("bytes"),
        ],
    )
}

#[derive(Debug, Default)]
struct Sum {
    files: u64,
    histogram: Histogram,
}

/// Summarises files, one by one and together.
#[derive(Debug, Default)]
pub struct StatsJob {
    rows: StatsRows,
    sum: Mutex<Sum>,
}

impl StatsJob {
    /// A job that writes rows in this format.
    pub fn new(rows: StatsRows) -> Self {
        Self {
            rows,
            sum: Mutex::default(),
        }
    }

    /// The number of files that were read to their end, and their histogram.
    pub fn total(&self) -> (u64, Histogram) {
        let sum = lock(&self.sum);
        (sum.files, sum.histogram.clone())
    }

    /// The row of the total.
    pub fn total_row(&self) -> Vec<u8> {
        let (files, histogram) = self.total();
        if self.rows == StatsRows::Json {
            let mut row = histogram.json();
            row["files"] = json!(files);
            return format!("{}\n", json!({ "type": "total", "total": row })).into_bytes();
        }
        columns(&histogram, format!("total of {files} files").as_bytes())
    }
}

/// The names and units of the columns of text rows.
pub const HEADER: &[u8] = b"          bytes        lines bits/byte  path\n";

/// A row of columns: bytes, lines, entropy, name.
fn columns(histogram: &Histogram, name: &[u8]) -> Vec<u8> {
    let mut row = format!(
        "{:>15} {:>12} {:>9.4}  ",
        histogram.bytes(),
        histogram.lines(),
        histogram.entropy()
    )
    .into_bytes();
    row.extend(name);
    row.push(b'\n');
    row
}

impl Job for StatsJob {
    type File = (Arc<Entry>, Histogram);

    fn stream_job(&self) -> Option<StreamJob> {
        Some(StreamJob::Histogram)
    }

    fn opcode(&self) -> u32 {
        opcode::HISTOGRAM
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> Self::File {
        (Arc::clone(entry), Histogram::default())
    }

    fn chunk(&self, file: &mut Self::File, chunk: &LandedChunk<'_>, _rows: &mut Vec<u8>) -> Flow {
        debug_assert_eq!(chunk.records.len(), stream::HISTOGRAM_RECORDS);
        for (value, count) in file.1.counts.iter_mut().enumerate() {
            *count += u64::from(chunk.records.word(value));
        }
        Flow::Continue
    }

    fn close(&self, file: Self::File, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        let (entry, histogram) = file;
        if !matches!(end, FileEnd::Complete { .. }) {
            return Flow::Continue;
        }
        match self.rows {
            StatsRows::Text => {
                // No mark is needed: a name with a backslash is always escaped.
                let (_, name) = names::escaped(&entry.path);
                rows.extend(columns(&histogram, &name));
            }
            StatsRows::Json => {
                let mut row = histogram.json();
                row["type"] = json!("file");
                row["path"] = names::json(&entry.path);
                rows.extend(format!("{row}\n").as_bytes());
            }
            StatsRows::Table => RowWriter::row(rows)
                .bytes(entry.path.as_os_str().as_bytes())
                .u64(histogram.bytes())
                .u64(histogram.lines())
                .f64(histogram.entropy())
                .u64s(histogram.counts.iter().copied())
                .end(),
            StatsRows::None => {}
        }
        let mut sum = lock(&self.sum);
        sum.files += 1;
        sum.histogram.add(&histogram);
        Flow::Continue
    }
}
