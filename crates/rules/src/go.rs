//! Translation of regexes from Go's syntax to Rust's, with the meaning that they have in Go.
//!
//! gitleaks compiles its rules with Go's `regexp` package or with RE2, whose syntax is that of
//! [RE2](https://github.com/google/re2/wiki/Syntax). It resembles Rust's, and differs as follows. [`translate`]
//! rewrites all of this:
//!
//! - `\d`, `\s`, `\w` and `\b` are ASCII-only; in Rust they cover all of Unicode. `\s` does not include the vertical
//!   tab. Case folding by `(?i)` covers Unicode in both: `(?i)k` also matches the Kelvin sign, and so does `(?i)\w`.
//! - `{` that begins no repetition is an ordinary character: `\${\d+}`.
//! - In a class, `[` is an ordinary character unless it begins `[:name:]`, and `&&`, `--` and `~~` are no operators. A `-`
//!   after `\w` and its like is an ordinary character.
//! - `\Q...\E` quotes, `\0` to `\777` are octal numbers, `\p{^Greek}` negates, `\<` and `\>` are ordinary characters.
//! - Names of groups may begin with a digit. Names have no meaning in rule files, so they are dropped.
//! - The flags are `i`, `m`, `s` and `U`. There is no `x`.
//! - A repetition of a repetition, `a++` or `a**`, is an error: in other engines it means something else.
//!
//! A regex matches text as UTF-8, and no class or dot matches a byte that is not part of valid UTF-8. That is RE2's
//! rule. (Go's own package treats such a byte as U+FFFD.)

mod class;

use regex_syntax::hir::Hir;
use std::fmt::Write as _;

/// Why a pattern cannot be used, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// The byte in the pattern at which the fault lies.
    pub offset: usize,
    /// What is wrong.
    pub reason: String,
}

impl SyntaxError {
    fn new(offset: usize, reason: impl Into<String>) -> Self {
        Self {
            offset,
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (at byte {})", self.reason, self.offset)
    }
}

impl std::error::Error for SyntaxError {}

/// Puts a regex of Go's syntax into Rust's.
///
/// The result is for an engine that matches bytes, with Unicode on: `regex::bytes`, or `regex_automata` with
/// `utf8(false)`.
///
/// # Errors
/// A [`SyntaxError`] that says where `pattern` is wrong.
pub fn translate(pattern: &str) -> Result<String, SyntaxError> {
    Ok(parsed(pattern)?.0)
}

/// The same, and what it means.
pub(crate) fn parsed(pattern: &str) -> Result<(String, Hir), SyntaxError> {
    let mut translation = Translation {
        rest: Rest {
            text: pattern,
            at: 0,
        },
        rust: String::with_capacity(pattern.len() * 2),
        places: Vec::new(),
    };
    translation.run()?;
    let hir = parse(&translation.rust).map_err(|error| {
        // The position is that of the piece of `pattern` from which the wrong piece was made.
        let piece = translation
            .places
            .partition_point(|(rust, _)| *rust <= error.offset);
        let offset = piece
            .checked_sub(1)
            .map_or(0, |piece| translation.places[piece].1);
        SyntaxError { offset, ..error }
    })?;
    Ok((translation.rust, hir))
}

/// Checks a regex of Rust's syntax, for an engine that matches bytes.
///
/// # Errors
/// A [`SyntaxError`] that says where it is wrong.
pub fn check(pattern: &str) -> Result<(), SyntaxError> {
    parse(pattern).map(|_| ())
}

/// What a regex of Rust's syntax means, for an engine that matches bytes.
pub(crate) fn parse(pattern: &str) -> Result<Hir, SyntaxError> {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).build();
    parser.parse(pattern).map_err(|error| match &error {
        regex_syntax::Error::Parse(error) => {
            SyntaxError::new(error.span().start.offset, error.kind().to_string())
        }
        regex_syntax::Error::Translate(error) => {
            SyntaxError::new(error.span().start.offset, error.kind().to_string())
        }
        error => SyntaxError::new(0, error.to_string()),
    })
}

/// What of a pattern is still to be read.
struct Rest<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Rest<'a> {
    fn str(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.str().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let comes = self.str().starts_with(token);
        if comes {
            self.at += token.len();
        }
        comes
    }
}

struct Translation<'a> {
    rest: Rest<'a>,
    rust: String,
    /// Where each piece begins, in Rust's syntax and in Go's.
    places: Vec<(usize, usize)>,
}

