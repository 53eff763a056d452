//! A launched kernel and the operations that cases perform on it: they lend chunks, publish slots, reap completions,
//! and keep a worker busy.

use super::case::{Stop, Suite, LIMIT};
use super::setup::Setup;
use super::shipped::assembled;
use super::wait::{within_limit, Wait};
use fastrand::Rng;
use gristmill_megakernel::{Kernel, KernelConfig, TenantHandle};
use gristmill_protocol::priority::Priority;
use gristmill_protocol::program::ProgramArgs;
use gristmill_protocol::{fault, slot};
use gristmill_ring::{
    ChunkBuf, Completions, LentChunk, RecordMemory, RingConfig, Submission, Submitter,
};
use gristmill_vir0::{Limits, Verified};
use std::time::Duration;

/// A fault word. It is displayed by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Fault(pub u32);

impl Fault {
    /// The fault word of a slot that ran.
    pub const NONE: Self = Self(fault::NONE);
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "fault {} ({})",
            fault::reason(self.0),
            fault::name(self.0)
        )?;
        match fault::detail(self.0) {
            0 => Ok(()),
            detail => write!(f, " at {detail}"),
        }
    }
}

/// The answer of a slot: its first result, or the reason why it faulted.
pub(super) type Answer = Result<u32, Fault>;

/// A completed slot, which is free again. Its records remain until another slot is published.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    /// The number of the publication, counted from 0.
    pub number: usize,
    pub slot: u32,
    pub fault: Fault,
    pub results: [u32; 8],
    pub records: u32,
    pub flags: u32,
}

impl Done {
    pub fn answer(&self) -> Answer {
        if self.fault == Fault::NONE {
            Ok(self.results[0])
        } else {
            Err(self.fault)
        }
    }
}

pub(super) struct World {
    kernel: Option<Kernel>,
    pub submitter: Submitter,
    pub records: RecordMemory,
    completions: Completions,
    pub chunks: Vec<ChunkBuf>,
    /// For each slot, the publication that is in it.
    in_flight: Vec<Option<usize>>,
    published: usize,
}

impl World {
    pub fn launch(suite: &Suite<'_>, setup: Setup) -> Result<Self, Stop> {
        let (chunks, tokens) = suite
            .backend
            .chunk_memory(setup.chunks, setup.chunk_bytes)?;
        let config = KernelConfig {
            workers: setup.workers,
            ring: RingConfig {
                slots: setup.slots,
                tenants: setup.tenants,
                observables: setup.observables,
                debug_records: setup.debug_records,
                io_slots: setup.io_slots,
                // All counters of the ring wrap around in nearly every case.
                counters_from: u32::MAX - 4,
            },
            chunks,
            record_words: setup.record_words,
            lease: setup.lease,
        };
        let mut kernel = suite.backend.launch(config, setup.jobs, Vec::new())?;
        let Some(completions) = kernel.take_completions() else {
            return failed("a new kernel has no completions to drain");
        };
        Ok(Self {
            submitter: kernel.submitter().clone(),
            records: kernel.records().clone(),
            kernel: Some(kernel),
            completions,
            chunks: tokens,
            in_flight: vec![None; setup.slots as usize],
            published: 0,
        })
    }

    pub fn kernel(&self) -> Result<&Kernel, Stop> {
        match &self.kernel {
            Some(kernel) => Ok(kernel),
            None => failed("the kernel was shut down"),
        }
    }

    pub fn tenant(&self, id: u32) -> Result<TenantHandle, Stop> {
        Ok(self.kernel()?.tenants().tenant(id)?)
    }

    pub fn load(&self, tenant: u32, program: &Verified) -> Result<u32, Stop> {
        let tenant = self.tenant(tenant)?;
        Ok(self.kernel()?.programs().load(&tenant, program.clone())?)
    }

    pub fn observable(&self, index: usize) -> Result<u32, Stop> {
        match self.kernel()?.observable(index) {
            Some(value) => Ok(value),
            None => failed(format!("there is no observable {index}")),
        }
    }

    /// The values of all observables.
    pub fn observables(&self) -> Result<Vec<u32>, Stop> {
        let kernel = self.kernel()?;
        Ok((0..).map_while(|index| kernel.observable(index)).collect())
    }

    /// Fills the next free chunk with `bytes`, from its start on, and lends it.
    pub fn lend(&mut self, bytes: &[u8]) -> Result<LentChunk, Stop> {
        let Some(mut chunk) = self.chunks.pop() else {
            return failed("the case needs more chunks");
        };
        match chunk.as_mut_slice().get_mut(..bytes.len()) {
            Some(start) => start.copy_from_slice(bytes),
            None => return failed("the case needs larger chunks"),
        }
        Ok(chunk.lend())
    }

    /// Takes back a lent chunk that no slot names any more.
    pub fn take_back(&mut self, lent: LentChunk) -> Result<(), Stop> {
        match lent.reclaim() {
            Ok(chunk) => self.chunks.push(chunk),
            Err(_) => return failed("a chunk is still being read after its slots have completed"),
        }
        Ok(())
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.iter().flatten().count()
    }

