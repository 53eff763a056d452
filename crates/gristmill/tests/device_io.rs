//! Files behind LOAD_MISS: a [`MegakernelIoLoop`] beside a running kernel, on the CPU and on an OpenCL device.

use fastrand::Rng;
use gristmill::megakernel::backend::cpu::CpuBackend;
use gristmill::megakernel::backend::device::opencl::OpenClBackend;
use gristmill::megakernel::protocol::{fault, opcode, slot, stream, PipelineError};
use gristmill::megakernel::{Backend, Kernel, KernelConfig, KernelError, Lease, StreamJob};
use gristmill::ring::{ChunkBuf, Completion, Completions, IoQueue, RingConfig, Submission};
use gristmill::uring::reader::ReadPathChoice;
use gristmill::uring::{IoSource, IoTables, MegakernelIoLoop};
use gristmill_testing::{noise, Patience};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CHUNK: usize = 4096;

const EBADF: u16 = 9;
const EACCES: u16 = 13;
const EISDIR: u16 = 21;
const EINVAL: u16 = 22;
const ECANCELED: u16 = 125;

/// Runs a test on every back end of this machine.
fn on_each(test: impl Fn(&dyn Backend)) {
    test(&CpuBackend);
    match OpenClBackend::devices() {
        Ok(_) => test(&OpenClBackend::new(None).unwrap()),
        Err(error) => gristmill_testing::skipped(format_args!("OpenCL: {error}")),
    }
}

