//! A device with the kernel loaded: its memory, and its launches.

use super::driver::{DeviceMemory, Driver, Launch, Purpose};
use super::info::DeviceInfo;
use super::layout::state::MAX_WORKERS;
use crate::KernelError;
use gristmill_ring::{lock, HostVisible};
use std::sync::Mutex;

/// The number of words that one copy sets to zero.
const ZEROED_WORDS: usize = 1 << 18;

/// A device with the kernel loaded.
pub(super) struct Device<D: Driver> {
    pub info: DeviceInfo,
    /// Queues that no launch is using. This field precedes the driver because the queues live in the driver's context.
    pub idle: Mutex<Vec<D::Queue>>,
    pub driver: D,
}

impl<D: Driver> Device<D> {
    /// Runs the kernel once before its first use: a driver may compile or load a kernel at its first launch, and wait
    /// for running kernels before it does so.
    pub fn warm_up(&self) -> Result<(), KernelError> {
        // Some drivers check the addresses even of a launch that touches no memory.
        let memory = self.state(1, &[])?;
        self.launch(&Launch {
            addresses: [memory.address(); 5],
            first: 0,
            groups: 1,
            number: 0,
        })
    }

    /// How many groups each launch has if `workers` workers are wanted. Together they are at most as many as the device
    /// has room for.
    ///
    /// # Errors
    /// [`KernelError::Workers`] where that number is 0, or more than the kernel supports.
    pub fn groups(&self, workers: usize) -> Result<Vec<u32>, KernelError> {
        let capacity = self.driver.capacity();
        let wanted = u32::try_from(workers).unwrap_or(u32::MAX);
        let workers = capacity.groups.min(wanted);
        if workers == 0 || workers as usize > MAX_WORKERS {
            return Err(KernelError::Workers {
                device: self.info.name.clone(),
                workers,
                most: MAX_WORKERS,
            });
        }
        Ok(if capacity.concurrent {
            vec![workers]
        } else {
            vec![1; workers as usize]
        })
    }

    pub fn shared(&self, bytes: usize) -> Result<Box<dyn HostVisible>, KernelError> {
        let shared = self.driver.shared(bytes);
        shared.map_err(|error| error.on(&self.info))
    }

    /// Allocates memory for tables of `words` words, and writes `first` to its beginning.
    pub fn tables(
        &self,
        words: usize,
        first: &[u32],
    ) -> Result<Box<dyn DeviceMemory>, KernelError> {
        let tables = self.driver.memory(words, Purpose::Tables);
        tables
            .and_then(|tables| tables.write(0, first).map(|()| tables))
            .map_err(|error| error.on(&self.info))
    }

    /// Allocates memory for a state of `words` words, writes `first` to its beginning, and sets the rest to zero.
    pub fn state(&self, words: usize, first: &[u32]) -> Result<Box<dyn DeviceMemory>, KernelError> {
        let filled = |state: Box<dyn DeviceMemory>| {
            state.write(0, first)?;
            let zeros = vec![0; words.min(ZEROED_WORDS)];
            for at in (first.len()..words).step_by(ZEROED_WORDS) {
                state.write(at, &zeros[..zeros.len().min(words - at)])?;
            }
            Ok(state)
        };
        let state = self.driver.memory(words, Purpose::State);
        state.and_then(filled).map_err(|error| error.on(&self.info))
    }

    /// Launches the kernel and waits until all its groups have left.
    pub fn launch(&self, launch: &Launch) -> Result<(), KernelError> {
        let idle = || lock(&self.idle);
        let queue = idle().pop();
        let queue = queue.map_or_else(|| self.driver.queue(), Ok);
        let launched = queue.and_then(|queue| self.driver.launch(queue, launch));
        idle().push(launched.map_err(|error| error.on(&self.info))?);
        Ok(())
    }
}
