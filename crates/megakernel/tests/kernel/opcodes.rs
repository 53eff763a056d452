//! The effects of opcodes, including the user's own, and which slots fault.

use super::*;

#[test]
fn core_opcodes_do_what_the_protocol_says() {
    let mut world = world(Setup::default());
    assert_eq!(world.op(opcode::NOP, &[]), (OK, 0, 0));
    assert_eq!(world.op(opcode::STORE_U32, &[11, 3]), (OK, 0, 0));
    assert_eq!(world.op(opcode::ATOMIC_ADD, &[5, 3]), (OK, 0, 16));
    assert_eq!(world.kernel.observable(3), Some(16));
    assert_eq!(world.op(opcode::COMPARE_SWAP, &[3, 99, 1]).2, 16, "no swap");
    assert_eq!(world.kernel.observable(3), Some(16));
    assert_eq!(world.op(opcode::COMPARE_SWAP, &[3, 16, 7]).2, 16, "swapped");
    assert_eq!(world.kernel.observable(3), Some(7));
    let base = control::TENANT_BASE as u32;
    assert_eq!(
        world.op(opcode::LOAD_U32, &[base, 9]).2,
        control::TENANT_MASK_BASE_VALUE
    );
    assert_eq!(
        world.op(opcode::LOAD_U32, &[160 + 3, 10]).2,
        7,
        "an observable"
    );
    for index in 0..4 {
        world.op(opcode::STORE_U32, &[100 + index, 20 + index]);
    }
    // The ranges overlap, in both directions.
    assert_eq!(world.op(opcode::MEMCPY, &[20, 21, 3]).0, OK);
    let seen: Vec<_> = (20..24)
        .map(|index| world.kernel.observable(index).unwrap())
        .collect();
    assert_eq!(seen, [100, 100, 101, 102]);
    assert_eq!(world.op(opcode::MEMCPY, &[21, 20, 3]).0, OK);
    let seen: Vec<_> = (20..24)
        .map(|index| world.kernel.observable(index).unwrap())
        .collect();
    assert_eq!(seen, [100, 101, 102, 102]);
}

#[test]
fn what_is_out_of_range_or_unknown_is_a_fault_with_its_reason() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Lines],
        ..Setup::default()
    });
    let mut fails = |number, args: &[u32], reason| {
        let (status, fault, _) = world.op(number, args);
        assert_eq!(
            (status, fault),
            (slot::FAULT, reason),
            "opcode {number:#x} {args:?}"
        );
    };
    for (number, args) in [
        (opcode::STORE_U32, vec![1, 64]),
        (opcode::ATOMIC_ADD, vec![1, u32::MAX]),
        (opcode::LOAD_U32, vec![160 + 64, 0]),
        (opcode::LOAD_U32, vec![0, 64]),
        (opcode::COMPARE_SWAP, vec![64, 0, 0]),
        (opcode::MEMCPY, vec![0, 60, 5]),
        (opcode::MEMCPY, vec![u32::MAX, 0, 2]),
        (opcode::MEMCPY, vec![0, 0, u32::MAX]),
    ] {
        fails(number, &args, fault::INDEX_OUT_OF_RANGE);
    }
    fails(opcode::DFA_STEP, &[], fault::NO_SUCH_PROGRAM);
    fails(opcode::LOAD_MISS, &[], fault::NO_IO_QUEUE);
    fails(0xFFF3, &[], fault::UNKNOWN_OPCODE);
    fails(0x4000_0000, &[], fault::NO_SUCH_PROGRAM);
    fails(0x4010_0000, &[], fault::FOREIGN_OPCODE);
    fails(opcode::SCAN, &[], fault::NO_SUCH_JOB);
    fails(opcode::LINES, &[0, 0, 1, 9], fault::NO_SUCH_JOB);
    fails(opcode::LINES, &[0, 0, 1, 0], fault::CHUNK_NOT_LENT);
    fails(opcode::LINES, &[99, 0, 1, 0], fault::CHUNK_NOT_LENT);
}

