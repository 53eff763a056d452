//! Rules about blocks: which blocks may contain which instructions, how deeply blocks may be nested, and how often.

use super::build::*;
use gristmill_vir0::{Instr, Op, Operand, Rule};
use Operand::{Imm, Reg};

pub fn add(corpus: &mut Corpus) {
    each_blocks(corpus);
    loops(corpus);
    depth(corpus);
    elses(corpus);
    ends(corpus);
    breaks(corpus);
    stores(corpus);
    mixtures(corpus);
}

fn each_blocks(corpus: &mut Corpus) {
    for (place, before, after) in places() {
        let at = before.len();
        let code = before.into_iter().chain([each(2), nop(), end()]);
        let program = with(code.chain(after).collect::<Vec<_>>());
        if ["at top", "behind an each"].contains(&place) {
            corpus.accept(format!("each {place}"), program);
        } else {
            corpus.refuse(format!("each {place}"), program, Rule::EachAtTop, at);
        }
    }
    for depth in [2, 15, 16] {
        let program = with(nested(when(), depth, &[each(1), end()]));
        corpus.refuse(
            format!("each in {depth} ifs"),
            program,
            Rule::EachAtTop,
            depth,
        );
    }
    for stride in [1, 2, 65_536, u32::MAX] {
        let program = with([each(stride), nop(), end()]);
        corpus.accept(format!("windows of {stride}"), program);
    }
    corpus.refuse("windows of 0", with([each(0), end()]), Rule::EachStride, 0);
    let body = with([each(0), nop(), acc(0, Imm(0)), end()]);
    corpus.refuse("windows of 0 with a body", body, Rule::EachStride, 0);
    let second = with([each(1), end(), nop(), each(0), end()]);
    corpus.refuse("windows of 0 in a second each", second, Rule::EachStride, 3);
}

fn loops(corpus: &mut Corpus) {
    for trips in [1, 2, 65_534, 65_535] {
        let program = with([repeat(trips), nop(), end()]);
        corpus.accept(format!("{trips} trips"), program);
    }
    for trips in [0, 65_536, 65_537, 1 << 24, 1 << 31, u32::MAX] {
        for (place, before, after) in places() {
            let at = before.len();
            let code = before.into_iter().chain([repeat(trips), end()]);
            let program = with(code.chain(after).collect::<Vec<_>>());
            corpus.refuse(
                format!("{trips} trips {place}"),
                program,
                Rule::LoopTrips,
                at,
            );
        }
    }
}

fn depth(corpus: &mut Corpus) {
    // The blocks are nested inside various other blocks. A program is refused when 17 blocks are open, at the 17th.
    for (what, open) in [("ifs", when()), ("loops of one trip", repeat(1))] {
        corpus.accept(format!("16 {what}"), with(nested(open, 16, &[nop()])));
        for depth in [17, 18, 64, 1000] {
            let program = with(nested(open, depth, &[nop()]));
            corpus.refuse(format!("{depth} {what}"), program, Rule::Depth, 16);
        }
        let in_each = |times| with(nested(each(1), 1, &nested(open, times, &[nop()])));
        corpus.accept(format!("15 {what} in an each"), in_each(15));
        corpus.refuse(
            format!("16 {what} in an each"),
            in_each(16),
            Rule::Depth,
            16,
        );
        let in_else = |times| {
            let mut code = vec![when(), otherwise()];
            code.extend(nested(open, times, &[]));
            code.push(end());
            with(code)
        };
        corpus.accept(format!("15 {what} in an else"), in_else(15));
        corpus.refuse(
            format!("16 {what} in an else"),
            in_else(16),
            Rule::Depth,
            17,
        );
        // Closed blocks do not count.
        let twice = |second| {
            let mut code = nested(open, 16, &[]);
            code.extend(nested(open, second, &[]));
            with(code)
        };
        corpus.accept(format!("16 {what} after 16"), twice(16));
        corpus.refuse(format!("17 {what} after 16"), twice(17), Rule::Depth, 48);
    }
    let mixed = |times: usize| {
        let mut code: Vec<Instr> = [when(), repeat(1)]
            .into_iter()
            .cycle()
            .take(times)
            .collect();
        code.extend(vec![end(); times]);
        with(code)
    };
    corpus.accept("16 ifs and loops in turn", mixed(16));
    corpus.refuse("17 ifs and loops in turn", mixed(17), Rule::Depth, 16);
    // As many blocks as a program can have instructions for.
    let all = with(nested(when(), 2048, &[]));
    corpus.refuse("2,048 ifs inside each other", all, Rule::Depth, 16);
}

