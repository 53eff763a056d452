//! Commands on an OpenCL device, which is PoCL's if the machine has no other: their answers, and their behaviour when
//! the device fails.

use crate::tool::{command, finish, gristmill, gristmill_reading, Done};
use gristmill::megakernel::{RingLogReader, StreamJob};
use gristmill_testing::noise;
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Whether a device is available; prints the reason if not.
fn device() -> bool {
    let done = gristmill(Path::new("."), &["doctor"]);
    let found = done
        .text()
        .lines()
        .any(|line| line.starts_with("yes") && line.contains("opencl, device"));
    if !found {
        gristmill_testing::skipped(
            "no OpenCL device that can run the kernel (Debian: pocl-opencl-icd)",
        );
    }
    found
}

/// Files of many sizes, some with the word `needle`.
fn files() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (seed, size) in [
        (1, 0),
        (2, 1),
        (3, 4_095),
        (4, 70_000),
        (5, 600_000),
        (6, 3_000_000),
    ] {
        let mut bytes = noise(seed, size);
        for at in (100..size.saturating_sub(10)).step_by(50_000) {
            bytes[at..at + 8].copy_from_slice(b"\nneedle\n");
        }
        std::fs::write(directory.path().join(format!("file-{seed}")), bytes).unwrap();
    }
    directory
}

#[test]
fn every_command_answers_as_on_the_processor() {
    if !device() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let files = place.path().join("files");
    std::fs::rename(self::files().keep(), &files).unwrap();
    std::fs::write(place.path().join("rules.txt"), "word\tneed[lm]e\n").unwrap();
    let program = format!(
        "{}/../../programs/content_chunks.vasm",
        env!("CARGO_MANIFEST_DIR")
    );
    for arguments in [
        &["scan", "needle", "--sort", "path", "-a", "-b", "."][..],
        &["scan", "needle", "--all", "--sort", "path", "."],
        &[
            "scan", "-c", "-i", "-e", "NEEDLE", "-e", "e", "--sort", "path", "-a", ".",
        ],
        &["digest", "--algorithm=crc32c", "--sort", "path", "."],
        &["digest", "--sort", "path", "."],
        &[
            "digest",
            "--algorithm=md5,blake3,crc32c,xxh3-128",
            "--sort=path",
            ".",
        ],
        &["digest", "--algorithm=crc32c,sha256", "--sort", "path", "."],
        &["scan", "-n", "need[a-z]e$", "--sort", "path", "-a", "."],
        &[
            "scan",
            "-c",
            "-v",
            "needle|token",
            "--sort",
            "path",
            "-a",
            ".",
        ],
        &[
            "scan",
            "--all",
            "-e",
            "need[a-z]+",
            "-e",
            "[0-9]{3}",
            "-e",
            "dle",
            "--sort",
            "path",
            ".",
        ],
        &[
            "scan",
            "--rules",
            "../rules.txt",
            "--json",
            "--sort",
            "path",
            ".",
        ],
        &["ingest", "--sort", "path", "--slot-size", "64K", "."],
        &["stats", "--sort", "path", "."],
        &["run", "--sort", "path", &program, "."],
    ] {
        let on = |backend| gristmill(&files, &[arguments, &["--backend", backend]].concat());
        let (cpu, opencl) = (on("cpu"), on("opencl"));
        assert_eq!(cpu.code, Some(0), "{cpu:?}");
        assert!(!cpu.out.is_empty());
        assert!(
            cpu.out == opencl.out && cpu.code == opencl.code,
            "{arguments:?}: {}",
            opencl.err
        );
    }
    // A stream's chunks begin and end within leaves of BLAKE3.
    let piped = |backend| {
        let digest = [
            "digest",
            "--algorithm=blake3,md5",
            "--backend",
            backend,
            "-",
        ];
        gristmill_reading(place.path(), &digest, &noise(8, 300_000))
    };
    assert_eq!(piped("cpu").out, piped("opencl").out);
}

