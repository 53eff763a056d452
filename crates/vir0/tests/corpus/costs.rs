//! The static cost: exact to the instruction at the limit, and correct where it does not fit into 64 bits.

use super::build::*;
use gristmill_vir0::{verify, Instr, Limits, Op, Operand, Program, Rule};

pub fn add(corpus: &mut Corpus) {
    let chunked = |chunk: u32, code: Vec<Instr>| Program {
        chunk,
        align: 1,
        ..with(code)
    };
    let both = vec![when(), nop(), otherwise(), nop(), nop(), end()];
    let inner = vec![repeat(100), when(), leave(), end(), end()];
    let branch: Vec<Instr> = [each(3)]
        .into_iter()
        .chain(both.clone())
        .chain([end()])
        .collect();
    // The costs are written by hand: each instruction counts one, except `else` and `end`; of an `if`, the larger part
    // counts.
    for (what, program, cost) in [
        ("one instruction", chunked(1, vec![nop()]), 1),
        ("ten", chunked(1, vec![nop(); 10]), 10),
        ("halt first", chunked(1, vec![halt(), nop(), nop()]), 3),
        ("an if", chunked(1, both), 1 + 2),
        (
            "a loop",
            chunked(1, vec![repeat(1000), nop(), nop(), end()]),
            1 + 2000,
        ),
        ("a break", chunked(1, inner), 1 + 200),
        (
            "two loops",
            chunked(1, nested(repeat(10), 2, &[nop()])),
            1 + 10 * (1 + 10),
        ),
        (
            "an each of bytes",
            chunked(1000, vec![each(1), nop(), end()]),
            1 + 1000,
        ),
        ("an each of 3 bytes", chunked(1000, branch), 1 + 334 * 3),
        ("an empty each", chunked(1 << 24, vec![each(1), end()]), 1),
        (
            "a window for all",
            chunked(1000, vec![each(u32::MAX), nop(), end()]),
            2,
        ),
        (
            "two each blocks",
            chunked(
                10,
                vec![each(1), nop(), end(), nop(), each(4), nop(), nop(), end()],
            ),
            3 + 10 + 3 * 2,
        ),
    ] {
        let limits = Limits {
            cost,
            work: u64::MAX,
        };
        corpus
            .good
            .push((format!("{what} for {cost}"), program.clone(), limits));
        for limit in [cost - 1, cost / 2, 0] {
            let what = format!("{what}, {cost} where {limit} are allowed");
            let limits = Limits {
                cost: limit,
                work: u64::MAX,
            };
            // Programs of small cost would get the same limit more than once.
            let seen = |bad: &Bad| bad.program == program && bad.limits == limits;
            if !corpus.bad.iter().any(seen) {
                corpus.refuse_within(what, program.clone(), limits, Rule::Cost, None);
            }
        }
    }
    // Exactly the limit of every mill, 2^34 instructions: the `each`, 1,023 instructions for each of 2^24 bytes, and
    // the remaining instructions before it, as a loop.
    let full = |rest: u32| {
        let (high, low) = (rest / 1024, rest % 1024);
        let mut code = vec![repeat(high), repeat(1023), nop(), end(), end()];
        code.extend(vec![nop(); low as usize]);
        code.push(each(1));
        code.extend(vec![nop(); 1023]);
        code.push(end());
        chunked(1 << 24, code)
    };
    corpus.accept("2^34 instructions", full((1 << 24) - 2));
    corpus.refuse("2^34 and one", full((1 << 24) - 1), Rule::Cost, None);
    hostile(corpus, chunked);
    wrapping(corpus, chunked);
    laborious(corpus, chunked);
}

