//! Jobs from a file in TOML. A key is the name of a long flag, and is turned into that flag, so that what a flag means is
//! written down once. What is wrong is told with its line and column.

use super::parse::{Written, JOBS};
use crate::command::definition;
use gristmill::bounded;
use gristmill::source::shown_name;
use std::ffi::OsString;
use std::path::Path;
use toml::de::{DeTable, DeValue};
use toml::Spanned;

/// The most bytes that the file may have.
const MOST_BYTES: usize = 1 << 20;

/// What a file holds.
#[derive(Debug, Default)]
pub struct Jobs {
    /// Flags for all jobs.
    pub flags: Vec<OsString>,
    /// The files to read.
    pub paths: Vec<OsString>,
    /// The jobs.
    pub jobs: Vec<Written>,
}

/// Reads a file.
///
/// # Errors
/// A message with the file's name and, where something in it is wrong, line and column.
pub fn read(path: &Path) -> Result<Jobs, String> {
    let shown = path.display();
    let bytes = bounded::read_regular(path, MOST_BYTES);
    let bytes = bytes.map_err(|error| format!("{shown}: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let (line, column) = place(&String::from_utf8_lossy(valid), valid.len());
        format!("{shown}:{line}:{column}: not UTF-8, as TOML must be")
    })?;
    parse(&shown.to_string(), &text)
}

/// Line and column of an offset, from 1. Columns are counted in characters.
fn place(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

fn parse(name: &str, text: &str) -> Result<Jobs, String> {
    let at = |offset: usize| {
        let (line, column) = place(text, offset);
        format!("{name}:{line}:{column}")
    };
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        format!("{}: not TOML: {}", at(offset), error.message())
    })?;
    let document = Document { at: &at };
    let mut jobs = Jobs::default();
    for (key, value) in sorted(table.get_ref()) {
        match &**key.get_ref() {
            "job" => {
                let tables = value.get_ref().as_array();
                let wrong = || document.wrong(value, "`job` is an array of tables: write [[job]]");
                for job in tables.ok_or_else(wrong)?.iter() {
                    let table = job.get_ref().as_table().ok_or_else(wrong)?;
                    jobs.jobs.push(document.job(job, table)?);
                }
            }
            "paths" => jobs.paths = document.strings(key.get_ref(), value)?,
            "jobs" => return Err(document.wrong(key, "a file of jobs names no other")),
            _ => document.flag("mill", key, value, &mut jobs.flags)?,
        }
    }
    Ok(jobs)
}

type Entry<'t> = (
    &'t Spanned<toml::de::DeString<'t>>,
    &'t Spanned<DeValue<'t>>,
);

/// The entries of a table, in the order in which they were written.
fn sorted<'t>(table: &'t DeTable<'t>) -> Vec<Entry<'t>> {
    let mut entries: Vec<Entry<'t>> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

struct Document<'a> {
    /// The name of a place.
    at: &'a dyn Fn(usize) -> String,
}

impl Document<'_> {
    fn wrong<T>(&self, what: &Spanned<T>, reason: &str) -> String {
        format!("{}: {reason}", (self.at)(what.span().start))
    }

    fn strings(&self, name: &str, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, String> {
        let wrong = |value: &Spanned<DeValue<'_>>| {
            self.wrong(value, &format!("`{name}` is an array of strings"))
        };
        let array = value.get_ref().as_array().ok_or_else(|| wrong(value))?;
        let strings = array.iter().map(|value| {
            let text = value.get_ref().as_str().ok_or_else(|| wrong(value))?;
            Ok(OsString::from(text))
        });
        strings.collect()
    }

    /// A job, as it would be written on the command line.
    fn job(&self, table: &Spanned<DeValue<'_>>, keys: &DeTable<'_>) -> Result<Written, String> {
        let entries = sorted(keys);
        let command = entries
            .iter()
            .find(|(key, _)| &**key.get_ref() == "command");
        let (_, command) = command.ok_or_else(|| {
            let jobs = JOBS.join(", ");
            self.wrong(
                table,
                &format!("a job without a command; write command = ..., one of {jobs}"),
            )
        })?;
        let name = command.get_ref().as_str();
        let name = name.filter(|name| JOBS.contains(name)).ok_or_else(|| {
            self.wrong(command, &format!("`command` is one of {}", JOBS.join(", ")))
        })?;
        let mut arguments = vec![OsString::from(name)];
        let mut values: Vec<OsString> = Vec::new();
        for (key, value) in entries {
            match &**key.get_ref() {
                "command" => {}
                "arguments" => arguments.extend(self.strings("arguments", value)?),
                own @ ("pattern" | "program") if takes(name, own) => {
                    let text = value.get_ref().as_str();
                    let wrong = || self.wrong(value, &format!("`{own}` is a string"));
                    values.push(text.ok_or_else(wrong)?.into());
                }
                _ => self.flag(name, key, value, &mut arguments)?,
            }
        }
        if !values.is_empty() {
            arguments.push("--".into());
            arguments.extend(values);
        }
        Ok(Written {
            arguments,
            place: Some((self.at)(table.span().start)),
        })
    }

    /// Adds the flag that a key stands for.
    fn flag(
        &self,
        command: &str,
        key: &Spanned<toml::de::DeString<'_>>,
        value: &Spanned<DeValue<'_>>,
        into: &mut Vec<OsString>,
    ) -> Result<(), String> {
        let name: &str = key.get_ref();
        let all = definition();
        let found = all.find_subcommand(command);
        let mut flags = found.into_iter().flat_map(clap::Command::get_arguments);
        let named = |flag: &&clap::Arg| {
            flag.get_long() == Some(name)
                || (flag.get_all_aliases().into_iter().flatten()).any(|alias| alias == name)
        };
        let Some(flag) = flags.find(named) else {
            let known = known(command);
            return Err(self.wrong(
                key,
                &format!(
                    "unknown key `{}`; a key here is {known}a long flag of `gristmill {command}`",
                    shown_name(Path::new(name)).display()
                ),
            ));
        };
        let takes_value = flag.get_action().takes_values();
        let mut add = |value: &Spanned<DeValue<'_>>| {
            let text = match value.get_ref() {
                DeValue::Boolean(yes) if !takes_value => {
                    if *yes {
                        into.push(format!("--{name}").into());
                    }
                    return Ok(());
                }
                DeValue::String(text) if takes_value => text.to_string(),
                DeValue::Integer(number) if takes_value && number.radix() == 10 => {
                    number.as_str().to_owned()
                }
                _ if takes_value => {
                    return Err(self.wrong(value, &format!("`{name}` is a string or a number")))
                }
                _ => return Err(self.wrong(value, &format!("`{name}` is true or false"))),
            };
            into.push(format!("--{name}={text}").into());
            Ok(())
        };
        match value.get_ref() {
            DeValue::Array(values) if takes_value => values.iter().try_for_each(add),
            _ => add(value),
        }
    }
}

/// Whether a command has an argument of this name that is no flag.
fn takes(command: &str, argument: &str) -> bool {
    let all = definition();
    let command = all.find_subcommand(command);
    let mut arguments = command.into_iter().flat_map(clap::Command::get_arguments);
    arguments.any(|found| found.is_positional() && found.get_id() == argument)
}

/// The keys of a table that are no flags, for messages.
fn known(command: &str) -> &'static str {
    match command {
        "mill" => "`paths`, `job` or ",
        "scan" => "`command`, `arguments`, `pattern` or ",
        "run" => "`command`, `arguments`, `program` or ",
        _ => "`command`, `arguments` or ",
    }
}