#[test]
fn stats_tell_what_the_device_did_and_what_the_host() {
    if !device() {
        return;
    }
    let files = files();
    let divided = |arguments: &[&str]| {
        let shared = ["--stats", "--backend", "opencl", "."];
        let done = gristmill(files.path(), &[arguments, &shared].concat());
        assert_eq!(done.code, Some(0), "{done:?}");
        let mut lines = done.err.lines();
        let line = lines.find_map(|line| line.strip_prefix("divided")).unwrap();
        line.trim().to_owned()
    };
    let of_digests = divided(&["digest", "--algorithm=blake3,sha256"]);
    assert_eq!(
        of_digests,
        "the device made blake3, and the host sha256, over the same chunks"
    );
    let of_regexes = divided(&["scan", "--all", "-e", "need[a-z]e", "-e", "[0-9]{3}"]);
    assert!(
        of_regexes.contains(
            "the host searched all bytes for 1 regexes without a literal that is rare: [0-9]{3}"
        ),
        "{of_regexes}"
    );
    let of_lines = divided(&["scan", "-c", "-a", "need[a-z]e"]);
    assert!(of_lines.contains("lines that hold one"), "{of_lines}");
}

#[test]
fn several_commands_over_one_read_answer_as_on_the_processor() {
    if !device() {
        return;
    }
    let files = files();
    let program = |name: &str| format!("{}/../../programs/{name}", env!("CARGO_MANIFEST_DIR"));
    let (cuts, lines) = (
        program("content_chunks.vasm"),
        program("newline_count.vasm"),
    );
    let outputs = [
        "scan.txt",
        "sums.txt",
        "stats.txt",
        "cuts.txt",
        "trees.txt",
        "both.txt",
        "matches.txt",
    ];
    let on = |backend: &str| {
        let line = [
            &[
                "mill",
                "--sort",
                "path",
                "-g",
                "file-*",
                "--chunk-size",
                "64K",
            ][..],
            &["--backend", backend, "."],
            &[
                "+", "scan", "--all", "-F", "-e", "needle", "-e", "e", "--output", outputs[0],
            ],
            &[
                "+",
                "digest",
                "--algorithm",
                "crc32c",
                "--output",
                outputs[1],
            ],
            &["+", "digest", "--output", outputs[4]],
            &[
                "+",
                "digest",
                "--algorithm=blake3,sha256",
                "--output",
                outputs[5],
            ],
            &[
                "+",
                "scan",
                "--all",
                "-e",
                "need[a-z]e",
                "--output",
                outputs[6],
            ],
            &["+", "stats", "--output", outputs[2]],
            &["+", "run", &cuts, "--output", outputs[3]],
            &["+", "run", &lines],
        ];
        let done = gristmill(files.path(), &line.concat());
        assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{backend}");
        let rows = outputs.map(|output| std::fs::read(files.path().join(output)).unwrap());
        (done.out, rows)
    };
    assert!(on("cpu") == on("opencl"));
}

#[test]
fn a_recorded_run_replays_there_word_by_word() {
    if !device() {
        return;
    }
    let files = files();
    let log = files.path().join("../log").display().to_string() + &std::process::id().to_string();
    let program = format!(
        "{}/../../programs/content_chunks.vasm",
        env!("CARGO_MANIFEST_DIR")
    );
    // Where a device does a part of a job, and the host the rest, the log has the job, and what both have left.
    let lines = "need[a-z]e$|[0-9]+x-token";
    for (recorded, replayed) in [("cpu", "opencl"), ("opencl", "cpu"), ("opencl", "opencl")] {
        for job in [
            &["scan", "-a", "needle", "."][..],
            &["scan", "-a", "-n", lines, "."],
            &["scan", "-a", "-c", "-v", "-i", lines, "."],
            &["scan", "-a", "-l", "--chunk-size", "4K", lines, "."],
            &["digest", "--algorithm=crc32c", "."],
            &["digest", "."],
            &["stats", "."],
            &["run", &program, "."],
        ] {
            let record = gristmill(
                files.path(),
                &[job, &["--backend", recorded, "--record", &log]].concat(),
            );
            assert_eq!(record.code, Some(0), "{record:?}");
            if job.contains(&lines) {
                let kept = std::fs::File::open(&log).unwrap();
                let kept = RingLogReader::new(BufReader::new(kept)).unwrap();
                let [StreamJob::Scan(set)] = &kept.about().jobs[..] else {
                    panic!("{:?}", kept.about());
                };
                assert!(set.line_settings().is_some(), "{set:?}");
                assert_eq!(set.patterns(), [lines.as_bytes()]);
            }
            let again = gristmill(files.path(), &["replay", &log, "--backend", replayed]);
            assert!(
                again.code == Some(0) && again.text().contains("the same"),
                "{job:?}: {again:?}"
            );
            assert!(again
                .text()
                .contains(&format!("recorded on {recorded}, replayed on {replayed}")));
        }
    }
    std::fs::remove_file(log).unwrap();
}

