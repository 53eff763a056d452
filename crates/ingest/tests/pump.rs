//! `UringMegakernelPump` against the real kernel, into images and into a live ring.

mod common;

use common::{noise, pipe, Scratch};
use gristmill_ingest::{AsyncUringStream, GpuMappedBuffer, IoUringState, UringMegakernelPump};
use gristmill_protocol::{
    opcode, slot, stream, Megakernel, PipelineError, ARG0_WORD, OPCODE_WORD, SLOT_WORDS,
    STATUS_WORD, TENANT_WORD,
};
use gristmill_ring::{live_ring, Claimer, Outcome, RingConfig};
use gristmill_testing::Patience;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const CHUNK: u32 = 4096;
const CHUNKS: usize = 8;
const USER: u32 = 0x4000_0000;

/// Runs `check` with a pump over eight chunks; returns the memory afterwards, or `None` where io_uring is refused.
fn with_pump(check: impl FnOnce(UringMegakernelPump<'_>, &AtomicU32)) -> Option<Vec<u8>> {
    let state = match IoUringState::new(8) {
        Ok(state) => state,
        Err(error) => {
            gristmill_testing::skipped(format_args!("io_uring: {error}"));
            return None;
        }
    };
    let mut memory = vec![0xEE; CHUNK as usize * CHUNKS];
    let tail = AtomicU32::new(0);
    {
        // SAFETY: `memory` is not touched until the pump is dropped, in `check`.
        let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
        check(
            UringMegakernelPump::new(AsyncUringStream::new(state, buffer, &tail), CHUNK),
            &tail,
        );
    }
    Some(memory)
}

/// Submits a scan for tenant 3 with the given place and opcode; the caller keeps `file` open.
fn submit(
    pump: &mut UringMegakernelPump<'_>,
    file: &impl AsRawFd,
    offset: u64,
    chunk: u32,
    slot: u32,
    opcode: u32,
    args: [u32; 3],
) -> Result<(), PipelineError> {
    let fd = file.as_raw_fd();
    // SAFETY: the tests keep their files open and leave the memory alone until the pump is dropped.
    unsafe { pump.submit_file_scan(fd, offset, CHUNK, chunk, slot, 3, opcode, args) }
}

/// Drains until `want` reads were published, or nothing moves any more.
fn drain(pump: &mut UringMegakernelPump<'_>, image: &mut [u8], want: u32) {
    let mut patience = Patience::new();
    let mut done = 0;
    while done < want {
        done += pump.drain_into_ring(image).unwrap();
        patience.check(format_args!("{done} of {want} were published"));
    }
    assert_eq!(done, want);
}

fn word(image: &[u8], slot: u32, word: usize) -> u32 {
    let at = (slot as usize * SLOT_WORDS + word) * 4;
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
}

fn set_status(image: &mut [u8], slot: u32, status: u32) {
    let at = (slot as usize * SLOT_WORDS + STATUS_WORD) * 4;
    image[at..at + 4].copy_from_slice(&status.to_le_bytes());
}

#[test]
fn a_landed_chunk_is_a_published_slot_with_what_was_asked_for() {
    let scratch = Scratch::new();
    let bytes = noise(3 * CHUNK as usize);
    let file = scratch.file("f", &bytes);
    let memory = with_pump(|mut pump, tail| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        for i in 0..3u32 {
            let offset = u64::from(i) * u64::from(CHUNK);
            submit(
                &mut pump,
                &file,
                offset,
                5 - i,
                2 * i,
                USER + i,
                [10 + i, 20 + i, 30 + i],
            )
            .unwrap();
        }
        assert_eq!(pump.inflight(), 3);
        drain(&mut pump, &mut image, 3);
        assert_eq!((pump.inflight(), tail.load(Ordering::Acquire)), (0, 3));
        for i in 0..3 {
            assert_eq!(word(&image, 2 * i, STATUS_WORD), slot::PUBLISHED);
            assert_eq!(word(&image, 2 * i, OPCODE_WORD), USER + i);
            assert_eq!(word(&image, 2 * i, TENANT_WORD), 3);
            let args: Vec<u32> = (0..12)
                .map(|a| word(&image, 2 * i, ARG0_WORD + a))
                .collect();
            assert_eq!(
                args,
                [10 + i, 20 + i, 30 + i, CHUNK, 0, 0, 0, 0, 0, 0, 0, 0]
            );
            assert_eq!(word(&image, 2 * i + 1, STATUS_WORD), slot::EMPTY);
        }
        assert_eq!(
            pump.into_stream().stats().bytes_registered,
            3 * u64::from(CHUNK)
        );
    });
    if let Some(memory) = memory {
        for i in 0..3 {
            let (at, from) = ((5 - i) * CHUNK as usize, i * CHUNK as usize);
            assert!(memory[at..at + CHUNK as usize] == bytes[from..from + CHUNK as usize]);
        }
    }
}

