//! What is said on standard error.

use std::io::{self, Write};

/// Writes an error to standard error, in one line: control characters in names are escaped.
pub fn complain(error: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {}", escaped(error));
}

/// Writes an error that shows a place in a text to standard error, in several lines.
pub fn complain_in_lines(error: &str) {
    let lines: Vec<String> = error.split('\n').map(escaped).collect();
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {}", lines.join("\n"));
}

/// A text without what would move a terminal's cursor.
pub fn escaped(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Says that a signal has ended a command.
pub fn tell_interrupted() {
    complain("interrupted: what was done so far is above");
}
