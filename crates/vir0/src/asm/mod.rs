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
//! | `.source "name"`, `.line N`, `.nodebug` | what the disassembler writes of the debug information |
//!
//! `N` is an expression of numbers (decimal, `0x`, `0b`, `'c'`), constants, `+ - * / << >> & |` and parentheses. Names may
//! be used before they are defined, but those of registers. An array or argument may be named by its number, `#3`.
//!
//! For convenience: `ldi r1, N` is `mov r1, N`; the offset of `ld8`, `ld32`, `tb8` and `tb32` may be left out, and is then
//! 0; `acc NAME, value` is `acc NAME, 0, value`.

mod expression;
mod lex;

use crate::isa::{Instr, Op, Operand, Shape};
use crate::program::{is_name, register, AccArray, AccKind, Arg, Debug, Program, Scratch};
use crate::verify::MAX_TABLE;
use expression::Constants;
use lex::{tokens, Kind, Token, Wrong};
use std::collections::HashMap;
use std::fmt;

/// Bytes of a source at most.
const MAX_SOURCE: usize = 4 << 20;

/// Instructions that are assembled at most; the verifier takes fewer.
const MAX_ASSEMBLED: usize = 65_536;

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

/// Why a source is not assembled. Shown as three lines: place and reason, the source's line, and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsmError {
    /// The source's name.
    pub source_name: String,
    /// The line, from 1 on.
    pub line: usize,
    /// The column, in characters, from 1 on.
    pub column: usize,
    /// How many characters it is about.
    pub width: usize,
    /// The line's text.
    pub text: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl std::error::Error for AsmError {}

impl fmt::Display for AsmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters that are shown before the caret, of a long line.
        const BEFORE: usize = 60;
        const SHOWN: usize = 110;
        let name: String = self.source_name.chars().flat_map(visible).collect();
        writeln!(f, "{name}:{}:{}: {}", self.line, self.column, self.message)?;
        let skipped = self.column.saturating_sub(BEFORE);
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let text = self.text.chars().skip(skipped).take(SHOWN).map(plain);
        writeln!(f, "{}", text.collect::<String>().trim_end())?;
        let indent = self.column.saturating_sub(1 + skipped);
        let width = self.width.clamp(1, SHOWN - indent.min(SHOWN - 1));
        write!(f, "{}{}", " ".repeat(indent), "^".repeat(width))
    }
}

/// A character of a name, escaped where it would break the line.
fn visible(character: char) -> Vec<char> {
    if character.is_control() {
        character.escape_default().collect()
    } else {
        vec![character]
    }
}

/// Bytes that go into the table.
enum Data {
    Bytes(Vec<u8>),
    /// Expressions, each of so many bytes.
    Values {
        size: usize,
        values: Vec<Vec<Token>>,
    },
}

/// A line of an instruction, for the second pass.
struct Line {
    number: usize,
    /// The line that goes into the debug information.
    shown: u32,
    tokens: Vec<Token>,
    /// How many `.reg` came before.
    registers: usize,
}

struct Assembler<'a> {
    options: AsmOptions<'a>,
    program: Program,
    constants: Constants,
    /// Names of registers, in order, with the number.
    registers: Vec<(String, u8)>,
    lines: Vec<Line>,
    data: Vec<(usize, Data)>,
    table_bytes: usize,
    /// The table part that bytes belong to: its name and where it begins.
    part: Option<(String, usize)>,
    /// Directives that may stand once, with what they set: evaluated when all constants are known.
    settings: HashMap<&'static str, (usize, Vec<Token>)>,
    /// Sizes and defaults, evaluated when all constants are known.
    sizes: Vec<(usize, Declared, Vec<Token>)>,
    named: bool,
    source: Option<String>,
    line: Option<Vec<Token>>,
    nodebug: bool,
}

/// Whose size or default an expression is.
#[derive(Clone, Copy)]
enum Declared {
    Arg(usize),
    Scratch(usize),
    Acc(usize),
}

/// A complaint about a line.
type Complaint = (usize, Wrong);

const SETTINGS: [&str; 5] = [".before", ".after", ".chunk", ".align", ".records"];

const DIRECTIVES: [&str; 19] = [
    ".name", ".before", ".after", ".chunk", ".align", ".records", ".arg", ".scratch", ".acc",
    ".const", ".reg", ".table", ".u8", ".u32", ".ascii", ".file", ".source", ".line", ".nodebug",
];

