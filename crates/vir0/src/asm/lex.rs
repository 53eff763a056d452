//! The tokens of a line.

use super::error::LineError;

/// A token, and its place in the line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    /// The first column, in characters, counted from 1.
    pub column: usize,
    /// The width, in characters.
    pub width: usize,
}

/// The kind and the value of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A mnemonic, a directive, a name: letters, digits, `_` and `.`.
    Word(String),
    /// A number or a character.
    Number(i128),
    /// The bytes of a text in quotes.
    Text(Vec<u8>),
    /// Any other token; `«` and `»` stand for `<<` and `>>`.
    Sign(char),
}

impl Token {
    pub fn error(&self, message: impl Into<String>) -> LineError {
        LineError {
            column: self.column,
            width: self.width,
            message: message.into(),
        }
    }

    /// The word, if it is one.
    pub fn word(&self) -> Option<&str> {
        match &self.kind {
            Kind::Word(word) => Some(word),
            _ => None,
        }
    }

    pub fn is_sign(&self, sign: char) -> bool {
        self.kind == Kind::Sign(sign)
    }

    /// Whether an operand can end with it.
    pub fn ends_value(&self) -> bool {
        !matches!(self.kind, Kind::Sign(sign) if sign != ')' && sign != ']')
    }

    /// Whether it can only be the beginning of an operand.
    pub fn begins_value(&self) -> bool {
        !matches!(self.kind, Kind::Sign(sign) if sign != '#')
    }
}

struct Lexer<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    column: usize,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.column += usize::from(next.is_some());
        next
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.rest.next_if(|next| wanted(*next));
        self.column += usize::from(next.is_some());
        next
    }

    fn error(&self, from: usize, message: &str) -> LineError {
        LineError {
            column: from,
            width: (self.column - from).max(1),
            message: message.into(),
        }
    }

    /// The byte of an escape sequence whose backslash has already been read.
    fn escape(&mut self, from: usize) -> Result<u8, LineError> {
        let unknown = "an unknown escape; there are \\n \\r \\t \\0 \\\\ \\\" \\' and \\xNN";
        Ok(match self.next() {
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('0') => 0,
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('\'') => b'\'',
            Some('x') => {
                let mut digit = || self.next().and_then(|next| next.to_digit(16));
                match (digit(), digit()) {
                    // Two hexadecimal digits of four bits each fit into a byte.
                    (Some(high), Some(low)) => u8::try_from(high << 4 | low).unwrap_or_default(),
                    _ => return Err(self.error(from, "\\x needs two hexadecimal digits")),
                }
            }
            _ => return Err(self.error(from, unknown)),
        })
    }

    fn text(&mut self, from: usize) -> Result<Kind, LineError> {
        let mut bytes = Vec::new();
        loop {
            match self.next() {
                Some('"') => return Ok(Kind::Text(bytes)),
                Some('\\') => {
                    let at = self.column - 1;
                    bytes.push(self.escape(at)?);
                }
                Some(other) => bytes.extend(other.encode_utf8(&mut [0; 4]).bytes()),
                None => return Err(self.error(from, "a text without its closing quote")),
            }
        }
    }

    fn character(&mut self, from: usize) -> Result<Kind, LineError> {
        let byte = match self.next() {
            Some('\\') => self.escape(from + 1)?,
            Some(plain) if plain.is_ascii() && plain != '\'' => {
                // The character is ASCII, so it is one byte.
                u8::try_from(plain).unwrap_or_default()
            }
            _ => {
                return Err(self.error(from, "a character is one byte between quotes, such as 'a'"))
            }
        };
        match self.next() {
            Some('\'') => Ok(Kind::Number(byte.into())),
            _ => Err(self.error(from, "a character is one byte between quotes, such as 'a'")),
        }
    }

    fn number(&mut self, first: char, from: usize) -> Result<Kind, LineError> {
        let mut digits = String::from(first);
        while let Some(next) = self.next_if(|next| next.is_ascii_alphanumeric() || next == '_') {
            digits.push(next);
        }
        let (radix, digits) = match digits.get(..2) {
            Some("0x" | "0X") => (16, digits.get(2..).unwrap_or_default()),
            Some("0b" | "0B") => (2, digits.get(2..).unwrap_or_default()),
            _ => (10, digits.as_str()),
        };
        // Single `_` may stand between digits.
        let number = digits
            .split('_')
            .all(|group| !group.is_empty())
            .then(|| u64::from_str_radix(&digits.replace('_', ""), radix));
        match number {
            Some(Ok(number)) => Ok(Kind::Number(number.into())),
            _ => Err(self.error(
                from,
                "not a number; write decimal, 0x hexadecimal or 0b binary, up to 64 bits",
            )),
        }
    }
}

/// The tokens of a line. Comments produce no tokens.
pub(super) fn tokens(line: &str) -> Result<Vec<Token>, LineError> {
    let mut lexer = Lexer {
        rest: line.chars().peekable(),
        column: 1,
    };
    let mut tokens = Vec::new();
    loop {
        let column = lexer.column;
        let Some(first) = lexer.next() else {
            return Ok(tokens);
        };
        let kind = match first {
            ';' => return Ok(tokens),
            blank if blank.is_whitespace() => continue,
            '"' => lexer.text(column)?,
            '\'' => lexer.character(column)?,
            '0'..='9' => lexer.number(first, column)?,
            letter if letter.is_ascii_alphabetic() || letter == '_' || letter == '.' => {
                let mut word = String::from(letter);
                let more = |next: char| next.is_ascii_alphanumeric() || next == '_' || next == '.';
                while let Some(next) = lexer.next_if(more) {
                    word.push(next);
                }
                Kind::Word(word)
            }
            '<' if lexer.next_if(|next| next == '<').is_some() => Kind::Sign('«'),
            '>' if lexer.next_if(|next| next == '>').is_some() => Kind::Sign('»'),
            '+' | '-' | '*' | '/' | '|' | '&' | '(' | ')' | ',' | '=' | '[' | ']' | '#' => {
                Kind::Sign(first)
            }
            _ => {
                return Err(LineError {
                    column,
                    width: 1,
                    message: "a character that means nothing here".into(),
                })
            }
        };
        tokens.push(Token {
            kind,
            column,
            width: lexer.column - column,
        });
    }
}
