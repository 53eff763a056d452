//! The number of workers and chunk buffers of a run: as many as were asked for, or as the available memory allows.
//!
//! Chunk buffers are touched only as reads fill them, but a machine of many cores would still be given gigabytes of
//! them, and a process whose address space is limited would not start at all. So their total is always bounded. If not
//! all fit, each reader gets fewer, down to [`LEAST_CHUNKS`], and then the run gets fewer workers; its report says so.

use gristmill_ring::ChunkPlan;
use std::fs::read_to_string;
use std::path::Path;

/// The default number of reads in flight per reader.
pub const DEFAULT_DEPTH: u32 = 8;

/// The number of files that a reader takes, opens and reads together.
pub const BATCH_FILES: usize = 16;

/// The most jobs of one run: as many as a ring log holds.
pub const MAX_JOBS: usize = 64;

/// Chunk buffers of each worker's reader at this depth: for its large files, and for a batch of small ones. Pages of a
/// buffer that no read ever fills are never touched.
pub fn chunks_per_worker(depth: u32) -> usize {
    depth as usize + BATCH_FILES
}

/// Chunk buffers of a run whose files are mostly objects: a network takes long to answer, and gives more to many requests.
pub(super) const REMOTE_CHUNKS: usize = 128;

/// The default bound on the bytes of chunk buffers, on a machine with enough memory.
pub const DEFAULT_MEMORY_BYTES: usize = 1 << 30;

/// The least number of chunks of a reader: one is read into while the other is processed.
pub(super) const LEAST_CHUNKS: usize = 2;

/// Bytes of buffers and record areas that a run may have without asking how much memory is available.
const UNASKED_BYTES: usize = 4 << 20;

/// Address space that a thread takes: the standard library's stack, and the heap that glibc reserves for it.
const THREAD_BYTES: usize = (2 << 20) + (64 << 20);

/// The numbers and sizes that were asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub workers: usize,
    /// For each worker's reader.
    pub chunks: usize,
    /// Bytes of a chunk's buffer.
    pub buffer: usize,
    /// Bytes of a slot's record area.
    pub records: usize,
    /// Jobs, each with a slot for every chunk.
    pub jobs: usize,
    /// A bound that was set.
    pub memory: Option<usize>,
}

/// The numbers that a run gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub workers: usize,
    /// For each worker's reader.
    pub chunks: usize,
    /// Why the plan has less than was asked for.
    pub why: Option<String>,
}

/// The bounds of a run's memory.
#[derive(Debug, Clone)]
pub(super) struct Bound {
    /// Bytes of buffers and record areas, and the reason for this bound.
    buffers: (usize, String),
    /// Bytes of address space that are left.
    address_space: Option<usize>,
}

impl Bound {
    /// The current bound of this process, for a run that wants `wanted`.
    pub fn of_process(wanted: &Wanted) -> Self {
        let buffers = match wanted.memory {
            Some(bytes) => (bytes, "that bound was set".to_owned()),
            None if wanted.bytes(wanted.workers, wanted.chunks) <= UNASKED_BYTES => {
                (UNASKED_BYTES, String::new())
            }
            None => default_bound(),
        };
        Self {
            buffers,
            address_space: address_space_left(),
        }
    }
}

impl Wanted {
    /// The plan that fits into `bound`.
    pub fn plan(self, bound: &Bound) -> Plan {
        let mut plan = Plan {
            workers: self.workers.max(1),
            chunks: self.chunks.max(1),
            why: None,
        };
        let (most, reason) = &bound.buffers;
        let fits = |workers, chunks| {
            let buffers = self.bytes(workers, chunks);
            let space = buffers.saturating_add(workers.saturating_mul(THREAD_BYTES));
            if buffers > *most {
                return Err(reason.clone());
            }
            match bound.address_space {
                Some(left) if space > left => Err(format!(
                    "the limit of address space (ulimit -v) leaves {left} bytes"
                )),
                _ => Ok(()),
            }
        };
        while let Err(reason) = fits(plan.workers, plan.chunks) {
            if plan.chunks > LEAST_CHUNKS {
                plan.chunks -= 1;
            } else if plan.workers > 1 {
                plan.workers -= 1;
            } else {
                // One worker with two chunks is the least that runs; where even that is too much, mapping it fails.
                break;
            }
            plan.why = Some(reason);
        }
        let why = plan.why.take();
        plan.why = why.map(|reason| self.told(&plan, &reason));
        plan
    }

    /// The next smaller plan after mapping the memory of `plan` has failed; `None` if no smaller one exists.
    pub fn smaller(self, plan: &Plan, error: &str) -> Option<Plan> {
        let (workers, chunks) = match (plan.workers, plan.chunks) {
            (workers, chunks) if chunks > LEAST_CHUNKS => (workers, chunks.div_ceil(2)),
            (1, 1) => return None,
            (1, _) => (1, 1),
            (workers, chunks) => (workers / 2, chunks),
        };
        let mut plan = Plan {
            workers,
            chunks,
            why: None,
        };
        plan.why = Some(self.told(&plan, error));
        Some(plan)
    }

