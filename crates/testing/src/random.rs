//! Random tests: their seeds, and bytes.

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of a random test: the number in the environment variable `variable`, or one that is always the same, so that
/// a test which passed once passes again and a change that fails it is at fault. With `GRISTMILL_SEEDS=new` it is derived
/// from the current time: that is how new cases are looked for (`scripts/steady --new-seeds`).
///
/// It is printed as `VARIABLE=SEED`, so that the output of a failed test says how to repeat it.
///
/// # Panics
/// If the variable does not hold a number, or `GRISTMILL_SEEDS` something else than `new` or `fixed`.
pub fn seed(variable: &str) -> u64 {
    let seed = match std::env::var(variable) {
        Ok(seed) => seed
            .parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {seed:?}")),
        Err(_) => match std::env::var("GRISTMILL_SEEDS").as_deref() {
            Ok("new") => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(1, |since| {
                    since.as_secs() << 20 ^ u64::from(since.subsec_nanos())
                }),
            Ok("fixed") | Err(_) => variable.bytes().fold(1, |seed: u64, byte| {
                (seed ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
            }),
            Ok(other) => panic!("GRISTMILL_SEEDS is new or fixed, not {other:?}"),
        },
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
