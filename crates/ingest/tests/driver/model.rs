//! Random submissions, polls and actions of the device, compared with a model of their results.

use super::common::{noise, Scratch};
use super::{path, with_driver, SLOT, SLOTS};
use gristmill_protocol::io;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// The current state of a slot, as a user of the driver knows it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Model {
    Free,
    Reading(usize),
    Published(usize),
    Claimed(usize),
}

#[test]
fn queue_driver_and_device_agree_at_every_moment() {
    let mut numbers = fastrand::Rng::with_seed(gristmill_testing::seed("SEED"));
    let mut random = move |below: usize| numbers.usize(..below);
    let scratch = Scratch::new();
    let contents: Vec<Vec<u8>> = (0..6).map(|at| noise(SLOT)[at * 100..].to_vec()).collect();
    let paths: Vec<PathBuf> = contents
        .iter()
        .enumerate()
        .map(|(at, bytes)| path(&scratch, &at.to_string(), bytes))
        .collect();
    with_driver(|mut driver, memory, tail| {
        let mut model = [Model::Free; SLOTS as usize];
        let (mut claimed, mut published) = (VecDeque::new(), 0);
        // At least 4,000 steps, and as many more as the reads of a busy machine need.
        let mut steps = 0;
        while steps < 4000 || published < 300 {
            steps += 1;
            match random(4) {
                0 => {
                    let (slot, file) = (random(SLOTS as usize), random(paths.len()));
                    let taken = driver.submit_file(&paths[file], slot as u32).is_ok();
                    assert_eq!(taken, model[slot] == Model::Free);
                    if taken {
                        model[slot] = Model::Reading(file);
                    }
                }
                1 => {
                    for done in driver.poll_completions().unwrap() {
                        let state = &mut model[done.slot as usize];
                        let Model::Reading(file) = *state else {
                            panic!("{done:?} in {state:?}");
                        };
                        assert_eq!(done.byte_count as usize, contents[file].len());
                        *state = Model::Published(file);
                        published += 1;
                    }
                }
                2 => {
                    let queue = driver.megakernel_io_queue_mut();
                    let landing = io::take_landing(queue.as_mut_bytes()).unwrap();
                    let waiting = model
                        .iter()
                        .any(|state| matches!(state, Model::Published(_)));
                    assert_eq!(landing.is_some(), waiting);
                    if let Some(landing) = landing {
                        let state = &mut model[landing.mapped_slot as usize];
                        let Model::Published(file) = *state else {
                            panic!("{landing:?} in {state:?}");
                        };
                        *state = Model::Claimed(file);
                        claimed.push_back(landing.slot_idx);
                    }
                }
                _ => {
                    if let Some(slot) = claimed.pop_front() {
                        let queue = driver.megakernel_io_queue_mut();
                        io::recycle(queue.as_mut_bytes(), slot).unwrap();
                        model[slot as usize] = Model::Free;
                    }
                }
            }
            for (slot, state) in (0..).zip(&model) {
                let queue = driver.megakernel_io_queue();
                let owned = matches!(state, Model::Published(_) | Model::Claimed(_));
                assert_eq!(queue.is_recycled(slot), !owned);
                if let Model::Published(file) | Model::Claimed(file) = *state {
                    let bytes = &contents[file];
                    assert!(memory.slot(slot, bytes.len()) == *bytes, "slot {slot}");
                }
            }
            let reading = model
                .iter()
                .filter(|state| matches!(state, Model::Reading(_)))
                .count();
            assert_eq!(
                driver.telemetry_snapshot().inflight_reads() as usize,
                reading
            );
            assert_eq!(tail.load(Ordering::Acquire), published);
        }
    });
}
