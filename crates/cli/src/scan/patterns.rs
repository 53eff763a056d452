//! The patterns that -e and -f give, in the order in which they were given: if several match at the same place, the
//! first of them is the match that is shown.

use crate::given::args_of;
use clap::ArgMatches;
use gristmill::megakernel::stream::MAX_PATTERNS;
use gristmill::source::{stdin, STDIN_NAME};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The longest line that a pattern file may have, in bytes: an endless line must not be read into memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// The largest total size of all pattern files, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The values of -e and -f as the parser gives them, without their order.
#[derive(Debug, Clone, clap::Args)]
struct Given {
    /// A pattern to search for; may be given several times.
    ///
    /// If several patterns match at the same place, the one given first is the match that is shown.
    #[arg(
        short = 'e',
        long = "regexp",
        value_name = "PATTERN",
        allow_hyphen_values = true
    )]
    patterns: Vec<OsString>,

    /// Read patterns from this file, one per line; `-` is standard input. May be given several times.
    #[arg(
        short = 'f',
        long = "file",
        value_name = "PATTERNFILE",
        allow_hyphen_values = true
    )]
    pattern_files: Vec<PathBuf>,
}

/// The origin of patterns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Argument(OsString),
    File(PathBuf),
}

/// Patterns, and where they were read.
#[derive(Debug, Default)]
pub struct Patterns {
    /// The patterns.
    pub all: Vec<Vec<u8>>,
    /// The number of those that were arguments.
    arguments: usize,
    /// For each file, the number of the first pattern that it gave, and its name. Each of its lines is a pattern.
    files: Vec<(std::ops::Range<usize>, String)>,
}

impl Patterns {
    /// Patterns that were given as arguments.
    pub fn of_arguments(all: Vec<Vec<u8>>) -> Self {
        Self {
            arguments: all.len(),
            all,
            files: Vec::new(),
        }
    }

    /// Whether one pattern was given, as an argument.
    pub fn is_one_argument(&self) -> bool {
        self.arguments == 1 && self.files.is_empty()
    }

    /// Where a pattern was read: the file and the line there, from 1; `None` for an argument.
    pub fn place(&self, number: usize) -> Option<(&str, usize)> {
        let (range, name) = self
            .files
            .iter()
            .find(|(range, _)| range.contains(&number))?;
        Some((name, number - range.start + 1))
    }
}

/// The values of -e and -f, in their order.
#[derive(Debug, Clone, Default)]
pub struct PatternArgs {
    origins: Vec<Origin>,
}

args_of!(PatternArgs, Given);

impl PatternArgs {
    /// What the flags say together.
    fn of(given: Given, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let places = |id: &str| matches.indices_of(id).into_iter().flatten();
        let arguments = given.patterns.into_iter().map(Origin::Argument);
        let files = given.pattern_files.into_iter().map(Origin::File);
        let mut all: Vec<_> = places("patterns")
            .zip(arguments)
            .chain(places("pattern_files").zip(files))
            .collect();
        all.sort_by_key(|(place, _)| *place);
        Ok(Self {
            origins: all.into_iter().map(|(_, origin)| origin).collect(),
        })
    }

