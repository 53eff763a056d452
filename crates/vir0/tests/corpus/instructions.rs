//! Rules about single instructions: their fields, and the things that the fields refer to.

use super::build::*;
use gristmill_vir0::isa::Shape;
use gristmill_vir0::{Instr, Op, Operand, Program, Rule};
use Operand::{Imm, Reg};

pub fn add(corpus: &mut Corpus) {
    fields(corpus);
    arguments(corpus);
    arrays(corpus);
    indexes(corpus);
    emits(corpus);
}

/// What a field of an instruction may hold.
#[derive(Clone, Copy, PartialEq)]
enum Holds {
    Nothing,
    Register,
    Array,
    RegisterOrImmediate,
    Immediate,
}

/// The contents of dst, a and b. This repeats the documents, and does not use the code under test.
fn holds(shape: Shape) -> [Holds; 3] {
    use Holds::{Array, Immediate, Nothing, Register, RegisterOrImmediate as Either};
    match shape {
        Shape::Bare => [Nothing, Nothing, Nothing],
        Shape::Dst => [Register, Nothing, Nothing],
        Shape::DstA => [Register, Register, Nothing],
        Shape::DstB => [Register, Nothing, Either],
        Shape::DstAB => [Register, Register, Either],
        Shape::DstN => [Register, Nothing, Immediate],
        Shape::DstArrayIndex => [Register, Array, Either],
        Shape::ArrayIndexValue => [Array, Register, Either],
        Shape::AB => [Nothing, Register, Either],
        Shape::A => [Nothing, Register, Nothing],
        Shape::N => [Nothing, Nothing, Immediate],
    }
}

/// The instruction with the largest possible register numbers.
pub fn whole(op: Op) -> Instr {
    let [dst, a, b] = holds(op.shape());
    let field = |holds| if holds == Holds::Register { 31 } else { 0 };
    let b = match b {
        Holds::Immediate => Imm(1),
        Holds::RegisterOrImmediate => Reg(31),
        _ => Reg(0),
    };
    instr(op, field(dst), field(a), b)
}

/// The instruction with one field that it must not have, in every possible way.
pub fn broken_fields(whole: Instr) -> Vec<(&'static str, Instr)> {
    let [dst, a, b] = holds(whole.op.shape());
    let mut all = Vec::new();
    let wrong = |holds| match holds {
        Holds::Nothing => vec![1, 31, 255],
        Holds::Register => vec![32, 128, 255],
        _ => vec![],
    };
    all.extend(
        wrong(dst)
            .into_iter()
            .map(|dst| ("dst", Instr { dst, ..whole })),
    );
    all.extend(wrong(a).into_iter().map(|a| ("a", Instr { a, ..whole })));
    let operands = match b {
        Holds::Nothing => vec![Reg(1), Reg(32), Imm(0), Imm(7)],
        Holds::Immediate => vec![Reg(0), Reg(1)],
        _ => vec![Reg(32), Reg(255)],
    };
    all.extend(operands.into_iter().map(|b| ("b", Instr { b, ..whole })));
    all
}

/// A program in which the instruction can stand, and its position there.
fn around(instr: Instr) -> (Program, usize) {
    let (before, after) = match instr.op {
        Op::Else => (vec![when()], vec![end()]),
        Op::End => (vec![when()], vec![]),
        Op::Break => (vec![repeat(1)], vec![end()]),
        op if op.opens() => (vec![], vec![end()]),
        _ => (vec![], vec![]),
    };
    let at = before.len();
    let code: Vec<Instr> = before.into_iter().chain([instr]).chain(after).collect();
    (with(code), at)
}

fn fields(corpus: &mut Corpus) {
    for op in Op::ALL {
        let whole = whole(*op);
        corpus.accept(format!("{} of r31", op.mnemonic()), around(whole).0);
        if holds(op.shape())[2] == Holds::RegisterOrImmediate {
            let constant = Instr { b: Imm(0), ..whole };
            corpus.accept(
                format!("{} of a constant", op.mnemonic()),
                around(constant).0,
            );
        }
        for (field, broken) in broken_fields(whole) {
            let (program, at) = around(broken);
            let what = format!("{} with a wrong field {field}: {broken:?}", op.mnemonic());
            corpus.refuse(what, program, Rule::Fields, at);
        }
    }
}

