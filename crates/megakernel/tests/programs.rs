//! VIR0 programs in a running kernel: they are loaded, bound to a tenant's opcodes, run over chunks, refused and
//! unloaded.

use fastrand::Rng;
use gristmill_megakernel::backend::cpu::CpuBackend;
use gristmill_megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill_megakernel::vir0::random;
use gristmill_megakernel::vir0::{reference, verify, Chunk, Limits, Results, Stop, Verified};
use gristmill_megakernel::{Backend, Kernel, KernelConfig, KernelError, Lease, ProgramTable};
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::{completion, fault, opcode, slot};
use gristmill_ring::{ChunkBuf, ChunkMemory, Completion, Completions, RingConfig, Submission};
use gristmill_testing::Patience;
use std::time::Duration;

const CHUNK_BYTES: usize = 16_384;
const RECORD_WORDS: u32 = 1 << 18;

struct World {
    kernel: Kernel,
    completions: Completions,
    chunks: Vec<ChunkBuf>,
}

fn world(workers: usize) -> World {
    let (memory, chunks) = ChunkMemory::map(8, CHUNK_BYTES).unwrap();
    let mut kernel = CpuBackend
        .launch(
            KernelConfig {
                workers,
                ring: RingConfig {
                    slots: 8,
                    tenants: 2,
                    observables: 64,
                    ..RingConfig::default()
                },
                chunks: memory,
                record_words: RECORD_WORDS,
                lease: Lease::default(),
            },
            Vec::new(),
            Vec::new(),
        )
        .unwrap();
    let completions = kernel.take_completions().unwrap();
    World {
        kernel,
        completions,
        chunks,
    }
}

impl World {
    fn publish(&self, tenant: u32, number: u32, args: &[u32]) {
        let token = self.kernel.submitter().try_acquire().expect("a free slot");
        let submission = Submission {
            tenant,
            ..Submission::new(number, args)
        };
        self.kernel.submitter().publish(token, &submission).unwrap();
    }

    /// Waits for the next completion. Fails the test rather than hang.
    fn reap(&mut self) -> Completion {
        let next = || {
            self.completions.wait(Duration::from_millis(10));
            self.completions.next()
        };
        Patience::until(next, || "no completion")
    }

    /// Runs one slot. Returns its status and its fault.
    fn run(&mut self, tenant: u32, number: u32, args: &[u32]) -> (u32, u32) {
        self.publish(tenant, number, args);
        let done = self.reap();
        let answer = (done.status, done.fault);
        self.kernel.submitter().release(done.token);
        answer
    }

    fn load(&self, tenant: u32, program: &Verified) -> Result<u32, KernelError> {
        let tenant = self.kernel.tenants().tenant(tenant).unwrap();
        self.kernel.programs().load(&tenant, program.clone())
    }

