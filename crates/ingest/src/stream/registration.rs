//! The registration of a stream's buffer with its ring.

use crate::memory::mapped::GpuMappedBuffer;
use crate::setup;
use crate::tables::memlock_limit;
use gristmill_protocol::PipelineError;
use io_uring::IoUring;

/// Bytes in each registered buffer except the last. The kernel accepts at most 1 GiB.
const REGISTERED_BYTES: usize = 1 << 30;

/// Whether the buffer is registered.
enum State {
    Untried,
    /// The buffer is registered, as this many registered buffers.
    Done(u16),
    Refused(i32),
}

/// The registration of a stream's buffer, as consecutive registered buffers of equal size.
pub(super) struct Registration {
    state: State,
    /// Bytes in each registered buffer except the last.
    bytes: usize,
}

impl Registration {
    pub(super) fn new() -> Self {
        Registration {
            state: State::Untried,
            bytes: REGISTERED_BYTES,
        }
    }

    /// Registers the buffer, once. Memory of another device is not registered, because the kernel would refuse.
    pub(super) fn register(&mut self, ring: Option<&IoUring>, buffer: &GpuMappedBuffer<'_>) {
        if !matches!(self.state, State::Untried) {
            return;
        }
        if buffer.is_peer() {
            self.state = State::Refused(libc::EFAULT);
            return;
        }
        let (base, len) = (buffer.base(), buffer.len());
        let iovecs: Vec<libc::iovec> = (0..len)
            .step_by(self.bytes)
            .map(|offset| libc::iovec {
                iov_base: base.wrapping_add(offset).cast(),
                iov_len: self.bytes.min(len - offset),
            })
            .collect();
        let Ok(count) = u16::try_from(iovecs.len()) else {
            self.state = State::Refused(libc::E2BIG);
            return;
        };
        let Some(ring) = ring else {
            return; // It has failed, so that nothing is submitted any more.
        };
        // SAFETY: the ranges together are the buffer, whose memory is valid for its lifetime, which outlives the
        // stream's ring.
        let result = unsafe { ring.submitter().register_buffers(&iovecs) };
        self.state = match result {
            Ok(()) => State::Done(count),
            Err(error) => State::Refused(setup::errno_of(&error)),
        };
    }

    /// The registered buffer that holds all of these bytes of the stream's buffer.
    pub(super) fn index(&self, target: usize, len: usize) -> Option<u16> {
        let State::Done(count) = self.state else {
            return None;
        };
        let (index, within) = (target / self.bytes, target % self.bytes);
        if len == 0 || within.checked_add(len)? > self.bytes {
            return None;
        }
        let index = u16::try_from(index).ok()?;
        (index < count).then_some(index)
    }

    /// Registers the buffer so that each of its slots of `slot_bytes` lies in one registered buffer.
    ///
    /// # Errors
    /// [`PipelineError::IoUringSyscall`] if the kernel refuses; [`PipelineError::QueueFull`] for slots of more than 1
    /// GiB, and for a stream whose buffer was registered in another way before.
    pub(super) fn register_slots(
        &mut self,
        ring: Option<&IoUring>,
        buffer: &GpuMappedBuffer<'_>,
        slot_bytes: usize,
    ) -> Result<(), PipelineError> {
        if let (State::Untried, 1..=REGISTERED_BYTES) = (&self.state, slot_bytes) {
            self.bytes = REGISTERED_BYTES / slot_bytes * slot_bytes;
        }
        self.register(ring, buffer);
        if let State::Refused(_) = self.state {
            return Err(self.refusal());
        }
        if buffer.len() > self.bytes && !self.bytes.is_multiple_of(slot_bytes) {
            return Err(PipelineError::QueueFull {
                queue: "registered buffer",
                fix: "hand in a stream that has not read yet, with slots of 1 GiB at most",
            });
        }
        Ok(())
    }

    /// The error for a read that cannot use the registered buffer that it demands.
    pub(super) fn refusal(&self) -> PipelineError {
        match self.state {
            State::Refused(errno) => setup::refused("io_uring_register(BUFFERS)", errno),
            State::Untried | State::Done(_) => PipelineError::QueueFull {
                queue: "registered buffer",
                fix: "name the registered buffer (each holds 1 GiB) that the whole target lies in",
            },
        }
    }

    /// Why the buffer is not registered, for reports; `None` if it is, or if nothing was read yet.
    pub(super) fn why_not(&self, buffer: &GpuMappedBuffer<'_>) -> Option<String> {
        let State::Refused(errno) = self.state else {
            return None;
        };
        if buffer.is_peer() {
            return Some("peer memory cannot be registered".to_owned());
        }
        let error = std::io::Error::from_raw_os_error(errno);
        let limit = memlock_limit().map_or("none".to_owned(), |limit| limit.to_string());
        Some(format!(
            "registering {} bytes failed: {error}; the memory-lock limit is {limit}: raise it (ulimit -l) or map less",
            buffer.len()
        ))
    }
}
