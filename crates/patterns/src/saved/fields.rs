//! Consecutive fields: numbers, and texts preceded by their length.

use super::error::SetError;

/// Writes the fields of a section.
#[derive(Debug, Default, Clone)]
pub struct FieldWriter(Vec<u8>);

impl FieldWriter {
    /// A section without fields yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one byte.
    pub fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    /// Adds a number of four bytes.
    pub fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Adds a number of eight bytes.
    pub fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    /// Adds how many elements follow, in four bytes. A set has no more than 32-bit numbers can name.
    pub fn count(&mut self, number: usize) {
        self.u32(u32::try_from(number).unwrap_or(u32::MAX));
    }

    /// Adds bytes behind their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    /// Adds whether something follows, and then that.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// What was written.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads the fields of a section in their order. What is wrong is an error with the field's place.
#[derive(Debug, Clone)]
pub struct FieldReader<'a> {
    bytes: &'a [u8],
    at: usize,
    section: &'static str,
    /// Where the section begins in the set.
    offset: u64,
}

impl<'a> FieldReader<'a> {
    /// Fields that begin at this offset of a set, in a section of this name.
    #[must_use]
    pub fn new(bytes: &'a [u8], section: &'static str, offset: u64) -> Self {
        Self {
            bytes,
            at: 0,
            section,
            offset,
        }
    }

    /// An error about what was read last, which began `back` bytes before.
    #[must_use]
    pub fn damaged(&self, back: usize, what: impl Into<String>) -> SetError {
        let at = self.at.saturating_sub(back) as u64;
        SetError::damaged(self.section, self.offset + at, what)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], SetError> {
        let end = self.at.checked_add(count);
        let Some(bytes) = end.and_then(|end| self.bytes.get(self.at..end)) else {
            return Err(self.damaged(0, "a field reaches beyond the section's end"));
        };
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SetError> {
        let bytes = self.take(N)?.first_chunk();
        Ok(bytes.copied().unwrap_or([0; N]))
    }

    /// One byte.
    ///
    /// # Errors
    /// If the section has ended.
    pub fn u8(&mut self) -> Result<u8, SetError> {
        Ok(self.array::<1>()?[0])
    }

    /// A number of four bytes.
    ///
    /// # Errors
    /// If the section has ended.
    pub fn u32(&mut self) -> Result<u32, SetError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A number of eight bytes.
    ///
    /// # Errors
    /// If the section has ended.
    pub fn u64(&mut self) -> Result<u64, SetError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A byte that is 0 or 1.
    ///
    /// # Errors
    /// If the section has ended; if it is another number.
    pub fn flag(&mut self) -> Result<bool, SetError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.damaged(1, format!("{other} is neither 0 nor 1"))),
        }
    }

    /// How many elements follow, each of at least `least` bytes.
    ///
    /// # Errors
    /// If the section has no room for them.
    pub fn count(&mut self, least: usize) -> Result<usize, SetError> {
        let count = self.u32()? as usize;
        let left = self.bytes.len() - self.at;
        if count.saturating_mul(least) > left {
            return Err(self.damaged(4, format!("no room for {count} elements")));
        }
        Ok(count)
    }

    /// Bytes behind their number.
    ///
    /// # Errors
    /// If the section has ended.
    pub fn bytes(&mut self) -> Result<&'a [u8], SetError> {
        let count = self.count(1)?;
        self.take(count)
    }

    /// A text behind the number of its bytes.
    ///
    /// # Errors
    /// If the section has ended; if it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, SetError> {
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|error| {
            let back = bytes.len() - error.valid_up_to();
            self.damaged(back, "a text that is not UTF-8")
        })
    }

    /// What [`FieldWriter::option`] wrote.
    ///
    /// # Errors
    /// As [`flag`](Self::flag), and that of `read`.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SetError>,
    ) -> Result<Option<T>, SetError> {
        self.flag()?.then(|| read(self)).transpose()
    }

    /// Makes sure that the section ends here.
    ///
    /// # Errors
    /// If it does not.
    pub fn end(&self) -> Result<(), SetError> {
        if self.at < self.bytes.len() {
            return Err(self.damaged(0, "the section goes on behind its last field"));
        }
        Ok(())
    }
}
