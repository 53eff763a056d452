//! docs/vir0.md says what the code does: every opcode and rule, and the example byte by byte.

use gristmill_vir0::asm::{assemble, AsmOptions};
use gristmill_vir0::{decode, encode, Op, Rule};

const SPECIFICATION: &str = include_str!("../../../docs/vir0.md");

#[test]
fn every_opcode_has_its_row() {
    for op in Op::ALL {
        let row = format!(
            "| `{:#04X}` | `{}` | {:?} |",
            *op as u8,
            op.mnemonic(),
            op.shape()
        );
        let row = row.replace("0X", "0x");
        assert!(SPECIFICATION.contains(&row), "{row}");
    }
    let rows = SPECIFICATION
        .lines()
        .filter(|line| line.starts_with("| `0x"));
    assert_eq!(rows.count(), Op::ALL.len(), "no row of anything else");
}

#[test]
fn every_rule_has_its_row() {
    for rule in Rule::ALL {
        assert!(
            SPECIFICATION.contains(&format!("| `{rule:?}` |")),
            "{rule:?}"
        );
    }
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
