//! Interim constants so that other crates compile; replaced by the modules being written.
#![allow(missing_docs)]
extern crate alloc;
use alloc::string::String;
pub const SLOT_WORDS: usize = 16; pub const STATUS_WORD: usize = 0; pub const OPCODE_WORD: usize = 1; pub const TENANT_WORD: usize = 2; pub const PRIORITY_WORD: usize = 3; pub const ARG0_WORD: usize = 4; pub const ARGS_PER_SLOT: usize = 12; pub const CONTROL_MIN_WORDS: usize = 160;
pub mod slot { pub const EMPTY: u32=0; pub const PUBLISHED: u32=1; pub const CLAIMED: u32=2; pub const DONE: u32=3; pub const WAIT_IO: u32=4; pub const YIELD: u32=5; pub const REQUEUE: u32=6; pub const FAULT: u32=7; }
pub mod completion { pub const WORDS: usize=16; pub const SEQ: usize=0; pub const SLOT: usize=1; pub const STATUS: usize=2; pub const FAULT: usize=3; pub const RESULT0: usize=4; pub const RECORDS: usize=12; pub const FLAGS: usize=13; pub const FLAG_OVERFLOW: u32=1; }
pub mod control { pub const TENANT_BASE: usize=2; pub const TENANT_MASK_BASE_VALUE: u32=3; pub const TENANT_MASKS: usize=3; pub const TENANT_MASK_WORDS: usize=29; pub const TENANT_QUOTAS: usize=32; pub const TENANT_QUOTA_WORDS: usize=32; pub const DEFAULT_QUOTA: u32=1_000_000; }
pub mod debug { pub const RECORD_WORDS: usize=4; }
pub mod opcode { pub const NOP: u32=0; pub const BATCH_FENCE: u32=7; }
pub mod fault { pub const NONE: u32=0; pub const WORKER_PANICKED: u32=8; pub fn name(_: u32)->&'static str {""} }
pub mod stream { pub const ARG_CHUNK: usize=0; pub const ARG_START: usize=1; pub const ARG_LEN: usize=2; pub const ARG_JOB: usize=3; pub const ARG_MODE: usize=4; pub const ARG_OFFSET_LO: usize=5; pub const ARG_OFFSET_HI: usize=6; pub const ARG_RESUME: usize=7; }
pub mod priority { #[derive(Debug,Clone,Copy,PartialEq,Eq)] pub enum Priority {Critical,High,Normal,Low,Idle} impl Priority { pub fn index(self)->usize { self as usize } } impl From<Priority> for u32 { fn from(p:Priority)->u32 { p as u32 } } }
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PipelineError { #[error("{0}")] Backend(String), #[error("{what}")] InvalidArgument{what:&'static str, fix:&'static str}, #[error("{path}")] Read{path:String, offset:u64, reason:String}, #[error("{slot}")] Fault{slot:u32, tenant:u32, opcode:u32, reason:&'static str}, #[error("{syscall}: {errno}")] IoUringSyscall{syscall:&'static str, errno:i32, fix:&'static str}, #[error("{queue}")] QueueFull{queue:&'static str, fix:&'static str} }