/// A file with these bytes and without a name, open for reading and writing.
fn file(bytes: &[u8]) -> File {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("gristmill-io-{}-{number}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create_new(true);
    let mut file = options.open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn source(bytes: &[u8], tenants: &[u32]) -> IoSource {
    IoSource {
        file: file(bytes),
        len: bytes.len() as u64,
        tenants: tenants.to_vec(),
        writable: false,
    }
}

/// The request of a LOAD_MISS.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    tenant: u32,
    prefetch: u32,
    source: u32,
    destination: u32,
    offset: u64,
    bytes: u32,
}

impl Load {
    fn submission(&self) -> Submission {
        let mut args = [0; 12];
        args[opcode::LOAD_ARG_RESOURCE] = self.source;
        args[opcode::LOAD_ARG_PREFETCH] = self.prefetch;
        args[opcode::LOAD_ARG_DESTINATION] = self.destination;
        args[opcode::LOAD_ARG_OFFSET_LO] = (self.offset & 0xFFFF_FFFF) as u32;
        args[opcode::LOAD_ARG_OFFSET_HI] = (self.offset >> 32) as u32;
        args[opcode::LOAD_ARG_BYTES] = self.bytes;
        Submission {
            tenant: self.tenant,
            ..Submission::new(opcode::LOAD_MISS, &args)
        }
    }
}

struct World {
    kernel: Kernel,
    completions: Completions,
    chunks: Vec<ChunkBuf>,
    /// Present until a loop takes it.
    queue: Option<IoQueue>,
}

/// A kernel of three tenants, and empty tables for the loop that serves it.
fn world(backend: &dyn Backend, io_slots: u32) -> (World, IoTables) {
    let (memory, chunks) = backend.chunk_memory(4, CHUNK).unwrap();
    let config = KernelConfig {
        workers: 2,
        ring: RingConfig {
            slots: 128,
            tenants: 3,
            io_slots,
            ..RingConfig::default()
        },
        chunks: memory,
        record_words: 256,
        lease: Lease::default(),
    };
    let mut kernel = backend
        .launch(config, vec![StreamJob::Crc32c], vec![])
        .unwrap();
    let world = World {
        completions: kernel.take_completions().unwrap(),
        queue: Some(kernel.submitter().take_io_queue().unwrap()),
        kernel,
        chunks,
    };
    (world, IoTables::new())
}

impl World {
    fn serve(&mut self, tables: IoTables) -> MegakernelIoLoop {
        serve(self.queue.take().unwrap(), tables)
    }

    fn publish(&self, submission: &Submission) -> u32 {
        let token = self.kernel.submitter().try_acquire().unwrap();
        let published = self.kernel.submitter().publish(token, submission);
        published.unwrap().get()
    }

    fn wait(&mut self) -> Completion {
        let next = || {
            self.completions.wait(Duration::from_millis(1));
            self.completions.next()
        };
        Patience::until(next, || self.kernel.failure())
    }

    /// The next slot's answer: its first result, or its fault word.
    fn answer(&mut self) -> Result<u32, u32> {
        let done = self.wait();
        let answer = match done.fault {
            fault::NONE => Ok(done.results[0]),
            fault => Err(fault),
        };
        self.kernel.submitter().release(done.token);
        answer
    }

    fn run(&mut self, submission: &Submission) -> Result<u32, u32> {
        self.publish(submission);
        self.answer()
    }

    /// The checksum of a chunk's first bytes, by a stream opcode.
    fn crc(&mut self, chunk: u32, len: usize) -> Result<u32, u32> {
        let mut args = [0; 12];
        args[stream::ARG_CHUNK] = chunk;
        args[stream::ARG_LEN] = u32::try_from(len).unwrap();
        self.publish(&Submission::new(opcode::CRC32C, &args));
        let done = self.wait();
        let crc = done.results[stream::RESULT_CRC];
        self.kernel.submitter().release(done.token);
        (done.fault == fault::NONE).then_some(crc).ok_or(done.fault)
    }
}

fn serve(queue: IoQueue, tables: IoTables) -> MegakernelIoLoop {
    MegakernelIoLoop::start(queue, tables, ReadPathChoice::Auto).unwrap()
}

/// Waits until `count` requests have ended.
fn settle(served: &MegakernelIoLoop, count: u64) {
    let mut patience = Patience::new();
    while served.stats().ended() < count {
        patience.check(served);
        std::thread::yield_now();
    }
}

fn io_failed(errno: u16) -> Result<u32, u32> {
    Err(fault::word(fault::IO_FAILED, errno))
}

#[test]
fn what_a_slot_asked_for_is_what_the_next_slot_sees() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 8);
        let bytes = noise(1, 5 * CHUNK + 100);
        tables.add_source(source(&bytes, &[0]));
        let destination = tables.add_destination(world.chunks.pop().unwrap(), vec![0]);
        let chunk = tables.chunk_of(destination).unwrap();
        assert_eq!(
            world.crc(chunk, 1),
            Err(fault::CHUNK_NOT_LENT),
            "nothing has landed"
        );
        let served = world.serve(tables);
        for (offset, asked, landed) in [
            (0, CHUNK, CHUNK),
            (1, CHUNK, CHUNK),
            (CHUNK, 7, 7),
            // The file ends: fewer bytes are reported, and none at its end.
            (5 * CHUNK, CHUNK, 100),
            (5 * CHUNK + 99, 2, 1),
            (5 * CHUNK + 100, 1, 0),
            (3, 0, 0),
        ] {
            let load = Load {
                offset: offset as u64,
                bytes: asked as u32,
                ..Load::default()
            };
            assert_eq!(world.run(&load.submission()), Ok(landed as u32), "{load:?}");
            let expected = crc32c::crc32c(&bytes[offset..offset + landed]);
            assert_eq!(world.crc(chunk, landed), Ok(expected), "{load:?}");
        }
        assert_eq!(served.stop().unwrap().chunks.len(), 1);
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_prefetched_chunk_lands_without_anybody_waiting() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 2);
        let bytes = noise(2, 2 * CHUNK);
        tables.add_source(source(&bytes, &[0]));
        let chunks = [(); 2].map(|()| world.chunks.pop().unwrap()).map(|chunk| {
            let index = chunk.index();
            tables.add_destination(chunk, vec![0]);
            index
        });
        let (mut tables, mut served) = (Some(tables), None);
        for round in 0..10 {
            for destination in 0..2 {
                let load = Load {
                    prefetch: 1,
                    destination,
                    offset: u64::from(destination) * CHUNK as u64 / 2 + round,
                    bytes: CHUNK as u32,
                    ..Load::default()
                };
                assert_eq!(world.run(&load.submission()), Ok(0), "before it is served");
            }
            // At first no loop serves the requests.
            let served = served.get_or_insert_with(|| world.serve(tables.take().unwrap()));
            settle(served, 2 * (round + 1));
            for (destination, chunk) in chunks.into_iter().enumerate() {
                let from = destination * CHUNK / 2 + round as usize;
                let expected = crc32c::crc32c(&bytes[from..from + CHUNK]);
                assert_eq!(world.crc(chunk, CHUNK), Ok(expected));
            }
        }
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_hundred_slots_share_a_queue_of_one() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 1);
        tables.add_source(source(&noise(3, 200), &[0]));
        tables.add_destination(world.chunks.pop().unwrap(), vec![0]);
        let _served = world.serve(tables);
        for number in 0..100 {
            let load = Load {
                bytes: number,
                prefetch: u32::from(number % 4 == 3),
                ..Load::default()
            };
            world.publish(&load.submission());
        }
        let mut answers: Vec<u32> = (0..100).map(|_| world.answer().unwrap()).collect();
        answers.sort_unstable();
        let mut expected: Vec<u32> = (0..100)
            .map(|number| if number % 4 == 3 { 0 } else { number })
            .collect();
        expected.sort_unstable();
        assert_eq!(answers, expected);
        world.kernel.shutdown().unwrap();
    });
}

