//! The vectorised interpreter: each instruction is applied to a block of windows at once, under a mask.
//!
//! Decoding is paid once for a block of up to [`MAX_LANES`] windows, and what an instruction does is a loop over
//! words that compiles to vector instructions. Top-level code runs as a block of one lane. An `each` copies the
//! registers that its body reads into all lanes and then runs the body block after block.
//!
//! - `lanes`: registers, masks, and the shape of every lane-wise loop;
//! - `exec`: blocks of windows, and of instructions;
//! - `instructions`: what single instructions do;
//! - `level`: vector units, and which one is used.
//!
//! The instructions are compiled three times, for different vector units, and one is chosen when a machine is made.

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

/// Windows of a block at most.
pub const MAX_LANES: usize = lanes::MAX_LANES;

/// Windows of a block, unless something else is asked for: the registers that a program uses stay in the first-level
/// cache.
pub const DEFAULT_LANES: usize = 256;

/// Memory for running one program on one thread, over chunk after chunk.
pub struct Machine {
    program: Verified,
    /// By instruction, for each `each`.
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

    /// A machine with blocks of `lanes` windows (1 to [`MAX_LANES`]; others are taken as the nearest) on a vector unit (the
    /// best there is, if this one is not available).
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
    /// [`Stop`]; the results are then void.
    pub fn run(&mut self, chunk: &Chunk<'_>, results: &mut Results) -> Result<(), Stop> {
        self.run_until(chunk, results, &|| false)
    }

    /// Runs the program over a chunk, for as long as `cancelled` answers that it is not.
    ///
    /// # Errors
    /// [`Stop`]; the results are then void.
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

/// Runs with the instructions compiled for a level, which is available.
#[cfg(target_arch = "x86_64")]
#[allow(
    unsafe_code,
    reason = "calling a function for a vector unit that was detected"
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
        // SAFETY: the function needs a processor with the features that it enables: `Machine::with`, the only place that
        // sets a machine's level, keeps a level only where `Level::is_available` has detected every one of them.
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
