//! What a set of patterns is prepared for.

/// The kind of request for which a set is prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScanMode {
    /// Find the lines that match: for `MODE_ANY`, `MODE_COUNT_LINES` and `MODE_LINES`.
    Lines,
    /// Find every occurrence, including overlapping ones: for `MODE_ALL`.
    All,
}
