//! Rules about the declarations of a program: sizes on both sides of their limits, and names.

use super::build::*;
use gristmill_vir0::verify::{
    MAX_ACCS, MAX_ARGS, MAX_CHUNK, MAX_HALO, MAX_INSTRUCTIONS, MAX_RECORDS, MAX_SCRATCH,
    MAX_SCRATCH_WORDS, MAX_TABLE,
};
use gristmill_vir0::{Program, Rule, Show, Shown};

pub fn add(corpus: &mut Corpus) {
    limits_are_those_of_the_documents();
    sizes(corpus);
    chunks(corpus);
    arrays(corpus);
    names(corpus);
    shows(corpus);
}

/// The numbers below are written out, so that a limit cannot change unnoticed.
fn limits_are_those_of_the_documents() {
    assert_eq!(MAX_INSTRUCTIONS, 4096);
    assert_eq!(MAX_HALO, 4096);
    assert_eq!(MAX_CHUNK, 16_777_216);
    assert_eq!(MAX_RECORDS, 65_536);
    assert_eq!(MAX_TABLE, 262_144);
    assert_eq!(MAX_ARGS, 7);
    assert_eq!((MAX_SCRATCH, MAX_SCRATCH_WORDS), (16, 4096));
    assert_eq!(MAX_ACCS, 1024);
}

fn sizes(corpus: &mut Corpus) {
    for count in [1, 2, 4095, 4096] {
        corpus.accept(format!("{count} instructions"), with(vec![nop(); count]));
    }
    for count in [0, 4097, 4098, 8192, 65_536, 100_000] {
        let program = with(vec![nop(); count]);
        corpus.refuse(
            format!("{count} instructions"),
            program,
            Rule::CodeSize,
            None,
        );
    }
    for halo in [0, 1, 4095, 4096] {
        let program = changed(|program| (program.before, program.after) = (halo, halo));
        corpus.accept(format!("a halo of {halo}"), program);
    }
    for halo in [4097, 4098, 8192, 32_768, u16::MAX] {
        for (before, after) in [
            (halo, 0),
            (0, halo),
            (halo, 4096),
            (4096, halo),
            (halo, halo),
        ] {
            let program = changed(|program| (program.before, program.after) = (before, after));
            let what = format!("a halo of {before} and {after}");
            corpus.refuse(what, program, Rule::Halo, None);
        }
    }
    for records in [0, 1, 65_535, 65_536] {
        let program = changed(|program| program.records = records);
        corpus.accept(format!("{records} records"), program);
    }
    for records in [65_537, 1 << 17, 1 << 24, 1 << 31, u32::MAX] {
        let program = changed(|program| program.records = records);
        corpus.refuse(format!("{records} records"), program, Rule::Records, None);
    }
    for bytes in [0, 1, 262_143, 262_144] {
        let program = changed(|program| program.table = vec![1; bytes]);
        corpus.accept(format!("a table of {bytes}"), program);
    }
    for bytes in [262_145, 262_148, 524_288, 1_000_000, 1 << 21] {
        let program = changed(|program| program.table = vec![1; bytes]);
        corpus.refuse(
            format!("a table of {bytes}"),
            program,
            Rule::TableSize,
            None,
        );
    }
    for count in [0, 1, 6, 7] {
        let program = changed(|program| program.args = args(count));
        corpus.accept(format!("{count} arguments"), program);
    }
    for count in [8, 9, 16, 255, 256, 1000] {
        let program = changed(|program| program.args = args(count));
        corpus.refuse(format!("{count} arguments"), program, Rule::ArgCount, None);
    }
}

fn chunks(corpus: &mut Corpus) {
    let sized = |chunk, align| {
        changed(|program| {
            program.chunk = chunk;
            program.align = align;
        })
    };
    for (chunk, align) in [
        (1, 1),
        (3, 1),
        (12, 4),
        (4096, 4096),
        (16_777_215, 1),
        (16_777_216, 1),
        (16_777_216, 16_777_216),
    ] {
        let what = format!("chunks of {chunk}, align {align}");
        corpus.accept(what, sized(chunk, align));
    }
    for chunk in [0, 16_777_217, 16_777_220, 1 << 25, 1 << 31, u32::MAX] {
        let what = format!("chunks of {chunk}");
        corpus.refuse(what, sized(chunk, 1), Rule::ChunkSize, None);
    }
    for (chunk, align) in [
        (4096, 0),
        (1, 0),
        (4096, 3),
        (6, 6),
        (15, 5),
        (12, 12),
        (65_535, 65_535),
        (1 << 24, u32::MAX),
        (1, 2),
        (2, 4),
        (6, 4),
        (4095, 2),
        (4097, 4096),
        (4096, 8192),
        (1 << 24, 1 << 25),
        (1 << 24, 1 << 31),
        ((1 << 24) - 1, 2),
    ] {
        let what = format!("chunks of {chunk}, align {align}");
        corpus.refuse(what, sized(chunk, align), Rule::Align, None);
    }
}

