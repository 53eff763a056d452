//! The assembler: it translates the text form of a program, which section 8 of `docs/vir0.md` describes, into the
//! program.
//!
//! A line has one statement: a directive, which begins with a point, or an instruction, which begins with its
//! [mnemonic](crate::isa::Op::mnemonic). Commas separate operands, and `;` begins a comment:
//!
//! ```text
//! .acc   newlines sum
//! .const NL = '\n'
//! .reg   byte = r2
//!
//! each  r1, 1             ; for every byte
//!   ld8   byte, r1
//!   eq    r3, byte, NL
//!   acc   newlines, r3
//! end
//! ```
//!
//! The first pass reads the lines and declares names. The second evaluates expressions, so a constant may be used
//! before the line that defines it.
//!
//! - `lex`: a line as tokens;
//! - `directive`, `show`, `operand`: directives and instructions;
//! - `expression`: constants and expressions;
//! - `error`: the errors of a source, and how they are shown.

mod directive;
mod error;
mod expression;
mod lex;
mod operand;
mod show;
#[cfg(test)]
mod tests;

pub use error::AsmError;

use crate::isa::Op;
use crate::program::{is_name, Debug, Program};
use error::{nearest, LineError, SourceError};
use expression::Constants;
use lex::{tokens, Token};
use show::Showing;
use std::collections::HashMap;
use std::fmt;

/// The largest size of a source, in bytes.
pub const MAX_SOURCE: usize = 4 << 20;

/// The largest number of instructions that the assembler accepts; the verifier accepts fewer.
pub const MAX_ASSEMBLED: usize = 65_536;

/// The options of the assembler.
#[derive(Clone, Copy)]
pub struct AsmOptions<'a> {
    /// The source's name, for errors and debug information.
    pub name: &'a str,
    /// Reads the file that a `.file` names.
    pub files: &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>,
    /// Whether the program gets debug information: the name of the source, and the line of each instruction.
    pub debug: bool,
}

impl fmt::Debug for AsmOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsmOptions")
            .field("name", &self.name)
            .field("debug", &self.debug)
            .finish_non_exhaustive()
    }
}

/// A statement that the second pass evaluates, when all constants are known. These statements are kept in the order of
/// the source, so that the first error is the one that is reported.
struct Deferred {
    line: usize,
    what: Purpose,
    tokens: Vec<Token>,
}

/// What the tokens of a deferred statement define.
enum Purpose {
    Before,
    After,
    Chunk,
    Align,
    Records,
    /// The default value of the argument with this index.
    Default(usize),
    /// The length of the scratch array with this index.
    Words(usize),
    /// The length of the accumulator array with this index.
    Len(usize),
    /// Bytes of the table whose values are already known.
    Bytes(Vec<u8>),
    /// Values in the table, and the number of bytes of each.
    Values(usize),
    /// How a result is shown.
    Show(Showing),
    /// The line of the instructions that follow, in the debug information.
    Line,
    Instruction,
}

/// A name for a register.
struct Alias {
    register: u8,
    line: usize,
}

struct Assembler<'a> {
    options: AsmOptions<'a>,
    program: Program,
    constants: Constants,
    registers: HashMap<String, Alias>,
    /// The lines that define constants, parts of the table and names of registers.
    defined: HashMap<String, usize>,
    /// The lines that first declare the name of an argument or array. The verifier, not the assembler, refuses equal
    /// names.
    declared: HashMap<String, usize>,
    /// The lines of those directives that may be given only once.
    once: HashMap<String, usize>,
    deferred: Vec<Deferred>,
    instructions: usize,
    table_bytes: usize,
    /// The current part of the table: its name, its line, and the offset where it begins.
    part: Option<(String, usize, usize)>,
    source: Option<String>,
    nodebug: bool,
}

/// Assembles a source. It does not verify the program.
///
/// # Errors
/// [`AsmError`] for the first line that cannot be read; if there is none, for the first constant that has no value; and
/// if there is none either, for the first line that is wrong in another way.
pub fn assemble(source: &str, options: &AsmOptions<'_>) -> Result<Program, AsmError> {
    let error = |(line, wrong): SourceError| AsmError {
        source_name: options.name.into(),
        line,
        column: wrong.column,
        width: wrong.width,
        text: source
            .split('\n')
            .nth(line.saturating_sub(1))
            .map_or("", |text| text.strip_suffix('\r').unwrap_or(text))
            .into(),
        message: wrong.message,
    };
    if source.len() > MAX_SOURCE {
        let wrong = LineError {
            column: 1,
            width: 1,
            message: format!("a source has at most {MAX_SOURCE} bytes; put data into a .file"),
        };
        return Err(error((1, wrong)));
    }
    let mut assembler = Assembler {
        options: *options,
        program: Program::default(),
        constants: Constants::default(),
        registers: HashMap::new(),
        defined: HashMap::new(),
        declared: HashMap::new(),
        once: HashMap::new(),
        deferred: Vec::new(),
        instructions: 0,
        table_bytes: 0,
        part: None,
        source: None,
        nodebug: false,
    };
    for (index, text) in source.split('\n').enumerate() {
        let line = index + 1;
        tokens(text.strip_suffix('\r').unwrap_or(text))
            .and_then(|tokens| assembler.statement(line, tokens))
            .map_err(|wrong| error((line, wrong)))?;
    }
    assembler.finish().map_err(error)
}

