//! The conformance suite on the CPU back end, and that it notices what a back end does wrong.

use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::backend::device::opencl::{OpenClBackend, Shape};
use gristmill_megakernel::selftest::{self, Summary, Verdict};
use gristmill_megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill_megakernel::vir0::{verify, Limits, Verified};
use gristmill_megakernel::{Backend, FeederFactory, Kernel, KernelConfig, KernelError, StreamJob};
use gristmill_protocol::PipelineError;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// The shipped programs, by file name.
fn programs() -> Vec<(String, Verified)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs");
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "vasm") {
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let options = AsmOptions {
            name: &name,
            files: &|file| std::fs::read(directory.join(file)),
            debug: true,
        };
        let text = std::fs::read_to_string(&path).unwrap();
        let program = assemble(&text, &options).unwrap_or_else(|error| panic!("{error}"));
        let program = verify(program, &Limits::default()).unwrap();
        programs.push((name, program));
    }
    programs.sort_by(|(left, _), (right, _)| left.cmp(right));
    programs
}

/// Runs cases, prints what they say, and gives what failed.
fn run(backend: &dyn Backend, filter: &str, seed: u64) -> (Summary, Vec<String>) {
    println!("seed {seed}");
    let mut failed = Vec::new();
    let summary = selftest::run(backend, &programs(), filter, seed, &mut |case| {
        println!("{:<50} {:?} {:?}", case.name, case.elapsed, case.verdict);
        if let Verdict::Failed(_) = case.verdict {
            failed.push(case.name.clone());
        }
    });
    (summary, failed)
}

/// A seed of the moment, or the one in SELFTEST_SEED.
fn seed() -> u64 {
    match std::env::var("SELFTEST_SEED") {
        Ok(seed) => seed.parse().expect("SELFTEST_SEED is a number"),
        Err(_) => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .subsec_nanos()
            .into(),
    }
}

#[test]
fn the_cpu_back_end_passes_every_case() {
    let seed = seed();
    let (summary, failed) = run(&CpuBackend, "", seed);
    assert!(failed.is_empty(), "seed {seed}: {failed:?}");
    assert_eq!(summary.skipped, 0);
    assert!(summary.passed > 40, "{summary:?}");
}

#[test]
fn an_opencl_device_passes_every_case() {
    for shape in [None, Some(Shape { lanes: 8, strip: 1 })] {
        if let Err(error) = OpenClBackend::devices() {
            return gristmill_testing::skipped(format_args!("{error}"));
        }
        let backend = OpenClBackend::with_shape(None, shape).unwrap();
        println!("{backend:?} {shape:?}");
        let seed = seed();
        let (summary, failed) = run(&backend, "", seed);
        assert!(failed.is_empty(), "seed {seed}, {shape:?}: {failed:?}");
        assert!(summary.passed > 40, "{summary:?}");
    }
}

/// A back end that launches something else than it was asked for.
#[derive(Debug)]
struct Wrong(fn(&mut KernelConfig, &mut Vec<StreamJob>));

impl Backend for Wrong {
    fn name(&self) -> &'static str {
        "wrong"
    }

    fn launch(
        &self,
        mut config: KernelConfig,
        mut jobs: Vec<StreamJob>,
        feeders: Vec<FeederFactory>,
    ) -> Result<Kernel, KernelError> {
        (self.0)(&mut config, &mut jobs);
        CpuBackend.launch(config, jobs, feeders)
    }
}

#[test]
fn a_back_end_that_is_wrong_fails() {
    let tenants: fn(&mut KernelConfig, &mut Vec<StreamJob>) = |config, _| config.ring.tenants += 1;
    let leases: fn(&mut KernelConfig, &mut Vec<StreamJob>) = |config, _| config.lease.slots *= 9;
    let log: fn(&mut KernelConfig, &mut Vec<StreamJob>) =
        |config, _| config.ring.debug_records += 1;
    let jobs: fn(&mut KernelConfig, &mut Vec<StreamJob>) = |_, jobs| jobs.reverse();
    let areas: fn(&mut KernelConfig, &mut Vec<StreamJob>) = |config, _| config.record_words += 2;
    for (wrong, filter, failing) in [
        (tenants, "tenants: ", "tenants: windows of observables"),
        (tenants, "opcodes: ", "opcodes: control words are read only"),
        (leases, "leases: ", "leases: leases of few slots"),
        (log, "opcodes: ", "opcodes: debug log"),
        (jobs, "streams: ", "streams: jobs that are not there"),
        (areas, "programs: ", "programs: areas are each slot's own"),
    ] {
        let (summary, failed) = run(&Wrong(wrong), filter, 1);
        assert!(
            failed.iter().any(|name| name == failing),
            "{failing}: {failed:?}"
        );
        assert_eq!(summary.failed, failed.len());
    }
}

#[test]
fn a_back_end_that_cannot_launch_fails_every_case() {
    #[derive(Debug)]
    struct Never;
    impl Backend for Never {
        fn name(&self) -> &'static str {
            "never"
        }
        fn launch(
            &self,
            _: KernelConfig,
            _: Vec<StreamJob>,
            _: Vec<FeederFactory>,
        ) -> Result<Kernel, KernelError> {
            Err(PipelineError::Backend("no such device".into()).into())
        }
    }
    let (summary, failed) = run(&Never, "", 1);
    assert_eq!((summary.passed, summary.skipped), (0, 0), "{failed:?}");
    let (of_a_filter, _) = run(&Never, "quotas: ", 1);
    assert!(of_a_filter.failed > 0 && of_a_filter.failed < summary.failed);
}
