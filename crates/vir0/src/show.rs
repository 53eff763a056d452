//! How results look to people: a scale, a unit and a title for an accumulator array or for the values of records.
//!
//! A program computes in whole numbers. With `.show entropy / 65536 "bits per byte"` it says that 304,112 means 4.64 bits
//! per byte. Nothing here changes what a program computes.

/// The most bytes that a unit or a title has.
pub const MAX_TEXT_BYTES: usize = 64;

/// What a [`Show`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shown {
    /// The accumulators of the array with this number, from 0 to 254.
    Acc(u8),
    /// The values of records.
    Records,
}

impl Shown {
    /// Its number in a container: that of the array, or 255.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Acc(number) => number,
            Self::Records => u8::MAX,
        }
    }

    /// What a number in a container means.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            u8::MAX => Self::Records,
            number => Self::Acc(number),
        }
    }
}

/// How a result is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Show {
    /// Which result.
    pub what: Shown,
    /// The number by which values are divided; 1 leaves them as they are. A program with 0 is not accepted.
    pub divisor: u32,
    /// The unit of what is shown, such as `bits per byte`; empty if there is none.
    pub unit: String,
    /// What is shown in the place of the name; empty for the name.
    pub title: String,
}

impl Show {
    /// The value as it is shown, without its unit. The decimal places are those of the divisor if it is a power of ten, and
    /// otherwise two; halves are rounded up.
    #[must_use]
    pub fn value(&self, value: u64) -> String {
        let divisor = u128::from(self.divisor.max(1));
        if divisor == 1 {
            return value.to_string();
        }
        let digits = divisor.ilog10();
        let places = if 10_u128.pow(digits) == divisor {
            digits
        } else {
            2
        };
        let ones = 10_u128.pow(places);
        // Below 2^64 x 10^9.
        let rounded = (u128::from(value) * ones + divisor / 2) / divisor;
        let width = places as usize;
        format!("{}.{:0width$}", rounded / ones, rounded % ones)
    }

    /// The value as a number with a fraction, for programs that read it.
    #[must_use]
    pub fn number(&self, value: u64) -> f64 {
        value as f64 / f64::from(self.divisor.max(1))
    }

    /// The value as it is shown, with its unit.
    #[must_use]
    pub fn with_unit(&self, value: u64) -> String {
        let mut text = self.value(value);
        if !self.unit.is_empty() {
            text.push(' ');
            text.push_str(&self.unit);
        }
        text
    }

    /// What is shown in the place of `name`.
    #[must_use]
    pub fn title<'a>(&'a self, name: &'a str) -> &'a str {
        if self.title.is_empty() {
            name
        } else {
            &self.title
        }
    }

    /// The heading of a column with such values, whose name is `name`. `element` says which element of an array they are,
    /// such as `[3]`.
    #[must_use]
    pub fn heading(&self, name: &str, element: &str) -> String {
        let title = self.title(name);
        if self.unit.is_empty() {
            format!("{title}{element}")
        } else {
            format!("{title}{element} ({})", self.unit)
        }
    }
}

/// Whether a text can be a unit or a title: at most [`MAX_TEXT_BYTES`] bytes, all of them of characters that can be seen,
/// and blanks. A container may be hostile, and these texts go to terminals.
#[must_use]
pub fn is_text(text: &str) -> bool {
    // What `escape_debug` leaves as it is can be seen. It would escape the first of several combining characters, too.
    let seen = |c: char| matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1;
    text.len() <= MAX_TEXT_BYTES && text.chars().all(seen)
}

#[cfg(test)]
mod tests {
    use super::{is_text, Show, Shown};

    fn show(divisor: u32, unit: &str) -> Show {
        Show {
            what: Shown::Records,
            divisor,
            unit: unit.into(),
            title: String::new(),
        }
    }

    #[test]
    fn values_are_divided_and_rounded() {
        for (divisor, value, expected) in [
            (65_536, 304_112, "4.64"),
            (65_536, 0, "0.00"),
            (65_536, 327, "0.00"),
            (65_536, 328, "0.01"),
            (65_536, u64::MAX, "281474976710656.00"),
            (1, u64::MAX, "18446744073709551615"),
            (0, 7, "7"),
            (1000, 1_234_567, "1234.567"),
            (10, 5, "0.5"),
            (3, 2, "0.67"),
            (1_000_000_000, u64::MAX, "18446744073.709551615"),
        ] {
            assert_eq!(show(divisor, "").value(value), expected);
        }
        assert_eq!(show(10, "s").with_unit(5), "0.5 s");
        assert_eq!(show(10, "s").heading("time", ""), "time (s)");
    }

    #[test]
    fn texts_can_be_seen() {
        for text in ["", "bits per byte", "\u{b5}s", "\"\\'", &"a".repeat(64)] {
            assert!(is_text(text), "{text:?}");
        }
        for text in ["\n", "\u{1b}[1m", "\u{202e}", &"a".repeat(65)] {
            assert!(!is_text(text), "{text:?}");
        }
    }
}
