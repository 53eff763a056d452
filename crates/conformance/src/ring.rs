//! The ring: a full one refuses slots, every slot completes once, priorities age by the rule, and the counters add up.

use super::case::{Case, Checked, Stop, Suite};
use super::setup::Setup;
use super::world::{at, failed, pick, word, Fault, World};
use gristmill_protocol::priority::{Priority, AGEING_CLAIMS};
use gristmill_protocol::{control, opcode};
use gristmill_ring::Submission;

pub(super) const CASES: &[Case] = &[
    ("a full ring is backpressure", backpressure),
    ("every slot completes once", every_slot_once),
    ("priorities and ageing", ageing),
    ("no priority starves", starvation),
    ("counters add up", counters),
];

fn backpressure(suite: &Suite<'_>) -> Checked {
    for slots in [1, 2, 64] {
        let mut world = World::launch(suite, Setup::default().slots(slots))?;
        let nop = Submission::new(opcode::NOP, &[]);
        for _ in 0..slots {
            world.publish(&nop)?;
        }
        for _ in 0..10 {
            same!(
                world.try_publish(&nop)?,
                None,
                "one more than {slots} slots"
            );
            world.reap()?;
            world.publish(&nop)?;
        }
        world.drain()?;
        world.close()?;
    }
    Ok("rings of 1, 2 and 64 slots".into())
}

/// The result of an addition is the new sum, so the results show whether one ran twice or not at all.
fn every_slot_once(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(11);
    for (slots, count) in [(1, 500), (8, 10_000), (1024, 5_000)] {
        let mut world = World::launch(suite, Setup::default().workers(3).slots(slots))?;
        let mut seen = vec![false; count];
        let add = Submission::new(opcode::ATOMIC_ADD, &[1, 3]);
        world.stream(
            count,
            |_| at(pick(&mut numbers, &Priority::ALL), add),
            |done| {
                let sum = done.answer();
                let place = sum.ok().and_then(|sum| (sum as usize).checked_sub(1));
                match place.and_then(|place| seen.get_mut(place)) {
                    Some(seen) if !*seen => *seen = true,
                    _ => {
                        return failed(format!(
                            "a sum of {sum:?}, which came before or is of none of {count}"
                        ))
                    }
                }
                Ok(())
            },
        )?;
        same!(world.observable(3)?, word(count), "the sum");
        world.close()?;
    }
    Ok("500 through a ring of 1 slot, 10,000 through 8, 5,000 through 1,024".into())
}

/// The order in which the protocol has waiting slots claimed, given their priorities in the order of publication.
fn order(priorities: &[Priority]) -> Vec<usize> {
    let mut queues: [Vec<usize>; 5] = Default::default();
    for (place, priority) in priorities.iter().enumerate().rev() {
        queues[priority.index()].push(place);
    }
    let mut above = [0; 5];
    let mut order = Vec::new();
    loop {
        let waits = |priority: &usize| !queues[*priority].is_empty();
        let aged = (1..5).find(|priority| above[*priority] >= AGEING_CLAIMS && waits(priority));
        let Some(next) = aged.or_else(|| (0..5).find(waits)) else {
            return order;
        };
        order.extend(queues[next].pop());
        above[next] = 0;
        for lower in next + 1..5 {
            above[lower] += u32::from(!queues[lower].is_empty());
        }
    }
}

/// All slots wait while the only worker is busy. After that it must claim them in exactly one order.
fn ageing(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(12);
    let all = Priority::ALL;
    let few: Vec<Priority> = all.iter().rev().copied().cycle().take(25).collect();
    let many: Vec<Priority> = (0..200).map(|_| pick(&mut numbers, &all)).collect();
    // All slots of lower priorities wait behind critical ones that, without ageing, would always go first.
    let mut urgent = vec![Priority::Critical; 120];
    urgent.extend([
        Priority::Idle,
        Priority::Low,
        Priority::Normal,
        Priority::High,
    ]);
    urgent.extend([Priority::Idle; 3]);
    let mut worlds = 0;
    for priorities in [few, many, urgent] {
        let mut world = World::launch(suite, Setup::default().slots(256))?;
        let submissions: Vec<_> = priorities
            .iter()
            .map(|priority| at(*priority, Submission::new(opcode::NOP, &[])))
            .collect();
        let got: Vec<usize> = world
            .held(&submissions)?
            .iter()
            .map(|(place, _)| *place)
            .collect();
        same!(
            got,
            order(&priorities),
            "the order in which {priorities:?} complete"
        );
        world.close()?;
        worlds += 1;
    }
    Ok(format!(
        "{worlds} lists of up to 200 slots, in the order of the rule"
    ))
}

