//! Which lines are shown.

/// Which lines are shown beside those that are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shown {
    pub before: usize,
    pub after: usize,
    /// All lines are shown. Then the others are 0.
    pub all: bool,
}

impl Shown {
    /// Whether any are.
    pub fn is_any(self) -> bool {
        self.all || self.groups()
    }

    /// Whether lines come in groups.
    pub fn groups(self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// How many lines ripgrep keeps in its buffer before those that it has not searched, if it keeps any.
    pub fn kept(self) -> Option<usize> {
        self.groups().then_some(self.before)
    }
}
