//! Accepted programs with one change: each mutator breaks one rule, and says which one, and at which instruction.

use super::build::*;
use super::instructions::broken_fields;
use fastrand::Rng;
use gristmill_vir0::random::program as random;
use gristmill_vir0::{verify, Instr, Limits, Op, Operand, Program, Rule, Shown};
use std::collections::BTreeMap;
use Operand::{Imm, Reg};

/// A program that a mutator made.
struct Broken {
    program: Program,
    limits: Limits,
    rule: Rule,
    at: Option<usize>,
}

impl Broken {
    fn new(program: Program, rule: Rule, at: impl Into<Option<usize>>) -> Option<Self> {
        Some(Self {
            program,
            limits: Limits::default(),
            rule,
            at: at.into(),
        })
    }
}

/// Returns `None` if the program has nothing that could be changed in this way.
type Mutator = fn(&Program, &mut Rng) -> Option<Broken>;

const MUTATORS: [(&str, Mutator); 33] = [
    ("end removed", end_removed),
    ("end added", end_added),
    ("else added", else_added),
    ("else doubled", else_doubled),
    ("scratch array out of range", scratch_array),
    ("accumulator array out of range", acc_array),
    ("constant index out of range", constant_index),
    ("argument out of range", arg_number),
    ("no trips", |program, numbers| trips(program, numbers, 0)),
    ("65,536 trips", |program, numbers| {
        trips(program, numbers, 65_536)
    }),
    ("trips of 32 bits", |program, numbers| {
        let more = 65_536 + numbers.u32(..u32::MAX - 65_536);
        trips(program, numbers, more)
    }),
    ("windows of 0", no_stride),
    ("each in an if", |program, numbers| {
        each_inside(program, numbers, when())
    }),
    ("each in a loop", |program, numbers| {
        each_inside(program, numbers, repeat(1))
    }),
    ("each in an each", |program, numbers| {
        each_inside(program, numbers, each(1))
    }),
    ("store in an each", store_in_each),
    ("another kind of update", mixed),
    ("break outside", break_outside),
    ("17 deep", too_deep),
    ("emit undeclared", emit_undeclared),
    ("field", field),
    ("one under its cost", under_cost),
    ("loops that never end", endless),
    ("one instruction too many", |program, _| {
        let mut program = program.clone();
        program.code.resize(4097, nop());
        Broken::new(program, Rule::CodeSize, None)
    }),
    ("no instructions", |program, _| {
        let mut program = program.clone();
        program.code.clear();
        Broken::new(program, Rule::CodeSize, None)
    }),
    ("halo", |program, numbers| {
        let mut program = program.clone();
        let halo = 4097 + numbers.u32(..61_439) as u16;
        *(if numbers.bool() {
            &mut program.before
        } else {
            &mut program.after
        }) = halo;
        Broken::new(program, Rule::Halo, None)
    }),
    ("chunk", |program, numbers| {
        let mut program = program.clone();
        program.align = 1;
        program.chunk = (1 << 24) + 1 + numbers.u32(..u32::MAX - (1 << 24));
        Broken::new(program, Rule::ChunkSize, None)
    }),
    ("align", |program, numbers| {
        let mut program = program.clone();
        program.align = 3 + 2 * numbers.u32(..1000);
        program.chunk = program.align;
        Broken::new(program, Rule::Align, None)
    }),
    ("records", |program, numbers| {
        let mut program = program.clone();
        program.records = 65_537 + numbers.u32(..u32::MAX - 65_537);
        Broken::new(program, Rule::Records, None)
    }),
    ("arguments", |program, numbers| {
        let mut program = program.clone();
        program.args = args(8 + numbers.usize(..240));
        Broken::new(program, Rule::ArgCount, None)
    }),
    ("scratch", |program, numbers| {
        let mut program = program.clone();
        let more = 4097 - program.scratch_words() as u16 + numbers.u32(..1000) as u16;
        program.scratch.extend(scratches(&[more]));
        Broken::new(program, Rule::ScratchSize, None)
    }),
    ("accumulators", |program, numbers| {
        let mut program = program.clone();
        let more = 1025 - program.acc_count() as u16 + numbers.u32(..1000) as u16;
        program.accs.extend(accs(&[more]));
        Broken::new(program, Rule::AccSize, None)
    }),
    ("name twice", |program, numbers| {
        let mut program = program.clone();
        let names: Vec<String> = program.args.iter().map(|arg| arg.name.clone()).collect();
        program.accs[0].name = pick(numbers, names)?;
        Broken::new(program, Rule::Names, None)
    }),
];

