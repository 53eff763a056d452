//! VIR0 programs from files, texts and bytes.

use gristmill_megakernel::vir0::asm::{assemble, AsmError, AsmOptions};
use gristmill_megakernel::vir0::{self, container, verify, DecodeError, Limits, Refusal, Verified};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why there is no program.
#[derive(Debug, Error)]
pub enum ProgramError {
    /// The file cannot be read.
    #[error("{}: {error}; name a program that can be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Neither an assembled program nor a text.
    #[error(
        "{}: neither an assembled program nor a text: byte {offset} is not UTF-8; name a .vasm file",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// Where it stops being UTF-8.
        offset: usize,
    },
    /// An assembled program that is malformed.
    #[error("{}: {error}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: DecodeError,
    },
    /// A text that does not assemble: shown in three lines.
    #[error("{0}")]
    Assemble(AsmError),
    /// A program that the verifier does not accept.
    #[error("{name}: refused: {}", explained(refusal, source_line.as_deref()))]
    Refused {
        /// The file, or the program's name.
        name: String,
        /// The rule that it breaks, and where.
        refusal: Refusal,
        /// The line of the text that it is about, as [`line_of`] has it, where there is a text.
        source_line: Option<String>,
    },
}

impl ProgramError {
    /// A refusal with the name of the file whose `bytes` the program is, and the line that it is about.
    fn named(self, name: String, bytes: &[u8]) -> Self {
        match self {
            ProgramError::Refused { refusal, .. } => ProgramError::Refused {
                name,
                source_line: line_of(bytes, &refusal),
                refusal,
            },
            other => other,
        }
    }
}

/// Longest source line that a refusal shows, in characters.
const SHOWN: usize = 80;

/// The line of a text that a refusal is about, without its comment; `None` where it is about none, or the program is not
/// a text.
pub fn line_of(bytes: &[u8], refusal: &Refusal) -> Option<String> {
    if bytes.starts_with(&container::MAGIC) {
        return None;
    }
    let index = usize::try_from(refusal.line?).ok()?.checked_sub(1)?;
    let line = bytes.split(|byte| *byte == b'\n').nth(index)?;
    let code = std::str::from_utf8(line).ok()?.split(';').next()?.trim();
    let shown = code.chars().take(SHOWN).flat_map(|character| {
        let control = character.is_control();
        let escaped = control.then(|| character.escape_default());
        let plain = (!control).then_some(character);
        escaped.into_iter().flatten().chain(plain)
    });
    Some(shown.collect())
}

/// A refusal, with the source line that it is about.
pub fn explained(refusal: &Refusal, source_line: Option<&str>) -> String {
    match (refusal.line, source_line) {
        (Some(line), Some(text)) => format!("{refusal} (line {line} is: {text})"),
        _ => refusal.to_string(),
    }
}

/// A program's bytes as data: what is assembled already, or else a text, whose files lie beside `path`. A text's program
/// gets debug information if `debug`.
///
/// # Errors
/// [`ProgramError`] for anything but a refusal: nothing is verified here.
pub fn parse(path: &Path, bytes: &[u8], debug: bool) -> Result<vir0::Program, ProgramError> {
    if bytes.starts_with(&container::MAGIC) {
        return container::decode(bytes).map_err(|error| ProgramError::Decode {
            path: path.to_path_buf(),
            error,
        });
    }
    let text = std::str::from_utf8(bytes).map_err(|error| ProgramError::NotText {
        path: path.to_path_buf(),
        offset: error.valid_up_to(),
    })?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let options = AsmOptions {
        name: &path.to_string_lossy(),
        files: &|file| std::fs::read(directory.join(file)),
        debug,
    };
    assemble(text, &options).map_err(ProgramError::Assemble)
}

/// A verified program.
#[derive(Debug, Clone)]
pub struct Program(Verified);

impl Program {
    /// Verifies a program.
    ///
    /// # Errors
    /// [`ProgramError::Refused`].
    pub fn new(program: vir0::Program) -> Result<Self, ProgramError> {
        let name = program.name.clone();
        verify(program, &Limits::default())
            .map(Program)
            .map_err(|refusal| ProgramError::Refused {
                name,
                refusal,
                source_line: None,
            })
    }

    /// Assembles and verifies a text. Files that it names are looked for in the directory of `name`.
    ///
    /// # Errors
    /// [`ProgramError::Assemble`] or [`ProgramError::Refused`].
    pub fn from_source(name: &str, source: &str) -> Result<Self, ProgramError> {
        parse(Path::new(name), source.as_bytes(), true)
            .and_then(Self::new)
            .map_err(|error| error.named(name.to_owned(), source.as_bytes()))
    }

    /// Reads a program, assembled or as text, and verifies it.
    ///
    /// # Errors
    /// [`ProgramError`], with the file's name.
    pub fn from_file(path: &Path) -> Result<Self, ProgramError> {
        let bytes = std::fs::read(path).map_err(|error| ProgramError::Read {
            path: path.to_path_buf(),
            error,
        })?;
        parse(path, &bytes, true)
            .and_then(Self::new)
            .map_err(|error| error.named(path.display().to_string(), &bytes))
    }

    /// The program as data, with its static cost.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_shows_its_line_without_comment_and_in_one_line_whatever_it_holds() {
        let long = format!("each r2, 1 {}", "x".repeat(1000));
        for (line, shown) in [
            ("  each r2, 1 ; for every byte", "each r2, 1"),
            ("\teach\tr2, 1\r", "each\\tr2, 1"),
            (&long, &long[..SHOWN]),
        ] {
            let text = format!("each r1, 1\n{line}\nend\nend\n");
            let refusal = Refusal {
                rule: vir0::Rule::CodeSize,
                instruction: Some(1),
                line: Some(2),
                found: "found".into(),
            };
            assert_eq!(line_of(text.as_bytes(), &refusal).as_deref(), Some(shown));
            for line in [None, Some(0), Some(99)] {
                let elsewhere = Refusal {
                    line,
                    ..refusal.clone()
                };
                assert_eq!(line_of(text.as_bytes(), &elsewhere), None);
            }
        }
    }
}