/// Programs that execute few instructions but take long: each is within the limit on instructions, and far above the
/// limit on work.
fn laborious(corpus: &mut Corpus, chunked: impl Fn(u32, Vec<Instr>) -> Program + Copy) {
    let mut refuse = |what: &str, program: Program| {
        let limits = Limits {
            work: u64::MAX,
            ..Limits::default()
        };
        verify(program.clone(), &limits).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
        corpus.refuse(what, program, Rule::Work, None);
    };
    // The ends of loops are not counted: this makes 2^32 instructions, and 2^48 trips.
    refuse(
        "loops around nothing",
        chunked(1, nested(repeat(65_535), 3, &[])),
    );
    let code = nested(repeat(65_535), 2, &[nop()]);
    refuse("2^32 instructions at top level", chunked(1, code.clone()));
    refuse(
        "a block of one window",
        chunked(1 << 16, nested(each(1 << 16), 1, &code)),
    );
    let divisions = vec![instr(Op::Divu, 1, 2, Operand::Reg(3)); 1000];
    refuse(
        "divisions in every window",
        chunked(1 << 24, nested(each(1), 1, &divisions)),
    );
    let both = [
        vec![when()],
        vec![nop(); 1000],
        vec![otherwise()],
        vec![nop(); 1000],
        vec![end()],
    ];
    // If the windows of a block differ, the block executes both parts.
    refuse(
        "both parts of an if",
        chunked(1 << 24, nested(each(1), 1, &both.concat())),
    );
    let windows = [each(1), end()].repeat(2000);
    refuse("empty windows", chunked(1 << 24, windows));
    // A program that the default limits are meant to allow, and that only just keeps to them.
    corpus.accept(
        "2^26 instructions at top level",
        chunked(1, nested(repeat(8_192), 2, &[nop()])),
    );
}

/// Costs that do not fit into 64 bits, or only just fit. They must not wrap to small ones.
fn hostile(corpus: &mut Corpus, chunked: impl Fn(u32, Vec<Instr>) -> Program + Copy) {
    for depth in 3..=16 {
        let code = nested(repeat(65_535), depth, &[nop()]);
        let what = format!("{depth} loops of 65,535 trips inside each other");
        corpus.refuse(what, chunked(1, code), Rule::Cost, None);
        // If anything wraps, trips that are powers of two wrap to a cost of zero.
        let code = nested(repeat(32_768), depth, &[nop()]);
        let what = format!("{depth} loops of 32,768 trips inside each other");
        corpus.refuse(what, chunked(1, code), Rule::Cost, None);
    }
    for depth in 1..=15 {
        let code = nested(each(1), 1, &nested(repeat(65_535), depth, &[nop()]));
        let what = format!("{depth} loops of 65,535 trips for each of 2^24 bytes");
        corpus.refuse(what, chunked(1 << 24, code), Rule::Cost, None);
    }
    // Sums: of costs that are as large as possible, and of parts that are each under the limit.
    let largest = nested(repeat(65_535), 5, &[nop()]);
    let twice = [largest.clone(), largest.clone()].concat();
    corpus.refuse("twice more than fits", chunked(1, twice), Rule::Cost, None);
    let windows = nested(each(1), 1, &largest);
    let both = [largest.clone(), windows.clone(), windows].concat();
    corpus.refuse(
        "more than fits, in every way",
        chunked(1 << 24, both),
        Rule::Cost,
        None,
    );
    let many = [each(1), repeat(1000), nop(), end(), end()].repeat(819);
    corpus.accept(
        "819 each blocks of 4,096 bytes",
        chunked(4096, many.clone()),
    );
    corpus.refuse(
        "819 each blocks of 2^24 bytes",
        chunked(1 << 24, many),
        Rule::Cost,
        None,
    );
    let half = [vec![each(1)], vec![nop(); 1000], vec![end()]].concat();
    corpus.accept(
        "an each of 1,000 instructions",
        chunked(1 << 24, half.clone()),
    );
    let two = [half.clone(), half].concat();
    corpus.refuse("two of them", chunked(1 << 24, two), Rule::Cost, None);
    // The costly code is in the first part of an `if`, in a loop that is left at once, and after `halt`.
    let costly = nested(repeat(65_535), 4, &[]);
    let hidden = [
        (
            "in an if",
            [vec![when()], costly.clone(), vec![otherwise(), end()]],
        ),
        (
            "in an else",
            [
                vec![when(), nop(), otherwise()],
                costly.clone(),
                vec![end()],
            ],
        ),
        (
            "behind a break",
            [vec![repeat(1), leave()], costly.clone(), vec![end()]],
        ),
        ("behind halt", [vec![halt()], costly.clone(), vec![]]),
        (
            "in an if and not in an else",
            [vec![when()], costly, vec![otherwise(), nop(), end()]],
        ),
    ];
    for (what, code) in hidden {
        corpus.refuse(
            format!("loops {what}"),
            chunked(1, code.concat()),
            Rule::Cost,
            None,
        );
    }
    // Where less than the largest limit is allowed, no cost wraps to a value below the limit.
    let program = chunked(
        1 << 24,
        nested(each(1), 1, &nested(repeat(65_535), 15, &[nop()])),
    );
    for cost in [u64::MAX - 1, 1 << 63, u64::from(u32::MAX)] {
        let limits = Limits {
            cost,
            work: u64::MAX,
        };
        let refusal = verify(program.clone(), &limits).expect_err("more than 2^64");
        assert_eq!(refusal.rule, Rule::Cost);
        let what = format!("more than 2^64 instructions where {cost} are allowed");
        corpus.refuse_within(what, program.clone(), limits, Rule::Cost, None);
    }
}

