//! Raw NVMe reads by `IORING_OP_URING_CMD`: one command per read, with the kernel's own answer.

use crate::disk::Namespace;
use crate::memory::Memory;
use io_uring::{cqueue, opcode, squeue, types, IoUring};
use std::os::fd::AsRawFd;

/// `NVME_URING_CMD_IO`: `_IOWR('N', 0x80, struct nvme_uring_cmd)`.
const NVME_URING_CMD_IO: u32 = 0xc048_4e80;
const NVME_READ: u8 = 0x02;

/// NVMe status of a read beyond the last block, as a completion has it: "LBA out of range", with "do not retry".
pub const LBA_OUT_OF_RANGE: i32 = 0x4080;
/// NVMe status of a read that the medium fails: "unrecovered read error".
pub const UNRECOVERED_READ_ERROR: i32 = 0x281;

/// Reads of one namespace into one memory, by a ring of their own.
pub struct Passthrough<'a> {
    ring: IoUring<squeue::Entry128, cqueue::Entry32>,
    namespace: &'a Namespace,
    memory: &'a Memory,
    in_flight: usize,
}

impl<'a> Passthrough<'a> {
    /// # Panics
    /// Where the kernel gives no ring with entries of 128 and 32 bytes.
    pub fn new(namespace: &'a Namespace, memory: &'a Memory, depth: u32) -> Self {
        let ring = IoUring::builder().build(depth);
        Passthrough {
            ring: ring.expect("the guest's kernel has io_uring"),
            namespace,
            memory,
            in_flight: 0,
        }
    }

    /// Reads `bytes` from `position` of the namespace (both multiples of its blocks) to `offset` of the memory; its
    /// result comes with `tag`.
    ///
    /// # Panics
    /// Where the range is not in the memory, is more than 65,536 blocks, or the ring is full.
    pub fn submit(&mut self, position: u64, bytes: usize, offset: usize, tag: u64) {
        let address = self.memory.address(offset, bytes) as u64;
        let block = position / self.namespace.block_bytes;
        let last = u16::try_from(bytes as u64 / self.namespace.block_bytes - 1)
            .expect("at most 65,536 blocks");
        let length = u32::try_from(bytes).expect("65,536 blocks are less than 4 GiB");
        let mut command = [0; 80];
        command[0] = NVME_READ;
        command[4..8].copy_from_slice(&self.namespace.id.to_le_bytes());
        command[24..32].copy_from_slice(&address.to_le_bytes());
        command[36..40].copy_from_slice(&length.to_le_bytes());
        command[40..48].copy_from_slice(&block.to_le_bytes());
        command[48..50].copy_from_slice(&last.to_le_bytes());
        let file = types::Fd(self.namespace.generic.as_raw_fd());
        let entry = opcode::UringCmd80::new(file, NVME_URING_CMD_IO)
            .cmd(command)
            .build()
            .user_data(tag);
        // SAFETY: the kernel copies the command when it is submitted; what it writes is inside the memory, whose bytes
        // nobody has references to, and it holds the memory's pages for as long as it may write.
        unsafe { self.ring.submission().push(&entry) }.expect("room in the ring");
        self.in_flight += 1;
    }

    /// Submits the queued commands and waits for one result: its tag, and 0, an NVMe status, or a negative errno.
    /// `None` if no read is in flight.
    ///
    /// # Panics
    /// Where the kernel does not take part.
    pub fn wait(&mut self) -> Option<(u64, i32)> {
        if self.in_flight == 0 {
            return None;
        }
        loop {
            self.ring.submit().expect("io_uring_enter");
            if let Some(entry) = self.ring.completion().next() {
                self.in_flight -= 1;
                return Some((entry.user_data(), entry.result()));
            }
            self.ring.submit_and_wait(1).expect("io_uring_enter");
        }
    }

    /// Does one read. Returns 0, an NVMe status, or a negative errno.
    pub fn read(&mut self, position: u64, bytes: usize, offset: usize) -> i32 {
        self.submit(position, bytes, offset, 0);
        self.wait().map_or(0, |(_, result)| result)
    }
}
