//! The CUDA back end: on the GPU where there is one, and on every machine with `kernel/host/cuda.cc`, a driver that
//! runs the device source on the host.
//!
//! A driver is chosen when a process starts, so the tests with that driver start this program again.

mod common;

use common::conform;
use gristmill_megakernel::backend::device::cuda::CudaBackend;
use gristmill_megakernel::{Backend, KernelConfig, Lease};
use gristmill_protocol::{opcode, PipelineError};
use gristmill_ring::{ChunkMemory, RingConfig, Submission};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

#[test]
fn a_gpu_passes_every_case() {
    match CudaBackend::new(None) {
        Ok(backend) => {
            conform(&backend);
        }
        Err(error) => gristmill_testing::skipped(format_args!("no CUDA driver: {error}")),
    }
}

/// The folder of the driver that needs no GPU. Returns `None`, and reports it, if the driver cannot be compiled.
fn driver() -> Option<&'static Path> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let compiled = FOLDER.get_or_init(|| gristmill_testing::cuda_driver(place));
    compiled.as_deref()
}

/// Runs one of the ignored tests below with that driver. Returns what it prints. It must not panic.
fn run(folder: &Path, test: &str, settings: &[(&str, &str)]) -> String {
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", folder)
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(done.status.success(), "{settings:?}: {said}");
    said
}

#[test]
#[ignore = "run by the tests below, with another driver"]
fn child_conforms() {
    conform(&CudaBackend::new(None).unwrap());
}

#[test]
#[ignore = "run by the tests below, with another driver"]
fn child_launches() {
    match launch() {
        Ok(()) => println!("answer: launched"),
        Err(error) => println!("answer: {error}"),
    }
}

#[test]
#[ignore = "run by the tests below, with another driver"]
fn child_is_lied_to() {
    let backend = CudaBackend::new(None).unwrap();
    let (chunks, _buffers) = backend.chunk_memory(2, 4096).unwrap();
    let mut kernel = backend
        .launch(config(chunks, 1), Vec::new(), Vec::new())
        .unwrap();
    let mut completions = kernel.take_completions().unwrap();
    let token = kernel.submitter().try_acquire().unwrap();
    let nop = Submission::new(opcode::NOP, &[]);
    kernel.submitter().publish(token, &nop).unwrap();
    let mut tokens = Vec::new();
    let error = loop {
        tokens.extend(completions.next().map(|done| done.token));
        assert!(tokens.len() <= 1, "{tokens:?} of one publication");
        if let Some(error) = kernel.failure() {
            break error;
        }
        completions.wait(Duration::from_millis(1));
    };
    // The kernel has ended for good, and it gives the reason as often as it is asked.
    assert!(completions.next().is_none());
    let ended = kernel.shutdown().unwrap_err();
    assert_eq!(ended.to_string(), error.to_string());
    println!("answer: {error}");
}

fn config(chunks: Arc<ChunkMemory>, workers: usize) -> KernelConfig {
    KernelConfig {
        workers,
        ring: RingConfig::default(),
        chunks,
        record_words: 256,
        lease: Lease::default(),
    }
}

/// Launches a kernel that runs nothing.
fn launch() -> Result<(), PipelineError> {
    let backend = CudaBackend::new(None)?;
    let (chunks, _buffers) = backend.chunk_memory(2, 4096)?;
    backend
        .launch(config(chunks, 64), Vec::new(), Vec::new())?
        .shutdown()?;
    Ok(())
}

#[test]
fn the_back_end_passes_every_case_without_a_gpu() {
    let Some(folder) = driver() else { return };
    let said = run(folder, "child_conforms", &[]);
    println!("{said}");
    assert!(said.contains("Host threads") && !said.contains("left over"));
}

#[test]
fn what_cannot_be_used_is_refused_with_the_reason() {
    let Some(folder) = driver() else { return };
    for (kind, reason) in [
        ("", "launched"),
        ("absent", "the driver finds no GPU; install"),
        (
            "old",
            "Host threads) cannot run the kernel: it has compute capability 6.0",
        ),
        ("prohibited", "its compute mode is prohibited"),
        ("split", "the GPU sees the memory at another address"),
        ("stale", "the driver is older than CUDA 12.0; install"),
    ] {
        let said = run(folder, "child_launches", &[("GM_CUDA_IS", kind)]);
        assert!(said.contains(reason), "{kind}: {said}");
        assert!(!said.contains("left over"), "{kind}: {said}");
    }
}

#[test]
fn a_call_that_fails_is_an_error_that_names_it() {
    let Some(folder) = driver() else { return };
    for call in [
        "cuInit",
        "cuDriverGetVersion",
        "cuDeviceGetCount",
        "cuDeviceGet",
        "cuDevicePrimaryCtxRetain",
        "cuCtxSetCurrent",
        "cuMemHostAlloc",
        "cuMemHostGetDevicePointer_v2",
        "cuMemAlloc_v2",
        "cuMemcpyHtoDAsync_v2",
        "cuStreamCreate",
        "cuEventCreate",
        "cuEventRecord",
        "cuEventSynchronize",
        "cuModuleLoadData",
        "cuModuleGetFunction",
        "cuOccupancyMaxActiveBlocksPerMultiprocessor",
        "cuLaunchCooperativeKernel",
    ] {
        let said = run(folder, "child_launches", &[("GM_CUDA_FAIL", call)]);
        let named = call.trim_end_matches("_v2");
        assert!(
            said.contains(&format!("CUDA: {named} failed")),
            "{call}: {said}"
        );
        assert!(!said.contains("left over"), "{call}: {said}");
    }
}

#[test]
fn a_device_that_completes_what_it_cannot_ends_the_kernel() {
    let Some(folder) = driver() else { return };
    for (lie, reason) in [
        ("nowhere", "completed slot 9999 of a ring of 64 slots"),
        ("twice", "which is not in flight"),
    ] {
        let said = run(folder, "child_is_lied_to", &[("GM_CUDA_LIES", lie)]);
        assert!(said.contains(reason), "{lie}: {said}");
        assert!(
            said.contains("run again, or with another back end"),
            "{said}"
        );
    }
}

#[test]
fn without_a_driver_nothing_panics() {
    // Where there is a GPU, this tests nothing new.
    if let Err(error) = CudaBackend::devices() {
        let said = error.to_string();
        assert!(said.contains("CUDA: "), "{said}");
        assert!(CudaBackend::new(Some(7)).is_err());
    }
}
