//! The promises that the fuzz targets check, as functions of bytes. They run under libFuzzer, and also without it in
//! `crates/vir0/tests/fuzzed.rs`.

use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::disasm::disassemble;
use gristmill_vir0::isa::Shape;
use gristmill_vir0::vector::Machine;
use gristmill_vir0::{
    decode, encode, reference, verify, AccArray, AccKind, Arg, Chunk, Instr, Limits, Op, Operand,
    Program, Results, Rule, Scratch, Verified,
};

/// Bytes that decode are exactly the encoding of the decoded program, and the other way round; nothing panics. The
/// bytes are tried as they are, and with their checksum corrected.
pub fn container(input: &[u8]) {
    canonical(input);
    canonical(&with_checksum(input));
    for program in [structured(input, false).0, raw(input)] {
        if let Ok(bytes) = encode(&program) {
            assert_eq!(decode(&bytes), Ok(program), "nothing is lost");
        }
    }
}

fn canonical(bytes: &[u8]) {
    if let Ok(program) = decode(bytes) {
        let again = encode(&program).expect("what was decoded can be encoded");
        assert_eq!(again, bytes, "a program has one encoding");
    }
}

/// The bytes with their last four replaced by the checksum of those before.
pub fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(body) = bytes.len().checked_sub(4) {
        // CRC-32C (RFC 3720), bit by bit: reflected polynomial 0x82F63B78.
        let mut crc = u32::MAX;
        for byte in &bytes[..body] {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0x82F6_3B78 };
            }
        }
        bytes[body..].copy_from_slice(&(!crc).to_le_bytes());
    }
    bytes
}

/// The verifier answers for every input. A program that it accepts has a cost within the limit and cannot access
/// anything that it does not declare.
pub fn verifier(input: &[u8]) {
    let limits = Limits::default();
    let decoded = decode(&with_checksum(input)).ok();
    let made = [
        structured(input, false).0,
        structured(input, true).0,
        raw(input),
    ];
    for program in decoded.into_iter().chain(made) {
        let chunk = program.chunk;
        if let Ok(verified) = verify(program, &limits) {
            assert!(verified.cost().at(chunk) <= limits.cost);
            assert!(verified.work().at(chunk) <= limits.work);
            sound(&verified);
        }
    }
    // A program that is built to be accepted may still be refused, but only for its cost, its work or its code size.
    if let Err(refusal) = verify(structured(input, true).0, &limits) {
        assert!(
            matches!(refusal.rule, Rule::Cost | Rule::Work | Rule::CodeSize),
            "{refusal}"
        );
    }
}

/// Checks again, in a different way, what the interpreters rely on: it follows each block to the place where, according
/// to the verifier, it continues.
fn sound(verified: &Verified) {
    let program = verified.program();
    let code = &program.code;
    assert!((1..=4096).contains(&code.len()));
    let mut open: Vec<(Op, usize)> = Vec::new();
    for (index, instr) in code.iter().enumerate() {
        instr.check().expect("well-formed");
        // The target of every block comes after the block's beginning, lies inside the enclosing block, and is an
        // `else` or an `end`.
        let target = verified.target(index);
        if instr.op.opens() || instr.op == Op::Else {
            assert!(target > index && matches!(code[target].op, Op::Else | Op::End));
            assert!(code[target].op == Op::End || instr.op == Op::If);
        } else {
            assert_eq!(target, index);
        }
        match instr.op {
            Op::Each => assert!(open.is_empty() && instr.immediate() > Some(0)),
            Op::Loop => assert!((1..=65_535).contains(&instr.immediate().unwrap_or(0))),
            Op::Else | Op::End => {
                let (op, end) = open.pop().expect("a block is open");
                assert_eq!(end, index, "it ends where it was said to");
                assert!(instr.op == Op::End || op == Op::If);
            }
            Op::Break => assert!(open.iter().any(|(op, _)| *op == Op::Loop)),
            Op::Arg => {
                assert!((instr.immediate().expect("a number") as usize) < program.args.len())
            }
            Op::Acc => assert!(!verified.acc_range(instr.dst).is_empty()),
            Op::SLd => assert!(!verified.scratch_range(instr.a).is_empty()),
            Op::SSt => assert!(open.first().is_none_or(|(op, _)| *op != Op::Each)),
            Op::Emit => assert!(program.records > 0),
            _ => {}
        }
        if instr.op == Op::SSt || instr.op.is_scratch_update() {
            assert!(!verified.scratch_range(instr.dst).is_empty());
        }
        if instr.op.opens() || instr.op == Op::Else {
            open.push((instr.op, target));
            assert!(open.len() <= 16);
        }
    }
    assert!(open.is_empty());
}

