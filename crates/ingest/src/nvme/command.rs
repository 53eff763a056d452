//! The NVMe Read command as io_uring takes it: `struct nvme_uring_cmd`, 72 bytes, little-endian.

use gristmill_protocol::PipelineError;

/// Bytes in a command.
pub const NVME_COMMAND_BYTES: usize = 72;
/// The most blocks that one command can read. The command holds the number of blocks minus one in 16 bits.
pub const NVME_MAX_BLOCKS: u32 = 1 << 16;

/// The only opcode that is ever encoded or accepted.
const OPCODE_READ: u8 = 0x02;

const OPCODE: usize = 0;
const NAMESPACE: usize = 4;
const ADDRESS: usize = 24;
const DATA_LEN: usize = 36;
const LBA_LOW: usize = 40;
const LBA_HIGH: usize = 44;
const BLOCKS_LESS_ONE: usize = 48;

/// One NVMe Read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NvmeRead {
    /// The namespace's number in its controller.
    pub namespace_id: u32,
    /// The first logical block.
    pub starting_lba: u64,
    /// How many blocks: 1 to [`NVME_MAX_BLOCKS`].
    pub blocks: u32,
    /// Where the bytes go.
    pub address: u64,
    /// Length of that memory in bytes: `blocks` times the block size.
    pub data_len: u32,
}

impl NvmeRead {
    /// The command's bytes.
    ///
    /// # Errors
    /// [`PipelineError::InvalidArgument`] for 0 blocks, for more than [`NVME_MAX_BLOCKS`], or if the last block's
    /// number would exceed the largest LBA.
    pub fn encode(&self) -> Result<[u8; NVME_COMMAND_BYTES], PipelineError> {
        let less_one = self
            .blocks
            .checked_sub(1)
            .filter(|_| self.blocks <= NVME_MAX_BLOCKS)
            .ok_or(PipelineError::InvalidArgument {
                what: "an NVMe read of no blocks, or of more than 65,536",
                fix: "read 1 to 65,536 blocks with each command",
            })?;
        if self.starting_lba.checked_add(u64::from(less_one)).is_none() {
            return Err(PipelineError::InvalidArgument {
                what: "an NVMe read beyond the last block that can be numbered",
                fix: "read blocks that the namespace has",
            });
        }
        let (low, high) = gristmill_protocol::words::split(self.starting_lba);
        let mut bytes = [0; NVME_COMMAND_BYTES];
        let mut put =
            |at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        put(OPCODE, u32::from(OPCODE_READ));
        put(NAMESPACE, self.namespace_id);
        put(DATA_LEN, self.data_len);
        put(LBA_LOW, low);
        put(LBA_HIGH, high);
        put(BLOCKS_LESS_ONE, less_one);
        bytes[ADDRESS..ADDRESS + 8].copy_from_slice(&self.address.to_le_bytes());
        Ok(bytes)
    }

    /// Decodes a command.
    ///
    /// # Errors
    /// [`PipelineError::Decode`] for anything but exactly what [`NvmeRead::encode`] writes: another length, another
    /// opcode, or a field set that a plain read leaves 0.
    pub fn decode(bytes: &[u8]) -> Result<Self, PipelineError> {
        let refused = |offset: usize, fix: &'static str| PipelineError::Decode {
            what: "an NVMe read command",
            offset,
            fix,
        };
        let bytes: &[u8; NVME_COMMAND_BYTES] = bytes
            .try_into()
            .map_err(|_| refused(bytes.len(), "hand in the 72 bytes of a command"))?;
        if bytes[OPCODE] != OPCODE_READ {
            return Err(refused(
                OPCODE,
                "only NVMe Read (0x02) may be passed through",
            ));
        }
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let read = NvmeRead {
            namespace_id: word(NAMESPACE),
            starting_lba: gristmill_protocol::words::join(word(LBA_LOW), word(LBA_HIGH)),
            blocks: (word(BLOCKS_LESS_ONE) & 0xFFFF) + 1,
            address: gristmill_protocol::words::join(word(ADDRESS), word(ADDRESS + 4)),
            data_len: word(DATA_LEN),
        };
        let same = read.encode()?;
        match same
            .iter()
            .zip(bytes)
            .position(|(ours, theirs)| ours != theirs)
        {
            None => Ok(read),
            Some(at) => Err(refused(at, "leave every other field of the command 0")),
        }
    }
}

