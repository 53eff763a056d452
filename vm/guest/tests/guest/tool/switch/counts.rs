//! The cost of reading in commands. Commands are counted, because times in an emulated machine are meaningless. The
//! printed table is for the record of the benchmarks.

use super::{gristmill, path, peer, ready, PASSTHROUGH};
use gristmill_vm_guest::disk::{Disk, FILES};
use serde_json::Value;

/// Bytes of each size of slot that are read.
const RANGE: u64 = 4 << 20;

/// The report of an ingest that has read everything.
fn report(flags: &[&str]) -> Value {
    let done = gristmill(&[flags, &["--json"]].concat());
    assert_eq!((done.code, done.err.as_str()), (Some(0), ""), "{flags:?}");
    done.report()
}

/// Prints a row, and returns reads and commands.
fn tell(what: &str, report: &Value) -> (u64, u64) {
    let count = |value: &Value| value.as_u64().unwrap();
    let (telemetry, commands) = (&report["telemetry"], count(&report["commands"]));
    let reads = count(&telemetry["completed_reads"]);
    println!(
        "| {what} | {} | {} | {reads} | {commands} | {} | {} | {} | {} |",
        report["read_path"].as_str().unwrap(),
        report["memory"].as_str().unwrap(),
        commands - reads,
        telemetry["completed_bytes"],
        count(&report["bytes_passthrough"]) + count(&report["bytes_mapped"]),
        telemetry["cpu_bounce_bytes"],
    );
    (reads, commands)
}

#[test]
fn a_slot_takes_as_many_commands_as_the_queue_makes_of_it_and_no_more() {
    if !ready() {
        return;
    }
    let peer = peer();
    println!("| what | path | memory | reads | commands | more than reads | bytes that landed | bytes that commands brought | bytes copied |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let range = format!("0,{RANGE}");
    for id in [1, 2] {
        let namespace = Disk::find("data").namespace(id);
        let device = namespace.generic_path.to_str().unwrap();
        for slot in [4_u64 << 10, 64 << 10, 512 << 10, 1 << 20, 2 << 20] {
            for memory in [&[][..], &["--peer-memory", &peer]] {
                let size = slot.to_string();
                let flags = ["--device-range", &range, "--slot-size", &size, device];
                let report = report(&[&PASSTHROUGH[..], memory, &flags].concat());
                let what = format!(
                    "blocks of {}, slots of {} KiB",
                    namespace.block_bytes,
                    slot >> 10
                );
                let (reads, commands) = tell(&what, &report);
                let pieces = slot.div_ceil(namespace.max_transfer_bytes);
                assert_eq!(
                    (reads, commands),
                    (RANGE / slot, RANGE / slot * pieces),
                    "{what}"
                );
                assert_eq!(report["bytes_passthrough"], RANGE);
            }
        }
    }
    // A file's commands are those of its extents; where the file system maps it, one read each.
    let file = |flags: &[&str], index: usize| {
        let name = path(index);
        let report = report(&[flags, &["--slot-size", "1M", name.as_str()]].concat());
        tell(&format!("ext4, {}", FILES[index].0), &report)
    };
    assert_eq!(file(&PASSTHROUGH, 0), (2, 3));
    let (reads, commands) = file(&PASSTHROUGH, 1);
    assert!(reads == 2 && commands > 200, "{commands}");
    let by_peer = ["ingest", "--read-path", "peer", "--peer-memory", &peer];
    for (index, (_, bytes)) in FILES.iter().enumerate().take(4) {
        // A read of a file that ends within a block returns less than was asked for, and one more read sees the end.
        let ends = u64::from(!bytes.is_multiple_of(4096));
        let reads = bytes.div_ceil(1 << 20);
        assert_eq!(file(&by_peer, index), (reads, reads + ends));
    }
}
