#![no_main]

#[path = "../src/set.rs"]
mod set;

libfuzzer_sys::fuzz_target!(|input: &[u8]| set::set(input));
