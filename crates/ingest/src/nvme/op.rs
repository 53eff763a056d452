//! A read of a namespace as commands for a ring, submitted one after the other, each within the limits of the queue.

use super::{LbaRange, NvmeNamespace, NvmeRead, NvmeStatus, NVME_COMMAND_BYTES};
use crate::fs::name_of;
use crate::memory::peer::NO_PAGES;
use crate::queue::{Operation, Retry};
use crate::setup::{self, SetupFlags};
use gristmill_protocol::PipelineError;
use io_uring::{cqueue, opcode, squeue, types, IoUring, Probe};
use std::os::fd::RawFd;

/// `NVME_URING_CMD_IO`, the kernel's number for a command of 72 bytes.
const NVME_URING_CMD_IO: u32 = 0xC048_4E80;

/// A ring whose entries have room for commands.
pub(crate) type NvmeRing = IoUring<squeue::Entry128, cqueue::Entry32>;

/// Makes a ring for commands, for the calling thread.
///
/// # Errors
/// The reason why a ring cannot be made, and how to change that.
pub(crate) fn build_ring(entries: u32) -> Result<(NvmeRing, SetupFlags), PipelineError> {
    setup::build(entries, false).map_err(|error| match error {
        PipelineError::IoUringSyscall {
            syscall,
            errno: errno @ libc::EINVAL,
            ..
        } => PipelineError::IoUringSyscall {
            syscall,
            errno,
            fix: "use Linux 5.19 or later: NVMe passthrough needs entries of 128 bytes",
        },
        other => other,
    })
}

/// Whether the kernel supports commands for devices at all.
pub(crate) fn is_supported(ring: &NvmeRing) -> bool {
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).is_ok()
        && probe.is_supported(opcode::UringCmd80::CODE)
}

/// The commands that read `ranges`, in order and without gaps, to consecutive memory from `address` on. Each command is
/// within the limits of the namespace's queue.
///
/// # Errors
/// [`PipelineError::InvalidArgument`] for blocks that the namespace does not have, for an address that is not aligned,
/// or if there is nothing to read.
pub(crate) fn plan(
    namespace: &NvmeNamespace,
    ranges: &[LbaRange],
    address: u64,
) -> Result<Vec<NvmeRead>, PipelineError> {
    let invalid = |what, fix| Err(PipelineError::InvalidArgument { what, fix });
    if !address.is_multiple_of(namespace.alignment) {
        return invalid(
            "a destination that the device cannot address",
            "map memory, and choose slots, in whole pages",
        );
    }
    let mut reads = Vec::new();
    let mut to = address;
    for range in ranges {
        namespace.check(*range)?;
        let (mut lba, mut left) = (range.lba, range.blocks);
        while left > 0 {
            let most = namespace.piece_bytes(to) / u64::from(namespace.block_bytes);
            // A piece has 65,536 blocks at most, and at least one (`NvmeNamespace` refuses other limits).
            let blocks = u32::try_from(left.min(most.max(1))).unwrap_or(1);
            let data_len = blocks.saturating_mul(namespace.block_bytes);
            reads.push(NvmeRead {
                namespace_id: namespace.id,
                starting_lba: lba,
                blocks,
                address: to,
                data_len,
            });
            to = to.wrapping_add(u64::from(data_len));
            lba += u64::from(blocks);
            left -= u64::from(blocks);
        }
    }
    if reads.is_empty() {
        return invalid("an NVMe read of no blocks", "read at least one block");
    }
    Ok(reads)
}

/// Commands that are submitted in order: each one after the previous one has succeeded.
#[derive(Debug)]
pub(crate) struct NvmeOp {
    fd: RawFd,
    commands: Vec<(NvmeRead, [u8; NVME_COMMAND_BYTES])>,
    next: usize,
}

impl NvmeOp {
    /// A read of these pieces. All commands are encoded before any is submitted.
    ///
    /// # Errors
    /// As [`NvmeRead::encode`].
    pub(crate) fn new(fd: RawFd, reads: &[NvmeRead]) -> Result<Self, PipelineError> {
        let commands = reads
            .iter()
            .map(|read| Ok((*read, read.encode()?)))
            .collect::<Result<_, PipelineError>>()?;
        Ok(NvmeOp {
            fd,
            commands,
            next: 0,
        })
    }

    /// The command that is under way, or that failed.
    fn current(&self) -> Option<&NvmeRead> {
        self.commands.get(self.next).map(|(read, _)| read)
    }

    /// The place from which the current or failed command reads. Asks the system for the device's name.
    pub(crate) fn place(&self) -> CommandPlace {
        let (lba, block) = self.current().map_or((0, 0), |read| {
            let block = read.data_len.checked_div(read.blocks).unwrap_or(0);
            (read.starting_lba, block)
        });
        CommandPlace {
            device: name_of(self.fd),
            lba,
            offset: lba.saturating_mul(u64::from(block)),
        }
    }
}

/// The place from which a command reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandPlace {
    /// The character device.
    device: String,
    /// The first block.
    pub(crate) lba: u64,
    /// The first block's offset on the device, in bytes.
    offset: u64,
}

impl CommandPlace {
    /// The error of a command that failed there: `error` is an errno, or the device's status, negated; `of` names the
    /// read.
    pub(crate) fn error(&self, of: &str, error: i32) -> PipelineError {
        let words = match u16::try_from(error.wrapping_neg()) {
            Ok(status) => NvmeStatus(status).to_string(),
            Err(_) => {
                let way = if error == libc::EFAULT { NO_PAGES } else { "" };
                format!("{}{way}", std::io::Error::from_raw_os_error(error))
            }
        };
        PipelineError::Read {
            path: self.device.clone(),
            offset: self.offset,
            // A device's status is negative.
            errno: (error > 0).then_some(error),
            reason: format!("{of}: the command at LBA {}: {words}", self.lba),
        }
    }
}

