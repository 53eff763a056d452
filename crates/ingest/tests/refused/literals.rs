// No value that unsafe code relies on can be built or taken apart by a struct literal.

use gristmill_ingest::*;

pub fn a_longer_buffer(buffer: GpuMappedBuffer<'_>) -> GpuMappedBuffer<'_> {
    GpuMappedBuffer { peer: false, ..buffer } //~ E0451
}

pub fn another_devices_memory(memory: PeerMemory) -> PeerMemory {
    PeerMemory { device: String::new(), ..memory } //~ E0451
}

pub fn no_tables(tables: IoTables) -> IoTables {
    IoTables { ..tables } //~ E0451
}
