//! The configuration with which a case launches its kernel.

use gristmill_megakernel::{Lease, StreamJob};

/// The configuration with which a case launches a kernel. Each field is set by the method of the same name.
pub(super) struct Setup {
    pub workers: usize,
    pub slots: u32,
    pub tenants: u32,
    pub observables: u32,
    pub debug_records: u32,
    pub io_slots: u32,
    pub chunks: u32,
    pub chunk_bytes: usize,
    pub record_words: u32,
    pub lease: Lease,
    pub jobs: Vec<StreamJob>,
}

impl Default for Setup {
    /// One worker, one tenant, a ring of 64 slots, 64 observables, two chunks of 16 KiB, areas of 512 words.
    fn default() -> Self {
        Self {
            workers: 1,
            slots: 64,
            tenants: 1,
            observables: 64,
            debug_records: 64,
            io_slots: 0,
            chunks: 2,
            chunk_bytes: 16 << 10,
            record_words: 512,
            lease: Lease::default(),
            jobs: Vec::new(),
        }
    }
}

macro_rules! set {
    ($($field:ident: $type:ty),*) => {
        impl Setup {
            $(pub fn $field(self, $field: $type) -> Self {
                Self { $field, ..self }
            })*
        }
    };
}

set! {
    workers: usize, slots: u32, tenants: u32, observables: u32, debug_records: u32, io_slots: u32, chunks: u32,
    chunk_bytes: usize, record_words: u32, lease: Lease, jobs: Vec<StreamJob>
}
