//! The engine for machines that refuse io_uring: reads happen one at a time, on the calling thread, when they are
//! polled for. Its achieved depth is 1, and that is what it reports.
//!
//! A stream that has no bytes does not block the other reads, because `poll` checks first whether a read would block.

use super::{Completion, Engine, ReadRequest, ReadSource};
use crate::queue::{full, NO_OFFSET};
use crate::setup::errno_of;
use crate::stats::ReadStats;
use gristmill_protocol::PipelineError;
use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::time::Duration;

/// A read that was submitted.
struct Waiting<P> {
    payload: P,
    source: ReadSource,
    offset: u64,
    address: *mut u8,
    len: u32,
    fill: bool,
    known_end: Option<u32>,
    /// Bytes that have landed.
    done: u32,
}

impl<P> Waiting<P> {
    fn is_stream(&self) -> bool {
        self.offset == NO_OFFSET
    }
}

pub(crate) struct PositionedEngine<P> {
    queue: VecDeque<Waiting<P>>,
    depth: u32,
    stats: ReadStats,
}

/// How one attempt at a read ended.
enum Progress {
    Over { end: bool, error: Option<i32> },
    WouldBlock,
}

impl<P> PositionedEngine<P> {
    pub(crate) fn new(depth: u32) -> Self {
        PositionedEngine {
            queue: VecDeque::new(),
            depth,
            stats: ReadStats::default(),
        }
    }

    /// Reads until all requested bytes have landed, the file ends, an error occurs, or a stream has no more bytes at
    /// the moment.
    fn advance(stats: &mut ReadStats, waiting: &mut Waiting<P>) -> Progress {
        let over = |end, error| Progress::Over { end, error };
        while waiting.done < waiting.len {
            let fd = waiting.source.fd();
            if waiting.is_stream() && !readable(&[fd], Duration::ZERO) {
                return Progress::WouldBlock;
            }
            stats.enters += 1;
            stats.reads += 1;
            stats.depth_sum += 1;
            stats.depth_max = 1;
            // SAFETY: `submit`'s caller keeps the target valid and untouched until the completion is taken, and `done`
            // is below `len`.
            match unsafe { read(waiting) } {
                Ok(0) => return over(true, None),
                Ok(bytes) => {
                    waiting.done += bytes;
                    stats.bytes_positioned += u64::from(bytes);
                    if waiting.is_stream() && !waiting.fill {
                        return over(false, None);
                    }
                    if waiting.known_end == Some(waiting.done) {
                        return over(true, None);
                    }
                    stats.short_reads += u64::from(waiting.done < waiting.len);
                }
                Err(libc::EINTR) => stats.retries += 1,
                Err(libc::EAGAIN) if waiting.is_stream() => {
                    stats.retries += 1;
                    return Progress::WouldBlock;
                }
                Err(errno) => return over(false, Some(errno)),
            }
        }
        over(false, None)
    }
}

impl<P> Engine<P> for PositionedEngine<P> {
    unsafe fn submit(
        &mut self,
        request: ReadRequest<'_>,
        payload: P,
    ) -> Result<(), (P, PipelineError)> {
        if self.inflight() >= self.depth {
            return Err((payload, full()));
        }
        self.queue.push_back(Waiting {
            payload,
            source: request.source,
            offset: request.offset,
            address: request.target.address,
            len: request.len,
            fill: request.fill,
            known_end: request.known_end,
            done: 0,
        });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        Ok(())
    }

    fn poll(&mut self) -> Option<Completion<P>> {
        for _ in 0..self.queue.len() {
            let mut waiting = self.queue.pop_front()?;
            match Self::advance(&mut self.stats, &mut waiting) {
                Progress::Over { end, error } => {
                    return Some(Completion {
                        payload: waiting.payload,
                        bytes: waiting.done,
                        by_disk: 0,
                        end,
                        error,
                        command: None,
                        of_file: true,
                        unanswered: false,
                    });
                }
                Progress::WouldBlock => self.queue.push_back(waiting),
            }
        }
        None
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if self.queue.iter().all(Waiting::is_stream) && !self.queue.is_empty() {
            let files: Vec<RawFd> = self.queue.iter().map(|w| w.source.fd()).collect();
            readable(&files, timeout);
        }
        Ok(())
    }

    fn has_completed(&self) -> bool {
        self.queue
            .iter()
            .any(|waiting| !waiting.is_stream() || readable(&[waiting.source.fd()], Duration::ZERO))
    }

    fn inflight(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    fn capacity(&self) -> u32 {
        self.depth
    }

    fn stats(&self) -> ReadStats {
        self.stats.clone()
    }

    fn broken(&self) -> Option<i32> {
        None
    }

    fn is_streaming(&self, source: &ReadSource) -> bool {
        self.queue
            .iter()
            .any(|waiting| waiting.is_stream() && waiting.source.is(source))
    }
}

/// One `pread` (or, for a stream, `read`) of the bytes that a read still lacks.
///
/// # Safety
/// The read's target must be valid for writes and nobody else may use it, and `done` must be at most `len`.
unsafe fn read<P>(waiting: &Waiting<P>) -> Result<u32, i32> {
    let fd = waiting.source.fd();
    let address = waiting.address.wrapping_add(waiting.done as usize).cast();
    let left = (waiting.len - waiting.done) as usize;
    let result = if waiting.is_stream() {
        // SAFETY: the caller's promise, for the bytes after the first `done` ones.
        unsafe { libc::read(fd, address, left) }
    } else {
        let at = waiting.offset.saturating_add(u64::from(waiting.done));
        let at = libc::off_t::try_from(at).map_err(|_| libc::EOVERFLOW)?;
        // SAFETY: as above.
        unsafe { libc::pread(fd, address, left, at) }
    };
    u32::try_from(result).map_err(|_| errno_of(&std::io::Error::last_os_error()))
}

/// Waits until a read of one of the descriptors would not block, or until `timeout`, and returns whether there is such
/// a descriptor. It also returns true if `poll` fails; the read itself will then report the problem.
fn readable(files: &[RawFd], timeout: Duration) -> bool {
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|fd| libc::pollfd {
            fd: *fd,
            events: libc::POLLIN,
            revents: 0,
        })
        .collect();
    // Rounded up, so that a wait of less than a millisecond does not spin.
    let millis = timeout.as_micros().div_ceil(1000);
    let millis = libc::c_int::try_from(millis).unwrap_or(libc::c_int::MAX);
    let Ok(count) = libc::nfds_t::try_from(polled.len()) else {
        return true;
    };
    // SAFETY: `polled` is a valid array of `count` entries that lives through the call.
    unsafe { libc::poll(polled.as_mut_ptr(), count, millis) != 0 }
}
