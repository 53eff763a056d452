//! The schema in Arrow's terms.

use crate::schema::{Field, Kind, Schema};
use crate::told::{NAME, VERSION};
use arrow_schema::{DataType, Field as ArrowField, Schema as ArrowSchema};
use std::collections::HashMap;
use std::sync::Arc;

/// The key under which a file's metadata has the version of this crate.
const CRATE: &str = "gristmill.version";

/// What stands under these keys.
pub(super) fn metadata(schema: &Schema) -> Vec<(&'static str, String)> {
    let mut metadata = vec![
        (NAME, schema.name().to_owned()),
        (VERSION, schema.version().to_string()),
        (CRATE, env!("CARGO_PKG_VERSION").to_owned()),
    ];
    metadata.extend(schema.metadata().iter().cloned());
    metadata
}

/// The schema as Arrow's. Its metadata has `gristmill.schema`, the schema's name, `gristmill.schema_version` and
/// `gristmill.version`; that of a column `description` and, where it has one, `unit`.
#[must_use]
pub fn schema(schema: &Schema) -> ArrowSchema {
    let mut fields = Vec::new();
    for field in schema.fields() {
        let list = |kind| DataType::List(Arc::new(ArrowField::new("item", kind, false)));
        let kind = match field.kind {
            Kind::U64 => DataType::UInt64,
            Kind::I64 => DataType::Int64,
            Kind::F64 => DataType::Float64,
            Kind::Bool => DataType::Boolean,
            Kind::Text | Kind::Path => DataType::Utf8,
            Kind::Bytes => DataType::Binary,
            Kind::U64s => list(DataType::UInt64),
            Kind::Texts => list(DataType::Utf8),
        };
        fields.push(column(field, &field.name, kind, &field.about));
        if field.kind == Kind::Path {
            let about = format!("The bytes of `{}`.", field.name);
            let name = format!("{}_bytes", field.name);
            fields.push(column(field, &name, DataType::Binary, &about));
        }
    }
    let metadata = metadata(schema).into_iter();
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    ArrowSchema::new(fields).with_metadata(HashMap::from_iter(metadata))
}

fn column(field: &Field, name: &str, kind: DataType, about: &str) -> ArrowField {
    let mut metadata = HashMap::from([("description".to_owned(), about.to_owned())]);
    if !field.unit.is_empty() {
        metadata.insert("unit".to_owned(), field.unit.to_owned());
    }
    ArrowField::new(name, kind, field.nullable).with_metadata(metadata)
}
