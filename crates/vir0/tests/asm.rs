//! Programs as text: the text of a program assembles to the same program, and no text causes harm.

use gristmill_vir0::asm::{assemble, AsmError, AsmOptions, MAX_ASSEMBLED, MAX_SOURCE};
use gristmill_vir0::disasm::disassemble;
use gristmill_vir0::isa::Shape;
use gristmill_vir0::program::is_name;
use gristmill_vir0::show::is_text;
use gristmill_vir0::verify::{MAX_INSTRUCTIONS, MAX_TABLE};
use gristmill_vir0::{
    decode, encode, reference, verify, AccArray, AccKind, Arg, Chunk, Debug, Instr, Limits, Op,
    Operand, Program, Results, Scratch, Show, Shown,
};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::path::Path;

fn file(name: &str) -> std::io::Result<Vec<u8>> {
    match name {
        "four.bin" => Ok(vec![1, 2, 3, 4]),
        _ => Err(Error::new(ErrorKind::NotFound, "it is not there")),
    }
}

fn asm(source: &str) -> Result<Program, AsmError> {
    let options = AsmOptions {
        name: "p.vasm",
        files: &file,
        debug: true,
    };
    assemble(source, &options)
}

#[track_caller]
fn ok(source: &str) -> Program {
    asm(source).unwrap_or_else(|error| panic!("{error}"))
}

/// The program's text assembles to the program, whatever name the assembler is given for the source. The same holds for
/// its bytes.
#[track_caller]
fn round_trip(program: &Program) {
    let bytes = encode(program).unwrap();
    assert_eq!(decode(&bytes).as_ref(), Ok(program));
    let text = disassemble(program);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text}");
    let again = asm(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(&again, program, "{text}");
    assert_eq!(encode(&again).unwrap(), bytes);
    assert_eq!(disassemble(&again), text);
}

const EXAMPLE: &str = r#"
.name   entropy            ; default: the source's name
.before 64                 ; halo
.after  4096
.chunk  65536
.align  4096
.records 16
.arg    limit = 10         ; with a default
.arg    pattern            ; without
.scratch hist 4096         ; words
.acc    lines sum          ; one accumulator
.acc    bins[256] sum      ; an array
.const  NL = 10            ; an expression
.reg    r = r0
.reg    byte = r1          ; a name for a register
.table  logs               ; the offset of the next byte of the table
.u8     1, 2, 0x0a, 'x'
.u32    1, 2, 3            ; little-endian
.ascii  "needle\n"
.table  more
.file   "four.bin"

    each r, 1
      ld8 byte, r, 0
      eq  r2, byte, NL
      acc lines, 0, r2
    end
"#;

#[test]
fn the_example_counts_lines() {
    let program = ok(EXAMPLE);
    assert_eq!(program.name, "entropy");
    assert_eq!(
        program.table,
        b"\x01\x02\x0ax\x01\0\0\0\x02\0\0\0\x03\0\0\0needle\n\x01\x02\x03\x04"
    );
    let debug = program.debug.clone().unwrap();
    assert_eq!(
        (debug.source.as_str(), debug.lines),
        ("p.vasm", vec![23, 24, 25, 26, 27])
    );
    assert_eq!(program.args[0].default, Some(10));
    assert_eq!(program.args[1].default, None);
    round_trip(&program);

    let verified = verify(program, &Limits::default()).unwrap();
    let text = b"one\ntwo\n\nfour";
    let mut results = Results::default();
    let chunk = Chunk::alone(text, 0, &[10, 0]).unwrap();
    reference::run(&verified, &chunk, &mut results).unwrap();
    assert_eq!(results.accs[0], 3);
    assert!(results.accs[1..].iter().all(|acc| *acc == 0));
}

#[test]
fn shipped_programs_come_back() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs");
    let mut seen = 0;
    for entry in std::fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "vasm")
        {
            let options = AsmOptions {
                name: &path.to_string_lossy(),
                files: &|file| std::fs::read(directory.join(file)),
                debug: true,
            };
            let source = std::fs::read_to_string(&path).unwrap();
            round_trip(&assemble(&source, &options).unwrap_or_else(|error| panic!("{error}")));
            seen += 1;
        }
    }
    assert!(seen > 0);
}

