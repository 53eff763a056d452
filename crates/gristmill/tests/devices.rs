//! Jobs of which a device does a part and the host the rest: on a device their rows are those that they have on the
//! processor's threads, whatever the patterns, the digests and the sizes of chunks.
//!
//! Devices are PoCL's, or another of OpenCL, and those of the driver of CUDA that runs on the host. A driver is chosen when
//! a process starts, so the tests with that driver start this program again.

use fastrand::Rng;
use gristmill::jobs::digest::{Algorithm, Algorithms, Chunking, DigestJob, DigestRows};
use gristmill::jobs::scan::{Report, ScanJob};
use gristmill::jobs::sweep::findings::Findings;
use gristmill::jobs::sweep::{SweepJob, SweepReport};
use gristmill::megakernel::backend::{self, BackendName, SelectedBackend};
use gristmill::mill::{Control, Mill, RunReport, Task};
use gristmill::rules::RuleSet;
use gristmill::source::Tree;
use gristmill_testing::{noise, planted, seed, skipped};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// The device of OpenCL; `None`, and reported, where there is none.
fn opencl() -> Option<SelectedBackend> {
    match backend::open(BackendName::OpenCl, None) {
        Ok(backend) => Some(backend),
        Err(error) => {
            skipped(format_args!("{error}"));
            None
        }
    }
}

fn cuda() -> SelectedBackend {
    backend::open(BackendName::Cuda, None).unwrap()
}

