//! Classes and escapes, in classes and outside.

use super::{class_literal, Rest, SyntaxError, Translation};

impl Rest<'_> {
    /// Reads what follows a backslash at `start` and stands for one character.
    pub(super) fn character(&mut self, start: usize) -> Result<char, SyntaxError> {
        let unknown = || SyntaxError::new(start, "RE2's syntax has no such escape");
        let next = self
            .next()
            .ok_or_else(|| SyntaxError::new(start, "a backslash with nothing behind it"))?;
        Ok(match next {
            'a' => '\x07',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0B',
            'x' => {
                let digits = if self.take("{") {
                    let rest = self.str();
                    let digits = rest.split('}').next().unwrap_or_default();
                    if digits.len() == rest.len() {
                        return Err(unknown());
                    }
                    self.at += digits.len() + 1;
                    digits
                } else {
                    let digits = self.str().get(..2).ok_or_else(unknown)?;
                    self.at += 2;
                    digits
                };
                let hexadecimal =
                    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
                u32::from_str_radix(digits, 16)
                    .ok()
                    .filter(|_| hexadecimal)
                    .and_then(char::from_u32)
                    .ok_or_else(|| {
                        let reason = "not the hexadecimal number of a character";
                        SyntaxError::new(start, reason)
                    })?
            }
            '0'..='7' => {
                let mut number = u32::from(next) - u32::from('0');
                let mut digits = 1;
                while let (1 | 2, Some(digit @ '0'..='7')) = (digits, self.peek()) {
                    number = number * 8 + u32::from(digit) - u32::from('0');
                    digits += 1;
                    self.at += 1;
                }
                if digits == 1 && next != '0' {
                    return Err(SyntaxError::new(start, "there are no back-references"));
                }
                char::from_u32(number).ok_or_else(unknown)?
            }
            other if other.is_ascii() && !other.is_ascii_alphanumeric() => other,
            _ => return Err(unknown()),
        })
    }
}

impl Translation<'_> {
    /// Takes what follows a backslash at `start`, if it stands for a class.
    pub(super) fn class_escape(&mut self, start: usize) -> Result<bool, SyntaxError> {
        let rust = match self.rest.peek() {
            Some('d') => "[0-9]",
            Some('D') => "[^0-9]",
            Some('s') => r"[\t\n\x0C\r ]",
            Some('S') => r"[^\t\n\x0C\r ]",
            Some('w') => "[0-9A-Za-z_]",
            Some('W') => "[^0-9A-Za-z_]",
            Some(letter @ ('p' | 'P')) => {
                self.rest.at += 1;
                self.unicode_class(start, letter)?;
                return Ok(true);
            }
            _ => return Ok(false),
        };
        self.put(1, rust);
        Ok(true)
    }

    fn unicode_class(&mut self, start: usize, letter: char) -> Result<(), SyntaxError> {
        let unknown = || SyntaxError::new(start, "not the name of a Unicode class");
        let name = if self.rest.take("{") {
            let rest = self.rest.str();
            let name = rest.split('}').next().unwrap_or_default();
            if name.len() == rest.len() {
                return Err(unknown());
            }
            self.rest.at += name.len() + 1;
            name
        } else {
            let rest = self.rest.str();
            let length = self.rest.next().ok_or_else(unknown)?.len_utf8();
            &rest[..length]
        };
        let (negated, name) = match name.strip_prefix('^') {
            Some(name) => (letter == 'p', name),
            None => (letter == 'P', name),
        };
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(unknown());
        }
        self.rust.push_str(if negated { r"\P{" } else { r"\p{" });
        self.rust.push_str(name);
        self.rust.push('}');
        Ok(())
    }

    /// Takes what follows a bracket at `start`.
    pub(super) fn class(&mut self, start: usize) -> Result<(), SyntaxError> {
        self.rust.push('[');
        if self.rest.take("^") {
            self.rust.push('^');
        }
        let first = self.rest.at;
        loop {
            let item = self.rest.at;
            self.places.push((self.rust.len(), item));
            if item > first && self.rest.take("]") {
                self.rust.push(']');
                return Ok(());
            }
            if self.posix_class(item)? {
                continue;
            }
            if self.rest.take("\\") {
                if self.class_escape(item)? {
                    continue;
                }
                self.rest.at = item;
            }
            let low = self.class_character(start)?;
            class_literal(&mut self.rust, low);
            let rest = self.rest.str();
            if rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]") {
                self.rest.at += 1;
                let high = self.class_character(start)?;
                if high < low {
                    return Err(SyntaxError::new(item, "a range that ends before it begins"));
                }
                self.rust.push('-');
                class_literal(&mut self.rust, high);
            }
        }
    }

    /// Takes `[:name:]`, if it comes next. The names, and what they stand for, are those of Rust's syntax too.
    fn posix_class(&mut self, item: usize) -> Result<bool, SyntaxError> {
        let rest = self.rest.str();
        let Some(length) = rest.strip_prefix("[:").and_then(|rest| rest.find(":]")) else {
            return Ok(false);
        };
        let class = &rest[..length + 4];
        let name = class[2..length + 2].trim_start_matches('^');
        let names = [
            "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print",
            "punct", "space", "upper", "word", "xdigit",
        ];
        if !names.contains(&name) {
            return Err(SyntaxError::new(
                item,
                "no class of characters has this name",
            ));
        }
        self.put(class.len(), class);
        Ok(true)
    }

    fn class_character(&mut self, start: usize) -> Result<char, SyntaxError> {
        let at = self.rest.at;
        match self.rest.next() {
            Some('\\') => self.rest.character(at),
            Some(character) => Ok(character),
            None => Err(SyntaxError::new(start, "a class without an end")),
        }
    }
}
