//! The words that a Gristmill host and its device share: layouts, constants, encoders and decoders.
//!
//! Everything that crosses between host and device is made of `u32` words, little-endian. This crate says what each
//! word means, and has the one encoder and the one decoder of each layout. It owns no memory that a running kernel can
//! see. The live ring, which may be accessed through atomics only, is in the crate `gristmill-ring`, which uses these
//! numbers. *Images* are the same words as plain bytes, for encoding, replay and tests.
//!
//! Read `docs/protocol.md` in the repository first: it says who writes which word when. Then read [`slot`] and
//! [`completion`]: how a slot goes to the device, and how its outcome comes back.
//!
//! # Invariants
//!
//! - The numbers are an ABI. They do not change without a new version of the protocol. `docs/protocol.md` lists them.
//! - An encoder checks everything before it writes anything: where it returns an error, no byte has changed.
//! - A decoder accepts any bytes without panicking. A strict one (`try_read_*`) reports what is wrong and where; a
//!   lenient one (`read_*`) returns what the bytes contain, and zero for what is missing.
//!
//! # Where things are
//!
//! | module | what |
//! |---|---|
//! | [`slot`] | the 16 words of a slot of the ring, and its status |
//! | [`opcode`] | opcodes, their ranges, the tenants' windows, and the arguments of opcodes that need no chunk |
//! | [`stream`] | arguments and results of the opcodes that run over a chunk |
//! | [`program`] | arguments and results of a VIR0 program's slot |
//! | [`packed`] | several operations in one slot |
//! | [`control`] | the control words and observables |
//! | [`priority`] | priorities, and the partitions of a ring by priority |
//! | [`ready`], [`tails`] | how the host tells the device which slots are published |
//! | [`completion`], [`fault`] | how the device tells the host that a slot is finished, and why one failed |
//! | [`chunk`] | the states of a chunk |
//! | [`debug`] | the log that PRINTF writes |
//! | [`io`] | the IO queue: [`MegakernelIoQueue`] and its functions over bytes |
//! | [`words`] | one word of an image, by number |
//! | [`numbers`] | every number above, in lists |
//!
//! [`Megakernel`] encodes and decodes whole images.

#![no_std]
#![forbid(unsafe_code)]
#![warn(missing_docs)]

extern crate alloc;

#[macro_use]
mod number;

pub mod chunk;
pub mod completion;
pub mod control;
pub mod debug;
mod error;
pub mod fault;
mod image;
pub mod io;
mod io_queue;
pub mod numbers;
pub mod opcode;
pub mod packed;
pub mod priority;
pub mod program;
pub mod ready;
pub mod slot;
pub mod stream;
pub mod tails;
pub mod words;

pub use error::PipelineError;
pub use image::{Megakernel, TenantWords};
pub use io_queue::MegakernelIoQueue;

numbers! {
    /// Words of a slot, and how many control words there are.
    pub SLOT {
        /// Words in a slot of the ring.
        SLOT_WORDS: usize = 16;
        /// Word of a slot's status.
        STATUS_WORD: usize = 0;
        /// Word of a slot's opcode.
        OPCODE_WORD: usize = 1;
        /// Word of a slot's tenant id.
        TENANT_WORD: usize = 2;
        /// Word of a slot's priority.
        PRIORITY_WORD: usize = 3;
        /// First argument word of a slot.
        ARG0_WORD: usize = 4;
        /// Argument words in a slot.
        ARGS_PER_SLOT: usize = 12;
        /// Control words, before the observables.
        CONTROL_MIN_WORDS: usize = 160;
    }
}
