//! Tests the promises of the fuzz targets without the fuzzer, over random bytes, changed encodings and changed texts.
//!
//! Each test tries a fixed number of inputs, or with `VIR0_FUZZ_SECONDS` as many as it can in that time. `VIR0_SEED`
//! gives the first input; a failing test prints the seed of its input.

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use fastrand::Rng;
use gristmill_vir0::random::program;
use gristmill_vir0::{disasm, encode};
use std::time::{Duration, Instant};

/// Random inputs: bytes, encodings of random programs with changed bytes, and texts with exchanged parts.
fn input(numbers: &mut Rng) -> Vec<u8> {
    let seed = numbers.u64(..);
    let mut bytes = match numbers.u32(..4) {
        0 => {
            let len = numbers.usize(..400);
            return std::iter::repeat_with(|| numbers.u8(..))
                .take(len)
                .collect::<Vec<u8>>();
        }
        1 => encode(&program(seed)).unwrap(),
        2 => disasm::disassemble(&program(seed)).into_bytes(),
        // The first byte is the number of instructions; instructions and data follow.
        _ => {
            let len = 1 + numbers.usize(..300);
            std::iter::repeat_with(|| numbers.u8(..))
                .take(len)
                .collect::<Vec<u8>>()
        }
    };
    for _ in 0..numbers.u32(..6) {
        let at = numbers.u32(..bytes.len() as u32) as usize;
        match numbers.u32(..4) {
            0 => bytes[at] = numbers.u64(..).to_le_bytes()[0],
            1 => bytes[at] ^= 1 << numbers.u32(..8),
            2 => bytes.truncate(at.max(1)),
            _ => {
                let from = numbers.u32(..bytes.len() as u32) as usize;
                let part = bytes[from..bytes.len().min(from + 20)].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// Prints the seed of the current input when a target panics.
struct Running(u64);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("it fails again with VIR0_SEED={}", self.0);
        }
    }
}

fn fuzz(name: &str, inputs: u64, target: fn(&[u8])) {
    let number = |variable: &str| std::env::var(variable).ok()?.parse::<u64>().ok();
    let seed = gristmill_testing::seed("VIR0_SEED");
    let time = number("VIR0_FUZZ_SECONDS").map(Duration::from_secs);
    let began = Instant::now();
    let mut count = 0;
    while time.map_or(count < inputs, |time| began.elapsed() < time) {
        let running = Running(seed.wrapping_add(count));
        target(&input(&mut Rng::with_seed(running.0)));
        count += 1;
    }
    println!("{name}: {count} inputs in {:?}", began.elapsed());
    assert!(count > 0);
}

#[test]
fn container() {
    fuzz("container", 80_000, targets::container);
}

#[test]
fn verifier() {
    fuzz("verifier", 80_000, targets::verifier);
}

#[test]
fn run() {
    fuzz("run", 60_000, targets::run);
}

#[test]
fn assembler() {
    fuzz("assembler", 8_000, targets::assembler);
}

/// Makes the fuzzer begin with programs and texts rather than with nothing.
#[test]
#[ignore = "writes the fuzzer's first inputs to fuzz/corpus"]
fn seeds() {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
    for target in ["container", "verifier", "run", "assembler"] {
        let folder = std::path::Path::new(corpus).join(target);
        std::fs::create_dir_all(&folder).unwrap();
        for seed in 0..200 {
            let program = program(seed);
            let mut bytes = encode(&program).unwrap();
            if target == "assembler" {
                bytes = disasm::disassemble(&program).into_bytes();
            }
            std::fs::write(folder.join(format!("random_{seed}")), bytes).unwrap();
        }
    }
}
