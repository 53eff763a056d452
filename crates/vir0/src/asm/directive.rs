//! Directives: the first pass declares the names in them, and the second evaluates their expressions.

use super::error::{nearest, LineError};
use super::expression::whole;
use super::lex::{Kind, Token};
use super::{missing, operands, Alias, Assembler, Purpose};
use crate::program::{is_name, register, AccArray, AccKind, Arg, Scratch};
use crate::verify::MAX_TABLE;

const DIRECTIVES: [&str; 20] = [
    ".name", ".before", ".after", ".chunk", ".align", ".records", ".arg", ".scratch", ".acc",
    ".const", ".reg", ".table", ".u8", ".u32", ".ascii", ".file", ".source", ".line", ".nodebug",
    ".show",
];

/// The most arguments, or arrays of one kind, that a container can count.
const MAX_PARTS: usize = 255;

/// The most bytes that the name of a source can have in a container.
const MAX_SOURCE_NAME: usize = 65_535;

/// An error that something is missing after a directive and the tokens that follow it.
pub(super) fn behind(first: &Token, rest: &[Token], message: impl Into<String>) -> LineError {
    let last = rest.last().unwrap_or(first);
    missing(std::slice::from_ref(last), message)
}

/// Checks that there are no more tokens.
pub(super) fn nothing(more: &[Token], form: &str) -> Result<(), LineError> {
    match more.first() {
        Some(more) => Err(more.error(form)),
        None => Ok(()),
    }
}

/// The tokens after `NAME =`.
fn assigned<'t>(first: &Token, rest: &'t [Token], form: &str) -> Result<&'t [Token], LineError> {
    match rest {
        [_, equals, value @ ..] if equals.is_sign('=') && !value.is_empty() => Ok(value),
        [_, equals] if equals.is_sign('=') => Err(behind(first, rest, form)),
        [_, other, ..] => Err(other.error(form)),
        _ => Err(behind(first, rest, form)),
    }
}