/// The answer that the server must give, according to its tables alone.
fn expected(
    load: &Load,
    sources: &[(Vec<u8>, Vec<u32>)],
    destinations: &[Vec<u32>],
) -> Result<usize, u16> {
    let (bytes, readers) = sources.get(load.source as usize).ok_or(EBADF)?;
    let writers = destinations.get(load.destination as usize).ok_or(EBADF)?;
    if !readers.contains(&load.tenant) || !writers.contains(&load.tenant) {
        return Err(EACCES);
    }
    let left = (bytes.len() as u64)
        .checked_sub(load.offset)
        .ok_or(EINVAL)?;
    if load.bytes as usize > CHUNK {
        return Err(EINVAL);
    }
    Ok((load.bytes as usize).min(left as usize))
}

#[test]
fn any_numbers_are_looked_up_and_nothing_else() {
    let seed = gristmill_testing::seed("SEED");
    on_each(|backend| {
        let mut numbers = Rng::with_seed(seed);
        let (mut world, mut tables) = world(backend, 4);
        let sources = [
            (noise(4, CHUNK), vec![0, 1, 2]),
            (noise(5, 3 * CHUNK + 5), vec![1]),
            (noise(6, 0), vec![0, 2]),
        ];
        for (bytes, tenants) in &sources {
            tables.add_source(source(bytes, tenants));
        }
        let destinations = [vec![0], vec![1, 2], vec![0, 1, 2]];
        for tenants in &destinations {
            tables.add_destination(world.chunks.pop().unwrap(), tenants.clone());
        }
        let chunks = [0, 1, 2].map(|destination| tables.chunk_of(destination).unwrap());
        let served = world.serve(tables);
        let mut outcomes = [0; 2];
        for _ in 0..600 {
            let mut any = |usual: u32| {
                let odd = [u32::MAX, 1 << 31, usual, usual + 1];
                match numbers.u32(..8) {
                    0 => odd[numbers.usize(..4)],
                    _ => numbers.u32(..usual),
                }
            };
            let load = Load {
                tenant: any(3) % 3,
                prefetch: 0,
                source: any(3),
                destination: any(3),
                offset: u64::from(any(CHUNK as u32)) | u64::from(any(8) / 7) << 32,
                bytes: any(CHUNK as u32 + 1),
            };
            let expected = expected(&load, &sources, &destinations);
            let answer = world.run(&load.submission());
            outcomes[usize::from(expected.is_ok())] += 1;
            match expected {
                Err(errno) => assert_eq!(answer, io_failed(errno), "{load:?}"),
                Ok(landed) => {
                    assert_eq!(answer, Ok(landed as u32), "{load:?}");
                    let from = load.offset as usize;
                    let bytes = &sources[load.source as usize].0[from..from + landed];
                    let crc = world.crc(chunks[load.destination as usize], landed);
                    assert_eq!(crc, Ok(crc32c::crc32c(bytes)), "{load:?}");
                }
            }
        }
        assert!(outcomes.iter().all(|count| *count > 30), "{outcomes:?}");
        let stats = served.stop().unwrap().stats;
        assert_eq!([stats.refused, stats.reads], outcomes, "{stats:?}");
        assert_eq!(stats.reader.bytes(), stats.bytes_read, "{stats:?}");
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_read_that_the_file_system_refuses_leaves_nothing_to_see() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 1);
        tables.add_source(source(&[7; 100], &[0]));
        tables.add_source(IoSource {
            file: File::open(std::env::temp_dir()).unwrap(),
            len: 100,
            tenants: vec![0],
            writable: false,
        });
        tables.add_destination(world.chunks.pop().unwrap(), vec![0]);
        let chunk = tables.chunk_of(0).unwrap();
        let _served = world.serve(tables);
        let good = Load {
            bytes: 10,
            ..Load::default()
        };
        let refused = Load { source: 1, ..good };
        assert_eq!(world.run(&good.submission()), Ok(10));
        assert_eq!(world.run(&refused.submission()), io_failed(EISDIR));
        assert_eq!(world.crc(chunk, 10), Err(fault::CHUNK_NOT_LENT));
        assert_eq!(world.run(&good.submission()), Ok(10));
        assert_eq!(world.crc(chunk, 10), Ok(crc32c::crc32c(&[7; 10])));
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_loop_that_stops_fails_the_slots_that_wait_for_it() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 4);
        let (silent, _writer) = std::io::pipe().unwrap();
        tables.add_source(IoSource {
            file: OwnedFd::from(silent).into(),
            len: 1 << 20,
            tenants: vec![0],
            writable: false,
        });
        tables.add_source(source(&[7; 100], &[0]));
        for chunk in world.chunks.drain(..3) {
            tables.add_destination(chunk, vec![0]);
        }
        let served = world.serve(tables);
        if let Some(why) = served.stats().why {
            return gristmill_testing::skipped(why);
        }
        for destination in 0..2 {
            let load = Load {
                destination,
                bytes: 10,
                ..Load::default()
            };
            world.publish(&load.submission());
        }
        // Another file is read in the meantime.
        let other = Load {
            source: 1,
            destination: 2,
            bytes: 10,
            ..Load::default()
        };
        assert_eq!(world.run(&other.submission()), Ok(10));
        served.stop().unwrap();
        for _ in 0..2 {
            assert_eq!(world.answer(), io_failed(ECANCELED));
        }
        // Requests from now on fail, too, until another loop serves them.
        assert_eq!(world.run(&other.submission()), io_failed(ECANCELED));
        world.queue = world.kernel.submitter().take_io_queue();
        let mut tables = IoTables::new();
        tables.add_source(source(&[7; 100], &[0]));
        tables.add_destination(world.chunks.pop().unwrap(), vec![0]);
        let served = world.serve(tables);
        let load = Load {
            bytes: 10,
            ..Load::default()
        };
        assert_eq!(world.run(&load.submission()), Ok(10));
        served.stop().unwrap();
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_prefetch_stays_its_tenants_when_its_slot_is_anothers() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 2);
        tables.add_source(source(&[7; 100], &[1]));
        tables.add_destination(world.chunks.pop().unwrap(), vec![1]);
        let chunk = tables.chunk_of(0).unwrap();
        let load = Load {
            prefetch: 1,
            bytes: 10,
            ..Load::default()
        };
        // The first request is of tenant 0, which may use neither file nor chunk; then the same slot is used by tenant
        // 1.
        assert_eq!(world.run(&load.submission()), Ok(0));
        let waits = world.publish(
            &Load {
                tenant: 1,
                bytes: 0,
                prefetch: 0,
                ..load
            }
            .submission(),
        );
        let mut patience = Patience::new();
        while world.kernel.submitter().status(waits) != Some(slot::WAIT_IO) {
            patience.check(());
            std::thread::yield_now();
        }
        let served = world.serve(tables);
        assert_eq!(world.answer(), Ok(0));
        settle(&served, 2);
        // Only the second request, of no bytes, has reached the chunk.
        let crc = world.crc(chunk, 10);
        assert_eq!(crc, Ok(crc32c::crc32c(&[0; 10])));
        world.kernel.shutdown().unwrap();
    });
}