/// The command that reads `blocks` blocks from `starting_lba` to the address `dest`. Its length in bytes is left 0:
/// [`AsyncUringStream::submit_nvme_passthrough`](crate::AsyncUringStream::submit_nvme_passthrough) fills it in from the
/// namespace's block size. Use [`NvmeRead::encode`] if you know the block size.
///
/// # Errors
/// As [`NvmeRead::encode`].
pub fn encode_nvme_read_sqe(
    namespace_id: u32,
    starting_lba: u64,
    blocks: u32,
    dest: u64,
) -> Result<[u8; NVME_COMMAND_BYTES], PipelineError> {
    NvmeRead {
        namespace_id,
        starting_lba,
        blocks,
        address: dest,
        data_len: 0,
    }
    .encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READ: NvmeRead = NvmeRead {
        namespace_id: 0x0102_0304,
        starting_lba: 0x1122_3344_5566_7788,
        blocks: 8,
        address: 0xAABB_CCDD_0000_1000,
        data_len: 4096,
    };

    #[test]
    fn a_command_has_its_fields_where_the_kernel_reads_them() {
        let mut expected = [0; 72];
        expected[0] = 0x02;
        expected[4..8].copy_from_slice(&[0x04, 0x03, 0x02, 0x01]);
        expected[24..32].copy_from_slice(&[0x00, 0x10, 0x00, 0x00, 0xDD, 0xCC, 0xBB, 0xAA]);
        expected[36..40].copy_from_slice(&[0x00, 0x10, 0x00, 0x00]);
        expected[40..48].copy_from_slice(&[0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]);
        expected[48] = 7;
        assert_eq!(READ.encode().unwrap(), expected);
        let short = encode_nvme_read_sqe(READ.namespace_id, READ.starting_lba, 8, READ.address);
        expected[36..40].fill(0);
        assert_eq!(short.unwrap(), expected);
    }

    #[test]
    fn no_blocks_and_too_many_are_refused() {
        for blocks in [0, NVME_MAX_BLOCKS + 1, u32::MAX] {
            assert!(encode_nvme_read_sqe(1, 0, blocks, 0).is_err(), "{blocks}");
        }
        let most = encode_nvme_read_sqe(1, 0, NVME_MAX_BLOCKS, 0).unwrap();
        assert_eq!(most[48..52], [0xFF, 0xFF, 0, 0]);
        assert!(encode_nvme_read_sqe(1, u64::MAX, 1, 0).is_ok());
        assert!(encode_nvme_read_sqe(1, u64::MAX, 2, 0).is_err());
    }

    #[test]
    fn only_plain_reads_are_decoded() {
        let bytes = READ.encode().unwrap();
        assert_eq!(NvmeRead::decode(&bytes).unwrap(), READ);
        for opcode in (0..=u8::MAX).filter(|opcode| *opcode != 0x02) {
            let mut other = bytes;
            other[0] = opcode;
            assert!(NvmeRead::decode(&other).is_err(), "opcode {opcode:#x}");
        }
        let free = |at: usize| matches!(at, 4..8 | 24..32 | 36..50);
        for at in (0..NVME_COMMAND_BYTES).filter(|at| !free(*at)) {
            let mut other = bytes;
            other[at] ^= 0x40;
            assert!(NvmeRead::decode(&other).is_err(), "byte {at}");
        }
        assert!(NvmeRead::decode(&bytes[..71]).is_err());
        assert!(NvmeRead::decode(&[2; 80]).is_err());
    }
}