fn starvation(suite: &Suite<'_>) -> Checked {
    const BUSY: usize = 32;
    let mut world = World::launch(suite, Setup::default())?;
    let urgent = Submission::new(opcode::NOP, &[]);
    let urgent = at(Priority::Critical, urgent);
    for _ in 0..BUSY {
        world.publish(&urgent)?;
    }
    for priority in Priority::ALL.iter().skip(1).cycle().take(40) {
        let number = world.publish(&at(*priority, Submission::new(opcode::NOP, &[])))?;
        // Urgent slots in flight may have been claimed before this one; of the later ones, at most 16 may be claimed
        // first.
        let mut before = 0;
        loop {
            let done = world.reap()?;
            if done.number == number {
                break;
            }
            before += 1;
            let most = BUSY + AGEING_CLAIMS as usize + 1;
            ensure!(
                before <= most,
                "{before} urgent slots went before one of {priority:?}"
            );
            world.publish(&urgent)?;
        }
    }
    world.drain()?;
    world.close()?;
    Ok("40 slots of four priorities below a stream of CRITICAL".into())
}

fn counters(suite: &Suite<'_>) -> Checked {
    let mut numbers = suite.numbers(13);
    let mut world = World::launch(suite, Setup::default().workers(2).tenants(3))?;
    let opcodes = [0, 1, 2, 3, 4, 5, 7, 9, 31, 0xFFF1];
    let mut expected = vec![0_u32; 160];
    let (mut fences, mut faults) = (0, 0);
    let next = |_| {
        let number = pick(&mut numbers, &opcodes);
        let tenant = numbers.u32(..3);
        let priority = pick(&mut numbers, &Priority::ALL);
        expected[control::DONE_COUNT] += 1;
        if (number as usize) < control::METRIC_WORDS {
            expected[control::METRICS + number as usize] += 1;
        }
        expected[control::TENANT_FAIRNESS + tenant as usize] += 1;
        expected[control::PRIORITY_FAIRNESS + priority.index()] += 1;
        fences += u32::from(number == opcode::BATCH_FENCE);
        Submission {
            tenant,
            priority,
            ..Submission::new(number, &[0, numbers.u32(..40), 1])
        }
    };
    world.stream(1_000, next, |done| {
        faults += u64::from(done.fault != Fault::NONE);
        Ok(())
    })?;
    expected[control::EPOCH] = fences;
    let counters = [
        control::DONE_COUNT..control::DONE_COUNT + 1,
        control::TENANT_FAIRNESS..control::TENANT_FAIRNESS + control::TENANT_FAIRNESS_WORDS,
        control::METRICS..control::METRICS + control::METRIC_WORDS,
        control::EPOCH..control::EPOCH + 1,
        control::PRIORITY_FAIRNESS..control::PRIORITY_FAIRNESS + control::PRIORITY_FAIRNESS_WORDS,
    ];
    for range in counters {
        for index in range {
            let settled =
                world.settles(|kernel| kernel.control_word(index) == Some(expected[index]));
            if !settled? {
                let got = world.kernel()?.control_word(index);
                same!(got, Some(expected[index]), "control word {index}");
            }
        }
    }
    let told = |world: &World| -> Result<_, Stop> {
        let stats = world.kernel()?.stats();
        let by_worker: u64 = stats.slots_by_worker.iter().sum();
        Ok((stats.slots, stats.faults, by_worker))
    };
    same!(
        told(&world)?,
        (1_000, faults, 1_000),
        "slots, faults, slots by worker"
    );
    same!(world.kernel()?.epoch(), fences, "the epoch");
    world.close()?;
    Ok(format!(
        "1,000 slots of 3 tenants, {faults} of them faults, {fences} fences"
    ))
}