#[test]
fn stats_tell_the_device_the_launches_and_that_nothing_was_copied() {
    if !device() {
        return;
    }
    let files = files();
    let done = gristmill(
        files.path(),
        &[
            "digest",
            "--algorithm=crc32c",
            "--stats",
            "--backend",
            "opencl",
            ".",
        ],
    );
    assert_eq!(done.code, Some(0));
    let line = |name: &str| {
        done.err
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(
        line("back end").contains("opencl: ") && line("back end").contains("asked for by name"),
        "{done:?}"
    );
    assert!(line("copied").contains(" 0 "), "{done:?}");
    // The bytes around a stream's chunks are needed twice, and so are copied.
    let program = format!(
        "{}/../../programs/fixed_string.vasm",
        env!("CARGO_MANIFEST_DIR")
    );
    let arguments = [
        "run",
        "--stats",
        "--backend",
        "opencl",
        "--chunk-size",
        "16K",
        &program,
        "-",
    ];
    let copied = gristmill_reading(files.path(), &arguments, &noise(7, 100_000));
    assert_eq!(copied.code, Some(0), "{copied:?}");
    let said = copied
        .err
        .lines()
        .find(|line| line.starts_with("copied"))
        .unwrap_or_default();
    assert!(!said.contains(" 0 "), "{said}");
    assert!(
        line("kernel").contains("launches") && line("kernel").contains("for each launch"),
        "{done:?}"
    );
}

#[test]
fn a_back_end_that_is_not_there_is_an_error_that_says_what_to_install() {
    let files = files();
    let run = |arguments: &[&str]| {
        let mut command = command(files.path(), arguments);
        // The loader finds no driver in this directory.
        finish(
            command
                .env("OCL_ICD_VENDORS", "/nonexistent")
                .spawn()
                .unwrap(),
            Vec::new(),
        )
    };
    let done = run(&["digest", "--algorithm=crc32c", "--backend", "opencl", "."]);
    assert_eq!((done.code, done.out.len()), (Some(2), 0), "{done:?}");
    assert!(
        done.err.contains("OpenCL") && done.err.contains("pocl-opencl-icd"),
        "{done:?}"
    );
    // Here the back end was not asked for by name.
    assert_eq!(run(&["digest", "--algorithm=crc32c", "."]).code, Some(0));
    let doctor = run(&["doctor"]);
    let line = doctor
        .text()
        .lines()
        .find(|line| line.contains("opencl"))
        .unwrap_or_default();
    assert!(
        line.starts_with("no") && doctor.text().contains("pocl-opencl-icd"),
        "{doctor:?}"
    );
}

#[test]
fn the_same_binary_runs_where_there_is_no_loader_of_opencl() {
    let files = files();
    // This is the first file of that name that the linker finds, and it is not a library.
    for name in ["libOpenCL.so.1", "libcuda.so"] {
        std::fs::write(files.path().join(name), b"").unwrap();
    }
    let run = |arguments: &[&str]| {
        let mut command = command(files.path(), arguments);
        finish(
            command
                .env("LD_LIBRARY_PATH", files.path())
                .spawn()
                .unwrap(),
            Vec::new(),
        )
    };
    assert_eq!(run(&["digest", "--algorithm=crc32c", "."]).code, Some(0));
    let done = run(&["digest", "--algorithm=crc32c", "--backend", "opencl", "."]);
    assert_eq!((done.code, done.out.len()), (Some(2), 0), "{done:?}");
    // The message for a library that exists, which shows the dynamic linker's own error.
    let broken = |name: &str| {
        format!(
            "{name} is there and does not load, the loader says: {}",
            files.path().join(name).display()
        )
    };
    assert!(done.err.contains(&broken("libOpenCL.so.1")), "{done:?}");
    let done = run(&["digest", "--algorithm=crc32c", "--backend", "cuda", "."]);
    assert_eq!((done.code, done.out.len()), (Some(2), 0), "{done:?}");
    assert!(done.err.contains(&broken("libcuda.so")), "{done:?}");
    let doctor = run(&["doctor"]);
    for name in ["libOpenCL.so.1", "libcuda.so"] {
        let said = doctor.text().contains(&broken(name));
        assert!(
            said && doctor.text().contains("file too short"),
            "{doctor:?}"
        );
    }
}

#[test]
fn a_library_that_is_no_driver_of_cuda_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.c");
    std::fs::write(&source, "int nothing;\n").unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&folder.path().join("libcuda.so"), &source])
        .output();
    match built {
        Ok(done) if done.status.success() => {}
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            println!("skipped: cc: {error}");
            return;
        }
    }
    let mut command = command(folder.path(), &["doctor"]);
    let doctor = command.env("LD_LIBRARY_PATH", folder.path()).spawn();
    let doctor = finish(doctor.unwrap(), Vec::new());
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    let said = "libcuda.so loads, but is no driver of CUDA";
    assert!(doctor.text().contains(said), "{doctor:?}");
}