/// Runs a test below that is ignored with the driver of CUDA that needs no GPU.
fn with_the_stand_in(test: &str) {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let Some(folder) = gristmill_testing::cuda_driver(&place.join(test)) else {
        return;
    };
    let done = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .env("LD_LIBRARY_PATH", folder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(
        done.status.success() && !said.contains("left over"),
        "{said}"
    );
}

/// The mill on a device, or on the processor's threads.
fn mill(on: Option<&SelectedBackend>, chunk: usize) -> Mill {
    let mill = Mill::builder().workers(2).chunk_bytes(chunk).ordered(true);
    let cpu = || backend::open(BackendName::Cpu, None).unwrap();
    mill.backend(on.cloned().unwrap_or_else(cpu))
        .build()
        .unwrap()
}

/// Runs tasks over a folder's files.
fn run(mill: &Mill, folder: &Path, tasks: Vec<Task<'_>>) -> RunReport {
    let files = Tree::new([folder]).sorted(true).walk().unwrap();
    let report = mill.run_all(files, tasks, &Control::default()).unwrap();
    assert_eq!(report.failures, 0);
    report
}

const CHUNKS: [usize; 4] = [4096, 20 << 10, 64 << 10, 1 << 20];

/// Regexes with literals of all kinds, and without.
const REGEXES: [&str; 18] = [
    "key[a-z]*",
    "key-[0-9]{4,}",
    "(?i)KEY=",
    "(?i)secret.{0,40}?[0-9a-f]{16}",
    "(?s)begin.*?end",
    "(?s)begin.*end",
    r"\bkey\b",
    "[a-z]{3,40}-token",
    "token|begin|curl",
    "(?m)^secret.*$",
    "é+key",
    r"(?-u)\xffkey",
    "[0-9]{15,}x",
    r"[0-9a-f]{40}",
    "a+",
    r"\z",
    "(?:key-){0,300}end",
    "(?m)^$",
];

const STRINGS: [&[u8]; 6] = [b"key", b"key-key", b"\n", b"secret", b"-token", b"Begin"];

/// A text in which the patterns occur, and long runs of few bytes.
fn text(random: &mut Rng, length: usize) -> Vec<u8> {
    let words: [&[u8]; 20] = [
        b"key",
        b"key-",
        b"KEY=",
        b"secret",
        b"Secret",
        b"begin",
        b"end",
        b"-token",
        b"curl ",
        b"0123456789abcdef",
        b"99999999999999999x",
        b" ",
        b"\n",
        b"a",
        b"abcdefgh",
        "é".as_bytes(),
        b"\xff",
        b"\0",
        b"= '",
        b"xyz-",
    ];
    let mut text = Vec::new();
    while text.len() < length {
        let word = *random.choice(&words).unwrap();
        let times = match random.usize(..60) {
            0 => random.usize(..20_000),
            _ => 1,
        };
        for _ in 0..times {
            text.extend_from_slice(word);
        }
        if random.u8(..4) > 0 {
            text.extend(noise(random.u64(..), random.usize(..200)));
        }
    }
    text.truncate(length);
    text
}

/// Fills a folder with files of all sizes.
fn fill(folder: &Path, random: &mut Rng) {
    for number in 0..6 {
        let length = match number {
            0 => 0,
            1 => random.usize(1..100),
            2 => 4096 * random.usize(1..5),
            3 => random.usize(..20_000),
            4 => random.usize(..300_000),
            _ => random.usize(900_000..1_500_000),
        };
        let text = text(random, length);
        std::fs::write(folder.join(format!("file-{number}")), text).unwrap();
    }
}

fn sweep(random: &mut Rng) -> (String, impl Fn(SweepReport) -> Arc<SweepJob>) {
    let mut given: Vec<(bool, usize)> = Vec::new();
    // One that a device can look for.
    given.push((false, random.usize(..12)));
    for _ in 0..random.usize(..10) {
        given.push(match random.u8(..3) {
            0 => (true, random.usize(..STRINGS.len())),
            _ => (false, random.usize(..REGEXES.len())),
        });
    }
    let (fold, context) = (random.u8(..4) == 0, (random.u8(..3) == 0).then_some(7));
    let longest = *random.choice(&[100, 5000, 1 << 21]).unwrap();
    let told = format!("{given:?}, {fold}, {context:?}, {longest}");
    let job = move |report| {
        let mut job = SweepJob::builder().report(report).case_insensitive(fold);
        job = job.json(true).context_bytes(context).max_match(longest);
        for (number, (string, index)) in given.iter().enumerate() {
            job = match string {
                true => job.string(number.to_string(), STRINGS[*index]),
                false => job.regex(number.to_string(), REGEXES[*index]),
            };
        }
        Arc::new(job.build().unwrap())
    };
    (told, job)
}

/// What random patterns find is the same.
fn patterns(device: &SelectedBackend) {
    let mut random = Rng::with_seed(seed("GRISTMILL_DEVICE_SWEEP_SEED"));
    let folder = tempfile::tempdir().unwrap();
    let mut overflowed = 0;
    for _ in 0..6 {
        fill(folder.path(), &mut random);
        let (told, job) = sweep(&mut random);
        for chunk in CHUNKS {
            let report = match random.u8(..4) {
                0 => SweepReport::Count,
                1 => SweepReport::Paths,
                _ => SweepReport::Matches,
            };
            let (mut expected, mut found) = (Vec::new(), Vec::new());
            run(
                &mill(None, chunk),
                folder.path(),
                vec![Task::new(job(report), &mut expected)],
            );
            let on_device = mill(Some(device), chunk);
            let report = run(
                &on_device,
                folder.path(),
                vec![Task::new(job(report), &mut found)],
            );
            assert!(found == expected, "{told}, chunks of {chunk}");
            let parts = report.jobs[0].divided.as_deref().unwrap_or_default();
            assert!(parts.starts_with("the device looked for "), "{parts}");
            overflowed += usize::from(parts.contains("more candidates than"));
        }
    }
    assert!(overflowed > 0, "no chunk had too many candidates");
}

/// The lines that random regexes match are the same, however they are asked for.
fn lines(device: &SelectedBackend) {
    let mut random = Rng::with_seed(seed("GRISTMILL_DEVICE_LINES_SEED"));
    let folder = tempfile::tempdir().unwrap();
    let (mut searched, mut overflowed) = (0, 0);
    for _ in 0..8 {
        fill(folder.path(), &mut random);
        let regexes: Vec<&str> = (0..random.usize(1..4))
            .map(|_| REGEXES[random.usize(..12)])
            .collect();
        let (fold, words, crlf) = (random.bool(), random.u8(..4) == 0, random.u8(..4) == 0);
        let (text, invert) = (random.u8(..3) > 0, random.u8(..5) == 0);
        for chunk in CHUNKS {
            let report = match random.u8(..6) {
                0 => Report::Count,
                1 => Report::Paths,
                2 => Report::Quiet,
                _ => Report::Lines,
            };
            let rows = |on: Option<&SelectedBackend>| {
                let mut job = ScanJob::builder().report(report).line_numbers(true);
                for regex in &regexes {
                    job = job.pattern(*regex);
                }
                let job = job
                    .regex(true)
                    .case_insensitive(fold)
                    .words(words)
                    .crlf(crlf);
                let job = job.text(text).invert(invert).build().unwrap();
                let mut rows = Vec::new();
                let task = Task::new(Arc::new(job), &mut rows);
                let files = Tree::new([folder.path()]).sorted(true).walk().unwrap();
                let done = mill(on, chunk).run_all(files, vec![task], &Control::default());
                let done = done.map(|report| report.jobs[0].divided.clone().unwrap_or_default());
                done.map(|told| (rows, told))
                    .map_err(|error| error.to_string())
            };
            let (expected, _) = rows(None).unwrap();
            let (found, told) = match rows(Some(device)) {
                Ok(done) => done,
                Err(error) => {
                    // In either case, or as a word, a literal may be too common.
                    assert!(error.contains("has none that is rare"), "{error}");
                    continue;
                }
            };
            searched += 1;
            assert!(
                found == expected,
                "{regexes:?}, {fold} {words} {crlf} {text} {invert}, {report:?}, {chunk}"
            );
            assert!(told.starts_with("the device looked for "), "{told}");
            overflowed += usize::from(told.contains("more such lines"));
        }
    }
    assert!(searched > 10, "{searched}");
    println!("{overflowed} of {searched} runs had chunks with too many candidates");
}

/// What rules find is the same.
fn rules(device: &SelectedBackend) {
    let Some(path) = planted::rule_file() else {
        return;
    };
    let mut set = RuleSet::default();
    set.read(&path).unwrap();
    let mut random = Rng::with_seed(seed("GRISTMILL_DEVICE_RULES_SEED"));
    let folder = tempfile::tempdir().unwrap();
    for number in 0..4 {
        let mut text = noise(random.u64(..), 100_000);
        for rule in set.rules() {
            if let (Some(pattern), 0..3) = (rule.pattern(), random.u8(..4)) {
                text.extend(planted::lines(pattern, 2, &mut random));
            }
        }
        std::fs::write(folder.path().join(format!("file-{number}")), text).unwrap();
    }
    let set = Arc::new(set);
    for chunk in [4096, 1 << 20] {
        let rows = |on: Option<&SelectedBackend>| {
            let findings = Arc::new(Findings::new(Arc::clone(&set)).show_secrets(true));
            let job = SweepJob::builder().findings(Arc::clone(&findings)).build();
            let mut rows = Vec::new();
            let task = Task::new(Arc::new(job.unwrap()), &mut rows);
            let report = run(&mill(on, chunk), folder.path(), vec![task]);
            (rows, findings.found(), report.jobs[0].divided.is_some())
        };
        let (expected, found) = (rows(None), rows(Some(device)));
        assert!(found.1 > 100 && found.2 && !expected.2, "{}", found.1);
        assert!(found.0 == expected.0, "chunks of {chunk}");
    }
}

/// Several digests and searches over one read have the rows that each has alone, on threads.
fn several(device: &SelectedBackend) {
    let mut random = Rng::with_seed(seed("GRISTMILL_DEVICE_SEVERAL_SEED"));
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path(), &mut random);
    let digest = |algorithms: &[Algorithm]| {
        let algorithms: Algorithms = algorithms.iter().copied().collect();
        Arc::new(DigestJob::new(algorithms, DigestRows::Json))
    };
    let (told, sweep) = sweep(&mut random);
    for chunk in CHUNKS {
        use Algorithm::{Blake3, Crc32c, Md5, Sha256, Xxh3_128};
        let digests = [
            digest(&[Blake3, Crc32c]),
            digest(&[Sha256, Blake3, Md5, Xxh3_128]),
            digest(&[Crc32c, Sha256]),
            digest(&[Blake3]),
            Arc::new(DigestJob::manifest(
                Blake3.into(),
                Some("gear:4K".parse::<Chunking>().unwrap()),
            )),
        ];
        let strings = ScanJob::builder()
            .pattern("key")
            .report(Report::Count)
            .build();
        let strings = Arc::new(strings.unwrap());
        let swept = sweep(SweepReport::Matches);
        let cpu = mill(None, chunk);
        let mut alone: Vec<Vec<u8>> = Vec::new();
        for job in &digests {
            let mut rows = Vec::new();
            run(
                &cpu,
                folder.path(),
                vec![Task::new(Arc::clone(job), &mut rows)],
            );
            alone.push(rows);
        }
        let mut rows = Vec::new();
        run(
            &cpu,
            folder.path(),
            vec![Task::new(Arc::clone(&strings), &mut rows)],
        );
        alone.push(std::mem::take(&mut rows));
        run(
            &cpu,
            folder.path(),
            vec![Task::new(Arc::clone(&swept), &mut rows)],
        );
        alone.push(rows);
        let mut together: Vec<Vec<u8>> = vec![Vec::new(); alone.len()];
        let mut outputs = together.iter_mut();
        let mut tasks: Vec<Task<'_>> = Vec::new();
        for job in &digests {
            tasks.push(Task::new(Arc::clone(job), outputs.next().unwrap()));
        }
        tasks.push(Task::new(strings, outputs.next().unwrap()));
        tasks.push(Task::new(swept, outputs.next().unwrap()));
        let report = run(&mill(Some(device), chunk), folder.path(), tasks);
        for (number, (one, other)) in together.iter().zip(&alone).enumerate() {
            assert!(
                one == other && !one.is_empty(),
                "job {number}, chunks of {chunk}, {told}"
            );
        }
        let parts: Vec<bool> = report
            .jobs
            .iter()
            .map(|job| job.divided.is_some())
            .collect();
        assert_eq!(parts, [true, true, true, false, true, false, true]);
        let told = report.jobs[1].divided.as_deref();
        let expected =
            "the device made blake3, and the host sha256, md5, xxh3-128, over the same chunks";
        assert_eq!(told, Some(expected));
    }
}

