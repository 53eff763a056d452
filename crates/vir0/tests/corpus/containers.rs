//! Invalid containers. Each is refused for its defect, at the byte where the defect is. This file tests the frame:
//! header, checksum, sections and their lengths.
//!
//! Unless a test is about the checksum, the checksum is correct, so the container is refused for its contents.

use super::build::nop;
use super::contents;
use gristmill_vir0::container::{DecodeError, Malformed, MAX_BYTES};
use gristmill_vir0::isa::InstrError;
use gristmill_vir0::{decode, encode, verify, Limits, Rule};
use std::collections::HashMap;

/// The offset at which the contents of the first section begin, after the header, the section's tag and its length.
pub const META_AT: usize = 16;

pub type Section = ([u8; 4], Vec<u8>);

/// A container with these sections and a correct checksum.
pub fn sealed(sections: &[Section]) -> Vec<u8> {
    let mut bytes = b"VIR0\x01\0\0\0".to_vec();
    for (tag, contents) in sections {
        bytes.extend(tag);
        bytes.extend((contents.len() as u32).to_le_bytes());
        bytes.extend(contents);
    }
    with_checksum(bytes)
}

fn with_checksum(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes);
    bytes.extend(crc.to_le_bytes());
    bytes
}

/// Changes the bytes before the checksum, and corrects the checksum.
pub fn resealed(bytes: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = bytes[..bytes.len() - 4].to_vec();
    change(&mut bytes);
    with_checksum(bytes)
}

/// The sections of a valid container.
pub fn sections(bytes: &[u8]) -> Vec<Section> {
    let mut rest = &bytes[8..bytes.len() - 4];
    let mut sections = Vec::new();
    while let Some((head, body)) = rest.split_first_chunk::<8>() {
        let [a, b, c, d, length @ ..] = *head;
        let (contents, after) = body.split_at(u32::from_le_bytes(length) as usize);
        sections.push(([a, b, c, d], contents.to_vec()));
        rest = after;
    }
    sections
}

/// The offset of each section's tag.
pub fn starts(sections: &[Section]) -> Vec<usize> {
    let ends = sections.iter().scan(8, |at, (_, contents)| {
        let start = *at;
        *at += 8 + contents.len();
        Some(start)
    });
    ends.collect()
}

/// The META section as the format describes it, part by part.
pub struct Meta {
    pub name: Vec<u8>,
    pub sizes: Vec<u8>,
    pub args: Vec<u8>,
    pub scratch: Vec<u8>,
    pub accs: Vec<u8>,
}

pub fn named(name: &[u8], rest: &[u8]) -> Vec<u8> {
    [&[name.len() as u8], name, rest].concat()
}

impl Meta {
    pub fn new() -> Self {
        let halo = [0; 4];
        Self {
            name: named(b"small", b""),
            sizes: [halo, 4096_u32.to_le_bytes(), 1_u32.to_le_bytes(), [0; 4]].concat(),
            args: [vec![1], named(b"arg", &[1, 5, 0, 0, 0])].concat(),
            scratch: [vec![1], named(b"words", &[4, 0])].concat(),
            accs: [vec![1], named(b"total", &[0, 2, 0])].concat(),
        }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let parts = [
            &self.name,
            &self.sizes,
            &self.args,
            &self.scratch,
            &self.accs,
        ];
        parts.map(Vec::as_slice).concat()
    }

    /// The offset in the container at which args, scratch and accs begin.
    pub fn args_at(&self) -> usize {
        META_AT + self.name.len() + self.sizes.len()
    }

    pub fn scratch_at(&self) -> usize {
        self.args_at() + self.args.len()
    }

    pub fn accs_at(&self) -> usize {
        self.scratch_at() + self.scratch.len()
    }

    pub fn end(&self) -> usize {
        self.accs_at() + self.accs.len()
    }

    /// A container with this META and one instruction.
    pub fn sealed(&self) -> Vec<u8> {
        sealed(&[(*b"META", self.bytes()), code(&[nop().encode()])])
    }
}

pub fn code(words: &[[u8; 8]]) -> Section {
    (*b"CODE", words.concat())
}

pub fn meta() -> Section {
    (*b"META", Meta::new().bytes())
}

pub fn table() -> Section {
    (*b"TABL", vec![1, 2, 3])
}

pub fn one() -> Section {
    code(&[nop().encode()])
}

pub fn show() -> Section {
    (*b"SHOW", b"\0\x0A\0\0\0\x05bytes\x01t".to_vec())
}

