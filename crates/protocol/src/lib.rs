//! The words that a Gristmill host and its device share: layouts, constants, encoders and decoders.
//!
//! Everything that crosses between host and device is made of `u32` words, little-endian. This crate says what each
//! word means and reads and writes *images*: plain bytes, for encoding, replay and tests. It owns no memory that a
//! running kernel can see; the live ring, which may be touched through atomics only, is the crate `gristmill-ring`, and
//! it uses the same numbers.
//!
//! # Invariants
//!
//! - The numbers are an ABI. They do not move without a new version of the protocol.
//! - An encoder checks everything before it writes anything: where it returns an error, no byte has changed.
//! - A decoder survives any bytes. A strict one (`try_read_*`) names what is wrong and where; a lenient one (`read_*`)
//!   answers with what is there, and with zero for what is not.
//!
//! # Where things are
//!
//! | module | what |
//! |---|---|
//! | [`slot`] | a slot's 16 words and its status |
//! | [`opcode`] | opcodes, their ranges, and the tenants' windows |
//! | [`stream`] | arguments and results of the opcodes that run over a chunk |
//! | [`program`] | arguments and results of a VIR0 program's slot |
//! | [`packed`] | several ops in one slot |
//! | [`control`] | the control words and observables |
//! | [`priority`] | priorities, and the partitions of a ring by priority |
//! | [`completion`], [`fault`] | what the device says of a finished slot, and why one failed |
//! | [`debug`] | the log that PRINTF writes |
//! | [`image`] | [`Megakernel`]: encoders and decoders of whole images |
//! | [`io`] | the IO queue: [`MegakernelIoQueue`] and its functions over bytes |
//! | [`words`] | one word of an image, by number |
//! | [`error`] | [`PipelineError`] |

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

pub mod completion;
pub mod control;
pub mod debug;
pub mod error;
pub mod fault;
pub mod image;
pub mod io;
pub mod opcode;
pub mod packed;
pub mod priority;
pub mod program;
pub mod slot;
pub mod stream;
pub mod words;

pub use control::CONTROL_MIN_WORDS;
pub use error::PipelineError;
pub use image::Megakernel;
pub use io::{IoCompletion, IoRequest, MegakernelIoQueue};
pub use priority::Priority;
pub use slot::{
    ARG0_WORD, ARGS_PER_SLOT, OPCODE_WORD, PRIORITY_WORD, SLOT_WORDS, STATUS_WORD, TENANT_WORD,
};
