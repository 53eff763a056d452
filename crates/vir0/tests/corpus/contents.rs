//! Wrong contents of sections: names, values, instructions and lines.

use super::build::{arg, nop};
use super::containers::{
    code, debug, meta, named, one, sealed, show, starts, table, Containers, Meta, META_AT,
};
use super::instructions::{broken_fields, whole};
use gristmill_vir0::container::Malformed;
use gristmill_vir0::isa::{InstrError, Shape};
use gristmill_vir0::{Op, Operand};
use std::collections::HashSet;

pub fn add(all: &mut Containers) {
    names(all);
    values(all);
    instructions(all);
    debugs(all);
    shows(all);
}

fn shows(all: &mut Containers) {
    use Malformed::{Text, Truncated, Value};
    let at = starts(&[meta(), one(), show()])[2] + 8;
    let with = |contents: &[u8]| sealed(&[meta(), one(), (*b"SHOW", contents.to_vec())]);
    let first = b"\0\x0A\0\0\0\x05bytes\x01t";
    let records = b"\xFF\x01\0\0\0\0\0";
    let both = [&first[..], records].concat();
    all.good
        .push(("accumulators and records shown", with(&both)));
    // It is read, and refused by the verifier: there are fewer arrays.
    all.good
        .push(("what is not declared", with(b"\xFE\x01\0\0\0\0\0")));
    for cut in 1..first.len() {
        let (kept, what) = (first.len() - cut, format!("SHOW, {cut} bytes short"));
        // Where what is cut began: after the number, the divisor, or the length of a text.
        let offset = match kept {
            1..5 => 1,
            5 => 5,
            6..11 => 6,
            11 => 11,
            _ => 12,
        };
        all.refuse(what, with(&first[..kept]), Truncated, at + offset);
    }
    for (what, contents, offset) in [
        ("divided by 0", [&b"\0\0\0\0\0\0\0"[..], b""], 0),
        ("shown twice", [first, first], first.len()),
        ("records shown twice", [records, records], records.len()),
        ("records shown first", [records, first], records.len()),
    ] {
        all.refuse(what, with(&contents.concat()), Value, at + offset);
    }
    for text in [
        &b"\x01\n"[..],
        b"\x02\xC0\xAF",
        b"\x01\xFF",
        b"\x03\xE2\x80\xAE",
        b"\x02\x1B[",
    ] {
        let what = text.escape_ascii().to_string();
        let unit = [b"\0\x01\0\0\0", text, b"\0"].concat();
        all.refuse(format!("a unit {what}"), with(&unit), Text, at + 5);
        let title = [b"\0\x01\0\0\0\0", text].concat();
        all.refuse(format!("a title {what}"), with(&title), Text, at + 6);
    }
    let long = [&b"\0\x01\0\0\0\x41"[..], &[b'u'; 65], b"\0"].concat();
    all.refuse("a unit of 65 bytes", with(&long), Text, at + 5);
}

