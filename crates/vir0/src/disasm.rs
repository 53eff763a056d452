//! The disassembler: it writes a program as text. The text assembles to the same program, including its debug
//! information.
//!
//! That holds for every program that has a container and that the assembler can accept: with at most
//! [`MAX_ASSEMBLED`](crate::asm::MAX_ASSEMBLED) instructions, [`MAX_TABLE`](crate::verify::MAX_TABLE) bytes of table
//! and [`MAX_SOURCE`](crate::asm::MAX_SOURCE) bytes of text. Every verified program is far smaller. A container can
//! hold a larger program; its text can be read, but not assembled.

use crate::fault_kind::FaultKind;
use crate::isa::{Field, Instr, Op, Operand};
use crate::program::Program;
use crate::show::Shown;
use std::fmt::Write;

/// The text of a program, verified or not. Arrays and arguments that share their names are written as numbers.
#[must_use]
pub fn disassemble(program: &Program) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_program(&mut text, program);
    text
}

fn write_program(text: &mut String, program: &Program) -> std::fmt::Result {
    writeln!(text, ".name    {}", program.name)?;
    if program.before > 0 {
        writeln!(text, ".before  {}", program.before)?;
    }
    if program.after > 0 {
        writeln!(text, ".after   {}", program.after)?;
    }
    writeln!(text, ".chunk   {}", program.chunk)?;
    writeln!(text, ".align   {}", program.align)?;
    if program.records > 0 {
        writeln!(text, ".records {}", program.records)?;
    }
    for arg in &program.args {
        match arg.default {
            Some(default) => writeln!(text, ".arg     {} = {}", arg.name, number(default))?,
            None => writeln!(text, ".arg     {}", arg.name)?,
        }
    }
    for array in &program.scratch {
        writeln!(text, ".scratch {} {}", array.name, array.words)?;
    }
    for array in &program.accs {
        if array.len == 1 {
            writeln!(text, ".acc     {} {}", array.name, array.kind)?;
        } else {
            writeln!(
                text,
                ".acc     {}[{}] {}",
                array.name, array.len, array.kind
            )?;
        }
    }
    for row in program.table.chunks(16) {
        let bytes: Vec<String> = row.iter().map(|byte| format!("0x{byte:02X}")).collect();
        writeln!(text, ".u8      {}", bytes.join(", "))?;
    }
    for show in &program.shows {
        write!(text, ".show    ")?;
        match show.what {
            Shown::Records => write!(text, ".records")?,
            Shown::Acc(number) => {
                let accs = program.accs.iter().map(|array| array.name.as_str());
                write!(text, "{}", named(accs, number.into()))?;
            }
        }
        write!(text, " / {}", show.divisor)?;
        write!(text, " \"{}\"", quoted(&show.unit))?;
        writeln!(text, ", \"{}\"", quoted(&show.title))?;
    }
    match &program.debug {
        Some(debug) => writeln!(text, ".source  \"{}\"", quoted(&debug.source))?,
        None => writeln!(text, ".nodebug")?,
    }
    writeln!(text)?;
    let mut depth = 0_usize;
    let mut shown = None;
    for (index, instr) in program.code.iter().enumerate() {
        let line = program.line(index);
        if line != shown {
            if let Some(line) = line {
                writeln!(text, ".line {line}")?;
            }
            shown = line;
        }
        if matches!(instr.op, Op::End | Op::Else) {
            depth = depth.saturating_sub(1);
        }
        // A program that is not verified may open any number of blocks.
        let indent = 4 + 2 * depth.min(32);
        writeln!(text, "{:indent$}{}", "", instruction(program, instr))?;
        depth += usize::from(instr.op.opens() || instr.op == Op::Else);
    }
    Ok(())
}

/// A text in the form in which it is written between quotes. The container may be hostile, so characters that a
/// terminal would interpret or not show are written as the bytes of their UTF-8.
fn quoted(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\'' => out.push(character),
            // This character would be shown as an escape of several characters.
            _ if character.escape_debug().len() > 1 => {
                for byte in character.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(out, "\\x{byte:02X}");
                }
            }
            _ => out.push(character),
        }
    }
    out
}

/// A word in the form that people prefer: small and negative numbers in decimal, others in hexadecimal.
fn number(value: u32) -> String {
    let signed = value.cast_signed();
    if value < 65_536 {
        format!("{value}")
    } else if (-4096..0).contains(&signed) {
        format!("{signed}")
    } else {
        format!("0x{value:08X}")
    }
}

/// The name of an argument or array if the assembler would find it by this name, otherwise its number.
fn named<'n>(names: impl Iterator<Item = &'n str> + Clone, index: u32) -> String {
    usize::try_from(index)
        .ok()
        .and_then(|index| Some((index, names.clone().nth(index)?)))
        .filter(|(index, name)| names.clone().position(|other| other == *name) == Some(*index))
        .map_or_else(|| format!("#{index}"), |(_, name)| name.to_owned())
}

fn instruction(program: &Program, instr: &Instr) -> String {
    let kind = instr.op.indexes().unwrap_or(FaultKind::Scratch);
    let array = |number: u8| {
        let arrays = (0..).map_while(|number| program.array(kind, number));
        named(arrays.map(|(name, _)| name), number.into())
    };
    let operand = |field: &Field| match (field, instr.b) {
        (Field::Dst, _) => format!("r{}", instr.dst),
        (Field::A, _) => format!("r{}", instr.a),
        (Field::ArrayInDst, _) => array(instr.dst),
        (Field::ArrayInA, _) => array(instr.a),
        (Field::B | Field::N, Operand::Reg(register)) => format!("r{register}"),
        (Field::N, Operand::Imm(index)) if instr.op == Op::Arg => {
            named(program.args.iter().map(|arg| arg.name.as_str()), index)
        }
        (Field::B | Field::N, Operand::Imm(imm)) => number(imm),
    };
    let operands: Vec<String> = instr.op.shape().fields().iter().map(operand).collect();
    let text = format!("{} {}", instr.op.mnemonic(), operands.join(", "));
    text.trim_end().to_owned()
}