pub fn debug(source: &[u8], lines: &[u32]) -> Section {
    let mut bytes = (source.len() as u16).to_le_bytes().to_vec();
    bytes.extend(source);
    bytes.extend(lines.iter().flat_map(|line| line.to_le_bytes()));
    (*b"DBUG", bytes)
}

#[derive(Default)]
pub struct Containers {
    bad: Vec<(String, Vec<u8>, Malformed, usize)>,
    pub good: Vec<(&'static str, Vec<u8>)>,
}

impl Containers {
    pub fn refuse(
        &mut self,
        what: impl Into<String>,
        bytes: Vec<u8>,
        why: Malformed,
        offset: usize,
    ) {
        self.bad.push((what.into(), bytes, why, offset));
    }

    fn check(&self) {
        for (what, bytes) in &self.good {
            let program = decode(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(&encode(&program).expect(what), bytes, "{what}");
        }
        for (what, bytes, why, offset) in &self.bad {
            let expected = DecodeError {
                offset: *offset,
                what: *why,
            };
            assert_eq!(decode(bytes), Err(expected), "{what}");
        }
    }
}

#[test]
fn malformed_containers_are_refused_where_they_are_wrong() {
    let mut all = Containers::default();
    headers(&mut all);
    checksums(&mut all);
    order(&mut all);
    lengths(&mut all);
    contents::add(&mut all);
    all.check();
    let mut distinct = HashMap::new();
    for (what, bytes, ..) in &all.bad {
        if let Some(other) = distinct.insert(bytes, what) {
            panic!("{other} and {what} are the same container");
        }
    }
    println!(
        "containers: {} refused, {} accepted",
        distinct.len(),
        all.good.len()
    );
    assert!(distinct.len() >= 300, "{}", distinct.len());
}

fn headers(all: &mut Containers) {
    use Malformed::{Flags, Magic, Missing, TooLong, Truncated, Version};
    let valid = Meta::new().sealed();
    all.good.push(("the smallest", valid.clone()));
    for (what, bytes) in [
        ("nothing", &b""[..]),
        ("three bytes", b"VIR"),
        ("small letters", b"vir0\x01\0\0\0"),
        ("another digit", b"VIR1\x01\0\0\0"),
        ("an executable", b"\x7fELF\x02\x01\x01\0"),
        ("text", b"# a program\n"),
        ("the magic behind a byte", b"\0VIR0\x01\0\0\0"),
        ("the magic backwards", b"0RIV\x01\0\0\0"),
        ("zeros", &[0; 64]),
        ("ones", &[0xFF; 64]),
    ] {
        all.refuse(what, bytes.to_vec(), Magic, 0);
    }
    for (len, offset) in [(4, 4), (5, 4), (6, 6), (7, 6), (8, 8), (9, 8), (11, 8)] {
        all.refuse(
            format!("{len} bytes"),
            valid[..len].to_vec(),
            Truncated,
            offset,
        );
    }
    for version in [0, 2, 3, 0x0100, 0x0101, u16::MAX] {
        let bytes = resealed(&valid, |bytes| {
            bytes[4..6].copy_from_slice(&version.to_le_bytes())
        });
        all.refuse(format!("version {version}"), bytes, Version(version), 4);
    }
    for bit in 0..16 {
        let flags = 1_u16 << bit;
        let bytes = resealed(&valid, |bytes| {
            bytes[6..8].copy_from_slice(&flags.to_le_bytes())
        });
        all.refuse(format!("flags {flags:#x}"), bytes, Flags(flags), 6);
    }
    all.refuse(
        "a header and nothing else",
        sealed(&[]),
        Missing(*b"META"),
        8,
    );
    // The largest container, and one with one byte more. The verifier, not the decoder, limits what is in it.
    let rest = sealed(&[meta(), one(), (*b"TABL", vec![])]).len();
    let largest = |bytes| sealed(&[meta(), one(), (*b"TABL", vec![7; bytes])]);
    all.good.push(("a megabyte", largest(MAX_BYTES - rest)));
    for more in [1, 2, MAX_BYTES] {
        let bytes = largest(MAX_BYTES - rest + more);
        all.refuse(
            format!("{more} more than a megabyte"),
            bytes,
            TooLong,
            MAX_BYTES,
        );
    }
    let limits = Limits::default();
    let program = decode(&largest(MAX_BYTES - rest)).expect("well-formed");
    let refusal = verify(program, &limits).expect_err("too large a table");
    assert_eq!(refusal.rule, Rule::TableSize);
}

fn checksums(all: &mut Containers) {
    let valid = Meta::new().sealed();
    let end = valid.len() - 4;
    let stored: [u8; 4] = std::array::from_fn(|index| valid[end + index]);
    let crc = u32::from_le_bytes(stored);
    // This is the CRC-32 of zip files, which has another polynomial.
    let zip = valid[..end].iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 0 { 0 } else { 0xEDB8_8320 }
        })
    });
    for (what, wrong) in [
        ("zero", 0),
        ("ones", u32::MAX),
        ("one more", crc.wrapping_add(1)),
        ("not inverted", !crc),
        ("big-endian", crc.swap_bytes()),
        ("of another polynomial", !zip),
        ("of nothing", crc32c::crc32c(b"")),
        ("without the header", crc32c::crc32c(&valid[8..end])),
        ("with itself", crc32c::crc32c(&valid)),
    ] {
        if wrong == 0 && what != "zero" {
            continue; // The checksum of nothing is zero.
        }
        let bytes = [&valid[..end], &wrong.to_le_bytes()].concat();
        all.refuse(format!("checksum {what}"), bytes, Malformed::Checksum, end);
    }
    for more in [1, 2, 3, 4, 100] {
        let bytes = [valid.clone(), vec![0; more]].concat();
        let what = format!("{more} bytes behind the checksum");
        all.refuse(what, bytes, Malformed::Checksum, end + more);
    }
    // A wrong checksum is reported even if the contents are wrong too.
    let mut bytes = sealed(&[one()]);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    all.refuse("wrong in both", bytes, Malformed::Checksum, last - 3);
}