#[test]
fn debug_information_is_what_the_source_says() {
    let quiet = AsmOptions {
        name: "a/b.vasm",
        files: &file,
        debug: false,
    };
    let program = assemble("end\n", &quiet).unwrap();
    assert_eq!((program.name.as_str(), program.debug), ("b", None));
    assert_eq!(ok(".nodebug\nend").debug, None);
    let debug =
        ok("end\n.line LINE\nend\nend\n.line 0\nend\n.source \"\\\"x\\n\"\n.const LINE = 9")
            .debug
            .unwrap();
    assert_eq!(debug.source, "\"x\n");
    assert_eq!(debug.lines, [1, 9, 9, 0]);
    // A name that is too long for the container is cut at a character boundary.
    let long = "é".repeat(40_000);
    let options = AsmOptions {
        name: &long,
        ..quiet
    };
    let program = assemble(
        "end",
        &AsmOptions {
            debug: true,
            ..options
        },
    )
    .unwrap();
    assert_eq!(program.debug.as_ref().unwrap().source.len(), 65_534);
    round_trip(&program);
}

/// The length of a source bounds the assembler's work. Each of these sources would take minutes if every name were
/// searched for among all others.
#[test]
fn sources_of_many_names_are_soon_read() {
    let long = |line: &dyn Fn(usize) -> String| (0..100_000).map(line).collect::<String>();
    ok(&long(&|i| format!(".reg a{i} = r1\n")));
    ok(&long(&|i| match i {
        0 => ".const a0 = 0\n".to_owned(),
        _ => format!(".const a{i} = a{} + 1\n", i - 1),
    }));
    let mut uses: String = (0..20)
        .map(|i| format!(".const d{} = d{i} + d{i}\n", i + 1))
        .collect();
    uses.push_str(".const d0 = 1\n");
    uses.push_str(&"mov r1, d20\n".repeat(MAX_ASSEMBLED));
    assert_eq!(ok(&uses).code[0].b, Operand::Imm(1 << 20));
    let mut args: String = (0..255).map(|i| format!(".arg a{i}\n")).collect();
    args.push_str(&"arg r1, a254\n".repeat(MAX_ASSEMBLED));
    assert_eq!(ok(&args).code[9].b, Operand::Imm(254));
    asm(&"(".repeat(MAX_SOURCE)).unwrap_err();
    asm(&format!("mov r1, {}", "(".repeat(1 << 20))).unwrap_err();
    asm(&format!("mov r1, {}1", "-".repeat(1 << 20))).unwrap_err();
    ok(&format!("mov r1, 1{}", " + 1".repeat(1 << 19)));
}

/// The largest program that the verifier accepts, with the longest text.
#[test]
fn the_largest_verified_program_comes_back() {
    let name = |first: char| format!("{first}{}", "x".repeat(31));
    let mut program = Program {
        scratch: vec![Scratch {
            name: name('s'),
            words: 4096,
        }],
        table: (0..MAX_TABLE).map(|i| i.to_le_bytes()[0]).collect(),
        ..Program::default()
    };
    let nop = Instr {
        op: Op::SLd,
        dst: 31,
        a: 0,
        b: Operand::Imm(4095),
    };
    let block = |op, b| Instr {
        op,
        dst: 0,
        a: 0,
        b,
    };
    program.code = vec![block(Op::Loop, Operand::Imm(1)); 16];
    program.code.extend(vec![nop; MAX_INSTRUCTIONS - 32]);
    program
        .code
        .extend(vec![block(Op::End, Operand::Reg(0)); 16]);
    program.debug = Some(Debug {
        source: "\n".repeat(65_535),
        lines: (0..MAX_INSTRUCTIONS)
            .map(|i| u32::MAX - u32::try_from(i).unwrap())
            .collect(),
    });
    verify(program.clone(), &Limits::default()).unwrap();
    round_trip(&program);
}

/// Small numbers, numbers just below zero or near a power of two, and any numbers.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![
        0..300_u32,
        (0..5000_u32).prop_map(u32::wrapping_neg),
        (0..32_u32, 0..3_u32).prop_map(|(bit, more)| (1 << bit) + more - 1),
        any::<u32>(),
    ]
}

/// Mostly a few names, so that parts share them, some of which have another meaning elsewhere; sometimes any name.
fn name() -> impl Strategy<Value = String> {
    let few = &[
        "a", "b", "sum", "or", "r32", "r01", "add", "ldi", "else", "R1", "_", "len",
    ];
    prop_oneof![
        3 => proptest::sample::select(few.as_slice()).prop_map(String::from),
        1 => "[A-Za-z_][A-Za-z0-9_]{0,31}".prop_filter("a register's", |name| is_name(name)),
    ]
}

