//! Lines that are shown around those that are looked for.

use bstr::ByteVec;
use gristmill::jobs::scan::ScanJobBuilder;

/// Flags about context. Of `--passthru` and the others the last applies.
#[derive(Debug, Clone, clap::Args)]
pub struct ContextArgs {
    /// Show NUM lines after each matching line, too.
    ///
    /// Rows of such lines have `-` where rows of matching lines have `:`, and `--` stands between lines that do not follow
    /// each other.
    #[arg(short = 'A', long, value_name = "NUM", overrides_with = "passthru")]
    after_context: Option<usize>,

    /// Show NUM lines before each matching line, too.
    #[arg(short = 'B', long, value_name = "NUM", overrides_with = "passthru")]
    before_context: Option<usize>,

    /// Show NUM lines before and after each matching line, too; -A and -B take precedence.
    #[arg(short = 'C', long, value_name = "NUM", overrides_with = "passthru")]
    context: Option<usize>,

    /// Show all lines, matching or not.
    #[arg(
        long,
        alias = "passthrough",
        overrides_with_all = ["after_context", "before_context", "context"]
    )]
    passthru: bool,

    /// What stands between lines that do not follow each other, and between files, with -A, -B or -C. `\n`, `\t`, `\\` and
    /// `\x7F` are escapes.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "--",
        allow_hyphen_values = true,
        overrides_with = "no_context_separator"
    )]
    context_separator: String,

    /// Let nothing stand between lines that do not follow each other.
    #[arg(long, overrides_with = "context_separator")]
    no_context_separator: bool,

    /// What follows the path, the line number and the other fields before a matching line.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = ":",
        allow_hyphen_values = true
    )]
    field_match_separator: String,

    /// What follows these fields before other lines.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "-",
        allow_hyphen_values = true
    )]
    field_context_separator: String,
}

impl ContextArgs {
    /// Adds the flags to a job.
    pub fn apply(&self, job: ScanJobBuilder) -> ScanJobBuilder {
        let unescaped = |text: &str| Vec::unescape_bytes(text);
        let both = self.context.unwrap_or(0);
        let (before, after) = (self.before_context, self.after_context);
        let job = match self.passthru {
            true => job.all_lines(true),
            false => job.context(before.unwrap_or(both), after.unwrap_or(both)),
        };
        let groups = (!self.no_context_separator).then(|| unescaped(&self.context_separator));
        job.context_separator(groups)
            .field_match_separator(unescaped(&self.field_match_separator))
            .field_context_separator(unescaped(&self.field_context_separator))
    }
}
