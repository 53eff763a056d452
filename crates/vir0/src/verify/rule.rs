//! The rules of the verifier, as one list: the table in section 6.1 of `docs/vir0.md` comes from it, too.

use std::fmt;

macro_rules! rules {
    ($($name:ident: $demand:literal;)*) => {
        /// A rule of the verifier.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $demand] $name,)*
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Rule] = &[$(Rule::$name,)*];

            /// What it demands, as a sentence without a full stop.
            #[must_use]
            pub const fn demand(self) -> &'static str {
                match self {
                    $(Rule::$name => $demand,)*
                }
            }
        }
    };
}

rules! {
    CodeSize: "a program must have 1 to 4,096 instructions";
    Halo: "before and after must each be at most 4,096 bytes";
    ChunkSize: "the largest chunk must have 1 to 16,777,216 bytes";
    Align: "align must be a power of two that divides the largest chunk";
    Records: "a chunk may give at most 65,536 records";
    TableSize: "the table may have at most 262,144 bytes";
    ArgCount: "a program may have at most 7 arguments";
    ScratchSize: "there may be at most 16 scratch arrays, each of at least 1 word, together of at most 4,096 words";
    AccSize: "accumulator arrays must each hold at least 1 accumulator, together at most 1,024";
    Names: "the program, every argument and every array must have a name, and no two arguments or arrays the same";
    Shows: "what is shown must be declared, accumulators or records, each once, in order, not divided by 0, and with texts that can be seen";
    Fields: "an instruction must have the fields of its opcode and no others";
    ArgNumber: "the argument must be declared";
    ScratchArray: "the scratch array must be declared";
    AccArray: "the accumulator array must be declared";
    ConstantIndex: "an immediate index must be below the length of its array";
    EachAtTop: "an each is at the top level, not inside another block";
    EachStride: "the windows of an each must have at least 1 byte";
    LoopTrips: "a loop must have 1 to 65,535 trips";
    Depth: "at most 16 blocks (each, loop and if) may be open at once";
    ElseInIf: "the innermost open block at an else must be an if that has no else yet";
    EndOfBlock: "a block must be open at an end";
    Unclosed: "every each, loop and if must have an end";
    BreakInLoop: "a break must be inside a loop";
    StoreAtTop: "an s.st must not be inside an each";
    ScratchMixed: "inside an each, all instructions on one scratch array must have the same opcode";
    EmitDeclared: "a program with an emit must declare at least 1 record";
    Cost: "the static cost for the largest chunk must not exceed the limit of the host";
    Work: "the work for the largest chunk must not exceed the limit of the host";
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.demand())
    }
}
