//! Rows as Arrow record batches and as rows again, and what writes and reads files of them.

mod batch;
mod batches;
mod bounds;
mod ipc;
mod layout;
mod lengths;
mod page_header;
mod pages;
mod parquet;
mod parquet_read;
mod read;
mod rows;
mod sized;

pub use batch::BatchBuilder;
pub use batches::Batches;
pub(crate) use ipc::IpcWriter;
pub use layout::schema;
pub(crate) use parquet::ParquetWriter;
pub(crate) use parquet_read::ParquetFile;
pub(crate) use read::IpcFile;
