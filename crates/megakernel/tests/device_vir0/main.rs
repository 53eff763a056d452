//! Compares the device source's VIR0 interpreter with the reference interpreter. `kernel/vir0.h` is compiled as host
//! C++ for several numbers of lanes, and of windows that a lane runs together. For every slot it must leave what
//! `docs/vir0.md` says.
//!
//! Where the compiler supports it, sanitizers look for accesses to memory that does not belong to the slot, and for
//! races between lanes.

mod chosen;

use chosen::CHOSEN;
use fastrand::Rng;
use gristmill_megakernel::backend::device::program::image;
use gristmill_megakernel::ProgramTable;
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::{completion, fault};
use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::isa::{Op, Operand};
use gristmill_vir0::random;
use gristmill_vir0::{reference, verify, Chunk, FaultKind, Limits, Results, Stop, Verified};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// For each shape: the number of lanes, the number of windows in a strip, and the sanitizer.
const SHAPES: [(u32, u32, &str); 3] = [
    (1, 32, "-fsanitize=address,undefined"),
    (1, 1, "-fsanitize=address,undefined"),
    (4, 1, "-fsanitize=thread"),
];

/// The value of a word in a record area to which nothing was written.
const FILL: u32 = 0xA5A5_A5A5;

/// A slot that runs a program.
struct Case {
    name: String,
    program: Verified,
    chunk: Vec<u8>,
    args: ProgramArgs,
    area_words: usize,
    /// The index of a word of the table that is requested.
    index: u64,
}

/// The result of a slot.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    fault: u32,
    flags: u32,
    records: u32,
    table_word: Option<u32>,
    /// `None` if nothing in the area counts.
    area: Option<Vec<u32>>,
}

impl Case {
    /// A slot over the whole of a chunk, with as much room as the program needs.
    fn new(name: &str, program: &Verified, chunk: Vec<u8>) -> Self {
        let declared = program.program();
        let mut args = ProgramArgs {
            len: u32::try_from(chunk.len()).unwrap(),
            ..ProgramArgs::default()
        };
        for (arg, declared) in args.args.iter_mut().zip(&declared.args) {
            *arg = declared.default.unwrap_or(0);
        }
        Self {
            name: name.into(),
            program: program.clone(),
            chunk,
            args,
            area_words: usize::try_from(ProgramTable::words_needed(declared)).unwrap(),
            index: 0,
        }
    }

    /// The result according to the reference interpreter and the specification.
    fn expected(&self) -> Left {
        let bytes = self.index.checked_mul(4).and_then(|at| {
            let table = &self.program.program().table;
            let rest = table.get(usize::try_from(at).ok()?..)?;
            rest.first_chunk().copied()
        });
        let void = |fault, flags| Left {
            fault,
            flags,
            records: 0,
            table_word: bytes.map(u32::from_le_bytes),
            area: None,
        };
        let declared = self.program.program();
        if self.args.len > declared.chunk || !self.args.offset.is_multiple_of(declared.align.into())
        {
            return void(fault::BAD_ARGUMENT, 0);
        }
        let (start, len) = (self.args.start as usize, self.args.len as usize);
        let Some(bytes) = self.chunk.get(..start + len + self.args.after as usize) else {
            return void(fault::INDEX_OUT_OF_RANGE, 0);
        };
        let chunk = Chunk::new(bytes, start, len, self.args.offset, &self.args.args).unwrap();
        let mut results = Results::default();
        match reference::run(&self.program, &chunk, &mut results) {
            Ok(()) => {}
            Err(Stop::Cancelled) => panic!("nobody has cancelled it"),
            Err(Stop::Overflow) => return void(0, completion::FLAG_OVERFLOW),
            Err(Stop::Fault(found)) => {
                let reason = match found.kind {
                    FaultKind::Scratch => fault::SCRATCH_INDEX,
                    FaultKind::Acc => fault::ACC_INDEX,
                };
                return void(
                    fault::word(reason, found.instruction.try_into().unwrap()),
                    0,
                );
            }
        }
        let halves = |acc: &u64| [(acc & 0xFFFF_FFFF) as u32, (acc >> 32) as u32];
        let mut area: Vec<u32> = results.accs.iter().flat_map(halves).collect();
        for record in &results.records {
            area.extend([record.position.cast_unsigned(), record.value]);
        }
        if area.len() > self.area_words {
            return void(fault::AREA_TOO_SMALL, 0);
        }
        area.resize(self.area_words, FILL);
        Left {
            records: u32::try_from(results.records.len()).unwrap(),
            area: Some(area),
            ..void(0, 0)
        }
    }

