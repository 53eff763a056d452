//! Manifests: written and read in every format, damaged, compared, and their chunks.

mod changes;
mod chunks;
mod compare;
mod damage;
mod world;
