//! What is reported of each file.

/// What is reported of each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Report {
    /// Its matching lines; with [`all`](super::ScanJobBuilder::all), its occurrences.
    #[default]
    Lines,
    /// Each match, without the rest of its line.
    Matches,
    /// The number of its matching lines; with [`all`](super::ScanJobBuilder::all), of its occurrences. Nothing if there is
    /// none.
    Count,
    /// The number of its matches. Nothing if there is none.
    CountMatches,
    /// Its path, if something matches.
    Paths,
    /// Its path, if nothing matches: then something is found. A binary file whose search a NUL ended has no row, but
    /// counts as found, as in ripgrep.
    PathsWithout,
    /// Nothing. The run ends with the first match, unless totals are wanted.
    Quiet,
    /// Nothing. The run ends with the first file without a match, unless totals are wanted.
    QuietWithout,
}

impl Report {
    /// Whether a file gets one row at most.
    pub(super) fn is_summary(self) -> bool {
        !matches!(self, Report::Lines | Report::Matches)
    }

    /// Whether files without a match are what is looked for.
    pub(super) fn is_without(self) -> bool {
        matches!(self, Report::PathsWithout | Report::QuietWithout)
    }

    /// Whether nothing is reported but the run's answer.
    pub(super) fn is_quiet(self) -> bool {
        matches!(self, Report::Quiet | Report::QuietWithout)
    }
}
