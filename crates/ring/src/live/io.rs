//! The IO queue of a live ring, through which the device asks the host for bytes. The layout is that of
//! [`gristmill_protocol::io`].
//!
//! # Who writes what
//!
//! | a slot's STATUS | who owns its words | what comes next |
//! |---|---|---|
//! | EMPTY | device | the request, then PUBLISHED |
//! | PUBLISHED | host | CLAIMED |
//! | CLAIMED | host | BYTE_COUNT or the error number in TAG, then OK or ERROR |
//! | OK, ERROR | device | EMPTY |
//!
//! Every hand-over is a release store of STATUS that the other side loads with acquire order. After each request the
//! host also stores, behind the tails, how many requests it has ended. A device reads only this word to learn whether
//! it should look at the queue.
//!
//! # Whose request it is
//!
//! TAG names the slot that asks. The request's tenant is the one for which the host published that slot. The host keeps
//! its own copy of that, so it need not trust the device, or memory that the device can write. But a slot that does not
//! wait for its bytes completes, and can be published again for another tenant, before its request is claimed. So when
//! the host reads the completion of a LOAD_MISS, it notes the tenant beside those requests of the slot that are not
//! claimed yet. If a request has no such note, its slot has not been published again.
//!
//! # When nobody serves
//!
//! Requests wait until somebody takes the queue. Once the queue is dropped, waiting and later requests fail with
//! ECANCELED; this happens while the host reads completions or waits for them. It stops when the queue is taken again.

use super::host_io::HostIo;
use super::{DeviceRing, Shared, Submitter};
use crate::backoff::Backoff;
use crate::sync::{
    load, lock, store, Arc, AtomicU32,
    Ordering::{Acquire, Relaxed, Release},
};
use gristmill_protocol::io::{io_status, io_word, IoRequest, ECANCELED, EIO, IO_SLOT_WORDS};
use gristmill_protocol::{opcode, slot, tails};
use std::time::Duration;

fn is_ended(status: u32) -> bool {
    matches!(status, io_status::OK | io_status::ERROR)
}

impl Shared {
    /// The words of a slot of the queue. The index is in range: `io_slot` is a counter below `io_slots`, or was stored
    /// from one.
    fn io_slot(&self, io_slot: u32) -> &[AtomicU32; IO_SLOT_WORDS] {
        &self.memory.io.as_chunks().0[io_slot as usize]
    }

    fn io_status(&self, io_slot: u32) -> u32 {
        self.io_slot(io_slot)[io_word::STATUS].load(Acquire)
    }

    /// Ends a request: with the number of bytes, or with the error number.
    fn end_io(&self, host: &mut HostIo, io_slot: u32, outcome: Result<u32, i32>) {
        let (word, value, status) = match outcome {
            Ok(bytes) => (io_word::BYTE_COUNT, bytes, io_status::OK),
            Err(errno) => (io_word::TAG, errno.unsigned_abs(), io_status::ERROR),
        };
        let words = self.io_slot(io_slot);
        words[word].store(value, Relaxed);
        words[io_word::STATUS].store(status, Release);
        host.ended = host.ended.wrapping_add(1);
        self.memory.tails[tails::ENDED].store(host.ended, Release);
    }

    /// Fails the waiting requests if the queue was dropped. Returns whether there were any.
    pub(super) fn cancel_unserved(&self) -> bool {
        if self.io_closed.load(Acquire) == 0 {
            return false;
        }
        let mut host = lock(&self.io_host);
        if host.taken {
            return false;
        }
        let mut any = false;
        for io_slot in 0..self.io_slots {
            if self.io_status(io_slot) == slot::PUBLISHED {
                if let Some(note) = host.tenants.get_mut(io_slot as usize) {
                    *note = None;
                }
                self.end_io(&mut host, io_slot, Err(ECANCELED));
                any = true;
            }
        }
        drop(host);
        if any {
            self.doorbell.notify_all();
        }
        any
    }

