//! Ring logs: nothing is lost, and every damage is noticed.

// The promise of the reader, as a function of bytes, is kept with the fuzz targets.
#[path = "../../../fuzz/src/log.rs"]
mod fuzzed;

use fastrand::Rng;
use fuzzed::{records, with_checksums};
use gristmill_megakernel::log::{
    Difference, Digest, LoggedBytes, LoggedKernel, LoggedResult, LoggedSlot, RingLog, RingLogReader,
};
use gristmill_megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill_megakernel::vir0::{verify, Limits, Verified};
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob, StreamOpcode, StreamSlot};
use gristmill_patterns::{Boundary, Case, LineSettings};
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::slot::{self, SlotImage};
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{completion, opcode, PipelineError};
use gristmill_ring::{Outcome, RecordWriter};
use std::borrow::Cow;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

/// The number of records before the first slot: the kernel, six jobs and a program.
const HEAD_RECORDS: usize = 8;

const PROGRAM: u32 = opcode::TENANT_BASE;

fn program() -> Verified {
    let text = "
        .before 8
        .after 3
        .acc sum sum
        .acc most max
        .records 16
        each r1, 1
          ld8 r2, r1
          acc sum, r2
        end
    ";
    let options = AsmOptions {
        name: "test",
        files: &|_| Err(io::ErrorKind::NotFound.into()),
        debug: true,
    };
    let program = assemble(text, &options).unwrap();
    verify(program, &Limits::default()).unwrap()
}

fn kernel() -> LoggedKernel {
    let patterns: [&[u8]; 3] = [b"needle", b"\n\0\xFF", b"a"];
    let set = ScanSet::build(&patterns, true, ScanMode::All).unwrap();
    let settings = LineSettings {
        case: Case::Smart,
        boundary: Some(Boundary::Word),
        crlf: true,
        dfa_size_limit: 1 << 20,
        ..LineSettings::default()
    };
    let regexes = vec![b"a|b+".to_vec(), br"\d".to_vec()];
    LoggedKernel {
        backend: "cpu".into(),
        record_words: 300,
        chunk_bytes: 4096,
        jobs: vec![
            StreamJob::Scan(Arc::new(set)),
            StreamJob::Histogram,
            StreamJob::Lines,
            StreamJob::Crc32c,
            StreamJob::Scan(Arc::new(
                ScanSet::regex(regexes, &settings).unwrap().until_nul(true),
            )),
            StreamJob::Blake3,
        ],
        programs: vec![(PROGRAM, program())],
    }
}

/// A slot that a kernel could have run.
fn slot(numbers: &mut Rng, kernel: &LoggedKernel) -> LoggedSlot<'static> {
    let start = numbers.u32(..100);
    let opcode = match numbers.u32(..5) {
        0 => PROGRAM,
        job => kernel.jobs[job as usize - 1].opcode(),
    };
    let stream = StreamArgs {
        chunk: numbers.u32(..9),
        start,
        len: numbers.u32(..200),
        offset: numbers.u64(..),
        after: numbers.u32(..4),
        before: numbers.u32(..start + 1),
        ..StreamArgs::default()
    };
    let args = ProgramArgs {
        chunk: stream.chunk,
        start,
        len: stream.len,
        offset: stream.offset,
        after: stream.after,
        args: [1, 2, 3, 4, 5, 6, 7],
    };
    let words = SlotImage {
        status: slot::PUBLISHED,
        opcode,
        tenant: 0,
        priority: numbers.u32(..5),
        args: if opcode == PROGRAM {
            args.encode().unwrap()
        } else {
            stream.encode()
        },
    };
    let visible = kernel.visible(&words).unwrap();
    let bytes = std::iter::repeat_with(|| numbers.u8(..))
        .take(visible.len())
        .collect::<Vec<u8>>();
    let failed = numbers.u32(..4) == 0;
    let (status, records) = if failed {
        (slot::FAULT, 0)
    } else {
        (slot::DONE, numbers.u32(..20))
    };
    let flags = numbers.u32(..2) * completion::FLAG_OVERFLOW;
    let area = kernel.area_words(opcode, status, flags, records);
    LoggedSlot {
        words,
        index: numbers.u32(..64),
        digest: Digest::of(&bytes),
        bytes: if numbers.u32(..2) == 0 {
            LoggedBytes::Kept(Cow::Owned(bytes))
        } else {
            LoggedBytes::File {
                path: Cow::Owned(PathBuf::from("/some/file \n")),
                offset: numbers.u64(..),
                size: numbers.u64(..),
            }
        },
        result: LoggedResult {
            status,
            fault: u32::from(failed),
            results: std::array::from_fn(|_| numbers.u64(..) as u32),
            records,
            flags,
            area: (0..area).map(|_| numbers.u64(..) as u32).collect(),
        },
    }
}

