//! Both interpreters have the same semantics: on random programs the vectorised interpreter leaves the same results as
//! the reference interpreter, for every number of lanes and every vector unit. No program executes more instructions
//! than its static cost.

use fastrand::Rng;
use gristmill_vir0::random::program;
use gristmill_vir0::vector::{Level, Machine};
use gristmill_vir0::{reference, verify, Chunk, Limits, Op, Results, Stop, Verified};
use std::collections::BTreeMap;

const LANES: [usize; 5] = [1, 8, 64, 100, 256];

/// The number of programs, which `VIR0_PROGRAMS` can increase.
fn programs() -> u64 {
    std::env::var("VIR0_PROGRAMS")
        .ok()
        .and_then(|number| number.parse().ok())
        .unwrap_or(4_000)
}

/// A random program, and what it runs on.
struct Input {
    program: Verified,
    data: Vec<u8>,
    start: usize,
    len: usize,
    base: u64,
    args: Vec<u32>,
}

impl Input {
    fn random(seed: u64) -> Input {
        let program = verify(program(seed), &Limits::default())
            .unwrap_or_else(|refusal| panic!("program {seed}: {refusal}"));
        let mut numbers = Rng::with_seed(!seed);
        let len = [0, 1, 15, 17, 256, 257, 700, 1500][numbers.usize(..8)];
        let around = numbers.usize(..80);
        let mut data = std::iter::repeat_with(|| numbers.u8(..))
            .take(len + 2 * around)
            .collect::<Vec<u8>>();
        if numbers.bool() {
            data.iter_mut().for_each(|byte| *byte &= 3);
        }
        let start = around.min(data.len() - len);
        let args: Vec<u32> = (0..7).map(|_| numbers.u32(..1000)).collect();
        let base = numbers.u64(..) >> 8;
        Input {
            program,
            data,
            start,
            len,
            base,
            args,
        }
    }

    fn chunk(&self) -> Chunk<'_> {
        Chunk::new(&self.data, self.start, self.len, self.base, &self.args).unwrap()
    }
}

/// The number of the way in which a program ended: done, overflowed or faulted.
fn outcome(how: Result<(), Stop>) -> usize {
    match how {
        Ok(()) => 0,
        Err(Stop::Overflow) => 1,
        Err(Stop::Fault(_)) => 2,
        Err(Stop::Cancelled) => panic!("nobody has cancelled it"),
    }
}

#[test]
fn random_programs_agree_and_keep_to_their_cost() {
    let first = gristmill_testing::seed("VIR0_SEED").wrapping_mul(1 << 20);
    let levels: Vec<Level> = Level::ALL
        .into_iter()
        .filter(|l| l.is_available())
        .collect();
    let mut outcomes = [0; 3];
    for seed in first..first + programs() {
        let input = Input::random(seed);
        let (verified, chunk) = (&input.program, input.chunk());
        let mut expected = Results::default();
        let how = reference::run(verified, &chunk, &mut expected);
        let cost = verified.cost().at(input.len as u32);
        assert!(
            expected.steps <= cost,
            "program {seed}: {} steps and a cost of {cost}",
            expected.steps
        );
        outcomes[outcome(how)] += 1;
        for &level in &levels {
            for lanes in LANES {
                let mut machine = Machine::with(verified, lanes, level);
                let mut results = Results::default();
                // It runs twice: nothing of the first run may affect the second.
                for _ in 0..2 {
                    let got = machine.run(&chunk, &mut results);
                    assert_eq!(got, how, "program {seed}, {lanes} lanes, {level:?}");
                    if how.is_ok() {
                        assert_eq!(
                            results, expected,
                            "program {seed}, {lanes} lanes, {level:?}"
                        );
                    }
                }
            }
        }
    }
    println!("done, overflowed, faulted: {outcomes:?}");
}

/// Seeds that are always the same, because a few random programs may well all end in the same way.
#[test]
fn programs_end_in_every_way() {
    let mut outcomes = [0; 3];
    for seed in 0..4_000 {
        let input = Input::random(seed);
        let how = reference::run(&input.program, &input.chunk(), &mut Results::default());
        outcomes[outcome(how)] += 1;
    }
    assert!(outcomes.iter().all(|&count| count > 10), "{outcomes:?}");
}

#[test]
fn no_opcode_is_left_out() {
    let mut seen: BTreeMap<Op, u32> = BTreeMap::new();
    for seed in 0..2_000 {
        let program = program(seed);
        // Instructions that are certain to be executed: those outside of any block, and the first in an `each` over
        // some bytes.
        let mut depth = 0;
        for (index, instr) in program.code.iter().enumerate() {
            if instr.op == Op::End {
                depth -= 1;
            }
            let first = index > 0 && program.code[index - 1].op == Op::Each;
            if depth == 0 || first || matches!(instr.op, Op::Break | Op::Halt | Op::Else) {
                *seen.entry(instr.op).or_default() += 1;
            }
            depth += i32::from(instr.op.opens());
        }
    }
    for op in Op::ALL {
        let count = seen.get(op).copied().unwrap_or(0);
        assert!(count >= 5, "{} is tested {count} times", op.mnemonic());
    }
}
