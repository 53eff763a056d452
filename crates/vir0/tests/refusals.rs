//! Unsafe, malformed and hostile programs: none is accepted, and each is refused for the rule that it breaks.

use gristmill_vir0::container::Malformed;
use gristmill_vir0::isa::InstrError;
use gristmill_vir0::random::{program, Numbers};
use gristmill_vir0::{
    decode, encode, verify, AccArray, AccKind, Arg, Debug, DecodeError, Instr, Limits, Op, Operand,
    Program, Rule, Scratch,
};
use std::collections::{BTreeMap, BTreeSet};

const NONE: Operand = Operand::Reg(0);

fn i(op: Op, dst: u8, a: u8, b: Operand) -> Instr {
    Instr { op, dst, a, b }
}

fn n(op: Op, number: u32) -> Instr {
    i(op, 0, 0, Operand::Imm(number))
}

fn bare(op: Op) -> Instr {
    i(op, 0, 0, NONE)
}

/// Blocks inside each other, and their ends.
fn nested(openers: &[Instr], inside: &[Instr]) -> Vec<Instr> {
    let mut code = openers.to_vec();
    code.extend(inside);
    code.extend(openers.iter().map(|_| bare(Op::End)));
    code
}

fn scratch(name: &str, words: u16) -> Scratch {
    Scratch {
        name: name.into(),
        words,
    }
}

fn acc(name: &str, len: u16) -> AccArray {
    AccArray {
        name: name.into(),
        kind: AccKind::Sum,
        len,
    }
}

fn arg(name: &str) -> Arg {
    Arg {
        name: name.into(),
        default: Some(1),
    }
}

