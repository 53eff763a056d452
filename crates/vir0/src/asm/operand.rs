//! Instructions and their operands, in the second pass.

use super::error::{nearest, LineError};
use super::expression::whole;
use super::lex::{Kind, Token};
use super::{missing, operands, Assembler};
use crate::fault_kind::FaultKind;
use crate::isa::{Class, Field, Instr, Op, Operand};
use crate::program::register;

/// The forms that an operand may have, in the words of messages.
fn wanted(op: Op, field: Field) -> &'static str {
    match (field, op) {
        (Field::Dst | Field::A, _) => "register",
        (Field::B, _) if op.indexes().is_some() => "index",
        (Field::B, _) => "register or value",
        (Field::N, Op::Arg) => "argument",
        (Field::N, Op::Each) => "bytes",
        (Field::N, _) => "trips",
        (Field::ArrayInDst | Field::ArrayInA, _) => "array",
    }
}

/// The number in `#NUMBER`.
fn hashed(tokens: &[Token]) -> Option<i128> {
    match tokens {
        [hash, Token {
            kind: Kind::Number(number),
            ..
        }] if hash.is_sign('#') => Some(*number),
        _ => None,
    }
}

/// The word, if the tokens are a single word.
fn single(tokens: &[Token]) -> Option<&str> {
    match tokens {
        [token] => token.word(),
        _ => None,
    }
}