/// Any text; many of its characters have a special meaning between quotes.
fn text() -> impl Strategy<Value = String> {
    let special = &[
        '"', '\\', '\'', '\n', '\r', '\t', '\0', ';', ',', '#', 'x', '0', '\u{1b}', '\u{7f}',
        '\u{85}', '\u{9b}', '\u{301}', '\u{202e}', '\u{2028}', '\u{feff}', 'é', '🦀',
    ];
    let character = prop_oneof![proptest::sample::select(special.as_slice()), any::<char>()];
    vec(character, 0..30).prop_map(String::from_iter)
}

/// How results are shown, in order, whether they are declared or not.
fn shows() -> impl Strategy<Value = Vec<Show>> {
    let texts = (text(), text()).prop_map(|(unit, title)| {
        let shown = |text: String| {
            let seen = |c: &char| is_text(c.encode_utf8(&mut [0; 4]));
            text.chars().filter(seen).take(16).collect::<String>()
        };
        (shown(unit), shown(title))
    });
    let show = (prop_oneof![0..5_u8, any::<u8>()], number(), texts);
    vec(show, 0..4).prop_map(|shows| {
        let shows = shows.into_iter().map(|(what, divisor, (unit, title))| {
            let what = Shown::from_number(what);
            let divisor = divisor.max(1);
            let show = Show {
                what,
                divisor,
                unit,
                title,
            };
            (what, show)
        });
        shows.collect::<BTreeMap<_, _>>().into_values().collect()
    })
}

/// An instruction with the fields that its opcode has. Its arrays and arguments may be declared or not.
fn instr() -> impl Strategy<Value = Instr> {
    let array = prop_oneof![3 => 0..4_u8, 1 => any::<u8>()];
    let op = proptest::sample::select(Op::ALL);
    (op, 0..32_u8, 0..32_u8, 0..32_u8, array, number(), 0..3_u8).prop_map(
        |(op, dst, a, b, array, imm, form)| {
            let none = Operand::Reg(0);
            let either = match form {
                0 => Operand::Reg(b),
                1 => Operand::Imm(imm),
                _ => Operand::Imm(imm % 4),
            };
            let imm = Operand::Imm(if form == 0 { imm } else { imm % 4 });
            let (dst, a, b) = match op.shape() {
                Shape::Bare => (0, 0, none),
                Shape::Dst => (dst, 0, none),
                Shape::DstA => (dst, a, none),
                Shape::DstB => (dst, 0, either),
                Shape::DstAB => (dst, a, either),
                Shape::DstN => (dst, 0, imm),
                Shape::DstArrayIndex => (dst, array, either),
                Shape::ArrayIndexValue => (array, a, either),
                Shape::AB => (0, a, either),
                Shape::A => (0, a, none),
                Shape::N => (0, 0, imm),
            };
            Instr { op, dst, a, b }
        },
    )
}

prop_compose! {
    fn parts()(
        args in vec((name(), proptest::option::of(number())), 0..5),
        scratch in vec((name(), any::<u16>()), 0..5),
        accs in vec((name(), proptest::sample::select(AccKind::ALL.as_slice()), 0..3_u16, any::<bool>(), any::<u16>()), 0..5),
    ) -> (Vec<Arg>, Vec<Scratch>, Vec<AccArray>) {
        (
            args.into_iter().map(|(name, default)| Arg { name, default }).collect(),
            scratch.into_iter().map(|(name, words)| Scratch { name, words }).collect(),
            accs.into_iter().map(|(name, kind, short, is_short, long)| AccArray {
                name,
                kind,
                len: if is_short { short } else { long },
            }).collect(),
        )
    }
}

prop_compose! {
    /// Any program that has a container.
    fn program()(
        name in name(),
        halo in any::<(u16, u16)>(),
        sizes in (number(), number(), number()),
        (args, scratch, accs) in parts(),
        lines in vec((instr(), prop_oneof![0..4_u32, any::<u32>()]), 0..40),
        table in vec(any::<u8>(), 0..70),
        shows in shows(),
        source in proptest::option::of(text()),
    ) -> Program {
        let (code, lines): (Vec<Instr>, Vec<u32>) = lines.into_iter().unzip();
        Program {
            name,
            before: halo.0,
            after: halo.1,
            chunk: sizes.0,
            align: sizes.1,
            records: sizes.2,
            args,
            scratch,
            accs,
            code,
            table,
            shows,
            debug: source.map(|source| Debug { source, lines }),
        }
    }
}

