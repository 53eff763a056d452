//! The assembler: a program's text form.
//!
//! One statement a line, `;` begins a comment, commas stand between operands. Directives describe the program, other lines
//! are instructions, by their [mnemonics](crate::isa::Op::mnemonic).
//!
//! | directive | what |
//! |---|---|
//! | `.name NAME` | the program's name; by default from the source's |
//! | `.before N`, `.after N` | bytes of halo |
//! | `.chunk N`, `.align N`, `.records N` | the largest chunk, its alignment, records of a chunk |
//! | `.arg NAME`, `.arg NAME = N` | an argument, with a default |
//! | `.scratch NAME N` | an array of scratch words |
//! | `.acc NAME KIND`, `.acc NAME[N] KIND` | an accumulator, an array of them: sum, min, max, or, xor |
//! | `.const NAME = N` | a constant |
//! | `.reg NAME = rN` | another name for a register, from here on |
//! | `.table NAME` | a constant: the offset of the next byte of the table; `NAME.len` is the number of bytes up to the next `.table` |
//! | `.u8 N, ...`, `.u32 N, ...`, `.ascii "text"`, `.file "name"` | bytes of the table |
//! | `.source "name"`, `.line N`, `.nodebug` | what the disassembler writes of the debug information: the source's name, the line of the instructions from here on, or that there is none |
//!
//! `N` is an expression of numbers (decimal, `0x`, `0b`, `'c'`, with `_` between digits), constants, `+ - * / << >> & |`
//! and parentheses; `<<` and `>>` bind more tightly than `&` and that more than `|`. It is a number of 32 bits in the end:
//! -2^31 to 2^32 - 1. Texts and characters know the escapes `\n \r \t \0 \\ \" \' \xNN`. Names may be used before they are
//! defined, but those of registers. An array or argument may be named by its number, `#3`.
//!
//! | instruction | operands |
//! |---|---|
//! | `mov`, `sel`, arithmetic, comparisons | `rD, rA, B`, with B a register or N; `mov` has no rA, `not popcnt clz ctz bswap` no B |
//! | `len`, `avail.before`, `avail.after`, `base.lo`, `base.hi` | `rD` |
//! | `ld8`, `ld32`, `tb8`, `tb32` | `rD, rA, B`: at rA + B |
//! | `s.ld` | `rD, ARRAY, INDEX`, with the index a register or N |
//! | `s.st`, `s.add`, `s.min`, `s.max`, `s.or`, `s.xor`, `acc` | `ARRAY, INDEX, rA` |
//! | `emit` | `rA, B`: position and value |
//! | `arg` | `rD, ARGUMENT` |
//! | `each`, `loop`, `if`, `break` | `rD, N`; `N`; `rA`; `rA` |
//! | `else`, `end`, `halt` | |
//!
//! For convenience: `ldi rD, N` is `mov rD, N`; the offset of `ld8`, `ld32`, `tb8` and `tb32` may be left out, and is then
//! 0; `acc NAME, rA` is `acc NAME, 0, rA`.

mod directive;
mod error;
mod expression;
mod lex;
mod operand;
#[cfg(test)]
mod tests;

pub use error::AsmError;

use crate::isa::Op;
use crate::program::{is_name, Debug, Program};
use error::{nearest, Complaint, Wrong};
use expression::Constants;
use lex::{tokens, Token};
use std::collections::HashMap;
use std::fmt;

/// Bytes of a source at most.
pub const MAX_SOURCE: usize = 4 << 20;

/// Instructions that are assembled at most; the verifier takes fewer.
pub const MAX_ASSEMBLED: usize = 65_536;

/// How a source is assembled.
#[derive(Clone, Copy)]
pub struct AsmOptions<'a> {
    /// The source's name, for errors and debug information.
    pub name: &'a str,
    /// Loads what `.file` names.
    pub files: &'a dyn Fn(&str) -> std::io::Result<Vec<u8>>,
    /// Whether the program gets debug information: the source's name, and a line for each instruction.
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

/// What needs the value of an expression, and so waits until all constants are known. In the order of the source, so that
/// the first thing that is wrong is reported.
struct Waiting {
    line: usize,
    what: What,
    tokens: Vec<Token>,
}

