//! What the fuzz targets promise, as functions of bytes: they run under libFuzzer, and without it in
//! `crates/vir0/tests/fuzzed.rs`.

use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::disasm::disassemble;
use gristmill_vir0::isa::Shape;
use gristmill_vir0::vector::Machine;
use gristmill_vir0::{
    decode, encode, reference, verify, AccArray, AccKind, Arg, Chunk, Instr, Limits, Op, Operand,
    Program, Results, Scratch,
};

/// Whatever decodes is the encoding of what it decodes to; nothing panics. The bytes are taken as they are, and with
/// their checksum corrected.
pub fn container(input: &[u8]) {
    canonical(input);
    canonical(&with_checksum(input));
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

/// The verifier answers, whatever it is given; what it accepts has a cost within the limit.
pub fn verifier(input: &[u8]) {
    let limits = Limits::default();
    let decoded = decode(&with_checksum(input)).ok();
    for program in decoded.into_iter().chain([structured(input).0, raw(input)]) {
        let chunk = program.chunk;
        if let Ok(verified) = verify(program, &limits) {
            assert!(verified.cost().at(chunk) <= limits.cost);
        }
    }
}

/// An accepted program ends within its static cost, and both interpreters agree on what it leaves, for every number of
/// lanes.
pub fn run(input: &[u8]) {
    let (program, data) = structured(input);
    let limits = Limits { cost: 200_000 };
    let decoded = decode(&with_checksum(input)).ok();
    for program in decoded.into_iter().chain([program]) {
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
        for lanes in [1, 8, 64, 256] {
            let mut results = Results::default();
            let mut machine =
                Machine::with(&verified, lanes, gristmill_vir0::vector::Level::best());
            assert_eq!(machine.run(&chunk, &mut results), how, "{lanes} lanes");
            if how.is_ok() {
                assert_eq!(results, expected, "{lanes} lanes");
            }
        }
    }
}

/// Any text assembles or is refused; what assembles, and any program, is the same after the disassembler and the assembler.
pub fn assembler(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(program) = assemble(&text, &options()) {
        round_trip(&program);
    }
    round_trip(&structured(input).0);
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
    // What no container can hold has no text either.
    if encode(program).is_err() {
        return;
    }
    let text = disassemble(program);
    match assemble(&text, &options()) {
        Ok(again) => assert_eq!(&again, program, "{text}"),
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// Instructions straight from bytes, as far as they are some.
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

/// A program whose instructions are mostly well-formed and whose blocks are closed, and the bytes that are left for data.
/// The first byte says how many instructions there are; each takes four bytes.
fn structured(input: &[u8]) -> (Program, &[u8]) {
    let mut program = declared();
    let Some((count, rest)) = input.split_first() else {
        return (program, input);
    };
    let (words, _) = rest.as_chunks::<4>();
    let words = &words[..words.len().min(usize::from(*count))];
    let mut open = 0_usize;
    for [number, x, y, z] in words {
        let op = Op::ALL[usize::from(*number) % Op::ALL.len()];
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
        open += usize::from(op.opens());
        if op == Op::End {
            open = open.saturating_sub(1);
        }
        program.code.push(Instr { op, dst, a, b });
    }
    let end = Instr {
        op: Op::End,
        dst: 0,
        a: 0,
        b: Operand::Reg(0),
    };
    program.code.extend(std::iter::repeat_n(end, open));
    (program, &rest[words.len() * 4..])
}
