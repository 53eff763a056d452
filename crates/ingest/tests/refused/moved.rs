// A read owns everything that it uses until it has ended.

use gristmill_ingest::reader::ChunkReader;
use gristmill_ingest::*;
use gristmill_protocol::MegakernelIoQueue;
use gristmill_ring::{ChunkBuf, IoQueue};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::atomic::AtomicU32;
use std::sync::Arc;

pub fn a_chunk_that_is_read_into_is_written(reader: &mut ChunkReader, file: &Arc<OwnedFd>, mut chunk: ChunkBuf) {
    let _ = reader.submit(file, 0, chunk, 1, 0, false);
    chunk.as_mut_slice(); //~ E0382
}

pub fn a_chunk_that_requests_may_name_is_written(tables: &mut IoTables, mut chunk: ChunkBuf) {
    tables.add_destination(chunk, vec![0]);
    chunk.as_mut_slice(); //~ E0382
}

pub fn a_source_is_used_beside_its_table(tables: &mut IoTables, source: IoSource) -> File {
    tables.add_source(source);
    source.file //~ E0382
}

pub fn tables_are_served_twice(queue: IoQueue, tables: IoTables) {
    let _served = MegakernelIoLoop::start(queue, tables, reader::ReadPathChoice::Auto);
    tables.into_chunks(); //~ E0382
}

pub fn a_loop_is_stopped_twice(served: MegakernelIoLoop) {
    let _ = served.stop();
    let _ = served.stop(); //~ E0382
}

pub fn a_buffer_has_two_streams<'a>(one: IoUringState, two: IoUringState, buffer: GpuMappedBuffer<'a>, tail: &'a AtomicU32) {
    let _first = AsyncUringStream::new(one, buffer, tail);
    let _second = AsyncUringStream::new(two, buffer, tail); //~ E0382
}

pub fn a_stream_is_used_beside_its_pump(mut stream: AsyncUringStream<'_>) {
    let _pump = UringMegakernelPump::new(stream, 4096);
    let _ = stream.poll(); //~ E0382
}

pub fn a_stream_is_used_beside_its_driver(mut stream: AsyncUringStream<'_>, queue: MegakernelIoQueue) {
    let _driver = NvmeGpuIngestDriver::new(stream, 1, queue);
    let _ = stream.poll(); //~ E0382
}
