//! How reads reach the kernel: through the submission queue, from `pending` to `pushed`, and from there by a call.

use super::op::Operation;
use super::{ReadQueue, Stalls};
use crate::setup::{self, Entered};
use io_uring::squeue::EntryMarker as _;
use std::time::Duration;

impl<P, O: Operation> ReadQueue<P, O> {
    /// Enters the kernel, and counts the entries that it took. These are the entries that have left the submission
    /// queue, whatever the call returned.
    pub(super) fn enter(&mut self, submit: bool, want: u32, timeout: Option<Duration>) -> Entered {
        let Some(ring) = &mut self.ring else {
            return Entered::Failed(self.broken.unwrap_or(libc::EBADF));
        };
        self.counters.enters += 1;
        let before = ring.submission().len();
        let entered = setup::enter(ring, submit, want, timeout);
        let taken = before.saturating_sub(ring.submission().len());
        self.took(taken);
        entered
    }

    /// Whether the kernel has announced that entering it would deliver completions.
    pub(super) fn announced(&mut self) -> bool {
        let Some(ring) = &mut self.ring else {
            return false;
        };
        let queue = ring.submission();
        queue.taskrun() || queue.cq_overflow()
    }

    /// Moves pending reads into the submission queue, as far as it has room.
    pub(super) fn push_pending(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let Some(ring) = &mut self.ring else {
            return; // `submit` has refused everything since.
        };
        let mut queue = ring.submission();
        while let Some(&index) = self.pending.front() {
            if let Some(Some(flight)) = self.table.get(index as usize) {
                let mut entry = flight.op.entry(flight.done, flight.polling);
                entry.set_user_data(u64::from(index));
                // SAFETY: the entry is a poll, or a read into the part of `op`'s memory after the first `done` bytes.
                // `submit`'s caller keeps that memory valid and untouched until this read has ended; the table keeps
                // the read, and with it the payload, until its completion was reaped (`complete`) or `drop` has dealt
                // with it.
                if unsafe { queue.push(&entry) }.is_err() {
                    break;
                }
                self.pushed.push_back(index);
            }
            self.pending.pop_front();
        }
    }

    /// Marks the `taken` oldest pushed entries as taken by the kernel.
    pub(super) fn took(&mut self, taken: usize) {
        if taken > 0 {
            self.stalls = Stalls::default();
        }
        for _ in 0..taken {
            let Some(index) = self.pushed.pop_front() else {
                break; // What is left are cancellations.
            };
            if let Some(Some(flight)) = self.table.get_mut(index as usize) {
                flight.in_kernel = true;
                self.in_kernel += 1;
                if !flight.polling {
                    self.counters.reads += 1;
                    self.counters.depth_sum += u64::from(self.in_kernel);
                    self.counters.depth_max = self.counters.depth_max.max(self.in_kernel);
                }
            }
        }
    }
}