fn arrays(corpus: &mut Corpus) {
    let many = |count, len| vec![len; count];
    for (what, words) in [
        ("none", vec![]),
        ("one word", vec![1]),
        ("16 arrays", many(16, 1)),
        ("4,096 words in one", vec![4096]),
        ("4,096 words in 16", many(16, 256)),
        ("4,096 words in two", vec![4095, 1]),
    ] {
        let program = changed(|program| program.scratch = scratches(&words));
        corpus.accept(format!("scratch: {what}"), program);
    }
    for (what, words) in [
        ("an empty one", vec![0]),
        ("an empty one first", vec![0, 8]),
        ("an empty one last", vec![8, 0]),
        ("an empty one between", vec![8, 0, 8]),
        ("17 arrays", many(17, 1)),
        ("255 arrays", many(255, 1)),
        ("256 arrays", many(256, 1)),
        ("4,097 words in one", vec![4097]),
        ("4,097 words in two", vec![4096, 1]),
        ("4,097 words in 16", {
            let mut words = many(16, 256);
            words[15] = 257;
            words
        }),
        ("65,535 words", vec![u16::MAX]),
        ("more words than 16 bits count", many(16, u16::MAX)),
        // The sum is 65,536, which is 0 as a number of 16 bits.
        ("as many words as 16 bits make none", many(16, 4096)),
    ] {
        let program = changed(|program| program.scratch = scratches(&words));
        corpus.refuse(format!("scratch: {what}"), program, Rule::ScratchSize, None);
    }
    for (what, lens) in [
        ("none", vec![]),
        ("one", vec![1]),
        ("1,024 in one", vec![1024]),
        ("1,024 in two", vec![1, 1023]),
        ("1,024 in 255", {
            let mut lens = many(255, 4);
            lens[0] = 8;
            lens
        }),
    ] {
        let program = changed(|program| program.accs = accs(&lens));
        corpus.accept(format!("accumulators: {what}"), program);
    }
    for (what, lens) in [
        ("an empty array", vec![0]),
        ("an empty array first", vec![0, 4]),
        ("an empty array last", vec![4, 0]),
        ("an empty array between", vec![4, 0, 4]),
        ("1,025 in one", vec![1025]),
        ("1,025 in two", vec![1024, 1]),
        ("1,025 in 255", {
            let mut lens = many(255, 4);
            lens[0] = 9;
            lens
        }),
        ("1,025 arrays", many(1025, 1)),
        ("65,535", vec![u16::MAX]),
        ("more than 16 bits count", many(255, u16::MAX)),
        ("as many as 16 bits make none", many(16, 4096)),
    ] {
        let program = changed(|program| program.accs = accs(&lens));
        corpus.refuse(
            format!("accumulators: {what}"),
            program,
            Rule::AccSize,
            None,
        );
    }
}