/// Applies every mutator to random and to hand-written programs. The seeds are fixed, so the corpus is the same in
/// every run.
pub fn add(corpus: &mut Corpus) {
    let mut applied: BTreeMap<&str, u32> = MUTATORS.iter().map(|(name, _)| (*name, 0)).collect();
    let bases = (0..60_u64).map(|seed| (format!("random program {seed}"), random(seed)));
    for (number, (what, program)) in bases.chain(made()).enumerate() {
        corpus.accept(what.clone(), program.clone());
        for (index, (name, mutator)) in MUTATORS.iter().enumerate() {
            let mut numbers = Rng::with_seed((number * 64 + index) as u64);
            let Some(broken) = mutator(&program, &mut numbers) else {
                continue;
            };
            *applied.entry(name).or_default() += 1;
            corpus.bad.push(Bad {
                what: format!("{what}: {name}"),
                program: broken.program,
                limits: broken.limits,
                rule: broken.rule,
                at: broken.at,
            });
        }
    }
    println!("mutated programs: {applied:?}");
    for (name, count) in applied {
        assert!(count >= 20, "{name} fitted {count} programs only");
    }
}

/// Programs that contain everything that a mutator looks for, some of it more than once.
fn made() -> Vec<(String, Program)> {
    let all = with([
        arg(1),
        scratch(Op::SSt, 0, Imm(15)),
        repeat(65_535),
        when(),
        leave(),
        otherwise(),
        nop(),
        end(),
        end(),
        each(1),
        when(),
        scratch(Op::SAdd, 0, Imm(0)),
        otherwise(),
        scratch(Op::SLd, 1, Imm(7)),
        repeat(3),
        emit(),
        end(),
        end(),
        acc(1, Imm(1)),
        end(),
        each(64),
        scratch(Op::SMax, 1, Reg(3)),
        halt(),
        end(),
        acc(0, Reg(2)),
    ]);
    let deep = with(nested(
        each(2),
        1,
        &nested(
            repeat(1),
            15,
            &[scratch(Op::SXor, 0, Imm(1)), acc(0, Imm(0))],
        ),
    ));
    let long = with(
        [arg(0), repeat(9), scratch(Op::SLd, 0, Imm(1)), end()]
            .repeat(1000)
            .into_iter()
            .chain([each(u32::MAX), scratch(Op::SLd, 0, Imm(1)), emit(), end()])
            .collect::<Vec<_>>(),
    );
    [
        ("everything", all),
        ("15 loops in an each", deep),
        ("a long one", long),
    ]
    .map(|(what, program)| (what.to_owned(), program))
    .into()
}

/// A block: the positions of the opening instruction, its `else`, and its `end`.
struct Span {
    open: usize,
    middle: Option<usize>,
    end: usize,
    op: Op,
}

/// Every block, and the opcodes of the blocks that are open before each instruction and after the last.
fn blocks(code: &[Instr]) -> (Vec<Span>, Vec<Vec<Op>>) {
    let (mut spans, mut open, mut around) = (Vec::new(), Vec::<Span>::new(), Vec::new());
    for (index, instr) in code.iter().enumerate() {
        around.push(open.iter().map(|span| span.op).collect());
        match instr.op {
            op if op.opens() => open.push(Span {
                open: index,
                middle: None,
                end: index,
                op,
            }),
            Op::Else => open.last_mut().expect("an if").middle = Some(index),
            Op::End => {
                let span = open.pop().expect("a block");
                spans.push(Span { end: index, ..span });
            }
            _ => {}
        }
    }
    around.push(Vec::new());
    (spans, around)
}

fn pick<T>(numbers: &mut Rng, mut of: Vec<T>) -> Option<T> {
    let at = numbers.choice(0..of.len())?;
    Some(of.swap_remove(at))
}

