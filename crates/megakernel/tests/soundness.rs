//! What safe code may attempt with a running kernel without breaking soundness. Code that must not even compile is in
//! `refused/`. These tests use the CPU back end, also under Miri; `opencl` in this folder and `cuda` in the conformance
//! suite cover devices.

use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::{
    Backend, Feed, Feeder, FeederFactory, Kernel, KernelConfig, Lease, ScanMode, ScanSet,
    StreamJob, StreamOpcode, StreamSlot,
};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{fault, opcode, ARGS_PER_SLOT};
use gristmill_ring::{
    ChunkMemory, Completions, LentChunk, Outcome, RecordWriter, RingConfig, Submission,
};
use gristmill_testing::Patience;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

#[test]
#[cfg(not(miri))]
fn the_compiler_refuses_what_would_be_unsound() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/refused");
    gristmill_testing::refused(
        directory,
        &["gristmill_megakernel", "gristmill_ring", "gristmill_vir0"],
    );
}

/// Miri is slow, so chunks are small there.
const CHUNK: usize = if cfg!(miri) { 192 } else { 4096 };
const CHUNKS: u32 = 3;
const RECORD_WORDS: u32 = 256;

/// Reads every byte that it is shown, and writes more records than there may be room for.
struct Nosy(Arc<AtomicUsize>);

impl StreamOpcode for Nosy {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert!(slot.around.len() <= CHUNK);
        assert_eq!(
            slot.around.get(slot.before..slot.before + bytes.len()),
            Some(bytes)
        );
        let sum: usize = slot.around.iter().map(|byte| usize::from(*byte)).sum();
        self.0.fetch_add(sum, Ordering::Relaxed);
        while records.push(1, 2) {}
        Ok(Outcome::value(0))
    }
}

fn launch(
    jobs: Vec<StreamJob>,
    feeders: Vec<FeederFactory>,
) -> (Kernel, Completions, Vec<LentChunk>) {
    let (chunks, tokens) = ChunkMemory::map(CHUNKS, CHUNK).unwrap();
    let config = KernelConfig {
        workers: 2,
        ring: RingConfig {
            slots: 8,
            observables: 8,
            debug_records: 4,
            ..RingConfig::default()
        },
        chunks,
        record_words: RECORD_WORDS,
        lease: Lease {
            idle_polls: 10,
            ..Lease::default()
        },
    };
    let mut kernel = CpuBackend.launch(config, jobs, feeders).unwrap();
    let completions = kernel.take_completions().unwrap();
    let lent = tokens
        .into_iter()
        .map(|mut chunk| {
            chunk.as_mut_slice().fill(b'a');
            chunk.lend()
        })
        .collect();
    (kernel, completions, lent)
}

/// Waits for a slot. Returns its fault word.
fn reap(kernel: &Kernel, completions: &mut Completions) -> u32 {
    let mut patience = Patience::new();
    loop {
        if let Some(done) = completions.next() {
            assert!(done.records <= RECORD_WORDS / 2);
            let fault = done.fault;
            kernel.submitter().release(done.token);
            return fault;
        }
        completions.wait(Duration::from_millis(10));
        // Miri does not show a process its threads.
        if !cfg!(miri) {
            patience.check("no completion");
        }
    }
}

/// Tries boundary values in every argument in turn, on every opcode. The kernel answers each slot, and shows an opcode
/// only bytes of its chunk.
#[test]
fn no_argument_of_a_slot_reaches_beyond_its_chunk() {
    let looked = Arc::new(AtomicUsize::new(0));
    let scan = ScanSet::build(&["aaa"], false, ScanMode::All).unwrap();
    let custom: Arc<dyn StreamOpcode> = Arc::new(Nosy(Arc::clone(&looked)));
    let jobs = vec![
        StreamJob::Custom(0x180, custom),
        StreamJob::Scan(Arc::new(scan)),
        StreamJob::Histogram,
        StreamJob::Lines,
        StreamJob::Crc32c,
        StreamJob::Blake3,
    ];
    let mut opcodes: Vec<(u32, u32)> = jobs.iter().map(StreamJob::opcode).zip(0..).collect();
    let core = [
        opcode::NOP,
        opcode::STORE_U32,
        opcode::ATOMIC_ADD,
        opcode::LOAD_U32,
        opcode::COMPARE_SWAP,
        opcode::MEMCPY,
        opcode::DFA_STEP,
        opcode::PRINTF,
        opcode::PACKED_SLOT,
        opcode::TENANT_BASE,
        0x7FFF_FFFF,
    ];
    opcodes.extend(core.map(|opcode| (opcode, 0)));
    let (kernel, mut completions, _lent) = launch(jobs, Vec::new());
    let chunk = u32::try_from(CHUNK).unwrap();
    let edges = [
        u32::MAX,
        chunk + 1,
        1,
        2,
        chunk - 1,
        chunk,
        u32::MAX / 2 + 1,
    ];
    let edges = if cfg!(miri) { &edges[..1] } else { &edges[..] };
    if cfg!(miri) {
        opcodes.truncate(8);
    }
    let mut done = 0;
    for (opcode, job) in opcodes {
        let good = StreamArgs {
            chunk: 1,
            start: 64,
            len: 64,
            job,
            before: 8,
            after: 8,
            ..StreamArgs::default()
        }
        .encode();
        for word in (0..ARGS_PER_SLOT).step_by(if cfg!(miri) { 2 } else { 1 }) {
            for &edge in edges {
                let mut args = good;
                args[word] = edge;
                let token = kernel.submitter().try_acquire().unwrap();
                let submission = Submission::new(opcode, &args);
                kernel.submitter().publish(token, &submission).unwrap();
                let fault = reap(&kernel, &mut completions);
                done += u32::from(fault == fault::NONE);
            }
        }
    }
    assert!(done > 0 && looked.load(Ordering::Relaxed) > 0);
    kernel.shutdown().unwrap();
}

