//! The computations of the shipped programs, written as plain Rust loops: the peers of `vir0`.
//!
//! Each loop returns one number that depends on the whole answer, so that nothing is optimised away and both sides can
//! be compared.

/// The loop of a program. `table` holds the program's constants.
pub type Loop = fn(bytes: &[u8], table: &[u8]) -> u64;

/// The loops, with the names of their programs.
pub const LOOPS: &[(&str, Loop)] = &[
    ("newline_count", newline_count),
    ("byte_histogram", byte_histogram),
    ("entropy", entropy),
    ("utf8_validate", utf8_validate),
    ("fixed_string", fixed_string),
    ("line_lengths", line_lengths),
    ("content_chunks", content_chunks),
    ("adler32_blocks", adler32_blocks),
    ("longest_run", longest_run),
];

/// Combines accumulators and records into one number.
pub fn digest(values: impl IntoIterator<Item = u64>) -> u64 {
    values.into_iter().fold(0, |all: u64, value| {
        all.rotate_left(5).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ value
    })
}

fn newline_count(bytes: &[u8], _table: &[u8]) -> u64 {
    digest([bytes.iter().filter(|byte| **byte == b'\n').count() as u64])
}

fn byte_histogram(bytes: &[u8], _table: &[u8]) -> u64 {
    let mut counts = [0_u64; 256];
    for byte in bytes {
        counts[usize::from(*byte)] += 1;
    }
    digest(counts)
}

fn word(table: &[u8], at: usize) -> u32 {
    table
        .get(at..)
        .and_then(|rest| rest.first_chunk())
        .map_or(0, |word| u32::from_le_bytes(*word))
}

fn entropy(bytes: &[u8], table: &[u8]) -> u64 {
    let logs: Vec<u32> = (0..=4096).map(|count| word(table, 4 * count)).collect();
    let (mut highest, mut lowest, mut windows) = (0, u64::MAX, 0);
    let mut records = Vec::new();
    for (index, window) in bytes.chunks(4096).enumerate() {
        let mut counts = [0_usize; 256];
        for byte in window {
            counts[usize::from(*byte)] += 1;
        }
        let sum: u32 = counts.iter().map(|count| logs[*count]).sum();
        let value = u64::from((logs[window.len()] - sum) / window.len() as u32);
        highest = highest.max(value);
        lowest = lowest.min(value);
        windows += 1;
        records.extend([index as u64 * 4096, value]);
    }
    digest([highest, lowest, windows].into_iter().chain(records))
}

fn utf8_validate(bytes: &[u8], _table: &[u8]) -> u64 {
    // The inputs are valid, and both sides report that.
    digest([u64::from(std::str::from_utf8(bytes).is_err())])
}

fn fixed_string(bytes: &[u8], table: &[u8]) -> u64 {
    let found: Vec<u64> = bytes
        .windows(table.len())
        .enumerate()
        .filter(|(_, window)| *window == table)
        .flat_map(|(at, _)| [at as u64, 0])
        .collect();
    digest([found.len() as u64 / 2].into_iter().chain(found))
}

fn line_lengths(bytes: &[u8], _table: &[u8]) -> u64 {
    let mut bins = [0_u64; 14];
    let (mut lines, mut longest, mut length) = (0, 0, 0_u32);
    let mut end = |length: u32| {
        lines += 1;
        longest = longest.max(u64::from(length));
        bins[(32 - length.leading_zeros()) as usize] += 1;
    };
    for byte in bytes {
        if *byte == b'\n' {
            end(length);
            length = 0;
        } else {
            length = (length + 1).min(4096);
        }
    }
    if bytes.last().is_some_and(|byte| *byte != b'\n') {
        end(length);
    }
    digest([lines, longest].into_iter().chain(bins))
}

fn content_chunks(bytes: &[u8], table: &[u8]) -> u64 {
    let gear: Vec<u64> = (0..256)
        .map(|byte| u64::from(word(table, 8 * byte + 4)) << 32 | u64::from(word(table, 8 * byte)))
        .collect();
    let (mut hash, mut records) = (0_u64, Vec::new());
    for (at, byte) in bytes.iter().enumerate() {
        hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
        if (hash >> 32) & 0xFFF8_0000 == 0 {
            records.extend([at as u64 + 1, hash >> 32]);
        }
    }
    digest([records.len() as u64 / 2].into_iter().chain(records))
}

fn adler32_blocks(bytes: &[u8], _table: &[u8]) -> u64 {
    let (mut blocks, mut all, mut records) = (0, 0, Vec::new());
    for (index, block) in bytes.chunks(4096).enumerate() {
        let (mut a, mut b) = (1_u32, 0_u32);
        for byte in block {
            a += u32::from(*byte);
            b = b.wrapping_add(a);
        }
        // 4,096 bytes cannot overflow: a is below 2^21 and b below 2^32.
        let sum = u64::from(b % 65_521) << 16 | u64::from(a % 65_521);
        blocks += 1;
        all ^= sum;
        records.extend([index as u64 * 4096, sum]);
    }
    digest([blocks, all].into_iter().chain(records))
}

fn longest_run(bytes: &[u8], _table: &[u8]) -> u64 {
    let mut longest = [0_u64; 256];
    let (mut run, mut same) = (0, None);
    for byte in bytes {
        run = if same == Some(*byte) {
            (run + 1).min(4096)
        } else {
            1
        };
        same = Some(*byte);
        let most = &mut longest[usize::from(*byte)];
        *most = (*most).max(run);
    }
    digest(longest)
}