fn written(slots: &[LoggedSlot<'_>]) -> Vec<u8> {
    let mut log = RingLog::new(Vec::new(), kernel()).unwrap();
    for slot in slots {
        log.slot(slot).unwrap();
    }
    log.finish().unwrap()
}

/// Everything that can be read of a log, and the error that ended the reading, if there was one.
fn read(bytes: &[u8]) -> (Vec<LoggedSlot<'static>>, Option<PipelineError>) {
    let mut reader = match RingLogReader::new(bytes) {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut slots = Vec::new();
    loop {
        match reader.next_slot() {
            Ok(Some(slot)) => slots.push(slot),
            Ok(None) => return (slots, None),
            Err(error) => {
                assert!(
                    matches!(reader.next_slot(), Ok(None)),
                    "an error is the end"
                );
                return (slots, Some(error));
            }
        }
    }
}

fn numbers() -> Rng {
    Rng::with_seed(gristmill_testing::seed("LOG_SEED"))
}

fn some_slots(numbers: &mut Rng, count: usize) -> Vec<LoggedSlot<'static>> {
    let kernel = kernel();
    (0..count).map(|_| slot(numbers, &kernel)).collect()
}

#[test]
fn nothing_is_lost() {
    let slots = some_slots(&mut numbers(), 200);
    let bytes = written(&slots);
    let (again, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(again, slots);
    let reader = RingLogReader::new(bytes.as_slice()).unwrap();
    let (about, kernel) = (reader.about(), kernel());
    assert_eq!(about.backend, kernel.backend);
    assert_eq!(about.record_words, kernel.record_words);
    assert_eq!(about.chunk_bytes, kernel.chunk_bytes);
    let opcodes =
        |kernel: &LoggedKernel| -> Vec<u32> { kernel.jobs.iter().map(StreamJob::opcode).collect() };
    assert_eq!(opcodes(about), opcodes(&kernel));
    let (StreamJob::Scan(set), StreamJob::Scan(expected)) = (&about.jobs[0], &kernel.jobs[0])
    else {
        panic!("the first job is SCAN");
    };
    assert_eq!(set.patterns(), expected.patterns());
    assert_eq!((set.mode(), set.case_insensitive()), (ScanMode::All, true));
    let (StreamJob::Scan(set), StreamJob::Scan(expected)) = (&about.jobs[4], &kernel.jobs[4])
    else {
        panic!("the fifth job is SCAN");
    };
    assert_eq!(set.patterns(), expected.patterns());
    assert!(set.line_settings().is_some() && set.is_until_nul());
    assert_eq!(set.line_settings(), expected.line_settings());
    assert_eq!(about.programs[0].0, PROGRAM);
    assert_eq!(about.programs[0].1.program(), program().program());
    fuzzed::log(&bytes);
}

#[test]
fn a_log_can_be_cut_at_any_byte() {
    let slots = some_slots(&mut numbers(), 12);
    let bytes = written(&slots);
    let bounds = records(&bytes);
    assert_eq!(*bounds.last().unwrap(), bytes.len());
    for cut in 0..bytes.len() {
        let (there, error) = read(&bytes[..cut]);
        let whole = bounds.iter().filter(|bound| **bound <= cut).count();
        let whole = whole.saturating_sub(HEAD_RECORDS + 1);
        assert_eq!(there, slots[..whole], "cut at {cut}");
        let Some(PipelineError::Decode { offset, .. }) = error else {
            panic!("cut at {cut}: {error:?}");
        };
        let last = bounds.iter().rfind(|bound| **bound <= cut).unwrap_or(&0);
        assert_eq!(offset, *last, "cut at {cut}");
    }
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    let slots = some_slots(&mut numbers(), 4);
    let bytes = written(&slots);
    let bounds = records(&bytes);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            let (there, error) = read(&changed);
            assert!(error.is_some(), "bit {bit} of byte {at}");
            let whole = bounds.iter().filter(|bound| **bound <= at).count();
            assert_eq!(
                there,
                slots[..whole.saturating_sub(HEAD_RECORDS + 1)],
                "bit {bit} of byte {at}"
            );
        }
    }
}

