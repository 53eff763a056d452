//! The ABI's numbers do not change: this test repeats each of them.

use gristmill_protocol::priority::Priority;
use gristmill_protocol::{
    chunk, completion, control, debug, fault, io, opcode, priority, slot, stream,
};
use gristmill_protocol::{
    ARG0_WORD, ARGS_PER_SLOT, CONTROL_MIN_WORDS, OPCODE_WORD, PRIORITY_WORD, SLOT_WORDS,
    STATUS_WORD, TENANT_WORD,
};

#[test]
fn a_slot_is_sixteen_words_in_this_order() {
    assert_eq!(
        [
            STATUS_WORD,
            OPCODE_WORD,
            TENANT_WORD,
            PRIORITY_WORD,
            ARG0_WORD
        ],
        [0, 1, 2, 3, 4]
    );
    assert_eq!((ARGS_PER_SLOT, SLOT_WORDS, slot::SLOT_BYTES), (12, 16, 64));
    let statuses = [
        slot::EMPTY,
        slot::PUBLISHED,
        slot::CLAIMED,
        slot::DONE,
        slot::WAIT_IO,
        slot::YIELD,
        slot::REQUEUE,
        slot::FAULT,
    ];
    assert_eq!(statuses, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        statuses.map(slot::is_publishable),
        [true, false, false, true, false, false, false, false]
    );
    assert_eq!(slot::status_name(4), "WAIT_IO");
    assert_eq!(slot::status_name(8), "unknown");
}

#[test]
fn control_words_stand_where_the_protocol_says() {
    assert_eq!(
        [control::SHUTDOWN, control::DONE_COUNT, control::TENANT_BASE],
        [0, 1, 2]
    );
    assert_eq!((control::TENANT_MASKS, control::TENANT_MASK_WORDS), (3, 29));
    assert_eq!(
        (control::TENANT_QUOTAS, control::TENANT_QUOTA_WORDS),
        (32, 32)
    );
    assert_eq!(
        (control::TENANT_FAIRNESS, control::TENANT_FAIRNESS_WORDS),
        (64, 32)
    );
    assert_eq!((control::METRICS, control::METRIC_WORDS), (96, 32));
    assert_eq!((control::EPOCH, control::PRIORITY_OFFSETS), (128, 129));
    assert_eq!(
        control::PRIORITY_OFFSETS + control::PRIORITY_OFFSET_WORDS,
        control::PRIORITY_STARVATION
    );
    assert_eq!(
        (control::PRIORITY_STARVATION, control::PRIORITY_FAIRNESS),
        (135, 136)
    );
    assert_eq!(
        control::PRIORITY_FAIRNESS + control::PRIORITY_FAIRNESS_WORDS,
        141
    );
    assert_eq!((control::OBSERVABLES, CONTROL_MIN_WORDS), (160, 160));
    assert_eq!(control::DEFAULT_QUOTA, 1_000_000);
}

#[test]
fn a_tenant_without_a_mask_word_has_no_word_at_all() {
    assert_eq!(
        (control::mask_word(0), control::mask_word(28)),
        (Some(3), Some(31))
    );
    assert_eq!(
        (control::quota_word(0), control::quota_word(28)),
        (Some(32), Some(60))
    );
    for tenant in [29, 31, 32, 1023, u32::MAX] {
        assert_eq!(
            (control::mask_word(tenant), control::quota_word(tenant)),
            (None, None)
        );
    }
    assert_eq!(
        [0, 31, 32, 95, 256, u32::MAX].map(control::fairness_word),
        [64, 95, 64, 95, 64, 95]
    );
    assert_eq!([0, 31].map(control::metric_word), [Some(96), Some(127)]);
    assert_eq!([32, 0x100, u32::MAX].map(control::metric_word), [None; 3]);
}

#[test]
fn opcodes_have_their_numbers() {
    let low = [
        opcode::NOP,
        opcode::STORE_U32,
        opcode::ATOMIC_ADD,
        opcode::LOAD_U32,
        opcode::COMPARE_SWAP,
        opcode::MEMCPY,
        opcode::DFA_STEP,
        opcode::BATCH_FENCE,
    ];
    assert_eq!(low, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        [
            opcode::SCAN,
            opcode::HISTOGRAM,
            opcode::LINES,
            opcode::CRC32C
        ],
        [0x100, 0x101, 0x102, 0x103]
    );
    assert_eq!((opcode::LOAD_MISS, opcode::PRINTF), (0xFFFD, 0xFFFE));
    assert_eq!(
        (opcode::PACKED_SLOT, opcode::SHUTDOWN),
        (0x8000_0001, 0xFFFF_FFFF)
    );
}

