//! What goes wrong with files, machines and readers of the output, each for real and through the real binary.
//!
//! Every test holds the same promises for its own failure: right results for everything else, one line on standard
//! error that says `gristmill: PATH: offset N: reason` (the offset where reading had begun), exit code 2, and an end. A
//! program that moves no more without having ended is ended, and the test fails. What a machine cannot stage (no FUSE,
//! no loop devices, not root) is skipped, and says so.

mod bounds;
mod fuse;
mod io_errors;
mod io_loop;
mod limits;
mod memory;
mod names;
mod output;
mod own_outputs;
mod panics;
mod shortage;
mod signals;
mod sizes;
mod special;
mod swaps;
mod world;
