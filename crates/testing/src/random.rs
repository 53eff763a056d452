//! Random tests: their seeds, and bytes.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of a random test: the number in the environment variable `variable`, or one derived from the current time.
/// It is printed as `VARIABLE=SEED`, so that the output of a failed test says how to repeat it.
///
/// # Panics
/// If the variable does not hold a number.
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

/// Pseudorandom bytes. The same seed gives the same bytes.
#[must_use]
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fastrand::Rng::with_seed(seed).fill(&mut bytes);
    bytes
}