#[test]
fn ranges_of_opcodes_end_where_the_protocol_says() {
    let reserved = [
        0,
        7,
        0xFFF0,
        0xFFFD,
        0xFFFE,
        0xFFFF,
        0x8000_0000,
        0x8000_0001,
        0xBFFF_FFFF,
        u32::MAX,
    ];
    let user = [
        8,
        0xFF,
        0x100,
        0x1FF,
        0x200,
        0xFFEF,
        0x1_0000,
        0x3FFF_FFFF,
        0x4000_0000,
        0x7FFF_FFFF,
    ];
    for number in reserved {
        assert!(
            opcode::is_reserved(number) && !opcode::is_user(number),
            "{number:#x}"
        );
    }
    for number in user {
        assert!(
            opcode::is_user(number) && !opcode::is_reserved(number),
            "{number:#x}"
        );
    }
    assert_eq!(
        [0xFF, 0x100, 0x1FF, 0x200].map(opcode::is_stream),
        [false, true, true, false]
    );
    assert!(opcode::is_assigned(opcode::BLAKE3) && !opcode::is_assigned(0x105));
    assert!(!opcode::is_assigned(8) && !opcode::is_assigned(0x8000_0000));
}

#[test]
fn named_ranges_cover_every_number_once() {
    let ranges = [
        opcode::RESERVED_LOW,
        opcode::USER_LOW,
        opcode::RESERVED_SYSTEM,
        opcode::USER_HIGH,
    ];
    let mut next = 0;
    for (index, range) in ranges.iter().enumerate() {
        assert_eq!(*range.start(), next);
        for number in [*range.start(), *range.end()] {
            assert_eq!(opcode::is_reserved(number), index % 2 == 0, "{number:#x}");
        }
        next = range.end() + 1;
    }
    assert_eq!(next, opcode::RESERVED_BIT);
    assert_eq!(opcode::STREAM, 0x100..=0x1FF);
}

#[test]
fn tenants_windows_fill_their_range_without_overlap() {
    assert_eq!(opcode::tenant_window(0), Some(0x4000_0000..=0x400F_FFFF));
    assert_eq!(opcode::tenant_window(1023), Some(0x7FF0_0000..=0x7FFF_FFFF));
    assert_eq!(opcode::tenant_window(1024), None);
    assert_eq!(opcode::tenant_window(u32::MAX), None);
    let mut next = opcode::TENANT_BASE;
    for tenant in 0..=opcode::MAX_TENANT {
        let window = opcode::tenant_window(tenant).unwrap();
        assert_eq!(*window.start(), next);
        assert_eq!(opcode::tenant_of(*window.start()), Some(tenant));
        assert_eq!(opcode::tenant_of(*window.end()), Some(tenant));
        next = window.end() + 1;
    }
    assert_eq!(next, 0x8000_0000);
    assert_eq!(
        [0, 0x3FFF_FFFF, 0x8000_0000, u32::MAX].map(opcode::tenant_of),
        [None; 4]
    );
    assert!(opcode::is_open_to(0x4010_0000, 1) && !opcode::is_open_to(0x4010_0000, 0));
    assert!(opcode::is_open_to(opcode::NOP, 5) && opcode::is_open_to(0x2000_0000, 5));
}

#[test]
fn opcodes_have_names() {
    assert_eq!(opcode::name(opcode::SCAN), "SCAN");
    let others = [8, 0x4000_0000, 0xFFF0, 0x8000_0000].map(opcode::name);
    assert_eq!(others, ["user", "tenant", "reserved", "reserved"]);
}

#[test]
fn completion_entries_faults_and_stream_arguments_have_their_words() {
    assert_eq!(
        [
            completion::SEQ,
            completion::SLOT,
            completion::STATUS,
            completion::FAULT
        ],
        [0, 1, 2, 3]
    );
    assert_eq!(
        [
            completion::RESULT0,
            completion::RECORDS,
            completion::FLAGS,
            completion::SPARE
        ],
        [4, 12, 13, 14]
    );
    assert_eq!(
        (
            completion::WORDS,
            completion::BYTES,
            completion::FLAG_OVERFLOW
        ),
        (16, 64, 1)
    );
    let reasons = [
        fault::NONE,
        fault::UNKNOWN_OPCODE,
        fault::TENANT_MASKED,
        fault::QUOTA,
        fault::INDEX_OUT_OF_RANGE,
        fault::BAD_PACKED_SLOT,
        fault::BAD_ARGUMENT,
        fault::CHUNK_NOT_LENT,
        fault::WORKER_PANICKED,
        fault::BAD_TENANT,
        fault::NO_SUCH_JOB,
        fault::NO_SUCH_PROGRAM,
        fault::FOREIGN_OPCODE,
        fault::SCRATCH_INDEX,
        fault::ACC_INDEX,
        fault::AREA_TOO_SMALL,
        fault::OVER_BUDGET,
        fault::NO_IO_QUEUE,
        fault::IO_FAILED,
        fault::CANCELLED,
    ];
    assert_eq!(
        reasons,
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]
    );
    let mut names = reasons.map(fault::name).to_vec();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), reasons.len());
    assert_eq!(fault::name(20), "an unknown reason");
    let args = [
        stream::ARG_CHUNK,
        stream::ARG_START,
        stream::ARG_LEN,
        stream::ARG_JOB,
        stream::ARG_MODE,
        stream::ARG_OFFSET_LO,
        stream::ARG_OFFSET_HI,
        stream::ARG_RESUME,
    ];
    assert_eq!(args, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(
        [
            stream::MODE_ANY,
            stream::MODE_COUNT_LINES,
            stream::MODE_LINES,
            stream::MODE_ALL
        ],
        [0, 1, 2, 3]
    );
    assert_eq!(
        (stream::WANT_NEWLINES, stream::WANT_NUL, stream::NONE),
        (0x100, 0x200, u32::MAX)
    );
    assert_eq!(
        (stream::HISTOGRAM_WORDS, stream::HISTOGRAM_RECORDS),
        (256, 128)
    );
}