impl Operation for NvmeOp {
    type Submission = squeue::Entry128;
    type Completion = cqueue::Entry32;
    /// EINTR means that the kernel gave up on a command, after half a minute or because the controller was reset.
    const MAX_RETRIES: u32 = 8;

    fn entry(&self, _done: u32, _polling: bool) -> squeue::Entry128 {
        let mut inline = [0; 80];
        if let Some((_, command)) = self.commands.get(self.next) {
            inline[..NVME_COMMAND_BYTES].copy_from_slice(command);
        }
        opcode::UringCmd80::new(types::Fd(self.fd), NVME_URING_CMD_IO)
            .cmd(inline)
            .build()
    }

    fn on_completion(&mut self, _done: u32, result: i32) -> Retry {
        match result {
            0 => {
                let bytes = self.current().map_or(0, |read| read.data_len);
                self.next += 1;
                let whole = self.next >= self.commands.len();
                Retry::Landed { bytes, whole }
            }
            1.. => Retry::Failed(result.wrapping_neg()),
            _ => match result.wrapping_neg() {
                errno @ (libc::EINTR | libc::EAGAIN) => Retry::Passing {
                    errno,
                    polling: false,
                },
                errno => Retry::Failed(errno),
            },
        }
    }

    fn is_fixed(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn namespace() -> impl Strategy<Value = NvmeNamespace> {
        (9u32..13, 12u32..21, 2u64..130).prop_map(|(block, transfer, max_segments)| NvmeNamespace {
            name: "ng0n1".into(),
            id: 1,
            block_bytes: 1 << block,
            blocks: 1 << 20,
            max_transfer_bytes: 1 << transfer,
            max_segments,
            alignment: 4,
        })
    }

    proptest! {
        #[test]
        fn pieces_are_what_was_asked_for_and_within_the_limits(
            namespace in namespace(),
            ranges in prop::collection::vec((0u64..1000, 1u64..3000), 1..6),
            address in (0u64..1 << 30).prop_map(|address| address * 4),
        ) {
            let ranges: Vec<_> = ranges.iter().map(|&(lba, blocks)| LbaRange { lba, blocks }).collect();
            let reads = plan(&namespace, &ranges, address).unwrap();
            let mut asked = ranges.iter().flat_map(|range| range.lba..range.lba + range.blocks);
            let mut to = address;
            for read in &reads {
                let pages = (read.address % 4096 + u64::from(read.data_len)).div_ceil(4096);
                prop_assert!(pages <= namespace.max_segments && read.blocks <= 65_536);
                prop_assert!(u64::from(read.data_len) <= namespace.max_transfer_bytes);
                prop_assert_eq!(read.data_len, read.blocks * namespace.block_bytes);
                prop_assert_eq!(read.address, to);
                for lba in 0..u64::from(read.blocks) {
                    prop_assert_eq!(asked.next(), Some(read.starting_lba + lba));
                }
                to += u64::from(read.data_len);
            }
            prop_assert_eq!(asked.next(), None);
        }
    }

    fn small() -> NvmeNamespace {
        NvmeNamespace {
            name: "ng0n1".into(),
            id: 1,
            block_bytes: 512,
            blocks: 100_000,
            max_transfer_bytes: 1 << 30,
            max_segments: 1 << 20,
            alignment: 4,
        }
    }

    #[test]
    fn a_command_has_65536_blocks_at_most_whatever_the_queue_takes() {
        let range = LbaRange {
            lba: 7,
            blocks: 70_000,
        };
        let reads = plan(&small(), &[range], 0).unwrap();
        let blocks: Vec<u32> = reads.iter().map(|read| read.blocks).collect();
        assert_eq!(blocks, [65_536, 4_464]);
    }

    #[test]
    fn what_a_namespace_cannot_read_is_refused() {
        let refused =
            |lba, blocks, address| plan(&small(), &[LbaRange { lba, blocks }], address).is_err();
        assert!(refused(100_000, 1, 0) && refused(99_999, 2, 0) && refused(u64::MAX, 1, 0));
        assert!(refused(1, u64::MAX, 0) && refused(0, 0, 0) && refused(0, 1, 2));
        assert!(!refused(99_999, 1, 4));
    }

    #[test]
    fn a_completion_moves_on_to_the_next_command_or_tells_the_one_that_failed() {
        let ranges = [
            LbaRange { lba: 3, blocks: 2 },
            LbaRange { lba: 9, blocks: 1 },
        ];
        let reads = plan(&small(), &ranges, 0).unwrap();
        let mut op = NvmeOp::new(5, &reads).unwrap();
        assert_eq!(
            op.on_completion(0, 0),
            Retry::Landed {
                bytes: 1024,
                whole: false
            }
        );
        assert_eq!(op.on_completion(1024, 641), Retry::Failed(-641));
        assert_eq!(op.current().unwrap().starting_lba, 9);
        assert_eq!(
            op.on_completion(1024, -libc::EFAULT),
            Retry::Failed(libc::EFAULT)
        );
        assert_eq!(
            op.on_completion(1024, 0),
            Retry::Landed {
                bytes: 512,
                whole: true
            }
        );
    }
}
