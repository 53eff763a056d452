//! VIR0 programs from files, texts and bytes.

use crate::bounded;
use crate::source::{FileId, Root};
use gristmill_megakernel::vir0::asm::{assemble, AsmError, AsmOptions};
use gristmill_megakernel::vir0::{
    self, container, verify, DecodeError, Limits, Refusal, Rule, Verified,
};
use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// Why a program could not be loaded.
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
    /// The file is neither an assembled program nor a text.
    #[error(
        "{}: neither an assembled program nor a text: byte {offset} is not UTF-8; name a .vasm file",
        path.display()
    )]
    NotText {
        /// The file.
        path: PathBuf,
        /// The offset of the first byte that is not UTF-8.
        offset: usize,
    },
    /// The assembled program is malformed.
    #[error("{}: {error}", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        error: DecodeError,
    },
    /// The text does not assemble. The error is shown in three lines.
    #[error("{0}")]
    Assemble(AsmError),
    /// The text names a file outside the directories that its [`Loader`] allows. The error is shown in three lines.
    #[error("{0}")]
    Outside(AsmError),
    /// The verifier does not accept the program. Where its text is known, the error is shown in three lines, like that
    /// of a text that does not assemble.
    #[error("{}", refused(name, refusal, place.as_deref()))]
    Refused {
        /// The file, or the program's name.
        name: String,
        /// The rule that it breaks, and where.
        refusal: Refusal,
        /// The line of the text that the refusal is about.
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
    /// A refusal of a program that came from `source`. If `source` is a text, the refusal shows the line concerned.
    pub fn refused(name: &str, source: &[u8], refusal: Refusal) -> Self {
        ProgramError::Refused {
            place: place(name, source, &refusal).map(Box::new),
            name: name.to_owned(),
            refusal,
        }
    }

    /// Whether the error is shown in several lines.
    pub fn has_lines(&self) -> bool {
        matches!(
            self,
            ProgramError::Assemble(_)
                | ProgramError::Outside(_)
                | ProgramError::Refused { place: Some(_), .. }
        )
    }
}

/// The line of a text that a refusal is about: that of the instruction, or of the directive that asks for too much.
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
    // `.line` directives change the numbers of the lines.
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

/// A text names a file outside the allowed directories.
#[derive(Debug, Error)]
#[error("it does not lie below the source's directory; move it there, or allow its directory")]
struct Outside;

/// The largest size of a program in bytes, assembled or as text.
pub const MAX_PROGRAM_BYTES: usize = 16 << 20;

/// Reads programs: assembled ones, or texts with the files that they name. Programs from texts get debug information.
///
/// A program is a regular file of at most [`MAX_PROGRAM_BYTES`], or an anonymous pipe. The files of a text (`.file`)
/// are regular files below its own directory: no absolute path, no `..`, and no link that leads out. [`Loader::allow`]
/// allows other directories.
#[derive(Debug, Default)]
pub struct Loader {
    allowed: Vec<PathBuf>,
    read: RefCell<Vec<FileId>>,
}

impl Loader {
    /// A loader that allows no other directories.
    pub fn new() -> Self {
        Self::default()
    }

    /// Allows texts to name files below this directory, too.
    #[must_use]
    pub fn allow(mut self, directory: impl Into<PathBuf>) -> Self {
        self.allowed.push(directory.into());
        self
    }

    /// Whether this file is one of those that were read so far.
    pub fn has_read(&self, file: FileId) -> bool {
        self.read.borrow().contains(&file)
    }

    /// Notes a file that the caller has read itself, for [`Loader::has_read`].
    pub fn reads(&self, file: FileId) {
        self.read.borrow_mut().push(file);
    }

    /// Reads a program without verifying it. Returns it with the bytes that it came from.
    ///
    /// # Errors
    /// [`ProgramError`] for anything but a refusal.
    pub fn load(&self, path: &Path) -> Result<(vir0::Program, Vec<u8>), ProgramError> {
        let bytes =
            bounded::open_program(path).and_then(|file| self.bytes(file, MAX_PROGRAM_BYTES));
        let bytes = bytes.map_err(|error| ProgramError::Read {
            path: path.to_path_buf(),
            error,
        })?;
        Ok((self.parse(path, &bytes)?, bytes))
    }

    /// Decodes a program's bytes: an assembled program, or else a text, whose files lie below `path`'s directory.
    ///
    /// # Errors
    /// As [`Loader::load`].
    pub fn parse(&self, path: &Path, bytes: &[u8]) -> Result<vir0::Program, ProgramError> {
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
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let outside = Cell::new(false);
        let include = |name: &str| {
            let included = self.include(directory, Path::new(name));
            let refused =
                |error: &io::Error| error.get_ref().is_some_and(|error| error.is::<Outside>());
            outside.set(included.as_ref().is_err_and(refused));
            included
        };
        let options = AsmOptions {
            name: &path.to_string_lossy(),
            files: &include,
            debug: true,
        };
        assemble(text, &options).map_err(|error| {
            if outside.get() {
                ProgramError::Outside(error)
            } else {
                ProgramError::Assemble(error)
            }
        })
    }

    /// The bytes of a file that a text in this directory names.
    fn include(&self, directory: &Path, name: &Path) -> io::Result<Vec<u8>> {
        let outside = || io::Error::other(Outside);
        let below = |component| matches!(component, Component::Normal(_) | Component::CurDir);
        if self.allowed.is_empty() && !name.components().all(below) {
            return Err(outside());
        }
        let path = directory.join(name).canonicalize()?;
        let directories =
            std::iter::once(directory).chain(self.allowed.iter().map(PathBuf::as_path));
        for directory in directories {
            let directory = directory.canonicalize()?;
            if path.starts_with(&directory) && path != directory {
                // No link is followed from here on, so a link that is put there after the check has no effect.
                let file = Root::open(&directory)?.open_listed(&path, 0)?;
                bounded::must_be_regular(&file)?;
                return self.bytes(file, container::MAX_BYTES);
            }
        }
        Err(outside())
    }

    fn bytes(&self, file: File, most: usize) -> io::Result<Vec<u8>> {
        self.read.borrow_mut().push(FileId::of(&file)?);
        bounded::read(file, most)
    }
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

    /// Assembles and verifies a text. Files that it names are looked for below the directory of `name`.
    ///
    /// # Errors
    /// [`ProgramError::Assemble`] or [`ProgramError::Refused`].
    pub fn from_source(name: &str, source: &str) -> Result<Self, ProgramError> {
        let source = source.as_bytes();
        let program = Loader::new().parse(Path::new(name), source)?;
        Self::of(name, source, program)
    }

    /// Reads a program, assembled or as text, and verifies it. Files that a text names lie below its directory.
    ///
    /// # Errors
    /// [`ProgramError`], with the file's name.
    pub fn from_file(path: &Path) -> Result<Self, ProgramError> {
        Self::load(&Loader::new(), path)
    }

    /// Reads a program with a loader, and verifies it.
    ///
    /// # Errors
    /// [`ProgramError`], with the file's name.
    pub fn load(loader: &Loader, path: &Path) -> Result<Self, ProgramError> {
        let (program, source) = loader.load(path)?;
        Self::of(&path.display().to_string(), &source, program)
    }

    /// The program as data, with its static cost.
    pub fn verified(&self) -> &Verified {
        &self.0
    }
}