fn elses(corpus: &mut Corpus) {
    for (what, code) in [
        ("an else", vec![when(), otherwise(), end()]),
        (
            "an else in an else",
            vec![when(), otherwise(), when(), otherwise(), end(), end()],
        ),
        (
            "an else after an inner if",
            vec![when(), when(), end(), otherwise(), end()],
        ),
        (
            "an else of an if in a loop",
            vec![repeat(1), when(), otherwise(), end(), end()],
        ),
    ] {
        corpus.accept(what, with(code));
    }
    let bad = [
        ("at top", vec![otherwise()], 0),
        ("at top, and ended", vec![otherwise(), end()], 0),
        ("after an instruction", vec![nop(), otherwise()], 1),
        ("in a loop", vec![repeat(1), otherwise(), end()], 1),
        ("in an each", vec![each(1), otherwise(), end()], 1),
        ("twice", vec![when(), otherwise(), otherwise(), end()], 2),
        (
            "twice, with instructions between",
            vec![when(), nop(), otherwise(), nop(), otherwise(), nop(), end()],
            4,
        ),
        (
            "three times",
            vec![when(), otherwise(), otherwise(), otherwise(), end()],
            2,
        ),
        ("after the if's end", vec![when(), end(), otherwise()], 2),
        (
            "of an if around the loop",
            vec![when(), repeat(1), otherwise(), end(), end()],
            2,
        ),
        (
            "twice, of an outer if",
            vec![when(), otherwise(), when(), end(), otherwise(), end()],
            4,
        ),
        (
            "of an if in an each, after its end",
            vec![each(1), when(), end(), otherwise(), end()],
            3,
        ),
        (
            "after a loop's end",
            vec![repeat(1), end(), otherwise(), end()],
            2,
        ),
    ];
    for (what, code, at) in bad {
        corpus.refuse(format!("else {what}"), with(code), Rule::ElseInIf, at);
    }
}

fn ends(corpus: &mut Corpus) {
    let bad = [
        ("alone", vec![end()], 0),
        ("first", vec![end(), when()], 0),
        ("after an instruction", vec![nop(), end()], 1),
        ("after an if", vec![when(), end(), end()], 2),
        ("after an else", vec![when(), otherwise(), end(), end()], 3),
        ("after a loop", vec![repeat(1), end(), end()], 2),
        ("after an each", vec![each(1), end(), end()], 2),
        ("and then what opens", vec![when(), end(), end(), when()], 2),
        ("a hundred times", vec![end(); 100], 0),
        ("after 16 blocks", nested(when(), 16, &[]), 32),
    ];
    for (what, mut code, at) in bad {
        if what == "after 16 blocks" {
            code.push(end());
        }
        corpus.refuse(format!("end {what}"), with(code), Rule::EndOfBlock, at);
    }
    let bad = [
        ("if", vec![when()], 0),
        ("if with a body", vec![nop(), when(), nop()], 1),
        ("else", vec![when(), otherwise()], 0),
        ("loop", vec![repeat(1), nop()], 0),
        ("each", vec![each(1), nop()], 0),
        ("second each", vec![each(1), end(), each(1), nop()], 2),
        ("outer if", vec![when(), when(), end()], 0),
        ("if in an each", vec![each(1), when(), end()], 0),
        ("three blocks", vec![each(1), when(), repeat(1)], 2),
        (
            "loop around an else",
            vec![repeat(1), when(), otherwise(), end()],
            0,
        ),
        ("block before halt", vec![when(), halt()], 0),
        ("16 blocks", vec![when(); 16], 15),
        (
            "one of 16 blocks",
            nested(when(), 16, &[])[..31].to_vec(),
            0,
        ),
    ];
    for (what, code, at) in bad {
        corpus.refuse(
            format!("without an end: {what}"),
            with(code),
            Rule::Unclosed,
            at,
        );
    }
    // The program is as long as allowed, and its last instruction opens a block.
    let mut code = vec![nop(); 4095];
    code.push(repeat(1));
    corpus.refuse(
        "open at the last instruction",
        with(code),
        Rule::Unclosed,
        4095,
    );
}

