//! The ring alone, without reads and without a kernel: the host fills chunks and publishes a slot for each. A thread of
//! this program claims the slots and adds up the chunks' bytes.
//!
//!     cargo run --release --example ring -- FILE
//!
//! Every transfer of ownership moves a value: a `ChunkBuf` becomes a `LentChunk` and comes back; publishing consumes a
//! `SlotToken`, which comes back with its completion; completing consumes a `ClaimedSlot`. So neither side can touch
//! what belongs to the other.

use gristmill::megakernel::protocol::fault;
use gristmill::ring::{
    live_ring, ChunkBuf, ChunkMemory, Claimer, Completions, DeviceRing, LentChunk, Outcome,
    RingConfig, Submission, Submitter,
};
use std::collections::HashMap;
use std::error::Error;
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The opcode. Its arguments are the chunk's index and how many of its bytes count.
const SUM: u32 = 0x1_0000;
/// How long a side sleeps before it checks again by itself. It is woken earlier if there is something to do.
const NAP: Duration = Duration::from_millis(100);

/// The worker: claims slots until it is told to stop.
fn work(ring: &DeviceRing, chunks: &ChunkMemory, stop: &AtomicBool) {
    let mut claimer = Claimer::default();
    while !stop.load(Ordering::Acquire) {
        let Some(slot) = ring.claim(&mut claimer) else {
            ring.sleep(NAP, || stop.load(Ordering::Acquire));
            continue;
        };
        let [chunk, len, ..] = *slot.args();
        // The chunk belongs to the worker until `bytes` is dropped. The values in a slot are checked, not trusted.
        let sum = chunks.borrow_chunk(chunk).and_then(|bytes| {
            let bytes = bytes.get(..len as usize)?;
            Some(bytes.iter().map(|byte| u32::from(*byte)).sum())
        });
        slot.complete(&match sum {
            Some(sum) => Outcome::value(sum),
            None => Outcome::fault(fault::INDEX_OUT_OF_RANGE),
        });
    }
}

/// The host: it fills chunks, publishes them, and adds up the results.
fn feed(
    input: &mut dyn Read,
    submitter: &Submitter,
    completions: &mut Completions,
    mut free: Vec<ChunkBuf>,
) -> Result<u64, Box<dyn Error>> {
    let mut lent: HashMap<u32, LentChunk> = HashMap::new();
    let (mut sum, mut ended) = (0, false);
    while !ended || !lent.is_empty() {
        if let Some(done) = completions.next() {
            let chunk = lent
                .remove(&done.token.index().get())
                .ok_or("a slot of nobody")?;
            submitter.release(done.token);
            if done.fault != fault::NONE {
                return Err(fault::name(done.fault).into());
            }
            sum += u64::from(done.results[0]);
            free.push(chunk.reclaim_completed());
        } else if let (false, Some(mut chunk)) = (ended, free.pop()) {
            let len = input.read(chunk.as_mut_slice())?;
            if len == 0 {
                ended = true;
                continue;
            }
            // There are as many slots as chunks.
            let token = submitter.try_acquire().ok_or("no free slot")?;
            let chunk = chunk.lend();
            let submission = Submission::new(SUM, &[chunk.index(), u32::try_from(len)?]);
            lent.insert(token.index().get(), chunk);
            submitter
                .publish(token, &submission)
                .map_err(|(_, error)| error)?;
        } else {
            completions.wait(NAP);
        }
    }
    Ok(sum)
}

/// The sum of all bytes, computed by a worker.
pub fn sum_of(input: &mut dyn Read) -> Result<u64, Box<dyn Error>> {
    let (memory, chunks) = ChunkMemory::map(4, 64 << 10)?;
    let (submitter, mut completions, ring) = live_ring(RingConfig {
        slots: 4,
        ..RingConfig::default()
    })?;
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| work(&ring, &memory, &stop));
        let sum = feed(input, &submitter, &mut completions, chunks);
        stop.store(true, Ordering::Release);
        submitter.wake_workers();
        sum
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give a file")?;
    println!("{}", sum_of(&mut std::fs::File::open(path)?)?);
    Ok(())
}
