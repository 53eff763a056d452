//! Each command end to end, with the real binary: a file for each, and `tool`, which runs it.

mod cli;
mod compile;
mod digest;
mod doctor;
mod ingest;
mod manifest;
mod mill;
mod opencl;
mod outputs;
mod program;
mod readme;
mod regex;
mod replay;
mod rewritten;
mod rows;
mod scan;
mod selftest;
mod stats;
mod sums;
mod terminal;
mod tool;
mod words;