#[test]
fn a_kernel_that_ends_waits_for_no_bytes() {
    on_each(|backend| {
        let (mut world, mut tables) = world(backend, 2);
        tables.add_source(source(&[7; 100], &[0]));
        tables.add_destination(world.chunks.pop().unwrap(), vec![0]);
        let waits: Vec<u32> = (0..5)
            .map(|_| world.publish(&Load::default().submission()))
            .collect();
        let mut patience = Patience::new();
        let asking = |world: &World| {
            let status =
                |slot: &&u32| world.kernel.submitter().status(**slot) == Some(slot::WAIT_IO);
            waits.iter().filter(status).count()
        };
        while asking(&world) < 2 {
            patience.check(());
            std::thread::yield_now();
        }
        let World {
            kernel,
            queue,
            mut completions,
            ..
        } = world;
        kernel.shutdown().unwrap();
        let mut ended = 0;
        while let Some(done) = completions.next() {
            assert_eq!(done.fault, fault::WORKER_PANICKED);
            ended += 1;
        }
        assert!((2..=5).contains(&ended), "{ended}");
        // This comes too late, and has no effect.
        let served = serve(queue.unwrap(), tables);
        settle(&served, 2);
        assert!(completions.next().is_none());
        assert_eq!(served.stop().unwrap().chunks.len(), 1);
    });
}

#[test]
fn the_kernel_of_a_ring_without_a_queue_has_none_to_serve() {
    let (memory, _chunks) = CpuBackend.chunk_memory(1, CHUNK).unwrap();
    let config = |io_slots| KernelConfig {
        workers: 1,
        ring: RingConfig {
            io_slots,
            ..RingConfig::default()
        },
        chunks: memory.clone(),
        record_words: 256,
        lease: Lease::default(),
    };
    let kernel = CpuBackend.launch(config(0), vec![], vec![]).unwrap();
    assert!(kernel.submitter().take_io_queue().is_none());
    let refused = CpuBackend.launch(config(65), vec![], vec![]);
    assert!(matches!(
        refused,
        Err(KernelError::Pipeline(PipelineError::InvalidArgument { .. }))
    ));
}
