//! The reader of `gristmill-ingest` by NVMe passthrough, a module for each shape of the guest.

mod media_error;
mod switch;
