//! The device source under ThreadSanitizer. Compiled as host C++, with a host that publishes and drains at the same
//! time (`kernel/host/race.cc`), it has no data race in several shapes of groups and launches.

use gristmill_megakernel::backend::device::{job, program};
use gristmill_megakernel::stream::subtrees::{self, Part};
use gristmill_megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill_megakernel::vir0::{verify, Limits};
use gristmill_megakernel::{ScanMode, ScanSet, StreamJob};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// For each shape: the lanes of a group, the groups of a launch, and the launches that run at the same time.
const SHAPES: [(u32, u32, u32); 3] = [(1, 1, 4), (1, 4, 1), (2, 2, 1)];

/// How many slots each shape runs, unless RACE_SLOTS is set.
const SLOTS: &str = "1500";

/// Counts newlines and occurrences of 'a', and emits a record for every newline.
const PROGRAM: &str = "
.name    race
.chunk   200
.records 200
.acc     newlines sum
.acc     letters sum
.reg     at   = r1
.reg     byte = r2
.reg     hit  = r3
    each  at, 1
      ld8   byte, at
      eq    hit, byte, 97
      acc   letters, hit
      eq    hit, byte, 10
      acc   newlines, hit
      if    hit
        emit  at, byte
      end
    end
";

/// The images in the order in which `race.cc` reads them, each preceded by its length.
fn images() -> Vec<u8> {
    let patterns = ScanSet::build(&["ab"], false, ScanMode::All).unwrap();
    let jobs = [
        StreamJob::Scan(Arc::new(patterns)),
        StreamJob::Histogram,
        StreamJob::Lines,
        StreamJob::Crc32c,
        StreamJob::Blake3,
    ];
    let options = AsmOptions {
        name: "race",
        files: &|_| Err(std::io::ErrorKind::NotFound.into()),
        debug: false,
    };
    let assembled = assemble(PROGRAM, &options).unwrap_or_else(|error| panic!("{error}"));
    let verified = verify(assembled, &Limits::default()).unwrap();
    let images = jobs.iter().map(|job| job::image(job).unwrap());
    images
        .chain([program::image(&verified)])
        .map(|image| [vec![u32::try_from(image.len()).unwrap()], image].concat())
        .chain([chunks_for_blake3()])
        .flatten()
        .flat_map(u32::to_le_bytes)
        .collect()
}

/// Chunks of leaves, and the parts that BLAKE3 must leave of them, as `race.cc` reads them.
fn chunks_for_blake3() -> Vec<u32> {
    let places = [
        (0, 0),
        (0, 1),
        (0, 1024),
        (0, 1025),
        (0, 2048),
        (0, 3100),
        (1024, 2048),
        (2048, 1500),
        (4096, 3072),
    ];
    let mut words = vec![u32::try_from(places.len()).unwrap()];
    for (offset, len) in places {
        let bytes = gristmill_testing::noise(u64::from(offset + len), len as usize);
        let (mut root, mut values) = (0, Vec::new());
        subtrees::parts(
            &bytes,
            offset.into(),
            || true,
            |part| match part {
                Part::Root(value) => {
                    root = 1;
                    values.extend(value);
                }
                Part::Subtree(value) => values.extend(value),
            },
        );
        let parts = u32::try_from(values.len() / subtrees::VALUE).unwrap();
        words.extend([offset, len, parts, root]);
        for all in [bytes, values] {
            words.extend(all.chunks(4).map(|four| {
                let mut word = [0; 4];
                word[..four.len()].copy_from_slice(four);
                u32::from_le_bytes(word)
            }));
        }
    }
    words
}

/// Whether programs can be built and run with the race detector on this machine.
fn has_detector(folder: &Path) -> bool {
    let (source, binary) = (folder.join("detector.cc"), folder.join("detector"));
    std::fs::write(&source, "int main() { return 0; }\n").unwrap();
    let done = |command: &mut Command| command.output().is_ok_and(|done| done.status.success());
    done(
        Command::new("g++")
            .args(["-fsanitize=thread", "-o"])
            .args([&binary, &source]),
    ) && done(&mut Command::new(&binary))
}

#[test]
fn the_device_source_has_no_data_race() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    if !has_detector(folder) {
        gristmill_testing::skipped("g++ -fsanitize=thread makes no program that runs here");
        return;
    }
    let seed = gristmill_testing::seed("SEED").to_string();
    let slots = std::env::var("RACE_SLOTS").unwrap_or_else(|_| SLOTS.to_owned());
    let input = folder.join("race-images");
    std::fs::write(&input, images()).unwrap();
    for (lanes, groups, launches) in SHAPES {
        let shape = format!("{lanes} lanes, {groups} groups, {launches} launches");
        let binary = folder.join(format!("race-{lanes}-{groups}-{launches}"));
        let built = Command::new("g++")
            .args(["-std=c++17", "-O1", "-g", "-pthread", "-fsanitize=thread"])
            .arg(format!("-DGM_LANES={lanes}"))
            .arg(format!("-DGM_GROUPS={groups}"))
            .arg(format!("-DGM_LAUNCHES={launches}"))
            .arg(format!("-DGM_STRIP={}", if lanes == 1 { 4 } else { 1 }))
            .arg("-o")
            .arg(&binary)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel/host/race.cc"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{shape}: {said}");
        let run = Command::new(&binary)
            .arg(&input)
            .args([&slots, &seed])
            .env("TSAN_OPTIONS", "halt_on_error=1 exitcode=66")
            .output()
            .unwrap();
        let said = [run.stdout, run.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        println!("{shape}: {said}");
        assert!(run.status.success(), "SEED={seed}, {shape}: {}", run.status);
    }
}