/// What an expression, or the rest of a line, is for.
enum What {
    Before,
    After,
    Chunk,
    Align,
    Records,
    /// The default of the argument with this index.
    Default(usize),
    /// The length of the scratch array with this index.
    Words(usize),
    /// The length of the accumulator array with this index.
    Len(usize),
    /// Bytes of the table, known already.
    Bytes(Vec<u8>),
    /// Values in the table, of so many bytes each.
    Values(usize),
    /// The line in the debug information, from here on.
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
    /// Where constants, parts of the table and names of registers were defined.
    defined: HashMap<String, usize>,
    /// Where arguments and arrays were first declared. The verifier, not the assembler, asks for different names.
    declared: HashMap<String, usize>,
    /// Where the directives that may stand once did.
    once: HashMap<String, usize>,
    waiting: Vec<Waiting>,
    instructions: usize,
    table_bytes: usize,
    /// The table part that bytes belong to: its name, its line, and where it begins.
    part: Option<(String, usize, usize)>,
    source: Option<String>,
    nodebug: bool,
}

/// The program of a source. It is not verified.
///
/// # Errors
/// [`AsmError`] with something that is wrong: the first line that cannot be read, or else the first constant without a
/// value, or else the first line that makes no sense.
pub fn assemble(source: &str, options: &AsmOptions<'_>) -> Result<Program, AsmError> {
    let error = |(line, wrong): Complaint| AsmError {
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
        let wrong = Wrong {
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
        waiting: Vec::new(),
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

/// The tokens of operands, between commas.
fn operands(tokens: &[Token]) -> Result<Vec<&[Token]>, Wrong> {
    if tokens.is_empty() {
        return Ok(Vec::new());
    }
    let beside = tokens.iter().zip(tokens.iter().skip(1));
    for (left, right) in beside {
        if left.ends_value() && right.begins_value() {
            return Err(right.wrong("a comma is missing before this"));
        }
    }
    let parts: Vec<&[Token]> = tokens.split(|token| token.is_sign(',')).collect();
    let mut seen = 0;
    for part in &parts {
        // The comma behind an empty part, or the one before it.
        seen += part.len();
        if part.is_empty() {
            let comma = tokens.get(seen).or(tokens.last());
            let message = "an operand is missing beside this comma";
            return Err(
                comma.map_or_else(|| missing(tokens, message), |comma| comma.wrong(message))
            );
        }
        seen += 1;
    }
    Ok(parts)
}

/// Something that should stand behind the last of `tokens`.
fn missing(tokens: &[Token], message: impl Into<String>) -> Wrong {
    Wrong {
        column: tokens.last().map_or(1, |last| last.column + last.width),
        width: 1,
        message: message.into(),
    }
}

impl Assembler<'_> {
    fn wait(&mut self, line: usize, what: What, tokens: &[Token]) {
        self.waiting.push(Waiting {
            line,
            what,
            tokens: tokens.to_vec(),
        });
    }

    /// The first pass: what is declared, and what is left for the second.
    fn statement(&mut self, line: usize, tokens: Vec<Token>) -> Result<(), Wrong> {
        let Some((first, rest)) = tokens.split_first() else {
            return Ok(());
        };
        let Some(word) = first.word() else {
            return Err(first.wrong("a line begins with an instruction or a directive"));
        };
        if word.starts_with('.') {
            return self.directive(line, word, first, rest);
        }
        if Op::from_mnemonic(word).is_none() && word != "ldi" {
            let known = Op::ALL.iter().map(|op| op.mnemonic());
            let near = nearest(word, known.chain(["ldi"]));
            return Err(first.wrong(format!("there is no instruction {word}{near}")));
        }
        if self.instructions >= MAX_ASSEMBLED {
            return Err(first.wrong(format!("a source has at most {MAX_ASSEMBLED} instructions")));
        }
        self.instructions += 1;
        self.waiting.push(Waiting {
            line,
            what: What::Instruction,
            tokens,
        });
        Ok(())
    }

    /// The second pass: everything has a name and a value now.
    fn finish(mut self) -> Result<Program, Complaint> {
        self.end_part();
        self.constants.resolve()?;
        if !self.once.contains_key(".name") {
            self.program.name = default_name(self.options.name);
        }
        let mut shown = None;
        let mut lines = Vec::with_capacity(self.instructions);
        for Waiting { line, what, tokens } in std::mem::take(&mut self.waiting) {
            match what {
                What::Line => shown = Some(self.line(&tokens).map_err(|wrong| (line, wrong))?),
                What::Instruction => {
                    let instr = self
                        .instruction(line, &tokens)
                        .map_err(|wrong| (line, wrong))?;
                    self.program.code.push(instr);
                    lines.push(shown.unwrap_or(u32::try_from(line).unwrap_or(u32::MAX)));
                }
                what => self.fill(what, &tokens).map_err(|wrong| (line, wrong))?,
            }
        }
        if self.options.debug && !self.nodebug {
            let source = self.source.unwrap_or_else(|| {
                let mut name = self.options.name.to_owned();
                // As long as the container can say.
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

/// The name of a program from that of its source.
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
