//! Why patterns are refused, and where.

use super::{LineMatcher, LineSettings};
use grep_regex::ErrorKind;
use regex_syntax::{ast, hir};
use std::fmt;

/// Why a set of patterns is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The number of the pattern, from 0; `None` if the fault is in none of them alone.
    pub pattern: Option<usize>,
    /// Where in the pattern.
    pub place: Option<Place>,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// A place in a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// The number of characters; 0 for a place between two.
    pub width: usize,
    /// The line's text, where each control character is replaced by a space.
    pub text: String,
}

impl fmt::Display for Place {
    /// The line, and below it a caret for each character, each line indented by four spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = " ".repeat(self.column.saturating_sub(1));
        write!(
            f,
            "    {}\n    {before}{}",
            self.text,
            "^".repeat(self.width.max(1))
        )
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(pattern) = self.pattern {
            write!(f, "pattern {}", pattern.saturating_add(1))?;
            if let Some(place) = &self.place {
                write!(f, ", line {}, column {}", place.line, place.column)?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.reason)?;
        match &self.place {
            Some(place) => write!(f, "\n{place}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for PatternError {}

impl PatternError {
    /// A pattern that is not UTF-8.
    #[must_use]
    pub fn not_utf8(number: usize, pattern: &[u8]) -> Self {
        let valid = pattern
            .utf8_chunks()
            .next()
            .map_or("", |chunk| chunk.valid());
        let column = valid.chars().count() + 1;
        Self {
            pattern: Some(number),
            place: Some(Place {
                line: 1,
                column,
                width: 1,
                text: shown(&String::from_utf8_lossy(pattern)),
            }),
            reason: "found invalid UTF-8 in pattern; disable Unicode mode and use hex escape sequences to match arbitrary \
                     bytes, for example '(?-u)\\xFF'"
                .into(),
        }
    }

    /// The error of a set: of the first pattern that is at fault by itself, or of all together.
    pub(super) fn of_set(
        patterns: &[&str],
        settings: &LineSettings,
        error: &grep_regex::Error,
    ) -> Self {
        let named = |number, reason, place| Self {
            pattern: Some(number),
            place,
            reason,
        };
        let faulty = patterns.iter().enumerate().find_map(|(number, pattern)| {
            let (reason, place) = fault(pattern, settings)?;
            Some(named(number, reason, place))
        });
        if let Some(faulty) = faulty {
            return faulty;
        }
        let alone = match error.kind() {
            ErrorKind::Regex(_) if patterns.len() > MOST_COMPILED => None,
            ErrorKind::Regex(_) if patterns.len() == 1 => Some((0, explained(error))),
            ErrorKind::Regex(_) => first_error(patterns, settings, |_| true),
            _ => {
                // What a pattern may match is looked at before it is compiled, which takes long.
                let nothing = LineSettings {
                    size_limit: 0,
                    ..settings.clone()
                };
                first_error(patterns, &nothing, |kind| {
                    !matches!(kind, ErrorKind::Regex(_))
                })
            }
        };
        match alone {
            Some((number, reason)) => named(number, reason, None),
            None => Self {
                pattern: None,
                place: None,
                reason: match explained(error).lines().last() {
                    // The rest would be all patterns.
                    Some(last) if patterns.len() > 1 => format!("all patterns together: {last}"),
                    _ => explained(error),
                },
            },
        }
    }
}

/// The most patterns that are compiled one by one to find the one that is too large.
const MOST_COMPILED: usize = 32;

/// The first pattern that is refused by itself, and why.
fn first_error(
    patterns: &[&str],
    settings: &LineSettings,
    counts: impl Fn(&ErrorKind) -> bool,
) -> Option<(usize, String)> {
    patterns.iter().enumerate().find_map(|(number, pattern)| {
        let error = LineMatcher::builder(settings).build(pattern).err()?;
        counts(error.kind()).then(|| (number, explained(&error)))
    })
}

/// What is wrong with a pattern's syntax, and where.
fn fault(pattern: &str, settings: &LineSettings) -> Option<(String, Option<Place>)> {
    if settings.fixed_strings {
        return None;
    }
    let ast = match ast::parse::ParserBuilder::new()
        .nest_limit(super::NEST_LIMIT)
        .build()
        .parse(pattern)
    {
        Ok(ast) => ast,
        Err(error) => return Some((error.kind().to_string(), place(pattern, error.span()))),
    };
    let translated = hir::translate::TranslatorBuilder::new()
        .utf8(false)
        .case_insensitive(settings.case == super::Case::Insensitive)
        .multi_line(true)
        .crlf(settings.crlf)
        .unicode(settings.unicode)
        .build()
        .translate(pattern, &ast);
    let error = translated.err()?;
    Some((error.kind().to_string(), place(pattern, error.span())))
}

fn place(pattern: &str, span: &ast::Span) -> Option<Place> {
    let text = pattern
        .lines()
        .nth(span.start.line.saturating_sub(1))
        .unwrap_or("");
    let width = if span.is_one_line() {
        span.end.column.saturating_sub(span.start.column)
    } else {
        1
    };
    Some(Place {
        line: span.start.line,
        column: span.start.column,
        width,
        text: shown(text),
    })
}

/// A line of a pattern such that its columns stay where they are.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// The regex crate's text, and what to do.
fn explained(error: &grep_regex::Error) -> String {
    match error.kind() {
        ErrorKind::NotAllowed(literal) => {
            format!("the literal {literal:?} is not allowed in a regex: a line holds none; search for parts of a line")
        }
        ErrorKind::Banned(_) => "pattern contains \"\\0\" but it is impossible to match: a NUL ends the search of a file; \
                                 search files as text"
            .into(),
        ErrorKind::Regex(text) if text.contains("size limit") => {
            format!("{text} bytes; give fewer or simpler patterns, or allow more")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(patterns: &[&str], settings: &LineSettings) -> PatternError {
        LineMatcher::build(patterns, settings).unwrap_err()
    }

    #[test]
    fn the_pattern_at_fault_is_named() {
        let settings = LineSettings::default();
        let found = error(&["a", "b\\(", "c(\td"], &settings);
        assert_eq!(found.pattern, Some(2));
        assert_eq!(
            found.to_string(),
            "pattern 3, line 1, column 2: unclosed group\n    c( d\n     ^"
        );
        let found = error(&["a", r"b\nc", "d"], &settings);
        assert_eq!((found.pattern, found.place), (Some(1), None));
        let found = error(&["a", r"b\x00c"], &settings);
        assert_eq!(found.pattern, Some(1));
        let small = LineSettings {
            size_limit: 10_000,
            ..settings.clone()
        };
        let found = error(&["a", r"\w{50}"], &small);
        assert_eq!(found.pattern, Some(1));
        assert!(
            found.reason.contains("size limit of 10000 bytes"),
            "{found}"
        );
        // Each is small enough, and all together are not.
        let many: Vec<String> = (0..200).map(|number| format!("[a-z]{number}x+")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let found = error(&many, &small);
        assert!(
            found.pattern.is_none() && found.reason.starts_with("all patterns together: "),
            "{found}"
        );
    }

    #[test]
    fn a_place_in_a_pattern_of_several_lines_is_told_by_line() {
        let found = error(&["(?x)\n a  # ok\n b]{2\n"], &LineSettings::default());
        let place = found.place.unwrap();
        assert_eq!((place.line, place.text.as_str()), (3, " b]{2"));
    }
}
