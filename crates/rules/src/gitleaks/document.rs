//! Typed access to a TOML document, and errors that say where in it something is.

use crate::error::RuleError;
use std::collections::HashSet;
use std::path::Path;
use toml::de::{DeString, DeTable, DeValue};
use toml::Spanned;

pub(super) type Key<'a> = Spanned<DeString<'a>>;
pub(super) type Value<'a> = Spanned<DeValue<'a>>;

/// A TOML document.
pub(super) struct Document<'a> {
    path: &'a Path,
    text: &'a str,
}

impl<'a> Document<'a> {
    /// The text of a file.
    pub fn text<'b>(path: &Path, bytes: &'b [u8]) -> Result<&'b str, RuleError> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        std::str::from_utf8(bytes).map_err(|error| {
            RuleError::at(
                path,
                bytes,
                error.valid_up_to(),
                "not UTF-8, as TOML must be",
            )
        })
    }

    pub fn parse(path: &'a Path, text: &'a str) -> Result<(Self, Spanned<DeTable<'a>>), RuleError> {
        let document = Self { path, text };
        match DeTable::parse(text) {
            Ok(table) => Ok((document, table)),
            Err(error) => {
                let offset = error.span().map_or(0, |span| span.start);
                Err(document.error(offset, format!("not TOML: {}", error.message())))
            }
        }
    }

    pub fn error(&self, offset: usize, reason: impl Into<String>) -> RuleError {
        RuleError::at(self.path, self.text.as_bytes(), offset, reason)
    }

    pub fn unknown(&self, key: &Key<'_>, known: &str) -> RuleError {
        let reason = format!("unknown key `{}`; the keys here are {known}", key.get_ref());
        self.error(key.span().start, reason)
    }

    /// The line of an offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        memchr::memchr_iter(b'\n', &self.text.as_bytes()[..offset]).count() + 1
    }

    /// The entries of a table, no two of which have the same name in another case.
    pub fn entries<'t>(
        &self,
        table: &'t DeTable<'t>,
    ) -> Result<impl Iterator<Item = (&'t Key<'t>, &'t Value<'t>)>, RuleError> {
        let mut names = HashSet::new();
        for (key, _) in table {
            if !names.insert(key.get_ref().to_ascii_lowercase()) {
                let reason = format!("`{}` is given twice", key.get_ref());
                return Err(self.error(key.span().start, reason));
            }
        }
        Ok(table.iter())
    }

    fn wrong(&self, name: &str, value: &Value<'_>, wanted: &str) -> RuleError {
        let reason = format!("`{name}` is {wanted}, and this is not");
        self.error(value.span().start, reason)
    }

    pub fn string<'v>(&self, key: &Key<'_>, value: &'v Value<'_>) -> Result<&'v str, RuleError> {
        let string = value.get_ref().as_str();
        string.ok_or_else(|| self.wrong(key.get_ref(), value, "a string"))
    }

    pub fn strings<'v>(
        &self,
        key: &Key<'_>,
        value: &'v Value<'v>,
    ) -> Result<Vec<(&'v str, &'v Value<'v>)>, RuleError> {
        let array = value.get_ref().as_array();
        let array = array.ok_or_else(|| self.wrong(key.get_ref(), value, "an array of strings"))?;
        array
            .iter()
            .map(|element| Ok((self.string(key, element)?, element)))
            .collect()
    }

    pub fn table<'v>(
        &self,
        name: &str,
        value: &'v Value<'v>,
    ) -> Result<&'v DeTable<'v>, RuleError> {
        let table = value.get_ref().as_table();
        table.ok_or_else(|| self.wrong(name, value, "made of tables"))
    }

    pub fn tables<'v>(
        &self,
        key: &Key<'_>,
        value: &'v Value<'v>,
    ) -> Result<impl Iterator<Item = &'v Value<'v>>, RuleError> {
        let array = value.get_ref().as_array();
        let array = array.ok_or_else(|| self.wrong(key.get_ref(), value, "an array of tables"))?;
        Ok(array.iter())
    }

    pub fn whole_number(&self, key: &Key<'_>, value: &Value<'_>) -> Result<usize, RuleError> {
        let number = value.get_ref().as_integer();
        number
            .and_then(|number| usize::from_str_radix(number.as_str(), number.radix()).ok())
            .ok_or_else(|| self.wrong(key.get_ref(), value, "a whole number, 0 or more"))
    }

    pub fn number(&self, key: &Key<'_>, value: &Value<'_>) -> Result<f64, RuleError> {
        let digits = match value.get_ref() {
            DeValue::Float(number) => number.as_str(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            _ => "",
        };
        let number = digits.parse().ok();
        number
            .filter(|number: &f64| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| self.wrong(key.get_ref(), value, "a number, 0 or more"))
    }

    /// The place in the document of the byte `offset` of a string. Where the string has escapes, its beginning.
    pub fn within(&self, value: &Value<'_>, offset: usize) -> usize {
        let span = value.span();
        let written = &self.text[span.clone()];
        let string = value.get_ref().as_str().unwrap_or_default();
        let quotes = ["'''\r\n", "'''\n", "'''", "\"\"\"\n", "\"\"\"", "'", "\""];
        let opened = quotes.iter().find(|quote| written.starts_with(**quote));
        let opened = opened.map_or(0, |quote| quote.len());
        if written[opened..].starts_with(string) {
            span.start + opened + offset
        } else {
            span.start
        }
    }
}
