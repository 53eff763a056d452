//! A driver for tests where there is no GPU.

use crate::skipped;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `kernel/host/cuda.cc`, a driver of CUDA that runs the device source on the host, as `libcuda.so` into the
/// folder `cuda` of `place`, such as `CARGO_TARGET_TMPDIR`, and returns that folder. A process finds it there if
/// `LD_LIBRARY_PATH` names the folder when it starts. Without a compiler, the calling test is told to be [`skipped`].
///
/// # Panics
/// If it does not compile.
#[must_use]
pub fn cuda_driver(place: &Path) -> Option<PathBuf> {
    let folder = place.join("cuda");
    std::fs::create_dir_all(&folder).unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/host/cuda.cc");
    let compiled = Command::new("g++")
        .args(["-std=c++17", "-O2", "-shared", "-fPIC", "-pthread"])
        .args(["-DGM_LANES=1", "-DGM_STRIP=8"])
        .args([&source, Path::new("-o"), &folder.join("libcuda.so")])
        .output();
    match compiled {
        Ok(done) if done.status.success() => Some(folder),
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            skipped(format_args!("no g++: {error}"));
            None
        }
    }
}
