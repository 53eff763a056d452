//! Reads that publish a slot of a ring when they have landed.
//!
//! Every scan carries the data of its publication in the read's payload, so completions are matched to publications in
//! whatever order they arrive. A scan is in flight from [`UringMegakernelPump::submit_file_scan`] until its slot is
//! published; until then no other scan may have its chunk or its slot. The device sees first the bytes, then the slot,
//! then the tail.
//!
//! # What the slot says
//!
//! Args 0 to 2 are the caller's. Fewer bytes may have landed than were asked for, because files end:
//!
//! - an opcode of the stream range gets its own layout ([`protocol::stream`](gristmill_protocol::stream)): ARG_LEN is
//!   the number of bytes that landed from ARG_START on, at most the number that the caller gave, and ARG_OFFSET is the
//!   file offset of the first of them;
//! - any other opcode gets the number of bytes that landed in arg 3.

use crate::stream::{AsyncUringStream, LandedScan, Owner, ReadContext, Scan};
use gristmill_protocol::priority::Priority;
use gristmill_protocol::stream::StreamArgs;
use gristmill_protocol::{opcode, Megakernel, PipelineError, ARGS_PER_SLOT};
use gristmill_ring::{SlotIndex, Submission, Submitter};

/// The argument that says how many bytes landed, for opcodes outside of the stream range.
pub const ARG_LANDED_BYTES: usize = 3;

/// A scan that was published in a live ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedScan {
    /// The chunk that holds the bytes.
    pub chunk_idx: u32,
    /// The number with which the scan was submitted.
    pub slot_idx: u32,
    /// The slot in which it was published.
    pub slot: SlotIndex,
    /// Bytes that landed.
    pub bytes: u32,
}

/// Reads chunks of files and publishes a slot for each that has landed.
#[derive(Debug)]
pub struct UringMegakernelPump<'a> {
    stream: AsyncUringStream<'a>,
    chunk_bytes: u32,
}

impl<'a> UringMegakernelPump<'a> {
    /// A pump over `stream`, whose buffer it divides into chunks of `chunk_bytes`. It takes over scans that an earlier
    /// pump left in the stream.
    pub fn new(stream: AsyncUringStream<'a>, chunk_bytes: u32) -> Self {
        UringMegakernelPump {
            stream,
            chunk_bytes,
        }
    }