/// A part of the program, and the function that sets its name.
type Part = (&'static str, fn(&mut Program, String));

const PARTS: [Part; 5] = [
    ("the program", |program, name| program.name = name),
    ("an argument", |program, name| program.args[0].name = name),
    ("the last argument", |program, name| {
        program.args[1].name = name;
    }),
    ("a scratch array", |program, name| {
        program.scratch[1].name = name;
    }),
    ("an accumulator array", |program, name| {
        program.accs[1].name = name;
    }),
];

fn names(corpus: &mut Corpus) {
    let longest = "n".repeat(32);
    // Registers are r0 to r31. A text that only resembles one is a valid name.
    for name in [
        "_", "r", "R0", "r32", "r00", "r007", "x9", "each", "_1", &longest,
    ] {
        for (part, set) in PARTS {
            let program = changed(|program| set(program, name.into()));
            corpus.accept(format!("{part} named {name:?}"), program);
        }
    }
    let (too_long, far_too_long) = ("n".repeat(33), "n".repeat(300));
    for name in [
        "",
        "r0",
        "r9",
        "r31",
        "1st",
        "7",
        "a-b",
        "a b",
        " a",
        "a.b",
        "a\0",
        "a\n",
        "\u{e9}t\u{e9}",
        "\u{ff41}",
        "../up",
        &too_long,
        &far_too_long,
    ] {
        for (part, set) in PARTS {
            let program = changed(|program| set(program, name.into()));
            let what = format!("{part} named {name:?}");
            corpus.refuse(what, program, Rule::Names, None);
        }
    }
    // Parts of different kinds share one name space; the program's own name does not belong to it.
    for (first, set) in &PARTS[1..] {
        let program = changed(|program| {
            program.name = "same".into();
            set(program, "same".into());
        });
        corpus.accept(format!("the program's name for {first}"), program);
    }
    for (index, (first, set)) in PARTS.iter().enumerate().skip(1) {
        for (second, set_too) in &PARTS[index + 1..] {
            let program = changed(|program| {
                set(program, "same".into());
                set_too(program, "same".into());
            });
            let what = format!("one name for {first} and {second}");
            corpus.refuse(what, program, Rule::Names, None);
        }
    }
    for (what, change) in [
        (
            "two scratch arrays",
            (|program| {
                program.scratch[0].name = "same".into();
                program.scratch[1].name = "same".into();
            }) as fn(&mut Program),
        ),
        ("two accumulator arrays", |program| {
            program.accs[0].name = "same".into();
            program.accs[1].name = "same".into();
        }),
        ("everything", |program| {
            for (_, set) in PARTS {
                set(program, "same".into());
            }
        }),
    ] {
        let what = format!("one name for {what}");
        corpus.refuse(what, changed(change), Rule::Names, None);
    }
    // A name in capitals is a different name.
    let program = changed(|program| {
        program.args[0].name = "same".into();
        program.args[1].name = "Same".into();
    });
    corpus.accept("names that differ in case", program);
}

fn shows(corpus: &mut Corpus) {
    let show = |what| Show {
        what,
        divisor: 10,
        unit: "bytes".into(),
        title: String::new(),
    };
    let all = [Shown::Acc(0), Shown::Acc(1), Shown::Records].map(show);
    let shown = |shows: &[Show]| changed(|program| program.shows = shows.to_vec());
    corpus.accept("everything shown", shown(&all));
    for one in &all {
        corpus.accept(format!("{one:?}"), shown(std::slice::from_ref(one)));
        for (what, broken) in [
            (
                "divided by 0",
                Show {
                    divisor: 0,
                    ..one.clone()
                },
            ),
            (
                "a unit of 65 bytes",
                Show {
                    unit: "u".repeat(65),
                    ..one.clone()
                },
            ),
            (
                "a title that moves the cursor",
                Show {
                    title: "\u{1b}[H".into(),
                    ..one.clone()
                },
            ),
            (
                "a title of two lines",
                Show {
                    title: "a\nb".into(),
                    ..one.clone()
                },
            ),
        ] {
            corpus.refuse(
                format!("{what}: {one:?}"),
                shown(&[broken]),
                Rule::Shows,
                None,
            );
        }
    }
    let longest = Show {
        unit: "\u{e9}".repeat(32),
        ..all[0].clone()
    };
    corpus.accept("a unit of 64 bytes", shown(&[longest]));
    for number in [2, 3, 254, 255] {
        let what = format!("accumulators {number} shown");
        corpus.refuse(what, shown(&[show(Shown::Acc(number))]), Rule::Shows, None);
    }
    let none = changed(|program| {
        program.records = 0;
        program.shows = vec![show(Shown::Records)];
    });
    corpus.refuse("records shown without any", none, Rule::Shows, None);
    let [first, second, records] = &all;
    for (what, shows) in [
        ("twice", [first, first]),
        ("records twice", [records, records]),
        ("in the wrong order", [second, first]),
        ("records first", [records, first]),
    ] {
        let shows = shows.map(Clone::clone);
        corpus.refuse(format!("shown {what}"), shown(&shows), Rule::Shows, None);
    }
}
