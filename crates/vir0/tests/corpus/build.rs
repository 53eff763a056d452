//! Short ways to write instructions and programs, and the corpus that collects them.

use gristmill_vir0::{AccArray, AccKind, Arg, Instr, Limits, Op, Operand, Program, Rule, Scratch};
use Operand::{Imm, Reg};

/// A program that must be refused.
pub struct Bad {
    pub what: String,
    pub program: Program,
    pub limits: Limits,
    pub rule: Rule,
    /// The instruction that breaks the rule, for rules about single instructions.
    pub at: Option<usize>,
}

/// Programs that must be refused, and programs that differ from them only slightly and must be accepted.
#[derive(Default)]
pub struct Corpus {
    pub bad: Vec<Bad>,
    pub good: Vec<(String, Program, Limits)>,
}

impl Corpus {
    pub fn refuse(
        &mut self,
        what: impl Into<String>,
        program: Program,
        rule: Rule,
        at: impl Into<Option<usize>>,
    ) {
        self.refuse_within(what, program, Limits::default(), rule, at);
    }

    pub fn refuse_within(
        &mut self,
        what: impl Into<String>,
        program: Program,
        limits: Limits,
        rule: Rule,
        at: impl Into<Option<usize>>,
    ) {
        self.bad.push(Bad {
            what: what.into(),
            program,
            limits,
            rule,
            at: at.into(),
        });
    }

    pub fn accept(&mut self, what: impl Into<String>, program: Program) {
        self.good.push((what.into(), program, Limits::default()));
    }
}

pub fn instr(op: Op, dst: u8, a: u8, b: Operand) -> Instr {
    Instr { op, dst, a, b }
}

pub fn nop() -> Instr {
    instr(Op::Mov, 1, 0, Imm(7))
}

pub fn each(stride: u32) -> Instr {
    instr(Op::Each, 1, 0, Imm(stride))
}

pub fn repeat(trips: u32) -> Instr {
    instr(Op::Loop, 0, 0, Imm(trips))
}

pub fn when() -> Instr {
    instr(Op::If, 0, 1, Reg(0))
}

pub fn otherwise() -> Instr {
    instr(Op::Else, 0, 0, Reg(0))
}

pub fn end() -> Instr {
    instr(Op::End, 0, 0, Reg(0))
}

pub fn leave() -> Instr {
    instr(Op::Break, 0, 1, Reg(0))
}

pub fn halt() -> Instr {
    instr(Op::Halt, 0, 0, Reg(0))
}

pub fn emit() -> Instr {
    instr(Op::Emit, 0, 1, Reg(2))
}

pub fn arg(number: u32) -> Instr {
    instr(Op::Arg, 1, 0, Imm(number))
}

pub fn acc(array: u8, index: Operand) -> Instr {
    instr(Op::Acc, array, 1, index)
}

/// An instruction on a scratch array. In `s.ld` the array's number is in another field.
pub fn scratch(op: Op, array: u8, index: Operand) -> Instr {
    if op == Op::SLd {
        instr(op, 1, array, index)
    } else {
        instr(op, array, 1, index)
    }
}

/// The opcodes that use scratch memory inside an `each`.
pub const SHARED: [Op; 6] = [Op::SLd, Op::SAdd, Op::SMin, Op::SMax, Op::SOr, Op::SXor];

/// A program that declares two of everything and does nothing.
pub fn base() -> Program {
    let text = String::from;
    Program {
        name: text("victim"),
        before: 16,
        after: 32,
        chunk: 65_536,
        align: 4,
        records: 16,
        args: vec![
            Arg {
                name: text("wanted"),
                default: None,
            },
            Arg {
                name: text("given"),
                default: Some(7),
            },
        ],
        scratch: scratches(&[16, 8]),
        accs: accs(&[4, 2]),
        code: vec![nop()],
        table: (0..64).collect(),
        shows: Vec::new(),
        debug: None,
    }
}

pub fn scratches(words: &[u16]) -> Vec<Scratch> {
    let array = |(number, words): (usize, &u16)| Scratch {
        name: format!("scratch_{number}"),
        words: *words,
    };
    words.iter().enumerate().map(array).collect()
}

pub fn accs(lens: &[u16]) -> Vec<AccArray> {
    let array = |(number, len): (usize, &u16)| AccArray {
        name: format!("acc_{number}"),
        kind: AccKind::ALL[number % AccKind::ALL.len()],
        len: *len,
    };
    lens.iter().enumerate().map(array).collect()
}

pub fn args(count: usize) -> Vec<Arg> {
    let arg = |number| Arg {
        name: format!("arg_{number}"),
        default: Some(number as u32),
    };
    (0..count).map(arg).collect()
}

/// The base program with these instructions as its code.
pub fn with(code: impl Into<Vec<Instr>>) -> Program {
    Program {
        code: code.into(),
        ..base()
    }
}

/// The base program with a change applied.
pub fn changed(change: impl FnOnce(&mut Program)) -> Program {
    let mut program = base();
    change(&mut program);
    program
}

/// `open` repeated `times` times, then `inside`, then as many `end`s.
pub fn nested(open: Instr, times: usize, inside: &[Instr]) -> Vec<Instr> {
    let mut code = vec![open; times];
    code.extend(inside);
    code.extend(vec![end(); times]);
    code
}

/// The places in which an instruction can stand: for each, the instructions before and after it.
pub fn places() -> Vec<(&'static str, Vec<Instr>, Vec<Instr>)> {
    vec![
        ("at top", vec![], vec![]),
        ("in an if", vec![when()], vec![end()]),
        ("in an else", vec![when(), otherwise()], vec![end()]),
        ("in a loop", vec![repeat(2)], vec![end()]),
        ("in an each", vec![each(1)], vec![end()]),
        ("in an if in an each", vec![each(1), when()], vec![end(); 2]),
        (
            "in an else in an each",
            vec![each(4), when(), otherwise()],
            vec![end(); 2],
        ),
        (
            "in a loop in an each",
            vec![each(1), repeat(3)],
            vec![end(); 2],
        ),
        ("behind an each", vec![each(1), end()], vec![]),
    ]
}

/// The instruction in every place: the name of the place, the code, and the instruction's position in it.
pub fn everywhere(what: Instr) -> impl Iterator<Item = (&'static str, Vec<Instr>, usize)> {
    places().into_iter().map(move |(place, before, after)| {
        let at = before.len();
        let code = before.into_iter().chain([what]).chain(after).collect();
        (place, code, at)
    })
}
