//! Constants and expressions.

use super::error::{nearest, LineError, SourceError};
use super::lex::{Kind, Token};
use std::collections::HashMap;

/// The deepest nesting of parentheses, signs and constants that refer to later constants. Each level uses stack space.
const MAX_DEPTH: usize = 64;

/// Constants by name. Each constant is evaluated once, so the length of the source bounds the time even where constants
/// refer to each other.
#[derive(Debug, Default)]
pub(super) struct Constants {
    index: HashMap<String, usize>,
    all: Vec<Constant>,
}

#[derive(Debug)]
struct Constant {
    line: usize,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Not evaluated yet.
    Waiting(Vec<Token>),
    /// The constant is being evaluated. If an expression needs its value now, the constant depends on itself.
    Busy,
    Value(i128),
}

/// An error about a whole expression.
pub(super) fn whole(tokens: &[Token], message: impl Into<String>) -> LineError {
    let column = tokens.first().map_or(1, |first| first.column);
    let end = tokens
        .last()
        .map_or(column, |last| last.column + last.width);
    LineError {
        column,
        width: (end - column).max(1),
        message: message.into(),
    }
}

impl Constants {
    pub fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    pub fn set(&mut self, name: String, line: usize, value: i128) {
        self.add(name, line, State::Value(value));
    }

    pub fn define(&mut self, name: String, line: usize, expression: Vec<Token>) {
        self.add(name, line, State::Waiting(expression));
    }

    fn add(&mut self, name: String, line: usize, state: State) {
        self.index.insert(name, self.all.len());
        self.all.push(Constant { line, state });
    }

    /// Evaluates every constant. No constant may be defined afterwards.
    pub fn resolve(&mut self) -> Result<(), SourceError> {
        (0..self.all.len()).try_for_each(|index| self.constant(index, 0).map(drop))
    }

    fn constant(&mut self, index: usize, depth: usize) -> Result<i128, SourceError> {
        let Some(constant) = self.all.get_mut(index) else {
            return Ok(0);
        };
        let line = constant.line;
        let tokens = match std::mem::replace(&mut constant.state, State::Busy) {
            State::Waiting(tokens) => tokens,
            State::Value(value) => {
                constant.state = State::Value(value);
                return Ok(value);
            }
            State::Busy => {
                let wrong = whole(&[], "this is defined by itself");
                return Err((line, wrong));
            }
        };
        let value = evaluate(line, &tokens, depth, &mut |token, word, depth| {
            let index = self.find(token, word).map_err(|error| (line, error))?;
            match self.all.get(index).map(|constant| &constant.state) {
                Some(State::Busy) => {
                    Err((line, token.error(format!("{word} is defined by itself"))))
                }
                _ => self.constant(index, depth + 1),
            }
        })?;
        if let Some(constant) = self.all.get_mut(index) {
            constant.state = State::Value(value);
        }
        Ok(value)
    }

    fn find(&self, token: &Token, word: &str) -> Result<usize, LineError> {
        self.index.get(word).copied().ok_or_else(|| {
            let near = nearest(word, self.names());
            token.error(format!("there is no constant {word}{near}"))
        })
    }

    /// The value of an expression. Every constant has been evaluated.
    pub fn value(&self, tokens: &[Token]) -> Result<i128, LineError> {
        let value = evaluate(0, tokens, 0, &mut |token, word, _| {
            let index = self.find(token, word).map_err(|error| (0, error))?;
            match self.all.get(index).map(|constant| &constant.state) {
                Some(State::Value(value)) => Ok(*value),
                _ => Err((0, token.error(format!("{word} has no value yet")))),
            }
        });
        value.map_err(|(_, wrong)| wrong)
    }
}

/// Finds the value of a word, at a depth of nesting.
type Lookup<'l> = dyn FnMut(&Token, &str, usize) -> Result<i128, SourceError> + 'l;