#[test]
fn completions_out_of_order_publish_their_own_slots() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize));
    with_pump(|mut pump, tail| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        let (reading, mut writer) = pipe(0);
        submit(&mut pump, &reading, u64::MAX, 0, 0, USER, [100, 0, 0]).unwrap();
        submit(&mut pump, &file, 0, 1, 1, USER + 1, [101, 0, 0]).unwrap();
        drain(&mut pump, &mut image, 1);
        assert_eq!(word(&image, 0, STATUS_WORD), slot::EMPTY);
        assert_eq!(word(&image, 1, STATUS_WORD), slot::PUBLISHED);
        assert_eq!(word(&image, 1, ARG0_WORD), 101);
        assert_eq!(tail.load(Ordering::Acquire), 1);
        writer.write_all(&noise(CHUNK as usize)).unwrap();
        drain(&mut pump, &mut image, 1);
        assert_eq!(word(&image, 0, STATUS_WORD), slot::PUBLISHED);
        assert_eq!(
            (word(&image, 0, OPCODE_WORD), word(&image, 0, ARG0_WORD)),
            (USER, 100)
        );
    });
}

#[test]
fn a_short_read_is_continued_before_its_slot_is_published() {
    let bytes = noise(CHUNK as usize);
    let memory = with_pump(|mut pump, tail| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        let (reading, mut writer) = pipe(0);
        // The offset is ignored, because a pipe has none.
        submit(&mut pump, &reading, 4096, 0, 0, USER, [0; 3]).unwrap();
        for piece in bytes.chunks(1000) {
            assert_eq!(tail.load(Ordering::Acquire), 0);
            writer.write_all(piece).unwrap();
            std::thread::sleep(Duration::from_millis(2));
            if piece.len() == 1000 {
                assert_eq!(pump.drain_into_ring(&mut image).unwrap(), 0);
            }
        }
        drain(&mut pump, &mut image, 1);
        assert_eq!(word(&image, 0, ARG0_WORD + 3), CHUNK);
        assert!(pump.into_stream().stats().short_reads >= 4);
    });
    assert!(memory.is_none_or(|memory| memory.starts_with(&bytes)));
}

#[test]
fn at_the_end_of_a_file_the_slot_says_how_much_landed() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize + 100));
    let offset = u64::from(CHUNK);
    with_pump(|mut pump, _| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        submit(&mut pump, &file, offset, 0, 0, USER, [7, 8, 9]).unwrap();
        submit(&mut pump, &file, offset, 1, 1, opcode::SCAN, [1, 10, 4000]).unwrap();
        submit(&mut pump, &file, offset, 2, 2, opcode::SCAN, [2, 0, 60]).unwrap();
        submit(&mut pump, &file, offset + 500, 3, 3, USER, [0; 3]).unwrap();
        drain(&mut pump, &mut image, 4);
        let arg = |slot, arg| word(&image, slot, ARG0_WORD + arg);
        assert_eq!([arg(0, 0), arg(0, 1), arg(0, 2), arg(0, 3)], [7, 8, 9, 100]);
        assert_eq!(
            (arg(1, stream::ARG_CHUNK), arg(1, stream::ARG_START)),
            (1, 10)
        );
        assert_eq!(arg(1, stream::ARG_LEN), 90);
        assert_eq!(
            (arg(1, stream::ARG_OFFSET_LO), arg(1, stream::ARG_OFFSET_HI)),
            (CHUNK + 10, 0)
        );
        assert_eq!(arg(2, stream::ARG_LEN), 60);
        assert_eq!(arg(3, 3), 0);
    });
}

