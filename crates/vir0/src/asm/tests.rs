//! The sources that the assembler accepts, and the errors that it reports for others, with their places.

use super::{assemble, default_name, AsmError, AsmOptions, MAX_ASSEMBLED, MAX_SOURCE};
use crate::isa::{Instr, Operand};
use crate::program::Program;
use crate::show::{Show, Shown};
use crate::verify::MAX_TABLE;
use std::io::{Error, ErrorKind};

fn file(name: &str) -> std::io::Result<Vec<u8>> {
    match name {
        "four.bin" => Ok(vec![1, 2, 3, 4]),
        "big.bin" => Ok(vec![7; MAX_TABLE + 1]),
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

/// The instructions of a program that declares nothing.
fn code(source: &str) -> Vec<Instr> {
    ok(source).code
}

#[test]
fn conveniences_are_what_they_stand_for() {
    for (short, long) in [
        ("ldi r1, 7", "mov r1, 7"),
        ("ld8 r1, r2", "ld8 r1, r2, 0"),
        ("ld32 r1, r2", "ld32 r1, r2, 0"),
        ("tb8 r1, r2", "tb8 r1, r2, 0"),
        ("tb32 r1, r2", "tb32 r1, r2, 0"),
        ("acc #3, r2", "acc #3, 0, r2"),
        (".acc x sum\nacc x, r2", "\nacc #0, 0, r2"),
        (".scratch x 9\ns.add x, 4, r2", "\ns.add #0, 4, r2"),
        (".arg x\n.arg y\narg r1, y", "arg r1, #1"),
        ("\tmov\t r1 , -1 ;, x", "mov r1,0xFFFF_FFFF"),
        ("mov r1, 1 \r\nend\r", "mov r1, 1\nend"),
        (".reg a = r3\nmov a, a", "mov r3, r3"),
    ] {
        assert_eq!(code(short), code(long), "{short}");
    }
}

#[test]
fn expressions_have_the_usual_values() {
    for (expression, value) in [
        ("0", 0_u32),
        ("1_000", 1000),
        ("0xFf", 255),
        ("0b1010_0101", 0xA5),
        ("'a'", 97),
        (r"'\n'", 10),
        (r"'\''", 39),
        (r"'\x7f'", 127),
        ("';'", 59),
        ("-1", u32::MAX),
        ("- -1", 1),
        ("-2147483648", 1 << 31),
        ("4294967295", u32::MAX),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 4 - 3", 3),
        ("100 / 7 / 2", 7),
        ("-7 / 2", (-3_i32).cast_unsigned()),
        ("1 << 4 + 1", 32),
        ("1 | 6 & 3 << 1", 7),
        ("0xF0 >> 4 & 7 | 8", 15),
        ("-16 >> 2", (-4_i32).cast_unsigned()),
        ("0x1_0000_0000 - 1", u32::MAX),
        ("later * 2", 14),
        ("chain", 8),
        ("t", 3),
        ("t.len", 5),
        ("u", 8),
        ("u.len", 0),
    ] {
        let source = format!(
            ".u8 1, 2, 3\nmov r1, {expression}\n.const chain = later + 1\n.const later = 7\n\
             .table t\n.u8 0\n.u32 -1\n.table u"
        );
        assert_eq!(code(&source)[0].b, Operand::Imm(value), "{expression}");
    }
}

#[test]
fn tables_hold_what_is_written() {
    let table =
        ok(".u8 -128, 255, 'a'\n.u32 -1, 0xFFFFFFFF, 1\n.ascii \"é\\x00\\\"\\\\;\"\n").table;
    let mut expected = vec![128, 255, 97];
    expected.extend([255; 8]);
    expected.extend([1, 0, 0, 0]);
    expected.extend("é\0\"\\;".bytes());
    assert_eq!(table, expected);
}

#[test]
fn errors_are_shown_like_those_of_rustc() {
    let error = asm("; what it does\n\n    add r1, r32, 4\n").unwrap_err();
    assert_eq!(
        error.to_string(),
        "p.vasm:3:13: there is no register r32; registers are r0 to r31\n    add r1, r32, 4\n            ^^^"
    );
    let error = asm("\tmov\tr1, é ; é").unwrap_err();
    assert!(error.to_string().ends_with("\n mov r1, é ; é\n         ^"));
}

/// Every error message: the source, the line, the column, the width, and the message.
#[rustfmt::skip]
const COMPLAINTS: &[(&str, usize, usize, usize, &str)] = &[
    (" foo r1, 2", 1, 2, 3, "there is no instruction foo; did you mean loop?"),
    ("ad r1, r1, 2", 1, 1, 2, "there is no instruction ad; did you mean add?"),
    ("ADD r1, r1, 2", 1, 1, 3, "there is no instruction ADD; did you mean add?"),
    ("  mov r1", 1, 9, 1, "an operand is missing: mov takes register, register or value"),
    ("mov r1,", 1, 7, 1, "an operand is missing beside this comma"),
    ("mov ,r1", 1, 5, 1, "an operand is missing beside this comma"),
    ("mov r1,, r2", 1, 8, 1, "an operand is missing beside this comma"),
    ("mov r1 r2", 1, 8, 2, "a comma is missing before this"),
    ("mov 1, r2", 1, 5, 1, "a register is expected here, r0 to r31; mov a value into one first"),
    ("mov r1, r2, r3", 1, 13, 2, "mov takes register, register or value"),
    ("end 1", 1, 5, 1, "end takes no operands"),
    ("  add r1, r32, 4", 1, 11, 3, "there is no register r32; registers are r0 to r31"),
    ("add r1, r2, r32", 1, 13, 3, "there is no register r32; registers are r0 to r31"),
    ("mov r01, 1", 1, 5, 3, "there is no register r01; registers are r0 to r31"),
    ("mov bite, 1\n", 1, 5, 4, "a register is expected here, r0 to r31"),
    (".reg byte = r1\nmov bite, 1", 2, 5, 4, "a register is expected here, r0 to r31; did you mean byte?"),
    ("mov r1, nl", 1, 9, 2, "nl is neither a register, which are r0 to r31, nor a constant"),
    (".const NL = 10\n  mov r1, nl", 2, 11, 2, "nl is neither a register, which are r0 to r31, nor a constant; did you mean NL?"),
    (".arg limit\nmov r1, limit", 2, 9, 5, "limit is neither a register, which are r0 to r31, nor a constant; arg rN, limit puts the argument into a register"),
    ("mov byte, 1\n.reg byte = r1", 1, 5, 4, "byte names a register from line 2 on only; move the .reg up"),
    ("mov r1, (1 + 2", 1, 9, 1, "this parenthesis is not closed"),
    ("mov r1, 1 + ", 1, 12, 1, "a value is missing"),
    ("mov r1, 1)", 1, 10, 1, "this parenthesis was not opened"),
    ("mov r1, 2 2", 1, 11, 1, "a comma is missing before this"),
    ("mov r1, 1 / 0", 1, 11, 1, "this divides by zero"),
    ("mov r1, 1 << 64", 1, 11, 2, "shifts go by 0 to 63 bits"),
    ("mov r1, 1 << 63 << 63", 1, 17, 2, "this is too large for anything"),
    ("mov r1, 1 << 32", 1, 9, 7, "4294967296 does not fit into 32 bits: -2^31 to 2^32 - 1"),
    ("mov r1, -2147483649", 1, 9, 11, "-2147483649 does not fit into 32 bits: -2^31 to 2^32 - 1"),
    ("mov r1, 18446744073709551616", 1, 9, 20, "not a number; write decimal, 0x hexadecimal or 0b binary, up to 64 bits"),
    ("mov r1, 0x", 1, 9, 2, "not a number; write decimal, 0x hexadecimal or 0b binary, up to 64 bits"),
    ("mov r1, 1_", 1, 9, 2, "not a number; write decimal, 0x hexadecimal or 0b binary, up to 64 bits"),
    ("mov r1, 12ab", 1, 9, 4, "not a number; write decimal, 0x hexadecimal or 0b binary, up to 64 bits"),
    ("mov r1, 'ab'", 1, 9, 3, "a character is one byte between quotes, such as 'a'"),
    ("mov r1, ''", 1, 9, 2, "a character is one byte between quotes, such as 'a'"),
    ("mov r1, 'é'", 1, 9, 2, "a character is one byte between quotes, such as 'a'"),
    ("mov r1, '\\q'", 1, 10, 2, "an unknown escape; there are \\n \\r \\t \\0 \\\\ \\\" \\' and \\xNN"),
    ("mov r1, '\\x1'", 1, 10, 4, "\\x needs two hexadecimal digits"),
    ("mov r1, @", 1, 9, 1, "a character that means nothing here"),
    ("mov r1, \"a\"", 1, 9, 3, "a value is expected here"),
    ("loop r1", 1, 6, 2, "loop takes a value here, and no register"),
    ("each r1, r2", 1, 10, 2, "each takes a value here, and no register"),
    ("ldi r1, r2", 1, 9, 2, "ldi takes a value here, and no register"),
    ("if 1", 1, 4, 1, "a register is expected here, r0 to r31; mov a value into one first"),
    ("mov NL, 1\n.const NL = 2", 1, 5, 2, "a register is expected here, r0 to r31; mov a value into one first"),
    ("acc lines, r1", 1, 5, 5, "lines is not the name of an .acc"),
    (".acc lines sum\nacc line, r1", 2, 5, 4, "line is not the name of an .acc; did you mean lines?"),
    ("s.ld r1, 3, r2", 1, 10, 1, "the name of a .scratch is expected here"),
    ("s.ld r1, #256, r2", 1, 10, 4, "arrays have the numbers 0 to 255"),
    ("arg r1, #4294967296", 1, 9, 11, "the number of an argument has 32 bits"),
    (".arg limit\narg r1, limt", 2, 9, 4, "limt is not the name of an .arg; did you mean limit?"),
    (".nam x", 1, 1, 4, "there is no directive .nam; did you mean .name?"),
    (".foo", 1, 1, 4, "there is no directive .foo"),
    (".name", 1, 6, 1, "write .name NAME"),
    (".name 7", 1, 7, 1, "not a name: letters, digits and _, no digit first, at most 32"),
    (".name r7", 1, 7, 2, "r7 is a register; use another name"),
    (".name a b", 1, 9, 1, "write .name NAME"),
    (".name a\n.name b", 2, 1, 5, "a second .name; the first is in line 1"),
    (".chunk", 1, 7, 1, "write .chunk NUMBER"),
    (".chunk 1\n\n.chunk 2", 3, 1, 6, "a second .chunk; the first is in line 1"),
    (".before 65536", 1, 9, 5, "65536 is out of range; a number of 0 to 65,535 is expected here"),
    (".after -1", 1, 8, 2, "-1 is out of range; a number of 0 to 65,535 is expected here"),
    (".chunk 4294967296", 1, 8, 10, "4294967296 is out of range; a number of 0 to 4,294,967,295 is expected here"),
    (".chunk 1, 2", 1, 9, 1, "one value is expected here, not a list"),
    (".arg", 1, 5, 1, "write .arg NAME or .arg NAME = DEFAULT"),
    (".arg a 1", 1, 8, 1, "write .arg NAME or .arg NAME = DEFAULT"),
    (".arg a =", 1, 9, 1, "write .arg NAME or .arg NAME = DEFAULT"),
    (".arg a = 4294967296", 1, 10, 10, "4294967296 does not fit into 32 bits: -2^31 to 2^32 - 1"),
    (".scratch a", 1, 11, 1, "write .scratch NAME WORDS"),
    (".scratch a 65536", 1, 12, 5, "65536 is out of range; a number of 0 to 65,535 is expected here"),
    (".scratch a.b 1", 1, 10, 3, "not a name: letters, digits and _, no digit first, at most 32"),
    (".acc a", 1, 7, 1, "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor"),
    (".acc a summ", 1, 8, 4, "there is no kind summ; kinds are sum, min, max, or, xor; did you mean sum?"),
    (".acc a[2 sum", 1, 7, 1, "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor"),
    (".acc a[] sum", 1, 7, 1, "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor"),
    (".acc a[65536] sum", 1, 8, 5, "65536 is out of range; a number of 0 to 65,535 is expected here"),
    (".acc a 7", 1, 8, 1, "write .acc NAME KIND or .acc NAME[LENGTH] KIND; kinds are sum, min, max, or, xor"),
    (".const A", 1, 9, 1, "write .const NAME = VALUE"),
    (".const A 1", 1, 10, 1, "write .const NAME = VALUE"),
    (".const A =", 1, 11, 1, "write .const NAME = VALUE"),
    (".const A = B", 1, 12, 1, "there is no constant B"),
    (".const A = A", 1, 12, 1, "A is defined by itself"),
    (".const A = B\n.const B = A + 1", 2, 12, 1, "A is defined by itself"),
    (".const A = 1/0\nfine:", 2, 5, 1, "a character that means nothing here"),
    (".const A = 1 / 0", 1, 14, 1, "this divides by zero"),
    (".reg a = r32", 1, 10, 3, "there is no register r32; registers are r0 to r31"),
    (".reg a = 7", 1, 10, 1, "write .reg NAME = r0 (to r31)"),
    (".reg a", 1, 7, 1, "write .reg NAME = r0 (to r31)"),
    (".reg r1 = r2", 1, 6, 2, "r1 is a register; use another name"),
    (".reg a = r1 r2", 1, 13, 2, "write .reg NAME = r0 (to r31)"),
    (".const a = 1\n.reg a = r1", 2, 6, 1, "a is defined already, in line 1; use another name"),
    (".reg a = r1\n.table a", 2, 8, 1, "a is defined already, in line 1; use another name"),
    (".acc a sum\n.reg a = r1", 2, 6, 1, "a is defined already, in line 1; use another name"),
    (".reg a = r1\n.arg a", 2, 6, 1, "a is defined already, in line 1; use another name"),
    (".table", 1, 7, 1, "write .table NAME"),
    (".table a b", 1, 10, 1, "write .table NAME"),
    (".u8", 1, 4, 1, "write .u8 VALUE, ..."),
    (".u8 256", 1, 5, 3, "256 does not fit into a byte: -128 to 255"),
    (".u8 1, -129", 1, 8, 4, "-129 does not fit into a byte: -128 to 255"),
    (".u8 1,", 1, 6, 1, "an operand is missing beside this comma"),
    (".u32 4294967296", 1, 6, 10, "4294967296 does not fit into 32 bits: -2^31 to 2^32 - 1"),
    (".ascii", 1, 7, 1, "write .ascii \"...\""),
    (".ascii x", 1, 8, 1, "write .ascii \"...\""),
    (".ascii \"x", 1, 8, 2, "a text without its closing quote"),
    (".ascii \"\\y\"", 1, 9, 2, "an unknown escape; there are \\n \\r \\t \\0 \\\\ \\\" \\' and \\xNN"),
    (".ascii \"x\" \"y\"", 1, 12, 3, "write .ascii \"...\""),
    (".file \"none.bin\"", 1, 7, 10, "cannot read \"none.bin\": it is not there"),
    (".file \"big.bin\"", 1, 7, 9, "the table has at most 262144 bytes"),
    (".file \"\\xFF\"", 1, 7, 6, "the name of a file is UTF-8 here"),
    (".source 7", 1, 9, 1, "write .source \"name\""),
    (".source \"\\xFF\"", 1, 9, 6, "the name of a source is UTF-8"),
    (".source \"a\"\n.source \"b\"", 2, 1, 7, "a second .source; the first is in line 1"),
    (".show", 1, 6, 1, SHOW),
    (".show / 7", 1, 7, 1, SHOW),
    (".show \"unit\"", 1, 7, 6, SHOW),
    (".acc x sum\n.show x /", 2, 10, 1, SHOW),
    (".acc x sum\n.show x / \"unit\"", 2, 10, 1, SHOW),
    (".acc x sum\n.show x \"unit\" \"title\"", 2, 16, 7, SHOW),
    (".acc x sum\n.show x \"unit\",", 2, 16, 1, SHOW),
    (".acc x sum\n.show x \"unit\", x", 2, 17, 1, SHOW),
    (".acc x sum\n.show x \"unit\", \"title\" 7", 2, 25, 1, SHOW),
    (".acc x sum\n.show x / 0", 2, 11, 1, "values cannot be divided by 0"),
    (".acc x sum\n.show x / -1", 2, 11, 2, "-1 is out of range; a number of 0 to 4,294,967,295 is expected here"),
    (".acc size sum\n.show sise", 2, 7, 4, "sise is not the name of an .acc; did you mean size?"),
    (".show #255", 1, 7, 4, "arrays of accumulators have the numbers 0 to 254"),
    (".acc x sum\n.show x \"\\n\"", 2, 9, 4, "a unit or a title has at most 64 bytes of characters that can be seen"),
    (".show .records\n.show .records", 2, 1, 5, "a second .show of the same result; leave one out"),
    (".acc x sum\n.show x\n.show #0", 3, 1, 5, "a second .show of the same result; leave one out"),
    (".nodebug\n.nodebug", 2, 1, 8, "a second .nodebug; the first is in line 1"),
    (".nodebug 1", 1, 10, 1, ".nodebug takes no operands"),
    (".line", 1, 6, 1, "write .line NUMBER"),
    ("\n.line 1 / 0\n\nend", 2, 9, 1, "this divides by zero"),
    (".line -1", 1, 7, 2, "-1 is out of range; a number of 0 to 4,294,967,295 is expected here"),
    ("7", 1, 1, 1, "a line begins with an instruction or a directive"),
    ("= 1", 1, 1, 1, "a line begins with an instruction or a directive"),
    ("end\r\n foo\r\n", 2, 2, 3, "there is no instruction foo; did you mean loop?"),
];

const SHOW: &str =
    "write .show NAME or .show .records; behind it / NUMBER, \"unit\", or both, and behind a unit , \"title\"";

/// What a program shows, in the order of its results, and not in that of the source.
#[test]
fn results_are_shown_as_the_source_says() {
    let program = ok(".show .records \"bytes\"\n.acc a sum\n.show b / 1 << N \"bits per byte\", \"mean \\\"entropy\\\"\"\n\
         .show #0 / 10\n.acc b max\n.const N = 16\n");
    let show = |what, divisor, unit: &str, title: &str| Show {
        what,
        divisor,
        unit: unit.into(),
        title: title.into(),
    };
    assert_eq!(
        program.shows,
        [
            show(Shown::Acc(0), 10, "", ""),
            show(Shown::Acc(1), 65_536, "bits per byte", "mean \"entropy\""),
            show(Shown::Records, 1, "bytes", ""),
        ]
    );
}

#[test]
fn complaints_say_where_and_what() {
    let mut wrong = Vec::new();
    for (source, line, column, width, message) in COMPLAINTS {
        match asm(source) {
            Ok(_) => wrong.push(format!("{source:?} assembles")),
            Err(error) => {
                let got = (
                    error.line,
                    error.column,
                    error.width,
                    error.message.as_str(),
                );
                if got != (*line, *column, *width, *message) {
                    wrong.push(format!("{source:?}: {got:?}"));
                }
                let text = source.split('\n').nth(error.line - 1).unwrap();
                assert_eq!(error.text, text.trim_end_matches('\r'));
            }
        }
    }
    assert!(COMPLAINTS.len() >= 30);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn too_much_is_refused() {
    let error = asm(&" ".repeat(MAX_SOURCE + 1)).unwrap_err();
    assert!(error
        .message
        .starts_with("a source has at most 4194304 bytes"));
    assert!(error.to_string().len() < 400);
    assert!(asm(&" ".repeat(MAX_SOURCE)).is_ok());

    let error = asm(&"end\n".repeat(MAX_ASSEMBLED + 1)).unwrap_err();
    assert_eq!((error.line, error.column), (MAX_ASSEMBLED + 1, 1));
    assert_eq!(error.message, "a source has at most 65536 instructions");
    assert_eq!(code(&"end\n".repeat(MAX_ASSEMBLED)).len(), MAX_ASSEMBLED);

    let long = format!(".ascii \"{}\"\n", "a".repeat(MAX_TABLE));
    assert_eq!(ok(&long).table.len(), MAX_TABLE);
    let error = asm(&format!("{long}\n.u8 1")).unwrap_err();
    assert_eq!((error.line, error.column), (3, 1));
    assert_eq!(error.message, "the table has at most 262144 bytes");

    for parts in [".arg a{}\n", ".scratch a{} 1\n", ".acc a{} sum\n"] {
        let all = |count: usize| -> String {
            let line = |index: usize| parts.replace("{}", &index.to_string());
            (0..count).map(line).collect()
        };
        ok(&all(255));
        let error = asm(&all(256)).unwrap_err();
        assert_eq!(error.line, 256);
        assert_eq!(error.message, "a program has at most 255 parts of a kind");
    }

    let error = asm(&format!(".source \"{}\"", "a".repeat(65_536))).unwrap_err();
    assert_eq!(
        error.message,
        "the name of a source has at most 65535 bytes"
    );
}

/// Constants may be used before they are defined, but evaluating them must not exhaust the stack.
#[test]
fn constants_refer_to_later_ones_only_so_far() {
    let chain = |length: usize| {
        let mut source = String::from("mov r1, a0\n");
        source.extend((0..length).map(|i| format!(".const a{i} = ((a{}))\n", i + 1)));
        source + &format!(".const a{length} = 7")
    };
    assert_eq!(code(&chain(20))[0].b, Operand::Imm(7));
    let error = asm(&chain(50_000)).unwrap_err();
    let message = "this is nested too deeply; define constants before they are used";
    assert_eq!(error.message, message);
}

#[test]
fn programs_are_named_like_their_sources() {
    for (source, name) in [
        ("entropy.vasm", "entropy"),
        ("a/b.c/line-lengths.v2.vasm", "line_lengths_v2"),
        ("plain", "plain"),
        ("a/.vasm", "program"),
        ("7.vasm", "program"),
        ("r7.vasm", "program"),
        ("r32.vasm", "r32"),
        ("-", "_"),
        ("", "program"),
        ("an_awfully_long_name_of_a_file_that_is", "program"),
    ] {
        assert_eq!(default_name(source), name, "{source}");
    }
}
