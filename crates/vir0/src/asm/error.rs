//! The errors of the assembler, and how they are shown.

use std::fmt;

/// The largest number of columns that is shown of a line.
const SHOWN: usize = 120;

/// The largest number of columns that is shown before the caret, for a longer line.
const BEFORE: usize = 60;

/// The text that replaces the part of a line that is not shown.
const CUT: &str = "...";

/// The reason why a source cannot be assembled. It is displayed as three lines: the place and the reason, the line of
/// the source, and a caret below the error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsmError {
    /// The name of the source.
    pub source_name: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
    /// The number of characters that the error covers.
    pub width: usize,
    /// The text of the line.
    pub text: String,
    /// The description of the error, with advice on what to write instead.
    pub message: String,
}

impl std::error::Error for AsmError {}

/// An error in a line, with its place.
#[derive(Debug)]
pub(super) struct LineError {
    pub column: usize,
    pub width: usize,
    pub message: String,
}

/// The number of a line, with the error in it.
pub(super) type SourceError = (usize, LineError);

/// Appends a character in the form in which it is shown, and returns the number of columns that it takes. A tab is
/// shown as one blank, so that the caret below is in the right place. Characters that would move the cursor or change
/// the direction of writing are escaped.
fn show(out: &mut String, character: char) -> usize {
    let before = out.len();
    match character {
        '\t' => out.push(' '),
        '"' | '\'' | '\\' => out.push(character),
        _ => out.extend(character.escape_debug()),
    }
    out.get(before..).map_or(0, |shown| shown.chars().count())
}

/// A text in the form in which it is shown.
fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        show(&mut out, character);
    }
    out
}

/// The number of columns that a character takes.
fn columns(character: char) -> usize {
    show(&mut String::new(), character)
}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{}:{}:{}: {}",
            shown(&self.source_name),
            self.line,
            self.column,
            shown(&self.message)
        )?;
        let text: Vec<char> = self.text.trim_end().chars().collect();
        let fits = text.iter().map(|c| columns(*c)).sum::<usize>() <= SHOWN;
        let caret = self.column.saturating_sub(1);
        let before = text.get(..caret).unwrap_or(&text);
        let kept = if fits {
            before.len()
        } else {
            let used = before.iter().rev().scan(0, |used, c| {
                *used += columns(*c);
                Some(*used)
            });
            used.take_while(|used| *used <= BEFORE).count()
        };
        let skipped = before.len() - kept;

        let mut line = String::from(if skipped > 0 { CUT } else { "" });
        let mut used = line.len();
        let (mut start, mut end) = (None, None);
        for (index, character) in text.iter().enumerate().skip(skipped) {
            let next = used + columns(*character);
            if !fits && next > SHOWN - CUT.len() {
                line.push_str(CUT);
                break;
            }
            if index == caret {
                start = Some(used);
            }
            if index >= caret && index - caret < self.width {
                end = Some(next);
            }
            show(&mut line, *character);
            used = next;
        }
        // The missing text may belong beyond the end of the line, or beyond blanks there.
        let start = start.unwrap_or_else(|| {
            let beyond = caret.saturating_sub(text.len());
            used + beyond.min(SHOWN.saturating_sub(used))
        });
        let width = end.map_or(1, |end| end.saturating_sub(start).max(1));
        writeln!(f, "{line}")?;
        write!(f, "{}{}", " ".repeat(start), "^".repeat(width))
    }
}

/// The known word that is nearest to an unknown word, phrased as the end of a message.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = known
        .into_iter()
        .map(|known| (distance(word, known), known))
        // Two changes turn any word of two letters into any other.
        .filter(|(distance, _)| *distance <= 2 && *distance < word.len())
        .min();
    near.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// The Levenshtein distance of two words, ignoring case. Long words get the largest distance, which takes no time to
/// compute.
fn distance(left: &str, right: &str) -> usize {
    if left.len() > 64 {
        return usize::MAX;
    }
    strsim::levenshtein(&left.to_ascii_lowercase(), &right.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest, AsmError};

    fn error(text: &str, column: usize, width: usize) -> String {
        AsmError {
            source_name: "a.vasm".into(),
            line: 3,
            column,
            width,
            text: text.into(),
            message: "no".into(),
        }
        .to_string()
    }

    #[test]
    fn distances_are_levenshteins() {
        for (left, right, expected) in [
            ("", "", 0),
            ("add", "add", 0),
            ("ADD", "add", 0),
            ("ad", "add", 1),
            ("addd", "add", 1),
            ("dad", "add", 2),
            ("kitten", "sitting", 3),
            ("shl", "shr", 1),
            ("", "ab", 2),
            ("ab", "", 2),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
        assert_eq!(nearest("x", ["if"]), "");
        assert_eq!(nearest("lod8", ["ld8", "ld32"]), "; did you mean ld8?");
    }

    #[test]
    fn carets_stand_below_what_they_are_about() {
        assert_eq!(error("\tmov\tr1", 6, 2), "a.vasm:3:6: no\n mov r1\n     ^^");
        // A character that the terminal would interpret as a command takes more than one column.
        assert_eq!(
            error("\u{1b} \u{9b}x", 4, 1),
            "a.vasm:3:4: no\n\\u{1b} \\u{9b}x\n             ^"
        );
        assert_eq!(error("mov", 4, 1), "a.vasm:3:4: no\nmov\n   ^");
        assert_eq!(error("mov  ", 6, 1), "a.vasm:3:6: no\nmov\n     ^");
        assert_eq!(error("", 1, 1), "a.vasm:3:1: no\n\n^");
        assert_eq!(error("\"\\'", 2, 1), "a.vasm:3:2: no\n\"\\'\n ^");
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        for (before, after) in [(0, 500), (59, 500), (60, 0), (70, 49), (119, 0), (500, 500)] {
            for filler in ["a", "\u{1b}", "é"] {
                let text = format!("{}@@{}", filler.repeat(before), filler.repeat(after));
                let shown = error(&text, before + 1, 2);
                let lines: Vec<Vec<char>> = shown.lines().map(|l| l.chars().collect()).collect();
                assert_eq!(lines.len(), 3);
                assert!(lines[1].len() <= 120, "{shown}");
                let caret = lines[2].iter().position(|c| *c == '^').unwrap();
                assert_eq!(lines[2].len(), caret + 2, "{shown}");
                assert_eq!(lines[1][caret..caret + 2], ['@', '@'], "{shown}");
            }
        }
        // The row of carets itself is cut if it would be too long.
        let shown = error(&"a".repeat(1000), 1, 1000);
        assert!(shown.lines().all(|line| line.len() <= 120), "{shown}");
    }
}