#[test]
fn the_io_queue_and_the_debug_log_have_their_words() {
    use io::io_word::{
        BYTE_COUNT, DST_HANDLE, OFFSET_HI, OFFSET_LO, OP_TYPE, SRC_HANDLE, STATUS, TAG,
    };
    let words = [
        OP_TYPE, SRC_HANDLE, DST_HANDLE, OFFSET_LO, OFFSET_HI, BYTE_COUNT, STATUS, TAG,
    ];
    assert_eq!(words, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!((io::IO_SLOT_WORDS, io::IO_SLOT_COUNT), (8, 64));
    assert_eq!(
        [io::io_op::READ, io::io_op::WRITE, io::io_op::FENCE],
        [1, 2, 3]
    );
    assert_eq!([io::io_status::OK, io::io_status::ERROR], [0x10, 0x11]);
    assert_eq!(
        (
            debug::CURSOR,
            debug::RECORDS,
            debug::RECORD_WORDS,
            debug::DEFAULT_RECORDS
        ),
        (0, 1, 4, 64)
    );
}

#[test]
fn priorities_have_their_numbers_and_normal_is_the_default() {
    assert_eq!(Priority::ALL.map(Priority::word), [0, 1, 2, 3, 4]);
    assert_eq!(Priority::ALL.map(Priority::index), [0, 1, 2, 3, 4]);
    assert_eq!(
        Priority::ALL.map(|priority| Priority::from_word(priority.into())),
        Priority::ALL.map(Some)
    );
    assert_eq!(Priority::from_word(5), None);
    assert_eq!(Priority::default(), Priority::Normal);
    assert_eq!(priority::AGEING_CLAIMS, 16);
}

#[test]
fn the_words_between_host_and_device_beside_the_slots_have_their_numbers() {
    use gristmill_protocol::{packed, program, ready, tails};
    assert_eq!(
        [tails::MIRROR, tails::ENDED, tails::CANCELLED, tails::LEN],
        [5, 6, 7, 8]
    );
    assert_eq!((ready::GENERATION_SHIFT, ready::MAX_SLOTS), (16, 32_768));
    assert_eq!([chunk::HOST, chunk::LENT, chunk::BORROWED], [0, 1, 2]);
    assert_eq!(
        (packed::MAX_OPS, packed::HEADER_BYTES, packed::OP_BYTES),
        (23, 2, 2)
    );
    assert_eq!((program::ACC_WORDS, program::RECORD_WORDS), (2, 2));
    let fence = [
        opcode::FENCE_ARG_COUNT,
        opcode::FENCE_ARG_TAG,
        opcode::FENCE_ARG_SLOTS,
        opcode::FENCE_ARG_GENERATION,
    ];
    assert_eq!(fence, [0, 1, 2, 3]);
    let load = [
        opcode::LOAD_ARG_RESOURCE,
        opcode::LOAD_ARG_PREFETCH,
        opcode::LOAD_ARG_DESTINATION,
        opcode::LOAD_ARG_OFFSET_LO,
        opcode::LOAD_ARG_OFFSET_HI,
        opcode::LOAD_ARG_BYTES,
    ];
    assert_eq!(load, [0, 1, 2, 3, 4, 5]);
    let taken: Vec<_> = opcode::CORE.iter().map(|(.., args)| *args).collect();
    assert_eq!(taken, [0, 2, 2, 2, 3, 3, 3, 3, 0]);
    assert_eq!(opcode::core_args(opcode::BATCH_FENCE), None);
}
