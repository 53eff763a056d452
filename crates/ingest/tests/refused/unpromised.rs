// Functions that are sound only if the caller keeps a promise are unsafe.

use gristmill_ingest::*;

pub fn buffers(memory: &mut [u8], base: *mut u8) {
    GpuMappedBuffer::from_host_visible_slice(memory); //~ E0133
    GpuMappedBuffer::from_host_visible_owner(memory, base, 1); //~ E0133
    GpuMappedBuffer::from_bar1_peer_with_owner(memory, base, 1); //~ E0133
}

pub fn streams(stream: &mut AsyncUringStream<'_>, iovs: &mut [Iovec]) {
    let _ = stream.submit_read_to_gpu(0, 0, 1, 0, iovs); //~ E0133
    let _ = stream.submit_read_to_gpu_at(0, 0, 1, 0, iovs); //~ E0133
    let _ = stream.submit_read_to_gpu_at_with_user_data(0, 0, 1, 0, 0, iovs); //~ E0133
    let _ = stream.submit_read_fixed(0, 0, 1, 0, 0); //~ E0133
    let _ = stream.submit_read_fixed_at(0, 0, 1, 0, 0, 0); //~ E0133
}

pub fn pumps(pump: &mut UringMegakernelPump<'_>) {
    let _ = pump.submit_file_scan(0, 0, 1, 0, 0, 0, 0, [0; 3]); //~ E0133
}

pub fn drivers(driver: &mut NvmeGpuIngestDriver<'_>) {
    let _ = driver.submit_native_nvme_read(0, 1, 0, 1, 512, 0); //~ E0133
}
