//! VIR0: nanoseconds per instruction, the shipped programs compared with a loop in Rust and with an eBPF interpreter,
//! and the time of the verifier. Everything runs on one core, over a text in the cache.

use crate::loops::{digest, LOOPS};
use crate::{median, Goal, Row, Setting};
use gristmill::megakernel::vir0::asm::{assemble, AsmOptions};
use gristmill::megakernel::vir0::program::{AccArray, AccKind};
use gristmill::megakernel::vir0::vector::Machine;
use gristmill::megakernel::vir0::{
    reference, verify, Chunk, Instr, Limits, Op, Operand, Program, Results, Verified,
};
use std::hint::black_box;
use std::time::Instant;

/// The shipped programs.
pub const SHIPPED: &[(&str, &str)] = &[
    (
        "newline_count",
        include_str!("../../programs/newline_count.vasm"),
    ),
    (
        "byte_histogram",
        include_str!("../../programs/byte_histogram.vasm"),
    ),
    ("entropy", include_str!("../../programs/entropy.vasm")),
    (
        "utf8_validate",
        include_str!("../../programs/utf8_validate.vasm"),
    ),
    (
        "fixed_string",
        include_str!("../../programs/fixed_string.vasm"),
    ),
    (
        "line_lengths",
        include_str!("../../programs/line_lengths.vasm"),
    ),
    (
        "content_chunks",
        include_str!("../../programs/content_chunks.vasm"),
    ),
    (
        "adler32_blocks",
        include_str!("../../programs/adler32_blocks.vasm"),
    ),
    (
        "longest_run",
        include_str!("../../programs/longest_run.vasm"),
    ),
];

/// Assembles and verifies one of the shipped programs.
pub fn shipped(name: &str, source: &str) -> Result<Verified, String> {
    let files = |file: &str| match file {
        "entropy.u32" => Ok(include_bytes!("../../programs/entropy.u32").to_vec()),
        _ => Err(std::io::Error::from(std::io::ErrorKind::NotFound)),
    };
    let options = AsmOptions {
        name,
        files: &files,
        debug: true,
    };
    let program = assemble(source, &options).map_err(|error| error.to_string())?;
    verify(program, &Limits::default()).map_err(|refusal| refusal.to_string())
}

/// Lines of words, which are the same every time.
fn text(len: usize) -> Vec<u8> {
    const WORDS: [&str; 12] = [
        "ring", "kernel", "noodle", "chunk", "the", "of", "a", "slot", "lane", "verified", "42",
        "Übung",
    ];
    let mut numbers = crate::data::Numbers::new(1);
    let mut text = Vec::with_capacity(len + 16);
    while text.len() < len {
        let word = WORDS[numbers.below(12) as usize];
        text.extend(
            if numbers.below(64) == 0 {
                "needle"
            } else {
                word
            }
            .as_bytes(),
        );
        text.push(if numbers.below(8) == 0 { b'\n' } else { b' ' });
    }
    text.truncate(len);
    while std::str::from_utf8(&text).is_err() {
        text.pop();
    }
    text
}

/// The seconds of the fastest of several passes.
fn seconds(passes: usize, mut pass: impl FnMut() -> Result<u64, String>) -> Result<f64, String> {
    let mut best = f64::MAX;
    for _ in 0..passes {
        let began = Instant::now();
        black_box(pass()?);
        best = best.min(began.elapsed().as_secs_f64());
    }
    Ok(best)
}

