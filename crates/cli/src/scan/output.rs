//! Which lines are looked for, and how they are counted and shown.

use gristmill::jobs::scan::ScanJobBuilder;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

/// Flags about the lines that are looked for, and about rows.
#[derive(Debug, Clone, clap::Args)]
pub struct OutputArgs {
    /// Search for the lines without a match.
    #[arg(short = 'v', long, overrides_with = "no_invert_match")]
    pub invert_match: bool,

    /// Search for the lines with a match. This is the default.
    #[arg(long, hide = true, overrides_with = "invert_match")]
    no_invert_match: bool,

    /// Print the number of matches of each file that has any; with -v, the number of lines without a match.
    #[arg(
        long,
        overrides_with_all = ["count", "files_with_matches", "files_without_match", "json"]
    )]
    pub count_matches: bool,

    /// Print only the paths of files without a match. The exit code says whether there is such a file.
    #[arg(long, overrides_with_all = ["count", "count_matches", "files_with_matches", "json"])]
    pub files_without_match: bool,

    /// Also print counts of 0, with -c and --count-matches.
    #[arg(long, overrides_with = "no_include_zero")]
    include_zero: bool,

    /// Print no counts of 0. This is the default.
    #[arg(long, hide = true, overrides_with = "include_zero")]
    no_include_zero: bool,

    /// Show the byte at which the first match of a line begins, from 1; with -o, each match. Implies -n.
    #[arg(long, overrides_with = "no_column")]
    column: bool,

    /// Show no columns, even with --vimgrep.
    #[arg(long, hide = true, overrides_with = "column")]
    no_column: bool,

    /// Show a line once for each of its matches, with path, line number and column: `path:line:column:text`.
    #[arg(long)]
    pub vimgrep: bool,

    /// For lines longer than NUM bytes, show only that they match; 0 is no limit.
    #[arg(short = 'M', long, value_name = "NUM")]
    max_columns: Option<u64>,

    /// For lines longer than -M allows, show the first NUM characters.
    #[arg(long, overrides_with = "no_max_columns_preview")]
    max_columns_preview: bool,

    /// For lines longer than -M allows, show no text. This is the default.
    #[arg(long, hide = true, overrides_with = "max_columns_preview")]
    no_max_columns_preview: bool,

    /// Show TEXT in place of each match.
    ///
    /// `$1` and `$name` in TEXT stand for groups of a regex, `$0` for the match and `$$` for a dollar sign; `${1}` ends a
    /// name that letters or digits follow. The lines that are searched are not changed.
    #[arg(short = 'r', long, value_name = "TEXT", allow_hyphen_values = true)]
    replace: Option<OsString>,

    /// Strip ASCII white space from the beginning of lines.
    #[arg(long, overrides_with = "no_trim")]
    trim: bool,

    /// Keep white space at the beginning of lines. This is the default.
    #[arg(long, hide = true, overrides_with = "trim")]
    no_trim: bool,
}

impl OutputArgs {
    /// Whether matches are counted, rather than lines.
    pub fn counts_matches(&self) -> bool {
        self.count_matches && !self.invert_match
    }

    /// Whether line numbers are shown because of these flags.
    pub fn numbers(&self) -> bool {
        self.column || self.vimgrep
    }

    /// Whether something is shown in the place of matches.
    pub fn replaces(&self) -> bool {
        self.replace.is_some()
    }

    /// Adds the flags to a job.
    pub fn apply(&self, job: ScanJobBuilder) -> ScanJobBuilder {
        job.invert(self.invert_match)
            .include_zero(self.include_zero)
            .columns((self.column || self.vimgrep) && !self.no_column)
            .each_match(self.vimgrep)
            .max_columns(self.max_columns.filter(|&most| most > 0))
            .max_columns_preview(self.max_columns_preview)
            .trim(self.trim)
            .replacement(self.replace.as_ref().map(|text| text.as_bytes().to_vec()))
    }
}
