//! The kernel on an OpenCL device: it is launched once and fed while it runs, and it gives signs of life. The
//! conformance suite (`selftest.rs`) tests what it computes, and the tests of the commands cover devices that fail.

use gristmill_megakernel::backend::device::opencl::OpenClBackend;
use gristmill_megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill_megakernel::vir0::{verify, Limits, Verified};
use gristmill_megakernel::{
    Backend, Kernel, KernelConfig, KernelError, KernelStats, Lease, StreamJob,
};
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::{fault, opcode, slot, stream};
use gristmill_ring::{ChunkBuf, ChunkMemory, Completion, Completions, RingConfig, Submission};
use gristmill_testing::Patience;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const CHUNK: usize = 16 << 10;

fn backend() -> Option<OpenClBackend> {
    if let Err(error) = OpenClBackend::devices() {
        gristmill_testing::skipped(format_args!("{error}"));
        return None;
    }
    Some(OpenClBackend::new(None).unwrap())
}

struct World {
    kernel: Kernel,
    completions: Completions,
    chunks: Vec<ChunkBuf>,
}

fn config(chunks: Arc<ChunkMemory>, workers: usize, lease: Lease) -> KernelConfig {
    KernelConfig {
        workers,
        ring: RingConfig {
            slots: 64,
            ..RingConfig::default()
        },
        chunks,
        record_words: 512,
        lease,
    }
}

fn world(backend: &OpenClBackend, workers: usize, lease: Lease) -> World {
    let (memory, chunks) = backend.chunk_memory(16, CHUNK).unwrap();
    let mut kernel = backend
        .launch(
            config(memory, workers, lease),
            vec![StreamJob::Crc32c],
            vec![],
        )
        .unwrap();
    World {
        completions: kernel.take_completions().unwrap(),
        kernel,
        chunks,
    }
}

impl World {
    /// Runs a program over `len` bytes. The slot must complete; returns it.
    fn completes(&mut self, text: &str, len: u32) -> u32 {
        let tenant = self.kernel.tenants().tenant(0).unwrap();
        let number = self.kernel.programs().load(&tenant, program(text)).unwrap();
        let lent = self.chunks.pop().unwrap().lend();
        let args = ProgramArgs {
            chunk: lent.index(),
            len,
            ..ProgramArgs::default()
        };
        let begun = Instant::now();
        let slot = self.publish(number, &args.encode().unwrap());
        let done = self.wait();
        println!("{:?}", begun.elapsed());
        assert_eq!((done.status, done.fault), (slot::DONE, fault::NONE));
        slot
    }

    fn wait(&mut self) -> Completion {
        let next = || {
            self.completions.wait(Duration::from_millis(10));
            self.completions.next()
        };
        Patience::until(next, || self.kernel.failure())
    }

    fn publish(&self, opcode: u32, args: &[u32]) -> u32 {
        let token = self.kernel.submitter().try_acquire().unwrap();
        let index = token.index().get();
        self.kernel
            .submitter()
            .publish(token, &Submission::new(opcode, args))
            .unwrap();
        index
    }

    /// Computes the checksums of `count` chunks, with as many in flight as there are chunks; the host rewrites each
    /// chunk in between. Returns the kernel's statistics.
    fn checksum(mut self, count: u32) -> KernelStats {
        let mut flying = HashMap::new();
        let mut published = 0;
        while published < count || !flying.is_empty() {
            while published < count {
                let Some(mut chunk) = self.chunks.pop() else {
                    break;
                };
                let bytes = chunk.as_mut_slice();
                bytes[..4].copy_from_slice(&published.to_le_bytes());
                let expected = crc32c::crc32c(&bytes[..CHUNK]);
                let lent = chunk.lend();
                let mut args = [0; 12];
                args[stream::ARG_CHUNK] = lent.index();
                args[stream::ARG_LEN] = CHUNK as u32;
                let slot = self.publish(opcode::CRC32C, &args);
                flying.insert(slot, (lent, expected));
                published += 1;
            }
            let done = self.wait();
            let (lent, expected) = flying.remove(&done.token.index().get()).unwrap();
            assert_eq!(
                (done.status, done.results[stream::RESULT_CRC]),
                (slot::DONE, expected)
            );
            self.chunks.push(lent.reclaim().unwrap());
            self.kernel.submitter().release(done.token);
        }
        let stats = self.kernel.stats();
        assert_eq!(
            (stats.slots, stats.faults),
            (u64::from(count), 0),
            "{stats:?}"
        );
        self.kernel.shutdown().unwrap();
        stats
    }
}