    /// Publishes if a slot is free. Returns the publication's number, or `None`.
    pub fn try_publish(&mut self, submission: &Submission) -> Result<Option<usize>, Stop> {
        let Some(token) = self.submitter.try_acquire() else {
            return Ok(None);
        };
        let index = token.index().get();
        match self.in_flight.get_mut(index as usize) {
            Some(place @ None) => *place = Some(self.published),
            _ => return failed(format!("slot {index} was handed out while it is in flight")),
        }
        self.submitter
            .publish(token, submission)
            .map_err(|(_, error)| error)?;
        self.published += 1;
        Ok(Some(self.published - 1))
    }

    /// Publishes into a ring that has room.
    pub fn publish(&mut self, submission: &Submission) -> Result<usize, Stop> {
        match self.try_publish(submission)? {
            Some(number) => Ok(number),
            None => failed("the ring is full although slots should be free"),
        }
    }

    /// The next completion, if there is one already. It must belong to a slot that is in flight.
    pub fn poll(&mut self) -> Result<Option<Done>, Stop> {
        let Some(done) = self.completions.next() else {
            return Ok(None);
        };
        let index = done.token.index().get();
        let number = self
            .in_flight
            .get_mut(index as usize)
            .and_then(Option::take);
        let Some(number) = number else {
            return failed(format!(
                "slot {index} completed twice, or was never published"
            ));
        };
        let fault = Fault(done.fault);
        let consistent = match done.status {
            slot::DONE => fault == Fault::NONE,
            slot::FAULT => fault != Fault::NONE,
            _ => false,
        };
        ensure!(
            consistent,
            "slot {index} completed with status {} and {fault:?}",
            slot::status_name(done.status)
        );
        self.submitter.release(done.token);
        Ok(Some(Done {
            number,
            slot: index,
            fault,
            results: done.results,
            records: done.records,
            flags: done.flags,
        }))
    }

    /// Waits for the next completion, within the limit.
    pub fn reap(&mut self) -> Result<Done, Stop> {
        let mut wait = Wait::new(LIMIT);
        for polls in 0_u32.. {
            if let Some(done) = self.poll()? {
                return Ok(done);
            }
            if wait.is_over() {
                break;
            }
            if polls < 100 {
                std::thread::yield_now();
            } else {
                self.completions.wait(Duration::from_micros(500));
            }
        }
        failed(format!(
            "no completion within {LIMIT:?}, with {} slots in flight",
            self.in_flight()
        ))
    }

    /// Publishes `count` slots, each as soon as there is room for it, and checks each when it completes.
    pub fn stream(
        &mut self,
        count: usize,
        mut next: impl FnMut(usize) -> Submission,
        mut check: impl FnMut(&Done) -> Result<(), Stop>,
    ) -> Result<(), Stop> {
        let mut published = 0;
        for _ in 0..count {
            while published < count && self.in_flight() < self.in_flight.len() {
                self.publish(&next(published))?;
                published += 1;
            }
            check(&self.reap()?)?;
        }
        Ok(())
    }

    /// Waits for everything that is in flight, and returns it in the order of completion.
    pub fn drain(&mut self) -> Result<Vec<Done>, Stop> {
        (0..self.in_flight()).map(|_| self.reap()).collect()
    }

    /// Publishes one slot and waits for it, with nothing else in flight.
    pub fn run(&mut self, submission: &Submission) -> Result<Done, Stop> {
        let number = self.publish(submission)?;
        let done = self.reap()?;
        same!(done.number, number, "the publication that completed");
        Ok(done)
    }

    /// Runs one slot. Returns its answer.
    pub fn answer(&mut self, submission: &Submission) -> Result<Answer, Stop> {
        Ok(self.run(submission)?.answer())
    }

    /// Runs one slot of tenant 0.
    pub fn op(&mut self, opcode: u32, args: &[u32]) -> Result<Answer, Stop> {
        self.answer(&Submission::new(opcode, args))
    }

    /// STATUS of the slot that holds a publication; `None` if it has been reaped.
    pub fn status(&self, number: usize) -> Option<u32> {
        let at = self
            .in_flight
            .iter()
            .position(|place| *place == Some(number));
        at.and_then(|at| self.submitter.status(u32::try_from(at).ok()?))
    }

