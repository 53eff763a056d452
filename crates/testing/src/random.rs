//! Random tests: their seeds, and bytes.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of a random test: the number in the environment variable `variable`, or one of the moment. It is printed as
/// `VARIABLE=SEED`, so that the output of a test that fails says how to run it again.
///
/// # Panics
/// Where the variable holds no number.
pub fn seed(variable: &str) -> u64 {
    let seed = match std::env::var(variable) {
        Ok(seed) => seed
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {seed:?}")),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(1, |since| {
                since.as_secs() << 20 ^ u64::from(since.subsec_nanos())
            }),
    };
    println!("{variable}={seed}");
    seed
}

/// Bytes without a pattern, the same for the same seed.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}
