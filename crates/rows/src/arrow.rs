//! Rows as Arrow record batches, and what writes these as files.

mod batch;
mod ipc;
mod layout;
mod parquet;
mod read;

pub use batch::{BatchBuilder, Batches};
pub(crate) use ipc::IpcWriter;
pub use layout::schema;
pub(crate) use parquet::ParquetWriter;
pub(crate) use read::{IpcFile, ParquetFile};