#[test]
fn a_driver_of_opencl_that_does_not_load_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libdriver.so");
    std::fs::write(&library, b"").unwrap();
    let named = library.display().to_string();
    std::fs::write(folder.path().join("a.icd"), &named).unwrap();
    let mut command = command(folder.path(), &["doctor"]);
    let doctor = command.env("OCL_ICD_VENDORS", folder.path()).spawn();
    let doctor = finish(doctor.unwrap(), Vec::new());
    if doctor.text().contains("there is no libOpenCL.so.1") {
        println!("skipped: no loader of OpenCL (Debian: ocl-icd-libopencl1)");
        return;
    }
    let said = format!("a.icd names {named}, which does not load: {named}: file too short");
    assert!(doctor.text().contains(&said), "{doctor:?}");
}

#[test]
fn devices_are_chosen_by_number() {
    let files = files();
    let refused = |arguments: &[&str], words: &str| {
        let done = gristmill(
            files.path(),
            &[&["digest", "--algorithm=crc32c", "."], arguments].concat(),
        );
        assert!(
            done.code == Some(2) && done.err.contains(words),
            "{arguments:?}: {done:?}"
        );
    };
    refused(&["--device", "0"], "name the back end");
    refused(&["--device", "0"], "--backend opencl");
    refused(&["--backend", "cpu", "--device", "0"], "name the back end");
    if device() {
        refused(
            &["--backend", "opencl", "--device", "99"],
            "there is no OpenCL device 99",
        );
        refused(
            &["--backend", "opencl", "--device", "99"],
            "`gristmill doctor` lists the devices",
        );
        let done = gristmill(
            files.path(),
            &[
                "digest",
                "--algorithm=crc32c",
                ".",
                "--backend",
                "opencl",
                "--device",
                "0",
            ],
        );
        assert_eq!(done.code, Some(0), "{done:?}");
    }
}

/// The loader whose devices fail, built in `directory`.
fn failing_loader(directory: &Path) -> Option<PathBuf> {
    let loader = directory.join("libfailing.so");
    let source = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/commands/failing_opencl.c"
    );
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wl,--no-as-needed", "-o"])
        .arg(&loader)
        .args([source, "-l:libOpenCL.so.1", "-ldl"])
        .output();
    match built {
        Ok(done) if done.status.success() => Some(loader),
        Ok(done) => panic!("{}", String::from_utf8_lossy(&done.stderr)),
        Err(error) => {
            gristmill_testing::skipped(format_args!("cc: {error}"));
            None
        }
    }
}

/// Runs `digest` over the files on a device that fails in this way.
fn on_a_failing_device(how: &str, launch: &str) -> Option<Done> {
    if !device() {
        return None;
    }
    let files = files();
    let place = tempfile::tempdir().unwrap();
    let loader = failing_loader(place.path())?;
    let mut command = command(
        files.path(),
        &[
            "digest",
            "--algorithm=crc32c",
            "--backend",
            "opencl",
            "--workers",
            "1",
            ".",
        ],
    );
    command.env("OPENCL_DYLIB_PATH", loader).env(how, launch);
    Some(finish(command.spawn().unwrap(), Vec::new()))
}