#[test]
fn a_refused_publication_is_kept_does_not_raise_the_tail_and_holds_up_nobody() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize));
    with_pump(|mut pump, tail| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        set_status(&mut image, 0, slot::CLAIMED);
        submit(&mut pump, &file, 0, 0, 0, USER, [1; 3]).unwrap();
        submit(&mut pump, &file, 0, 1, 1, USER, [2; 3]).unwrap();
        let mut patience = Patience::new();
        while pump.inflight() > 1 {
            if let Err(error) = pump.drain_into_ring(&mut image) {
                assert!(matches!(error, PipelineError::QueueFull { .. }), "{error}");
            }
            patience.check(());
        }
        assert!(pump.drain_into_ring(&mut image).is_err());
        assert_eq!(word(&image, 1, STATUS_WORD), slot::PUBLISHED);
        assert_eq!(word(&image, 0, STATUS_WORD), slot::CLAIMED);
        assert_eq!((tail.load(Ordering::Acquire), pump.inflight()), (1, 1));
        assert!(submit(&mut pump, &file, 0, 5, 0, USER, [0; 3]).is_err());
        // This holds even if the pump is replaced by another one over the same stream.
        let mut pump = UringMegakernelPump::new(pump.into_stream(), CHUNK);
        set_status(&mut image, 0, slot::DONE);
        drain(&mut pump, &mut image, 1);
        assert_eq!(word(&image, 0, STATUS_WORD), slot::PUBLISHED);
        assert_eq!(word(&image, 0, ARG0_WORD), 1);
        assert_eq!((tail.load(Ordering::Acquire), pump.inflight()), (2, 0));
    });
}

#[test]
fn a_failed_read_is_named_and_the_rest_are_drained() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize));
    let directory = std::fs::File::open(&scratch.0).unwrap();
    with_pump(|mut pump, tail| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        submit(&mut pump, &directory, 77, 4, 6, USER, [0; 3]).unwrap();
        submit(&mut pump, &file, 0, 5, 7, USER, [0; 3]).unwrap();
        let mut errors = Vec::new();
        let mut patience = Patience::new();
        while pump.inflight() > 0 {
            errors.extend(pump.drain_into_ring(&mut image).err());
            patience.check(());
        }
        assert_eq!(errors.len(), 1);
        let text = errors[0].to_string();
        let path = scratch.0.display().to_string();
        for part in [path.as_str(), "77", "chunk 4", "slot 6", "os error 21"] {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
        assert_eq!(word(&image, 6, STATUS_WORD), slot::EMPTY);
        assert_eq!(word(&image, 7, STATUS_WORD), slot::PUBLISHED);
        assert_eq!(tail.load(Ordering::Acquire), 1);
        // Its chunk and slot are free again.
        submit(&mut pump, &file, 0, 4, 6, USER, [0; 3]).unwrap();
    });
}

#[test]
fn a_chunk_or_slot_in_flight_is_refused() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize));
    with_pump(|mut pump, _| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        let full = |result: Result<(), PipelineError>| {
            assert!(
                matches!(result, Err(PipelineError::QueueFull { .. })),
                "{result:?}"
            );
        };
        submit(&mut pump, &file, 0, 1, 1, USER, [0; 3]).unwrap();
        full(submit(&mut pump, &file, 0, 1, 2, USER, [0; 3]));
        full(submit(&mut pump, &file, 0, 2, 1, USER, [0; 3]));
        full(submit(&mut pump, &file, 0, CHUNKS as u32, 2, USER, [0; 3]));
        full(submit(&mut pump, &file, 0, u32::MAX, 2, USER, [0; 3]));
        // SAFETY: as in `submit`.
        full(unsafe {
            pump.submit_file_scan(file.as_raw_fd(), 0, CHUNK - 1, 2, 2, 0, USER, [0; 3])
        });
        assert_eq!(pump.inflight(), 1);
        drain(&mut pump, &mut image, 1);
        submit(&mut pump, &file, 0, 1, 2, USER, [0; 3]).unwrap();
    });
}

