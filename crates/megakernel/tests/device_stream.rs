//! Compares the stream opcodes of the device source, compiled for the host, with those of the CPU: every result and
//! every record.

use fastrand::Rng;
use gristmill_megakernel::backend::device::job;
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob, StreamSlot};
use gristmill_protocol::fault;
use gristmill_protocol::stream::{self, StreamArgs};
use gristmill_ring::{Outcome, RecordMemory};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

fn pick<T: Copy>(random: &mut Rng, choices: &[T]) -> T {
    choices[random.usize(..choices.len())]
}

fn bytes(random: &mut Rng, len: u32, alphabet: &[u8]) -> Vec<u8> {
    (0..len).map(|_| pick(random, alphabet)).collect()
}

/// Compiles the device source with its driver. Returns `None`, and reports it, where there is no compiler.
fn driver(lanes: u32, flags: &[&str]) -> Option<PathBuf> {
    let kernel = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/host/stream.cc");
    let name = format!("stream-{lanes}{}", flags.concat().replace([',', '='], "-"));
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let compiled = Command::new("c++")
        .args([
            "-std=c++17",
            "-pthread",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-parameter",
        ])
        .arg(format!("-DGM_LANES={lanes}"))
        .args(flags)
        .arg(kernel)
        .arg("-o")
        .arg(&binary)
        .output();
    match compiled {
        Err(error) => {
            gristmill_testing::skipped(format_args!("no C++ compiler: {error}"));
            None
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(
                output.status.success(),
                "the device source does not compile:\n{said}"
            );
            Some(binary)
        }
    }
}

static SANITIZER: OnceLock<bool> = OnceLock::new();

/// Whether programs can be built with the address sanitizer on this machine.
fn has_sanitizer() -> bool {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sanitizer");
    let mut compiler = match Command::new("c++")
        .args(["-fsanitize=address,undefined", "-x", "c++", "-", "-o"])
        .arg(&binary)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
    {
        Ok(compiler) => compiler,
        Err(_) => return false,
    };
    if let Some(mut source) = compiler.stdin.take() {
        let _checked_below = std::io::Write::write_all(&mut source, b"int main() { return 0; }\n");
    }
    compiler.wait().is_ok_and(|status| status.success())
        && Command::new(&binary)
            .status()
            .is_ok_and(|status| status.success())
}

/// Runs the driver over its input words.
fn drive(driver: &Path, input: &[u32]) -> Vec<u8> {
    let path = driver.with_extension("in");
    let bytes: Vec<u8> = input.iter().flat_map(|word| word.to_le_bytes()).collect();
    std::fs::write(&path, bytes).expect("the input can be written");
    let output = Command::new(driver)
        .stdin(std::fs::File::open(&path).expect("the input is there"))
        .stderr(Stdio::inherit())
        .output()
        .expect("the driver runs");
    let _cleaned = std::fs::remove_file(&path);
    assert!(
        output.status.success(),
        "the driver fails: {}",
        output.status
    );
    output.stdout
}

struct Case {
    job: StreamJob,
    what: String,
    args: StreamArgs,
    chunk: Vec<u8>,
    area_words: u32,
}

impl Case {
    fn input(&self, words: &mut Vec<u32>) {
        words.extend([2, len(&self.chunk), self.area_words]);
        words.extend(self.args.encode());
        words.extend(self.chunk.chunks(4).map(|bytes| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            u32::from_le_bytes(word)
        }));
    }

    /// The results of the CPU, in the form in which the driver writes them.
    fn expected(&self) -> Vec<u32> {
        let memory = RecordMemory::new(1, self.area_words).expect("memory for records");
        let mut records = memory.writer(0).expect("the one area");
        let args = &self.args;
        let [start, len, before, after] =
            [args.start, args.len, args.before, args.after].map(|word| word as usize);
        let outcome = if start + len + after > self.chunk.len() || before > start {
            Err(fault::INDEX_OUT_OF_RANGE)
        } else {
            let slot = StreamSlot {
                mode: args.mode,
                offset: args.offset,
                resume: args.resume,
                around: &self.chunk[start - before..start + len + after],
                before,
                cancel: Default::default(),
            };
            self.job
                .run(&self.chunk[start..start + len], &slot, &mut records)
        };
        let outcome = outcome.unwrap_or_else(Outcome::fault);
        let mut words = vec![outcome.fault];
        words.extend(outcome.results);
        words.extend([outcome.records, outcome.flags]);
        words.extend((0..outcome.records as usize * 2).map(|index| memory.word(0, index)));
        words
    }
}