/// Picks one of the instructions for which `fits` holds.
fn pick_instr(
    program: &Program,
    numbers: &mut Rng,
    fits: impl Fn(&Instr) -> bool,
) -> Option<usize> {
    let fitting = program.code.iter().enumerate();
    let fitting = fitting.filter(|(_, instr)| fits(instr));
    pick(numbers, fitting.map(|(index, _)| index).collect())
}

/// Picks one of the places between instructions for whose open blocks `fits` holds.
fn pick_place(program: &Program, numbers: &mut Rng, fits: impl Fn(&[Op]) -> bool) -> Option<usize> {
    let (_, around) = blocks(&program.code);
    let fitting = around.iter().enumerate();
    let fitting = fitting.filter(|(_, open)| fits(open));
    pick(numbers, fitting.map(|(index, _)| index).collect())
}

/// The program with more instructions inserted at a place.
fn inserted(program: &Program, at: usize, what: impl IntoIterator<Item = Instr>) -> Program {
    let mut program = program.clone();
    program.code.splice(at..at, what);
    program
}

/// The program with one instruction changed.
fn edited(program: &Program, at: usize, edit: impl FnOnce(&mut Instr)) -> Program {
    let mut program = program.clone();
    edit(&mut program.code[at]);
    program
}

fn end_removed(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let (spans, around) = blocks(&program.code);
    let outer = spans
        .into_iter()
        .filter(|span| around[span.open].is_empty());
    let span = pick(numbers, outer.collect())?;
    // The rest of the program is left out, since inside the block it might break another rule.
    let mut program = program.clone();
    program.code.truncate(span.end);
    Broken::new(program, Rule::Unclosed, span.open)
}

fn end_added(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, <[Op]>::is_empty)?;
    Broken::new(inserted(program, at, [end()]), Rule::EndOfBlock, at)
}

fn else_added(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |open| open.last() != Some(&Op::If))?;
    Broken::new(inserted(program, at, [otherwise()]), Rule::ElseInIf, at)
}

fn else_doubled(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let (spans, _) = blocks(&program.code);
    let spans = spans.into_iter().filter(|span| span.middle.is_some());
    let at = pick(numbers, spans.collect())?.end;
    Broken::new(inserted(program, at, [otherwise()]), Rule::ElseInIf, at)
}

/// A number of 8 bits that is out of range for `len` arrays, if there is one.
fn beyond(len: usize, numbers: &mut Rng) -> Option<u8> {
    let len = u8::try_from(len).ok()?;
    Some(numbers.u8(len..))
}

fn is_scratch(instr: &Instr) -> bool {
    instr.op.is_scratch_update() || matches!(instr.op, Op::SLd | Op::SSt)
}

fn scratch_array(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_instr(program, numbers, is_scratch)?;
    let array = beyond(program.scratch.len(), numbers)?;
    let program = edited(program, at, |instr| {
        *instr = scratch(instr.op, array, instr.b);
    });
    Broken::new(program, Rule::ScratchArray, at)
}

fn acc_array(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_instr(program, numbers, |instr| instr.op == Op::Acc)?;
    let array = beyond(program.accs.len(), numbers)?;
    let program = edited(program, at, |instr| instr.dst = array);
    Broken::new(program, Rule::AccArray, at)
}

fn constant_index(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_instr(program, numbers, |instr| {
        is_scratch(instr) || instr.op == Op::Acc
    })?;
    let instr = program.code[at];
    let len = match instr.op {
        Op::Acc => program.accs[usize::from(instr.dst)].len,
        Op::SLd => program.scratch[usize::from(instr.a)].words,
        _ => program.scratch[usize::from(instr.dst)].words,
    };
    let len = u32::from(len);
    let index = if numbers.bool() {
        len
    } else {
        len + numbers.u32(..u32::MAX - len)
    };
    let program = edited(program, at, |instr| instr.b = Imm(index));
    Broken::new(program, Rule::ConstantIndex, at)
}

fn arg_number(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |_| true)?;
    let args = program.args.len() as u32;
    let number = if numbers.bool() {
        args
    } else {
        args + numbers.u32(..u32::MAX - args)
    };
    Broken::new(inserted(program, at, [arg(number)]), Rule::ArgNumber, at)
}