fn order(all: &mut Containers) {
    use Malformed::{Empty, Missing, Section as Unexpected, Trailing};
    let (meta, one, table, debug) = (meta(), one(), table(), debug(b"a", &[1]));
    let show = show();
    all.good.push((
        "a table",
        sealed(&[meta.clone(), one.clone(), table.clone()]),
    ));
    all.good
        .push(("lines", sealed(&[meta.clone(), one.clone(), debug.clone()])));
    all.good.push((
        "everything",
        sealed(&[
            meta.clone(),
            one.clone(),
            table.clone(),
            show.clone(),
            debug.clone(),
        ]),
    ));
    all.good.push((
        "what is shown",
        sealed(&[meta.clone(), one.clone(), show.clone()]),
    ));
    let tagged = |tag: &[u8; 4]| (*tag, vec![1, 2, 3, 4]);
    let empty = |tag: &[u8; 4]| (*tag, vec![]);
    let (missing_meta, missing_code) = (Missing(*b"META"), Missing(*b"CODE"));
    // For each: the sections, the defect, and the section where it is, or one past the last for a missing section.
    let wrong: Vec<(&str, Vec<&Section>, Malformed, usize)> = vec![
        ("no META", vec![&one], missing_meta, 0),
        (
            "no META, but all else",
            vec![&one, &table, &debug],
            missing_meta,
            0,
        ),
        ("a table only", vec![&table], missing_meta, 0),
        ("lines only", vec![&debug], missing_meta, 0),
        ("no CODE", vec![&meta], missing_code, 1),
        ("no CODE, but a table", vec![&meta, &table], missing_code, 1),
        ("no CODE, but lines", vec![&meta, &debug], missing_code, 1),
        ("CODE before META", vec![&one, &meta], missing_meta, 0),
        ("META twice", vec![&meta, &meta, &one], missing_code, 1),
        (
            "META again",
            vec![&meta, &one, &meta],
            Unexpected(*b"META"),
            2,
        ),
        (
            "META last",
            vec![&meta, &one, &table, &debug, &meta],
            Unexpected(*b"META"),
            4,
        ),
        (
            "CODE twice",
            vec![&meta, &one, &one],
            Unexpected(*b"CODE"),
            2,
        ),
        (
            "CODE again",
            vec![&meta, &one, &table, &one],
            Unexpected(*b"CODE"),
            3,
        ),
        ("CODE last", vec![&meta, &table, &one], missing_code, 1),
        (
            "TABL before META",
            vec![&table, &meta, &one],
            missing_meta,
            0,
        ),
        (
            "TABL twice",
            vec![&meta, &one, &table, &table],
            Unexpected(*b"TABL"),
            3,
        ),
        (
            "TABL behind DBUG",
            vec![&meta, &one, &debug, &table],
            Unexpected(*b"TABL"),
            3,
        ),
        (
            "DBUG before CODE",
            vec![&meta, &debug, &one],
            missing_code,
            1,
        ),
        (
            "DBUG twice",
            vec![&meta, &one, &debug, &debug],
            Unexpected(*b"DBUG"),
            3,
        ),
        (
            "SHOW before CODE",
            vec![&meta, &show, &one],
            missing_code,
            1,
        ),
        (
            "SHOW twice",
            vec![&meta, &one, &show, &show],
            Unexpected(*b"SHOW"),
            3,
        ),
        (
            "SHOW behind DBUG",
            vec![&meta, &one, &debug, &show],
            Unexpected(*b"SHOW"),
            3,
        ),
        (
            "TABL behind SHOW",
            vec![&meta, &one, &show, &table],
            Unexpected(*b"TABL"),
            3,
        ),
        (
            "all twice",
            vec![&meta, &one, &table, &debug, &meta, &one, &table, &debug],
            Unexpected(*b"META"),
            4,
        ),
    ];
    for (what, parts, why, at) in wrong {
        let parts: Vec<Section> = parts.into_iter().cloned().collect();
        let mut offsets = starts(&parts);
        let bytes = sealed(&parts);
        offsets.push(bytes.len() - 4);
        all.refuse(what, bytes, why, offsets[at]);
    }
    for tag in [
        b"meta",
        b"code",
        b"MORE",
        b"VIR0",
        b"ATEM",
        b"\0\0\0\0",
        b"\xFF\xFF\xFF\xFF",
    ] {
        let name = tag.escape_ascii();
        let unknown = tagged(tag);
        for at in 0..=2 {
            let mut parts = vec![meta.clone(), one.clone()];
            parts.insert(at, unknown.clone());
            let offset = starts(&parts)[at];
            let what = format!("a section {name} in place {at}");
            all.refuse(what, sealed(&parts), Unexpected(*tag), offset);
        }
        let parts = vec![
            meta.clone(),
            one.clone(),
            table.clone(),
            debug.clone(),
            unknown,
        ];
        let offset = starts(&parts)[4];
        all.refuse(
            format!("a section {name} last"),
            sealed(&parts),
            Unexpected(*tag),
            offset,
        );
    }
    // Empty sections are left out, except the one for instructions, which the verifier requires.
    let no_table = [meta.clone(), one.clone(), empty(b"TABL")];
    let offset = starts(&no_table)[2] + 8;
    all.refuse("an empty table", sealed(&no_table), Empty, offset);
    let no_table = [meta.clone(), one.clone(), empty(b"TABL"), debug.clone()];
    all.refuse(
        "an empty table before lines",
        sealed(&no_table),
        Empty,
        offset,
    );
    let nothing_shown = [meta.clone(), one.clone(), empty(b"SHOW")];
    let offset = starts(&nothing_shown)[2] + 8;
    all.refuse("an empty SHOW", sealed(&nothing_shown), Empty, offset);
    let no_code = sealed(&[meta.clone(), empty(b"CODE")]);
    let refusal = verify(decode(&no_code).expect("well-formed"), &Limits::default());
    assert_eq!(refusal.expect_err("no instructions").rule, Rule::CodeSize);
    for (what, parts) in [
        ("instructions", vec![meta.clone(), one.clone()]),
        ("a table", vec![meta.clone(), one.clone(), table.clone()]),
        ("lines", vec![meta.clone(), one.clone(), debug.clone()]),
        (
            "all",
            vec![meta.clone(), one.clone(), table.clone(), debug.clone()],
        ),
    ] {
        let valid = sealed(&parts);
        let end = valid.len() - 4;
        for more in 1..=3 {
            let bytes = resealed(&valid, |bytes| bytes.extend(vec![0; more]));
            let what = format!("{more} bytes behind {what}");
            all.refuse(what, bytes, Trailing, end);
        }
        for more in [4, 7, 8] {
            let bytes = resealed(&valid, |bytes| bytes.extend(vec![0; more]));
            let what = format!("{more} bytes behind {what}");
            all.refuse(what, bytes, Unexpected([0; 4]), end);
        }
    }
}