fn breaks(corpus: &mut Corpus) {
    for (place, code, at) in everywhere(leave()) {
        if place.contains("loop") {
            corpus.accept(format!("break {place}"), with(code));
        } else {
            corpus.refuse(format!("break {place}"), with(code), Rule::BreakInLoop, at);
        }
    }
    corpus.accept(
        "break in an if in a loop",
        with([
            repeat(2),
            when(),
            leave(),
            otherwise(),
            leave(),
            end(),
            end(),
        ]),
    );
    let bad = [
        ("behind a loop", vec![repeat(2), end(), leave()], 2),
        ("before a loop", vec![leave(), repeat(2), end()], 0),
        (
            "in an if behind a loop",
            vec![repeat(2), end(), when(), leave(), end()],
            3,
        ),
        (
            "in an each behind a loop",
            vec![repeat(2), end(), each(1), leave(), end()],
            3,
        ),
        (
            "behind a loop in an each",
            vec![each(1), repeat(2), leave(), end(), leave(), end()],
            4,
        ),
        ("in 16 ifs", nested(when(), 16, &[leave()]), 16),
    ];
    for (what, code, at) in bad {
        corpus.refuse(format!("break {what}"), with(code), Rule::BreakInLoop, at);
    }
}

fn stores(corpus: &mut Corpus) {
    let store = scratch(Op::SSt, 0, Reg(2));
    for (place, code, at) in everywhere(store) {
        if place.contains("in an each") {
            corpus.refuse(format!("s.st {place}"), with(code), Rule::StoreAtTop, at);
        } else {
            corpus.accept(format!("s.st {place}"), with(code));
        }
    }
    let deep = with(nested(each(1), 1, &nested(when(), 15, &[store])));
    corpus.refuse("s.st in 15 ifs in an each", deep, Rule::StoreAtTop, 16);
    let never = with([each(1), halt(), store, end()]);
    corpus.refuse("s.st behind halt in an each", never, Rule::StoreAtTop, 2);
    let second = with([each(1), end(), store, each(1), store, end()]);
    corpus.refuse("s.st in a second each", second, Rule::StoreAtTop, 4);
}

fn mixtures(corpus: &mut Corpus) {
    let of = |op, array| scratch(op, array, Imm(3));
    for first in SHARED {
        for second in SHARED {
            let words = format!("{} and {}", first.mnemonic(), second.mnemonic());
            let (one, two) = (of(first, 1), of(second, 1));
            let in_one = with([each(1), one, two, end()]);
            let in_parts = with([each(4), when(), one, otherwise(), two, end(), end()]);
            if first == second {
                corpus.accept(format!("{words} in one each"), in_one);
                corpus.accept(format!("{words} in two parts of an if"), in_parts);
                continue;
            }
            corpus.refuse(
                format!("{words} in one each"),
                in_one,
                Rule::ScratchMixed,
                2,
            );
            let what = format!("{words} in two parts of an if");
            corpus.refuse(what, in_parts, Rule::ScratchMixed, 4);
            corpus.accept(
                format!("{words} in two each blocks"),
                with([each(1), one, end(), each(1), two, end()]),
            );
            corpus.accept(format!("{words} at top"), with([one, two, of(Op::SSt, 1)]));
            corpus.accept(
                format!("{words} of two arrays"),
                with([each(1), of(first, 0), two, end()]),
            );
            corpus.accept(
                format!("{words}, one of them at top"),
                with([one, each(1), two, end()]),
            );
        }
    }
    let (load, add) = (of(Op::SLd, 0), of(Op::SAdd, 0));
    let bad = [
        // Other indexes still belong to the same array.
        (
            "at two indexes",
            vec![each(1), load, scratch(Op::SAdd, 0, Imm(4)), end()],
            2,
        ),
        (
            "in a loop",
            vec![each(1), repeat(2), load, add, end(), end()],
            3,
        ),
        (
            "deep and not deep",
            vec![each(1), load, when(), when(), add, end(), end(), end()],
            4,
        ),
        ("behind halt", vec![each(1), load, halt(), add, end()], 3),
        (
            "in a second each",
            vec![each(1), load, end(), each(1), add, load, end()],
            5,
        ),
        (
            "after many of one kind",
            vec![each(1), add, add, add, of(Op::SLd, 1), load, end()],
            5,
        ),
    ];
    for (what, code, at) in bad {
        let what = format!("read and updated {what}");
        corpus.refuse(what, with(code), Rule::ScratchMixed, at);
    }
}