/// No slot is shown a chunk that the host holds, or one that does not exist.
#[test]
fn a_chunk_that_was_not_lent_is_not_read() {
    let (kernel, mut completions, lent) = launch(vec![StreamJob::Lines], Vec::new());
    let mut host: Vec<_> = lent.into_iter().map(LentChunk::reclaim_completed).collect();
    for chunk in [0, 1, 2, 3, u32::MAX] {
        let args = StreamArgs {
            chunk,
            len: 64,
            ..StreamArgs::default()
        };
        let token = kernel.submitter().try_acquire().unwrap();
        let submission = Submission::new(opcode::LINES, &args.encode());
        kernel.submitter().publish(token, &submission).unwrap();
        // The host writes to its chunks while the slot runs.
        host.iter_mut()
            .for_each(|chunk| chunk.as_mut_slice().fill(b'\n'));
        assert_ne!(reap(&kernel, &mut completions), fault::NONE, "{chunk}");
    }
}

/// Parts taken from a kernel may still be used after the kernel is gone.
#[test]
fn parts_outlive_their_kernel() {
    let (kernel, mut completions, lent) = launch(vec![StreamJob::Lines], Vec::new());
    let (submitter, records) = (kernel.submitter().clone(), kernel.records().clone());
    let (programs, tenants) = (kernel.programs().clone(), kernel.tenants());
    let token = submitter.try_acquire().unwrap();
    drop(kernel);
    let _ = submitter.publish(token, &Submission::new(opcode::NOP, &[]));
    submitter.cancel();
    submitter.wake_workers();
    assert!(completions.next().is_none());
    completions.wait(Duration::from_millis(1));
    assert_eq!(records.get(7, 0), (0, 0));
    assert_eq!(records.get(u32::MAX, u32::MAX), (0, 0));
    assert!(programs.get(opcode::TENANT_BASE).is_none());
    tenants.tenant(0).unwrap().set_mask(0);
    assert_eq!(
        lent.into_iter()
            .filter_map(|lent| lent.reclaim().ok())
            .count(),
        3
    );
}

/// Reports progress a few times, and is dropped on the worker's thread, wherever it is when the kernel ends.
struct Busy {
    left: u32,
    dropped: Arc<AtomicUsize>,
}

impl Feeder for Busy {
    fn feed(&mut self) -> Feed {
        self.left = self.left.saturating_sub(1);
        match self.left {
            0 => Feed::Idle,
            _ => Feed::Progress,
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// A kernel that is dropped at once has ended its threads, and dropped its feeders and jobs.
#[test]
fn nothing_of_a_kernel_runs_on_when_it_was_dropped() {
    let dropped = Arc::new(AtomicUsize::new(0));
    let looked = Arc::new(AtomicUsize::new(0));
    let feeders = (0..2)
        .map(|_| {
            let dropped = Arc::clone(&dropped);
            Box::new(move |_| Box::new(Busy { left: 3, dropped }) as Box<dyn Feeder>)
                as FeederFactory
        })
        .collect();
    let custom: Arc<dyn StreamOpcode> = Arc::new(Nosy(Arc::clone(&looked)));
    let (kernel, completions, lent) = launch(vec![StreamJob::Custom(0x180, custom)], feeders);
    let args = StreamArgs {
        len: 64,
        ..StreamArgs::default()
    };
    for _ in 0..4 {
        let token = kernel.submitter().try_acquire().unwrap();
        let submission = Submission::new(0x180, &args.encode());
        kernel.submitter().publish(token, &submission).unwrap();
    }
    drop(kernel);
    drop(completions);
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
    assert_eq!(Arc::strong_count(&looked), 1);
    // After that, every chunk can be reclaimed and written.
    for chunk in lent {
        chunk.reclaim().unwrap().as_mut_slice().fill(1);
    }
}