    /// The case in the form in which the driver reads it.
    fn words(&self) -> Vec<u32> {
        let image = image(&self.program);
        let mut words = vec![
            image.len() as u32,
            self.chunk.len() as u32,
            self.area_words as u32,
            (self.index & 0xFFFF_FFFF) as u32,
            (self.index >> 32) as u32,
        ];
        words.extend(self.args.encode().unwrap());
        words.extend(image);
        words.extend(self.chunk.chunks(4).map(|bytes| {
            u32::from_le_bytes(std::array::from_fn(|k| bytes.get(k).copied().unwrap_or(0)))
        }));
        words
    }
}

fn kernel() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../kernel")
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../programs")
}

/// Runs the driver over the cases in a file.
fn drive(binary: &Path, cases: &Path, results: &Path) -> std::process::Output {
    Command::new(binary)
        .args([cases, results])
        .output()
        .expect("the driver was just built")
}

/// The driver for a shape, with its sanitizer if that works on this machine; `None` without a compiler.
fn driver(folder: &Path, lanes: u32, strip: u32, sanitizer: &str) -> Option<PathBuf> {
    let binary = folder.join(format!("vir0_{lanes}_{strip}"));
    let empty = folder.join("empty");
    std::fs::write(&empty, []).unwrap();
    for watch in [Some(sanitizer), None] {
        let built = Command::new("c++")
            .args(["-std=c++17", "-O1", "-g", "-Wall", "-Werror", "-pthread"])
            .args(
                watch
                    .map(|watch| [watch, "-fno-sanitize-recover=all"])
                    .into_iter()
                    .flatten(),
            )
            .args([format!("-DGM_LANES={lanes}"), format!("-DGM_STRIP={strip}")])
            .arg(kernel().join("host/vir0.cc"))
            .arg("-o")
            .arg(&binary)
            .output();
        let built = match built {
            Ok(built) => built,
            Err(error) => {
                gristmill_testing::skipped(format_args!("no C++ compiler: {error}"));
                return None;
            }
        };
        if built.status.success()
            && drive(&binary, &empty, &folder.join("none"))
                .status
                .success()
        {
            return Some(binary);
        }
        let errors = String::from_utf8_lossy(&built.stderr);
        assert!(
            watch.is_some(),
            "{lanes} lanes, strips of {strip}: {errors}"
        );
        gristmill_testing::skipped(format_args!("{sanitizer}: it does not work here"));
    }
    None
}