    /// Notes the tenant of those requests of a completed slot that are not claimed yet. Must be called before the slot
    /// can be published again.
    pub(super) fn note_tenant(&self, slot: u32) {
        let Some((opcode::LOAD_MISS, tenant)) = self.published_for(slot) else {
            return;
        };
        let mut host = lock(&self.io_host);
        for (io_slot, note) in (0..self.io_slots).zip(&mut host.tenants) {
            let waits = note.is_none() && self.io_status(io_slot) == slot::PUBLISHED;
            if waits && self.io_slot(io_slot)[io_word::TAG].load(Relaxed) == slot {
                *note = Some(tenant);
            }
        }
    }
}

impl DeviceRing {
    /// Slots of the IO queue; 0 where there is none.
    pub fn io_slots(&self) -> u32 {
        self.shared.io_slots
    }

    /// Publishes a request in any free slot of the IO queue; `None` while no slot is free. TAG must be the number of
    /// the slot that asks. Dropping the result ends the waiting, but does not withdraw the request.
    pub fn ask(&self, request: &IoRequest) -> Option<PendingIo> {
        let shared = &*self.shared;
        let mut waited = lock(&shared.io_waited);
        let (io_slot, waits) = (0..shared.io_slots)
            .zip(waited.iter_mut())
            .find(|(io_slot, waits)| !**waits && is_free(shared.io_status(*io_slot)))?;
        *waits = true;
        let words = shared.io_slot(io_slot);
        let asked = request.encode();
        store(words, &asked, 0..io_word::STATUS);
        store(words, &asked, io_word::TAG..IO_SLOT_WORDS);
        words[io_word::STATUS].store(slot::PUBLISHED, Release);
        // The queue is dropped under this same lock. So either the drop sees the request, or this sees that the queue
        // was dropped.
        let closed = shared.io_closed.load(Relaxed) != 0;
        drop(waited);
        shared.asked.notify_all();
        if closed {
            shared.completed.notify_all();
        }
        Some(PendingIo {
            ring: self.clone(),
            io_slot,
        })
    }

    /// Whether [`DeviceRing::ask`] would find a free slot now.
    pub fn can_ask(&self) -> bool {
        let waited = lock(&self.shared.io_waited);
        (0..self.shared.io_slots)
            .zip(waited.iter())
            .any(|(io_slot, waits)| !waits && is_free(self.shared.io_status(io_slot)))
    }
}

/// Whether the device may publish in a slot of this status, if nothing waits for its request: the slot is empty, or its
/// request has ended.
fn is_free(status: u32) -> bool {
    status == slot::EMPTY || is_ended(status)
}

/// The device's half of a request that it waits for.
#[must_use = "a dropped request is not waited for"]
pub struct PendingIo {
    ring: DeviceRing,
    io_slot: u32,
}

impl PendingIo {
    /// How the request ended: the number of bytes, or the error number; `None` while it is under way.
    pub fn outcome(&self) -> Option<Result<u32, u32>> {
        let words = self.ring.shared.io_slot(self.io_slot);
        match words[io_word::STATUS].load(Acquire) {
            io_status::OK => Some(Ok(words[io_word::BYTE_COUNT].load(Relaxed))),
            io_status::ERROR => Some(Err(words[io_word::TAG].load(Relaxed))),
            _ => None,
        }
    }
}

impl Drop for PendingIo {
    fn drop(&mut self) {
        let shared = &*self.ring.shared;
        let mut waited = lock(&shared.io_waited);
        if is_ended(shared.io_status(self.io_slot)) {
            shared.io_slot(self.io_slot)[io_word::STATUS].store(slot::EMPTY, Relaxed);
        }
        if let Some(waits) = waited.get_mut(self.io_slot as usize) {
            *waits = false;
        }
    }
}

impl std::fmt::Debug for PendingIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PendingIo({})", self.io_slot)
    }
}

