//! How the mill cuts files for a job: what chunks see around them, where they begin, how they are split.
//!
//! `world` has an opcode that compares everything it is shown with what the file holds there; `programs` does the same
//! with VIR0 programs.

mod files;
mod programs;
mod splits;
mod streams;
mod world;