fn len<T>(items: &[T]) -> u32 {
    u32::try_from(items.len()).expect("a small length")
}

fn some_job(random: &mut Rng) -> (StreamJob, String) {
    match random.u32(..10) {
        0 => (StreamJob::Histogram, "HISTOGRAM".into()),
        1 => (StreamJob::Lines, "LINES".into()),
        2 => (StreamJob::Crc32c, "CRC32C".into()),
        3 => (StreamJob::Blake3, "BLAKE3".into()),
        _ => {
            let alphabet: &[u8] = pick(
                random,
                &[&b"ab"[..], b"abAB\0", b"abAB\n", b"abcdefghk\xFF"],
            );
            let count = pick(random, &[1, 1, 2, 5, 60]);
            let longest = pick(random, &[1, 3, 5, 40]);
            let mode = pick(random, &[ScanMode::Lines, ScanMode::Lines, ScanMode::All]);
            let mut patterns: Vec<Vec<u8>> = (0..1 + random.u32(..count))
                .map(|_| {
                    let len = 1 + random.u32(..longest);
                    bytes(random, len, alphabet)
                })
                .collect();
            if mode == ScanMode::Lines && random.u32(..10) == 0 {
                patterns.push(Vec::new());
            }
            let fold = random.u32(..3) == 0;
            let set = ScanSet::build(&patterns, fold, mode).expect("a small set");
            (
                StreamJob::Scan(Arc::new(set)),
                format!("SCAN {mode:?}, fold {fold}, patterns {patterns:?}"),
            )
        }
    }
}

fn some_case(random: &mut Rng, job: &StreamJob, what: &str) -> Case {
    let capacity = pick(random, &[0, 1, 9, 40, 300, 300, 300, 12_000]);
    let capacity = random.u32(..capacity + 1);
    let alphabet: &[u8] = pick(
        random,
        &[
            &b"ab"[..],
            b"abA\n",
            b"ababab\0\n",
            b"\n",
            b"abcdefghijklmnop\n",
            b"\0\xFF\n",
        ],
    );
    let sparse = random.bool();
    // Mostly bytes that occur in no pattern, so that searches go far.
    let quiet = random.u32(..3) == 0;
    let mut burst = 0;
    let chunk = (0..capacity)
        .map(|_| {
            if quiet && random.u32(..500) == 0 {
                burst = 20;
            }
            if quiet && burst == 0 {
                return b'.';
            }
            burst -= u32::from(quiet);
            match pick(random, alphabet) {
                b'\n' if sparse && random.u32(..30) != 0 => b'a',
                byte => byte,
            }
        })
        .collect();
    let start = random.u32(..capacity.min(20) + 1);
    let own = match random.u32(..4) {
        0 => random.u32(..capacity - start + 1),
        _ => capacity - start,
    };
    let mut args = StreamArgs {
        start,
        len: own,
        mode: if random.u32(..20) == 0 {
            random.u32(..6)
        } else if what.contains("SCAN All") {
            stream::MODE_ALL
        } else {
            random.u32(..3)
        } | pick(random, &[0, stream::WANT_NEWLINES, stream::WANT_NUL, 0x300]),
        resume: if random.u32(..5) == 0 {
            let some = random.u32(..=own);
            pick(random, &[own, own + 1, own + 60, u32::MAX, some])
        } else {
            0
        },
        offset: pick(random, &[0, 0, 1024, 4096, 9 << 20, 1 << 41, 5]),
        ..StreamArgs::default()
    };
    args.before = random.u32(..start + 1);
    args.after = random.u32(..capacity - start - own + 1);
    if random.u32(..40) == 0 {
        match random.u32(..4) {
            0 => args.start = pick(random, &[capacity + 1, u32::MAX]),
            1 => args.len = pick(random, &[capacity - start + 1, u32::MAX]),
            2 => args.after = u32::MAX,
            _ => args.before = start + 1,
        }
    }
    Case {
        job: job.clone(),
        what: what.into(),
        args,
        chunk,
        area_words: 1 + pick(random, &[1, 3, 8, 40, 255, 4_000]),
    }
}

