//! VIR0: a bytecode for programs that run over chunks of files.
//!
//! A program is a map over windows of bytes with commutative reductions, so its results do not depend on the number of
//! lanes, workers or back ends that run it. The verifier accepts only programs that end, and that access no memory but
//! their own.
//!
//! `docs/vir0.md` in the repository is the specification. In the code, read [`isa`] first: it has the list of
//! instructions, which all other modules use. Then read [`mod@reference`], the interpreter that is short.
//!
//! | module | what |
//! |---|---|
//! | [`isa`] | the list of instructions, and their encoding |
//! | [`program`] | a program as data |
//! | [`container`](mod@container) | a program as bytes |
//! | [`asm`](mod@asm), [`disasm`] | a program as text |
//! | [`show`] | how results look to people |
//! | [`verify`](mod@verify) | the rules that a program must keep |
//! | [`cost`](mod@cost) | bounds for the instructions and the time of a program |
//! | [`analysis`] | the registers that a window must begin with |
//! | [`chunk`] | what a program runs over, and what its results are |
//! | [`reference`](mod@reference) | the reference interpreter: scalar and short |
//! | [`vector`] | the vectorised interpreter: fast |
//! | `random`, a feature | random programs that the verifier accepts, for tests |

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod analysis;
pub mod asm;
pub mod chunk;
pub mod container;
pub mod cost;
pub mod disasm;
mod fault_kind;
pub mod isa;
pub mod program;
#[cfg(feature = "random")]
pub mod random;
pub mod reference;
pub mod show;
pub mod vector;
pub mod verify;

pub use chunk::{Cancel, Chunk, Fault, FaultKind, Record, Results, Stop};
pub use container::{decode, encode, DecodeError, EncodeError};
pub use cost::{Cost, Work};
pub use isa::{Instr, Op, Operand};
pub use program::{AccArray, AccKind, Arg, Debug, Program, Scratch};
pub use show::{Show, Shown};
pub use verify::{verify, Limits, Refusal, Rule, Verified};