/// Runs over a file that is cut into chunks of the size that the program accepts.
fn over(
    program: &Verified,
    file: &[u8],
    mut run: impl FnMut(&Chunk<'_>, &mut Results) -> Result<(), String>,
) -> Result<(u64, u64), String> {
    let declared = program.program();
    let args: Vec<u32> = declared
        .args
        .iter()
        .map(|arg| arg.default.unwrap_or(0))
        .collect();
    let mut accs = declared.fresh_accs();
    let (mut records, mut steps) = (Vec::new(), 0);
    let mut results = Results::default();
    let size = declared.chunk as usize;
    for start in (0..file.len()).step_by(size) {
        let len = size.min(file.len() - start);
        let chunk = Chunk::new(file, start, len, start as u64, &args).ok_or("no such chunk")?;
        run(&chunk, &mut results)?;
        declared.merge_accs(&mut accs, &results.accs);
        steps += results.steps;
        for record in &results.records {
            records.extend([record.file_position(start as u64), u64::from(record.value)]);
        }
    }
    Ok((digest(accs.into_iter().chain(records)), steps))
}

fn vectorised(machine: &mut Machine, file: &[u8]) -> Result<(u64, u64), String> {
    let program = machine.program().clone();
    over(&program, file, |chunk, results| {
        machine
            .run(chunk, results)
            .map_err(|stop| format!("{stop:?}"))
    })
}

fn scalar(program: &Verified, file: &[u8]) -> Result<(u64, u64), String> {
    over(program, file, |chunk, results| {
        reference::run(program, chunk, results).map_err(|stop| format!("{stop:?}"))
    })
}

fn rate(bytes: usize, seconds: f64) -> String {
    format!("{:.2} GB/s", bytes as f64 / seconds / 1e9)
}

/// Counts newlines byte by byte in eBPF. r1 is the address of the bytes; code that is put before this sets r2 to their
/// number.
const EBPF_NEWLINES: &str = "
    mov64 r0, 0
    ldxb r3, [r1+0]
    jne r3, 10, +1
    add64 r0, 1
    add64 r1, 1
    sub64 r2, 1
    jne r2, 0, -6
    exit
";

pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let (len, passes) = if setting.smoke {
        (1 << 16, 1)
    } else {
        (1 << 20, 20)
    };
    let file = text(len);
    let mut rows = Vec::new();
    for (name, source) in SHIPPED {
        let program = shipped(name, source)?;
        let (_, peer) = LOOPS
            .iter()
            .find(|(known, _)| known == name)
            .ok_or_else(|| format!("{name} has no loop to compare with"))?;
        let mut machine = Machine::new(&program);
        let table = &program.program().table;
        let (answer, _) = vectorised(&mut machine, &file)?;
        if answer != peer(&file, table) {
            return Err(format!("{name}: the loop in Rust has another answer"));
        }
        let mut pairs = Vec::new();
        for _ in 0..setting.runs {
            let ours = seconds(passes, || Ok(vectorised(&mut machine, &file)?.0))?;
            let peer = seconds(passes, || Ok(peer(black_box(&file), table)))?;
            pairs.push((ours, peer));
        }
        let mid = |pick: fn(&(f64, f64)) -> f64| median(pairs.iter().map(pick).collect());
        rows.push(Row {
            name: format!("vir0, {name}"),
            ours: rate(file.len(), mid(|pair| pair.0)),
            peer: format!("Rust {}", rate(file.len(), mid(|pair| pair.1))),
            figure: mid(|pair| pair.1 / pair.0),
            goal: match *name {
                "newline_count" => Goal::AtLeast(0.2),
                "byte_histogram" => Goal::AtLeast(0.5),
                _ => Goal::None,
            },
        });
    }
    rows.push(beside_ebpf(setting, &file, passes)?);
    rows.push(per_instruction(setting, &file, passes)?);
    rows.push(verifier(setting)?);
    Ok(rows)
}

fn beside_ebpf(setting: &Setting, file: &[u8], passes: usize) -> Result<Row, String> {
    let program = shipped("newline_count", SHIPPED[0].1)?;
    let mut machine = Machine::new(&program);
    let code = format!("mov64 r2, {}\n{EBPF_NEWLINES}", file.len());
    let code = rbpf::assembler::assemble(&code)?;
    let vm = rbpf::EbpfVmRaw::new(Some(&code)).map_err(|error| error.to_string())?;
    let mut memory = file.to_vec();
    let mut peer = || {
        vm.execute_program(&mut memory)
            .map_err(|error| error.to_string())
    };
    if digest([peer()?]) != vectorised(&mut machine, file)?.0 {
        return Err("the eBPF program has another answer".into());
    }
    let mut pairs = Vec::new();
    for _ in 0..setting.runs {
        let ours = seconds(passes, || Ok(vectorised(&mut machine, file)?.0))?;
        let theirs = seconds(passes.div_ceil(5), &mut peer)?;
        pairs.push((ours, theirs));
    }
    let mid = |pick: fn(&(f64, f64)) -> f64| median(pairs.iter().map(pick).collect());
    Ok(Row {
        name: "vir0, newline_count beside rbpf's interpreter".into(),
        ours: rate(file.len(), mid(|pair| pair.0)),
        peer: format!("rbpf {}", rate(file.len(), mid(|pair| pair.1))),
        figure: mid(|pair| pair.1 / pair.0),
        goal: Goal::AtLeast(20.0),
    })
}

