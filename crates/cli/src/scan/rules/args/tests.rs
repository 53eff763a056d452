use super::*;
use crate::command::Cli;
use clap::CommandFactory;

/// The flags of `scan` that hold with --rules, or ask for what is the case.
const HONOURED: &[&str] = &[
    "backend",
    "case_sensitive",
    "chunk_size",
    "color",
    "count",
    "depth",
    "device",
    "direct",
    "encoding",
    "files0_from",
    "files_from",
    "files_with_matches",
    "fixed_strings",
    "follow",
    "format",
    "glob_case_insensitive",
    "globs",
    "hidden",
    "iglobs",
    "ignore_case",
    "ignore_file",
    "ignore_file_case_insensitive",
    "json",
    "max_depth",
    "max_filesize",
    "max_match",
    "memory",
    "no_column",
    "no_crlf",
    "no_encoding",
    "no_fixed_strings",
    "no_heading",
    "no_ignore",
    "no_ignore_dot",
    "no_ignore_exclude",
    "no_ignore_files",
    "no_ignore_global",
    "no_ignore_parent",
    "no_ignore_vcs",
    "no_include_zero",
    "no_invert_match",
    "no_max_columns_preview",
    "no_messages",
    "no_multiline",
    "no_multiline_dotall",
    "no_progress",
    "no_require_git",
    "no_search_zip",
    "no_trim",
    "null",
    "one_file_system",
    "output",
    "paths",
    "pattern",
    "pattern_files",
    "patterns",
    "peer_memory",
    "quiet",
    "read_path",
    "regex_size_limit",
    "rules",
    "sarif",
    "search_zip",
    // Refused together with --rules, which says what to do instead.
    "set",
    "set_memory",
    "show_secrets",
    "sort",
    "sortr",
    "stats",
    "type_add",
    "type_clear",
    "type_not",
    "type_select",
    "unicode",
    "unrestricted",
    "workers",
];

fn refused(id: &str) -> bool {
    LINES.contains(&id) || PATTERNS.contains(&id)
}

#[test]
fn every_flag_of_scan_is_honoured_with_rules_or_refused() {
    let command = Cli::command();
    let scan = command.find_subcommand("scan").unwrap();
    let mut unknown = Vec::new();
    for argument in scan.get_arguments() {
        let id = argument.get_id().as_str();
        let (honoured, refused) = (HONOURED.contains(&id), refused(id));
        assert!(!(honoured && refused), "{id}");
        if !honoured && !refused {
            unknown.push(id);
        }
    }
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn every_flag_of_scan_is_honoured_with_a_set_or_refused() {
    use crate::scan::set::args::READING;
    let command = Cli::command();
    let scan = command.find_subcommand("scan").unwrap();
    for argument in scan.get_arguments() {
        let id = argument.get_id().as_str();
        let refused = LINES.contains(&id) || READING.contains(&id);
        // What is for patterns is refused with a set of rules when that is known.
        let honoured = HONOURED.contains(&id) || PATTERNS.contains(&id);
        assert!(refused || honoured, "{id}");
    }
}