    /// Whether any were given, so that the first argument is a path.
    pub fn are_given(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Whether they are read from standard input, which then cannot be searched.
    pub fn take_stdin(&self) -> bool {
        self.stdins() > 0
    }

    /// The files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.origins.iter().filter_map(|origin| match origin {
            Origin::File(path) => Some(path),
            Origin::Argument(_) => None,
        })
    }

    fn stdins(&self) -> usize {
        let stdin = Origin::File("-".into());
        self.origins
            .iter()
            .filter(|&origin| *origin == stdin)
            .count()
    }

    /// The patterns.
    ///
    /// # Errors
    /// A message about a file that cannot be read.
    pub fn read(&self) -> Result<Patterns, String> {
        if self.stdins() > 1 {
            return Err("-f - is given twice, and standard input can be read once".into());
        }
        let mut read = Patterns::default();
        let mut bytes = 0;
        for origin in &self.origins {
            let (first, patterns) = (read.all.len(), &mut read.all);
            let name = match origin {
                Origin::Argument(pattern) => {
                    read.arguments += 1;
                    patterns.push(pattern.clone().into_vec());
                    continue;
                }
                Origin::File(path) if path == Path::new("-") => {
                    stdin()
                        .map_err(|error| error.to_string())
                        .and_then(|stdin| lines(BufReader::new(stdin), patterns, &mut bytes))
                        .map_err(|error| format!("{STDIN_NAME}: {error}"))?;
                    STDIN_NAME.to_owned()
                }
                Origin::File(path) => {
                    let name = path.display().to_string();
                    File::open(path)
                        .map_err(|error| error.to_string())
                        .and_then(|file| lines(BufReader::new(file), patterns, &mut bytes))
                        .map_err(|error| format!("{name}: {error}"))?;
                    name
                }
            };
            read.files.push((first..read.all.len(), name));
        }
        Ok(read)
    }
}

/// Adds the lines of a pattern file, without their ends: LF or CR LF. A CR at the end of a line that has no LF is part
/// of the pattern, as in ripgrep. `bytes` is the number of bytes read so far.
fn lines(
    mut text: impl BufRead,
    patterns: &mut Vec<Vec<u8>>,
    bytes: &mut u64,
) -> Result<(), String> {
    loop {
        let mut line = Vec::new();
        let read = text
            .by_ref()
            .take(MAX_LINE_BYTES + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| error.to_string())? as u64;
        if read == 0 {
            return Ok(());
        }
        *bytes += read;
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if line.len() as u64 > MAX_LINE_BYTES {
            return Err(format!(
                "a line of more than {MAX_LINE_BYTES} bytes; give a file of patterns, one a line"
            ));
        }
        if *bytes > MAX_BYTES {
            return Err(format!(
                "the pattern files have more than {MAX_BYTES} bytes together; give fewer patterns"
            ));
        }
        if patterns.len() >= MAX_PATTERNS {
            return Err(format!(
                "there are more than {MAX_PATTERNS} patterns; give fewer, and search again for the rest"
            ));
        }
        patterns.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn read(text: &[u8]) -> Vec<Vec<u8>> {
        let mut patterns = Vec::new();
        lines(text, &mut patterns, &mut 0).unwrap();
        patterns
    }

    #[test]
    fn a_line_ends_with_lf_or_cr_lf_and_nothing_else() {
        assert_eq!(read(b""), Vec::<Vec<u8>>::new());
        assert_eq!(read(b"a\nb\r\n\r\nc"), [&b"a"[..], b"b", b"", b"c"]);
        assert_eq!(read(b"a\r\nb\r"), [&b"a"[..], b"b\r"]);
        assert_eq!(read(b"\r"), [&b"\r"[..]]);
        assert_eq!(read(b"a\r\r\nb\rc\n"), [&b"a\r"[..], b"b\rc"]);
    }

    #[test]
    fn an_endless_pattern_file_is_refused_within_bounds() {
        for byte in [b'x', b'\n', 0] {
            let endless = BufReader::new(std::io::repeat(byte));
            let mut patterns = Vec::new();
            assert!(lines(endless, &mut patterns, &mut 0).is_err());
            assert!(patterns.len() <= MAX_PATTERNS);
        }
    }

    #[test]
    fn patterns_keep_the_order_of_the_command_line() {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            patterns: PatternArgs,
        }
        let line = Line::parse_from(["scan", "-f", "one", "-e", "two", "-fthree", "--regexp=four"]);
        let file = |name: &str| Origin::File(name.into());
        let argument = |text: &str| Origin::Argument(text.into());
        assert_eq!(
            line.patterns.origins,
            [
                file("one"),
                argument("two"),
                file("three"),
                argument("four")
            ]
        );
    }
}