#[test]
fn records_that_are_taken_out_moved_or_added_are_noticed() {
    let slots = some_slots(&mut numbers(), 4);
    let bytes = written(&slots);
    let bounds = records(&bytes);
    let record = |index: usize| &bytes[bounds[index]..bounds[index + 1]];
    let count = bounds.len() - 1;
    let all: Vec<usize> = (0..count).collect();
    let log = |order: &[usize]| -> Vec<u8> {
        let records: Vec<&[u8]> = order.iter().map(|index| record(*index)).collect();
        [&bytes[..bounds[0]], &records.concat()].concat()
    };
    assert_eq!(log(&all), bytes);
    for index in 0..count {
        let mut less = all.clone();
        less.remove(index);
        assert!(read(&log(&less)).1.is_some(), "without record {index}");
        let mut twice = all.clone();
        twice.insert(index, index);
        assert!(read(&log(&twice)).1.is_some(), "record {index} twice");
        let mut swapped = all.clone();
        swapped.swap(index, (index + 1) % count);
        assert!(read(&log(&swapped)).1.is_some(), "record {index} later");
    }
    // This log has correct checksums too; only the count at its end is too large by one.
    let mut less = all.clone();
    less.remove(HEAD_RECORDS + 1);
    let (there, error) = read(&with_checksums(&log(&less)));
    assert_eq!(there.len(), 3);
    assert!(error.is_some());
    let mut more = bytes.clone();
    more.push(0);
    let (there, error) = read(&more);
    assert_eq!(there, slots);
    assert!(error.is_some());
}

#[test]
fn changed_logs_with_right_checksums_are_refused_or_have_one_encoding() {
    let mut numbers = numbers();
    let slots = some_slots(&mut numbers, 3);
    let bytes = written(&slots);
    assert_eq!(with_checksums(&bytes), bytes);
    for _ in 0..4_000 {
        let mut changed = bytes.clone();
        for _ in 0..=numbers.u32(..3) {
            let at = numbers.u32(..changed.len() as u32) as usize;
            changed[at] = match numbers.u32(..3) {
                0 => 0,
                1 => 0xFF,
                _ => numbers.u64(..) as u8,
            };
        }
        fuzzed::log(&changed);
    }
}

#[test]
#[ignore = "writes the fuzzer's first inputs to fuzz/corpus"]
fn seeds() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/log");
    std::fs::create_dir_all(folder).unwrap();
    for seed in 0..50 {
        let bytes = written(&some_slots(&mut Rng::with_seed(seed), 3));
        std::fs::write(format!("{folder}/random_{seed}"), bytes).unwrap();
    }
}

