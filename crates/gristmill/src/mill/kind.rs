//! How files are read.

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    /// By position: several readers may cut it into chunks.
    Positioned,
    /// In order, one read at a time: a pipe, a terminal.
    Stream,
}
