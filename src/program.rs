//! VIR0 programs from files, texts and bytes.

use gristmill_megakernel::vir0::asm::{assemble, AsmError, AsmOptions};
use gristmill_megakernel::vir0::{
    self, container, verify, DecodeError, Limits, Refusal, Rule, Verified,
};
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
    /// A program that the verifier does not accept. Where its text is known, shown in three lines, as what does not
    /// assemble is.
    #[error("{}", refused(name, refusal, place.as_deref()))]
    Refused {
        /// The file, or the program's name.
        name: String,
        /// The rule that it breaks, and where.
        refusal: Refusal,
        /// The line of the text that it is about.
        place: Option<Box<AsmError>>,
    },
}

fn refused(name: &str, refusal: &Refusal, place: Option<&AsmError>) -> String {
    match place {
        Some(place) => place.to_string(),
        None => format!("{name}: refused: {refusal}"),
    }
}

impl ProgramError {
    /// A refusal of a program that came from `source`, which shows its line where that is a text.
    pub fn refused(name: &str, source: &[u8], refusal: Refusal) -> Self {
        ProgramError::Refused {
            place: place(name, source, &refusal).map(Box::new),
            name: name.to_owned(),
            refusal,
        }
    }

    /// Whether it is shown in several lines.
    pub fn has_lines(&self) -> bool {
        matches!(
            self,
            ProgramError::Assemble(_) | ProgramError::Refused { place: Some(_), .. }
        )
    }
}

/// The line of a text that a refusal is about: that of the instruction, or of the directive that says what is too much.
fn place(name: &str, source: &[u8], refusal: &Refusal) -> Option<AsmError> {
    if source.starts_with(&container::MAGIC) {
        return None;
    }
    let text = std::str::from_utf8(source).ok()?;
    let word = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let find = |directive: &str| {
        text.lines()
            .position(|line| word(line).as_deref() == Some(directive))
    };
    // With these lines have other numbers.
    if find(".line").is_some() {
        return None;
    }
    let index = match (refusal.line, refusal.rule) {
        (Some(line), _) => usize::try_from(line).ok()?.checked_sub(1)?,
        (None, Rule::Cost | Rule::Work | Rule::ChunkSize) => find(".chunk")?,
        (None, Rule::Align) => find(".align").or_else(|| find(".chunk"))?,
        (None, Rule::Records) => find(".records")?,
        (None, Rule::Halo) => find(".before").or_else(|| find(".after"))?,
        (None, _) => return None,
    };
    let line = text.lines().nth(index)?;
    let code = line.split(';').next().unwrap_or(line).trim_end();
    let blank = code.chars().take_while(|c| c.is_whitespace()).count();
    let about = Refusal {
        line: None,
        ..refusal.clone()
    };
    Some(AsmError {
        source_name: name.to_owned(),
        line: index + 1,
        column: blank + 1,
        width: code.chars().count().saturating_sub(blank).max(1),
        text: line.to_owned(),
        message: format!("refused: {about}"),
    })
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
        Self::of(&name, &container::MAGIC, program)
    }

    /// Verifies a program that came from `source`.
    fn of(name: &str, source: &[u8], program: vir0::Program) -> Result<Self, ProgramError> {
        verify(program, &Limits::default())
            .map(Program)
            .map_err(|refusal| ProgramError::refused(name, source, refusal))
    }

    /// Assembles and verifies a text. Files that it names are looked for in the directory of `name`.
    ///
    /// # Errors
    /// [`ProgramError::Assemble`] or [`ProgramError::Refused`].
    pub fn from_source(name: &str, source: &str) -> Result<Self, ProgramError> {
        let source = source.as_bytes();
        let program = parse(Path::new(name), source, true)?;
        Self::of(name, source, program)
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
        let program = parse(path, &bytes, true)?;
        Self::of(&path.display().to_string(), &bytes, program)
    }

    /// The program as data, with its static cost.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
}