    fn told(&self, plan: &Plan, reason: &str) -> String {
        format!(
            "{} of {} workers with {} of {} chunk buffers each, as {reason}",
            plan.workers, self.workers, plan.chunks, self.chunks
        )
    }

    /// Bytes of buffers and record areas.
    fn bytes(&self, workers: usize, chunks: usize) -> usize {
        let count = workers.saturating_mul(chunks);
        let slots = count.saturating_mul(self.jobs);
        let slots = slots.checked_next_power_of_two().unwrap_or(usize::MAX);
        let buffers = u32::try_from(count)
            .ok()
            .and_then(|count| ChunkPlan::new(count, self.buffer).ok())
            .map_or(usize::MAX, |plan| plan.bytes());
        buffers.saturating_add(slots.saturating_mul(self.records))
    }
}

/// The default bound: a quarter of the memory that this process may use, and no more than [`DEFAULT_MEMORY_BYTES`].
fn default_bound() -> (usize, String) {
    let quarters = [
        (memory_available(), "memory that is available"),
        (memory_of_group(), "its control group's memory"),
    ];
    let mut bound = (
        DEFAULT_MEMORY_BYTES,
        format!("a run takes {DEFAULT_MEMORY_BYTES} bytes if no other limit is set"),
    );
    for (bytes, what) in quarters {
        if let Some(quarter) = bytes
            .map(|bytes| bytes / 4)
            .filter(|&bytes| bytes < bound.0)
        {
            bound = (
                quarter,
                format!("a run takes a quarter of the {what}, which is {quarter} bytes, if no other limit is set"),
            );
        }
    }
    bound
}

/// `MemAvailable` of /proc/meminfo (proc_meminfo(5)), in bytes.
fn memory_available() -> Option<usize> {
    let text = read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The smallest `memory.max` of this process's control group and its ancestors (cgroups(7), version 2), in bytes.
fn memory_of_group() -> Option<usize> {
    let text = read_to_string("/proc/self/cgroup").ok()?;
    let group = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    root.join(group)
        .ancestors()
        .take_while(|group| group.starts_with(root))
        .filter_map(|group| {
            read_to_string(group.join("memory.max"))
                .ok()?
                .trim()
                .parse()
                .ok()
        })
        .min()
}

/// The address space that RLIMIT_AS leaves, in bytes; `None` without a limit.
fn address_space_left() -> Option<usize> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::As).current?;
    let text = read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split(' ').next()?.parse().ok()?;
    let used = pages.saturating_mul(rustix::param::page_size());
    Some(
        usize::try_from(limit)
            .unwrap_or(usize::MAX)
            .saturating_sub(used),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(workers: usize) -> Wanted {
        Wanted {
            workers,
            chunks: 24,
            buffer: 1 << 20,
            records: 64 << 10,
            jobs: 1,
            memory: None,
        }
    }

    fn bound(buffers: usize, address_space: Option<usize>) -> Bound {
        Bound {
            buffers: (buffers, "of the test".into()),
            address_space,
        }
    }

    #[test]
    fn what_fits_is_given_as_it_was_asked_for() {
        let plan = wanted(2).plan(&bound(DEFAULT_MEMORY_BYTES, None));
        assert_eq!((plan.workers, plan.chunks, plan.why), (2, 24, None));
    }

    #[test]
    fn readers_get_fewer_chunks_before_there_are_fewer_workers_and_a_reason_is_given() {
        let many = wanted(256).plan(&bound(DEFAULT_MEMORY_BYTES, None));
        assert_eq!(many.workers, 256);
        assert!((2..24).contains(&many.chunks));
        assert!(wanted(256).bytes(many.workers, many.chunks) <= DEFAULT_MEMORY_BYTES);
        let why = many.why.unwrap();
        assert!(
            why.contains("256 of 256 workers") && why.contains("of the test"),
            "{why}"
        );

        let few = wanted(64).plan(&bound(100 << 20, None));
        assert_eq!(few.chunks, 2);
        assert!((1..64).contains(&few.workers));

        let space = wanted(64).plan(&bound(DEFAULT_MEMORY_BYTES, Some(400 << 20)));
        assert!((1..7).contains(&space.workers), "{space:?}");
        assert!(space.why.unwrap().contains("ulimit -v"));

        let none = wanted(64).plan(&bound(0, None));
        assert_eq!((none.workers, none.chunks), (1, 2));
    }

    #[test]
    fn plans_get_smaller_until_nothing_is_left_to_give_up() {
        let mut plan = wanted(5).plan(&bound(DEFAULT_MEMORY_BYTES, None));
        let mut steps = 0;
        while let Some(next) = wanted(5).smaller(&plan, "no memory") {
            assert!(next.workers * next.chunks < plan.workers * plan.chunks);
            assert!(next.why.as_ref().unwrap().contains("no memory"));
            plan = next;
            steps += 1;
        }
        assert_eq!((plan.workers, plan.chunks), (1, 1));
        assert!(steps < 12);
    }
}
