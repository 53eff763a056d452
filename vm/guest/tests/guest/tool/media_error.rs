use super::{gristmill, has_tool, path, rows};
use gristmill_vm_guest::disk::{word, Disk, BAD_BYTE};
use gristmill_vm_guest::in_guest;

#[test]
fn a_range_with_a_bad_sector_is_told_by_its_place_and_one_beside_it_is_read() {
    if !in_guest("--media-error=1000") || !has_tool() {
        return;
    }
    let device = Disk::find("data").namespace(1).generic_path;
    let device = device.to_str().unwrap();
    let flags = [
        "ingest",
        "--json",
        "--read-path",
        "passthrough",
        "--slot-size",
        "64K",
    ];
    let bad = gristmill(&[&flags[..], &["--device-range", "0,1M", device]].concat());
    assert_eq!(bad.code, Some(2), "{bad:?}");
    // This is the offset of the 64 KiB slot that contains sector 1000.
    for words in ["offset 458752: ", "LBA ", "unrecovered read error"] {
        assert!(bad.err.contains(words), "{words}: {bad:?}");
    }
    let report = bad.report();
    assert_eq!(report["telemetry"]["failed_completions"], 1);
    assert_eq!(
        (&report["zero_copy"], bad.objects().len()),
        (&false.into(), 1)
    );

    let good = gristmill(&[&flags[..], &["--device-range", "1M,1M", device]].concat());
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""));
    let words = (1 << 17)..(1 << 18);
    let content: Vec<u8> = words
        .flat_map(|index| word(0, index).to_le_bytes())
        .collect();
    let crc = format!("{:08x}", crc32c::crc32c(&content));
    assert_eq!(good.objects()[0]["digest"], crc);
}

#[test]
fn a_file_with_a_bad_sector_is_a_failure_in_the_disks_words_and_another_is_read() {
    if !in_guest("--media-error=1000") || !has_tool() {
        return;
    }
    let (bad, good) = (path(0), path(1));
    for command in [&["digest", "--algorithm=crc32c"][..], &["ingest"]] {
        let flags = ["--read-path", "passthrough", &bad, &good];
        let done = gristmill(&[command, &flags].concat());
        assert_eq!((done.code, &done.out), (Some(2), &rows(&[1])), "{done:?}");
        let told = |line: &&str| line.contains(&bad) && line.contains("unrecovered read error");
        assert_eq!(done.err.lines().filter(told).count(), 1, "{done:?}");
    }
    let direct = gristmill(&["digest", "--algorithm=crc32c", "--direct", &bad, &good]);
    assert_eq!((direct.code, &direct.out), (Some(2), &rows(&[1])));
    assert!(direct.err.contains("reports a medium error"), "{direct:?}");
    let small = ["--chunk-size", "4K", "-j", "1"];
    let flags = [
        &["digest", "--read-path", "passthrough"],
        &small[..],
        &[&bad],
    ]
    .concat();
    let done = gristmill(&flags);
    let place = format!("offset {BAD_BYTE}: ");
    assert!(
        done.code == Some(2) && done.err.contains(&place),
        "{done:?}"
    );
}