#[test]
fn a_device_finds_what_the_processor_finds() {
    let Some(device) = opencl() else { return };
    patterns(&device);
}

#[test]
fn a_device_finds_the_lines_that_the_processor_finds() {
    let Some(device) = opencl() else { return };
    lines(&device);
}

#[test]
fn a_device_finds_by_rules_what_the_processor_finds() {
    let Some(device) = opencl() else { return };
    rules(&device);
}

#[test]
fn several_jobs_on_a_device_give_what_each_gives_alone() {
    let Some(device) = opencl() else { return };
    several(&device);
}

#[test]
fn a_gpu_finds_what_the_processor_finds() {
    with_the_stand_in("child_finds");
}

#[test]
fn several_jobs_on_a_gpu_give_what_each_gives_alone() {
    with_the_stand_in("child_has_several");
}

#[test]
#[ignore = "run by the tests above, with another driver"]
fn child_finds() {
    patterns(&cuda());
    lines(&cuda());
    rules(&cuda());
}

#[test]
#[ignore = "run by the tests above, with another driver"]
fn child_has_several() {
    several(&cuda());
}

#[test]
fn what_a_device_can_do_no_part_of_is_refused_and_says_so() {
    let Some(device) = opencl() else { return };
    let refused = |job: SweepJob| {
        let mut rows = Vec::new();
        let files = Tree::new(["Cargo.toml"]).walk().unwrap();
        let tasks = vec![Task::new(Arc::new(job), &mut rows)];
        let done = mill(Some(&device), 4096).run_all(files, tasks, &Control::default());
        done.unwrap_err().to_string()
    };
    let error = refused(SweepJob::builder().regex("n", "[0-9]+").build().unwrap());
    assert!(
        error.contains("none of these regexes has a literal"),
        "{error}"
    );
    // A log keeps what both do, or nothing: the device's part alone is no job that a replay could run again.
    let unrecorded = |task: fn(&mut Vec<u8>) -> Task<'_>| {
        let mut rows = Vec::new();
        let task = task(&mut rows);
        let control = Control::default().record(std::io::sink());
        let files = Tree::new(["Cargo.toml"]).walk().unwrap();
        let done = mill(Some(&device), 4096).run_all(files, vec![task], &control);
        done.unwrap_err().to_string()
    };
    let error = unrecorded(|rows| {
        let sweep = SweepJob::builder().regex("n", "key[0-9]+").build();
        Task::new(Arc::new(sweep.unwrap()), rows)
    });
    assert!(error.contains("a job that is host code"), "{error}");
    let error = unrecorded(|rows| {
        let two: Algorithms = [Algorithm::Blake3, Algorithm::Md5].into_iter().collect();
        Task::new(Arc::new(DigestJob::new(two, DigestRows::Text)), rows)
    });
    assert!(error.contains("a job that is host code"), "{error}");
    let many = (0..100_001).fold(SweepJob::builder(), |job, number| {
        job.string(number.to_string(), number.to_string())
    });
    let error = refused(many.build().unwrap());
    assert!(error.contains("100,000"), "{error}");
}