/// Compares random cases. Each is followed by the cases that its overflows require.
fn compare(driver: &Path, random: &mut Rng, jobs: u32) {
    let (mut input, mut cases, mut expected) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..jobs {
        let (job, what) = some_job(random);
        let image = job::image(&job).expect("an image");
        input.extend([1, len(&image)]);
        input.extend(image);
        for _ in 0..12 {
            let mut case = some_case(random, &job, &what);
            for _ in 0..4 {
                let words = case.expected();
                case.input(&mut input);
                let again = Case {
                    args: StreamArgs {
                        resume: words[1 + stream::RESULT_RESUME],
                        ..case.args
                    },
                    job: case.job.clone(),
                    what: case.what.clone(),
                    chunk: case.chunk.clone(),
                    area_words: case.area_words,
                };
                let overflows = words[10] != 0;
                cases.push(case);
                expected.push(words);
                if !overflows {
                    break;
                }
                case = again;
            }
        }
    }
    check(driver, &input, &cases, &expected);
}

/// Runs the cases in `input` and compares their answers with the expected ones.
fn check(driver: &Path, input: &[u32], cases: &[Case], expected: &[Vec<u32>]) {
    let output = drive(driver, input);
    let words: Vec<u32> = output
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| u32::from_le_bytes(*bytes))
        .collect();
    let mut rest = &words[..];
    for (case, expected) in cases.iter().zip(expected) {
        let there =
            rest.split_at_checked(11 + 2 * rest.get(9).map_or(0, |records| *records as usize));
        let (found, behind) = there.expect("an answer to every case");
        assert!(
            found == expected,
            "{}\n{:?}, area {} words, chunk {:?}\n device {found:?}\n    cpu {expected:?}",
            case.what,
            case.args,
            case.area_words,
            case.chunk.escape_ascii().to_string(),
        );
        rest = behind;
    }
    assert!(rest.is_empty(), "answers to no case");
    println!("{} cases", cases.len());
}