    /// Runs a program over bytes with a halo. Returns its results, or the reason why there are none.
    fn over(&mut self, number: u32, program: &Verified, place: &ProgramArgs, data: &[u8]) -> Ran {
        let mut chunk = self.chunks.pop().unwrap();
        chunk.as_mut_slice()[..data.len()].copy_from_slice(data);
        let lent = chunk.lend();
        let args = ProgramArgs {
            chunk: lent.index(),
            ..*place
        };
        self.publish(0, number, &args.encode().unwrap());
        let done = self.reap();
        self.chunks.push(lent.reclaim().unwrap());
        let memory = self.kernel.records();
        let area = done.token.index().get();
        let word = |index: usize| memory.word(area, index);
        let accs = program.program().acc_count();
        let ran = match (done.status, done.flags) {
            (slot::FAULT, _) => Ran::Fault(done.fault),
            (_, completion::FLAG_OVERFLOW) => Ran::Overflow,
            _ => Ran::Done {
                accs: (0..accs)
                    .map(|at| u64::from(word(2 * at + 1)) << 32 | u64::from(word(2 * at)))
                    .collect(),
                records: (accs..accs + done.records as usize)
                    .map(|at| (word(2 * at) as i32, word(2 * at + 1)))
                    .collect(),
            },
        };
        self.kernel.submitter().release(done.token);
        ran
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ran {
    Done {
        accs: Vec<u64>,
        records: Vec<(i32, u32)>,
    },
    Overflow,
    Fault(u32),
}

fn program(source: &str) -> Verified {
    let options = AsmOptions {
        name: "test.vasm",
        files: &|_| Err(std::io::ErrorKind::NotFound.into()),
        debug: true,
    };
    let program = assemble(source, &options).unwrap_or_else(|error| panic!("{error}"));
    verify(program, &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

const COUNT: &str = "
    .acc count sum
    .arg wanted
        arg  r4, wanted
        each r1, 1
          ld8 r2, r1
          eq  r3, r2, r4
          acc count, r3
        end
";

fn place(data: &[u8], wanted: u8) -> ProgramArgs {
    ProgramArgs {
        len: data.len() as u32,
        args: [u32::from(wanted), 0, 0, 0, 0, 0, 0],
        ..ProgramArgs::default()
    }
}

fn counted(count: u64) -> Ran {
    Ran::Done {
        accs: vec![count],
        records: Vec::new(),
    }
}

#[test]
fn programs_are_loaded_run_and_unloaded_while_the_kernel_runs() {
    let mut world = world(2);
    let count = program(COUNT);
    let first = world.load(0, &count).unwrap();
    assert_eq!(first, opcode::TENANT_BASE);
    let data = b"one, two, three";
    assert_eq!(
        world.over(first, &count, &place(data, b'e'), data),
        counted(3)
    );
    // Loads a second program while the first is loaded.
    let longer = program(
        "
        .records 20
            each r1, 1
              ld8  r2, r1
              emit r1, r2
            end
    ",
    );
    let second = world.load(0, &longer).unwrap();
    assert_eq!(second, first + 1);
    let records = vec![(0, 104), (1, 105)];
    let expected = Ran::Done {
        accs: Vec::new(),
        records,
    };
    assert_eq!(
        world.over(second, &longer, &place(b"hi", 0), b"hi"),
        expected
    );
    assert_eq!(
        world.over(first, &count, &place(data, b'o'), data),
        counted(2)
    );
    // After unloading, slots with the opcode fault, and another program can take the opcode.
    assert!(world.kernel.programs().unload(first).is_some());
    assert!(world.kernel.programs().unload(first).is_none());
    let missing = Ran::Fault(fault::NO_SUCH_PROGRAM);
    assert_eq!(world.over(first, &count, &place(data, 0), data), missing);
    assert_eq!(world.load(0, &longer).unwrap(), first);
    assert_eq!(
        world.over(first, &longer, &place(b"hi", 0), b"hi"),
        expected
    );
}

#[test]
fn a_tenant_runs_its_own_programs_only() {
    let mut world = world(1);
    let count = program(COUNT);
    let number = world.load(1, &count).unwrap();
    assert_eq!(number, opcode::TENANT_BASE + (1 << opcode::TENANT_SHIFT));
    assert_eq!(
        world.run(0, number, &[]),
        (slot::FAULT, fault::FOREIGN_OPCODE)
    );
    // The slot of the right tenant fails only at the chunk, which is not lent.
    assert_eq!(
        world.run(1, number, &[]),
        (slot::FAULT, fault::CHUNK_NOT_LENT)
    );
    let closed = world.kernel.tenants().tenant(1).unwrap();
    closed.set_mask(0);
    assert_eq!(
        world.run(1, number, &[]),
        (slot::FAULT, fault::TENANT_MASKED)
    );
}

#[test]
fn what_a_program_does_not_take_is_refused() {
    let mut world = world(1);
    let blocks = program(
        "
        .chunk 64
        .align 32
        .acc bytes sum
            each r1, 1
              acc bytes, r2
            end
    ",
    );
    let number = world.load(0, &blocks).unwrap();
    let data = [7; 100];
    let ran = |world: &mut World, place: ProgramArgs| world.over(number, &blocks, &place, &data);
    let fits = ProgramArgs {
        len: 64,
        offset: 96,
        ..ProgramArgs::default()
    };
    assert_eq!(ran(&mut world, fits), counted(0));
    let bad = Ran::Fault(fault::BAD_ARGUMENT);
    assert_eq!(ran(&mut world, ProgramArgs { len: 65, ..fits }), bad);
    assert_eq!(ran(&mut world, ProgramArgs { offset: 97, ..fits }), bad);
    let outside = Ran::Fault(fault::INDEX_OUT_OF_RANGE);
    let start = CHUNK_BYTES as u32 - 63;
    assert_eq!(ran(&mut world, ProgramArgs { start, ..fits }), outside);
    assert_eq!(
        ran(
            &mut world,
            ProgramArgs {
                start: u32::MAX,
                ..fits
            }
        ),
        outside
    );
    let start = CHUNK_BYTES as u32 - 64;
    assert_eq!(
        ran(
            &mut world,
            ProgramArgs {
                start,
                after: 1,
                ..fits
            }
        ),
        outside
    );
}

#[test]
fn a_fault_names_its_instruction_and_an_overflow_leaves_nothing() {
    let mut world = world(1);
    let faulty = program(
        "
        .acc count[3] sum
            each r1, 1
              ld8 r2, r1
              acc count, r2, r3
            end
    ",
    );
    let number = world.load(0, &faulty).unwrap();
    let expected = Ran::Fault(fault::word(fault::ACC_INDEX, 2));
    assert_eq!(
        world.over(number, &faulty, &place(&[0, 2, 3], 0), &[0, 2, 3]),
        expected
    );
    let fine = Ran::Done {
        accs: vec![0; 3],
        records: Vec::new(),
    };
    assert_eq!(
        world.over(number, &faulty, &place(&[0, 2, 1], 0), &[0, 2, 1]),
        fine
    );
    let chatty = program(
        "
        .records 2
            each r1, 1
              emit r1, 0
            end
    ",
    );
    let number = world.load(0, &chatty).unwrap();
    assert_eq!(
        world.over(number, &chatty, &place(b"abc", 0), b"abc"),
        Ran::Overflow
    );
}

#[test]
fn a_program_that_leaves_more_than_a_slot_holds_is_refused_when_it_is_loaded() {
    let world = world(1);
    let source = |records: u32| {
        program(&format!(
            ".records {records}\n each r1, 1\n emit r1, 0\n end"
        ))
    };
    assert_eq!(
        ProgramTable::words_needed(source(65_536).program()),
        1 << 17
    );
    assert!(world.load(0, &source(65_536)).is_ok());
    let (memory, _chunks) = ChunkMemory::map(1, 4096).unwrap();
    let small = KernelConfig {
        workers: 1,
        ring: RingConfig::default(),
        chunks: memory,
        record_words: 16,
        lease: Lease::default(),
    };
    let kernel = CpuBackend.launch(small, Vec::new(), Vec::new()).unwrap();
    let tenant = kernel.tenants().tenant(0).unwrap();
    assert!(kernel.programs().load(&tenant, source(9)).is_err());
    assert!(kernel.programs().load(&tenant, source(8)).is_ok());
}

#[test]
fn an_automaton_steps_through_a_programs_table() {
    let mut world = world(1);
    // Two states, 512 words: on byte b, state s goes to state 1000 * s + b.
    let words =
        (0..2).flat_map(|state| (0..256).map(move |byte| format!("{}", 1000 * state + byte)));
    let words: Vec<String> = words.collect();
    let dfa = program(&format!(".u32 {}\n halt", words.join(", ")));
    let number = world.load(0, &dfa).unwrap();
    assert_eq!(ProgramTable::number(number), Some(0));
    let mut step = |args: &[u32]| {
        world.publish(0, opcode::DFA_STEP, args);
        let done = world.reap();
        let answer = (done.fault, done.results[0]);
        world.kernel.submitter().release(done.token);
        answer
    };
    assert_eq!(step(&[0, 7, 0]), (0, 7));
    assert_eq!(step(&[1, 255, 0]), (0, 1255));
    assert_eq!(step(&[2, 0, 0]).0, fault::INDEX_OUT_OF_RANGE);
    assert_eq!(step(&[0, 256, 0]).0, fault::INDEX_OUT_OF_RANGE);
    assert_eq!(step(&[u32::MAX, u32::MAX, 0]).0, fault::INDEX_OUT_OF_RANGE);
    assert_eq!(step(&[0, 0, 1]).0, fault::NO_SUCH_PROGRAM);
    assert_eq!(step(&[0, 0, u32::MAX]).0, fault::NO_SUCH_PROGRAM);
}

#[test]
fn random_programs_leave_what_the_reference_leaves() {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = since.map_or(1, |since| since.as_nanos() as u64);
    println!("seed {seed}");
    let mut world = world(3);
    for seed in seed..seed + 300 {
        let program = verify(random::program(seed), &Limits::default()).unwrap();
        let mut numbers = Rng::with_seed(seed);
        let (start, len) = (numbers.usize(..5_000), numbers.usize(..2_000));
        let after = numbers.usize(..5_000);
        let data = std::iter::repeat_with(|| numbers.u8(..))
            .take(start + len + after)
            .collect::<Vec<u8>>();
        let place = ProgramArgs {
            after: after as u32,
            start: start as u32,
            len: len as u32,
            offset: numbers.u64(..) >> 1,
            args: std::array::from_fn(|_| numbers.u32(..100)),
            ..ProgramArgs::default()
        };
        let mut results = Results::default();
        let chunk = Chunk::new(&data, start, len, place.offset, &place.args).unwrap();
        let expected = match reference::run(&program, &chunk, &mut results) {
            Ok(()) => Ran::Done {
                accs: results.accs,
                records: results
                    .records
                    .iter()
                    .map(|r| (r.position, r.value))
                    .collect(),
            },
            Err(Stop::Cancelled) => panic!("nobody has cancelled it"),
            Err(Stop::Overflow) => Ran::Overflow,
            Err(Stop::Fault(found)) => {
                let reason = match found.kind {
                    gristmill_megakernel::vir0::FaultKind::Scratch => fault::SCRATCH_INDEX,
                    gristmill_megakernel::vir0::FaultKind::Acc => fault::ACC_INDEX,
                };
                Ran::Fault(fault::word(reason, found.instruction as u16))
            }
        };
        let number = world.load(0, &program).unwrap();
        assert_eq!(
            world.over(number, &program, &place, &data),
            expected,
            "program {seed}"
        );
        world.kernel.programs().unload(number);
    }
}