fn evaluate(
    line: usize,
    tokens: &[Token],
    depth: usize,
    lookup: &mut Lookup<'_>,
) -> Result<i128, SourceError> {
    let mut parser = Parser {
        line,
        all: tokens,
        rest: tokens,
        depth,
        lookup,
    };
    let value = parser.binary(0)?;
    let message = match parser.rest.first() {
        None => return Ok(value),
        Some(comma) if comma.is_sign(',') => "one value is expected here, not a list",
        Some(close) if close.is_sign(')') => "this parenthesis was not opened",
        Some(_) => "an operator is missing before this",
    };
    Err(parser.error(parser.rest.first(), message))
}

struct Parser<'a, 'l, 'm> {
    line: usize,
    all: &'a [Token],
    rest: &'a [Token],
    depth: usize,
    lookup: &'l mut Lookup<'m>,
}

/// The precedence of an operator.
fn precedence(sign: char) -> Option<usize> {
    match sign {
        '|' => Some(1),
        '&' => Some(2),
        '«' | '»' => Some(3),
        '+' | '-' => Some(4),
        '*' | '/' => Some(5),
        _ => None,
    }
}

impl<'a> Parser<'a, '_, '_> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// An error about a token, or about the end of the expression.
    fn error(&self, token: Option<&Token>, message: &str) -> SourceError {
        let wrong = token.map_or_else(
            || LineError {
                column: self.all.last().map_or(1, |last| last.column + last.width),
                width: 1,
                message: message.into(),
            },
            |token| token.error(message),
        );
        (self.line, wrong)
    }

    /// An expression whose operators have a precedence above `least`.
    fn binary(&mut self, least: usize) -> Result<i128, SourceError> {
        let mut left = self.unary()?;
        while let Some(token) = self.rest.first() {
            let Kind::Sign(sign) = token.kind else { break };
            let Some(precedence) = precedence(sign).filter(|precedence| *precedence > least) else {
                break;
            };
            self.next();
            let right = self.binary(precedence)?;
            let shift = u32::try_from(right).ok().filter(|shift| *shift < 64);
            let value = match sign {
                '|' => Some(left | right),
                '&' => Some(left & right),
                '«' => shift.and_then(|shift| left.checked_mul(1 << shift)),
                '»' => shift.map(|shift| left >> shift),
                '+' => left.checked_add(right),
                '-' => left.checked_sub(right),
                '*' => left.checked_mul(right),
                _ => left.checked_div(right),
            };
            let message = match sign {
                '/' if right == 0 => "this divides by zero",
                '«' | '»' if shift.is_none() => "shifts go by 0 to 63 bits",
                _ => "this is too large for anything",
            };
            // No field takes such a number, and no operator overflows an i128 below it.
            left = value
                .filter(|value| value.unsigned_abs() < 1 << 100)
                .ok_or_else(|| self.error(Some(token), message))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i128, SourceError> {
        let token = self.next();
        if self.depth > MAX_DEPTH {
            let message = "this is nested too deeply; define constants before they are used";
            return Err(self.error(token, message));
        }
        match token.map(|token| (token, &token.kind)) {
            Some((_, Kind::Number(number))) => Ok(*number),
            Some((_, Kind::Sign('-'))) => {
                self.depth += 1;
                let value = self.unary()?;
                self.depth -= 1;
                Ok(-value)
            }
            Some((open, Kind::Sign('('))) => {
                self.depth += 1;
                let value = self.binary(0)?;
                self.depth -= 1;
                match self.rest.first() {
                    Some(close) if close.is_sign(')') => {
                        self.next();
                        Ok(value)
                    }
                    Some(other) if other.begins_value() => {
                        Err(self.error(Some(other), "an operator is missing before this"))
                    }
                    _ => Err(self.error(Some(open), "this parenthesis is not closed")),
                }
            }
            Some((token, Kind::Word(word))) => (self.lookup)(token, word, self.depth),
            Some((token, Kind::Text(_) | Kind::Sign(_))) => {
                Err(self.error(Some(token), "a value is expected here"))
            }
            None => Err(self.error(None, "a value is missing")),
        }
    }
}