fn arguments(corpus: &mut Corpus) {
    for number in [0, 1] {
        for (place, code, _) in everywhere(arg(number)) {
            corpus.accept(format!("arg {number} of 2 {place}"), with(code));
        }
    }
    for number in [2, 3, 7, 255, 256, 1 << 31, u32::MAX] {
        for (place, code, at) in everywhere(arg(number)) {
            let what = format!("arg {number} of 2 {place}");
            corpus.refuse(what, with(code), Rule::ArgNumber, at);
        }
    }
    let mut program = with([arg(0)]);
    program.args.clear();
    corpus.refuse("arg 0 of none", program, Rule::ArgNumber, 0);
    let most = |number| Program {
        args: args(7),
        ..with([arg(number)])
    };
    corpus.accept("arg 6 of 7", most(6));
    corpus.refuse("arg 7 of 7", most(7), Rule::ArgNumber, 0);
}

fn arrays(corpus: &mut Corpus) {
    let ops = SHARED.into_iter().chain([Op::SSt]);
    for op in ops {
        let word = op.mnemonic();
        for number in [2, 3, 16, 128, 255] {
            for (place, code, at) in everywhere(scratch(op, number, Reg(2))) {
                // In an `each`, the instruction already breaks another rule.
                if op == Op::SSt && code[0].op == Op::Each && code[1].op != Op::End {
                    continue;
                }
                let what = format!("{word} of scratch array {number} of 2 {place}");
                corpus.refuse(what, with(code), Rule::ScratchArray, at);
            }
        }
        corpus.accept(
            format!("{word} of the last scratch array"),
            with([scratch(op, 1, Reg(2))]),
        );
        let mut program = with([scratch(op, 0, Imm(0))]);
        program.scratch.clear();
        corpus.refuse(format!("{word} of none"), program, Rule::ScratchArray, 0);
        let sixteen = |number| Program {
            scratch: scratches(&[1; 16]),
            ..with([scratch(op, number, Imm(0))])
        };
        corpus.accept(format!("{word} of array 15 of 16"), sixteen(15));
        corpus.refuse(
            format!("{word} of array 16 of 16"),
            sixteen(16),
            Rule::ScratchArray,
            0,
        );
    }
    for number in [2, 3, 128, 255] {
        for (place, code, at) in everywhere(acc(number, Imm(0))) {
            let what = format!("acc of array {number} of 2 {place}");
            corpus.refuse(what, with(code), Rule::AccArray, at);
        }
    }
    let mut program = with([acc(0, Imm(0))]);
    program.accs.clear();
    corpus.refuse("acc of none", program, Rule::AccArray, 0);
    let many = |number| Program {
        accs: accs(&[1; 255]),
        ..with([acc(number, Imm(0))])
    };
    corpus.accept("acc of array 254 of 255", many(254));
    corpus.refuse("acc of array 255 of 255", many(255), Rule::AccArray, 0);
}

fn indexes(corpus: &mut Corpus) {
    let ops = SHARED.into_iter().chain([Op::SSt, Op::Acc]);
    for op in ops {
        let word = op.mnemonic();
        // The second array follows the first; its words must not be accessible through the first.
        for (array, len) in [
            (0, if op == Op::Acc { 4 } else { 16 }),
            (1, if op == Op::Acc { 2 } else { 8 }),
        ] {
            let at_index = |index| match op {
                Op::Acc => acc(array, Imm(index)),
                _ => scratch(op, array, Imm(index)),
            };
            corpus.accept(
                format!("{word} of array {array} at its last index"),
                with([at_index(len - 1)]),
            );
            for index in [len, len + 1, 65_536, 1 << 31, u32::MAX] {
                let what = format!("{word} of array {array} at {index} of {len}");
                corpus.refuse(what, with([at_index(index)]), Rule::ConstantIndex, 0);
            }
            for (place, code, at) in everywhere(at_index(len)) {
                if at == 0 || op == Op::SSt && code[0].op == Op::Each && code[1].op != Op::End {
                    continue;
                }
                let what = format!("{word} of array {array} at its end {place}");
                corpus.refuse(what, with(code), Rule::ConstantIndex, at);
            }
        }
    }
    // A computed index is checked when the program runs.
    corpus.accept(
        "a computed index",
        with([
            instr(Op::Mov, 2, 0, Imm(u32::MAX)),
            scratch(Op::SLd, 0, Reg(2)),
        ]),
    );
}

fn emits(corpus: &mut Corpus) {
    for (place, code, at) in everywhere(emit()) {
        let declaring = |records| Program {
            records,
            ..with(code.clone())
        };
        corpus.accept(format!("emit {place}, one record declared"), declaring(1));
        let what = format!("emit {place}, no records declared");
        corpus.refuse(what, declaring(0), Rule::EmitDeclared, at);
    }
    let mut program = with([halt(), emit()]);
    program.records = 0;
    // The instruction is never executed, but the rule applies to the code as it is written.
    corpus.refuse("emit behind halt", program, Rule::EmitDeclared, 1);
}
