//! docs/protocol.md agrees with the code: its tables of numbers are generated from the crate's lists.

use gristmill_protocol::numbers::{List, LISTS};
use gristmill_protocol::opcode;
use std::collections::BTreeSet;
use std::fmt::Write;

const HOW: &str = "run UPDATE_DOCS=1 cargo test -p gristmill-protocol --test document";

/// A number in the notation that a reader expects: hexadecimal for bit patterns, decimal otherwise.
fn shown(path: &str, value: u64) -> String {
    let bits = path.starts_with("opcode::OP") || path.starts_with("opcode::RANGES");
    let bits = bits || ["fault::PARTS", "io::io_status::STATUSES"].contains(&path);
    if bits && value > 9 || value >= 1 << 31 {
        return format!("{value:#x}");
    }
    value.to_string()
}

fn table(list: &List) -> String {
    let mut rows = String::from("| number | name | meaning |\n|---|---|---|\n");
    for number in list.numbers {
        let value = shown(list.path, number.value);
        let meaning = number.meaning.trim().replace("[`", "`").replace("`]", "`");
        let _infallible = writeln!(rows, "| {value} | `{}` | {meaning} |", number.name);
    }
    rows
}

fn core_args() -> String {
    let mut rows = String::from("| opcode | argument words |\n|---|---|\n");
    for (name, _, args) in opcode::CORE {
        let _infallible = writeln!(rows, "| `{name}` | {args} |");
    }
    rows
}

/// The tables by the names that the document's comments give them.
fn tables() -> Vec<(String, String)> {
    let lists = LISTS
        .iter()
        .map(|list| (list.path.to_string(), table(list)));
    lists
        .chain([("opcode::CORE".to_string(), core_args())])
        .collect()
}

#[test]
fn every_table_is_that_of_its_list() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let mut told = text.clone();
    for (name, table) in tables() {
        let begin = format!("<!-- {name} -->\n");
        let (before, rest) = told
            .split_once(&begin)
            .unwrap_or_else(|| panic!("docs/protocol.md has no table {name}"));
        let (_, after) = rest.split_once("<!-- end -->\n").unwrap();
        told = format!("{before}{begin}{table}<!-- end -->\n{after}");
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &told).unwrap();
    } else {
        assert!(told == text, "a table of docs/protocol.md is stale: {HOW}");
    }
    let ends = told.lines().filter(|line| *line == "<!-- end -->").count();
    assert_eq!(ends, tables().len(), "a table that no list makes");
}

#[test]
fn a_name_of_the_device_source_has_one_number() {
    let mut names = BTreeSet::new();
    for list in LISTS {
        for number in list.numbers {
            let name = format!("GM_{}{}", list.prefix, number.name);
            assert!(names.insert(name.clone()), "{name} is there twice");
        }
    }
}