/// An accepted program ends within its static cost, and both interpreters leave the same results, for every number of
/// lanes.
pub fn run(input: &[u8]) {
    let (program, data) = structured(input, true);
    let limits = Limits {
        cost: 200_000,
        // The ends of loops cost nothing but take time.
        work: 1 << 28,
    };
    let decoded = decode(&with_checksum(input)).ok();
    for mut program in decoded.into_iter().chain([program]) {
        // The limit is for the largest chunk, so with small chunks more programs keep to it.
        program.chunk = program.chunk.min(1024);
        program.align = 1;
        let Ok(verified) = verify(program, &limits) else {
            continue;
        };
        let (before, rest) = data.split_at(data.len() / 4);
        let len = (rest.len() / 2).min(verified.program().chunk as usize);
        let args = [1, 2, 3, 4, 5, 6, 7];
        let Some(chunk) = Chunk::new(data, before.len(), len, 1 << 33, &args) else {
            continue;
        };
        let mut expected = Results::default();
        let how = reference::run(&verified, &chunk, &mut expected);
        assert!(
            expected.steps <= verified.cost().at(len as u32),
            "within its cost"
        );
        // If the run stops without results, only the reason must be the same. Otherwise everything must be the same,
        // also in a second run of the same machine.
        for lanes in [1, 8, 64, 256] {
            let mut results = Results::default();
            let mut machine =
                Machine::with(&verified, lanes, gristmill_vir0::vector::Level::best());
            for time in ["first", "second"] {
                let stop = machine.run(&chunk, &mut results);
                assert_eq!(stop, how, "{lanes} lanes, {time} run");
                if how.is_ok() {
                    assert_eq!(results, expected, "{lanes} lanes, {time} run");
                }
            }
        }
    }
}

/// Every text assembles or is refused. A text that assembles, and every program, is unchanged after it went through the
/// disassembler and the assembler.
pub fn assembler(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(program) = assemble(&text, &options()) {
        round_trip(&program);
    }
    round_trip(&structured(input, false).0);
    round_trip(&structured(input, true).0);
    round_trip(&raw(input));
    if let Ok(program) = decode(&with_checksum(input)) {
        round_trip(&program);
    }
}

fn options() -> AsmOptions<'static> {
    AsmOptions {
        name: "fuzz.vasm",
        files: &|_| Err(std::io::ErrorKind::NotFound.into()),
        debug: true,
    }
}

