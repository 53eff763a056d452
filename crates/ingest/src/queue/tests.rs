//! Tests of the table of reads that need access to its private parts.

use super::close::CANCEL;
use super::*;
use io_uring::opcode;
use std::fs::File;
use std::os::fd::AsRawFd;

/// A queue on a ring of `entries`, or `None` where io_uring is refused.
fn queue(entries: u32) -> Option<ReadQueue<u32>> {
    match setup::build(entries, false) {
        Ok(built) => {
            let ring = Ring::new(built).unwrap();
            Some(ReadQueue::new(ring, entries, DropPolicy::WaitForAll))
        }
        Err(error) => {
            gristmill_testing::skipped(format_args!("io_uring: {error}"));
            None
        }
    }
}

fn op(file: &impl AsRawFd, target: &mut [u8], fixed_buffer: Option<u16>) -> ReadOp {
    ReadOp {
        fd: file.as_raw_fd(),
        fixed_file: false,
        address: target.as_mut_ptr(),
        len: u32::try_from(target.len()).unwrap(),
        offset: 0,
        fixed_buffer,
        take_short: false,
        known_end: None,
        probing: false,
    }
}

fn next(queue: &mut ReadQueue<u32>) -> Finished<u32> {
    for _ in 0..100 {
        if let Some(finished) = queue.poll() {
            return finished;
        }
        queue.wait(Duration::from_millis(100)).unwrap();
    }
    panic!("nothing finished");
}

#[test]
fn a_fixed_read_of_a_buffer_that_is_not_registered_is_refused_by_the_kernel() {
    let Some(mut queue) = queue(2) else { return };
    let zero = File::open("/dev/zero").unwrap();
    let mut target = vec![1; 4096];
    let mut other = vec![1; 4096];
    let iovec = libc::iovec {
        iov_base: target.as_mut_ptr().cast(),
        iov_len: target.len(),
    };
    // SAFETY: `target` outlives the queue's use of it: every read is taken below.
    unsafe { queue.ring().unwrap().submitter().register_buffers(&[iovec]) }.unwrap();
    let cases = [
        (op(&zero, &mut target, Some(0)), None),
        (op(&zero, &mut target, Some(1)), Some(libc::EFAULT)),
        (op(&zero, &mut other, Some(0)), Some(libc::EFAULT)),
    ];
    for (op, error) in cases {
        // SAFETY: both buffers and the file live on, untouched, until the read is taken, right below.
        unsafe { queue.submit(op, 0) }.unwrap();
        assert_eq!(next(&mut queue).error, error);
    }
    assert_eq!(queue.counters().bytes_fixed, 4096);
    assert_eq!((target[4095], other[4095]), (0, 1));
}