/// A rule, how it is broken, and the change that breaks it alone.
type Breaker = (Rule, &'static str, fn(&mut Program));

/// One rule each. What they are applied to is an accepted program with at least one array of each kind.
const BREAKERS: &[Breaker] = &[
    (Rule::CodeSize, "no instructions", |p| p.code.clear()),
    (Rule::CodeSize, "one too many", |p| {
        p.code.resize(4097, bare(Op::Halt))
    }),
    (Rule::CodeSize, "many too many", |p| {
        p.code.resize(60_000, bare(Op::Halt))
    }),
    (Rule::Halo, "before", |p| p.before = 4097),
    (Rule::Halo, "after", |p| p.after = 4097),
    (Rule::Halo, "both", |p| {
        (p.before, p.after) = (u16::MAX, u16::MAX)
    }),
    (Rule::ChunkSize, "of nothing", |p| p.chunk = 0),
    (Rule::ChunkSize, "one byte too large", |p| {
        p.chunk = (1 << 24) + 1
    }),
    (Rule::ChunkSize, "the largest number", |p| {
        p.chunk = u32::MAX
    }),
    (Rule::Align, "zero", |p| p.align = 0),
    (Rule::Align, "no power of two", |p| p.align = 3),
    (Rule::Align, "larger than the chunk", |p| p.align = 1 << 25),
    (Rule::Align, "does not divide", |p| {
        (p.chunk, p.align) = (4097, 4096)
    }),
    (Rule::Records, "one too many", |p| p.records = 65_537),
    (Rule::Records, "the largest number", |p| {
        p.records = u32::MAX
    }),
    (Rule::TableSize, "one byte too large", |p| {
        p.table.resize((256 << 10) + 1, 0)
    }),
    (Rule::ArgCount, "eight", |p| p.args.resize(8, arg("again"))),
    (Rule::ScratchSize, "seventeen arrays", |p| {
        p.scratch.resize(17, scratch("again", 1))
    }),
    (Rule::ScratchSize, "one word too many", |p| {
        p.scratch = vec![scratch("large", 4097)]
    }),
    (Rule::ScratchSize, "two arrays", |p| {
        p.scratch = vec![scratch("one", 4096), scratch("two", 1)];
    }),
    (Rule::ScratchSize, "an empty one", |p| {
        p.scratch.push(scratch("empty", 0))
    }),
    (Rule::AccSize, "one too many", |p| {
        p.accs = vec![acc("large", 1025)]
    }),
    (Rule::AccSize, "two arrays", |p| {
        p.accs = vec![acc("one", 1024), acc("two", 1)]
    }),
    (Rule::AccSize, "an empty one", |p| {
        p.accs.push(acc("empty", 0))
    }),
    (Rule::Names, "the program's empty", |p| p.name.clear()),
    (Rule::Names, "the program's with a blank", |p| {
        p.name = "two words".into()
    }),
    (Rule::Names, "twice", |p| {
        let name = p.accs[0].name.clone();
        p.accs.push(acc(&name, 1));
    }),
    (Rule::Names, "of two kinds", |p| {
        let name = p.accs[0].name.clone();
        p.scratch[0].name = name;
    }),
    (Rule::Names, "too long", |p| p.accs[0].name = "x".repeat(33)),
    (Rule::Names, "a register's", |p| {
        p.accs[0].name = "r31".into()
    }),
    (Rule::Names, "a digit first", |p| {
        p.accs[0].name = "3d".into()
    }),
    (Rule::Names, "a newline in it", |p| {
        p.accs[0].name = "a\nb".into()
    }),
    (Rule::Names, "not ASCII", |p| p.accs[0].name = "é".into()),
    (Rule::Fields, "register 32", |p| {
        p.code.push(i(Op::Not, 32, 0, NONE))
    }),
    (Rule::Fields, "register 255", |p| {
        p.code.push(i(Op::Add, 0, 255, NONE))
    }),
    (Rule::Fields, "b is register 32", |p| {
        p.code.push(i(Op::Add, 0, 0, Operand::Reg(32)))
    }),
    (Rule::Fields, "a field that is not used", |p| {
        p.code.push(i(Op::Halt, 1, 0, NONE))
    }),
    (Rule::Fields, "another", |p| {
        p.code.push(i(Op::Len, 0, 1, NONE))
    }),
    (Rule::Fields, "an immediate of nothing", |p| {
        p.code.push(i(Op::Len, 0, 0, Operand::Imm(0)))
    }),
    (Rule::Fields, "no immediate", |p| {
        p.code.push(i(Op::Loop, 0, 0, Operand::Reg(1)))
    }),
    (Rule::Fields, "each of a register", |p| {
        p.code.push(i(Op::Each, 0, 0, Operand::Reg(1)))
    }),
    (Rule::ArgNumber, "one too far", |p| {
        let number = p.args.len() as u32;
        p.code.push(i(Op::Arg, 0, 0, Operand::Imm(number)));
    }),
    (Rule::ArgNumber, "the largest number", |p| {
        p.code.push(i(Op::Arg, 0, 0, Operand::Imm(u32::MAX)));
    }),
    (Rule::ScratchArray, "read", |p| {
        let array = p.scratch.len() as u8;
        p.code.push(i(Op::SLd, 0, array, NONE));
    }),
    (Rule::ScratchArray, "stored", |p| {
        let array = p.scratch.len() as u8;
        p.code.push(i(Op::SSt, array, 0, NONE));
    }),
    (Rule::ScratchArray, "updated, in each", |p| {
        let inside = [i(Op::SXor, 255, 0, NONE)];
        p.code.extend(nested(&[n(Op::Each, 1)], &inside));
    }),
    (Rule::AccArray, "one too far", |p| {
        let array = p.accs.len() as u8;
        p.code.push(i(Op::Acc, array, 0, NONE));
    }),
    (Rule::AccArray, "the last number", |p| {
        p.code.push(i(Op::Acc, 255, 0, NONE))
    }),
    (Rule::ConstantIndex, "of an accumulator", |p| {
        let len = u32::from(p.accs[0].len);
        p.code.push(i(Op::Acc, 0, 0, Operand::Imm(len)));
    }),
    (Rule::ConstantIndex, "of scratch, read", |p| {
        let words = u32::from(p.scratch[0].words);
        p.code.push(i(Op::SLd, 0, 0, Operand::Imm(words)));
    }),
    (Rule::ConstantIndex, "of scratch, updated", |p| {
        p.code.push(i(Op::SAdd, 0, 0, Operand::Imm(u32::MAX)));
    }),
    (Rule::EachAtTop, "in each", |p| {
        p.code
            .extend(nested(&[n(Op::Each, 1), n(Op::Each, 1)], &[]));
    }),
    (Rule::EachAtTop, "in if", |p| {
        p.code.extend(nested(&[bare(Op::If), n(Op::Each, 1)], &[]));
    }),
    (Rule::EachAtTop, "in loop", |p| {
        p.code
            .extend(nested(&[n(Op::Loop, 2), n(Op::Each, 1)], &[]));
    }),
    (Rule::EachAtTop, "in else", |p| {
        let code = [
            bare(Op::If),
            bare(Op::Else),
            n(Op::Each, 1),
            bare(Op::End),
            bare(Op::End),
        ];
        p.code.extend(code);
    }),
    (Rule::EachStride, "no bytes", |p| {
        p.code.extend(nested(&[n(Op::Each, 0)], &[]))
    }),
    (Rule::LoopTrips, "none", |p| {
        p.code.extend(nested(&[n(Op::Loop, 0)], &[]))
    }),
    (Rule::LoopTrips, "one too many", |p| {
        p.code.extend(nested(&[n(Op::Loop, 65_536)], &[]))
    }),
    (Rule::LoopTrips, "for ever", |p| {
        p.code.extend(nested(&[n(Op::Loop, u32::MAX)], &[]))
    }),
    (Rule::LoopTrips, "in each", |p| {
        p.code
            .extend(nested(&[n(Op::Each, 1), n(Op::Loop, 0)], &[]));
    }),
    (Rule::Depth, "ifs", |p| {
        p.code.extend(nested(&[bare(Op::If); 17], &[]))
    }),
    (Rule::Depth, "ifs in each", |p| {
        let mut openers = vec![n(Op::Each, 1)];
        openers.resize(17, bare(Op::If));
        p.code.extend(nested(&openers, &[]));
    }),
    (Rule::Depth, "loops", |p| {
        p.code.extend(nested(&[n(Op::Loop, 1); 17], &[]))
    }),
    (Rule::Depth, "thousands", |p| {
        p.code = vec![bare(Op::If); 4096]
    }),
    (Rule::ElseInIf, "at top level", |p| {
        p.code.push(bare(Op::Else))
    }),
    (Rule::ElseInIf, "in loop", |p| {
        p.code.extend(nested(&[n(Op::Loop, 1)], &[bare(Op::Else)]))
    }),
    (Rule::ElseInIf, "in each", |p| {
        p.code.extend(nested(&[n(Op::Each, 1)], &[bare(Op::Else)]))
    }),
    (Rule::ElseInIf, "twice", |p| {
        p.code
            .extend(nested(&[bare(Op::If)], &[bare(Op::Else), bare(Op::Else)]));
    }),
    (Rule::EndOfBlock, "of nothing", |p| {
        p.code.push(bare(Op::End))
    }),
    (Rule::EndOfBlock, "once too often", |p| {
        p.code.extend(nested(&[bare(Op::If)], &[bare(Op::End)]));
    }),
    (Rule::EndOfBlock, "first of all", |p| {
        p.code.insert(0, bare(Op::End))
    }),
    (Rule::Unclosed, "an if", |p| p.code.push(bare(Op::If))),
    (Rule::Unclosed, "a loop", |p| p.code.push(n(Op::Loop, 3))),
    (Rule::Unclosed, "an each", |p| p.code.push(n(Op::Each, 1))),
    (Rule::Unclosed, "an else", |p| {
        p.code.extend([bare(Op::If), bare(Op::Else)])
    }),
    (Rule::BreakInLoop, "at top level", |p| {
        p.code.push(bare(Op::Break))
    }),
    (Rule::BreakInLoop, "in each", |p| {
        p.code.extend(nested(&[n(Op::Each, 1)], &[bare(Op::Break)]));
    }),
    (Rule::BreakInLoop, "in if", |p| {
        p.code.extend(nested(&[bare(Op::If)], &[bare(Op::Break)]))
    }),
    (Rule::BreakInLoop, "behind a loop", |p| {
        p.code
            .extend([n(Op::Loop, 1), bare(Op::End), bare(Op::Break)]);
    }),
    (Rule::StoreAtTop, "in each", |p| {
        p.code.extend(nested(
            &[n(Op::Each, 1)],
            &[i(Op::SSt, 0, 0, Operand::Imm(0))],
        ));
    }),
    (Rule::StoreAtTop, "in an if in each", |p| {
        let store = i(Op::SSt, 0, 0, Operand::Imm(0));
        p.code
            .extend(nested(&[n(Op::Each, 1), bare(Op::If)], &[store]));
    }),
    (Rule::ScratchMixed, "read and updated", |p| {
        let inside = [
            i(Op::SLd, 0, 0, Operand::Imm(0)),
            i(Op::SAdd, 0, 0, Operand::Imm(0)),
        ];
        p.code.extend(nested(&[n(Op::Each, 1)], &inside));
    }),
    (Rule::ScratchMixed, "updated and read", |p| {
        let inside = [
            i(Op::SMax, 0, 0, Operand::Imm(0)),
            i(Op::SLd, 0, 0, Operand::Imm(0)),
        ];
        p.code.extend(nested(&[n(Op::Each, 1)], &inside));
    }),
    (Rule::ScratchMixed, "updated in two ways", |p| {
        let inside = [
            i(Op::SOr, 0, 0, Operand::Imm(0)),
            i(Op::SXor, 0, 0, Operand::Imm(0)),
        ];
        p.code.extend(nested(&[n(Op::Each, 1)], &inside));
    }),
    (Rule::ScratchMixed, "in both branches", |p| {
        let (add, or) = (
            i(Op::SAdd, 0, 0, Operand::Imm(0)),
            i(Op::SOr, 0, 0, Operand::Imm(0)),
        );
        p.code.extend(nested(
            &[n(Op::Each, 1), bare(Op::If)],
            &[add, bare(Op::Else), or],
        ));
    }),
    (Rule::EmitDeclared, "at top level", |p| {
        p.records = 0;
        p.code.insert(0, bare(Op::Emit));
    }),
    (Rule::EmitDeclared, "in each", |p| {
        p.records = 0;
        p.code = nested(&[n(Op::Each, 1)], &[bare(Op::Emit)]);
    }),
    (Rule::Cost, "loops in loops", |p| {
        p.code.extend(nested(&[n(Op::Loop, 65_535); 4], &[]))
    }),
    (Rule::Cost, "as deep as can be", |p| {
        // More than 64 bits can count.
        p.code
            .extend(nested(&[n(Op::Loop, 65_535); 16], &[bare(Op::Halt)]));
    }),
    (Rule::Cost, "for every byte", |p| {
        p.chunk = 1 << 24;
        p.align = 1;
        let openers = [n(Op::Each, 1), n(Op::Loop, 65_535)];
        p.code.extend(nested(&openers, &[bare(Op::Break)]));
    }),
];

/// Accepted programs to break: random ones, with an array of each kind.
fn accepted(seed: u64) -> Program {
    let mut base = program(seed);
    base.scratch.truncate(8);
    base.accs.truncate(8);
    if base.scratch.is_empty() {
        base.scratch.push(scratch("spare", 5));
    }
    verify(base.clone(), &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal}"));
    base
}

#[test]
fn every_program_of_the_corpus_is_refused_for_its_rule() {
    let mut corpus = BTreeSet::new();
    let mut rules = BTreeMap::<Rule, usize>::new();
    for seed in 0..12 {
        for (rule, how, break_it) in BREAKERS {
            let mut broken = accepted(seed);
            break_it(&mut broken);
            match verify(broken.clone(), &Limits::default()) {
                Err(refusal) => {
                    assert_eq!(refusal.rule, *rule, "{rule:?}, {how}, {seed}: {refusal}");
                    assert!(refusal.to_string().contains(rule.demand()));
                }
                Ok(_) => panic!("accepted: {rule:?}, {how}, program {seed}"),
            }
            if corpus.insert(format!("{broken:?}")) {
                *rules.entry(*rule).or_default() += 1;
            }
        }
    }
    println!("{} programs: {rules:?}", corpus.len());
    assert!(corpus.len() >= 300, "{} programs", corpus.len());
    for rule in Rule::ALL {
        assert!(
            rules.get(&rule).is_some_and(|count| *count > 1),
            "{rule:?} is not covered"
        );
    }
}

#[test]
fn what_is_just_within_the_limits_is_accepted() {
    let with = |change: fn(&mut Program)| {
        let mut program = Program {
            scratch: vec![scratch("words", 16)],
            accs: vec![acc("sums", 16)],
            args: vec![arg("given")],
            records: 1,
            code: vec![bare(Op::Halt)],
            ..Program::default()
        };
        change(&mut program);
        verify(program, &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal}"));
    };
    with(|p| p.code.resize(4096, bare(Op::Halt)));
    with(|p| (p.before, p.after) = (4096, 4096));
    with(|p| (p.chunk, p.align) = (1, 1));
    with(|p| (p.chunk, p.align) = (1 << 24, 1 << 24));
    with(|p| p.records = 65_536);
    with(|p| p.table.resize(256 << 10, 0));
    with(|p| p.args = (0..7).map(|index| arg(&format!("arg{index}"))).collect());
    with(|p| {
        p.scratch = (0..16)
            .map(|index| scratch(&format!("s{index}"), 256))
            .collect()
    });
    with(|p| p.scratch = vec![scratch("all", 4096)]);
    with(|p| p.accs = vec![acc("all", 1024)]);
    with(|p| p.accs[0].name = "x".repeat(32));
    with(|p| p.accs[0].name = "r32".into());
    with(|p| p.code.push(i(Op::Arg, 31, 0, Operand::Imm(0))));
    with(|p| p.code.push(i(Op::Acc, 0, 31, Operand::Imm(15))));
    with(|p| p.code.push(i(Op::SLd, 31, 0, Operand::Imm(15))));
    with(|p| p.code.extend(nested(&[bare(Op::If); 16], &[])));
    with(|p| {
        p.code
            .extend(nested(&[n(Op::Loop, 65_535)], &[bare(Op::Break)]))
    });
    with(|p| {
        p.code
            .extend(nested(&[n(Op::Loop, 1), bare(Op::If)], &[bare(Op::Break)]))
    });
    with(|p| p.code.extend(nested(&[n(Op::Each, u32::MAX)], &[])));
    with(|p| p.code.extend(nested(&[bare(Op::If)], &[bare(Op::Else)])));
    with(|p| p.code.push(i(Op::SSt, 0, 0, Operand::Imm(0))));
    // One way of use in each each, another in the next.
    with(|p| {
        for op in [Op::SAdd, Op::SXor] {
            let inside = [i(op, 0, 0, NONE), i(op, 0, 1, NONE)];
            p.code.extend(nested(&[n(Op::Each, 1)], &inside));
        }
        p.code
            .extend(nested(&[n(Op::Each, 1)], &[i(Op::SLd, 0, 0, NONE)]));
    });
}

#[test]
fn the_cost_is_exact_at_the_limit() {
    // 1 for the each, and for each of 100 windows: 1 for the loop and 5 times 2, and the dearer branch.
    let mut code = vec![
        n(Op::Each, 10),
        n(Op::Loop, 5),
        bare(Op::If),
        bare(Op::Break),
    ];
    code.extend([bare(Op::Else), bare(Op::End), bare(Op::End), bare(Op::End)]);
    let program = Program {
        chunk: 1000,
        code,
        ..Program::default()
    };
    let cost = 1 + 100 * (1 + 5 * 2);
    let verified = verify(program.clone(), &Limits { cost }).unwrap();
    assert_eq!(verified.cost().at(1000), cost);
    assert_eq!(verified.cost().at(991), cost);
    assert_eq!(verified.cost().at(990), cost - 11);
    let refusal = verify(program, &Limits { cost: cost - 1 }).unwrap_err();
    assert_eq!(refusal.rule, Rule::Cost);
}

#[test]
fn a_refusal_names_instruction_and_line() {
    let program = Program {
        code: vec![bare(Op::Halt), bare(Op::Halt), bare(Op::End)],
        debug: Some(Debug {
            source: "x.vasm".into(),
            lines: vec![3, 5, 9],
        }),
        ..Program::default()
    };
    let refusal = verify(program, &Limits::default()).unwrap_err();
    assert_eq!((refusal.instruction, refusal.line), (Some(2), Some(9)));
    assert!(refusal.to_string().starts_with("instruction 2 (line 9): "));
}

fn malformed(bytes: &[u8]) -> DecodeError {
    decode(bytes).expect_err("accepted")
}

/// The same with the checksum of what it has become.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..body]);
    bytes[body..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A small program with every section, and where they begin: META, CODE, TABL, DBUG, checksum.
fn small() -> (Vec<u8>, [usize; 5]) {
    let program = Program {
        name: "small".into(),
        args: vec![arg("limit")],
        scratch: vec![scratch("words", 4)],
        accs: vec![acc("sum", 1)],
        table: vec![1, 2, 3],
        code: vec![bare(Op::Halt), i(Op::Add, 1, 2, Operand::Imm(3))],
        debug: Some(Debug {
            source: "s".into(),
            lines: vec![1, 2],
        }),
        ..Program::default()
    };
    let bytes = encode(&program).unwrap();
    assert_eq!(decode(&bytes).unwrap(), program);
    let at = |tag: &[u8]| bytes.windows(4).position(|window| window == tag).unwrap();
    let places = [
        at(b"META"),
        at(b"CODE"),
        at(b"TABL"),
        at(b"DBUG"),
        bytes.len() - 4,
    ];
    (bytes, places)
}

#[test]
fn a_container_that_is_cut_short_anywhere_is_refused() {
    for seed in 0..4 {
        let bytes = encode(&program(seed)).unwrap();
        for len in 0..bytes.len() {
            malformed(&bytes[..len]);
            // With a checksum of its own it may be a whole program, of fewer sections: then that is what it says.
            let shorter = sealed(bytes[..len.max(4)].to_vec());
            if let Ok(program) = decode(&shorter) {
                assert_eq!(encode(&program).unwrap(), shorter);
            }
        }
        let mut longer = bytes.clone();
        longer.push(0);
        malformed(&longer);
    }
}

#[test]
fn a_container_with_any_bit_turned_is_refused() {
    let (bytes, _) = small();
    for bit in 0..bytes.len() * 8 {
        let mut turned = bytes.clone();
        turned[bit / 8] ^= 1 << (bit % 8);
        malformed(&turned);
    }
}

#[test]
fn what_is_wrong_with_a_container_is_told_with_its_offset() {
    let (bytes, [meta, code, table, debug, end]) = small();
    let check = |what: Malformed, offset: usize, change: &dyn Fn(&mut Vec<u8>)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        assert_eq!(malformed(&sealed(changed)), DecodeError { offset, what });
    };
    check(Malformed::Magic, 0, &|b| b[3] = b'1');
    check(Malformed::Version(2), 4, &|b| b[4] = 2);
    check(Malformed::Version(0x0101), 4, &|b| b[5] = 1);
    check(Malformed::Flags(1), 6, &|b| b[6] = 1);
    check(Malformed::Section(*b"MENA"), meta, &|b| b[meta + 2] = b'N');
    check(Malformed::Missing(*b"META"), meta, &|b| {
        b.drain(meta..code);
    });
    check(Malformed::Missing(*b"CODE"), code, &|b| {
        b.drain(code..table);
    });
    check(Malformed::Section(*b"TABL"), table + end - debug, &|b| {
        // DBUG before TABL.
        let moved: Vec<u8> = b.drain(table..debug).collect();
        b.splice(end - moved.len()..end - moved.len(), moved);
    });
    check(Malformed::Section(*b"CODE"), table, &|b| {
        let again = b[code..table].to_vec();
        b.splice(table..table, again);
    });
    check(Malformed::Section(*b"MORE"), end, &|b| {
        b.splice(end..end, *b"MORE\0\0\0\0");
    });
    check(Malformed::Trailing, end, &|b| {
        b.splice(end..end, [0, 0]);
    });
    check(Malformed::Empty, table + 8, &|b| {
        b.drain(table + 8..debug);
        b[table + 4] = 0;
    });
    // Lengths that lie: of more than there is, of 4 GiB, of less than the contents.
    check(Malformed::Truncated, meta + 8, &|b| b[meta + 6] = 1);
    check(Malformed::Truncated, code + 8, &|b| {
        b[code + 4..code + 8].fill(0xFF)
    });
    check(Malformed::Truncated, code + 16, &|b| b[code + 4] = 15);
    check(Malformed::Lines, debug + 11, &|b| {
        b.drain(end - 4..end);
        b[debug + 4] -= 4;
    });
    check(Malformed::Truncated, debug + 10, &|b| b[debug + 8] = 100);
    check(Malformed::Name, debug + 10, &|b| b[debug + 10] = 0xFF);
    // META: a length and the name; 4 + 4 + 4 + 4 numbers; then the arguments.
    let name = meta + 8;
    check(Malformed::Name, name, &|b| b[name + 1] = 0x80);
    check(Malformed::Name, name, &|b| b[name + 1] = b'1');
    check(Malformed::Truncated, name + 1, &|b| b[name] = 255);
    let arg = name + 6 + 16 + 1;
    check(Malformed::Name, arg, &|b| b[arg + 1] = b' ');
    check(Malformed::Value, arg + 6, &|b| b[arg + 6] = 2);
    // No default, but a value for it.
    check(Malformed::Value, arg + 6, &|b| b[arg + 6] = 0);
    let kind = code - 3;
    check(Malformed::Value, kind, &|b| b[kind] = 5);
    check(Malformed::Trailing, code, &|b| {
        b.insert(code, 0);
        b[meta + 4] += 1;
    });
    let first = code + 8;
    let instruction = |error| Malformed::Instruction(error);
    check(instruction(InstrError::Opcode(0)), first, &|b| b[first] = 0);
    check(instruction(InstrError::Opcode(0x7F)), first, &|b| {
        b[first] = 0xFF
    });
    check(instruction(InstrError::Unused(1)), first + 1, &|b| {
        b[first + 1] = 1
    });
    check(instruction(InstrError::Unused(4)), first + 4, &|b| {
        b[first + 7] = 1
    });
    check(instruction(InstrError::Form), first, &|b| b[first] |= 0x80);
    check(instruction(InstrError::Register(1)), first + 9, &|b| {
        b[first + 9] = 32
    });
    check(instruction(InstrError::Unused(3)), first + 11, &|b| {
        b[first + 11] = 1
    });
    let mut wrong = bytes.clone();
    wrong[end] ^= 1;
    let checksum = DecodeError {
        offset: end,
        what: Malformed::Checksum,
    };
    assert_eq!(malformed(&wrong), checksum);
    assert_eq!(malformed(&vec![0; (1 << 20) + 1]).what, Malformed::TooLong);
}

#[test]
fn what_no_container_can_hold_is_not_encoded() {
    let with = |change: fn(&mut Program)| {
        let (bytes, _) = small();
        let mut program = decode(&bytes).unwrap();
        change(&mut program);
        assert!(encode(&program).is_err());
    };
    with(|p| p.name = String::new());
    with(|p| p.args[0].name = "a b".into());
    with(|p| p.scratch[0].name = "r7".into());
    with(|p| p.accs = vec![acc("again", 1); 256]);
    with(|p| p.code[0].dst = 1);
    with(|p| p.code[1].a = 32);
    with(|p| p.table = vec![0; 1 << 20]);
    with(|p| p.debug.as_mut().unwrap().lines.clear());
    with(|p| p.debug.as_mut().unwrap().source = "x".repeat(65_536));
}

#[test]
fn random_changes_to_accepted_containers_are_refused_or_harmless() {
    // With the checksum corrected, a change may give another program: then that is what its bytes say.
    let mut numbers = Numbers::new(11);
    for _ in 0..20_000 {
        let mut bytes = encode(&program(numbers.next_u64() % 50)).unwrap();
        let at = numbers.below(bytes.len() as u32) as usize;
        bytes[at] = numbers.next_u64().to_le_bytes()[0];
        let bytes = sealed(bytes);
        if let Ok(program) = decode(&bytes) {
            assert_eq!(encode(&program).unwrap(), bytes);
        }
    }
}
