//! docs/vir0.md agrees with the code: its tables are generated from the lists in the code, and its example is what the
//! assembler produces, byte by byte.

use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::isa::{Class, Field, Shape};
use gristmill_vir0::{decode, encode, FaultKind, Op, Rule};
use std::collections::BTreeSet;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/vir0.md");
const SPECIFICATION: &str = include_str!("../../../docs/vir0.md");

/// A table of the document: its header and its rows.
fn table(header: &str, rows: impl Iterator<Item = String>) -> String {
    let columns = header.matches(" | ").count() + 1;
    let rows: String = rows.map(|row| format!("| {row} |\n")).collect();
    format!("| {header} |\n|{}\n{rows}", "---|".repeat(columns))
}

/// The rows of the opcodes with numbers from `first` to `last`.
fn instructions(first: u8, last: u8) -> String {
    let ops = Op::ALL
        .iter()
        .filter(|op| (first..=last).contains(&(**op as u8)));
    table(
        "number | mnemonic | shape | effect | fault | cost",
        ops.map(|op| {
            let fault = match op.indexes() {
                Some(FaultKind::Scratch) => "scratch index",
                Some(FaultKind::Acc) => "accumulator index",
                None if op.class() == Class::Emit => "- (overflow)",
                None => "-",
            };
            let (number, word, shape) = (*op as u8, op.mnemonic(), op.shape());
            let (effect, cost) = (op.effect(), op.cost());
            format!("`{number:#04X}` | `{word}` | {shape:?} | {effect} | {fault} | {cost}")
                .replace("`0X", "`0x")
        }),
    )
}

fn shapes() -> String {
    table(
        "shape | `dst` | `a` | operand b | text",
        Shape::ALL.iter().map(|shape| {
            let either = |register, array| match (shape.has(register), shape.has(array)) {
                (true, _) => "register",
                (_, true) => "number of an array",
                _ => "0",
            };
            let b = match (shape.has(Field::B), shape.has(Field::N)) {
                (true, _) => "register or immediate",
                (_, true) => "immediate only (bit 7 is 1)",
                _ => "none (bit 7 is 0)",
            };
            let fields = shape.fields().iter().map(|field| match field {
                Field::Dst => "rD",
                Field::A => "rA",
                Field::B => "B",
                Field::N => "N",
                Field::ArrayInDst | Field::ArrayInA => "ARRAY",
            });
            let text = format!("op {}", fields.collect::<Vec<_>>().join(", "));
            let dst = either(Field::Dst, Field::ArrayInDst);
            let a = either(Field::A, Field::ArrayInA);
            format!("{shape:?} | {dst} | {a} | {b} | `{}`", text.trim_end())
        }),
    )
}

fn weights() -> String {
    let weights: BTreeSet<u8> = Op::ALL.iter().map(|op| op.weight()).collect();
    table(
        "instructions | w",
        weights.iter().rev().map(|weight| {
            let ops = Op::ALL.iter().filter(|op| op.weight() == *weight);
            let words: Vec<String> = ops.map(|op| format!("`{}`", op.mnemonic())).collect();
            match weight {
                1 => "all others, `else` and `end` included | 1".to_owned(),
                weight => format!("{} | {weight}", words.join(", ")),
            }
        }),
    )
}

fn rules() -> String {
    let row = |rule: &Rule| format!("`{rule:?}` | {rule}");
    table("rule | what it demands", Rule::ALL.iter().map(row))
}

/// The tables between `<!-- generated: NAME -->` and `<!-- end -->` are those that the crate generates, and every
/// instruction is in one of them. `UPDATE_SPECIFICATION=1` writes them.
#[test]
fn the_tables_are_those_of_the_crate() {
    let mut text = String::new();
    let mut rest = SPECIFICATION;
    while let Some((before, after)) = rest.split_once("<!-- generated: ") {
        let (name, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after.split_once("<!-- end -->\n").unwrap();
        let table = match name {
            "shapes" => shapes(),
            "weights" => weights(),
            "rules" => rules(),
            name => {
                let numbers = name.strip_prefix("instructions 0x").unwrap();
                let (first, last) = numbers.split_once(" to 0x").unwrap();
                let number = |digits| u8::from_str_radix(digits, 16).unwrap();
                instructions(number(first), number(last))
            }
        };
        text += &format!("{before}<!-- generated: {name} -->\n\n{table}\n<!-- end -->\n");
        rest = after;
    }
    text += rest;
    let numbers = text.lines().filter(|line| line.starts_with("| `0x"));
    assert_eq!(
        numbers.count(),
        Op::ALL.len(),
        "every instruction has its row"
    );
    if std::env::var_os("UPDATE_SPECIFICATION").is_some() {
        std::fs::write(PATH, &text).unwrap();
        return;
    }
    assert!(
        text == SPECIFICATION,
        "docs/vir0.md is stale: run this test with UPDATE_SPECIFICATION=1"
    );
}

#[test]
fn the_example_is_what_the_assembler_makes() {
    let (_, rest) = SPECIFICATION.split_once("a file `above.vasm`,\n").unwrap();
    let (source, table) = rest.split_once("\n| offset |").unwrap();
    let source = source.trim_start_matches('\n');
    let options = AsmOptions {
        name: "above.vasm",
        files: &|_| Err(std::io::ErrorKind::NotFound.into()),
        debug: true,
    };
    let bytes = encode(&assemble(source, &options).unwrap()).unwrap();
    assert!(decode(&bytes).is_ok());
    let mut told = vec![None; bytes.len()];
    for row in table.lines().filter(|line| line.starts_with("| 0x")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let mut at = usize::from_str_radix(&cells[1][2..], 16).unwrap();
        for word in cells[2].replace('`', " ").split_whitespace() {
            if word == "..." {
                // Lines 5 to 8.
                at += 16;
                continue;
            }
            told[at] = Some(u8::from_str_radix(word, 16).unwrap());
            at += 1;
        }
    }
    for (at, (byte, told)) in bytes.iter().zip(&told).enumerate() {
        if let Some(told) = told {
            assert_eq!(told, byte, "byte {at:#x}");
        }
    }
    let left_out = told.iter().filter(|byte| byte.is_none()).count();
    assert_eq!(left_out, 16, "bytes that the table does not tell");
}
