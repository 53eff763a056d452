//! The meanings of short flags, which are the same in all commands, and the advice for a letter that a command does not
//! have.

use crate::{messages, objects};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;

/// Advice for letters that users know from other tools.
const ADVICE: [(char, &str); 3] = [
    (
        '0',
        "use --files0-from FILE to read names terminated by NULs",
    ),
    (
        'q',
        "only commands whose exit code is a result have it; redirect the rows of others to /dev/null",
    ),
    (
        'z',
        "use --files0-from FILE to read names terminated by NULs",
    ),
];

/// Every letter, with the long flags that it stands for, each with its commands.
pub fn letters(command: &Command) -> BTreeMap<char, BTreeMap<String, Vec<String>>> {
    let mut letters: BTreeMap<char, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    for sub in command.get_subcommands() {
        for argument in sub.get_arguments() {
            if let (Some(letter), Some(long)) = (argument.get_short(), argument.get_long()) {
                letters
                    .entry(letter)
                    .or_default()
                    .entry(long.to_owned())
                    .or_default()
                    .push(sub.get_name().to_owned());
            }
        }
    }
    letters
}

/// An error of the parser. If it is about a letter that the command does not have, the commands that have it are added.
pub fn with_tip(mut error: Error, command: &Command) -> Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    let letter = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(argument)) => match argument.as_bytes() {
            [b'-', letter] => char::from(*letter),
            _ => return error,
        },
        _ => return error,
    };
    let meanings: Vec<String> = letters(command)
        .get(&letter)
        .into_iter()
        .flatten()
        .map(|(long, commands)| format!("--{long} in {}", listed(commands)))
        .collect();
    let mut tips = Vec::new();
    if !meanings.is_empty() {
        tips.push(format!(
            "'-{letter}' is {}, and has no meaning here",
            meanings.join(", ")
        ));
    }
    let advice = ADVICE.iter().filter(|(of, _)| *of == letter);
    tips.extend(advice.map(|(_, advice)| (*advice).to_owned()));
    if !tips.is_empty() {
        let tips = tips.iter().map(Into::into).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Shows an error of the parser as it shows errors, but for the secrets of URLs, and ends the process.
pub fn refuse(error: Error, command: &Command, arguments: &[OsString]) -> ! {
    let error = with_tip(error, command);
    let plain = error.render().to_string();
    let shown = objects::without_secrets(&plain, arguments);
    if shown != plain {
        messages::complain_in_lines(shown.trim_end().trim_start_matches("error: "));
        std::process::exit(error.exit_code());
    }
    error.exit()
}

/// The letters as a section of the manual page.
pub fn roff(command: &Command) -> String {
    let mut text = String::from(
        ".SH LETTERS\nA letter has the same meaning in every command that has it, with four exceptions that follow the tools \
         on which the commands are modelled: \\fB\\-c\\fR is \\-\\-check, \\fB\\-w\\fR is \
         \\-\\-warn and \\fB\\-z\\fR is \\-\\-zero in digest as in sha256sum(1), and \\fB\\-o\\fR is \\-\\-output in asm, disasm and compile as in as(1). A command that does \
         not have a letter refuses it and says which commands have it.\n",
    );
    let all = command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
        .count();
    for (letter, meanings) in letters(command) {
        for (long, commands) in meanings {
            let who = if commands.len() == all {
                "all commands".into()
            } else {
                listed(&commands)
            };
            let long = long.replace('-', "\\-");
            let _ = writeln!(
                text,
                ".TP\n\\fB\\-{letter}\\fR, \\fB\\-\\-{long}\\fR\n{who}"
            );
        }
    }
    text
}

/// `a, b and c`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cli;
    use clap::CommandFactory;

    /// Letters with two meanings. Each meaning is that of the tool on which the command is modelled, and the manual
    /// says so.
    const TWO_MEANINGS: [(char, &str, &[&str]); 4] = [
        ('c', "check", &["digest"]),
        ('w', "warn", &["digest"]),
        ('z', "zero", &["digest"]),
        ('o', "output", &["compile", "asm", "disasm"]),
    ];

    #[test]
    fn a_letter_means_one_thing_in_all_commands() {
        let mut found = letters(&Cli::command());
        for (letter, long, commands) in TWO_MEANINGS {
            let meanings = found.get_mut(&letter).unwrap();
            assert_eq!(meanings.remove(long).unwrap(), commands, "-{letter}");
        }
        for (letter, meanings) in found {
            assert!(meanings.len() <= 1, "-{letter}: {meanings:?}");
        }
    }
}
