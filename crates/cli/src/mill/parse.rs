//! The command line of `gristmill mill`: what stands before the first `+` is for all jobs, and each job is written as its
//! own command.

use crate::command::{definition, Cli, Command};
use crate::{letters, objects};
use clap::parser::ValueSource;
use clap::{ArgMatches, FromArgMatches};
use gristmill::source::shown_name;
use std::ffi::{OsStr, OsString};
use std::path::Path;

/// What stands before each job.
const SEPARATOR: &str = "+";

/// A job as it was written.
#[derive(Debug)]
pub struct Written {
    /// Its command and that command's arguments.
    pub arguments: Vec<OsString>,
    /// Where it was written, if in a file: begins each error about it.
    pub place: Option<String>,
}

/// Splits the arguments of the process: those before the first `+`, and the jobs behind. Of another command than `mill`
/// all are before.
pub fn split(arguments: impl Iterator<Item = OsString>) -> (Vec<OsString>, Vec<Written>) {
    let all: Vec<OsString> = arguments.collect();
    if all.get(1).is_none_or(|command| command != "mill") {
        return (all, Vec::new());
    }
    let mut parts = all.split(|argument| argument == SEPARATOR);
    let front = parts.next().unwrap_or_default().to_vec();
    let jobs = parts.map(|arguments| Written {
        arguments: arguments.to_vec(),
        place: None,
    });
    (front, jobs.collect())
}

/// The commands that are jobs.
pub const JOBS: [&str; 4] = ["scan", "digest", "stats", "run"];

/// Flags of jobs that a mill with several has no place for, and what to do instead.
const REFUSED: [(&str, &[&str], &str); 6] = [
    (
        "scan",
        &["search_zip", "no_search_zip", "encoding", "no_encoding"],
        "a mill reads files as they are, so that all its jobs see the same bytes; run that scan separately",
    ),
    (
        "scan",
        &[
            "hidden",
            "unrestricted",
            "no_ignore",
            "no_ignore_dot",
            "no_ignore_vcs",
            "no_ignore_exclude",
            "no_ignore_global",
            "no_ignore_parent",
            "no_ignore_files",
            "no_require_git",
            "ignore_file",
            "ignore_file_case_insensitive",
            "no_messages",
        ],
        "files are chosen before the first +, for all jobs: all are read, and --ignore leaves out what scan leaves out",
    ),
    (
        "scan",
        &["files", "type_list"],
        "it lists and searches nothing; run that scan separately",
    ),
    (
        "scan",
        &["text", "binary"],
        "--all and --rules search all files as bytes; leave it out",
    ),
    (
        "digest",
        &["check", "quiet", "status", "strict", "warn", "ignore_missing"],
        "a list says which files are read, and in which order; run that digest separately",
    ),
    (
        "run",
        &["check", "quiet"],
        "a check reads files several times; run it separately",
    ),
];

/// Parses a job.
///
/// # Errors
/// A message. An error of the parser is shown as it shows errors, and ends the process.
pub fn job(written: &Written) -> Result<Command, String> {
    let place = written.place.clone();
    let told = |text: String| match &place {
        Some(place) => format!("{place}: {text}"),
        None => text,
    };
    let name = written.arguments.first();
    let name = name.map_or_else(String::new, |name| shown(name));
    if !JOBS.contains(&&*name) {
        let jobs = JOBS.join(", ");
        return Err(told(if name.is_empty() {
            format!("a + without a command behind it; write one of {jobs}, with its arguments, or ./+ for a file")
        } else {
            format!("`+ {name}`: a job is one of {jobs}; a file that is called + is written ./+")
        }));
    }
    let own = std::iter::once(OsString::from("gristmill")).chain(written.arguments.clone());
    let own: Vec<OsString> = own.collect();
    let parsed = definition().try_get_matches_from(&own);
    let matches = parsed.map_err(|error| {
        if place.is_none() {
            letters::refuse(error, &definition(), &own);
        }
        told(format!("{name}: {}", in_a_line(error, &own)))
    })?;
    if let Some((_, given)) = matches.subcommand() {
        check(&name, given).map_err(told)?;
        objects::check_files(given).map_err(told)?;
    }
    let cli = Cli::from_arg_matches(&matches);
    let cli = cli.map_err(|error| told(in_a_line(error, &own)))?;
    Ok(cli.command)
}

/// An argument as it may be shown: of a URL no secret.
fn shown(argument: &OsStr) -> String {
    let shown = shown_name(Path::new(argument));
    shown.to_string_lossy().into_owned()
}

/// The first paragraph of what the parser says of these arguments, in one line.
pub fn in_a_line(error: clap::Error, arguments: &[OsString]) -> String {
    let text = letters::with_tip(error, &definition()).render().to_string();
    let text = objects::without_secrets(&text, arguments);
    let first = text.split("\n\n").next().unwrap_or_default();
    let first = first.trim_start_matches("error: ").trim_end();
    first.replace('\n', " ")
}

