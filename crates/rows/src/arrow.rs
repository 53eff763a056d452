//! Rows as Arrow record batches, and what writes these as files.

mod batch;
mod ipc;
mod layout;
mod parquet;

pub use batch::{BatchBuilder, Batches};
pub(crate) use ipc::IpcWriter;
pub use layout::schema;
pub(crate) use parquet::ParquetWriter;
