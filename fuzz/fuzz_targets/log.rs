#![no_main]

#[path = "../src/log.rs"]
mod log;

libfuzzer_sys::fuzz_target!(|input: &[u8]| log::log(input));
