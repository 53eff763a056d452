//! Temporary errors of `io_uring_enter`: those of a kernel that has no room or no memory at the moment, or that was
//! interrupted by a signal. A supervisor returns these errors in place of the kernel, by seccomp's notifications, and
//! lets the other calls through.

mod common;

use common::supervised::with_answers;
use common::{noise, Scratch};
use gristmill_ingest::{AsyncUringStream, GpuMappedBuffer, IoUringState, Iovec};
use gristmill_protocol::PipelineError;
use gristmill_testing::Patience;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};

const LEN: usize = 512;
/// Reads `count` ranges of a file by a stream, in random order. Returns the result, and how many reads landed.
fn read(count: usize, random: &mut dyn FnMut(usize) -> usize) -> (Result<(), PipelineError>, u32) {
    let state = match IoUringState::new(8) {
        Ok(state) => state,
        Err(error) => {
            gristmill_testing::skipped(format_args!("{error}"));
            return (Ok(()), u32::try_from(count).unwrap());
        }
    };
    let scratch = Scratch::new();
    let bytes = noise(64 * LEN);
    let file = scratch.file("file", &bytes);
    let mut memory = vec![0; 8 * LEN];
    let base = memory.as_ptr();
    let tail = AtomicU32::new(0);
    // SAFETY: until the stream is dropped, at the end of this function, the memory is only read, and only while nothing
    // is in flight.
    let buffer = unsafe { GpuMappedBuffer::from_host_visible_slice(&mut memory) };
    let mut stream = AsyncUringStream::new(state, buffer, &tail);
    let mut left = count;
    while left > 0 {
        let round = left.min(1 + random(8));
        let places: Vec<usize> = (0..round).map(|_| random(64)).collect();
        for (chunk, place) in places.iter().enumerate() {
            let offset = (place * LEN) as u64;
            let mut iovec = [Iovec {
                iov_base: std::ptr::null_mut(),
                iov_len: 0,
            }];
            // SAFETY: the file stays open, and the stream is dropped.
            let submitted = unsafe {
                stream.submit_read_to_gpu(file.as_raw_fd(), offset, LEN as u32, chunk, &mut iovec)
            };
            if let Err(error) = submitted {
                return (Err(error), tail.load(Ordering::Acquire));
            }
        }
        while stream.inflight() > 0 {
            let step = stream.wait_for_completion().and_then(|()| stream.poll());
            if let Err(error) = step {
                return (Err(error), tail.load(Ordering::Acquire));
            }
        }
        for (chunk, place) in places.iter().enumerate() {
            for at in 0..LEN {
                // SAFETY: the byte lies in `memory`, and no read is in flight.
                let found = unsafe { base.wrapping_add(chunk * LEN + at).read_volatile() };
                assert_eq!(found, bytes[place * LEN + at]);
            }
        }
        left -= round;
    }
    (Ok(()), tail.load(Ordering::Acquire))
}

fn random(seed: u64) -> impl FnMut(usize) -> usize {
    let mut numbers = fastrand::Rng::with_seed(seed);
    move |below| numbers.usize(..below)
}

#[test]
fn calls_that_end_with_a_passing_errno_lose_no_read() {
    let seed = gristmill_testing::seed("SEED");
    for errno in [libc::EINTR, libc::EAGAIN, libc::EBUSY, 0] {
        let (mut chance, mut order) = (random(seed), random(seed + 2));
        let any = [libc::EINTR, libc::EAGAIN, libc::EBUSY];
        let mut given = 0;
        let answer = || {
            let errno = if errno == 0 { any[chance(3)] } else { errno };
            let refused = chance(3) == 0;
            given += u32::from(refused);
            refused.then_some(errno)
        };
        let mut there = false;
        with_answers(answer, || {
            let (ended, landed) = read(200, &mut order);
            ended.unwrap();
            assert_eq!(landed, 200);
            there = true;
        });
        assert!(!there || given > 5, "{given}");
    }
}

#[test]
fn a_kernel_that_is_always_busy_ends_the_reads_with_its_errno() {
    let mut patience = Patience::new();
    with_answers(
        || {
            patience.check("the reads go on");
            Some(libc::EBUSY)
        },
        || {
            let (ended, landed) = read(3, &mut random(1));
            if let Err(error) = ended {
                let PipelineError::IoUringSyscall { errno, .. } = error else {
                    panic!("{error}");
                };
                assert_eq!((errno, landed), (libc::EBUSY, 0));
            }
        },
    );
}
