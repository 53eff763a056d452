//! A sum over the values of a table's rows, by which damage is found: that of what a file holds, whatever its format.

use crate::value::Value;
use xxhash_rust::xxh3::Xxh3;

/// The keys under which a file's metadata has the number of its rows, and their sum.
pub(crate) const ROWS: &str = "gristmill.rows";
pub(crate) const XXH3: &str = "gristmill.rows_xxh3";

/// The rows so far.
#[derive(Default)]
pub(crate) struct Sum {
    rows: u64,
    hash: Box<Xxh3>,
    bytes: Vec<u8>,
}

impl Sum {
    /// Adds a row.
    pub fn add(&mut self, row: &[Value<'_>]) {
        let bytes = &mut self.bytes;
        let number = |bytes: &mut Vec<u8>, tag: u8, value: [u8; 8]| {
            bytes.push(tag);
            bytes.extend_from_slice(&value);
        };
        for value in row {
            match value {
                Value::Null => bytes.push(0),
                Value::U64(value) => number(bytes, 1, value.to_le_bytes()),
                Value::I64(value) => number(bytes, 2, value.to_le_bytes()),
                Value::F64(value) => number(bytes, 3, value.to_bits().to_le_bytes()),
                Value::Bool(value) => bytes.extend([4, u8::from(*value)]),
                Value::Bytes(value) => {
                    number(bytes, 5, (value.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(value);
                }
                Value::U64s(list) => {
                    number(bytes, 6, (list.0.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(list.0.as_flattened());
                }
                Value::Texts(list) => {
                    number(bytes, 7, (list.0.len() as u64).to_le_bytes());
                    bytes.extend_from_slice(list.0);
                }
            }
        }
        self.hash.update(bytes);
        bytes.clear();
        self.rows += 1;
    }

    /// What a file's metadata says of the rows.
    pub fn metadata(&self) -> [(&'static str, String); 2] {
        let hash = format!("{:016x}", self.hash.digest());
        [(ROWS, self.rows.to_string()), (XXH3, hash)]
    }
}