/// Whether a word that is not a register looks like one.
fn looks_like_register(word: &str) -> bool {
    word.strip_prefix(['r', 'R']).is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

impl Assembler<'_> {
    pub(super) fn instruction(&self, line: usize, tokens: &[Token]) -> Result<Instr, LineError> {
        let Some((first, rest)) = tokens.split_first() else {
            return Err(missing(tokens, "an instruction is missing"));
        };
        let word = first.word().unwrap_or_default();
        let is_ldi = word == "ldi";
        let op = Op::from_mnemonic(word).unwrap_or(Op::Mov);
        let fields = if is_ldi {
            &[Field::Dst, Field::N]
        } else {
            op.shape().fields()
        };
        let takes = || {
            let words = fields.iter().map(|field| match field {
                Field::N if is_ldi => "value",
                field => wanted(op, *field),
            });
            words.collect::<Vec<_>>().join(", ")
        };
        let mut given = operands(rest)?;
        let zero = [Token {
            kind: Kind::Number(0),
            column: first.column,
            width: first.width,
        }];
        match (op.class(), given.len()) {
            (Class::Load, 2) => given.push(&zero),
            (Class::Acc, 2) => given.insert(1, &zero),
            _ => {}
        }
        if let Some(more) = given.get(fields.len()).and_then(|more| more.first()) {
            let takes = match fields {
                [] => "no operands".to_owned(),
                _ => takes(),
            };
            return Err(more.error(format!("{word} takes {takes}")));
        }
        if given.len() < fields.len() {
            let message = format!("an operand is missing: {word} takes {}", takes());
            return Err(missing(tokens, message));
        }
        let mut instr = Instr {
            op,
            dst: 0,
            a: 0,
            b: Operand::Reg(0),
        };
        let kind = op.indexes().unwrap_or(FaultKind::Scratch);
        for (field, tokens) in fields.iter().zip(given) {
            match field {
                Field::Dst => instr.dst = self.register(line, tokens)?,
                Field::A => instr.a = self.register(line, tokens)?,
                Field::B => instr.b = self.operand(line, tokens)?,
                Field::N if op == Op::Arg => instr.b = Operand::Imm(self.argument(tokens)?),
                Field::N => instr.b = Operand::Imm(self.constant(line, word, tokens)?),
                Field::ArrayInDst => instr.dst = self.array(kind, tokens)?,
                Field::ArrayInA => instr.a = self.array(kind, tokens)?,
            }
        }
        Ok(instr)
    }

    /// The register that is named in this line.
    fn known_register(&self, line: usize, tokens: &[Token]) -> Option<u8> {
        let word = single(tokens)?;
        register(word).or_else(|| {
            let alias = self.registers.get(word)?;
            (alias.line < line).then_some(alias.register)
        })
    }

    /// The message about a word that is not a register in this line, but looks like one or becomes one later.
    fn no_register(&self, word: &str) -> Option<String> {
        if let Some(alias) = self.registers.get(word) {
            return Some(format!(
                "{word} names a register from line {} on only; move the .reg up",
                alias.line
            ));
        }
        looks_like_register(word)
            .then(|| format!("there is no register {word}; registers are r0 to r31"))
    }

    fn register(&self, line: usize, tokens: &[Token]) -> Result<u8, LineError> {
        self.known_register(line, tokens).ok_or_else(|| {
            let word = single(tokens).unwrap_or_default();
            let message = self.no_register(word).unwrap_or_else(|| {
                let is_value = word.is_empty() || self.constants.has(word);
                let hint = if is_value {
                    "; mov a value into one first".to_owned()
                } else {
                    nearest(word, self.registers.keys().map(String::as_str))
                };
                format!("a register is expected here, r0 to r31{hint}")
            });
            whole(tokens, message)
        })
    }

    fn operand(&self, line: usize, tokens: &[Token]) -> Result<Operand, LineError> {
        if let Some(register) = self.known_register(line, tokens) {
            return Ok(Operand::Reg(register));
        }
        match single(tokens) {
            Some(word) if !self.constants.has(word) => {
                let message = self.no_register(word).unwrap_or_else(|| {
                    let registers = self.registers.keys().map(String::as_str);
                    let hint = if self.program.args.iter().any(|arg| arg.name == word) {
                        format!("; arg rN, {word} puts the argument into a register")
                    } else {
                        nearest(word, registers.chain(self.constants.names()))
                    };
                    format!(
                        "{word} is neither a register, which are r0 to r31, nor a constant{hint}"
                    )
                });
                Err(whole(tokens, message))
            }
            _ => self.immediate(tokens).map(Operand::Imm),
        }
    }

    /// An operand that must be a value.
    fn constant(&self, line: usize, word: &str, tokens: &[Token]) -> Result<u32, LineError> {
        if self.known_register(line, tokens).is_some() {
            let message = format!("{word} takes a value here, and no register");
            return Err(whole(tokens, message));
        }
        self.immediate(tokens)
    }

    /// The number of an argument or array, by its name.
    fn numbered<'n>(
        &self,
        what: &str,
        names: impl Iterator<Item = &'n str> + Clone,
        tokens: &[Token],
    ) -> Result<usize, LineError> {
        let word = single(tokens).unwrap_or_default();
        let found = names.clone().position(|name| name == word);
        found.ok_or_else(|| {
            let near = nearest(word, names);
            let message = if word.is_empty() {
                format!("the name of {what} is expected here")
            } else {
                format!("{word} is not the name of {what}{near}")
            };
            whole(tokens, message)
        })
    }

    /// The number of the array that an instruction names, or gives as `#NUMBER`.
    pub(super) fn array(&self, kind: FaultKind, tokens: &[Token]) -> Result<u8, LineError> {
        let what = match kind {
            FaultKind::Scratch => "a .scratch",
            FaultKind::Acc => "an .acc",
        };
        let arrays = (0..).map_while(|number| self.program.array(kind, number));
        let number = match hashed(tokens) {
            Some(number) => u8::try_from(number).ok(),
            None => u8::try_from(self.numbered(what, arrays.map(|(name, _)| name), tokens)?).ok(),
        };
        number.ok_or_else(|| whole(tokens, "arrays have the numbers 0 to 255"))
    }

    /// The number of an argument by its name, or `#NUMBER`, which need not be declared.
    fn argument(&self, tokens: &[Token]) -> Result<u32, LineError> {
        let names = self.program.args.iter().map(|arg| arg.name.as_str());
        let number = match hashed(tokens) {
            Some(number) => u32::try_from(number).ok(),
            None => u32::try_from(self.numbered("an .arg", names, tokens)?).ok(),
        };
        number.ok_or_else(|| whole(tokens, "the number of an argument has 32 bits"))
    }
}