#[test]
fn a_chunk_is_read_while_it_is_lent_and_within_its_bounds() {
    let set = ScanSet::build(&["needle"], false, ScanMode::Lines).unwrap();
    let mut world = world(Setup {
        jobs: vec![
            StreamJob::Lines,
            StreamJob::Histogram,
            StreamJob::Crc32c,
            StreamJob::Scan(Arc::new(set)),
        ],
        ..Setup::default()
    });
    let mut chunk = world.chunks.pop().unwrap();
    chunk.as_mut_slice()[..31].copy_from_slice(b"one\na needle in it\nneedle\n12345");
    let lent = chunk.lend();
    let index = lent.index();
    assert_eq!(world.op(opcode::LINES, &[index, 0, 31, 0]), (OK, 0, 3));
    assert_eq!(
        world.op(opcode::LINES, &[index, 4, 10, 0]),
        (OK, 0, 0),
        "a part of it"
    );
    let (status, reason, _) = world.op(opcode::LINES, &[index, 4000, 97, 0]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    let (status, reason, _) = world.op(opcode::LINES, &[index, u32::MAX, u32::MAX, 0]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    // The check value of CRC-32C is that of "123456789"; this is that of "12345", computed by the definition.
    assert_eq!(
        world.op(opcode::CRC32C, &[index, 26, 5, 2]).2,
        naive_crc32c(b"12345")
    );
    let (status, _, lines) = world.op(opcode::SCAN, &[index, 0, 31, 3, stream::MODE_COUNT_LINES]);
    assert_eq!((status, lines), (OK, 2));

    world.publish(&Submission::new(opcode::HISTOGRAM, &[index, 0, 31, 1]));
    let done = world.reap();
    let area = done.token.index().get();
    let count = |byte: u8| world.kernel.records().word(area, usize::from(byte));
    assert_eq!((count(b'e'), count(b'\n'), count(b'z')), (7, 3, 0));
    world.kernel.submitter().release(done.token);
    assert!(lent.reclaim().is_ok());
}

fn naive_crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |mut crc, byte| {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82F6_3B78 & (crc & 1).wrapping_neg());
        }
        crc
    })
}

#[test]
fn packed_slots_run_their_ops_in_order_until_one_faults() {
    let mut world = world(Setup::default());
    // Two operations: STORE 40 at 2, then ADD 2 at 2. The header holds the number of operations, the number of words,
    // and then an opcode and an offset for each operation.
    let header = |bytes: [u8; 8]| {
        [
            u32::from_le_bytes(bytes[..4].try_into().unwrap()),
            u32::from_le_bytes(bytes[4..].try_into().unwrap()),
        ]
    };
    let [h0, h1] = header([2, 4, 1, 0, 2, 2, 0, 0]);
    assert_eq!(
        world.op(opcode::PACKED_SLOT, &[h0, h1, 40, 2, 2, 2]),
        (OK, 0, 42)
    );
    assert_eq!(world.kernel.observable(2), Some(42));
    // The second operation is out of range. The first has run, and the slot faults.
    let (status, reason, _) = world.op(opcode::PACKED_SLOT, &[h0, h1, 50, 2, 2, 64]);
    assert_eq!((status, reason), (slot::FAULT, fault::INDEX_OUT_OF_RANGE));
    assert_eq!(world.kernel.observable(2), Some(50));
    // Headers whose offsets or counts are wrong.
    for bytes in [
        [2, 4, 1, 9, 2, 2, 0, 0],
        [200, 4, 1, 0, 2, 2, 0, 0],
        [1, 255, 1, 0, 0, 0, 0, 0],
        [1, 0, 7, 0, 0, 0, 0, 0],
        [1, 0, 0x55, 0, 0, 0, 0, 0],
    ] {
        let [h0, h1] = header(bytes);
        let (status, reason, _) = world.op(opcode::PACKED_SLOT, &[h0, h1]);
        assert_eq!(
            (status, reason),
            (slot::FAULT, fault::BAD_PACKED_SLOT),
            "{bytes:?}"
        );
    }
}