impl Translation<'_> {
    fn run(&mut self) -> Result<(), SyntaxError> {
        // Whether what comes next would repeat a repetition.
        let mut repeated = false;
        loop {
            let start = self.rest.at;
            self.places.push((self.rust.len(), start));
            let Some(next) = self.rest.next() else {
                return Ok(());
            };
            let repetition = match next {
                '*' | '+' | '?' => Some(None),
                '{' => repetition(self.rest.str()).map(Some),
                _ => None,
            };
            if let Some(range) = repetition {
                if repeated {
                    let reason = "a repetition of a repetition; put the inner one into (?:...)";
                    return Err(SyntaxError::new(start, reason));
                }
                self.rest.at += range.unwrap_or(0);
                self.rust.push_str(&self.rest.text[start..self.rest.at]);
                if self.rest.take("?") {
                    self.rust.push('?');
                }
                repeated = true;
                continue;
            }
            repeated = false;
            match next {
                '\\' => self.escape(start)?,
                '[' => self.class(start)?,
                '(' => self.group(start)?,
                '^' | '$' | '.' | '|' | ')' => self.rust.push(next),
                literal => self.literal(literal),
            }
        }
    }

    fn literal(&mut self, literal: char) {
        let mut buffer = [0; 4];
        regex_syntax::escape_into(literal.encode_utf8(&mut buffer), &mut self.rust);
    }

    /// What follows a backslash outside of a class.
    fn escape(&mut self, start: usize) -> Result<(), SyntaxError> {
        match self.rest.peek() {
            Some('A') => self.put(1, r"\A"),
            Some('z') => self.put(1, r"\z"),
            Some('b') => self.put(1, r"(?-u:\b)"),
            Some('B') => self.put(1, r"(?-u:\B)"),
            Some('Q') => {
                self.rest.at += 1;
                let quoted = self.rest.str();
                let (quoted, end) = match quoted.find(r"\E") {
                    Some(length) => (&quoted[..length], length + 2),
                    None => (quoted, quoted.len()),
                };
                regex_syntax::escape_into(quoted, &mut self.rust);
                self.rest.at += end;
            }
            _ => {
                if !self.class_escape(start)? {
                    let character = self.rest.character(start)?;
                    self.literal(character);
                }
            }
        }
        Ok(())
    }

    fn put(&mut self, taken: usize, rust: &str) {
        self.rest.at += taken;
        self.rust.push_str(rust);
    }

    /// What follows a parenthesis.
    fn group(&mut self, start: usize) -> Result<(), SyntaxError> {
        self.rust.push('(');
        if !self.rest.take("?") {
            return Ok(());
        }
        if self.rest.take("P<") || self.rest.take("<") {
            let rest = self.rest.str();
            let name = rest.split('>').next().unwrap_or_default();
            let is_name = !name.is_empty()
                && name.len() < rest.len()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !is_name {
                let reason = "neither a named group nor anything else that RE2's syntax has; there is no look-around";
                return Err(SyntaxError::new(start, reason));
            }
            self.rest.at += name.len() + 1;
            return Ok(());
        }
        let rest = self.rest.str();
        let length = rest
            .bytes()
            .take_while(|b| matches!(b, b'i' | b'm' | b's' | b'U' | b'-'))
            .count();
        let (flags, after) = rest.split_at(length);
        let known = flags.matches('-').count() <= 1 && !flags.ends_with('-');
        match after.chars().next() {
            Some(')') if known && flags.is_empty() => {
                // Sets no flags.
                self.rust.pop();
                self.rest.at += 1;
            }
            Some(end @ (')' | ':')) if known => {
                self.rust.push('?');
                self.rust.push_str(flags);
                self.rust.push(end);
                self.rest.at += length + 1;
            }
            _ => {
                let reason = "no group that RE2's syntax has: there is no look-around, and the flags are i, m, s and U";
                return Err(SyntaxError::new(start, reason));
            }
        }
        Ok(())
    }
}

/// The length of a repetition `n}`, `n,}` or `n,m}` at the beginning of `text`, if there is one.
fn repetition(text: &str) -> Option<usize> {
    let (range, _) = text.split_once('}')?;
    let (least, most) = range.split_once(',').unwrap_or((range, ""));
    let number = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
    (!least.is_empty() && number(least) && number(most)).then_some(range.len() + 1)
}

/// Appends a character of a class, in a form that means nothing else there.
fn class_literal(rust: &mut String, character: char) {
    if character.is_ascii_alphanumeric() {
        rust.push(character);
    } else {
        // Writing to a String does not fail.
        let _ = write!(rust, "\\x{{{:X}}}", u32::from(character));
    }
}

#[cfg(test)]
mod tests;