/// Compares all cases in every shape. Returns how often each combination of fault and flags occurred.
fn compare(test: &str, cases: &[Case]) -> BTreeMap<(u32, u32), usize> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("device_vir0_{test}"));
    std::fs::create_dir_all(&folder).unwrap();
    let expected: Vec<Left> = cases.iter().map(Case::expected).collect();
    let bytes: Vec<u8> = cases
        .iter()
        .flat_map(Case::words)
        .flat_map(u32::to_le_bytes)
        .collect();
    let input = folder.join("cases");
    std::fs::write(&input, bytes).unwrap();
    for (lanes, strip, sanitizer) in SHAPES {
        let shape = format!("{lanes} lanes, strips of {strip}");
        let Some(binary) = driver(&folder, lanes, strip, sanitizer) else {
            continue;
        };
        let output = folder.join(format!("results_{lanes}_{strip}"));
        let ran = drive(&binary, &input, &output);
        let errors = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "{shape}: {}\n{errors}", ran.status);
        let bytes = std::fs::read(&output).unwrap();
        let mut words = bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes(word.try_into().unwrap()));
        for (case, expected) in cases.iter().zip(&expected) {
            let mut next = || words.next().expect("a result for every case");
            let [fault, flags, records, found, word] = std::array::from_fn(|_| next());
            let area: Vec<u32> = (0..case.area_words).map(|_| next()).collect();
            let got = Left {
                fault,
                flags,
                records,
                table_word: (found != 0).then_some(word),
                area: expected.area.is_some().then_some(area),
            };
            assert!(
                got == *expected,
                "{shape}, {}: {got:?}\ninstead of {expected:?}",
                case.name
            );
        }
        assert!(words.next().is_none(), "{shape}");
    }
    let mut kinds = BTreeMap::new();
    for left in &expected {
        *kinds
            .entry((fault::reason(left.fault), left.flags))
            .or_default() += 1;
    }
    kinds
}

fn random_case(seed: u64) -> Case {
    let mut numbers = Rng::with_seed(!seed);
    let mut program = random::program(seed);
    program.align = 1 << numbers.u32(..3);
    // Makes some indexes too large by one.
    for instr in &mut program.code {
        match instr.b {
            Operand::Imm(len) if instr.op == Op::Remu && numbers.u32(..8) == 0 => {
                instr.b = Operand::Imm(len.wrapping_add(1));
            }
            _ => {}
        }
    }
    let verified = verify(program, &Limits::default())
        .unwrap_or_else(|refusal| panic!("program {seed}: {refusal}"));
    let declared = verified.program();
    let len = [0, 1, 15, 31, 32, 33, 257, 700, 1500][numbers.usize(..9)];
    let (before, after, unused) = (numbers.u32(..80), numbers.u32(..80), numbers.u32(..3));
    let mut chunk = std::iter::repeat_with(|| numbers.u8(..))
        .take((before + len + after + unused) as usize)
        .collect::<Vec<u8>>();
    if numbers.bool() {
        chunk.iter_mut().for_each(|byte| *byte &= 3);
    }
    let mut args = ProgramArgs {
        chunk: numbers.u32(..1 << 19),
        after,
        start: before,
        len,
        offset: (numbers.u64(..) >> 8) & !u64::from(declared.align - 1),
        args: std::array::from_fn(|_| numbers.u32(..1000)),
    };
    if numbers.u32(..30) == 0 {
        // A slot may contain whatever its tenant likes.
        match numbers.u32(..5) {
            0 => args.offset ^= 1,
            1 => args.len = declared.chunk + numbers.u32(..2),
            2 => args.len = u32::MAX - numbers.u32(..100),
            3 => args.start = u32::MAX - numbers.u32(..2000),
            _ => args.after = 80 + numbers.u32(..8000),
        }
    }
    let acc_words = 2 * declared.acc_count();
    let mut area_words = acc_words + 2 * (declared.records as usize).min(3000);
    if numbers.u32(..40) == 0 {
        area_words = numbers.u32(..u32::try_from(acc_words + 40).unwrap()) as usize;
    }
    let index = if numbers.u32(..9) == 0 {
        numbers.u64(..)
    } else {
        numbers.u32(..300).into()
    };
    Case {
        name: format!("program {seed}"),
        program: verified,
        chunk,
        args,
        area_words,
        index,
    }
}

