//! LOAD_MISS: a request reaches the host as its slot describes it, and the slot ends as the host answers. The test case
//! itself plays the host, so it needs no files.

use super::case::{Case, Checked, Stop, Suite, LIMIT};
use super::setup::Setup;
use super::streams::{bytes, crc32c};
use super::wait::Wait;
use super::world::{failed, of, Answer, Done, Fault, World};
use gristmill_megakernel::StreamJob;
use gristmill_protocol::io::io_op;
use gristmill_protocol::{fault, opcode, slot, stream};
use gristmill_ring::{ClaimedIo, IoQueue, Submission};
use std::time::Duration;

pub(super) const CASES: &[Case] = &[
    ("a ring without a queue", without),
    ("what is asked for", asked),
    ("bytes that land", landed),
    ("requests that fail", failing),
    ("prefetches", prefetches),
    ("a queue of one slot", narrow),
    ("nobody serves", unserved),
    ("quotas count slots that wait", quotas),
    ("shutdown while slots wait", shutdown),
];

/// Launches the kernel of a setup. Returns it with the host's end of its queue.
fn launch(suite: &Suite<'_>, setup: Setup) -> Result<(World, IoQueue), Stop> {
    let world = World::launch(suite, setup)?;
    match world.submitter.take_io_queue() {
        Some(queue) => Ok((world, queue)),
        None => failed("a ring with IO slots has no queue"),
    }
}

fn queue_of(io_slots: u32) -> Setup {
    Setup::default().io_slots(io_slots)
}

fn load(resource: u32, prefetch: u32) -> Submission {
    Submission::new(opcode::LOAD_MISS, &[resource, prefetch])
}

/// Waits for the next request, within the limit.
fn claim(queue: &mut IoQueue) -> Result<ClaimedIo, Stop> {
    let mut wait = Wait::new(LIMIT);
    loop {
        if let Some(claimed) = queue.claim() {
            return Ok(claimed);
        }
        if wait.is_over() {
            return failed(format!("no request within {LIMIT:?}"));
        }
        queue.wait(Duration::from_millis(10));
    }
}

fn io_failed(errno: u16) -> Answer {
    Err(Fault(fault::word(fault::IO_FAILED, errno)))
}

fn without(suite: &Suite<'_>) -> Checked {
    let mut world = World::launch(suite, Setup::default())?;
    for prefetch in [0, 1] {
        same!(
            world.answer(&load(0, prefetch))?,
            Err(Fault(fault::NO_IO_QUEUE)),
            "LOAD_MISS with prefetch {prefetch}"
        );
    }
    same!(world.op(opcode::NOP, &[])?, Ok(0), "a NOP afterwards");
    world.close()?;
    Ok("faults".into())
}

fn asked(suite: &Suite<'_>) -> Checked {
    let setup = queue_of(4).tenants(3);
    let (mut world, mut queue) = launch(suite, setup)?;
    for (tenant, prefetch) in [(0, 0), (2, 0), (1, 7)] {
        let args = [u32::MAX - 1, prefetch, 0x8000_0002, 3, 4, u32::MAX];
        world.publish(&of(tenant, Submission::new(opcode::LOAD_MISS, &args)))?;
        let claimed = claim(&mut queue)?;
        let request = *claimed.request();
        same!(claimed.tenant(), Some(tenant), "the tenant");
        same!(
            (request.op_type, request.src_handle, request.dst_handle),
            (io_op::READ, u32::MAX - 1, 0x8000_0002),
            "operation, source and destination"
        );
        same!(
            (request.offset, request.byte_count),
            (4 << 32 | 3, u32::MAX),
            "offset and count"
        );
        claimed.end(Ok(5));
        let done = world.reap()?;
        same!(request.tag, done.slot, "the tag");
        let expected = if prefetch == 0 { 5 } else { 0 };
        same!(done.answer(), Ok(expected), "the answer");
    }
    ensure!(queue.claim().is_none(), "a request that nobody made");
    world.close()?;
    Ok("3 requests, as their slots say".into())
}

