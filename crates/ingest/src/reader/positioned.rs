//! The engine for machines that refuse io_uring: reads happen one at a time, on the calling thread, when they are
//! polled for. Its achieved depth is 1, and that is what it reports.
//!
//! A stream without bytes does not hold up the others: it is asked first (`poll`) whether a read would block.

use super::{Engine, Landed, Read, ReaderStats};
use crate::queue::{full, NO_OFFSET};
use gristmill_protocol::PipelineError;
use gristmill_ring::ChunkBuf;
use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

struct Waiting {
    read: Read,
    done: usize,
}

pub(super) struct PositionedEngine {
    queue: VecDeque<Waiting>,
    depth: u32,
    stats: ReaderStats,
}

/// How far one attempt at a read came.
enum Progress {
    Landed { end: bool, error: Option<i32> },
    WouldBlock,
}

impl PositionedEngine {
    pub(super) fn new(depth: u32) -> Self {
        PositionedEngine {
            queue: VecDeque::new(),
            depth,
            stats: ReaderStats::default(),
        }
    }

    /// Reads until the length asked for, the end, an error, or a stream that has no more bytes now.
    fn advance(stats: &mut ReaderStats, waiting: &mut Waiting) -> Progress {
        let Waiting { read, done } = waiting;
        let len = read.len as usize;
        while *done < len {
            if read.offset == NO_OFFSET && !readable(&[&read.file], Duration::ZERO) {
                return Progress::WouldBlock;
            }
            let Some(target) = read.buffer.as_mut_slice().get_mut(*done..len) else {
                break;
            };
            stats.enters += 1;
            stats.reads += 1;
            stats.depth_sum += 1;
            stats.depth_max = 1;
            match read_at(&read.file, read.offset, *done, target) {
                Ok(0) => {
                    return Progress::Landed {
                        end: true,
                        error: None,
                    };
                }
                Ok(bytes) => {
                    *done += bytes;
                    stats.bytes_positioned += bytes as u64;
                    if read.offset == NO_OFFSET {
                        return Progress::Landed {
                            end: false,
                            error: None,
                        };
                    }
                    if read.known_end.is_some_and(|end| end as usize == *done) {
                        return Progress::Landed {
                            end: true,
                            error: None,
                        };
                    }
                    stats.short_reads += u64::from(*done < len);
                }
                Err(libc::EINTR) => stats.retries += 1,
                Err(libc::EAGAIN) if read.offset == NO_OFFSET => {
                    stats.retries += 1;
                    return Progress::WouldBlock;
                }
                Err(errno) => {
                    return Progress::Landed {
                        end: false,
                        error: Some(errno),
                    };
                }
            }
        }
        Progress::Landed {
            end: false,
            error: None,
        }
    }
}

impl Engine for PositionedEngine {
    fn submit(&mut self, read: Read) -> Result<(), (ChunkBuf, PipelineError)> {
        if self.inflight() >= self.depth {
            return Err((read.buffer, full()));
        }
        self.queue.push_back(Waiting { read, done: 0 });
        Ok(())
    }

    fn flush(&mut self) -> Result<(), PipelineError> {
        Ok(())
    }

    fn poll(&mut self) -> Option<Landed> {
        for _ in 0..self.queue.len() {
            let mut waiting = self.queue.pop_front()?;
            match Self::advance(&mut self.stats, &mut waiting) {
                Progress::Landed { end, error } => {
                    return Some(Landed {
                        tag: waiting.read.tag,
                        buffer: waiting.read.buffer,
                        bytes: waiting.done,
                        end,
                        error,
                        unanswered: false,
                    });
                }
                Progress::WouldBlock => self.queue.push_back(waiting),
            }
        }
        None
    }

    fn wait(&mut self, timeout: Duration) -> Result<(), PipelineError> {
        if self.queue.iter().all(|w| w.read.offset == NO_OFFSET) && !self.queue.is_empty() {
            let files: Vec<&OwnedFd> = self.queue.iter().map(|w| &*w.read.file).collect();
            readable(&files, timeout);
        }
        Ok(())
    }

    fn inflight(&self) -> u32 {
        u32::try_from(self.queue.len()).unwrap_or(u32::MAX)
    }

    fn capacity(&self) -> u32 {
        self.depth
    }

    fn stats(&self) -> ReaderStats {
        self.stats.clone()
    }

    fn streaming(&self, file: &Arc<OwnedFd>) -> bool {
        self.queue
            .iter()
            .any(|w| w.read.offset == NO_OFFSET && Arc::ptr_eq(&w.read.file, file))
    }
}

/// One `pread` (or, of a stream, `read`) into `target`; `done` bytes of the read were there before.
fn read_at(file: &OwnedFd, offset: u64, done: usize, target: &mut [u8]) -> Result<usize, i32> {
    let fd = file.as_raw_fd();
    let address = target.as_mut_ptr().cast();
    let result = if offset == NO_OFFSET {
        // SAFETY: `address` and the length describe `target`, which is borrowed exclusively for the call.
        unsafe { libc::read(fd, address, target.len()) }
    } else {
        let at = offset.saturating_add(done as u64);
        let at = libc::off_t::try_from(at).map_err(|_| libc::EOVERFLOW)?;
        // SAFETY: as above.
        unsafe { libc::pread(fd, address, target.len(), at) }
    };
    usize::try_from(result).map_err(|_| last_errno())
}

/// Whether a read of one of the files would not block, within `timeout`. True also for what `poll` cannot tell: the
/// read itself will.
fn readable(files: &[&OwnedFd], timeout: Duration) -> bool {
    let mut polled: Vec<libc::pollfd> = files
        .iter()
        .map(|file| libc::pollfd {
            fd: file.as_raw_fd(),
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

fn last_errno() -> i32 {
    crate::setup::errno_of(&std::io::Error::last_os_error())
}
