//! How patterns are read and compared.

use crate::size::parse_size;
use gristmill::jobs::scan::ScanJobBuilder;
use gristmill::jobs::sweep::{Boundary, Case, LineSettings};

/// Flags that say what patterns mean, whatever is asked of them. Of -i, -s and -S the last one applies, and so it is with -w
/// and -x.
#[derive(Debug, Clone, clap::Args)]
pub struct MeaningArgs {
    /// Treat patterns as strings, not as regexes.
    #[arg(short = 'F', long, overrides_with = "no_fixed_strings")]
    fixed_strings: bool,

    /// Treat patterns as regexes, after -F.
    #[arg(long, hide = true, overrides_with = "fixed_strings")]
    no_fixed_strings: bool,

    /// Match case-insensitively.
    #[arg(short = 'i', long, overrides_with_all = ["case_sensitive", "smart_case"])]
    ignore_case: bool,

    /// Match case-sensitively. This is the default.
    #[arg(short = 's', long, overrides_with_all = ["ignore_case", "smart_case"])]
    case_sensitive: bool,

    /// Match case-insensitively if the patterns contain letters but no upper-case ones.
    #[arg(short = 'S', long, overrides_with_all = ["ignore_case", "case_sensitive"])]
    smart_case: bool,

    /// Show only matches that begin and end at word boundaries.
    #[arg(short = 'w', long, overrides_with = "line_regexp")]
    word_regexp: bool,

    /// Show only matches that are a whole line.
    #[arg(short = 'x', long, overrides_with = "word_regexp")]
    line_regexp: bool,

    /// Treat CR LF as a line end, like LF: `$` matches before both.
    #[arg(long, overrides_with = "no_crlf")]
    crlf: bool,

    /// Treat only LF as a line end. This is the default.
    #[arg(long, hide = true, overrides_with = "crlf")]
    no_crlf: bool,

    /// Restrict `\w`, `\d`, `\s`, `\b`, `.` and case to ASCII.
    #[arg(long, overrides_with = "unicode")]
    no_unicode: bool,

    /// Let regexes support Unicode. This is the default.
    #[arg(long, hide = true, overrides_with = "no_unicode")]
    unicode: bool,

    /// The memory limit for a compiled regex.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "100M")]
    regex_size_limit: usize,
}

impl MeaningArgs {
    /// How patterns are read and compared, for a search without regard to lines.
    pub fn line_settings(&self) -> LineSettings {
        LineSettings {
            fixed_strings: self.fixed_strings,
            case: match (self.ignore_case, self.smart_case) {
                (true, _) => Case::Insensitive,
                (_, true) => Case::Smart,
                _ => Case::Sensitive,
            },
            boundary: match (self.word_regexp, self.line_regexp) {
                (true, _) => Some(Boundary::Word),
                (_, true) => Some(Boundary::Line),
                _ => None,
            },
            crlf: self.crlf,
            unicode: !self.no_unicode,
            text: true,
            size_limit: self.regex_size_limit,
            ..LineSettings::default()
        }
    }
}

/// Flags that say what patterns mean, and how they are searched for in lines.
#[derive(Debug, Clone, clap::Args)]
pub struct ReadingArgs {
    #[command(flatten)]
    meaning: MeaningArgs,

    /// Let matches span lines.
    ///
    /// A regex that can match a newline, or contains `^` or `$`, is then searched for in whole files, which must fit in
    /// memory: see --max-multiline.
    #[arg(short = 'U', long, overrides_with = "no_multiline")]
    multiline: bool,

    /// Let matches not span lines. This is the default.
    #[arg(long, hide = true, overrides_with = "multiline")]
    no_multiline: bool,

    /// With -U, let `.` match a newline, too.
    #[arg(long, overrides_with = "no_multiline_dotall")]
    multiline_dotall: bool,

    /// With -U, let `.` not match a newline. This is the default.
    #[arg(long, hide = true, overrides_with = "multiline_dotall")]
    no_multiline_dotall: bool,

    /// The memory limit for files that are searched as a whole with -U, one file or several together; the rows of a
    /// file may take four times as much. A larger file is an error.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "1G")]
    max_multiline: usize,

    /// The memory limit of each worker for the automaton that it builds while it searches for a regex; a regex that
    /// needs more is searched for many times more slowly.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "32M")]
    dfa_size_limit: usize,
}

impl ReadingArgs {
    /// Whether matches may span lines.
    pub fn is_multiline(&self) -> bool {
        self.multiline
    }

    /// How patterns are read and compared, for a search without regard to lines.
    pub fn line_settings(&self) -> LineSettings {
        LineSettings {
            dfa_size_limit: self.dfa_size_limit,
            ..self.meaning.line_settings()
        }
    }

    /// Sets what the flags say.
    pub fn apply(&self, job: ScanJobBuilder) -> ScanJobBuilder {
        let job = match self.meaning.smart_case {
            true => job.smart_case(true),
            false => job.case_insensitive(self.meaning.ignore_case),
        };
        let job = match self.meaning.word_regexp {
            true => job.words(true),
            false => job.whole_lines(self.meaning.line_regexp),
        };
        job.regex(!self.meaning.fixed_strings)
            .crlf(self.meaning.crlf)
            .unicode(!self.meaning.no_unicode)
            .multiline(self.multiline)
            .dot_matches_newline(self.multiline_dotall)
            .max_multiline_bytes(self.max_multiline as u64)
            .regex_size_limit(self.meaning.regex_size_limit)
            .dfa_size_limit(self.dfa_size_limit)
    }
}