    /// The stream, with the scans that are still in flight: they wait in it for the next pump.
    pub fn into_stream(self) -> AsyncUringStream<'a> {
        self.stream
    }

    /// Reads that have not ended, and reads that have landed but are not published yet.
    pub fn inflight(&self) -> u32 {
        let landed = u32::try_from(self.stream.landed_scans.len()).unwrap_or(u32::MAX);
        self.stream.inflight().saturating_add(landed)
    }

    /// Queues a read of `len` bytes (the pump's `chunk_bytes`) at `file_offset` into chunk `chunk_idx`. When it has
    /// landed, a drain publishes slot `slot_idx` with tenant, opcode and args (see the module's documentation).
    ///
    /// # Errors
    /// [`PipelineError::QueueFull`] for any other length, for a chunk outside of the buffer, for a chunk or slot of a
    /// scan in flight, or if as many reads are in flight as the ring holds.
    ///
    /// # Safety
    /// Until the scan is published and its slot has completed, nobody but the device may use the chunk's bytes. Until
    /// the read has ended, `fd` must stay open on the same file, and the pump (and its stream) must not be leaked.
    #[allow(
        clippy::too_many_arguments,
        reason = "the signature is given: it is what a slot holds"
    )]
    pub unsafe fn submit_file_scan(
        &mut self,
        fd: i32,
        file_offset: u64,
        len: u32,
        chunk_idx: u32,
        slot_idx: u32,
        tenant_id: u32,
        opcode: u32,
        args: [u32; 3],
    ) -> Result<(), PipelineError> {
        if len != self.chunk_bytes {
            return Err(PipelineError::QueueFull {
                queue: "chunk",
                fix: "read exactly the pump's chunk_bytes, or make a pump for another chunk size",
            });
        }
        let landed = self.stream.landed_scans.iter().map(|landed| &landed.scan);
        for other in self.stream.scans_in_flight().chain(landed) {
            if other.chunk == chunk_idx {
                return Err(PipelineError::QueueFull {
                    queue: "chunk",
                    fix: "drain the scan that has this chunk first, or use another chunk",
                });
            }
            if other.slot == slot_idx {
                return Err(PipelineError::QueueFull {
                    queue: "slot",
                    fix: "drain the scan that has this slot first, or use another slot",
                });
            }
        }
        let target = u64::from(chunk_idx) * u64::from(self.chunk_bytes);
        let target = usize::try_from(target).map_err(|_| PipelineError::QueueFull {
            queue: "chunk",
            fix: "use a chunk that lies inside the buffer",
        })?;
        let scan = Scan {
            chunk: chunk_idx,
            slot: slot_idx,
            tenant: tenant_id,
            opcode,
            args,
        };
        let context = ReadContext {
            fd,
            file_offset,
            owner: Owner::Scan(scan),
        };
        // SAFETY: the caller promises what `submit_open` asks for.
        unsafe { self.stream.submit_open(context, len, target, None) }.map(drop)
    }

    /// Publishes a slot in the image `ring_bytes` for each scan that has landed, and raises the tail by one after each.
    /// Returns how many it published. Does not wait.
    ///
    /// # Errors
    /// The first error: a read that failed (the message names file, offset, chunk, slot and errno), or a publication
    /// that was refused. The other reads are drained nevertheless; a refused publication is kept for the next drain.
    pub fn drain_into_ring(&mut self, ring_bytes: &mut [u8]) -> Result<u32, PipelineError> {
        self.drain(|landed, args| {
            let scan = landed.scan;
            Megakernel::publish_slot(ring_bytes, scan.slot, scan.tenant, scan.opcode, args)
        })
    }

    /// As [`UringMegakernelPump::drain_into_ring`], but into a live ring. Each scan gets any free slot of the ring;
    /// `published` tells which. If the ring has no free slot, the publication counts as refused.
    ///
    /// # Errors
    /// As there.
    pub fn drain_into_live_ring(
        &mut self,
        ring: &Submitter,
        published: &mut Vec<PublishedScan>,
    ) -> Result<u32, PipelineError> {
        self.drain(|landed, used| {
            let Some(token) = ring.try_acquire() else {
                return Err(PipelineError::QueueFull {
                    queue: "slots",
                    fix: "take completions to free slots, then drain again",
                });
            };
            let mut args = [0; ARGS_PER_SLOT];
            for (word, arg) in args.iter_mut().zip(used) {
                *word = *arg;
            }
            let submission = Submission {
                opcode: landed.scan.opcode,
                tenant: landed.scan.tenant,
                priority: Priority::Normal,
                args,
            };
            match ring.publish(token, &submission) {
                Ok(slot) => {
                    published.push(PublishedScan {
                        chunk_idx: landed.scan.chunk,
                        slot_idx: landed.scan.slot,
                        slot,
                        bytes: landed.bytes,
                    });
                    Ok(())
                }
                Err((token, error)) => {
                    ring.release(token);
                    Err(error)
                }
            }
        })
    }

    /// Waits until a read has ended, which the next drain publishes. Returns at once if no read is in flight, or if a
    /// read has landed that is not published yet.
    ///
    /// # Errors
    /// An error if the ring fails permanently.
    pub fn wait_until_ready(&mut self) -> Result<(), PipelineError> {
        if !self.stream.landed_scans.is_empty() {
            return Ok(());
        }
        self.stream.wait_until_ready()
    }

    /// EPOCH of a control image: +1 for each BATCH_FENCE that the device completed.
    pub fn observe_epoch(&self, control_bytes: &[u8]) -> u32 {
        Megakernel::read_epoch(control_bytes)
    }

    fn drain(
        &mut self,
        mut publish: impl FnMut(&LandedScan, &[u32]) -> Result<(), PipelineError>,
    ) -> Result<u32, PipelineError> {
        let mut done = 0;
        let mut first_error = self.stream.flush_submissions().err();
        // All completions are collected before any is published, so that scans that were refused earlier stay in front.
        self.stream.for_each_over(|_, outcome| match outcome {
            Ok(_) => done += 1,
            Err(error) => {
                first_error.get_or_insert(error);
            }
        });
        for _ in 0..self.stream.landed_scans.len() {
            let Some(landed) = self.stream.landed_scans.pop_front() else {
                break;
            };
            match publish(&landed, &slot_args(&landed)) {
                Ok(()) => {
                    self.stream.raise_tail();
                    done += 1;
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                    self.stream.landed_scans.push_back(landed);
                }
            }
        }
        first_error.map_or(Ok(done), Err)
    }
}

/// The args of a landed scan's slot; unused ones are zero.
fn slot_args(landed: &LandedScan) -> [u32; ARGS_PER_SLOT] {
    let mut args = [0; ARGS_PER_SLOT];
    let [a0, a1, a2] = landed.scan.args;
    (args[0], args[1], args[2]) = (a0, a1, a2);
    if opcode::is_stream(landed.scan.opcode) {
        let mut named = StreamArgs::decode(&args);
        named.len = named.len.min(landed.bytes.saturating_sub(named.start));
        named.offset = landed.file_offset.saturating_add(u64::from(named.start));
        args = named.encode();
    } else {
        args[ARG_LANDED_BYTES] = landed.bytes;
    }
    args
}