fn trips(program: &Program, numbers: &mut Rng, trips: u32) -> Option<Broken> {
    let at = pick_instr(program, numbers, |instr| instr.op == Op::Loop)?;
    let program = edited(program, at, |instr| instr.b = Imm(trips));
    Broken::new(program, Rule::LoopTrips, at)
}

fn no_stride(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_instr(program, numbers, |instr| instr.op == Op::Each)?;
    let program = edited(program, at, |instr| instr.b = Imm(0));
    Broken::new(program, Rule::EachStride, at)
}

fn each_inside(program: &Program, numbers: &mut Rng, around: Instr) -> Option<Broken> {
    let (spans, _) = blocks(&program.code);
    let spans = spans.into_iter().filter(|span| span.op == Op::Each);
    let span = pick(numbers, spans.collect())?;
    let program = inserted(program, span.end + 1, [end()]);
    let program = inserted(&program, span.open, [around]);
    Broken::new(program, Rule::EachAtTop, span.open + 1)
}

fn store_in_each(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |open| open.first() == Some(&Op::Each))?;
    let mut program = program.clone();
    if program.scratch.is_empty() {
        program.scratch = scratches(&[1]);
    }
    let store = scratch(Op::SSt, 0, Imm(0));
    Broken::new(inserted(&program, at, [store]), Rule::StoreAtTop, at)
}

fn mixed(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let (_, around) = blocks(&program.code);
    let inside =
        program.code.iter().enumerate().filter(|(index, instr)| {
            is_scratch(instr) && around[*index].first() == Some(&Op::Each)
        });
    let at = pick(numbers, inside.map(|(index, _)| index).collect())?;
    let instr = program.code[at];
    let others = SHARED.into_iter().filter(|op| *op != instr.op);
    let array = if instr.op == Op::SLd {
        instr.a
    } else {
        instr.dst
    };
    let other = scratch(pick(numbers, others.collect())?, array, instr.b);
    Broken::new(
        inserted(program, at + 1, [other]),
        Rule::ScratchMixed,
        at + 1,
    )
}

fn break_outside(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |open| !open.contains(&Op::Loop))?;
    Broken::new(inserted(program, at, [leave()]), Rule::BreakInLoop, at)
}

fn too_deep(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |_| true)?;
    let depth = blocks(&program.code).1[at].len();
    let open = if numbers.bool() { when() } else { repeat(1) };
    let program = inserted(program, at, nested(open, 17 - depth, &[]));
    Broken::new(program, Rule::Depth, at + 16 - depth)
}

fn emit_undeclared(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let mut program = program.clone();
    program.records = 0;
    program.shows.retain(|show| show.what != Shown::Records);
    let is_emit = |instr: &Instr| instr.op == Op::Emit;
    if !program.code.iter().any(is_emit) {
        let at = pick_place(&program, numbers, |_| true)?;
        program = inserted(&program, at, [emit()]);
    }
    let first = program.code.iter().position(is_emit);
    Broken::new(program, Rule::EmitDeclared, first)
}

fn field(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_instr(program, numbers, |_| true)?;
    let (_, broken) = pick(numbers, broken_fields(program.code[at]))?;
    let program = edited(program, at, |instr| *instr = broken);
    Broken::new(program, Rule::Fields, at)
}

fn under_cost(program: &Program, _: &mut Rng) -> Option<Broken> {
    let verified = verify(program.clone(), &Limits::default()).expect("accepted");
    let cost = verified.cost().at(program.chunk);
    // The cost is exact: a limit of exactly that cost is enough.
    verify(
        program.clone(),
        &Limits {
            cost,
            work: u64::MAX,
        },
    )
    .expect("accepted for its cost");
    Some(Broken {
        program: program.clone(),
        limits: Limits {
            cost: cost - 1,
            work: u64::MAX,
        },
        rule: Rule::Cost,
        at: None,
    })
}

fn endless(program: &Program, numbers: &mut Rng) -> Option<Broken> {
    let at = pick_place(program, numbers, |open| open.len() <= 11)?;
    let loops = nested(repeat(65_535), 5, &[nop()]);
    Broken::new(inserted(program, at, loops), Rule::Cost, None)
}
