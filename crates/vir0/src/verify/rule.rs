//! The rules of the verifier, each with what it demands. What they mean exactly, docs/vir0.md says, in section 6.1.

use std::fmt;

/// What the verifier asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// 1 to 4,096 instructions.
    CodeSize,
    /// A halo of at most 4,096 bytes on each side.
    Halo,
    /// Chunks of 1 byte to 16 MiB.
    ChunkSize,
    /// A power of two that divides the chunk.
    Align,
    /// At most 65,536 records.
    Records,
    /// A table of at most 256 KiB.
    TableSize,
    /// At most 7 arguments.
    ArgCount,
    /// At most 16 scratch arrays of 1 word or more, 4,096 words together.
    ScratchSize,
    /// Accumulator arrays of 1 or more, 1,024 together.
    AccSize,
    /// Names that are names, each once.
    Names,
    /// Instructions with the fields that their opcodes have.
    Fields,
    /// An argument that is declared.
    ArgNumber,
    /// A scratch array that is declared.
    ScratchArray,
    /// An accumulator array that is declared.
    AccArray,
    /// A constant index within its array.
    ConstantIndex,
    /// `each` at top level only.
    EachAtTop,
    /// `each` with windows of 1 byte or more.
    EachStride,
    /// `loop` of 1 to 65,535 trips.
    LoopTrips,
    /// At most 16 blocks inside each other.
    Depth,
    /// `else` once, and in an `if`.
    ElseInIf,
    /// `end` of something.
    EndOfBlock,
    /// Every block ended.
    Unclosed,
    /// `break` in a loop.
    BreakInLoop,
    /// `s.st` at top level only.
    StoreAtTop,
    /// Inside an `each`, a scratch array is read, or updated by one kind of operation.
    ScratchMixed,
    /// `emit` where records are declared.
    EmitDeclared,
    /// A static cost under the limit.
    Cost,
    /// As much work as the limit allows.
    Work,
}

impl Rule {
    /// Every rule.
    pub const ALL: [Rule; 28] = [
        Rule::CodeSize,
        Rule::Halo,
        Rule::ChunkSize,
        Rule::Align,
        Rule::Records,
        Rule::TableSize,
        Rule::ArgCount,
        Rule::ScratchSize,
        Rule::AccSize,
        Rule::Names,
        Rule::Fields,
        Rule::ArgNumber,
        Rule::ScratchArray,
        Rule::AccArray,
        Rule::ConstantIndex,
        Rule::EachAtTop,
        Rule::EachStride,
        Rule::LoopTrips,
        Rule::Depth,
        Rule::ElseInIf,
        Rule::EndOfBlock,
        Rule::Unclosed,
        Rule::BreakInLoop,
        Rule::StoreAtTop,
        Rule::ScratchMixed,
        Rule::EmitDeclared,
        Rule::Cost,
        Rule::Work,
    ];

    /// What it asks for, as a sentence's end: "... must".
    #[must_use]
    pub const fn demand(self) -> &'static str {
        match self {
            Rule::CodeSize => "a program has 1 to 4,096 instructions",
            Rule::Halo => "a halo has at most 4,096 bytes on each side",
            Rule::ChunkSize => "a chunk has 1 byte to 16 MiB",
            Rule::Align => "align is a power of two that divides the chunk",
            Rule::Records => "a chunk gives at most 65,536 records",
            Rule::TableSize => "the table has at most 256 KiB",
            Rule::ArgCount => "there are at most 7 arguments",
            Rule::ScratchSize => {
                "there are at most 16 scratch arrays, none empty, 4,096 words together"
            }
            Rule::AccSize => "there are at most 1,024 accumulators, and no empty array",
            Rule::Names => "every part has a name of its own, of letters, digits and _",
            Rule::Fields => "an instruction has the fields of its opcode and no others",
            Rule::ArgNumber => "the argument must be declared",
            Rule::ScratchArray => "the scratch array must be declared",
            Rule::AccArray => "the accumulators must be declared",
            Rule::ConstantIndex => "a constant index must lie within its array",
            Rule::EachAtTop => "each stands at top level only",
            Rule::EachStride => "each has windows of 1 byte or more",
            Rule::LoopTrips => "a loop has 1 to 65,535 trips",
            Rule::Depth => "blocks lie at most 16 deep",
            Rule::ElseInIf => "else stands once in an if",
            Rule::EndOfBlock => "end ends an each, a loop or an if",
            Rule::Unclosed => "every each, loop and if needs an end",
            Rule::BreakInLoop => "break stands in a loop",
            Rule::StoreAtTop => "s.st stands outside of each only",
            Rule::ScratchMixed => {
                "inside an each, a scratch array is either read, or updated by one kind of operation"
            }
            Rule::EmitDeclared => "a program that emits declares how many records",
            Rule::Cost => "the static cost must be under the limit",
            Rule::Work => "the work of a chunk must be under the limit",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.demand())
    }
}