/// Compares the results. A sanitizer, where there is one, also reports reads outside the own bytes and writes outside
/// the areas.
fn agrees(lanes: u32, jobs: u32) {
    let mut flags = vec!["-O1"];
    if *SANITIZER.get_or_init(has_sanitizer) {
        flags.extend(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    }
    if let Some(driver) = driver(lanes, &flags) {
        compare(
            &driver,
            &mut Rng::with_seed(gristmill_testing::seed("SEED")),
            jobs,
        );
    }
}

#[test]
fn one_lane_leaves_what_the_cpu_leaves() {
    agrees(1, 2_000);
}

#[test]
fn four_lanes_leave_what_the_cpu_leaves() {
    agrees(4, 1_000);
}

#[test]
fn a_lone_match_is_found_wherever_it_lies() {
    let Some(driver) = driver(1, &["-O2"]) else {
        return;
    };
    let set = ScanSet::build(&["needle"], false, ScanMode::All).expect("a small set");
    let job = StreamJob::Scan(Arc::new(set));
    let image = job::image(&job).expect("an image");
    let mut input = vec![1, len(&image)];
    input.extend(image);
    let cases: Vec<Case> = (0..=2_994)
        .map(|at| {
            let mut chunk = vec![b'.'; 3_000];
            chunk[at..at + 6].copy_from_slice(b"needle");
            Case {
                job: job.clone(),
                what: format!("a needle at {at}"),
                args: StreamArgs {
                    len: 3_000,
                    mode: stream::MODE_ALL,
                    ..StreamArgs::default()
                },
                chunk,
                area_words: 8,
            }
        })
        .collect();
    cases.iter().for_each(|case| case.input(&mut input));
    let expected: Vec<Vec<u32>> = cases.iter().map(Case::expected).collect();
    check(&driver, &input, &cases, &expected);
}

/// Measures, in gigabytes per second, every opcode on one lane and in the CPU's implementation.
#[test]
#[ignore = "a measurement: run it in release mode"]
fn speed() {
    let Some(driver) = driver(1, &["-O3", "-march=native"]) else {
        return;
    };
    let mut random = Rng::with_seed(1);
    let words: Vec<Vec<u8>> = (0..500)
        .map(|_| {
            let len = 2 + random.u32(..9);
            bytes(&mut random, len, b"etaoinshrdlucmfwypvbgk")
        })
        .collect();
    let mut chunk = Vec::new();
    while chunk.len() < 1 << 20 {
        chunk.extend(&words[random.usize(..500)]);
        chunk.push(if random.u32(..12) == 0 { b'\n' } else { b' ' });
    }
    let absent = |count: u32, random: &mut Rng| {
        (0..count)
            .map(|_| [bytes(random, 8, b"etaoinshrdlu"), b"eh".to_vec()].concat())
            .collect::<Vec<_>>()
    };
    let scan = |patterns: &[Vec<u8>], fold, mode| {
        StreamJob::Scan(Arc::new(
            ScanSet::build(patterns, fold, mode).expect("a set"),
        ))
    };
    let (few, many) = (absent(10, &mut random), absent(1_000, &mut random));
    let lots = absent(100_000, &mut random);
    let lines = stream::MODE_LINES | stream::WANT_NEWLINES | stream::WANT_NUL;
    for (what, job, mode) in [
        ("LINES", StreamJob::Lines, 0),
        ("HISTOGRAM", StreamJob::Histogram, 0),
        ("CRC32C", StreamJob::Crc32c, 0),
        ("BLAKE3", StreamJob::Blake3, 0),
        (
            "SCAN 1 rare",
            scan(&[b"Sherlock Holmes".to_vec()], false, ScanMode::Lines),
            lines,
        ),
        (
            "SCAN 1 absent",
            scan(&few[..1], false, ScanMode::Lines),
            lines,
        ),
        ("SCAN 10 absent", scan(&few, false, ScanMode::Lines), lines),
        (
            "SCAN 10 absent, either case",
            scan(&few, true, ScanMode::Lines),
            lines,
        ),
        (
            "SCAN 1,000 absent",
            scan(&many, false, ScanMode::Lines),
            lines,
        ),
        (
            "SCAN 100,000 absent",
            scan(&lots, false, ScanMode::Lines),
            lines,
        ),
        (
            "SCAN 1 in most lines",
            scan(&words[..1], false, ScanMode::Lines),
            lines,
        ),
        (
            "SCAN 20 words, all",
            scan(&words[..20], false, ScanMode::All),
            stream::MODE_ALL,
        ),
    ] {
        let case = Case {
            job: job.clone(),
            what: what.into(),
            args: StreamArgs {
                len: len(&chunk),
                mode,
                ..StreamArgs::default()
            },
            chunk: chunk.clone(),
            area_words: 1 << 20,
        };
        let began = Instant::now();
        let image = job::image(&job).expect("an image");
        let built = began.elapsed();
        let mut input = vec![1, len(&image)];
        input.extend(image);
        case.input(&mut input);
        input.extend([3, 20].repeat(10));
        let output = drive(&driver, &input);
        let (_, times) = output.split_at(output.len() - 80);
        let best = times
            .as_chunks::<8>()
            .0
            .iter()
            .map(|time| u64::from_le_bytes(*time))
            .min();
        let speed = |nanoseconds: u64| 20.0 * chunk.len() as f64 / nanoseconds as f64;
        let device = best.map_or(0.0, speed);
        let memory = RecordMemory::new(1, case.area_words).expect("memory for records");
        let slot = StreamSlot {
            mode,
            ..StreamSlot::default()
        };
        let best = (0..10)
            .map(|_| {
                let began = Instant::now();
                for _ in 0..20 {
                    let mut records = memory.writer(0).expect("the one area");
                    job.run(&chunk, &slot, &mut records).expect("no fault");
                }
                began.elapsed().as_nanos()
            })
            .min();
        let cpu = best.map_or(0.0, |best| speed(u64::try_from(best).unwrap_or(u64::MAX)));
        println!("{what:28} device {device:6.2} GB/s, cpu {cpu:6.2} GB/s, image of {} words in {built:.1?}", input[1]);
    }
}
