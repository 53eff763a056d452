//! Single commands on a stream, without a driver.

use gristmill_ingest::nvme::NvmeRead;
use gristmill_ingest::{encode_nvme_read_sqe, AsyncUringStream, GpuMappedBuffer, IoUringState};
use gristmill_protocol::PipelineError;
use gristmill_vm_guest::disk::{Disk, Namespace, DATA_BYTES};
use gristmill_vm_guest::in_guest;
use gristmill_vm_guest::memory::{Memory, POISON};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};

const BYTES: usize = 2 << 20;

/// A stream over the second half of `memory`.
pub fn with_stream(memory: &Memory, test: impl FnOnce(&mut AsyncUringStream<'_>, &AtomicU32, u64)) {
    let tail = AtomicU32::new(0);
    let (mut owner, base) = ((), memory.address(BYTES, BYTES));
    // SAFETY: `memory` stays mapped beyond this function, has no references to its bytes, and the tests look at them
    // only when reads are over.
    let buffer = unsafe {
        if memory.is_peer() {
            GpuMappedBuffer::from_bar1_peer_with_owner(&mut owner, base, BYTES)
        } else {
            GpuMappedBuffer::from_host_visible_owner(&mut owner, base, BYTES)
        }
    };
    let mut stream = AsyncUringStream::new(IoUringState::new(4).unwrap(), buffer, &tail);
    test(&mut stream, &tail, base.addr() as u64);
}

/// Reads 8 blocks at each of three places, side by side into memory from `base` on, as user data from `first` on; what
/// failed. One of them must.
pub fn one_of_three_fails(
    (stream, tail, base): (&mut AsyncUringStream<'_>, &AtomicU32, u64),
    namespace: &Namespace,
    first: u64,
    lbas: [u64; 3],
) -> String {
    for (number, lba) in (0..).zip(lbas) {
        let address = base + number * 4096;
        let command = encode_nvme_read_sqe(namespace.id, lba, 8, address).unwrap();
        let fd = namespace.generic.as_raw_fd();
        // SAFETY: the namespace is borrowed and all reads are over when this returns, or the stream is dropped where
        // this panics; nobody uses the memory before.
        unsafe { stream.submit_nvme_passthrough(fd, first + number, &command) }.unwrap();
    }
    let mut errors = Vec::new();
    while stream.inflight() > 0 {
        stream.wait_until_ready().unwrap();
        errors.extend(stream.poll().err().map(|error| error.to_string()));
    }
    assert_eq!((errors.len(), tail.load(Ordering::Acquire)), (1, 2));
    errors.remove(0)
}

#[test]
fn a_command_brings_its_blocks_and_raises_the_tail() {
    if !in_guest("") {
        return;
    }
    let disk = Disk::find("data");
    for memory in [Memory::host(2 * BYTES), Memory::peer(2 * BYTES)] {
        for namespace in [disk.namespace(1), disk.namespace(2)] {
            memory.poison(0, 2 * BYTES);
            with_stream(&memory, |stream, tail, base| {
                let block = u32::try_from(namespace.block_bytes).unwrap();
                let fd = namespace.generic.as_raw_fd();
                let blocks = |bytes: u32| bytes / block;
                // The length left to the stream, and more than one command takes.
                let large = 1 << 20;
                let first = encode_nvme_read_sqe(namespace.id, 3, blocks(large), base).unwrap();
                let second = NvmeRead {
                    namespace_id: namespace.id,
                    starting_lba: 0,
                    blocks: blocks(8192),
                    address: base + u64::from(large),
                    data_len: 8192,
                };
                for (number, command) in [(7, first), (8, second.encode().unwrap())] {
                    // SAFETY: the namespace is open, and nobody uses the memory, until the stream is dropped.
                    unsafe { stream.submit_nvme_passthrough(fd, number, &command) }.unwrap();
                }
                assert_eq!((stream.inflight(), tail.load(Ordering::Acquire)), (2, 0));
                let mut landed = 0;
                while landed < 2 {
                    stream.wait_until_ready().unwrap();
                    landed += stream.poll().unwrap();
                }
                assert_eq!((stream.inflight(), tail.load(Ordering::Acquire)), (0, 2));
                memory.assert_words(BYTES, 1 << 20, 0, 3 * u64::from(block));
                memory.assert_words(BYTES + (1 << 20), 8192, 0, 0);
                assert!(memory.words(0, BYTES).all(|word| word == POISON));
            });
        }
    }
}

#[test]
fn a_command_that_could_write_elsewhere_is_refused() {
    if !in_guest("") {
        return;
    }
    let namespace = Disk::find("data").namespace(1);
    let memory = Memory::host(2 * BYTES);
    memory.poison(0, 2 * BYTES);
    with_stream(&memory, |stream, _, base| {
        let good = NvmeRead {
            namespace_id: namespace.id,
            starting_lba: 0,
            blocks: 8,
            address: base,
            data_len: 4096,
        };
        let end = base + BYTES as u64;
        let last = DATA_BYTES / 512;
        let bad = [
            NvmeRead {
                namespace_id: 2,
                ..good
            },
            NvmeRead {
                data_len: 512,
                ..good
            },
            NvmeRead {
                data_len: 8192,
                ..good
            },
            NvmeRead {
                address: end - 4088,
                ..good
            },
            NvmeRead {
                address: end - 2048,
                data_len: 0,
                ..good
            },
            NvmeRead {
                address: base - 512,
                ..good
            },
            NvmeRead { address: 0, ..good },
            NvmeRead {
                address: base + 2,
                ..good
            },
            NvmeRead {
                starting_lba: last - 7,
                ..good
            },
        ];
        for read in bad {
            let command = read.encode().unwrap();
            let fd = namespace.generic.as_raw_fd();
            // SAFETY: as above.
            let refused = unsafe { stream.submit_nvme_passthrough(fd, 1, &command) }.unwrap_err();
            let kinds = matches!(
                refused,
                PipelineError::QueueFull { .. } | PipelineError::InvalidArgument { .. }
            );
            assert!(kinds, "{read:?}: {refused}");
        }
        assert_eq!((stream.inflight(), stream.poll().unwrap()), (0, 0));
    });
    assert!(memory.words(0, 2 * BYTES).all(|word| word == POISON));
}
