//! A program that is cancelled ends soon, however long it would run.

use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::vector::{Level, Machine};
use gristmill_vir0::{reference, verify, Chunk, Limits, Results, Stop, Verified};
use std::cell::Cell;

fn program(source: &str) -> Verified {
    let files = |_: &str| Err(std::io::Error::other("none"));
    let options = AsmOptions {
        name: "long.vasm",
        files: &files,
        debug: false,
    };
    // With the default limits, the verifier would refuse the program.
    let limits = Limits {
        cost: u64::MAX,
        work: u64::MAX,
    };
    verify(assemble(source, &options).unwrap(), &limits).unwrap()
}

/// Programs that would run for years.
fn endless() -> Vec<Verified> {
    let many = "loop 65535\nloop 65535\nloop 65535\nloop 65535\n";
    let ends = "end\nend\nend\nend\n";
    [
        format!("{many}{ends}"),
        format!("{many}add r1, r1, 1\n{ends}"),
        format!("each r2, 1\n{many}{ends}end\n"),
        format!("each r2, 1000000\n{many}add r1, r1, 1\n{ends}end\n"),
        // Some windows leave the loop at once, and all others never leave it.
        format!("each r2, 1\n{many}and r3, r2, 1\nbreak r3\n{ends}end\n"),
        format!(".acc n min\neach r2, 1\nif r2\n{many}acc n, r2\n{ends}end\nend\n"),
    ]
    .iter()
    .map(|source| program(source))
    .collect()
}

#[test]
fn a_cancelled_program_ends_whatever_it_does() {
    let data = vec![7; 1000];
    let chunk = Chunk::alone(&data, 0, &[]).unwrap();
    for program in endless() {
        for looks in [1, 2, 5] {
            let asked = Cell::new(0);
            let cancelled = || {
                asked.set(asked.get() + 1);
                asked.get() >= looks
            };
            let mut results = Results::default();
            let stop = reference::run_until(&program, &chunk, &mut results, &cancelled);
            assert_eq!(stop, Err(Stop::Cancelled));
            assert_eq!(asked.get(), looks, "asked no more once it was cancelled");
            for lanes in [1, 64, 256] {
                asked.set(0);
                let mut machine = Machine::with(&program, lanes, Level::best());
                let stop = machine.run_until(&chunk, &mut results, &cancelled);
                assert_eq!(stop, Err(Stop::Cancelled), "{lanes} lanes");
                assert_eq!(asked.get(), looks, "{lanes} lanes");
            }
        }
    }
}

#[test]
fn nothing_of_a_cancelled_run_is_left() {
    let source = ".chunk 4096\n.scratch s 4\n.acc n sum\nmov r4, 1\neach r2, 1\ns.add s, 1, r4\nend\ns.ld r1, s, 1\nacc n, r1\n\
                  loop 60000\nend\nloop 60000\nend\neach r3, 1\nloop 3000\nend\nend\n";
    let program = program(source);
    let data = vec![7; 1000];
    let chunk = Chunk::alone(&data, 0, &[]).unwrap();
    let mut expected = Results::default();
    reference::run(&program, &chunk, &mut expected).unwrap();
    assert_eq!(expected.accs, [1000]);
    let mut machine = Machine::new(&program);
    let mut results = Results::default();
    let stop = machine.run_until(&chunk, &mut results, &|| true);
    assert_eq!(stop, Err(Stop::Cancelled));
    machine.run(&chunk, &mut results).unwrap();
    assert_eq!(results, expected);
}