/// Returns the number of bytes before, in and after the own bytes, and the first and the last of all these bytes.
struct Around;

impl StreamOpcode for Around {
    fn run(
        &self,
        bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert_eq!(&slot.around[slot.before..][..bytes.len()], bytes);
        let mut told = slot.before * 1000 + bytes.len() * 10;
        told += slot.around.len() - slot.before - bytes.len();
        for byte in [slot.around.first(), slot.around.last()]
            .into_iter()
            .flatten()
        {
            told = told * 1000 + usize::from(*byte);
        }
        u32::try_from(told).map_or(Err(fault::BAD_ARGUMENT), |told| Ok(Outcome::value(told)))
    }
}

#[test]
fn an_opcode_sees_what_the_slot_says_is_around_its_bytes() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Custom(8, Arc::new(Around)), StreamJob::Lines],
        ..Setup::default()
    });
    let mut chunk = world.chunks.pop().unwrap();
    for (byte, at) in chunk.as_mut_slice().iter_mut().zip(0_u8..=255) {
        *byte = at;
    }
    let lent = chunk.lend();
    let index = lent.index();
    let op = |world: &mut World, opcode, job, [before, start, len, after]: [u32; 4]| {
        world.op(opcode, &[index, start, len, job, 0, 0, 0, 0, after, before])
    };
    assert_eq!(op(&mut world, 8, 0, [2, 20, 3, 4]), (OK, 0, 2_034_018_026));
    assert_eq!(op(&mut world, 8, 0, [0, 20, 3, 4]), (OK, 0, 34_020_026));
    assert_eq!(op(&mut world, 8, 0, [0, 0, 1, 0]), (OK, 0, 10_000_000));
    assert_eq!(op(&mut world, 8, 0, [0, 4096, 0, 0]), (OK, 0, 0));
    // The chunk has 4,096 bytes. Even an opcode that does not look around must not be given bytes that do not exist.
    for outside in [
        [21, 20, 3, 0],
        [1, 0, 3, 0],
        [0, 20, 3, 4074],
        [0, 4096, 0, 1],
        [0, 0, 4097, 0],
        [u32::MAX; 4],
        [u32::MAX, 0, 0, 0],
        [0, 0, 0, u32::MAX],
    ] {
        for (opcode, job) in [(8, 0), (opcode::LINES, 1)] {
            let (status, reason, _) = op(&mut world, opcode, job, outside);
            let faulted = (slot::FAULT, fault::INDEX_OUT_OF_RANGE);
            assert_eq!((status, reason), faulted, "{outside:?}");
        }
    }
    assert_eq!(op(&mut world, opcode::LINES, 1, [5, 8, 5, 9]), (OK, 0, 1));
    assert!(lent.reclaim().is_ok(), "the chunk was let go of each time");
}

/// Panics when it is told to.
struct Fragile;

impl StreamOpcode for Fragile {
    fn run(
        &self,
        _bytes: &[u8],
        slot: &StreamSlot<'_>,
        _records: &mut RecordWriter<'_>,
    ) -> Result<Outcome, u32> {
        assert!(slot.mode != 13, "told to panic");
        Ok(Outcome::value(slot.mode))
    }
}

#[test]
fn a_panic_in_an_opcode_faults_its_slot_and_the_worker_lives_on() {
    let mut world = world(Setup {
        jobs: vec![StreamJob::Custom(8, Arc::new(Fragile))],
        ..Setup::default()
    });
    let lent = world.chunks.pop().unwrap().lend();
    let index = lent.index();
    for _ in 0..3 {
        let (status, reason, _) = world.op(8, &[index, 0, 1, 0, 13]);
        assert_eq!((status, reason), (slot::FAULT, fault::WORKER_PANICKED));
        assert_eq!(world.op(8, &[index, 0, 1, 0, 12]), (OK, 0, 12));
    }
    assert!(lent.reclaim().is_ok(), "the panic let go of the chunk");
}
