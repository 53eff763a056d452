//! Constants and the expressions that they stand in.

use super::lex::{Kind, Token, Wrong};
use std::collections::HashMap;

/// How deep parentheses and constants may refer to each other.
const MAX_DEPTH: usize = 32;

/// Steps of an evaluation at most: constants that double each other could take for ever.
const MAX_STEPS: usize = 100_000;

/// Constants by name: values, or expressions that are evaluated when they are needed.
#[derive(Debug, Default)]
pub(super) struct Constants {
    known: HashMap<String, Constant>,
}

#[derive(Debug)]
enum Constant {
    Value(i128),
    Expression(Vec<Token>),
}

/// A complaint about all of an expression.
pub(super) fn whole(tokens: &[Token], message: impl Into<String>) -> Wrong {
    let first = tokens.first();
    let column = first.map_or(1, |first| first.column);
    let end = tokens
        .last()
        .map_or(column, |last| last.column + last.width);
    Wrong {
        column,
        width: (end - column).max(1),
        message: message.into(),
    }
}

impl Constants {
    pub fn has(&self, name: &str) -> bool {
        self.known.contains_key(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    pub fn set(&mut self, name: String, value: i128) {
        self.known.insert(name, Constant::Value(value));
    }

    pub fn define(&mut self, name: String, expression: Vec<Token>) {
        self.known.insert(name, Constant::Expression(expression));
    }

    /// The value of an expression.
    pub fn value(&self, tokens: &[Token]) -> Result<i128, Wrong> {
        let mut steps = MAX_STEPS;
        self.nested(tokens, 0, &mut steps)
    }

    fn nested(&self, tokens: &[Token], depth: usize, steps: &mut usize) -> Result<i128, Wrong> {
        let mut parser = Parser {
            constants: self,
            all: tokens,
            rest: tokens,
            depth,
            steps,
        };
        let value = parser.binary(0)?;
        match parser.rest.first() {
            None => Ok(value),
            Some(more) => Err(more.wrong("an operator or a comma is missing before this")),
        }
    }
}

struct Parser<'a, 's> {
    constants: &'a Constants,
    all: &'a [Token],
    rest: &'a [Token],
    depth: usize,
    steps: &'s mut usize,
}

/// How tightly an operator binds.
fn strength(sign: char) -> Option<usize> {
    match sign {
        '|' => Some(1),
        '&' => Some(2),
        '«' | '»' => Some(3),
        '+' | '-' => Some(4),
        '*' | '/' => Some(5),
        _ => None,
    }
}

impl<'a> Parser<'a, '_> {
    fn next(&mut self) -> Option<&'a Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// Operators that bind more tightly than `least`.
    fn binary(&mut self, least: usize) -> Result<i128, Wrong> {
        let mut left = self.unary()?;
        while let Some(token) = self.rest.first() {
            let Kind::Sign(sign) = token.kind else { break };
            let Some(strength) = strength(sign).filter(|strength| *strength > least) else {
                break;
            };
            self.next();
            let right = self.binary(strength)?;
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
            // Far from where anything fits, so that no chain of operators overflows.
            left = value
                .filter(|value| value.unsigned_abs() < 1 << 100)
                .ok_or_else(|| token.wrong("this has no value: too large, or divided by zero"))?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<i128, Wrong> {
        let Some(token) = self.next() else {
            let end = self.all.last();
            return Err(Wrong {
                column: end.map_or(1, |end| end.column + end.width),
                width: 1,
                message: "a value is missing".into(),
            });
        };
        *self.steps = self.steps.saturating_sub(1);
        if self.depth > MAX_DEPTH || *self.steps == 0 {
            return Err(token.wrong("this refers to itself, or is nested too deeply"));
        }
        match &token.kind {
            Kind::Number(number) => Ok(*number),
            Kind::Sign('-') => {
                self.depth += 1;
                let value = self.unary()?;
                self.depth -= 1;
                Ok(-value)
            }
            Kind::Sign('(') => {
                self.depth += 1;
                let value = self.binary(0)?;
                self.depth -= 1;
                match self.next() {
                    Some(close) if close.is_sign(')') => Ok(value),
                    _ => Err(token.wrong("this parenthesis is not closed")),
                }
            }
            Kind::Word(word) => match self.constants.known.get(word) {
                Some(Constant::Value(value)) => Ok(*value),
                Some(Constant::Expression(tokens)) => self
                    .constants
                    .nested(tokens, self.depth + 1, self.steps)
                    // The complaint is about where it is used: that is the line which is shown.
                    .map_err(|wrong| token.wrong(format!("{word}: {}", wrong.message))),
                None => {
                    let near = super::nearest(word, self.constants.names());
                    Err(token.wrong(format!("there is no constant {word}{near}")))
                }
            },
            Kind::Text(_) | Kind::Sign(_) => Err(token.wrong("a value stands here")),
        }
    }
}