/// Instructions that cost exactly `cost`: nested loops, each as large as possible.
fn costing(cost: u64) -> Vec<Instr> {
    // By depth: the cost of nested loops of 65,535 trips.
    let full: Vec<u64> = (0..4).fold(vec![1], |mut full, _| {
        full.push(1 + 65_535 * full[full.len() - 1]);
        full
    });
    let (mut code, mut rest) = (Vec::new(), cost);
    while rest > 0 {
        let Some(inner) = (0..4).rfind(|depth| full[*depth] < rest) else {
            code.push(nop());
            rest -= 1;
            continue;
        };
        let trips = ((rest - 1) / full[inner]).min(65_535);
        code.push(repeat(trips as u32));
        code.extend(nested(repeat(65_535), inner, &[nop()]));
        code.push(end());
        rest -= 1 + trips * full[inner];
    }
    code
}

/// Costs of 2^64 and slightly more, in each place where costs are added or multiplied. A sum that wraps would be small.
fn wrapping(corpus: &mut Corpus, chunked: impl Fn(u32, Vec<Instr>) -> Program + Copy) {
    for cost in [1, 2, 65_536, 1 << 20, (1 << 34) - 1, 1 << 34] {
        let program = chunked(1, costing(cost));
        let limits = Limits {
            cost,
            work: u64::MAX,
        };
        let what = format!("exactly {cost} instructions");
        corpus.good.push((what, program.clone(), limits));
        let verified = verify(program, &limits).expect("it costs no more");
        assert_eq!(verified.cost().at(1), cost);
    }
    let mut refuse = |what: String, program| corpus.refuse(what, program, Rule::Cost, None);
    for cost in [(1 << 34) + 1, 1 << 35, 1 << 48, 1 << 63, u64::MAX] {
        refuse(format!("{cost} instructions"), chunked(1, costing(cost)));
    }
    for bits in 1..=15 {
        let trips = 1_u32 << bits;
        let body = costing(1 << (64 - bits));
        let code = nested(repeat(trips), 1, &body);
        refuse(format!("2^64 as {trips} trips"), chunked(1, code.clone()));
        let code = nested(each(1), 1, &code);
        refuse(
            format!("2^64 as {trips} trips in an each"),
            chunked(1, code),
        );
        let part = [vec![when()], nested(repeat(trips), 1, &body), vec![end()]].concat();
        refuse(format!("2^64 as {trips} trips in an if"), chunked(1, part));
        // A program has no room for more parts.
        if bits <= 5 {
            let code = body.repeat(1 << bits);
            refuse(format!("2^64 as {trips} parts"), chunked(1, code.clone()));
            let code = nested(each(1), 1, &code);
            refuse(
                format!("2^64 as {trips} parts in an each"),
                chunked(1, code),
            );
        }
    }
    for bits in 1..=24 {
        let windows = 1_u32 << bits;
        let code = nested(each(1), 1, &costing(1 << (64 - bits)));
        refuse(format!("2^64 as {windows} windows"), chunked(windows, code));
        // The code before the windows costs all that is left.
        let before = costing(u64::MAX - u64::from(windows));
        let code = [before, vec![each(1), nop(), end()]].concat();
        refuse(
            format!("2^64 with {windows} windows"),
            chunked(windows, code),
        );
    }
    let half = nested(each(1), 1, &costing(1 << 39));
    let twice = [half.clone(), half].concat();
    refuse("2^64 as two each blocks".into(), chunked(1 << 24, twice));
}