fn names(all: &mut Containers) {
    use Malformed::{Name, Truncated};
    let long = [b'n'; 33];
    let longest = [b'n'; 255];
    let bad: [&[u8]; 14] = [
        b"",
        b"r0",
        b"r31",
        b"9lives",
        b"a b",
        b"a-b",
        b"a\0",
        b"\xFF",
        b"a\x80",
        b"\xC3\xA9",
        b"\xC0\xAF",
        b"\xED\xA0\x80",
        &long,
        &longest,
    ];
    type Part = (&'static str, fn(&mut Meta, Vec<u8>), fn(&Meta) -> usize);
    let parts: [Part; 4] = [
        ("the program", |meta, name| meta.name = name, |_| META_AT),
        (
            "an argument",
            |meta, name| meta.args = [vec![1], name, vec![0; 5]].concat(),
            |meta| meta.args_at() + 1,
        ),
        (
            "a scratch array",
            |meta, name| meta.scratch = [vec![1], name, vec![1, 0]].concat(),
            |meta| meta.scratch_at() + 1,
        ),
        (
            "an accumulator array",
            |meta, name| meta.accs = [vec![1], name, vec![0, 1, 0]].concat(),
            |meta| meta.accs_at() + 1,
        ),
    ];
    for (part, set, at) in parts {
        for name in bad {
            let mut meta = Meta::new();
            set(&mut meta, named(name, b""));
            let what = format!("{part} named {}", name.escape_ascii());
            all.refuse(what, meta.sealed(), Name, at(&meta));
        }
        // A length that extends beyond META.
        let mut meta = Meta::new();
        set(&mut meta, [&[255], &b"name"[..]].concat());
        let offset = at(&meta) + 1;
        all.refuse(
            format!("{part} with a name of 255 bytes"),
            meta.sealed(),
            Truncated,
            offset,
        );
    }
}

fn values(all: &mut Containers) {
    use Malformed::Value;
    for (what, mark) in [
        ("mark 2", [2, 0, 0, 0, 0]),
        ("mark 2 and a value", [2, 5, 0, 0, 0]),
        ("mark 128", [128, 0, 0, 0, 0]),
        ("mark 255", [255, 255, 255, 255, 255]),
        ("a value without a mark", [0, 1, 0, 0, 0]),
        ("a large value without a mark", [0, 0, 0, 0, 128]),
    ] {
        let mut meta = Meta::new();
        meta.args = [vec![1], named(b"arg", &mark)].concat();
        let at = meta.args_at() + 5;
        all.refuse(what, meta.sealed(), Value, at);
        // The same wrong argument after a correct one.
        let right = named(b"first", &[0; 5]);
        meta.args = [vec![2], right.clone(), named(b"arg", &mark)].concat();
        let at = at + right.len();
        all.refuse(
            format!("{what} in a second argument"),
            meta.sealed(),
            Value,
            at,
        );
    }
    for kind in [5, 6, 127, 128, 255] {
        let mut meta = Meta::new();
        meta.accs = [vec![1], named(b"total", &[kind, 1, 0])].concat();
        let at = meta.accs_at() + 7;
        all.refuse(
            format!("accumulators of kind {kind}"),
            meta.sealed(),
            Value,
            at,
        );
    }
}

fn instructions(all: &mut Containers) {
    let at = Meta::new().end() + 8;
    let mut refuse = |what: String, word: [u8; 8], why: InstrError| {
        let why = Malformed::Instruction(why);
        let offset = |index: usize| at + 8 * index + why_byte(why);
        all.refuse(
            what.clone(),
            sealed(&[meta(), code(&[word])]),
            why,
            offset(0),
        );
        // The wrong instruction between two correct ones.
        let words = [nop().encode(), word, nop().encode()];
        all.refuse(
            format!("{what}, in the middle"),
            sealed(&[meta(), code(&words)]),
            why,
            offset(1),
        );
    };
    let known: HashSet<u8> = Op::ALL.iter().map(|op| *op as u8).collect();
    for number in (0..128).filter(|number| !known.contains(number)) {
        for immediate in [0, 0x80] {
            let word = [number | immediate, 0, 0, 0, 0, 0, 0, 0];
            refuse(
                format!("opcode {number:#x}"),
                word,
                InstrError::Opcode(number),
            );
        }
    }
    for op in Op::ALL {
        let (whole, word) = (whole(*op), op.mnemonic());
        for (_, broken) in broken_fields(whole) {
            // The bytes of the fields, written without the checks of `encode`.
            let (code, b, imm) = match broken.b {
                Operand::Reg(b) => (*op as u8, b, 0),
                Operand::Imm(imm) => (*op as u8 | 0x80, 0, imm),
            };
            let [i0, i1, i2, i3] = imm.to_le_bytes();
            let bytes = [code, broken.dst, broken.a, b, i0, i1, i2, i3];
            let why = broken.check().expect_err("it is broken");
            refuse(format!("{word}: {broken:?}"), bytes, why);
        }
        // Both forms of operand b at the same time.
        let mut bytes = whole.encode();
        if bytes[0] & 0x80 == 0 {
            for byte in 4..8 {
                let mut bytes = bytes;
                bytes[byte] = 1;
                let why = InstrError::Unused(4);
                refuse(
                    format!("{word}: a constant that is not used, byte {byte}"),
                    bytes,
                    why,
                );
            }
        }
        if [Shape::DstB, Shape::DstAB, Shape::AB].contains(&op.shape()) {
            bytes[0] |= 0x80;
            let why = InstrError::Unused(3);
            refuse(format!("{word}: a register beside a constant"), bytes, why);
        }
        if [Shape::DstN, Shape::N].contains(&op.shape()) {
            bytes[0] &= 0x7F;
            refuse(
                format!("{word}: a constant without its bit"),
                bytes,
                InstrError::Unused(4),
            );
        }
    }
}

/// The byte of the instruction at which the error is, according to the documents.
fn why_byte(why: Malformed) -> usize {
    match why {
        Malformed::Instruction(InstrError::Register(byte) | InstrError::Unused(byte)) => byte,
        _ => 0,
    }
}

fn debugs(all: &mut Containers) {
    use Malformed::{Lines, Name, Truncated};
    let two = code(&[arg(0).encode(), nop().encode()]);
    let at = starts(&[meta(), two.clone(), table()])[2] + 8;
    let with = |contents: Vec<u8>| sealed(&[meta(), two.clone(), (*b"DBUG", contents)]);
    let lines = |source: &[u8], lines: &[u32]| with(debug(source, lines).1);
    all.good.push(("two lines", lines(b"source.vasm", &[1, 2])));
    all.good
        .push(("a source without a name", lines(b"", &[0, u32::MAX])));
    all.good.push((
        "a source named in UTF-8",
        lines("\u{1F33E}".as_bytes(), &[1, 2]),
    ));
    for count in [0, 1, 3, 4, 1000] {
        let what = format!("{count} lines for 2 instructions");
        all.refuse(what, lines(b"ab", &vec![1; count]), Lines, at + 4);
    }
    for cut in 1..8 {
        let mut contents = debug(b"ab", &[1, 2]).1;
        contents.truncate(contents.len() - cut);
        // Four bytes less is one line less, which is tested above.
        if cut != 4 {
            all.refuse(
                format!("lines, {cut} bytes short"),
                with(contents),
                Lines,
                at + 4,
            );
        }
    }
    let mut contents = debug(b"ab", &[1, 2]).1;
    contents.push(0);
    all.refuse("lines, one byte more", with(contents), Lines, at + 4);
    for bytes in [vec![], vec![0]] {
        let what = format!("DBUG of {} bytes", bytes.len());
        all.refuse(what, with(bytes), Truncated, at);
    }
    for (what, source) in [
        ("not UTF-8", &b"\xFF\xFE"[..]),
        ("cut in a character", b"a\xE2\x82"),
        ("too long a form", b"\xC0\x80"),
        ("half a pair", b"\xED\xBF\xBF"),
    ] {
        all.refuse(
            format!("a source: {what}"),
            lines(source, &[1, 2]),
            Name,
            at + 2,
        );
    }
    for claimed in [11_u16, 100, u16::MAX] {
        let mut contents = debug(b"ab", &[1, 2]).1;
        contents[..2].copy_from_slice(&claimed.to_le_bytes());
        let what = format!("a source that claims {claimed} bytes");
        all.refuse(what, with(contents), Truncated, at + 2);
    }
    let mut contents = debug(b"ab", &[1, 2]).1;
    contents[0] = 6;
    all.refuse(
        "a source that reaches into the lines",
        with(contents),
        Lines,
        at + 8,
    );
}
