//! The vectorised interpreter: it applies each instruction to a block of windows at once, under a mask.
//!
//! An instruction is decoded once for a block of up to [`MAX_LANES`] windows, with one lane for each window, and
//! executed by a loop over lanes that compiles to vector instructions. Top-level code runs as a block of one lane. An
//! `each` copies the registers that its body may read ([`analysis`]) into all lanes, then runs the body block after
//! block.
//!
//! - `lanes`: registers and masks of a block;
//! - `exec`: blocks of windows, and the control of instructions;
//! - `instructions`: the other instructions;
//! - `level`: vector units, and the choice of one.
//!
//! All of this is compiled three times, for different vector units, and a machine uses one of them.

mod exec;
mod instructions;
mod lanes;
mod level;

use crate::analysis::{self, Inputs};
use crate::chunk::{Cancel, Chunk, Results, Stop};
use crate::isa::Op;
use crate::verify::Verified;
use exec::{Executor, Scratchpad};
pub use level::{Level, UnusableLevel, LEVEL_VARIABLE};

/// The largest number of windows in a block.
pub const MAX_LANES: usize = lanes::MAX_LANES;

/// The default number of windows in a block. It is small enough for the registers of a program to stay in the
/// first-level cache.
pub const DEFAULT_LANES: usize = 256;

/// Runs one program on one thread, over chunk after chunk.
pub struct Machine {
    program: Verified,
    /// The inputs of each `each`, with the number of its instruction.
    inputs: Vec<(usize, Inputs)>,
    pad: Box<Scratchpad>,
    lanes: usize,
    level: Level,
}

impl Machine {
    /// A machine with blocks of [`DEFAULT_LANES`] windows on the vector unit [in use](Level::in_use).
    #[must_use]
    pub fn new(program: &Verified) -> Self {
        Self::with(program, DEFAULT_LANES, Level::in_use())
    }

    /// Makes a machine with blocks of `lanes` windows on the given vector unit. `lanes` is clamped to the range from 1
    /// to [`MAX_LANES`]. A level that is not available is replaced by the [best](Level::best) available one.
    #[must_use]
    pub fn with(program: &Verified, lanes: usize, level: Level) -> Self {
        let code = program.program().code.iter().enumerate();
        let each = code.filter(|(_, instr)| instr.op == Op::Each);
        Self {
            inputs: each
                .map(|(index, _)| (index, analysis::inputs(program, index)))
                .collect(),
            pad: Scratchpad::new(program),
            program: program.clone(),
            lanes: lanes.clamp(1, MAX_LANES),
            level: if level.is_available() {
                level
            } else {
                Level::best()
            },
        }
    }

    /// The vector unit that it uses.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The program that it runs.
    #[must_use]
    pub fn program(&self) -> &Verified {
        &self.program
    }

    /// Runs the program over a chunk, as [`reference::run`](crate::reference::run) does.
    ///
    /// # Errors
    /// [`Stop`]. The results are void in that case.
    pub fn run(&mut self, chunk: &Chunk<'_>, results: &mut Results) -> Result<(), Stop> {
        self.run_until(chunk, results, &|| false)
    }

    /// Runs the program over a chunk, until `cancelled` returns true.
    ///
    /// # Errors
    /// [`Stop`]. The results are void in that case.
    pub fn run_until(
        &mut self,
        chunk: &Chunk<'_>,
        results: &mut Results,
        cancelled: Cancel<'_>,
    ) -> Result<(), Stop> {
        results.reset(&self.program);
        let executor = Executor::new(
            &self.program,
            &self.inputs,
            &mut self.pad,
            chunk.view(self.program.program()),
            results,
            self.lanes,
            cancelled,
        );
        run_at(self.level, executor)?;
        results.records.sort_unstable();
        Ok(())
    }
}

impl std::fmt::Debug for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine")
            .field("program", &self.program.program().name)
            .field("lanes", &self.lanes)
            .field("level", &self.level)
            .finish_non_exhaustive()
    }
}

/// Runs the code that was compiled for a level, which must be available.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "calls a function for a vector unit that was detected"
)]
fn run_at(level: Level, executor: Executor<'_>) -> Result<(), Stop> {
    #[target_feature(enable = "avx2,bmi1,bmi2,popcnt,lzcnt")]
    fn avx2(mut executor: Executor<'_>) -> Result<(), Stop> {
        executor.run()
    }
    #[target_feature(
        enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx2,bmi1,bmi2,popcnt,lzcnt"
    )]
    fn avx512(mut executor: Executor<'_>) -> Result<(), Stop> {
        executor.run()
    }
    match level {
        Level::Portable => portable(executor),
        // SAFETY: the function needs a processor with the features that it enables. `Machine::with` is the only place
        // that sets the level of a machine, and it keeps a level only if `Level::is_available` has detected all of
        // these features.
        Level::Avx2 => unsafe { avx2(executor) },
        // SAFETY: as above, for this level's features.
        Level::Avx512 => unsafe { avx512(executor) },
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn run_at(_level: Level, executor: Executor<'_>) -> Result<(), Stop> {
    portable(executor)
}

fn portable(mut executor: Executor<'_>) -> Result<(), Stop> {
    executor.run()
}
