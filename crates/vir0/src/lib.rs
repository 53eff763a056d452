//! VIR0: a bytecode for programs that run over chunks of files.
//!
//! A program is a map over windows of bytes with commutative reductions: what it says of a file does not depend on how
//! many lanes, workers or back ends run it. The verifier accepts only programs that cannot hang and cannot reach memory
//! that is not theirs.
//!
//! | module | what |
//! |---|---|
//! | [`isa`] | instructions and their eight bytes |
//! | [`program`] | a program as data |
//! | [`container`](mod@container) | a program as bytes |
//! | [`asm`](mod@asm), [`disasm`] | a program as text |
//! | [`verify`](mod@verify) | what is accepted, and what it costs at most |
//! | [`work`](mod@work) | how long that takes at most |
//! | [`chunk`] | what a program runs over, and what it leaves |
//! | [`reference`](mod@reference) | the interpreter that says what is right |
//! | [`vector`] | the interpreter that is fast |
//! | `random`, a feature | random programs that the verifier accepts, to compare interpreters with |

#![warn(missing_docs)]
#![deny(unsafe_code)]

pub mod analysis;
pub mod asm;
pub mod chunk;
pub mod container;
pub mod cost;
pub mod disasm;
pub mod isa;
pub mod program;
#[cfg(feature = "random")]
pub mod random;
pub mod reference;
pub mod vector;
pub mod verify;

pub use chunk::{Cancel, Chunk, Fault, FaultKind, Record, Results, Stop};
pub use container::{decode, encode, DecodeError, EncodeError};
pub use cost::{Cost, Work};
pub use isa::{Instr, Op, Operand};
pub use program::{AccArray, AccKind, Arg, Debug, Program, Scratch};
pub use verify::{verify, Limits, Refusal, Rule, Verified};