fn instr(op: Op, dst: u8, a: u8, b: Operand) -> Instr {
    Instr { op, dst, a, b }
}

/// Measures a hundred instructions of arithmetic for each byte.
fn per_instruction(setting: &Setting, file: &[u8], passes: usize) -> Result<Row, String> {
    const OPS: [Op; 5] = [Op::Add, Op::Xor, Op::Mul, Op::Rotl, Op::Min];
    let mut code = vec![
        instr(Op::Each, 1, 0, Operand::Imm(1)),
        instr(Op::Ld8, 2, 1, Operand::Imm(0)),
    ];
    for index in 0..97 {
        let b = if index % 2 == 0 {
            Operand::Reg(1)
        } else {
            Operand::Imm(7)
        };
        code.push(instr(OPS[index % OPS.len()], 2, 2, b));
    }
    code.push(instr(Op::Acc, 0, 2, Operand::Imm(0)));
    code.push(instr(Op::End, 0, 0, Operand::Reg(0)));
    let program = Program {
        accs: vec![AccArray {
            name: "sum".into(),
            kind: AccKind::Sum,
            len: 1,
        }],
        code,
        ..Program::default()
    };
    let program = verify(program, &Limits::default()).map_err(|refusal| refusal.to_string())?;
    let mut machine = Machine::new(&program);
    let file = &file[..file.len().min(1 << 16)];
    let (answer, steps) = vectorised(&mut machine, file)?;
    if scalar(&program, file)? != (answer, steps) {
        return Err("the interpreters have different answers".into());
    }
    let mut pairs = Vec::new();
    for _ in 0..setting.runs {
        let ours = seconds(passes, || Ok(vectorised(&mut machine, file)?.0))?;
        let theirs = seconds(passes.div_ceil(5), || Ok(scalar(&program, file)?.0))?;
        pairs.push((ours, theirs));
    }
    let mid = |pick: fn(&(f64, f64)) -> f64| median(pairs.iter().map(pick).collect());
    let nanos = |seconds: f64| format!("{:.3} ns", seconds * 1e9 / steps as f64);
    Ok(Row {
        name: format!(
            "vir0, an instruction of a lane ({}), beside the reference interpreter",
            machine.level().name()
        ),
        ours: nanos(mid(|pair| pair.0)),
        peer: format!("reference {}", nanos(mid(|pair| pair.1))),
        figure: mid(|pair| pair.1 / pair.0),
        goal: Goal::None,
    })
}

/// Measures the verifier on the largest legal program: 4,096 instructions, 16 blocks deep.
fn verifier(setting: &Setting) -> Result<Row, String> {
    let end = instr(Op::End, 0, 0, Operand::Reg(0));
    let mut code = vec![instr(Op::Each, 1, 0, Operand::Imm(1))];
    code.extend([instr(Op::If, 0, 1, Operand::Reg(0)); 15]);
    while code.len() < 4096 - 16 {
        code.push(instr(Op::SAdd, (code.len() % 16) as u8, 1, Operand::Imm(3)));
    }
    code.extend([end; 16]);
    let program = Program {
        scratch: (0..16)
            .map(|index| gristmill::megakernel::vir0::Scratch {
                name: format!("scratch_{index}"),
                words: 256,
            })
            .collect(),
        accs: vec![AccArray {
            name: "all".into(),
            kind: AccKind::Sum,
            len: 1024,
        }],
        table: vec![1; 256 << 10],
        // With larger chunks, the program would be too much work.
        chunk: 256 << 10,
        code,
        ..Program::default()
    };
    let times = (0..setting.runs.max(5))
        .map(|_| {
            let program = program.clone();
            let began = Instant::now();
            verify(program, &Limits::default()).map_err(|refusal| refusal.to_string())?;
            Ok(began.elapsed().as_secs_f64() * 1e3)
        })
        .collect::<Result<Vec<f64>, String>>()?;
    let milliseconds = median(times);
    Ok(Row {
        name: "vir0, verifying the largest program, in milliseconds".into(),
        ours: format!("{milliseconds:.3} ms"),
        peer: String::new(),
        figure: milliseconds,
        goal: Goal::AtMost(10.0),
    })
}
