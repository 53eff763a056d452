//! Compressed formats, by the ends of file names.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A compressed format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// gzip, RFC 1952.
    Gzip,
    /// bzip2.
    Bzip2,
    /// The xz format.
    Xz,
    /// The format that preceded xz, also called LZMA alone.
    Lzma,
    /// LZ4 frames, and those of its legacy format.
    Lz4,
    /// Zstandard, RFC 8878.
    Zstd,
    /// Brotli, RFC 7932.
    Brotli,
}

/// The ends of names, which are ripgrep's, in their case.
const ENDS: [(&str, Format); 11] = [
    (".gz", Format::Gzip),
    (".tgz", Format::Gzip),
    (".bz2", Format::Bzip2),
    (".tbz2", Format::Bzip2),
    (".xz", Format::Xz),
    (".txz", Format::Xz),
    (".lzma", Format::Lzma),
    (".lz4", Format::Lz4),
    (".zst", Format::Zstd),
    (".zstd", Format::Zstd),
    (".br", Format::Brotli),
];

impl Format {
    /// The format of a file with this path, by the end of its name: `.gz` and `.tgz`, `.bz2` and `.tbz2`, `.xz` and
    /// `.txz`, `.lzma`, `.lz4`, `.zst` and `.zstd`, `.br`.
    pub fn of(path: &Path) -> Option<Self> {
        let bytes = path.as_os_str().as_bytes();
        let found = ENDS
            .iter()
            .find(|(end, _)| bytes.ends_with(end.as_bytes()))?;
        Some(found.1)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Gzip => "gzip",
            Format::Bzip2 => "bzip2",
            Format::Xz => "xz",
            Format::Lzma => "lzma",
            Format::Lz4 => "lz4",
            Format::Zstd => "zstd",
            Format::Brotli => "brotli",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_the_format() {
        let of = |path: &str| Format::of(Path::new(path));
        assert_eq!(of("a/b.tar.gz"), Some(Format::Gzip));
        assert_eq!(of("a/.zst"), Some(Format::Zstd));
        for other in ["a.GZ", "a.gz/b", "gz", "a.Z", "a.zip"] {
            assert_eq!(of(other), None, "{other}");
        }
    }
}
