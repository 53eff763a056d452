//! Rows as bytes.
//!
//! A record is its length as 8 bytes, a byte that says what it is, and values. A *row* has the values of its columns, in
//! their order. Rows behind a *common* record have its values in front of their own: the path of a file need not be in
//! each of its rows. Rows that were put in order as bytes may come from several files, so whoever writes a piece of them
//! begins it with a common record of its own, or has whole rows only.
//!
//! A value is a byte that tells its type, and its bytes. All numbers are little-endian. Nothing but this process reads
//! this form, so it has no version.

/// What a record is.
pub(crate) mod record {
    pub const ROW: u8 = 0;
    pub const WHOLE_ROW: u8 = 1;
    pub const COMMON: u8 = 2;
}

/// The types of values.
pub(crate) mod tag {
    pub const NULL: u8 = 0;
    pub const U64: u8 = 1;
    pub const I64: u8 = 2;
    pub const F64: u8 = 3;
    pub const FALSE: u8 = 4;
    pub const TRUE: u8 = 5;
    pub const BYTES: u8 = 6;
    pub const U64S: u8 = 7;
    pub const TEXTS: u8 = 8;
}

/// Bytes of a record's length.
pub(crate) const LENGTH: usize = 8;

/// Appends a record to bytes, value by value, in the order of the schema's columns. It counts only once
/// [`end`](Self::end) was called. A value of another type than its column's is told by whoever reads it.
#[derive(Debug)]
#[must_use = "a row is whole once it was ended"]
pub struct RowWriter<'a> {
    rows: &'a mut Vec<u8>,
    /// Where the record begins.
    start: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins a row that has values for all columns.
    pub fn row(rows: &'a mut Vec<u8>) -> Self {
        Self::begin(rows, record::WHOLE_ROW)
    }

    /// Begins the values that the rows behind it have in common: those of the first columns.
    pub fn common(rows: &'a mut Vec<u8>) -> Self {
        Self::begin(rows, record::COMMON)
    }

    /// Begins a row that has values for the columns behind those of the [`common`](Self::common) values before it.
    pub fn rest(rows: &'a mut Vec<u8>) -> Self {
        Self::begin(rows, record::ROW)
    }

    #[inline]
    fn begin(rows: &'a mut Vec<u8>, record: u8) -> Self {
        let start = rows.len();
        rows.extend_from_slice(&[0; LENGTH]);
        rows.push(record);
        Self { rows, start }
    }

    /// No value.
    #[inline]
    pub fn null(self) -> Self {
        self.rows.push(tag::NULL);
        self
    }

    #[inline]
    fn number(self, tag: u8, bytes: [u8; 8]) -> Self {
        self.rows.push(tag);
        self.rows.extend_from_slice(&bytes);
        self
    }

    /// An unsigned number.
    #[inline]
    pub fn u64(self, value: u64) -> Self {
        self.number(tag::U64, value.to_le_bytes())
    }

    /// A signed number.
    #[inline]
    pub fn i64(self, value: i64) -> Self {
        self.number(tag::I64, value.to_le_bytes())
    }

    /// A number with a point.
    #[inline]
    pub fn f64(self, value: f64) -> Self {
        self.number(tag::F64, value.to_le_bytes())
    }

    /// True or false.
    #[inline]
    pub fn bool(self, value: bool) -> Self {
        self.rows.push(if value { tag::TRUE } else { tag::FALSE });
        self
    }

    /// A text, a path or bytes.
    #[inline]
    pub fn bytes(self, value: &[u8]) -> Self {
        let this = self.number(tag::BYTES, (value.len() as u64).to_le_bytes());
        this.rows.extend_from_slice(value);
        this
    }

    /// A list of numbers.
    pub fn u64s(self, values: impl ExactSizeIterator<Item = u64>) -> Self {
        let this = self.number(tag::U64S, (values.len() as u64).to_le_bytes());
        values.for_each(|value| this.rows.extend_from_slice(&value.to_le_bytes()));
        this
    }

    /// A list of texts.
    pub fn texts<'t>(self, values: impl IntoIterator<Item = &'t [u8]>) -> Self {
        let this = self.number(tag::TEXTS, [0; 8]);
        let start = this.rows.len();
        for value in values {
            this.rows
                .extend_from_slice(&(value.len() as u64).to_le_bytes());
            this.rows.extend_from_slice(value);
        }
        let length = (this.rows.len() - start) as u64;
        this.rows[start - 8..start].copy_from_slice(&length.to_le_bytes());
        this
    }

    /// Ends the record.
    #[inline]
    pub fn end(self) {
        let behind = self.start + LENGTH;
        let length = (self.rows.len() - behind) as u64;
        self.rows[self.start..behind].copy_from_slice(&length.to_le_bytes());
    }
}