impl Submitter {
    /// Takes the host's end of the IO queue, which has one owner at a time. `None` while it is taken, and for a ring
    /// without a queue.
    pub fn take_io_queue(&self) -> Option<IoQueue> {
        if self.shared.io_slots == 0
            || std::mem::replace(&mut lock(&self.shared.io_host).taken, true)
        {
            return None;
        }
        self.shared.io_closed.store(0, Release);
        Some(IoQueue {
            shared: Arc::clone(&self.shared),
            next: 0,
        })
    }
}

/// The host's end of the IO queue: claims what the device asks for. When it is dropped, requests that wait fail with
/// ECANCELED, and so do later ones until the queue is taken again.
pub struct IoQueue {
    shared: Arc<Shared>,
    /// Where to look first, so that every slot gets its turn.
    next: u32,
}

impl IoQueue {
    fn ready(&self) -> Option<u32> {
        let slots = self.shared.io_slots;
        (0..slots)
            .map(|step| (self.next + step) % slots)
            .find(|io_slot| self.shared.io_status(*io_slot) == slot::PUBLISHED)
    }

    /// Claims a waiting request; `None` if none waits now. Never blocks.
    ///
    /// After `None`, every request that was published before the last claimed one has been claimed.
    pub fn claim(&mut self) -> Option<ClaimedIo> {
        let shared = &*self.shared;
        let mut host = lock(&shared.io_host);
        let io_slot = self.ready()?;
        self.next = io_slot + 1;
        let words = shared.io_slot(io_slot);
        let request = IoRequest::decode(io_slot, &load(words, 0..IO_SLOT_WORDS));
        let noted = host
            .tenants
            .get_mut(io_slot as usize)
            .and_then(Option::take);
        let asking = || shared.published_for(request.tag).map(|(_, tenant)| tenant);
        let claimed = ClaimedIo {
            tenant: noted.or_else(asking),
            request,
            shared: Some(Arc::clone(&self.shared)),
        };
        words[io_word::STATUS].store(slot::CLAIMED, Relaxed);
        Some(claimed)
    }

    /// Sleeps until a request may be there, or until `timeout`. May return early.
    pub fn wait(&self, timeout: Duration) {
        let ready = || self.ready().is_some();
        if self.shared.silent {
            Backoff::DEVICE.sleep_until(timeout, ready);
        } else {
            self.shared.asked.wait(timeout, ready);
        }
    }
}

impl Drop for IoQueue {
    fn drop(&mut self) {
        let waited = lock(&self.shared.io_waited);
        self.shared.io_closed.store(1, Release);
        drop(waited);
        lock(&self.shared.io_host).taken = false;
        self.shared.cancel_unserved();
    }
}

impl std::fmt::Debug for IoQueue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "IoQueue({} slots)", self.shared.io_slots)
    }
}

/// A request that the host has claimed. Dropped without an answer, it fails with [`EIO`].
#[must_use = "a claimed request that is dropped fails"]
pub struct ClaimedIo {
    shared: Option<Arc<Shared>>,
    request: IoRequest,
    tenant: Option<u32>,
}

impl ClaimedIo {
    /// What the device asks for. Nothing in it was checked.
    pub fn request(&self) -> &IoRequest {
        &self.request
    }

    /// The tenant for which the host published the slot that asks; `None` if TAG names no slot.
    pub fn tenant(&self) -> Option<u32> {
        self.tenant
    }

    /// Ends the request: with the number of bytes, or with the error number.
    pub fn end(mut self, outcome: Result<u32, i32>) {
        self.finish(outcome);
    }

    fn finish(&mut self, outcome: Result<u32, i32>) {
        let Some(shared) = self.shared.take() else {
            return;
        };
        let mut host = lock(&shared.io_host);
        shared.end_io(&mut host, self.request.slot_idx, outcome);
        drop(host);
        shared.doorbell.notify_all();
    }
}

impl Drop for ClaimedIo {
    fn drop(&mut self) {
        self.finish(Err(EIO));
    }
}

impl std::fmt::Debug for ClaimedIo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClaimedIo")
            .field("request", &self.request)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