/// The program of a source. It is not verified.
///
/// # Errors
/// [`AsmError`] with the first thing that is wrong.
pub fn assemble(source: &str, options: &AsmOptions<'_>) -> Result<Program, AsmError> {
    let error = |(line, wrong): Complaint| AsmError {
        source_name: options.name.into(),
        line,
        column: wrong.column,
        width: wrong.width,
        text: source
            .split('\n')
            .nth(line.saturating_sub(1))
            .unwrap_or_default()
            .trim_end_matches('\r')
            .into(),
        message: wrong.message,
    };
    if source.len() > MAX_SOURCE {
        let message = format!("a source has at most {MAX_SOURCE} bytes");
        let wrong = Wrong {
            column: 1,
            width: 1,
            message,
        };
        return Err(error((1, wrong)));
    }
    let mut assembler = Assembler {
        options: *options,
        program: Program::default(),
        constants: Constants::default(),
        registers: Vec::new(),
        lines: Vec::new(),
        data: Vec::new(),
        table_bytes: 0,
        part: None,
        settings: HashMap::new(),
        sizes: Vec::new(),
        named: false,
        source: None,
        line: None,
        nodebug: false,
    };
    for (index, text) in source.split('\n').enumerate() {
        let number = index + 1;
        let text = text.strip_suffix('\r').unwrap_or(text);
        tokens(text)
            .and_then(|tokens| assembler.statement(number, tokens))
            .map_err(|wrong| error((number, wrong)))?;
    }
    assembler.end_part();
    assembler.finish().map_err(error)
}

