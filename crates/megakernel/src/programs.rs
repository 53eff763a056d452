//! VIR0 programs in the kernel: the table of loaded programs, and running a program over the chunk of a slot.
//!
//! A program is bound to an opcode of its tenant's window. A worker looks the opcode up for every slot, so a program
//! that was loaded before a slot was published is found when the slot is claimed. If the program was unloaded in
//! between, the slot faults; it never runs another program.

use crate::tenant::TenantHandle;
use crate::KernelError;
use gristmill_protocol::program::{area_words, encode_acc, ProgramArgs, ProgramRecord};
use gristmill_protocol::{completion, fault, opcode, PipelineError};
use gristmill_ring::{Outcome, RecordWriter};
use gristmill_vir0::vector::Machine;
use gristmill_vir0::{Cancel, Chunk, FaultKind, Program, Results, Stop, Verified};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// How many machines a worker keeps for programs that it has run.
const KEPT_MACHINES: usize = 16;

/// The programs of a kernel, by opcode. Clones share one table.
#[derive(Clone)]
pub struct ProgramTable {
    programs: Arc<RwLock<BTreeMap<u32, Verified>>>,
    record_words: u32,
    device: Option<Arc<dyn ProgramSink>>,
}

/// A device's own copies of the programs.
pub(crate) trait ProgramSink: Send + Sync {
    /// Makes slots with this opcode run the program from now on.
    fn bind(&self, opcode: u32, program: &Verified) -> Result<(), KernelError>;
    /// Makes slots with this opcode fault from now on.
    fn unbind(&self, opcode: u32);
}

impl ProgramTable {
    /// Makes an empty table for slots whose record areas have `record_words` words.
    pub(crate) fn new(record_words: u32, device: Option<Arc<dyn ProgramSink>>) -> Self {
        Self {
            programs: Arc::default(),
            record_words,
            device,
        }
    }

    /// The number of words in a slot's record area that a program needs for its accumulators and all its records.
    pub fn words_needed(program: &Program) -> u64 {
        area_words(program.acc_count(), program.records as usize) as u64
    }

    /// Binds a program to the first free opcode of the tenant's window. Returns that opcode.
    ///
    /// # Errors
    /// [`KernelError::InvalidConfig`] if the slots' record areas are too small for the program;
    /// [`PipelineError::QueueFull`] if all opcodes, or the device's memory for programs, are in use.
    pub fn load(&self, tenant: &TenantHandle, program: Verified) -> Result<u32, KernelError> {
        if Self::words_needed(program.program()) > u64::from(self.record_words) {
            return Err(KernelError::InvalidConfig {
                what: "a program whose results do not fit into a slot's record area",
                fix: "launch the kernel with more record words, or declare fewer records",
            });
        }
        let mut programs = self
            .programs
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let free = tenant
            .opcodes()
            .find(|opcode| !programs.contains_key(opcode));
        let free = free.ok_or(PipelineError::QueueFull {
            queue: "the tenant's window of opcodes",
            fix: "unload programs that are no longer used",
        })?;
        if let Some(device) = &self.device {
            device.bind(free, &program)?;
        }
        programs.insert(free, program);
        Ok(free)
    }

    /// Removes a program from the table and returns it, if there was one. Slots with its opcode fault from then on.
    pub fn unload(&self, opcode: u32) -> Option<Verified> {
        let mut programs = self
            .programs
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let program = programs.remove(&opcode)?;
        if let Some(device) = &self.device {
            device.unbind(opcode);
        }
        Some(program)
    }

    /// The program that is bound to an opcode.
    pub fn get(&self, opcode: u32) -> Option<Verified> {
        let programs = self.programs.read().unwrap_or_else(PoisonError::into_inner);
        programs.get(&opcode).cloned()
    }

    /// A program's number within its tenant: its position in the tenant's window, by which DFA_STEP names it.
    pub fn number(opcode: u32) -> Option<u32> {
        let tenant = opcode::tenant_of(opcode)?;
        let window = opcode::tenant_window(tenant)?;
        Some(opcode - window.start())
    }
}

impl std::fmt::Debug for ProgramTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let programs = self.programs.read().unwrap_or_else(PoisonError::into_inner);
        write!(f, "ProgramTable({} programs)", programs.len())
    }
}

/// The machines of one worker, each for one program.
#[derive(Debug, Default)]
pub(crate) struct Machines {
    /// In order of use, the most recently used one last.
    machines: Vec<Machine>,
    results: Results,
}

impl Machines {
    /// Runs a program over the chunk that a slot names, unless `cancelled` ends it, and writes its results to the
    /// slot's record area.
    pub fn run(
        &mut self,
        program: &Verified,
        args: &ProgramArgs,
        chunk: &[u8],
        records: &mut RecordWriter<'_>,
        cancelled: Cancel<'_>,
    ) -> Result<Outcome, u32> {
        let declared = program.program();
        if args.len > declared.chunk || !args.offset.is_multiple_of(declared.align.into()) {
            return Err(fault::BAD_ARGUMENT);
        }
        let range = || {
            let (start, len) = (args.start as usize, args.len as usize);
            let end = start.checked_add(len)?.checked_add(args.after as usize)?;
            let bytes = chunk.get(..end)?;
            Chunk::new(bytes, start, len, args.offset, &args.args)
        };
        let chunk = range().ok_or(fault::INDEX_OUT_OF_RANGE)?;
        let mut machine = match self.machines.iter().position(|machine| {
            // Programs are compared by identity, since the opcode may be bound to another program by now.
            machine.program().is_same(program)
        }) {
            Some(known) => self.machines.remove(known),
            None => Machine::new(program),
        };
        let ran = machine.run_until(&chunk, &mut self.results, cancelled);
        if self.machines.len() >= KEPT_MACHINES {
            self.machines.remove(0);
        }
        self.machines.push(machine);
        match ran {
            Ok(()) => self.leave(records),
            Err(Stop::Cancelled) => Err(fault::CANCELLED),
            Err(Stop::Overflow) => Ok(Outcome {
                flags: completion::FLAG_OVERFLOW,
                ..Outcome::default()
            }),
            Err(Stop::Fault(found)) => {
                let reason = match found.kind {
                    FaultKind::Scratch => fault::SCRATCH_INDEX,
                    FaultKind::Acc => fault::ACC_INDEX,
                };
                // A program has at most 4,096 instructions.
                let instruction = u16::try_from(found.instruction).unwrap_or(u16::MAX);
                Err(fault::word(reason, instruction))
            }
        }
    }

    /// Writes accumulators and records.
    fn leave(&self, area: &mut RecordWriter<'_>) -> Result<Outcome, u32> {
        let mut word = 0;
        let mut put = |value: u32| {
            let fits = area.set_word(word, value);
            word += 1;
            if fits {
                Ok(())
            } else {
                Err(fault::AREA_TOO_SMALL)
            }
        };
        for acc in &self.results.accs {
            encode_acc(*acc).into_iter().try_for_each(&mut put)?;
        }
        for record in &self.results.records {
            let record = ProgramRecord {
                position: record.position,
                value: record.value,
            };
            record.encode().into_iter().try_for_each(&mut put)?;
        }
        Ok(Outcome {
            records: u32::try_from(self.results.records.len()).unwrap_or(u32::MAX),
            ..Outcome::default()
        })
    }
}