fn landed(suite: &Suite<'_>) -> Checked {
    let setup = queue_of(2).jobs(vec![StreamJob::Crc32c]);
    let (mut world, mut queue) = launch(suite, setup)?;
    let mut numbers = suite.numbers(0x10ad);
    for round in 0..20_u32 {
        let bytes = bytes(&mut numbers, 4096);
        world.publish(&load(round, 0))?;
        let claimed = claim(&mut queue)?;
        let lent = world.lend(&bytes)?;
        claimed.end(Ok(4096));
        same!(world.reap()?.answer(), Ok(4096), "bytes that landed");
        let mut args = [0; 12];
        args[stream::ARG_CHUNK] = lent.index();
        args[stream::ARG_LEN] = 4096;
        let sum = world.run(&Submission::new(opcode::CRC32C, &args))?;
        same!(
            (sum.fault, sum.results[stream::RESULT_CRC]),
            (Fault::NONE, crc32c(&bytes)),
            "the checksum of what landed in round {round}"
        );
        world.take_back(lent)?;
    }
    world.close()?;
    Ok("20 chunks, each checksummed by the slot behind".into())
}

fn failing(suite: &Suite<'_>) -> Checked {
    let (mut world, mut queue) = launch(suite, queue_of(1))?;
    for (errno, shown) in [(1, 1), (5, 5), (0xFFFF, 0xFFFF), (i32::MAX, 0xFFFF)] {
        world.publish(&load(0, 0))?;
        claim(&mut queue)?.end(Err(errno));
        same!(world.reap()?.answer(), io_failed(shown), "error {errno}");
        // The earlier failure leaves no trace.
        world.publish(&load(0, 0))?;
        claim(&mut queue)?.end(Ok(9));
        same!(
            world.reap()?.answer(),
            Ok(9),
            "a request after error {errno}"
        );
    }
    world.publish(&load(0, 0))?;
    drop(claim(&mut queue)?);
    same!(
        world.reap()?.answer(),
        io_failed(5),
        "a request that is dropped"
    );
    world.close()?;
    Ok("the error's number is the fault's detail".into())
}

fn prefetches(suite: &Suite<'_>) -> Checked {
    let setup = queue_of(8).tenants(2);
    let (mut world, mut queue) = launch(suite, setup)?;
    let mut asked = 0;
    for round in 0..20 {
        // The slot is free again, and used by another tenant, before its request is claimed.
        for tenant in [0, 1, 1, 0] {
            let done = world.run(&of(tenant, load(tenant, 1)))?;
            same!(done.answer(), Ok(0), "a prefetch that nobody has served");
        }
        for _ in 0..4 {
            let claimed = claim(&mut queue)?;
            let resource = claimed.request().src_handle;
            same!(claimed.tenant(), Some(resource), "whose it is");
            claimed.end(if round % 2 == 0 { Ok(1) } else { Err(5) });
            asked += 1;
        }
        // The outcome of a prefetch does not affect other slots.
        same!(world.answer(&load(0, 1))?, Ok(0), "a prefetch");
        world.publish(&load(0, 0))?;
        let prefetch = claim(&mut queue)?;
        let waits = claim(&mut queue)?;
        prefetch.end(Err(5));
        waits.end(Ok(3));
        same!(
            world.reap()?.answer(),
            Ok(3),
            "a request beside a prefetch that fails"
        );
    }
    ensure!(queue.claim().is_none(), "a request that nobody made");
    world.close()?;
    Ok(format!("{asked} completed before they were served"))
}

fn narrow(suite: &Suite<'_>) -> Checked {
    const COUNT: u32 = 100;
    for (workers, prefetch_every) in [(1, u32::MAX), (3, u32::MAX), (3, 3)] {
        let setup = queue_of(1).workers(workers).slots(128);
        let (mut world, mut queue) = launch(suite, setup)?;
        for number in 0..COUNT {
            let prefetch = u32::from(number % prefetch_every == 1);
            world.publish(&load(number, prefetch))?;
        }
        let mut seen = vec![false; COUNT as usize];
        for _ in 0..COUNT {
            let claimed = claim(&mut queue)?;
            ensure!(queue.claim().is_none(), "two requests in a queue of one");
            let number = claimed.request().src_handle;
            match seen.get_mut(number as usize) {
                Some(seen) if !*seen => *seen = true,
                _ => return failed(format!("request {number} twice, or one that no slot made")),
            }
            claimed.end(Ok(number));
        }
        let answers = world.drain()?;
        same!(answers.len(), seen.len(), "slots that completed");
        for done in answers {
            let number = u32::try_from(done.number).unwrap_or(u32::MAX);
            let prefetch = number % prefetch_every == 1;
            let expected = if prefetch { 0 } else { number };
            same!(done.answer(), Ok(expected), "slot {number}");
        }
        world.close()?;
    }
    Ok("3 times 100 requests, none lost".into())
}

