//! How rows of findings look.

/// What rows show, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Style {
    /// Whether secrets are shown whole.
    pub show_secrets: bool,
    /// Whether text has colours.
    pub color: bool,
    /// Whether paths in text end with a NUL, and are written as they are.
    pub null: bool,
}
