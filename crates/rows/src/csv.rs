//! CSV as RFC 4180 has it, but for line ends, which are newlines: a header with the columns' names, then a line for each
//! row. A field that holds a comma, a quotation mark, a newline or a carriage return stands in quotation marks, and one of
//! these in it is doubled. What has no value is an empty field, and an empty text is two quotation marks.

use crate::escape::{escape, readable};
use crate::schema::{Kind, Schema};
use crate::value::Value;
use std::io::{self, Write};

/// Bytes that are gathered before they are written.
const BUFFER: usize = 64 << 10;

/// Writes rows as CSV.
pub(crate) struct Csv<W> {
    output: W,
    kinds: Vec<Kind>,
    lines: Vec<u8>,
}

impl<W: Write> Csv<W> {
    pub fn new(schema: &Schema, output: W) -> Self {
        let mut lines = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if index > 0 {
                lines.push(b',');
            }
            text(&mut lines, &field.name);
        }
        lines.push(b'\n');
        Self {
            output,
            kinds: schema.fields().iter().map(|field| field.kind).collect(),
            lines,
        }
    }

    pub fn row(&mut self, row: &[Value<'_>]) -> io::Result<()> {
        let lines = &mut self.lines;
        for (index, (value, kind)) in row.iter().zip(&self.kinds).enumerate() {
            if index > 0 {
                lines.push(b',');
            }
            match value {
                Value::Null => {}
                Value::U64(number) => write!(lines, "{number}")?,
                Value::I64(number) => write!(lines, "{number}")?,
                // The shortest text from which the same number is read.
                Value::F64(number) => write!(lines, "{number}")?,
                Value::Bool(yes) => write!(lines, "{yes}")?,
                Value::Bytes(bytes) if *kind == Kind::Text => text(lines, &readable(bytes)),
                Value::Bytes(bytes) => text(lines, &escape(bytes)),
                Value::U64s(list) => {
                    let all: Vec<String> = list.iter().map(|number| number.to_string()).collect();
                    text(lines, &format!("[{}]", all.join(",")));
                }
                Value::Texts(list) => {
                    let all: Vec<String> = list.iter().map(|one| json(&readable(one))).collect();
                    text(lines, &format!("[{}]", all.join(",")));
                }
            }
        }
        lines.push(b'\n');
        if self.lines.len() >= BUFFER {
            self.give()?;
        }
        Ok(())
    }

    fn give(&mut self) -> io::Result<()> {
        let written = self.output.write_all(&self.lines);
        self.lines.clear();
        written
    }

    pub fn flush(&mut self) -> io::Result<()> {
        self.give()?;
        self.output.flush()
    }
}

/// Appends a field.
fn text(line: &mut Vec<u8>, text: &str) {
    let special = |byte: &u8| matches!(byte, b',' | b'"' | b'\n' | b'\r');
    if !text.is_empty() && !text.as_bytes().iter().any(special) {
        line.extend_from_slice(text.as_bytes());
        return;
    }
    line.push(b'"');
    for (number, part) in text.split('"').enumerate() {
        if number > 0 {
            line.extend_from_slice(b"\"\"");
        }
        line.extend_from_slice(part.as_bytes());
    }
    line.push(b'"');
}

/// A string of JSON.
fn json(text: &str) -> String {
    let mut json = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => json.extend(['\\', character]),
            control if control < ' ' => json += &format!("\\u{:04x}", u32::from(control)),
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, RowWriter, TableWriter};

    fn schema() -> Schema {
        let fields = [
            Field::new("path", Kind::Path, ""),
            Field::new("text", Kind::Text, "").nullable(),
            Field::new("bytes", Kind::Bytes, ""),
            Field::new("list", Kind::Texts, ""),
            Field::new("numbers", Kind::U64s, ""),
            Field::new("half", Kind::F64, ""),
            Field::new("yes", Kind::Bool, ""),
        ];
        Schema::new("test", 1, "", fields)
    }

    #[test]
    fn fields_are_quoted_where_they_must_be() {
        let mut rows = Vec::new();
        let row = RowWriter::row(&mut rows).bytes(b"a,\"b\"\n\\").null();
        let row = row.bytes(b"\xff").texts([&b"a\"b"[..], b"\n"]);
        row.u64s([1, u64::MAX].into_iter())
            .f64(0.1)
            .bool(true)
            .end();
        let row = RowWriter::row(&mut rows).bytes(b"plain").bytes(b"");
        let row = row.bytes(b"\\d").texts([]).u64s([].into_iter());
        row.f64(-2.0).bool(false).end();
        let mut csv = Vec::new();
        let mut table = TableWriter::csv(&schema(), &mut csv);
        table.write_all(&rows).unwrap();
        table.finish().unwrap();
        let expected = concat!(
            "path,text,bytes,list,numbers,half,yes\n",
            "\"a,\"\"b\"\"\n\\\\\",,\\xff,\"[\"\"a\\\"\"b\"\",\"\"\\u000a\"\"]\",\"[1,18446744073709551615]\",0.1,true\n",
            "plain,\"\",\\\\d,[],[],-2,false\n",
        );
        assert_eq!(String::from_utf8(csv).unwrap(), expected);
    }
}
