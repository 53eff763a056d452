//! Manifests that tests make.

use gristmill::jobs::digest::{Algorithm, Algorithms, Chunking};
use gristmill::manifest::{Gather, Head, Manifest, ManifestError, ManifestFormat, ManifestWriter};
use gristmill::rows::RowWriter;
use std::io::Write;
use std::path::PathBuf;

/// The formats that this was built with.
pub const FORMATS: &[ManifestFormat] = &[
    ManifestFormat::Jsonl,
    ManifestFormat::Csv,
    #[cfg(feature = "arrow")]
    ManifestFormat::Arrow,
    #[cfg(feature = "arrow")]
    ManifestFormat::Parquet,
];

/// A file of a tree that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub path: Vec<u8>,
    /// Its content stands for itself; none of a file that could not be read.
    pub content: Option<Vec<u8>>,
    pub modified_ns: Option<i64>,
    pub changed: bool,
    pub id: Option<(u64, u64)>,
}

impl Made {
    pub fn new(path: impl Into<Vec<u8>>, content: impl Into<Vec<u8>>, modified_ns: i64) -> Self {
        Self {
            path: path.into(),
            content: Some(content.into()),
            modified_ns: Some(modified_ns),
            changed: false,
            id: None,
        }
    }

    pub fn unread(path: impl Into<Vec<u8>>) -> Self {
        Self {
            content: None,
            modified_ns: None,
            ..Self::new(path, "", 0)
        }
    }
}

pub fn head(chunks: Option<Chunking>, roots: &[&str]) -> Head {
    let algorithms: Algorithms = [Algorithm::Blake3, Algorithm::Xxh3_64]
        .into_iter()
        .collect();
    Head::new(algorithms, chunks, roots.iter().map(PathBuf::from))
}

/// The rows of files, as a run makes them.
pub fn rows(head: &Head, files: &[Made]) -> Vec<u8> {
    let mut rows = Vec::new();
    for file in files {
        let mut row = RowWriter::row(&mut rows).bytes(&file.path);
        row = match &file.content {
            Some(content) => row.u64(content.len() as u64),
            None => row.null(),
        };
        row = match file.modified_ns {
            Some(modified) => row.i64(modified),
            None => row.null(),
        };
        row = row.bool(file.changed);
        row = match &file.content {
            Some(content) => {
                let short = crc32c::crc32c(content);
                row.bytes(blake3::hash(content).to_hex().as_bytes())
                    .bytes(format!("{short:016x}").as_bytes())
            }
            None => row.null().null(),
        };
        if head.has_chunks {
            row = match &file.content {
                None => row.null().null().null(),
                Some(content) => {
                    let halves = content.chunks((content.len() / 2).max(1));
                    let lengths: Vec<u64> = halves.clone().map(|half| half.len() as u64).collect();
                    let mut end = 0;
                    let offsets: Vec<u64> = (lengths.iter())
                        .map(|length| {
                            end += length;
                            end - length
                        })
                        .collect();
                    let hashes: Vec<String> = halves
                        .map(|half| blake3::hash(half).to_hex().to_string())
                        .collect();
                    row.u64s(offsets.into_iter())
                        .u64s(lengths.into_iter())
                        .texts(hashes.iter().map(String::as_bytes))
                }
            };
        }
        row = match file.id {
            Some((device, inode)) => row.u64(device).u64(inode),
            None => row.null().null(),
        };
        match &file.content {
            Some(_) => row.null(),
            None => row.bytes("it is, \"gone\"\n".as_bytes()),
        }
        .end();
    }
    rows
}

/// A manifest of these files as the bytes of a file.
pub fn written(format: ManifestFormat, head: &Head, files: &[Made]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = ManifestWriter::new(format, head, &mut bytes).unwrap();
    for piece in rows(head, files).chunks(700) {
        writer.write_all(piece).unwrap();
    }
    writer.finish(true).unwrap();
    bytes
}

/// A manifest of these files.
pub fn gathered(head: &Head, files: &[Made]) -> Manifest {
    let mut gather = Gather::new(head.clone()).sharing(true);
    gather.write_all(&rows(head, files)).unwrap();
    gather.finish().unwrap()
}

/// Reads bytes as a manifest.
pub fn read(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    Manifest::open(file.path(), true)
}

/// All that a manifest says of its files.
pub fn told(manifest: &Manifest) -> Vec<String> {
    let files = (0..manifest.len()).map(|number| {
        let digests = manifest.digests(number);
        format!("{:?} {digests:?}", manifest.file(number))
    });
    files.collect()
}
