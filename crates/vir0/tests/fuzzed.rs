//! The promises of the fuzz targets, without the fuzzer: over random bytes, changed encodings and changed texts.
//!
//! `VIR0_FUZZ_SECONDS` says how long each goes on (default 3), `VIR0_SEED` where it begins.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use gristmill_vir0::random::{program, Numbers};
use gristmill_vir0::{disasm, encode};
use std::time::{Duration, Instant};

/// Inputs: bytes, encodings of random programs with bytes changed, and texts with parts exchanged.
fn input(numbers: &mut Numbers) -> Vec<u8> {
    let seed = numbers.next_u64();
    let mut bytes = match numbers.below(4) {
        0 => {
            let len = numbers.below(400) as usize;
            return numbers.bytes(len);
        }
        1 => encode(&program(seed)).unwrap(),
        2 => disasm::disassemble(&program(seed)).into_bytes(),
        // One byte for the number of instructions, and then instructions and data.
        _ => {
            let len = 1 + numbers.below(300) as usize;
            numbers.bytes(len)
        }
    };
    for _ in 0..numbers.below(6) {
        let at = numbers.below(bytes.len() as u32) as usize;
        match numbers.below(4) {
            0 => bytes[at] = numbers.next_u64().to_le_bytes()[0],
            1 => bytes[at] ^= 1 << numbers.below(8),
            2 => bytes.truncate(at.max(1)),
            _ => {
                let from = numbers.below(bytes.len() as u32) as usize;
                let part = bytes[from..bytes.len().min(from + 20)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

fn fuzz(name: &str, target: fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seed = number("VIR0_SEED").unwrap_or_else(|| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(1, |since| since.as_nanos() as u64)
    });
    println!("VIR0_SEED={seed}");
    let until = Instant::now() + Duration::from_secs(number("VIR0_FUZZ_SECONDS").unwrap_or(3));
    let mut numbers = Numbers::new(seed);
    let mut count = 0_u64;
    while Instant::now() < until {
        target(&input(&mut numbers));
        count += 1;
    }
    println!("{name}: {count} inputs");
    assert!(count > 0);
}

#[test]
fn container() {
    fuzz("container", targets::container);
}

#[test]
fn verifier() {
    fuzz("verifier", targets::verifier);
}

#[test]
fn run() {
    fuzz("run", targets::run);
}

#[test]
fn assembler() {
    fuzz("assembler", targets::assembler);
}