/// Checks that a job has no flag that is for all jobs, or for none.
fn check(name: &str, given: &ArgMatches) -> Result<(), String> {
    let all = definition();
    let arguments = |command: &str| {
        let command = all.find_subcommand(command);
        command.into_iter().flat_map(clap::Command::get_arguments)
    };
    for argument in arguments(name) {
        let id = argument.get_id().as_str();
        if given.value_source(id) != Some(ValueSource::CommandLine) {
            continue;
        }
        let named = match (argument.get_long(), argument.get_short()) {
            (Some(long), _) => format!("--{long}"),
            (None, Some(short)) => format!("-{short}"),
            (None, None) => {
                let value = given.get_raw(id).into_iter().flatten().next();
                value.map_or_else(String::new, shown)
            }
        };
        let refused = REFUSED
            .iter()
            .find(|(command, flags, _)| *command == name && flags.contains(&id));
        if let Some((.., why)) = refused {
            return Err(format!("`+ {name}`: {named}: {why}"));
        }
        if id == "paths" {
            return Err(format!(
                "`+ {name}`: {named}: paths apply to all jobs; write it before the first +"
            ));
        }
        if arguments("mill").any(|front| front.get_id().as_str() == id) {
            return Err(format!(
                "`+ {name}`: {named} applies to all jobs; write it before the first +"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    /// The flags of jobs that hold for one job alone.
    const OWN: [(&str, &[&str]); 4] = [
        (
            "scan",
            &[
                "pattern",
                "patterns",
                "pattern_files",
                "rules",
                "set",
                "show_secrets",
                "sarif",
                "all",
                "max_match",
                "count",
                "files_with_matches",
                "quiet",
                "table_size",
                "set_memory",
                "no_filename",
                "with_filename",
                "null",
                "color",
                "json",
                "output",
                "format",
                "fixed_strings",
                "no_fixed_strings",
                "ignore_case",
                "case_sensitive",
                "smart_case",
                "word_regexp",
                "line_regexp",
                "crlf",
                "no_crlf",
                "no_unicode",
                "unicode",
                "regex_size_limit",
                "dfa_size_limit",
                "context_bytes",
            ],
        ),
        (
            "digest",
            &[
                "algorithm",
                "tag",
                "zero",
                "json",
                "output",
                "format",
                "manifest",
                "chunks",
            ],
        ),
        ("stats", &["total", "json", "histogram", "output", "format"]),
        (
            "run",
            &[
                "program",
                "arg",
                "total",
                "json",
                "table",
                "allow_include",
                "output",
                "format",
            ],
        ),
    ];

    /// The flags of scan that are about lines, which the parser or the job itself refuses beside --all and --rules.
    const OF_LINES: &str = "after_context before_context byte_offset column context context_separator count_matches \
        field_context_separator field_match_separator files_without_match heading include_zero \
        invert_match line_number max_columns max_columns_preview max_count max_line max_multiline \
        multiline multiline_dotall no_column no_context_separator no_heading no_include_zero \
        no_invert_match no_line_number no_max_columns_preview no_multiline no_multiline_dotall no_trim \
        only_matching passthru replace trim vimgrep";

    #[test]
    fn every_flag_of_a_job_is_its_own_or_refused() {
        let all = Cli::command();
        let front = all.find_subcommand("mill").unwrap();
        let front: Vec<&str> = (front.get_arguments())
            .map(|argument| argument.get_id().as_str())
            .collect();
        let mut unknown = Vec::new();
        for (name, own) in OWN {
            let command = all.find_subcommand(name).unwrap();
            for argument in command.get_arguments() {
                let id = argument.get_id().as_str();
                let refused = REFUSED
                    .iter()
                    .any(|(command, flags, _)| *command == name && flags.contains(&id));
                let of_lines = name == "scan" && OF_LINES.split(' ').any(|flag| flag == id);
                let places = [own.contains(&id), refused, front.contains(&id), of_lines];
                if places.iter().filter(|place| **place).count() != 1 {
                    unknown.push((name, id.to_owned(), places));
                }
            }
        }
        assert_eq!(unknown, []);
    }

    fn written(line: &str) -> Written {
        Written {
            arguments: line.split(' ').map(OsString::from).collect(),
            place: None,
        }
    }

    #[test]
    fn jobs_are_split_at_plus_signs_and_only_for_this_command() {
        let split = |line: &str| {
            let (front, jobs) = split(line.split(' ').map(OsString::from));
            (
                front.len(),
                jobs.iter().map(|job| job.arguments.len()).collect(),
            )
        };
        assert_eq!(
            split("gristmill mill a b + scan --all x + stats"),
            (4, vec![3, 1])
        );
        assert_eq!(split("gristmill mill ./+ -e+ + stats +"), (4, vec![1, 0]));
        assert_eq!(split("gristmill scan + x"), (4, Vec::<usize>::new()));
    }

    #[test]
    fn flags_for_all_jobs_are_refused_behind_a_plus_sign_by_name() {
        for (line, flag) in [
            ("digest --workers 2", "--workers"),
            ("stats --stats", "--stats"),
            ("scan --all x --sort path", "--sort"),
            ("scan --all x -z", "--search-zip"),
            ("scan --all x -E none", "--encoding"),
            ("scan --all x -u", "--unrestricted"),
            ("digest --check list", "--check"),
            ("run program.vasm --check", "--check"),
            ("run program.vasm tree", "tree"),
            ("scan --all x tree", "tree"),
            ("doctor", "doctor"),
        ] {
            let error = job(&written(line)).unwrap_err();
            let name = line.split(' ').next().unwrap();
            assert!(error.contains(&format!("`+ {name}`")), "{error}");
            assert!(error.contains(flag), "{line}: {error}");
        }
    }
}