#[test]
fn dropping_a_pump_with_reads_in_flight_is_prompt() {
    let (reading, _writer) = pipe(0);
    with_pump(|mut pump, _| {
        let mut image = Megakernel::try_encode_empty_ring(8).unwrap();
        submit(&mut pump, &reading, u64::MAX, 0, 0, USER, [0; 3]).unwrap();
        assert_eq!(pump.drain_into_ring(&mut image).unwrap(), 0);
        // If this waited for the pipe, it would never return.
        drop(pump);
    });
}

#[test]
fn the_epoch_is_that_of_the_control_words() {
    with_pump(|pump, _| {
        let mut control = Megakernel::try_encode_control(false, 1, 0).unwrap();
        assert_eq!(pump.observe_epoch(&control), 0);
        let at = gristmill_protocol::control::EPOCH * 4;
        control[at..at + 4].copy_from_slice(&5u32.to_le_bytes());
        assert_eq!(pump.observe_epoch(&control), 5);
    });
}

#[test]
fn into_a_live_ring_each_scan_takes_a_free_slot_and_waits_for_one_where_there_is_none() {
    let scratch = Scratch::new();
    let file = scratch.file("f", &noise(CHUNK as usize + 100));
    with_pump(|mut pump, tail| {
        let (submitter, mut completions, device) = live_ring(RingConfig {
            slots: 2,
            tenants: 4,
            observables: 0,
            debug_records: 0,
            io_slots: 0,
            ..RingConfig::default()
        })
        .unwrap();
        let offset = u64::from(CHUNK);
        for i in 0..3 {
            let from = if i == 0 { offset } else { 0 };
            submit(&mut pump, &file, from, i, 10 + i, USER + i, [i, 0, 0]).unwrap();
        }
        let mut published = Vec::new();
        let mut patience = Patience::new();
        while pump.inflight() > 1 {
            let _ = pump.drain_into_live_ring(&submitter, &mut published);
            patience.check(());
        }
        let refused = pump.drain_into_live_ring(&submitter, &mut published);
        assert!(
            matches!(refused, Err(PipelineError::QueueFull { .. })),
            "{refused:?}"
        );
        assert_eq!((published.len(), tail.load(Ordering::Acquire)), (2, 2));
        let mut claimer = Claimer::default();
        let run_one = |claimer: &mut Claimer| {
            let claimed = device.claim(claimer).unwrap();
            let seen = (
                claimed.opcode(),
                claimed.tenant(),
                claimed.args()[0],
                claimed.args()[3],
            );
            claimed.complete(&Outcome::default());
            seen
        };
        let mut seen = vec![run_one(&mut claimer)];
        submitter.release(completions.next().unwrap().token);
        assert_eq!(
            pump.drain_into_live_ring(&submitter, &mut published)
                .unwrap(),
            1
        );
        seen.extend([run_one(&mut claimer), run_one(&mut claimer)]);
        seen.sort_unstable();
        assert_eq!(
            seen,
            [
                (USER, 3, 0, 100),
                (USER + 1, 3, 1, CHUNK),
                (USER + 2, 3, 2, CHUNK)
            ]
        );
        let mut scans: Vec<_> = published
            .iter()
            .map(|p| (p.chunk_idx, p.slot_idx, p.bytes))
            .collect();
        scans.sort_unstable();
        assert_eq!(scans, [(0, 10, 100), (1, 11, CHUNK), (2, 12, CHUNK)]);
        assert_eq!((pump.inflight(), tail.load(Ordering::Acquire)), (0, 3));
    });
}