impl Assembler<'_> {
    pub(super) fn directive(
        &mut self,
        line: usize,
        word: &str,
        first: &Token,
        rest: &[Token],
    ) -> Result<(), LineError> {
        let setting = match word {
            ".before" => Some(Purpose::Before),
            ".after" => Some(Purpose::After),
            ".chunk" => Some(Purpose::Chunk),
            ".align" => Some(Purpose::Align),
            ".records" => Some(Purpose::Records),
            ".line" => Some(Purpose::Line),
            _ => None,
        };
        let once = [".name", ".source", ".nodebug"].contains(&word) || setting.is_some();
        if once && word != ".line" {
            if let Some(before) = self.once.insert(word.to_owned(), line) {
                let message = format!("a second {word}; the first is in line {before}");
                return Err(first.error(message));
            }
        }
        if let Some(what) = setting {
            if rest.is_empty() {
                return Err(behind(first, rest, format!("write {word} NUMBER")));
            }
            self.defer(line, what, rest);
            return Ok(());
        }
        match word {
            ".name" => {
                self.program.name = name(first, rest, "write .name NAME")?;
                nothing(rest.get(1..).unwrap_or_default(), "write .name NAME")?;
            }
            ".arg" => self.arg(line, first, rest)?,
            ".scratch" => self.scratch_array(line, first, rest)?,
            ".acc" => self.acc_array(line, first, rest)?,
            ".const" => {
                const FORM: &str = "write .const NAME = VALUE";
                let name = name(first, rest, FORM)?;
                let value = assigned(first, rest, FORM)?;
                self.define(rest, &name, line)?;
                self.constants.define(name, line, value.to_vec());
            }
            ".reg" => self.alias(line, first, rest)?,
            ".table" => {
                let name = name(first, rest, "write .table NAME")?;
                nothing(rest.get(1..).unwrap_or_default(), "write .table NAME")?;
                self.define(rest, &name, line)?;
                self.end_part();
                // This is at most `MAX_TABLE`.
                self.constants
                    .set(name.clone(), line, self.table_bytes as i128);
                self.part = Some((name, line, self.table_bytes));
            }
            ".u8" | ".u32" => {
                let size = if word == ".u8" { 1 } else { 4 };
                let values = operands(rest)?.len();
                if values == 0 {
                    return Err(behind(first, rest, format!("write {word} VALUE, ...")));
                }
                self.grow(first, values.saturating_mul(size))?;
                self.defer(line, Purpose::Values(size), rest);
            }
            ".ascii" | ".file" => {
                let (token, text) = text(first, rest, &format!("write {word} \"...\""))?;
                let bytes = if word == ".file" {
                    let name = std::str::from_utf8(text)
                        .map_err(|_| token.error("the name of a file is UTF-8 here"))?;
                    (self.options.files)(name)
                        .map_err(|error| token.error(format!("cannot read {name:?}: {error}")))?
                } else {
                    text.to_vec()
                };
                self.grow(token, bytes.len())?;
                self.defer(line, Purpose::Bytes(bytes), &[]);
            }
            ".show" => self.show(line, first, rest)?,
            ".source" => {
                let (token, text) = text(first, rest, "write .source \"name\"")?;
                let text = String::from_utf8(text.to_vec())
                    .map_err(|_| token.error("the name of a source is UTF-8"))?;
                if text.len() > MAX_SOURCE_NAME {
                    let message =
                        format!("the name of a source has at most {MAX_SOURCE_NAME} bytes");
                    return Err(token.error(message));
                }
                self.source = Some(text);
            }
            ".nodebug" => {
                nothing(rest, ".nodebug takes no operands")?;
                self.nodebug = true;
            }
            _ => {
                let near = nearest(word, DIRECTIVES);
                return Err(first.error(format!("there is no directive {word}{near}")));
            }
        }
        Ok(())
    }

    fn arg(&mut self, line: usize, first: &Token, rest: &[Token]) -> Result<(), LineError> {
        const FORM: &str = "write .arg NAME or .arg NAME = DEFAULT";
        let name = name(first, rest, FORM)?;
        let index = self.program.args.len();
        self.declare(rest, &name, line, index)?;
        if rest.len() > 1 {
            let default = assigned(first, rest, FORM)?;
            self.defer(line, Purpose::Default(index), default);
        }
        self.program.args.push(Arg {
            name,
            default: None,
        });
        Ok(())
    }

    fn scratch_array(
        &mut self,
        line: usize,
        first: &Token,
        rest: &[Token],
    ) -> Result<(), LineError> {
        const FORM: &str = "write .scratch NAME WORDS";
        let name = name(first, rest, FORM)?;
        let words = rest.get(1..).filter(|words| !words.is_empty());
        let words = words.ok_or_else(|| behind(first, rest, FORM))?;
        let index = self.program.scratch.len();
        self.declare(rest, &name, line, index)?;
        self.defer(line, Purpose::Words(index), words);
        self.program.scratch.push(Scratch { name, words: 0 });
        Ok(())
    }

    fn acc_array(&mut self, line: usize, first: &Token, rest: &[Token]) -> Result<(), LineError> {
        const FORM: &str =
            "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor";
        let name = name(first, rest, FORM)?;
        let Some(([..], [middle @ .., last])) = rest.split_at_checked(1) else {
            return Err(behind(first, rest, FORM));
        };
        let index = self.program.accs.len();
        match middle {
            [] => {}
            [open, length @ .., close]
                if open.is_sign('[') && close.is_sign(']') && !length.is_empty() =>
            {
                self.defer(line, Purpose::Len(index), length);
            }
            [other, ..] => return Err(other.error(FORM)),
        }
        let word = last.word().unwrap_or_default();
        let kind = AccKind::ALL.into_iter().find(|kind| kind.word() == word);
        let kind = match kind {
            Some(kind) => kind,
            None if word.is_empty() => return Err(last.error(FORM)),
            None => {
                let near = nearest(word, AccKind::ALL.map(AccKind::word));
                let message =
                    format!("there is no kind {word}; kinds are sum, min, max, or, xor{near}");
                return Err(last.error(message));
            }
        };
        self.declare(rest, &name, line, index)?;
        self.program.accs.push(AccArray { name, kind, len: 1 });
        Ok(())
    }

    fn alias(&mut self, line: usize, first: &Token, rest: &[Token]) -> Result<(), LineError> {
        const FORM: &str = "write .reg NAME = r0 (to r31)";
        let name = name(first, rest, FORM)?;
        let value = assigned(first, rest, FORM)?;
        let Some((target, more)) = value.split_first() else {
            return Err(behind(first, rest, FORM));
        };
        nothing(more, FORM)?;
        let register = target.word().and_then(register).ok_or_else(|| {
            let message = match target.word() {
                Some(word) => format!("there is no register {word}; registers are r0 to r31"),
                None => FORM.to_owned(),
            };
            target.error(message)
        })?;
        self.define(rest, &name, line)?;
        self.registers.insert(name, Alias { register, line });
        Ok(())
    }

    /// Defines the name of a constant, of a part of the table or of a register. The name must not have another meaning.
    fn define(&mut self, rest: &[Token], name: &str, line: usize) -> Result<(), LineError> {
        let before = self.defined.get(name).or(self.declared.get(name));
        if let (Some(before), Some(token)) = (before, rest.first()) {
            return Err(taken(token, name, *before));
        }
        self.defined.insert(name.to_owned(), line);
        Ok(())
    }

    /// Declares the name of an argument or array. Several may have the same name, since every program has a text form;
    /// the verifier refuses such a program.
    fn declare(
        &mut self,
        rest: &[Token],
        name: &str,
        line: usize,
        index: usize,
    ) -> Result<(), LineError> {
        if let Some(token) = rest.first() {
            if let Some(before) = self.defined.get(name) {
                return Err(taken(token, name, *before));
            }
            if index >= MAX_PARTS {
                return Err(
                    token.error(format!("a program has at most {MAX_PARTS} parts of a kind"))
                );
            }
        }
        self.declared.entry(name.to_owned()).or_insert(line);
        Ok(())
    }

    /// Counts bytes that are added to the table.
    fn grow(&mut self, token: &Token, more: usize) -> Result<(), LineError> {
        self.table_bytes = self.table_bytes.saturating_add(more);
        if self.table_bytes > MAX_TABLE {
            return Err(token.error(format!("the table has at most {MAX_TABLE} bytes")));
        }
        Ok(())
    }

    /// Ends the current part of the table. Its length is known from then on.
    pub(super) fn end_part(&mut self) {
        if let Some((name, line, start)) = self.part.take() {
            let length = self.table_bytes - start;
            // This is at most `MAX_TABLE`.
            self.constants
                .set(format!("{name}.len"), line, length as i128);
        }
    }

    /// Evaluates a deferred directive.
    pub(super) fn evaluate(&mut self, what: Purpose, tokens: &[Token]) -> Result<(), LineError> {
        match what {
            Purpose::Before => self.program.before = self.short(tokens)?,
            Purpose::After => self.program.after = self.short(tokens)?,
            Purpose::Chunk => self.program.chunk = self.long(tokens)?,
            Purpose::Align => self.program.align = self.long(tokens)?,
            Purpose::Records => self.program.records = self.long(tokens)?,
            Purpose::Default(index) => {
                let value = self.immediate(tokens)?;
                if let Some(arg) = self.program.args.get_mut(index) {
                    arg.default = Some(value);
                }
            }
            Purpose::Words(index) => {
                let words = self.short(tokens)?;
                if let Some(array) = self.program.scratch.get_mut(index) {
                    array.words = words;
                }
            }
            Purpose::Len(index) => {
                let len = self.short(tokens)?;
                if let Some(array) = self.program.accs.get_mut(index) {
                    array.len = len;
                }
            }
            Purpose::Bytes(bytes) => self.program.table.extend(bytes),
            Purpose::Values(1) => {
                for tokens in operands(tokens)? {
                    let byte = self.byte(tokens)?;
                    self.program.table.push(byte);
                }
            }
            Purpose::Values(_) => {
                for tokens in operands(tokens)? {
                    let word = self.immediate(tokens)?;
                    self.program.table.extend(word.to_le_bytes());
                }
            }
            Purpose::Show(showing) => self.shown(showing, tokens)?,
            // `finish` evaluates these directives.
            Purpose::Line | Purpose::Instruction => {}
        }
        Ok(())
    }

    /// The number of a `.line`.
    pub(super) fn line(&self, tokens: &[Token]) -> Result<u32, LineError> {
        self.long(tokens)
    }

    fn short(&self, tokens: &[Token]) -> Result<u16, LineError> {
        self.number(tokens, "a number of 0 to 65,535 is expected here")
    }

    pub(super) fn long(&self, tokens: &[Token]) -> Result<u32, LineError> {
        self.number(tokens, "a number of 0 to 4,294,967,295 is expected here")
    }

    /// The value of an expression, in the type of the field that receives it.
    fn number<T: TryFrom<i128>>(&self, tokens: &[Token], wanted: &str) -> Result<T, LineError> {
        let value = self.constants.value(tokens)?;
        T::try_from(value).map_err(|_| whole(tokens, format!("{value} is out of range; {wanted}")))
    }

    /// A byte: unsigned, or negative in two's complement.
    fn byte(&self, tokens: &[Token]) -> Result<u8, LineError> {
        let value = self.constants.value(tokens)?;
        u8::try_from(value)
            .or_else(|_| i8::try_from(value).map(i8::cast_unsigned))
            .map_err(|_| {
                let message = format!("{value} does not fit into a byte: -128 to 255");
                whole(tokens, message)
            })
    }

    /// A word of 32 bits: unsigned, or negative in two's complement.
    pub(super) fn immediate(&self, tokens: &[Token]) -> Result<u32, LineError> {
        let value = self.constants.value(tokens)?;
        u32::try_from(value)
            .or_else(|_| i32::try_from(value).map(i32::cast_unsigned))
            .map_err(|_| {
                let message = format!("{value} does not fit into 32 bits: -2^31 to 2^32 - 1");
                whole(tokens, message)
            })
    }
}

fn taken(token: &Token, name: &str, line: usize) -> LineError {
    token.error(format!(
        "{name} is defined already, in line {line}; use another name"
    ))
}

/// The name that follows a directive.
fn name(first: &Token, rest: &[Token], form: &str) -> Result<String, LineError> {
    let Some(token) = rest.first() else {
        return Err(behind(first, rest, form));
    };
    let message = match token.word() {
        Some(word) if is_name(word) => return Ok(word.into()),
        Some(word) if register(word).is_some() => {
            format!("{word} is a register; use another name")
        }
        _ => "not a name: letters, digits and _, no digit first, at most 32".to_owned(),
    };
    Err(token.error(message))
}

/// The text that follows a directive, if nothing else does.
fn text<'t>(
    first: &Token,
    rest: &'t [Token],
    form: &str,
) -> Result<(&'t Token, &'t [u8]), LineError> {
    let Some((token, more)) = rest.split_first() else {
        return Err(behind(first, rest, form));
    };
    let Kind::Text(text) = &token.kind else {
        return Err(token.error(form));
    };
    nothing(more, form)?;
    Ok((token, text))
}
