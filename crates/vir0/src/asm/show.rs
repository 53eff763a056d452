//! The directive `.show`: how a result looks to people.

use super::directive::{behind, nothing};
use super::error::LineError;
use super::expression::whole;
use super::lex::{Kind, Token};
use super::{Assembler, Purpose};
use crate::fault_kind::FaultKind;
use crate::show::{is_text, Show, Shown, MAX_TEXT_BYTES};

const FORM: &str =
    "write .show NAME or .show .records; behind it / NUMBER, \"unit\", or both, and behind a unit , \"title\"";

/// A `.show` whose name and divisor the second pass evaluates.
pub(super) struct Showing {
    first: Token,
    /// How many of the deferred tokens are the name. The others are the divisor.
    name: usize,
    unit: String,
    title: String,
}

impl Assembler<'_> {
    pub(super) fn show(
        &mut self,
        line: usize,
        first: &Token,
        rest: &[Token],
    ) -> Result<(), LineError> {
        let is_text = |token: &Token| matches!(token.kind, Kind::Text(_));
        let texts = rest.iter().position(is_text).unwrap_or(rest.len());
        let (numbers, texts) = rest.split_at(texts);
        let slash = numbers.iter().position(|token| token.is_sign('/'));
        let (name, divisor) = numbers.split_at(slash.unwrap_or(numbers.len()));
        if name.is_empty() {
            return match rest.first() {
                Some(token) => Err(token.error(FORM)),
                None => Err(behind(first, rest, FORM)),
            };
        }
        let divisor = divisor.get(1..).unwrap_or_default();
        if slash.is_some() && divisor.is_empty() {
            return Err(behind(first, numbers, FORM));
        }
        let (unit, title) = match texts {
            [] => (String::new(), String::new()),
            [unit] => (shown_text(unit)?, String::new()),
            [unit, comma, title, more @ ..] if comma.is_sign(',') => {
                nothing(more, FORM)?;
                (shown_text(unit)?, shown_text(title)?)
            }
            [_, comma] if comma.is_sign(',') => return Err(behind(first, texts, FORM)),
            [_, other, ..] => return Err(other.error(FORM)),
        };
        let showing = Showing {
            first: first.clone(),
            name: name.len(),
            unit,
            title,
        };
        let tokens = [name, divisor].concat();
        self.defer(line, Purpose::Show(showing), &tokens);
        Ok(())
    }

    /// Evaluates a `.show`. Those of a program are kept in the order of what they show.
    pub(super) fn shown(&mut self, showing: Showing, tokens: &[Token]) -> Result<(), LineError> {
        let (name, divisor) = tokens.split_at(showing.name.min(tokens.len()));
        let what = match name {
            [token] if token.word() == Some(".records") => Shown::Records,
            name => Shown::from_number(self.array(FaultKind::Acc, name)?),
        };
        if what == Shown::Records && name.len() > 1 {
            return Err(whole(
                name,
                "arrays of accumulators have the numbers 0 to 254",
            ));
        }
        let divisor = match divisor {
            [] => 1,
            tokens => match self.long(tokens)? {
                0 => return Err(whole(tokens, "values cannot be divided by 0")),
                divisor => divisor,
            },
        };
        let shows = &mut self.program.shows;
        let Err(place) = shows.binary_search_by_key(&what, |show| show.what) else {
            let message = "a second .show of the same result; leave one out";
            return Err(showing.first.error(message));
        };
        let Showing { unit, title, .. } = showing;
        shows.insert(
            place,
            Show {
                what,
                divisor,
                unit,
                title,
            },
        );
        Ok(())
    }
}

/// A unit or a title.
fn shown_text(token: &Token) -> Result<String, LineError> {
    let Kind::Text(bytes) = &token.kind else {
        return Err(token.error(FORM));
    };
    let text = std::str::from_utf8(bytes).ok();
    text.filter(|text| is_text(text))
        .map(str::to_owned)
        .ok_or_else(|| {
            let message = format!(
                "a unit or a title has at most {MAX_TEXT_BYTES} bytes of characters that can be seen"
            );
            token.error(message)
        })
}