#[test]
fn completions_that_overflow_the_completion_queue_are_not_lost() {
    let mut builder = IoUring::builder();
    builder.setup_cqsize(8);
    let Ok(mut ring) = builder.build(8) else {
        gristmill_testing::skipped("io_uring is refused");
        return;
    };
    // Eight completions that nobody takes leave no room for the completions of the reads.
    for _ in 0..8 {
        let nop = opcode::Nop::new().build().user_data(CANCEL);
        // SAFETY: an entry that does nothing refers to nothing.
        unsafe { ring.submission().push(&nop) }.unwrap();
    }
    ring.submit().unwrap();
    let ring = Ring::new((ring, SetupFlags::default())).unwrap();
    let mut queue = ReadQueue::new(ring, 8, DropPolicy::WaitForAll);
    let zero = File::open("/dev/zero").unwrap();
    let mut memory = vec![1; 8 * 512];
    for (tag, target) in (0..).zip(memory.chunks_mut(512)) {
        // SAFETY: `memory` and the file live on, untouched, until every read is taken below.
        unsafe { queue.submit(op(&zero, target, None), tag) }.unwrap();
    }
    queue.flush().unwrap();
    assert!(queue.ring.as_mut().unwrap().submission().cq_overflow());
    let mut tags: Vec<u32> = (0..8)
        .map(|_| {
            let finished = next(&mut queue);
            assert_eq!((finished.bytes, finished.error), (512, None));
            finished.payload
        })
        .collect();
    tags.sort_unstable();
    assert_eq!(tags, [0, 1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(memory, [0; 8 * 512]);
}

#[test]
fn a_ring_that_fails_finishes_every_read_with_its_errno() {
    let Some(mut queue) = queue(4) else { return };
    let zero = File::open("/dev/zero").unwrap();
    let mut memory = vec![1; 4 * 512];
    for (tag, target) in (0..).zip(memory.chunks_mut(512)) {
        // SAFETY: `memory` and the file live on, untouched, until the queue is dropped.
        unsafe { queue.submit(op(&zero, target, None), tag) }.unwrap();
    }
    queue.push_pending();
    queue.fail(libc::EBADF);
    for _ in 0..4 {
        let finished = queue.poll().unwrap();
        assert_eq!((finished.bytes, finished.error), (0, Some(libc::EBADF)));
    }
    assert!(queue.poll().is_none());
    assert!(queue.room().is_err());
    drop(queue);
    assert_eq!(memory, [1; 4 * 512]);
}

#[test]
fn reads_that_never_end_are_leaked_with_their_memory_where_that_is_allowed() {
    let Ok(built) = setup::build(2, false) else {
        gristmill_testing::skipped("io_uring is refused");
        return;
    };
    let owned = std::sync::Arc::new(());
    let ring = Ring::new(built).unwrap();
    let mut queue = ReadQueue::new(ring, 2, DropPolicy::LeakAfter(Duration::ZERO));
    let (reading, writer) = std::io::pipe().unwrap();
    let target = Box::leak(vec![0; 64].into_boxed_slice());
    let op = ReadOp {
        fd: reading.as_raw_fd(),
        fixed_file: false,
        address: target.as_mut_ptr(),
        len: 64,
        offset: NO_OFFSET,
        fixed_buffer: None,
        take_short: false,
        known_end: None,
        probing: false,
    };
    // SAFETY: the target is never freed, and the pipe lives longer than the queue.
    unsafe { queue.submit(op, std::sync::Arc::clone(&owned)) }
        .map_err(drop)
        .unwrap();
    queue.flush().unwrap();
    drop(queue);
    assert_eq!(std::sync::Arc::strong_count(&owned), 2);
    drop(writer);
}

#[test]
fn a_read_answered_with_eagain_or_eintr_is_asked_for_again() {
    let Some(mut queue) = queue(1) else { return };
    let (reading, mut writer) = std::io::pipe().unwrap();
    let mut target = [0; 4];
    let stream = ReadOp {
        offset: NO_OFFSET,
        ..op(&reading, &mut target, None)
    };
    // SAFETY: the target and the pipe live on, untouched, until the read is taken below.
    unsafe { queue.submit(stream, 7) }.unwrap();
    // Kernels that wait by themselves never return these errnos, so the test supplies them.
    for (errno, polls) in [(libc::EINTR, false), (libc::EAGAIN, true)] {
        assert_eq!(queue.pending.pop_front(), Some(0));
        let flight = queue.table[0].as_mut().unwrap();
        flight.in_kernel = true;
        queue.in_kernel = 1;
        queue.complete(0, -errno);
        assert_eq!(queue.table[0].as_ref().unwrap().polling, polls);
    }
    assert!(queue.poll().is_none());
    queue.wait(Duration::from_millis(10)).unwrap();
    assert!(queue.poll().is_none());
    std::io::Write::write_all(&mut writer, b"late").unwrap();
    let finished = next(&mut queue);
    assert_eq!(
        (finished.payload, finished.bytes, finished.error),
        (7, 4, None)
    );
    assert_eq!(queue.counters().retries, 2);
    assert_eq!(&target, b"late");
}

#[test]
fn a_read_of_a_ring_that_has_failed_comes_back_when_the_kernel_has_let_go_of_it_and_no_earlier() {
    let Some(mut queue) = queue(2) else { return };
    let (reading, _writer) = std::io::pipe().unwrap();
    let zero = File::open("/dev/zero").unwrap();
    let (mut silent, mut done) = ([1; 4], [1; 4]);
    let stream = ReadOp {
        offset: NO_OFFSET,
        ..op(&reading, &mut silent, None)
    };
    // SAFETY: targets, pipe and file live on, untouched, until both reads are taken below.
    unsafe {
        queue.submit(stream, 7).unwrap();
        queue.submit(op(&zero, &mut done, None), 8).unwrap();
    }
    queue.flush().unwrap();
    // A second descriptor keeps the ring alive, as a request that cannot be cancelled would.
    let fd = queue.ring().unwrap().as_raw_fd();
    // SAFETY: takes a number only; the ring is open.
    let kept = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    let kept = kept.try_clone_to_owned().unwrap();
    queue.fail(libc::EPERM);
    // A read that the kernel had completed keeps its result.
    let finished = queue.poll().unwrap();
    assert_eq!(
        (finished.payload, finished.bytes, finished.error),
        (8, 4, None)
    );
    for _ in 0..10 {
        assert!(queue.poll().is_none());
        queue.wait(Duration::from_millis(10)).unwrap();
        assert_eq!(queue.inflight(), 1);
    }
    drop(kept);
    while !queue.has_finished() {
        queue.wait(Duration::from_secs(1)).unwrap();
    }
    let finished = queue.poll().unwrap();
    assert_eq!(
        (finished.payload, finished.bytes, finished.error),
        (7, 0, Some(libc::EPERM))
    );
    assert_eq!(queue.inflight(), 0);
}

#[test]
fn a_failure_that_a_poll_has_found_is_told_once_by_the_next_wait() {
    let Some(mut queue) = queue(1) else { return };
    queue.fail_untold(libc::ENOSYS);
    let told = queue.wait(Duration::ZERO).unwrap_err();
    assert_eq!(told.errno(), Some(libc::ENOSYS));
    queue.wait(Duration::ZERO).unwrap();
    queue.flush().unwrap();
    assert!(queue.room().is_err());
}
