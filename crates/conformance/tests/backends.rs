//! The suite passes on the back ends of this machine, and it fails a back end that is wrong.

mod common;

use common::{conform, run};
use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::backend::device::opencl::{OpenClBackend, Shape};
use gristmill_megakernel::{Backend, FeederFactory, Kernel, KernelConfig, KernelError, StreamJob};
use gristmill_protocol::PipelineError;

#[test]
fn the_cpu_back_end_passes_every_case() {
    assert_eq!(conform(&CpuBackend).skipped, 0);
}

#[test]
fn an_opencl_device_passes_every_case() {
    if let Err(error) = OpenClBackend::devices() {
        return gristmill_testing::skipped(format_args!("{error}"));
    }
    for shape in [None, Some(Shape { lanes: 8, strip: 1 })] {
        println!("{shape:?}");
        conform(&OpenClBackend::with_shape(None, shape).unwrap());
    }
}

/// A back end that launches something other than what was requested.
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
