// A ring is used by one thread.

use gristmill_ingest::reader::ChunkReader;
use gristmill_ingest::*;

fn sent<T: Send>() {}
fn shared<T: Sync>() {}

pub fn rings() {
    sent::<ChunkReader>(); //~ E0277
    shared::<ChunkReader>(); //~ E0277
    sent::<AsyncUringStream<'static>>(); //~ E0277
    sent::<UringMegakernelPump<'static>>(); //~ E0277
    sent::<NvmeGpuIngestDriver<'static>>(); //~ E0277
}

pub fn a_second_owner(buffer: &GpuMappedBuffer<'static>) -> GpuMappedBuffer<'static> {
    GpuMappedBuffer::clone(buffer) //~ E0277
}

pub fn a_second_owner_of_peer_memory(memory: &PeerMemory) -> PeerMemory {
    PeerMemory::clone(memory) //~ E0277
}
