//! Tests of `gristmill-ingest`'s reader by NVMe passthrough. Each shape of the guest has a module.

mod media_error;
mod switch;
