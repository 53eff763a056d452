//! Valid containers that were damaged: they are cut, have a bit flipped, or have their sections moved.

use super::build::{accs, args, base, changed, each, end, nop, repeat, scratches, with};
use super::containers::{resealed, sealed, sections, starts, Section};
use gristmill_vir0::container::{DecodeError, Malformed, MAX_BYTES};
use gristmill_vir0::random::program as random;
use gristmill_vir0::{decode, encode, Debug, Program};

/// Small and large containers, with and without each optional section.
fn accepted() -> Vec<Vec<u8>> {
    let lined = |mut program: Program| {
        program.debug = Some(Debug {
            source: "some.vasm".into(),
            lines: (1..=program.code.len() as u32).collect(),
        });
        program
    };
    let looped = with([each(1), repeat(2), nop(), end(), end()]);
    let bare = changed(|program| {
        program.table.clear();
        program.args.clear();
    });
    let programs = [base(), lined(base()), bare, lined(looped)];
    let programs = programs.into_iter().chain((0..8).map(random));
    programs
        .map(|program| encode(&program).expect("valid"))
        .collect()
}

#[test]
fn a_container_that_is_cut_anywhere_is_refused() {
    let mut count = 0;
    for bytes in accepted() {
        let boundaries = starts(&sections(&bytes));
        for len in 0..bytes.len() {
            let (what, offset) = match len {
                0..4 => (Malformed::Magic, 0),
                4..6 => (Malformed::Truncated, 4),
                6..8 => (Malformed::Truncated, 6),
                8..12 => (Malformed::Truncated, 8),
                _ => (Malformed::Checksum, len - 4),
            };
            assert_eq!(
                decode(&bytes[..len]),
                Err(DecodeError { offset, what }),
                "{len}"
            );
            count += 1;
        }
        // With a corrected checksum, the rest is a program only if the cut is before an optional section.
        for len in 8..bytes.len() - 4 {
            let cut = resealed(&bytes, |bytes| bytes.truncate(len));
            let whole = boundaries[2..].contains(&len);
            match decode(&cut) {
                Ok(program) => {
                    assert!(whole, "cut to {len} bytes");
                    assert_eq!(encode(&program).expect("decoded"), cut);
                }
                Err(error) => {
                    assert!(!whole, "cut to {len} bytes: {error}");
                    assert!(error.offset <= len, "{error}");
                }
            }
            count += 1;
        }
    }
    println!("{count} cut containers");
}

#[test]
fn a_container_with_any_bit_flipped_is_refused() {
    let (mut refused, mut others) = (0, 0);
    for valid in accepted().into_iter().filter(|bytes| bytes.len() < 1000) {
        for bit in 0..valid.len() * 8 {
            let mut bytes = valid.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
            let (what, offset) = match bit / 8 {
                0..4 => (Malformed::Magic, 0),
                4..6 => (Malformed::Version(half(4)), 4),
                6..8 => (Malformed::Flags(half(6)), 6),
                _ => (Malformed::Checksum, valid.len() - 4),
            };
            assert_eq!(
                decode(&bytes),
                Err(DecodeError { offset, what }),
                "bit {bit}"
            );
            refused += 1;
            // With a corrected checksum, the bytes are another program or none. If they are a program, these bytes are
            // its encoding.
            if bit / 8 < valid.len() - 4 {
                let bytes = resealed(&bytes, |_| {});
                if let Ok(program) = decode(&bytes) {
                    assert_eq!(encode(&program).expect("decoded"), bytes, "bit {bit}");
                    others += 1;
                }
            }
        }
    }
    println!("{refused} flipped bits; with the checksum corrected, {others} are other programs");
    assert!(refused > 10_000 && others > 1000, "{refused}, {others}");
}

#[test]
fn sections_that_are_moved_doubled_or_left_out_are_refused() {
    let mut count = 0;
    for bytes in accepted() {
        let parts = sections(&bytes);
        let tags: Vec<[u8; 4]> = parts.iter().map(|(tag, _)| *tag).collect();
        let mut refuse = |parts: &[Section], what: &str| {
            let error = decode(&sealed(parts)).expect_err(what);
            assert!(
                matches!(error.what, Malformed::Section(_) | Malformed::Missing(_)),
                "{what}: {error}"
            );
            count += 1;
        };
        for first in 0..parts.len() {
            let mut doubled = parts.clone();
            doubled.insert(first, parts[first].clone());
            refuse(&doubled, "doubled");
            doubled = parts.clone();
            doubled.push(parts[first].clone());
            refuse(&doubled, "again at the end");
            if tags[first] == *b"META" || tags[first] == *b"CODE" {
                let mut less = parts.clone();
                less.remove(first);
                refuse(&less, "left out");
            }
            for second in first + 1..parts.len() {
                let mut swapped = parts.clone();
                swapped.swap(first, second);
                refuse(&swapped, "swapped");
            }
        }
    }
    println!("{count} containers with other sections");
}

#[test]
fn what_no_container_can_hold_is_not_encoded() {
    let wide = |source: usize, lines: usize| Debug {
        source: "s".repeat(source),
        lines: vec![1; lines],
    };
    let good = [
        changed(|program| program.args = args(255)),
        changed(|program| program.debug = Some(wide(65_535, 1))),
    ];
    for program in good {
        let bytes = encode(&program).expect("it fits");
        assert_eq!(decode(&bytes), Ok(program));
    }
    let bad = [
        changed(|program| program.args = args(256)),
        changed(|program| program.scratch = scratches(&[1; 256])),
        changed(|program| program.accs = accs(&[1; 256])),
        changed(|program| program.name = "r7".into()),
        changed(|program| program.name.clear()),
        changed(|program| program.args[1].name = "n".repeat(33)),
        changed(|program| program.scratch[1].name = "a b".into()),
        changed(|program| program.accs[1].name = "\u{e9}".into()),
        changed(|program| program.code[0].dst = 32),
        changed(|program| program.code[0].a = 1),
        changed(|program| program.debug = Some(wide(65_536, 1))),
        changed(|program| program.debug = Some(wide(1, 0))),
        changed(|program| program.debug = Some(wide(1, 2))),
        changed(|program| program.table = vec![0; MAX_BYTES]),
        changed(|program| program.code = vec![nop(); MAX_BYTES / 8]),
    ];
    for program in bad {
        let error = encode(&program).expect_err("no container can hold it");
        assert!(
            error.to_string().contains("; "),
            "it says what to do: {error}"
        );
    }
}
