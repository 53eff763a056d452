//! The ring: the time from publication to DONE, compared with a pair of bounded channels between two threads.

use crate::{median, Goal, Row, Setting};
use gristmill::megakernel::backend::cpu::CpuBackend;
use gristmill::megakernel::protocol::opcode;
use gristmill::megakernel::{Backend, KernelConfig, Lease};
use gristmill::ring::{RingConfig, Submission};
use std::collections::VecDeque;
use std::time::Instant;

/// The figures of one run.
pub struct Figures {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub per_second: f64,
}

/// Computes the figures of a run from the nanoseconds that each slot took and the total seconds.
pub fn figures(mut nanos: Vec<u64>, seconds: f64) -> Figures {
    nanos.sort_unstable();
    let at = |share: f64| {
        let index = (nanos.len() as f64 * share) as usize;
        nanos[index.min(nanos.len() - 1)] as f64
    };
    Figures {
        p50: at(0.5),
        p99: at(0.99),
        p999: at(0.999),
        per_second: nanos.len() as f64 / seconds,
    }
}

/// The nanoseconds since `since`.
pub fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// The figures of launches that are waited for one by one. One tenth of `count` runs first and is not measured.
pub fn one_by_one(
    count: usize,
    mut launch: impl FnMut() -> Result<(), String>,
) -> Result<Figures, String> {
    let mut taken = Vec::with_capacity(count);
    let mut began = Instant::now();
    for slot in 0..count + count / 10 {
        if slot == count / 10 {
            taken.clear();
            began = Instant::now();
        }
        let published = Instant::now();
        launch()?;
        taken.push(nanos(published));
    }
    Ok(figures(taken, began.elapsed().as_secs_f64()))
}

/// Measures the time from publication to DONE of empty slots, with `depth` of them in flight.
pub fn ours(
    backend: &dyn Backend,
    workers: usize,
    depth: usize,
    count: usize,
) -> Result<Figures, String> {
    let slots = depth.next_power_of_two().max(64);
    let (chunks, _tokens) = backend
        .chunk_memory(1, 4096)
        .map_err(|error| error.to_string())?;
    let mut kernel = backend
        .launch(
            KernelConfig {
                workers,
                ring: RingConfig {
                    slots: u32::try_from(slots).map_err(|error| error.to_string())?,
                    ..RingConfig::default()
                },
                chunks,
                record_words: 16,
                lease: Lease::default(),
            },
            Vec::new(),
            Vec::new(),
        )
        .map_err(|error| error.to_string())?;
    let submitter = kernel.submitter().clone();
    let mut completions = kernel.take_completions().ok_or("no completions")?;
    let mut tokens: Vec<_> = (0..depth).filter_map(|_| submitter.try_acquire()).collect();
    let mut published = vec![Instant::now(); slots];
    let submission = Submission::new(opcode::NOP, &[1, 2, 3]);
    let mut taken = Vec::with_capacity(count);
    let mut began = Instant::now();
    let warm_up = count / 10;
    let mut left = count + warm_up;
    let mut flying = 0;
    while left > 0 || flying > 0 {
        while left > 0 {
            let Some(token) = tokens.pop() else { break };
            published[token.index().get() as usize] = Instant::now();
            submitter
                .publish(token, &submission)
                .map_err(|(_, error)| error.to_string())?;
            left -= 1;
            flying += 1;
        }
        match completions.next() {
            Some(done) => {
                flying -= 1;
                taken.push(nanos(published[done.token.index().get() as usize]));
                tokens.push(done.token);
                if taken.len() == warm_up && left >= count.saturating_sub(depth) {
                    taken.clear();
                    began = Instant::now();
                }
            }
            None => std::hint::spin_loop(),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    kernel.shutdown().map_err(|error| error.to_string())?;
    Ok(figures(taken, seconds))
}

fn channels(depth: usize, count: usize) -> Result<Figures, String> {
    let (to, from_host) = crossbeam_channel::bounded::<[u32; 16]>(64);
    let (back, from_worker) = crossbeam_channel::bounded::<[u32; 16]>(64);
    let worker = std::thread::spawn(move || {
        while let Ok(message) = from_host.recv() {
            if back.send(message).is_err() {
                return;
            }
        }
    });
    let mut published = VecDeque::with_capacity(depth);
    let mut taken = Vec::with_capacity(count);
    let mut began = Instant::now();
    let warm_up = count / 10;
    let mut left = count + warm_up;
    while left > 0 || !published.is_empty() {
        while left > 0 && published.len() < depth {
            published.push_back(Instant::now());
            to.send([7; 16]).map_err(|error| error.to_string())?;
            left -= 1;
        }
        match from_worker.try_recv() {
            Ok(_message) => {
                if let Some(since) = published.pop_front() {
                    taken.push(nanos(since));
                }
                if taken.len() == warm_up && left >= count.saturating_sub(depth) {
                    taken.clear();
                    began = Instant::now();
                }
            }
            Err(_) => std::hint::spin_loop(),
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    drop(to);
    worker.join().map_err(|_| "the peer's worker panicked")?;
    Ok(figures(taken, seconds))
}

/// The medians of several runs, as text.
pub fn describe<'a>(runs: impl Iterator<Item = &'a Figures> + Clone) -> String {
    let mid = |pick: fn(&Figures) -> f64| median(runs.clone().map(pick).collect());
    format!(
        "p50 {:.0} ns, p99 {:.0} ns, p99.9 {:.0} ns, {:.2} M/s",
        mid(|figures| figures.p50),
        mid(|figures| figures.p99),
        mid(|figures| figures.p999),
        mid(|figures| figures.per_second) / 1e6
    )
}

pub fn run(setting: &Setting) -> Result<Vec<Row>, String> {
    let count = if setting.smoke { 2_000 } else { 500_000 };
    let mut rows = Vec::new();
    for depth in [1, 64] {
        let pairs = (0..setting.runs)
            .map(|_| Ok((ours(&CpuBackend, 1, depth, count)?, channels(depth, count)?)))
            .collect::<Result<Vec<_>, String>>()?;
        rows.push(Row {
            name: format!("ring, depth {depth} (slots/s over messages/s)"),
            ours: describe(pairs.iter().map(|pair| &pair.0)),
            peer: format!("channels {}", describe(pairs.iter().map(|pair| &pair.1))),
            figure: median(
                pairs
                    .iter()
                    .map(|pair| pair.0.per_second / pair.1.per_second)
                    .collect(),
            ),
            goal: Goal::AtLeast(1.0),
        });
        if depth == 1 {
            rows.push(Row {
                name: "ring, depth 1, p50 (channels' over ours)".into(),
                ours: String::new(),
                peer: String::new(),
                figure: median(pairs.iter().map(|pair| pair.1.p50 / pair.0.p50).collect()),
                goal: Goal::AtLeast(1.0),
            });
        }
    }
    Ok(rows)
}