/// The tokens of each operand. Commas separate operands.
fn operands(tokens: &[Token]) -> Result<Vec<&[Token]>, LineError> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let beside = tokens.iter().zip(tokens.iter().skip(1));
    for (left, right) in beside {
        if left.ends_value() && right.begins_value() {
            return Err(right.error("a comma is missing before this"));
        }
    }
    let parts: Vec<&[Token]> = tokens.split(|token| token.is_sign(',')).collect();
    let mut seen = 0;
    for part in &parts {
        // The position of the comma after an empty part, or of the one before it.
        seen += part.len();
        if part.is_empty() {
            let comma = tokens.get(seen).or(tokens.last());
            let message = "an operand is missing beside this comma";
            return Err(
                comma.map_or_else(|| missing(tokens, message), |comma| comma.error(message))
            );
        }
        seen += 1;
    }
    Ok(parts)
}

/// An error that something is missing after the last of `tokens`.
fn missing(tokens: &[Token], message: impl Into<String>) -> LineError {
    LineError {
        column: tokens.last().map_or(1, |last| last.column + last.width),
        width: 1,
        message: message.into(),
    }
}

impl Assembler<'_> {
    fn defer(&mut self, line: usize, what: Purpose, tokens: &[Token]) {
        self.deferred.push(Deferred {
            line,
            what,
            tokens: tokens.to_vec(),
        });
    }

    /// The first pass: it declares names, and defers expressions to the second.
    fn statement(&mut self, line: usize, tokens: Vec<Token>) -> Result<(), LineError> {
        let Some((first, rest)) = tokens.split_first() else {
            return Ok(());
        };
        let Some(word) = first.word() else {
            return Err(first.error("a line begins with an instruction or a directive"));
        };
        if word.starts_with('.') {
            return self.directive(line, word, first, rest);
        }
        if Op::from_mnemonic(word).is_none() && word != "ldi" {
            let known = Op::ALL.iter().map(|op| op.mnemonic());
            let near = nearest(word, known.chain(["ldi"]));
            return Err(first.error(format!("there is no instruction {word}{near}")));
        }
        if self.instructions >= MAX_ASSEMBLED {
            return Err(first.error(format!("a source has at most {MAX_ASSEMBLED} instructions")));
        }
        self.instructions += 1;
        self.deferred.push(Deferred {
            line,
            what: Purpose::Instruction,
            tokens,
        });
        Ok(())
    }

    /// The second pass: it evaluates expressions, and makes the instructions.
    fn finish(mut self) -> Result<Program, SourceError> {
        self.end_part();
        self.constants.resolve()?;
        if !self.once.contains_key(".name") {
            self.program.name = default_name(self.options.name);
        }
        let mut shown = None;
        let mut lines = Vec::with_capacity(self.instructions);
        for Deferred { line, what, tokens } in std::mem::take(&mut self.deferred) {
            match what {
                Purpose::Line => shown = Some(self.line(&tokens).map_err(|error| (line, error))?),
                Purpose::Instruction => {
                    let instr = self
                        .instruction(line, &tokens)
                        .map_err(|error| (line, error))?;
                    self.program.code.push(instr);
                    lines.push(shown.unwrap_or(u32::try_from(line).unwrap_or(u32::MAX)));
                }
                what => self
                    .evaluate(what, &tokens)
                    .map_err(|error| (line, error))?,
            }
        }
        if self.options.debug && !self.nodebug {
            let source = self.source.unwrap_or_else(|| {
                let mut name = self.options.name.to_owned();
                // A container cannot hold a longer name.
                while name.len() > usize::from(u16::MAX) {
                    name.pop();
                }
                name
            });
            self.program.debug = Some(Debug { source, lines });
        }
        Ok(self.program)
    }
}

/// The default name of a program, derived from the name of its source.
fn default_name(source: &str) -> String {
    let file = source.rsplit('/').next().unwrap_or(source);
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let name: String = stem
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if is_name(&name) {
        name
    } else {
        Program::default().name
    }
}