#[test]
fn a_length_is_checked_before_it_is_believed() {
    let bytes = written(&[]);
    let bounds = records(&bytes);
    for bound in &bounds[..bounds.len() - 1] {
        let mut long = bytes.clone();
        long[bound + 4..bound + 8].copy_from_slice(&u32::MAX.to_le_bytes());
        let (_, error) = read(&long);
        let text = error.unwrap().to_string();
        assert!(text.contains("damaged"), "{text}");
    }
}

#[test]
fn host_code_cannot_be_recorded() {
    struct Nothing;
    impl StreamOpcode for Nothing {
        fn run(
            &self,
            _bytes: &[u8],
            _slot: &StreamSlot<'_>,
            _records: &mut RecordWriter<'_>,
        ) -> Result<Outcome, u32> {
            Ok(Outcome::default())
        }
    }
    let custom = StreamJob::Custom(9, Arc::new(Nothing));
    let kernel = LoggedKernel {
        jobs: vec![StreamJob::Lines, custom],
        ..kernel()
    };
    let error = RingLog::new(Vec::new(), kernel).map(drop).unwrap_err();
    assert!(error.to_string().contains("host code"), "{error}");
}

#[test]
fn slots_of_another_kernel_are_refused() {
    let mut numbers = numbers();
    let good = slot(&mut numbers, &kernel());
    let mut log = RingLog::new(Vec::new(), kernel()).unwrap();
    let mut refused = |change: &dyn Fn(&mut LoggedSlot<'static>)| {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(log.slot(&bad).is_err(), "{bad:?}");
    };
    refused(&|slot| slot.words.opcode = opcode::SHUTDOWN);
    refused(&|slot| slot.words.tenant = 1);
    refused(&|slot| slot.words.priority = 5);
    refused(&|slot| slot.words.status = slot::EMPTY);
    refused(&|slot| slot.words.args[1] = 5_000);
    refused(&|slot| slot.digest.len += 1);
    refused(&|slot| slot.result.status = slot::CLAIMED);
    refused(&|slot| slot.result.area.to_mut().push(0));
    let bytes = log.finish().unwrap();
    assert_eq!(read(&bytes).0, Vec::new());
}

#[test]
fn the_first_different_word_is_told() {
    let left = LoggedResult {
        status: slot::DONE,
        fault: 0,
        results: [9; 8],
        records: 2,
        flags: 0,
        area: Cow::Owned(vec![1, 2, 3, 4]),
    };
    let told = |change: &dyn Fn(&mut LoggedResult<'static>)| {
        let mut right = left.clone();
        change(&mut right);
        left.difference(&right)
    };
    let expected = |word, index, left, right| {
        Some(Difference {
            word,
            index,
            left,
            right,
        })
    };
    assert_eq!(told(&|_| ()), None);
    assert_eq!(told(&|right| right.status = 7), expected("status", 0, 3, 7));
    assert_eq!(told(&|right| right.fault = 8), expected("fault", 0, 0, 8));
    assert_eq!(
        told(&|right| right.records = 1),
        expected("records", 0, 2, 1)
    );
    assert_eq!(told(&|right| right.flags = 1), expected("flags", 0, 0, 1));
    for index in 0..8 {
        let change = |right: &mut LoggedResult<'static>| {
            right.results[index..].fill(1);
            right.area.to_mut().fill(0);
        };
        assert_eq!(told(&change), expected("result", index, 9, 1));
    }
    let change = |right: &mut LoggedResult<'static>| right.area.to_mut()[2] = 8;
    assert_eq!(told(&change), expected("area", 2, 3, 8));
}

/// Accepts this many bytes, and then no more.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.0);
        if taken == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_is_told() {
    let slots = some_slots(&mut numbers(), 3);
    for room in 0..written(&slots).len() {
        let log = RingLog::new(Full(room), kernel());
        let log = log.and_then(|mut log| {
            slots.iter().try_for_each(|slot| log.slot(slot))?;
            log.finish()
        });
        let error = log.map(drop).unwrap_err();
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