/// The elements of a source, in any order.
fn soup() -> impl Strategy<Value = String> {
    let words: Vec<String> = Op::ALL
        .iter()
        .map(|op| op.mnemonic().to_owned())
        .chain(
            [
                "ldi",
                ".name",
                ".before",
                ".after",
                ".chunk",
                ".align",
                ".records",
                ".arg",
                ".scratch",
                ".acc",
                ".const",
                ".reg",
                ".table",
                ".u8",
                ".u32",
                ".ascii",
                ".file",
                ".source",
                ".line",
                ".nodebug",
                "a",
                "b",
                "a.len",
                "r0",
                "r31",
                "r32",
                "sum",
                "xor",
                "0",
                "1",
                "-1",
                "0x",
                "0xFF",
                "1_",
                "99999999999",
                "18446744073709551616",
                "'a'",
                "'",
                "\"x\"",
                "\"four.bin\"",
                "\"",
                "\\",
                "#",
                "#1",
                "[",
                "]",
                "(",
                ")",
                "+",
                "-",
                "*",
                "/",
                "<<",
                ">>",
                "<",
                "|",
                "&",
                "=",
                ",",
                ",",
                ",",
                ";",
                "\r",
                "é",
                "\0",
                "\u{feff}",
            ]
            .map(String::from),
        )
        .collect();
    let lines = &[
        ".arg a = ",
        ".scratch a ",
        ".acc a[",
        ".const a = ",
        ".reg b = r",
        ".table a\n",
        ".u8 ",
        "mov r1, ",
        "acc a, ",
        "s.ld r1, a, ",
        "arg r1, a",
        "loop ",
        ".line ",
        "add r1, r2, a.len ",
        "(((((((((",
    ];
    let piece = prop_oneof![
        8 => proptest::sample::select(words),
        3 => proptest::sample::select(lines.as_slice()).prop_map(String::from),
        3 => Just("\n".to_owned()),
        1 => text(),
    ];
    vec(
        (
            piece,
            prop_oneof![Just(" "), Just(" "), Just(""), Just("\n")],
        ),
        0..60,
    )
    .prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(piece, gap)| [piece, gap.to_owned()])
            .collect()
    })
}

/// A source that assembles survives the round trip; one that does not assemble has an error that can be displayed.
fn assembles_or_complains(source: &str) -> Result<(), TestCaseError> {
    match asm(source) {
        // The assembler accepts some programs that no container can hold, for example with an array that is too long.
        Ok(program) if encode(&program).is_ok() => round_trip(&program),
        Ok(_) => {}
        Err(error) => {
            let lines: Vec<&str> = source.split('\n').collect();
            prop_assert!((1..=lines.len()).contains(&error.line));
            let length = error.text.chars().count();
            prop_assert!(error.column >= 1 && error.column <= length + 1, "{}", error);
            prop_assert!(
                error.width >= 1 && error.column + error.width <= length + 2,
                "{}",
                error
            );
            let shown = error.to_string();
            let shown: Vec<&str> = shown.split('\n').collect();
            prop_assert_eq!(shown.len(), 3);
            prop_assert!(shown.iter().skip(1).all(|line| line.chars().count() <= 121));
            prop_assert!(!shown.iter().any(|line| line.chars().any(char::is_control)));
        }
    }
    Ok(())
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        // Seeds of failures are printed, and stored beside this file.
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn every_program_comes_back(program in program()) {
        round_trip(&program);
    }

    #[test]
    fn any_soup_assembles_or_complains(source in soup()) {
        assembles_or_complains(&source)?;
    }

    #[test]
    fn any_text_assembles_or_complains(source in text()) {
        assembles_or_complains(&source)?;
    }

    /// A correct source with one change.
    #[test]
    fn a_damaged_source_assembles_or_complains(at in any::<proptest::sample::Index>(), cut in 0..4_usize, put in text()) {
        let mut characters: Vec<char> = EXAMPLE.chars().collect();
        let at = at.index(characters.len());
        let end = characters.len().min(at + cut);
        characters.splice(at..end, put.chars().take(3));
        assembles_or_complains(&String::from_iter(characters))?;
    }
}
