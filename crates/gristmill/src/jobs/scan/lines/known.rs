//! What a file knows of its lines, where those around the ones that are looked for are shown, too.

use crate::jobs::scan::kept::Kept;
use crate::jobs::scan::plan::Plan;
use crate::jobs::scan::shown::Shown;

/// What is known of the lines so far.
#[derive(Debug, Default)]
pub(super) struct Around {
    pub shown: Shown,
    /// Whether ripgrep would look at each line by itself. Then it takes no line for a match after the limit.
    pub by_line: bool,
    /// Lines that were looked for and found.
    pub found: u64,
    /// How many more lines are shown after the last one that was found.
    pub left: usize,
    /// End of the last line that was shown.
    pub upto: u64,
    /// End of the last line that was shown and has been certain.
    pub certain: u64,
    /// Whether any was shown.
    pub any: bool,
    /// End of the last line that was looked for, found, shown and certain.
    pub matched: u64,
    /// Start and end of the last line that was looked at: nothing after it is shown.
    pub stopped: Option<(u64, u64)>,
    pub kept: Kept,
    /// Where the current chunk's lines begin that lie wholly in it.
    pub from: usize,
}

impl Around {
    pub fn new(plan: &Plan) -> Self {
        let by_line = || {
            let matcher = plan.matcher().line_matcher();
            matcher.is_some_and(|regex| regex.is_by_line())
        };
        Self {
            shown: plan.shown,
            by_line: plan.shown.all || by_line(),
            ..Self::default()
        }
    }

    pub fn at_limit(&self, plan: &Plan) -> bool {
        plan.limit.is_some_and(|limit| self.found >= limit)
    }

    /// Whether a line without a match, if nothing looks for such, need not be looked at.
    pub fn passes(&self, plan: &Plan) -> bool {
        !plan.invert && self.left == 0 && !self.shown.all && !self.at_limit(plan)
    }
}