#[test]
fn a_launch_that_fails_ends_the_run_with_its_reason() {
    // In launch 0 the driver compiles.
    for (how, reason) in [
        ("FAIL_LAUNCH", "clEnqueueNDRangeKernel"),
        ("LOSE_LAUNCH", "clWaitForEvents"),
    ] {
        let Some(done) = on_a_failing_device(how, "1") else {
            return;
        };
        assert_eq!(done.code, Some(2), "{how}: {done:?}");
        assert!(
            done.err.contains(reason) && done.err.contains("--backend cpu"),
            "{how}: {done:?}"
        );
    }
}

#[test]
fn a_device_that_fails_from_the_start_is_an_error() {
    let Some(done) = on_a_failing_device("FAIL_LAUNCH", "0") else {
        return;
    };
    assert!(
        done.code == Some(2) && done.err.contains("clEnqueueNDRangeKernel failed"),
        "{done:?}"
    );
    // The message must name the device, and the flag that avoids it.
    assert!(
        done.err.contains("failed on ") && done.err.contains("--backend cpu"),
        "{done:?}"
    );
}

#[test]
fn a_device_that_stops_in_the_middle_is_noticed_within_a_second() {
    if !device() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let Some(loader) = failing_loader(place.path()) else {
        return;
    };
    let mut command = command(
        place.path(),
        &["digest", "--algorithm=crc32c", "--backend", "opencl", "-"],
    );
    command
        .env("OPENCL_DYLIB_PATH", loader)
        .env("HANG_LAUNCH", "3");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    // Each piece is a chunk that comes when the kernel has left because it found no work, so it needs a launch of its
    // own.
    let writer = std::thread::spawn(move || {
        while pipe.write_all(b"a piece\n").is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    let done = finish(child, Vec::new());
    writer.join().unwrap();
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("no sign of life for 1 s"), "{done:?}");
}

#[test]
fn a_device_that_cannot_follow_a_living_ring_is_refused_with_the_reason() {
    if !device() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let Some(loader) = failing_loader(place.path()) else {
        return;
    };
    let run = |arguments: &[&str]| {
        let mut command = command(place.path(), arguments);
        command
            .env("OPENCL_DYLIB_PATH", &loader)
            .env("COARSE_ONLY", "1");
        finish(command.spawn().unwrap(), Vec::new())
    };
    let done = run(&["digest", "--algorithm=crc32c", "--backend", "opencl", "."]);
    assert!(done.code == Some(2) && done.out.is_empty(), "{done:?}");
    assert!(
        done.err.contains("fine-grained shared virtual memory")
            && done.err.contains("--backend cpu"),
        "{done:?}"
    );
    let doctor = run(&["doctor"]);
    let refused = |line: &&str| line.contains("opencl, device 0");
    let line = doctor
        .text()
        .lines()
        .find(refused)
        .unwrap_or_default()
        .to_owned();
    assert!(
        line.starts_with("no") && line.contains("fine-grained"),
        "{doctor:?}"
    );
}

#[test]
fn a_device_that_hangs_is_noticed_and_the_run_ends() {
    let Some(done) = on_a_failing_device("HANG_LAUNCH", "1") else {
        return;
    };
    assert_eq!(done.code, Some(2), "{done:?}");
    assert!(done.err.contains("no sign of life"), "{done:?}");
}

#[test]
fn peer_memory_is_refused_for_a_kernel_on_a_device_and_any_other_runs_on_the_processor() {
    if !device() {
        return;
    }
    let files = files();
    let memory = ["--peer-memory", "ffff:ff:1f.7", "--read-path", "peer", "."];
    let on = |backend| {
        let flags = ["digest", "--algorithm=crc32c", "--backend", backend];
        let done = gristmill(files.path(), &[&flags[..], &memory].concat());
        assert_eq!((done.code, done.text()), (Some(2), ""), "{done:?}");
        done.err
    };
    let refused = on("opencl");
    assert!(
        refused.contains("does not see") && refused.contains("--backend cpu"),
        "{refused}"
    );
    // With these back ends, only the peer memory is missing.
    for backend in ["auto", "cpu"] {
        assert!(on(backend).contains("cannot be had"), "{backend}");
    }
}
