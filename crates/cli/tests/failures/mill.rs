//! Several commands over one read of files that fail: each gives what it gives alone, and each failure is told once.

use crate::fuse::{mount, Faulty};
use crate::world::{text, Answer, Scratch, Tool, LINE_BYTES};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

const MIB: usize = 1 << 20;

/// The commands, none of which looks at more of a file than another tells.
const JOBS: [&[&str]; 4] = [
    &["scan", "--all", "-F", "-e", "needle", "-e", "line"],
    &["scan", "--all", "-e", "ne{2}dl", "-e", "lin[ef]"],
    &["digest"],
    &["stats"],
];

fn run(front: &[&str], root: &Path, jobs: &[usize], outputs: &Scratch) -> (Answer, Vec<Vec<u8>>) {
    let mut line: Vec<OsString> = vec!["mill".into(), "--sort".into(), "path".into()];
    line.extend(front.iter().map(OsString::from));
    line.push(root.into());
    for job in jobs {
        line.push("+".into());
        line.extend(JOBS[*job].iter().map(OsString::from));
        line.push("--output".into());
        line.push(outputs.join(format!("{job}.txt")).into());
    }
    let answer = Tool::new(line).run();
    let rows = jobs
        .iter()
        .map(|job| std::fs::read(outputs.join(format!("{job}.txt"))).unwrap());
    (answer, rows.collect())
}

#[test]
fn every_subset_gives_of_failing_files_what_each_command_gives_alone() {
    let lines = text(MIB / LINE_BYTES);
    let failing = [0, 640, 65_536, 65_536 + 31, 300_000, lines.len() - 1];
    let failing = (0..).zip(failing).map(|(number, offset)| {
        Faulty::new(format!("failing-{number}"), lines.clone()).error_at(offset as u64)
    });
    let others = [
        Faulty::new("good", lines.clone()),
        Faulty::new("zgone", lines.clone()).gone(),
        Faulty::new("zlonger", lines.clone()).told(3 * MIB as u64),
    ];
    let Some(mounted) = mount(failing.chain(others)) else {
        return;
    };
    let outputs = Scratch::new();
    for chunk in ["16K", "64K"] {
        let front = ["--chunk-size", chunk];
        let alone: Vec<Answer> = (JOBS.iter())
            .map(|job| {
                let tool = Tool::new(*job).args(["--sort", "path"]).args(front);
                tool.args([mounted.path()]).run()
            })
            .collect();
        let failures = |answer: &Answer| -> BTreeSet<String> {
            answer.errors.lines().map(str::to_owned).collect()
        };
        for subset in 1_u32..1 << JOBS.len() {
            let jobs: Vec<usize> = (0..JOBS.len())
                .filter(|job| subset >> job & 1 != 0)
                .collect();
            let workers = ["1", "3"][subset as usize % 2];
            let front = ["--chunk-size", chunk, "-j", workers];
            let (answer, rows) = run(&front, &mounted.path(), &jobs, &outputs);
            answer.assert_code(2);
            for (rows, job) in rows.iter().zip(&jobs) {
                assert!(*rows == alone[*job].rows, "{chunk}: job {job} of {jobs:?}");
            }
            // Each failing file is told once, with an offset that one of the commands tells alone.
            let told: Vec<String> = answer.errors.lines().map(str::to_owned).collect();
            let known: BTreeSet<String> =
                jobs.iter().flat_map(|job| failures(&alone[*job])).collect();
            assert!(
                told.iter().all(|line| known.contains(line)),
                "{told:?}: {known:?}"
            );
            let files = |lines: &mut dyn Iterator<Item = &String>| -> Vec<String> {
                let name = |line: &String| line.split(": ").nth(1).unwrap_or_default().to_owned();
                let mut names: Vec<String> = lines.map(name).collect();
                names.sort_unstable();
                names
            };
            let mut expected = files(&mut known.iter());
            expected.dedup();
            assert_eq!(files(&mut told.iter()), expected);
        }
    }
}

#[test]
fn a_signal_ends_all_jobs_and_keeps_what_they_have() {
    let scratch = Scratch::new();
    let Some(fifo) = scratch.fifo("never") else {
        return;
    };
    let _open = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let sums = scratch.join("sums.txt");
    let good = scratch.write("good", b"some bytes\n");
    let running = Tool::new(["mill", "-j1"])
        .args([&good, &fifo])
        .args(["+", "stats", "+", "digest", "--output"])
        .args([&sums])
        .start();
    running.wait_for_count(2);
    running.interrupt();
    let answer = running.finish();
    answer.assert_code(130);
    assert!(answer.errors.contains("interrupted"), "{answer:?}");
    // The file of sums has not taken its name, and what there is of it is told.
    assert!(
        !sums.exists() && answer.errors.contains("sums.txt"),
        "{answer:?}"
    );
}

#[test]
fn the_rows_of_one_job_do_not_hold_up_another_beyond_bounds() {
    // Every byte of these files is a row of the first job, and the others have few.
    let scratch = Scratch::new();
    for number in 0..20 {
        scratch.write(format!("files/{number}"), &vec![b'e'; 300_000]);
    }
    let (found, sums) = (scratch.join("found.txt"), scratch.join("sums.txt"));
    for order in [&[][..], &["--sort", "path"]] {
        let running = Tool::new(["mill", "-j3", "--chunk-size", "16K"])
            .args(order)
            .args([scratch.join("files")])
            .args(["+", "scan", "--all", "-F", "e", "--output"])
            .args([&found])
            .args(["+", "digest", "--output"])
            .args([&sums])
            .start();
        let answer = running.finish();
        answer.assert_code(0);
        let rows = std::fs::read(&found).unwrap();
        assert_eq!(memchr::memchr_iter(b'\n', &rows).count(), 20 * 300_000);
        let sums = std::fs::read_to_string(&sums).unwrap();
        assert_eq!(sums.lines().count(), 20);
    }
}