#[test]
fn random_programs_agree() {
    let first = gristmill_testing::seed("VIR0_SEED").wrapping_mul(1 << 20);
    // Half of the programs are always the same ones, among which are all the kinds below.
    let seeds = (0..600).chain(first..first + 600);
    let cases: Vec<Case> = seeds.map(random_case).collect();
    let kinds = compare("random", &cases);
    println!("fault and flags: {kinds:?}");
    for kind in [
        (0, 0),
        (0, completion::FLAG_OVERFLOW),
        (fault::BAD_ARGUMENT, 0),
        (fault::INDEX_OUT_OF_RANGE, 0),
        (fault::SCRATCH_INDEX, 0),
        (fault::ACC_INDEX, 0),
        (fault::AREA_TOO_SMALL, 0),
    ] {
        assert!(kinds.contains_key(&kind), "no {kind:?} in {kinds:?}");
    }
}

fn assembled(name: &str, source: &str) -> Verified {
    let files = |file: &str| std::fs::read(programs().join(file));
    let options = AsmOptions {
        name,
        files: &files,
        debug: true,
    };
    let program = assemble(source, &options).unwrap_or_else(|error| panic!("{error}"));
    verify(program, &Limits::default()).unwrap_or_else(|refusal| panic!("{refusal}"))
}

/// Text that contains some bytes that are not UTF-8.
fn bytes(numbers: &mut Rng, len: usize) -> Vec<u8> {
    let words: [&[u8]; 8] = [
        b"gristmill ",
        b"the quick brown fox\n",
        "\u{e4}\u{df}\u{20ac}\u{1f980} ".as_bytes(),
        b"aaaaaaaaaaaaaaaaaaaaaaaaaaa",
        b"\n\n",
        b"\xFF\xC3\x28",
        b"needle",
        b"\0\0\0\0",
    ];
    let mut bytes = Vec::new();
    while bytes.len() < len {
        bytes.extend(words[numbers.usize(..8)]);
    }
    bytes.truncate(len);
    bytes
}

#[test]
fn shipped_programs_agree() {
    let mut numbers = Rng::with_seed(gristmill_testing::seed("VIR0_SEED"));
    let mut cases = Vec::new();
    for entry in std::fs::read_dir(programs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "vasm") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let program = assembled(&name, &std::fs::read_to_string(&path).unwrap());
        let declared = program.program();
        let (before, after) = (u32::from(declared.before), u32::from(declared.after));
        for len in [0, 1, 31, 4097, 20_000] {
            let len = len.min(declared.chunk);
            let chunk = bytes(&mut numbers, (before + len + after) as usize);
            let mut case = Case::new(&format!("{name}, {len} bytes"), &program, chunk);
            case.args.start = before;
            case.args.len = len;
            case.args.after = after;
            case.args.offset = u64::from(declared.align) << 22;
            cases.push(case);
        }
    }
    assert!(cases.len() >= 45);
    let kinds = compare("shipped", &cases);
    assert!(
        kinds.get(&(0, 0)).is_some_and(|done| *done >= 40),
        "{kinds:?}"
    );
}

#[test]
fn chosen_programs_agree() {
    let mut numbers = Rng::with_seed(gristmill_testing::seed("VIR0_SEED"));
    let mut cases = Vec::new();
    for (name, source) in CHOSEN {
        let program = assembled("case.vasm", source);
        for (before, after, missing) in [(0, 0, 0), (7, 9, 0), (2, 1, 0), (0, 0, 1)] {
            let chunk = bytes(&mut numbers, (before + 5000 + after) as usize);
            let mut case = Case::new(name, &program, chunk);
            case.args.start = before;
            case.args.len = 5000;
            case.args.after = after;
            case.area_words -= missing;
            cases.push(case);
        }
    }
    let kinds = compare("chosen", &cases);
    let expected = [
        ((0, 0), 31),
        ((0, completion::FLAG_OVERFLOW), 4),
        ((fault::SCRATCH_INDEX, 0), 4),
        ((fault::ACC_INDEX, 0), 8),
        ((fault::AREA_TOO_SMALL, 0), 9),
    ];
    assert_eq!(kinds, BTreeMap::from(expected));
}
