//! Failures of files, machines and readers of the output, each produced for real and tested with the real binary.
//!
//! Every test checks the same promises for its own failure: right results for everything else, one line on standard
//! error that says `gristmill: PATH: offset N: reason` (with the offset only if reading had begun), exit code 2, and
//! that the run ends. A program that makes no more progress is ended, and its test fails. A test whose failure the
//! machine cannot produce (no FUSE, no loop devices, not root) is skipped, and says so.

mod bounds;
mod fuse;
mod io_errors;
mod io_loop;
mod limits;
mod memory;
mod mill;
mod names;
mod output;
mod own_outputs;
mod panics;
mod shortage;
mod signals;
mod sizes;
mod special;
mod swaps;
mod tables;
mod world;
