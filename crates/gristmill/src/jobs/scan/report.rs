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
    /// Nothing. The run ends with the first match, unless totals are wanted.
    Quiet,
}

impl Report {
    /// Whether a file gets one row at most.
    pub(super) fn is_summary(self) -> bool {
        !matches!(self, Report::Lines | Report::Matches)
    }
}