fn round_trip(program: &Program) {
    // A program that no container can hold has no text either.
    if encode(program).is_err() {
        return;
    }
    let text = disassemble(program);
    match assemble(&text, &options()) {
        Ok(again) => assert_eq!(&again, program, "{text}"),
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// Instructions taken directly from bytes, as far as the bytes are instructions.
fn raw(input: &[u8]) -> Program {
    let words = input.as_chunks::<8>().0;
    Program {
        code: words
            .iter()
            .filter_map(|word| Instr::decode(*word).ok())
            .collect(),
        ..declared()
    }
}

fn declared() -> Program {
    let acc = |name: &str, kind, len| AccArray {
        name: name.into(),
        kind,
        len,
    };
    Program {
        before: 3,
        after: 5,
        chunk: 4096,
        records: 64,
        args: vec![Arg {
            name: "arg".into(),
            default: None,
        }],
        scratch: vec![
            Scratch {
                name: "first".into(),
                words: 16,
            },
            Scratch {
                name: "second".into(),
                words: 1,
            },
        ],
        accs: vec![
            acc("sum", AccKind::Sum, 4),
            acc("least", AccKind::Min, 1),
            acc("most", AccKind::Max, 300),
            acc("odd", AccKind::Xor, 2),
        ],
        table: (0..=255).collect(),
        ..Program::default()
    }
}

/// A program whose instructions are mostly well-formed and whose blocks are closed, and the bytes that are left for
/// data. The first byte is the number of instructions, and each instruction takes four bytes.
///
/// A legal program leaves out the instructions that are forbidden in their place, so that it can be refused only for
/// its cost, its work or its code size, and it stores what it computes into accumulators.
fn structured(input: &[u8], legal: bool) -> (Program, &[u8]) {
    let mut program = declared();
    let Some((count, rest)) = input.split_first() else {
        return (program, input);
    };
    let (words, _) = rest.as_chunks::<4>();
    let words = &words[..words.len().min(usize::from(*count))];
    let mut open: Vec<Op> = Vec::new();
    // For each scratch array, the opcode that uses it in the current `each`.
    let mut uses = [None; 2];
    for word @ [number, _, y, _] in words {
        let mut op = Op::ALL[usize::from(*number) % Op::ALL.len()];
        let in_each = open.first() == Some(&Op::Each);
        let is_scratch = op.is_scratch_update() || matches!(op, Op::SLd | Op::SSt);
        if legal {
            let forbidden = match op {
                Op::Each => !open.is_empty(),
                Op::Loop | Op::If => open.len() == 16,
                Op::Else => open.last() != Some(&Op::If),
                Op::End => open.is_empty(),
                Op::Break => !open.contains(&Op::Loop),
                Op::SSt => in_each,
                _ => false,
            };
            if forbidden {
                continue;
            }
            if is_scratch && in_each {
                op = *uses[usize::from(y % 2)].get_or_insert(op);
            }
        }
        match op {
            Op::Each => uses = [None; 2],
            Op::Else => {
                open.pop();
            }
            Op::End => {
                let closed = open.pop();
                if closed == Some(Op::Each) && legal {
                    program.code.extend(shown());
                }
            }
            _ => {}
        }
        // A block that an `else` opens has no other `else`.
        if op.opens() || op == Op::Else {
            open.push(op);
        }
        let mut instr = fields(op, word);
        if legal && (is_scratch || op == Op::Acc) {
            let (array, len) = if op == Op::Acc {
                (y % 4, [4, 1, 300, 2][usize::from(y % 4)])
            } else {
                (y % 2, [16, 1][usize::from(y % 2)])
            };
            if op == Op::SLd {
                instr.a = array;
            } else {
                instr.dst = array;
            }
            if let Operand::Imm(index) = &mut instr.b {
                *index %= len;
            }
        }
        program.code.push(instr);
    }
    let end = Instr {
        op: Op::End,
        dst: 0,
        a: 0,
        b: Operand::Reg(0),
    };
    while let Some(op) = open.pop() {
        if op == Op::Each && legal {
            program.code.extend(shown());
        }
        program.code.push(end);
    }
    if legal {
        program.code.extend(shown());
        program.code.extend(scratch_shown());
    }
    (program, &rest[words.len() * 4..])
}

/// Adds every register to an accumulator. Without this, most of what an instruction computes would never be visible.
fn shown() -> impl Iterator<Item = Instr> {
    (0..8).map(|register: u8| Instr {
        op: Op::Acc,
        dst: 0,
        a: register,
        b: Operand::Imm(u32::from(register) % 4),
    })
}

/// Does the same for every scratch word.
fn scratch_shown() -> impl Iterator<Item = Instr> {
    let words = (0..16).map(|word| (0, word)).chain([(1, 0)]);
    words.flat_map(|(array, word)| {
        let load = Instr {
            op: Op::SLd,
            dst: 0,
            a: array,
            b: Operand::Imm(word),
        };
        let show = Instr {
            op: Op::Acc,
            dst: 2,
            a: 0,
            b: Operand::Imm(200 + word + 16 * u32::from(array)),
        };
        [load, show]
    })
}

/// An instruction with the fields that its opcode has.
fn fields(op: Op, [_, x, y, z]: &[u8; 4]) -> Instr {
    let (register, small) = (x % 8, y % 8);
    let b = if z & 0x80 == 0 {
        Operand::Reg(z % 8)
    } else {
        Operand::Imm(match z & 0x60 {
            0 => u32::from(z & 0x1F),
            0x20 => u32::from(z & 0x1F).wrapping_neg(),
            0x40 => 1 << (z & 0x1F),
            _ => u32::from(*z) * 0x0101,
        })
    };
    let n = Operand::Imm(1 + u32::from(z % 16));
    let none = Operand::Reg(0);
    let (dst, a, b) = match op.shape() {
        Shape::Bare => (0, 0, none),
        Shape::Dst => (register, 0, none),
        Shape::DstA => (register, small, none),
        Shape::DstB => (register, 0, b),
        Shape::DstAB => (register, small, b),
        Shape::DstN if op == Op::Arg => (register, 0, Operand::Imm(0)),
        Shape::DstN => (register, 0, n),
        Shape::DstArrayIndex => (register, small % 3, b),
        Shape::ArrayIndexValue => (register % 5, small, b),
        Shape::AB => (0, small, b),
        Shape::A => (0, small, none),
        Shape::N => (0, 0, n),
    };
    Instr { op, dst, a, b }
}