/// The tokens of operands, between commas.
fn operands(tokens: &[Token]) -> Result<Vec<&[Token]>, Wrong> {
    if tokens.is_empty() {
        return Ok(Vec::new());
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

/// The known word that is nearest to an unknown one, as the end of a complaint.
fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = known
        .into_iter()
        .map(|known| (distance(word, known), known))
        .filter(|(distance, _)| *distance <= 2)
        .min();
    near.map_or_else(String::new, |(_, known)| format!("; did you mean {known}?"))
}

/// Levenshtein's distance of two short words.
fn distance(left: &str, right: &str) -> usize {
    if left.len().abs_diff(right.len()) > 2 || left.len() > 64 {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

impl Assembler<'_> {
    fn statement(&mut self, number: usize, tokens: Vec<Token>) -> Result<(), Wrong> {
        let Some(first) = tokens.first() else {
            return Ok(());
        };
        let Some(word) = first.word() else {
            return Err(first.wrong("a line begins with an instruction or a directive"));
        };
        if word.starts_with('.') {
            return self.directive(number, word, first, &tokens[1..]);
        }
        if Op::from_mnemonic(word).is_none() && word != "ldi" {
            let known = Op::ALL.iter().map(|op| op.mnemonic());
            let near = nearest(word, known);
            return Err(first.wrong(format!("there is no instruction {word}{near}")));
        }
        if self.lines.len() >= MAX_ASSEMBLED {
            return Err(first.wrong(format!("more than {MAX_ASSEMBLED} instructions")));
        }
        let shown = match &self.line {
            Some(line) => {
                let value = self.constants.value(line)?;
                u32::try_from(value).map_err(|_| first.wrong("a .line of more than 32 bits"))?
            }
            None => u32::try_from(number).unwrap_or(u32::MAX),
        };
        self.lines.push(Line {
            number,
            shown,
            tokens,
            registers: self.registers.len(),
        });
        Ok(())
    }

    fn directive(
        &mut self,
        number: usize,
        word: &str,
        first: &Token,
        rest: &[Token],
    ) -> Result<(), Wrong> {
        if let Some(setting) = SETTINGS.iter().find(|known| **known == word) {
            if rest.is_empty() {
                return Err(missing(std::slice::from_ref(first), "a number is missing"));
            }
            let again = self.settings.insert(setting, (number, rest.to_vec()));
            return again.map_or(Ok(()), |_| Err(first.wrong(format!("a second {word}"))));
        }
        match word {
            ".name" => {
                let name = self.name(first, rest, 1)?;
                if std::mem::replace(&mut self.named, true) {
                    return Err(first.wrong("a second .name"));
                }
                self.program.name = name;
            }
            ".arg" => {
                let name = self.name(first, rest, usize::MAX)?;
                if let Some(equals) = rest.get(1) {
                    if !equals.is_sign('=') || rest.len() < 3 {
                        return Err(equals.wrong("write .arg NAME, or .arg NAME = DEFAULT"));
                    }
                    let declared = Declared::Arg(self.program.args.len());
                    self.sizes.push((number, declared, rest[2..].to_vec()));
                }
                self.program.args.push(Arg {
                    name,
                    default: None,
                });
            }
            ".scratch" => {
                let name = self.name(first, rest, usize::MAX)?;
                if rest.len() < 2 {
                    return Err(missing(rest, "write .scratch NAME WORDS"));
                }
                let declared = Declared::Scratch(self.program.scratch.len());
                self.sizes.push((number, declared, rest[1..].to_vec()));
                self.program.scratch.push(Scratch { name, words: 0 });
            }
            ".acc" => self.acc(number, first, rest)?,
            ".const" => {
                let name = self.name(first, rest, usize::MAX)?;
                match rest.get(1) {
                    Some(equals) if equals.is_sign('=') && rest.len() > 2 => {}
                    _ => return Err(missing(&rest[..1], "write .const NAME = VALUE")),
                }
                self.define(&rest[0], &name)?;
                self.constants.define(name, rest[2..].to_vec());
            }
            ".reg" => {
                let name = self.name(first, rest, usize::MAX)?;
                let target = rest.get(2).and_then(Token::word).and_then(register);
                match (rest.get(1), target, rest.len()) {
                    (Some(equals), Some(target), 3) if equals.is_sign('=') => {
                        self.define(&rest[0], &name)?;
                        self.registers.push((name, target));
                    }
                    _ => return Err(missing(rest, "write .reg NAME = r0 (to r31)")),
                }
            }
            ".table" => {
                let name = self.name(first, rest, 1)?;
                self.define(&rest[0], &name)?;
                self.end_part();
                self.constants.set(name.clone(), self.table_bytes as i128);
                self.part = Some((name, self.table_bytes));
            }
            ".u8" | ".u32" => {
                let size = if word == ".u8" { 1 } else { 4 };
                let values: Vec<Vec<Token>> =
                    operands(rest)?.into_iter().map(<[Token]>::to_vec).collect();
                self.bytes(first, values.len().saturating_mul(size))?;
                self.data.push((number, Data::Values { size, values }));
            }
            ".ascii" | ".file" => {
                let [token] = rest else {
                    return Err(missing(rest, format!("write {word} \"...\"")));
                };
                let Kind::Text(text) = &token.kind else {
                    return Err(token.wrong(format!("write {word} \"...\"")));
                };
                let bytes = if word == ".file" {
                    let name = std::str::from_utf8(text)
                        .map_err(|_| token.wrong("the name of a file is UTF-8 here"))?;
                    (self.options.files)(name)
                        .map_err(|error| token.wrong(format!("cannot read {name:?}: {error}")))?
                } else {
                    text.clone()
                };
                self.bytes(token, bytes.len())?;
                self.data.push((number, Data::Bytes(bytes)));
            }
            ".source" => {
                let text = match rest {
                    [token] => match &token.kind {
                        Kind::Text(text) => String::from_utf8(text.clone()).ok(),
                        _ => None,
                    },
                    _ => None,
                };
                let Some(text) = text else {
                    return Err(missing(rest, "write .source \"name\", in UTF-8"));
                };
                self.source = Some(text);
            }
            ".line" => {
                if rest.is_empty() {
                    return Err(missing(std::slice::from_ref(first), "a number is missing"));
                }
                self.line = Some(rest.to_vec());
            }
            ".nodebug" => self.nodebug = true,
            _ => {
                let near = nearest(word, DIRECTIVES);
                return Err(first.wrong(format!("there is no directive {word}{near}")));
            }
        }
        Ok(())
    }

    fn acc(&mut self, number: usize, first: &Token, rest: &[Token]) -> Result<(), Wrong> {
        const FORM: &str =
            "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor";
        let name = self.name(first, rest, usize::MAX)?;
        let (last, middle) = match &rest[1..] {
            [middle @ .., last] => (last, middle),
            [] => return Err(missing(rest, FORM)),
        };
        let kind = AccKind::ALL
            .into_iter()
            .find(|kind| last.word() == Some(kind.word()))
            .ok_or_else(|| last.wrong(FORM))?;
        match middle {
            [] => {}
            [open, length @ .., close]
                if open.is_sign('[') && close.is_sign(']') && !length.is_empty() =>
            {
                let declared = Declared::Acc(self.program.accs.len());
                self.sizes.push((number, declared, length.to_vec()));
            }
            [other, ..] => return Err(other.wrong(FORM)),
        }
        self.program.accs.push(AccArray { name, kind, len: 1 });
        Ok(())
    }

    /// The name that a directive begins with; `most` tokens may follow the directive.
    fn name(&self, first: &Token, rest: &[Token], most: usize) -> Result<String, Wrong> {
        let Some(token) = rest.first() else {
            return Err(missing(std::slice::from_ref(first), "a name is missing"));
        };
        let name = token.word().filter(|name| is_name(name)).ok_or_else(|| {
            token.wrong(
                "not a name: letters, digits and _, a letter first, at most 32, and no register's",
            )
        })?;
        match rest.get(most) {
            Some(more) => Err(more.wrong("nothing stands behind the name here")),
            None => Ok(name.into()),
        }
    }

    /// Constants, table parts and registers have names of their own.
    fn define(&self, token: &Token, name: &str) -> Result<(), Wrong> {
        if self.constants.has(name) || self.registers.iter().any(|(known, _)| known == name) {
            return Err(token.wrong(format!("{name} is defined already")));
        }
        Ok(())
    }

    fn bytes(&mut self, token: &Token, more: usize) -> Result<(), Wrong> {
        self.table_bytes = self.table_bytes.saturating_add(more);
        if self.table_bytes > MAX_TABLE {
            return Err(token.wrong(format!("the table has at most {MAX_TABLE} bytes")));
        }
        Ok(())
    }

    /// The table part at hand is complete: its length is known.
    fn end_part(&mut self) {
        if let Some((name, start)) = self.part.take() {
            let length = self.table_bytes - start;
            self.constants.set(format!("{name}.len"), length as i128);
        }
    }

    /// The second pass: everything has a name and a value now.
    fn finish(mut self) -> Result<Program, Complaint> {
        if !self.named {
            self.program.name = default_name(self.options.name);
        }
        for (word, (line, tokens)) in std::mem::take(&mut self.settings) {
            self.setting(word, &tokens).map_err(|wrong| (line, wrong))?;
        }
        for (line, declared, tokens) in std::mem::take(&mut self.sizes) {
            self.size(declared, &tokens)
                .map_err(|wrong| (line, wrong))?;
        }
        for (line, data) in std::mem::take(&mut self.data) {
            self.append(data).map_err(|wrong| (line, wrong))?;
        }
        let mut lines = Vec::with_capacity(self.lines.len());
        for line in std::mem::take(&mut self.lines) {
            let instr = self
                .instruction(&line)
                .map_err(|wrong| (line.number, wrong))?;
            self.program.code.push(instr);
            lines.push(line.shown);
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

    /// The value of an expression in a field's type.
    fn number<T: TryFrom<i128>>(&self, tokens: &[Token], most: &str) -> Result<T, Wrong> {
        let value = self.constants.value(tokens)?;
        T::try_from(value).map_err(|_| expression::whole(tokens, format!("{value} is not {most}")))
    }

    fn setting(&mut self, word: &str, tokens: &[Token]) -> Result<(), Wrong> {
        const SHORT: &str = "a number of 0 to 65,535";
        const LONG: &str = "a number of 0 to 4,294,967,295";
        match word {
            ".before" => self.program.before = self.number(tokens, SHORT)?,
            ".after" => self.program.after = self.number(tokens, SHORT)?,
            ".chunk" => self.program.chunk = self.number(tokens, LONG)?,
            ".align" => self.program.align = self.number(tokens, LONG)?,
            _ => self.program.records = self.number(tokens, LONG)?,
        }
        Ok(())
    }

    fn size(&mut self, declared: Declared, tokens: &[Token]) -> Result<(), Wrong> {
        const SHORT: &str = "a length of 0 to 65,535";
        match declared {
            Declared::Arg(index) => {
                let value = self.immediate(tokens)?;
                if let Some(arg) = self.program.args.get_mut(index) {
                    arg.default = Some(value);
                }
            }
            Declared::Scratch(index) => {
                let words = self.number(tokens, SHORT)?;
                if let Some(array) = self.program.scratch.get_mut(index) {
                    array.words = words;
                }
            }
            Declared::Acc(index) => {
                let len = self.number(tokens, SHORT)?;
                if let Some(array) = self.program.accs.get_mut(index) {
                    array.len = len;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, data: Data) -> Result<(), Wrong> {
        match data {
            Data::Bytes(bytes) => self.program.table.extend(bytes),
            Data::Values { size, values } => {
                for tokens in values {
                    let value = self.immediate(&tokens)?;
                    let fits = size == 4 || value <= 255 || value >= 128_u32.wrapping_neg();
                    if !fits {
                        let message = format!("{value} does not fit into a byte");
                        return Err(expression::whole(&tokens, message));
                    }
                    self.program.table.extend(&value.to_le_bytes()[..size]);
                }
            }
        }
        Ok(())
    }

    /// A word of 32 bits: unsigned, or negative in two's complement.
    fn immediate(&self, tokens: &[Token]) -> Result<u32, Wrong> {
        let value = self.constants.value(tokens)?;
        u32::try_from(value)
            .or_else(|_| i32::try_from(value).map(i32::cast_unsigned))
            .map_err(|_| {
                let message = format!("{value} does not fit into 32 bits");
                expression::whole(tokens, message)
            })
    }

    fn register_of(&self, line: &Line, tokens: &[Token]) -> Option<u8> {
        let [token] = tokens else { return None };
        let word = token.word()?;
        let known = self.registers.get(..line.registers).unwrap_or_default();
        register(word).or_else(|| {
            let alias = known.iter().find(|(name, _)| name == word);
            alias.map(|(_, register)| *register)
        })
    }

    fn register(&self, line: &Line, tokens: &[Token]) -> Result<u8, Wrong> {
        self.register_of(line, tokens).ok_or_else(|| {
            let word = match tokens {
                [token] => token.word().unwrap_or_default(),
                _ => "",
            };
            let numbered = word.strip_prefix('r').is_some_and(|digits| {
                !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
            });
            if numbered {
                let message = format!("there is no register {word}; registers are r0 to r31");
                return expression::whole(tokens, message);
            }
            let names = self.registers.iter().map(|(name, _)| name.as_str());
            let near = nearest(word, names);
            expression::whole(tokens, format!("a register stands here, r0 to r31{near}"))
        })
    }

    fn operand(&self, line: &Line, tokens: &[Token]) -> Result<Operand, Wrong> {
        if let Some(register) = self.register_of(line, tokens) {
            return Ok(Operand::Reg(register));
        }
        if let [token] = tokens {
            let unknown = token.word().is_some_and(|word| !self.constants.has(word));
            if unknown {
                let word = token.word().unwrap_or_default();
                let registers = self.registers.iter().map(|(name, _)| name.as_str());
                let near = nearest(word, registers.chain(self.constants.names()));
                return Err(token.wrong(format!(
                    "{word} is neither a register, which are r0 to r31, nor a constant{near}"
                )));
            }
        }
        self.immediate(tokens).map(Operand::Imm)
    }

    /// The number of something named, or `#` and a number.
    fn numbered<'n>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'n str> + Clone,
        tokens: &[Token],
    ) -> Result<u8, Wrong> {
        if let [hash, Token {
            kind: Kind::Number(number),
            ..
        }] = tokens
        {
            if hash.is_sign('#') {
                return u8::try_from(*number)
                    .map_err(|_| expression::whole(tokens, "a number of 0 to 255 stands here"));
            }
        }
        let word = match tokens {
            [token] => token.word(),
            _ => None,
        };
        let found = word.and_then(|word| names.clone().position(|name| name == word));
        found
            .and_then(|index| u8::try_from(index).ok())
            .ok_or_else(|| {
                let near = nearest(word.unwrap_or_default(), names);
                expression::whole(tokens, format!("{what} stands here{near}"))
            })
    }

    fn scratch(&self, tokens: &[Token]) -> Result<u8, Wrong> {
        let names = self.program.scratch.iter().map(|array| array.name.as_str());
        self.numbered("the name of a .scratch array", names, tokens)
    }

    fn instruction(&self, line: &Line) -> Result<Instr, Wrong> {
        let (first, rest) = line
            .tokens
            .split_first()
            .ok_or_else(|| missing(&[], "an instruction is missing"))?;
        let word = first.word().unwrap_or_default();
        let op = Op::from_mnemonic(word).unwrap_or(Op::Mov);
        let mut given = operands(rest)?;
        let zero = [Token {
            kind: Kind::Number(0),
            column: first.column,
            width: first.width,
        }];
        let wanted: &[&str] = match op.shape() {
            Shape::Bare => &[],
            Shape::Dst => &["register"],
            Shape::DstA => &["register", "register"],
            Shape::DstB => &["register", "register or value"],
            Shape::DstAB => &["register", "register", "register or value"],
            Shape::DstN if op == Op::Arg => &["register", "argument"],
            Shape::DstN => &["register", "bytes"],
            Shape::DstArrayIndex => &["register", "array", "index"],
            Shape::ArrayIndexValue => &["array", "index", "register"],
            Shape::AB => &["register", "register or value"],
            Shape::A => &["register"],
            Shape::N => &["trips"],
        };
        match (op, given.len()) {
            (Op::Ld8 | Op::Ld32 | Op::Tb8 | Op::Tb32, 2) => given.push(&zero),
            (Op::Acc, 2) => given.insert(1, &zero),
            _ => {}
        }
        if let Some(more) = given.get(wanted.len()).and_then(|more| more.first()) {
            return Err(more.wrong(format!(
                "{word} takes {}",
                match wanted {
                    [] => "no operands".to_owned(),
                    _ => wanted.join(", "),
                }
            )));
        }
        if given.len() < wanted.len() {
            let message = format!("an operand is missing: {word} takes {}", wanted.join(", "));
            return Err(missing(&line.tokens, message));
        }
        let at = |index: usize| given.get(index).copied().unwrap_or_default();
        let (mut dst, mut a, mut b) = (0, 0, Operand::Reg(0));
        match op.shape() {
            Shape::Bare => {}
            Shape::Dst => dst = self.register(line, at(0))?,
            Shape::DstA => {
                dst = self.register(line, at(0))?;
                a = self.register(line, at(1))?;
            }
            Shape::DstB => {
                dst = self.register(line, at(0))?;
                b = self.operand(line, at(1))?;
            }
            Shape::DstAB => {
                dst = self.register(line, at(0))?;
                a = self.register(line, at(1))?;
                b = self.operand(line, at(2))?;
            }
            Shape::DstN if op == Op::Arg => {
                dst = self.register(line, at(0))?;
                b = Operand::Imm(self.argument(at(1))?);
            }
            Shape::DstN => {
                dst = self.register(line, at(0))?;
                b = Operand::Imm(self.immediate(at(1))?);
            }
            Shape::DstArrayIndex => {
                dst = self.register(line, at(0))?;
                a = self.scratch(at(1))?;
                b = self.operand(line, at(2))?;
            }
            Shape::ArrayIndexValue => {
                dst = if op == Op::Acc {
                    let names = self.program.accs.iter().map(|array| array.name.as_str());
                    self.numbered("the name of an .acc", names, at(0))?
                } else {
                    self.scratch(at(0))?
                };
                b = self.operand(line, at(1))?;
                a = self.register(line, at(2))?;
            }
            Shape::AB => {
                a = self.register(line, at(0))?;
                b = self.operand(line, at(1))?;
            }
            Shape::A => a = self.register(line, at(0))?,
            Shape::N => b = Operand::Imm(self.immediate(at(0))?),
        }
        Ok(Instr { op, dst, a, b })
    }

    fn argument(&self, tokens: &[Token]) -> Result<u32, Wrong> {
        if let [hash, Token {
            kind: Kind::Number(number),
            ..
        }] = tokens
        {
            if hash.is_sign('#') {
                return u32::try_from(*number)
                    .map_err(|_| expression::whole(tokens, "a number of 32 bits stands here"));
            }
        }
        let names = self.program.args.iter().map(|arg| arg.name.as_str());
        self.numbered("the name of an .arg", names, tokens)
            .map(u32::from)
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