    /// Publishes all submissions while the kernel's only worker is busy with a costly program, so that all of them wait
    /// when it makes its next claim. Returns their positions in `submissions` in the order of completion. If the worker
    /// was free too soon, everything is run again with a longer program, so it must be possible to repeat the
    /// submissions.
    pub fn held(&mut self, submissions: &[Submission]) -> Result<Vec<(usize, Done)>, Stop> {
        let gate = self.load(0, &program(GATE)?)?;
        let bytes = vec![0; GATE_BYTES as usize];
        let lent = self.lend(&bytes)?;
        let mut held = None;
        let mut len = 4;
        for _ in 0..40 {
            let first = self.publish(&over(gate, &lent, len)?)?;
            let mut wait = Wait::new(LIMIT);
            while self.status(first) == Some(slot::PUBLISHED) && !wait.is_over() {
                std::hint::spin_loop();
            }
            for submission in submissions {
                self.publish(submission)?;
            }
            let in_time = self.status(first) == Some(slot::CLAIMED);
            let order = self.drain()?;
            let Some((gated, order)) = order.split_first() else {
                break;
            };
            if gated.number == first && gated.fault != Fault::NONE {
                // A device may limit what one slot may cost.
                break;
            }
            if in_time && gated.number == first {
                let place = |done: &Done| (done.number - first - 1, *done);
                held = Some(order.iter().map(place).collect());
                break;
            }
            len = (len * 2).min(GATE_BYTES);
        }
        self.take_back(lent)?;
        self.kernel()?.programs().unload(gate);
        held.ok_or_else(|| {
            Stop::Skipped("no program holds the worker for as long as publishing takes here".into())
        })
    }

    /// Waits until a condition holds that depends on values which the kernel mirrors to the host from time to time.
    pub fn settles(&self, holds: impl Fn(&Kernel) -> bool) -> Result<bool, Stop> {
        let mut wait = Wait::new(Duration::from_secs(5));
        let kernel = self.kernel()?;
        while !holds(kernel) {
            if wait.is_over() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(true)
    }

    /// Ends the kernel, within the limit. Its memory can still be inspected afterwards.
    pub fn shut_down(&mut self) -> Result<(), Stop> {
        let Some(kernel) = self.kernel.take() else {
            return Ok(());
        };
        match within_limit(move || kernel.shutdown()) {
            Some(ended) => Ok(ended?),
            None => failed(format!("shutdown did not return within {LIMIT:?}")),
        }
    }

    /// Drops the kernel instead of calling its `shutdown`, within the limit.
    pub fn drop_kernel(&mut self) -> Result<(), Stop> {
        let kernel = self.kernel.take();
        match within_limit(move || drop(kernel)) {
            Some(()) => Ok(()),
            None => failed(format!(
                "dropping the kernel did not return within {LIMIT:?}"
            )),
        }
    }

    /// Ends a case: checks that nothing is in flight and nothing more completes, and ends the kernel.
    pub fn close(mut self) -> Result<(), Stop> {
        same!(self.in_flight(), 0, "slots in flight at the end");
        self.shut_down()?;
        ensure!(
            self.poll()?.is_none(),
            "a completion of nothing that was published"
        );
        Ok(())
    }
}

impl Drop for World {
    /// After a failure, a kernel that hangs must not make the whole suite hang.
    fn drop(&mut self) {
        // Either the hang was already reported, or the case has failed anyway.
        let _ = self.drop_kernel();
    }
}

/// Ends a case with a failure.
pub(super) fn failed<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Failed(what.into()))
}

/// The submission, for another tenant.
pub(super) fn of(tenant: u32, submission: Submission) -> Submission {
    Submission {
        tenant,
        ..submission
    }
}

/// The submission, with another priority.
pub(super) fn at(priority: Priority, submission: Submission) -> Submission {
    Submission {
        priority,
        ..submission
    }
}

/// Picks one of several values at random.
pub(super) fn pick<T: Copy>(numbers: &mut Rng, of: &[T]) -> T {
    of[numbers.usize(..of.len())]
}

/// Random bytes.
pub(super) fn random_bytes(numbers: &mut Rng, len: usize) -> Vec<u8> {
    std::iter::repeat_with(|| numbers.u8(..))
        .take(len)
        .collect()
}

/// A program that keeps a worker busy for longer the longer its chunk is.
pub(super) const GATE: &str = "
    .chunk 16384
    .acc   trips sum
        each r1, 1
          loop 8192
            add r2, r2, 1
          end
          acc trips, r2
        end
";

/// The longest chunk for the gate.
pub(super) const GATE_BYTES: u32 = 16 << 10;

/// A slot that runs the program bound to `opcode` over the first `len` bytes of a chunk.
pub(super) fn over(opcode: u32, lent: &LentChunk, len: u32) -> Result<Submission, Stop> {
    let place = ProgramArgs {
        chunk: lent.index(),
        len,
        ..ProgramArgs::default()
    };
    busy(opcode, &place)
}

/// A slot that runs the program bound to `opcode`.
pub(super) fn busy(opcode: u32, place: &ProgramArgs) -> Result<Submission, Stop> {
    match place.encode() {
        Some(args) => Ok(Submission::new(opcode, &args)),
        None => failed("a chunk's index or surroundings do not fit into a slot"),
    }
}

/// Assembles and verifies a program of this suite.
pub(super) fn program(source: &str) -> Result<Verified, Stop> {
    assembled("selftest.vasm", source, &Limits::default())
}

/// Converts a number to a word; larger numbers become the largest word.
pub(super) fn word(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