fn unserved(suite: &Suite<'_>) -> Checked {
    for io_slots in [64, 4] {
        let setup = queue_of(io_slots).workers(2).tenants(2);
        let (mut world, mut queue) = launch(suite, setup)?;
        let mut waiting: Vec<usize> = Vec::new();
        for number in 0..16 {
            waiting.push(world.publish(&of(1, load(number, 0)))?);
        }
        for sum in 1..=500 {
            let number = world.publish(&Submission::new(opcode::ATOMIC_ADD, &[1, 0]))?;
            let done = world.reap()?;
            same!(
                (done.number, done.answer()),
                (number, Ok(sum)),
                "an addition"
            );
        }
        same!(world.in_flight(), waiting.len(), "slots that wait");
        let asking = waiting.len().min(io_slots as usize);
        let submitter = world.submitter.clone();
        let waits = |index: &u32| submitter.status(*index) == Some(slot::WAIT_IO);
        ensure!(
            world.settles(|_| (0..submitter.slots()).filter(waits).count() == asking)?,
            "not {asking} slots in WAIT_IO"
        );
        for _ in 0..waiting.len() {
            claim(&mut queue)?.end(Ok(1));
        }
        let mut ended: Vec<usize> = world.drain()?.iter().map(|done| done.number).collect();
        ended.sort_unstable();
        same!(ended, waiting, "slots served at last");
        world.close()?;
    }
    Ok("500 other slots beside 16 that wait, twice".into())
}

fn quotas(suite: &Suite<'_>) -> Checked {
    let setup = queue_of(4).workers(2).tenants(2);
    let (mut world, mut queue) = launch(suite, setup)?;
    world.tenant(1)?.set_quota(1);
    for round in 0..10 {
        let first = world.publish(&of(1, load(round, 0)))?;
        let claimed = claim(&mut queue)?;
        let second = world.publish(&of(1, load(round + 1, 0)))?;
        same!(world.op(opcode::NOP, &[])?, Ok(0), "another tenant's");
        std::thread::sleep(Duration::from_millis(2));
        ensure!(queue.claim().is_none(), "two requests under a quota of 1");
        claimed.end(Ok(1));
        claim(&mut queue)?.end(Ok(2));
        for done in world.drain()? {
            let expected = if done.number == first { 1 } else { 2 };
            same!(
                done.answer(),
                Ok(expected),
                "slot {} after {second}",
                done.number
            );
        }
    }
    world.close()?;
    Ok("20 requests, one at a time".into())
}

fn shutdown(suite: &Suite<'_>) -> Checked {
    for workers in [1, 3] {
        let setup = queue_of(4).workers(workers);
        let (mut world, mut queue) = launch(suite, setup)?;
        for number in 0..16 {
            world.publish(&load(number, 0))?;
        }
        let claimed = [claim(&mut queue)?, claim(&mut queue)?];
        world.shut_down()?;
        let mut ended: Vec<Done> = Vec::new();
        while let Some(done) = world.poll()? {
            same!(
                done.answer(),
                Err(Fault(fault::WORKER_PANICKED)),
                "a slot that waited"
            );
            ended.push(done);
        }
        let unrun = (0..world.submitter.slots())
            .filter(|index| world.submitter.status(*index) == Some(slot::PUBLISHED))
            .count();
        same!(ended.len() + unrun, 16, "slots completed and slots unrun");
        // These answers come too late, which is harmless.
        for claimed in claimed {
            claimed.end(Ok(1));
        }
        while let Some(claimed) = queue.claim() {
            claimed.end(Ok(1));
        }
        ensure!(world.poll()?.is_none(), "a slot completed after the end");
    }
    Ok("every slot that waited is completed, once".into())
}
