//! Where a run's chunks lie: in memory of the host that the back end sees, or in the peer memory of a PCI device.

use super::error::MillError;
use super::plan::{Bound, Plan, Wanted};
use gristmill_ingest::{PeerDevice, PeerMemory};
use gristmill_megakernel::backend::Backend;
use gristmill_ring::{ChunkBuf, ChunkMemory, ChunkPlan};
use std::sync::Arc;

/// Plans as many workers and chunks as fit, and allocates the chunks. If host memory cannot be allocated, smaller and
/// smaller plans are tried; for peer memory, which the user chose, they are not.
///
/// # Errors
/// [`MillError`] if there is not enough memory for the smallest run.
pub(super) fn planned(
    backend: &dyn Backend,
    peer: Option<&str>,
    wanted: Wanted,
) -> Result<(Plan, Arc<ChunkMemory>, Vec<ChunkBuf>), MillError> {
    let mut plan = match peer {
        Some(_) => Plan {
            workers: wanted.workers,
            chunks: wanted.chunks,
            why: None,
        },
        None => wanted.plan(&Bound::of_process(&wanted)),
    };
    loop {
        let count = u32::try_from(plan.workers * plan.chunks).unwrap_or(u32::MAX);
        let error = match chunks(backend, peer, count, wanted.buffer) {
            Ok((memory, tokens)) => return Ok((plan, memory, tokens)),
            Err(error) => error,
        };
        plan = match wanted.smaller(&plan, &error.to_string()) {
            Some(smaller) if peer.is_none() => smaller,
            _ => return Err(error),
        };
    }
}

/// Allocates the chunks of a run.
///
/// # Errors
/// [`MillError`] where there is not enough memory.
fn chunks(
    backend: &dyn Backend,
    peer: Option<&str>,
    count: u32,
    chunk_bytes: usize,
) -> Result<(Arc<ChunkMemory>, Vec<ChunkBuf>), MillError> {
    let Some(address) = peer else {
        return Ok(backend.chunk_memory(count, chunk_bytes)?);
    };
    let plan = ChunkPlan::new(count, chunk_bytes)?;
    // If the device does not exist, the allocation says so.
    let devices = PeerDevice::list();
    if let Some(device) = devices.iter().find(|device| device.address == address) {
        enough(device, plan)?;
    }
    Ok(PeerMemory::chunks(address, count, chunk_bytes)?)
}

/// Checks that a device has room for the chunks of a plan.
fn enough(device: &PeerDevice, plan: ChunkPlan) -> Result<(), MillError> {
    let (needed, available) = (plan.bytes() as u64, device.available_bytes);
    if needed <= available {
        return Ok(());
    }
    Err(MillError::PeerMemoryFull {
        address: device.address.clone(),
        chunks: plan.count(),
        chunk_bytes: plan.chunk_bytes(),
        needed,
        available,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_without_room_is_told_with_what_is_needed_and_what_needs_less() {
        let plan = ChunkPlan::new(24, 512 << 10).unwrap();
        let mut device = PeerDevice {
            address: "0000:03:00.0".into(),
            bytes: 64 << 20,
            available_bytes: plan.bytes() as u64,
        };
        assert!(enough(&device, plan).is_ok());
        device.available_bytes -= 1;
        let error = enough(&device, plan).unwrap_err().to_string();
        let needed = (24 * (516 << 10)).to_string();
        let available = device.available_bytes.to_string();
        for words in [
            &needed,
            &available,
            &device.address,
            "fewer workers",
            "smaller depth",
            "smaller chunks",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}