fn program(text: &str) -> Verified {
    let options = AsmOptions {
        name: "test",
        files: &|_| Err(std::io::ErrorKind::NotFound.into()),
        debug: false,
    };
    let program = assemble(text, &options).unwrap_or_else(|error| panic!("{error}"));
    verify(program, &Limits::default()).unwrap()
}

#[test]
fn one_launch_of_each_worker_serves_ten_thousand_chunks() {
    let Some(backend) = backend() else { return };
    // A lease that ends neither by idling nor by slots.
    let lease = Lease {
        idle_polls: u32::MAX,
        slots: u64::MAX,
        ..Lease::default()
    };
    let stats = world(&backend, 2, lease).checksum(10_000);
    assert!(stats.launches <= 2 && stats.leases == 0, "{stats:?}");
}

#[test]
fn leases_explain_every_launch() {
    let Some(backend) = backend() else { return };
    let lease = Lease {
        idle_polls: u32::MAX,
        slots: 1_000,
        ..Lease::default()
    };
    let stats = world(&backend, 2, lease).checksum(10_000);
    // Each worker has been inside once more than it has spent a lease.
    assert!((9..=10).contains(&stats.leases), "{stats:?}");
    assert!(stats.launches <= stats.leases + 2, "{stats:?}");
    // Nobody can say how often the default lease ends by idling, but each end leads to one launch.
    let stats = world(&backend, 2, Lease::default()).checksum(2_000);
    assert!(stats.launches <= stats.leases + 2, "{stats:?}");
}

#[test]
fn a_program_that_takes_long_gives_signs_of_life() {
    let Some(backend) = backend() else { return };
    let world = &mut world(&backend, 1, Lease::default());
    // One window, with so many trips that it takes some seconds.
    let text =
        ".acc n sum\n loop 4000\n loop 4000\n loop 8\n add r1, r1, 3\n end\n end\n end\n acc n, r1";
    let slot = world.completes(text, 0);
    assert_eq!(world.kernel.records().word(slot, 0), 3 * 4_000 * 4_000 * 8);
    assert!(world.kernel.failure().is_none());
}

/// A few trips that take long: signs of life depend on the work, not on the number of trips.
#[test]
fn a_program_of_few_long_trips_gives_signs_of_life() {
    let Some(backend) = backend() else { return };
    let world = &mut world(&backend, 1, Lease::default());
    let minima = "acc m, r1, r2\n".repeat(4_080);
    let text = format!(
        ".chunk 64\n .acc m[8] min\n each r2, 1\n and r1, r2, 7\n loop 2000\n {minima} end\n end"
    );
    let slot = world.completes(&text, 64);
    for minimum in 0..8 {
        let words = [2 * minimum, 2 * minimum + 1];
        let found = words.map(|word| world.kernel.records().word(slot, word));
        assert_eq!(found, [minimum as u32, 0]);
    }
    assert!(world.kernel.failure().is_none());
}

#[test]
fn programs_come_and_go_more_often_than_there_is_room_for() {
    let Some(backend) = backend() else { return };
    let world = &mut world(&backend, 2, Lease::default());
    let tenant = world.kernel.tenants().tenant(0).unwrap();
    let lent = world.chunks.pop().unwrap().lend();
    let args = ProgramArgs {
        chunk: lent.index(),
        ..ProgramArgs::default()
    };
    // A device has 1,024 places for programs, and the places of unloaded programs are used again.
    for round in 0..3_000 {
        let program = program(&format!(".acc n sum\n mov r1, {round}\n acc n, r1"));
        let number = world.kernel.programs().load(&tenant, program).unwrap();
        let slot = world.publish(number, &args.encode().unwrap());
        world.publish(opcode::NOP, &[]);
        for done in [world.wait(), world.wait()] {
            assert_eq!((done.status, done.fault), (slot::DONE, fault::NONE));
            world.kernel.submitter().release(done.token);
        }
        assert_eq!(world.kernel.records().word(slot, 0), round);
        world.kernel.programs().unload(number).unwrap();
    }
}

#[test]
fn memory_that_the_device_does_not_see_is_refused() {
    let Some(backend) = backend() else { return };
    let refused = |chunks| {
        let refused = backend.launch(config(chunks, 1, Lease::default()), vec![], vec![]);
        assert!(
            matches!(refused, Err(KernelError::InvalidConfig { .. })),
            "{refused:?}"
        );
    };
    refused(ChunkMemory::map(4, CHUNK).unwrap().0);
    // Memory of the same device, but of another context.
    let other = OpenClBackend::new(None).unwrap();
    refused(other.chunk_memory(4, CHUNK).unwrap().0);
}
