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
    #[error("{name}: refused: {refusal}")]
    Refused {
        /// The file, or the program's name.
        name: String,
        /// The rule that it breaks, and where.
        refusal: Refusal,
    },
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
            .map_err(|refusal| ProgramError::Refused { name, refusal })
    }

    /// Assembles and verifies a text. Files that it names are looked for in the directory of `name`.
    ///
    /// # Errors
    /// [`ProgramError::Assemble`] or [`ProgramError::Refused`].
    pub fn from_source(name: &str, source: &str) -> Result<Self, ProgramError> {
        parse(Path::new(name), source.as_bytes(), true).and_then(Self::new)
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
        let named = |error| match error {
            ProgramError::Refused { refusal, .. } => ProgramError::Refused {
                name: path.display().to_string(),
                refusal,
            },
            other => other,
        };
        parse(path, &bytes, true).and_then(Self::new).map_err(named)
    }

    /// The program as data, with its static cost.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
}
