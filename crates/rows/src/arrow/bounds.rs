//! The most bytes that compressed bytes can become.
//!
//! A file says how long its parts are once they are decompressed, and memory is taken for them before they are. What no
//! compressor could have made is not believed.

/// The most bytes that are taken at once for what was decompressed: a batch of Arrow with all dictionaries, and the pages of
/// Parquet's columns that are read side by side.
pub const MOST_AT_ONCE: u64 = 2 << 30;

/// A byte of LZ4 extends a match by 255 bytes.
pub fn most_of_lz4(bytes: u64) -> u64 {
    bytes.saturating_mul(255).saturating_add(64)
}

/// Three bytes of Snappy copy 64.
pub fn most_of_snappy(bytes: u64) -> u64 {
    bytes.saturating_mul(22).saturating_add(64)
}

/// Two bits of DEFLATE copy 258 bytes.
pub fn most_of_gzip(bytes: u64) -> u64 {
    bytes.saturating_mul(1032).saturating_add(64)
}

/// Four bytes of Zstandard are a block of 128 KiB in which one byte is repeated.
pub fn most_of_zstd(bytes: u64) -> u64 {
    bytes.saturating_mul(32 << 10).saturating_add(128 << 10)
}