fn lengths(all: &mut Containers) {
    use Malformed::{Trailing, Truncated};
    let parts = [meta(), one(), table(), debug(b"ab", &[3])];
    let valid = sealed(&parts);
    // The length claims more bytes than there are, up to 4 GiB. No memory is reserved for claimed bytes.
    for ((tag, contents), at) in parts.iter().zip(starts(&parts)) {
        let tag = tag.escape_ascii();
        let behind = valid.len() - 4 - (at + 8);
        for claimed in [
            behind + 1,
            behind + 4,
            MAX_BYTES,
            1 << 31,
            u32::MAX as usize - 3,
            u32::MAX as usize,
        ] {
            let length = (claimed as u32).to_le_bytes();
            let bytes = resealed(&valid, |bytes| {
                bytes[at + 4..at + 8].copy_from_slice(&length)
            });
            let what = format!("a section {tag} that claims {claimed} bytes");
            all.refuse(what, bytes, Truncated, at + 8);
        }
        // The container ends within a section's tag, its length, or its contents.
        for len in 1..4 {
            let bytes = resealed(&valid, |bytes| bytes.truncate(at + len));
            let why = match tag.to_string().as_str() {
                "META" => Malformed::Missing(*b"META"),
                "CODE" => Malformed::Missing(*b"CODE"),
                _ => Trailing,
            };
            all.refuse(format!("{len} bytes of the tag {tag}"), bytes, why, at);
        }
        for len in 4..8 {
            let bytes = resealed(&valid, |bytes| bytes.truncate(at + len));
            let what = format!("{tag} and {} bytes of its length", len - 4);
            all.refuse(what, bytes, Truncated, at + 4);
        }
        for len in [0, contents.len() / 2, contents.len() - 1] {
            let bytes = resealed(&valid, |bytes| bytes.truncate(at + 8 + len));
            all.refuse(format!("{tag} with {len} bytes"), bytes, Truncated, at + 8);
        }
    }
    // META is shorter or longer than its length says.
    let whole = Meta::new();
    let longer = |more: &[u8]| sealed(&[(*b"META", [&whole.bytes(), more].concat()), one()]);
    for more in [1, 2, 8] {
        let bytes = longer(&vec![0; more]);
        all.refuse(
            format!("META and {more} bytes"),
            bytes,
            Trailing,
            whole.end(),
        );
    }
    // The offsets at which each number and each text begins. If the cut is within a field, the error is at the field's
    // beginning.
    let fields = {
        let mut at = META_AT;
        let mut starts = vec![at];
        let mut next = |len: usize| {
            at += len;
            starts.push(at);
        };
        for len in [
            1, 5, 2, 2, 4, 4, 4, 1, 1, 3, 1, 4, 1, 1, 5, 2, 1, 1, 5, 1, 2,
        ] {
            next(len);
        }
        starts
    };
    assert_eq!(fields.last(), Some(&whole.end()));
    for len in 0..whole.bytes().len() {
        let bytes = sealed(&[(*b"META", whole.bytes()[..len].to_vec()), one()]);
        let cut = META_AT + len;
        let field = fields
            .iter()
            .rfind(|start| **start <= cut)
            .expect("the first");
        all.refuse(format!("{len} bytes of META"), bytes, Truncated, *field);
    }
    for len in 1..8 {
        let code = (*b"CODE", nop().encode()[..len].to_vec());
        let bytes = sealed(&[meta(), code]);
        let at = whole.end() + 8;
        all.refuse(
            format!("{len} bytes of an instruction"),
            bytes,
            Truncated,
            at,
        );
        let code = (
            *b"CODE",
            [&nop().encode()[..], &nop().encode()[..len]].concat(),
        );
        let bytes = sealed(&[meta(), code]);
        let what = format!("an instruction and {len} bytes of another");
        all.refuse(what, bytes, Truncated, at + 8);
    }
    // The length of the code includes one instruction too many: the next section's tag is not an instruction.
    let at = starts(&parts)[1];
    let bytes = resealed(&valid, |bytes| bytes[at + 4] = 16);
    let why = Malformed::Instruction(InstrError::Opcode(b'T'));
    all.refuse("CODE that reaches into TABL", bytes, why, at + 16);
    // Counts that claim parts that do not exist, or that leave out existing parts.
    type Part = (&'static str, fn(&mut Meta) -> &mut Vec<u8>);
    let counts: [Part; 3] = [
        ("arguments", |meta| &mut meta.args),
        ("scratch arrays", |meta| &mut meta.scratch),
        ("accumulator arrays", |meta| &mut meta.accs),
    ];
    for (what, part) in counts {
        // All lists end here, so the first list that claims more than there is finds nothing.
        let mut lying = Meta::new();
        for (_, part) in counts {
            *part(&mut lying) = vec![0];
        }
        lying.accs.clear();
        lying.scratch.clear();
        lying.args.clear();
        for (_, before) in counts.iter().take_while(|(name, _)| *name != what) {
            *before(&mut lying) = vec![0];
        }
        for count in [2, 3, 255] {
            *part(&mut lying) = vec![count];
            let end = lying.end();
            all.refuse(
                format!("{count} {what}, none there"),
                lying.sealed(),
                Truncated,
                end,
            );
        }
    }
    let mut more = Meta::new();
    more.accs[0] = 0;
    let at = more.accs_at() + 1;
    all.refuse(
        "an accumulator array that is not counted",
        more.sealed(),
        Trailing,
        at,
    );
}
