//! Objects of stores, with the real binary: answers equal to those of the same files on disk, and what goes wrong.
//!
//! The store is `gristmill_testing::store`, which fails as it is told; `real.rs` and `network.rs` ask servers that others
//! wrote.

mod answers;
mod faults;
mod manifests;
mod network;
mod peers;
mod real;
mod secrets;
mod shares;
mod web;
mod world;
