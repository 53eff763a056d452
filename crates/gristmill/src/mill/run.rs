//! The state that the feeders of one run share.

use super::collector::Collector;
use super::counters::Counters;
use super::descriptors::Descriptors;
use super::fetches::Fetches;
use super::flight::Flights;
use super::halo::Layout;
use super::intake::{Cutting, Intake};
use super::landings::Landings;
use super::opener::{Opener, UnwrittenFifos};
use super::output::OutputQueue;
use super::row_order::{HeldRows, RowOrder};
use super::status::Status;
use super::task::Jobs;
use crate::decode::Decode;
use crate::source::Source;
use gristmill_ingest::reader::{ReadPathChoice, ReaderDemands};
use gristmill_ring::{ChunkBuf, ChunkPool};
use std::sync::Arc;

/// How a run was configured.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunConfig {
    pub workers: usize,
    pub layout: Layout,
    pub depth: u32,
    pub read_path: ReadPathChoice,
    pub demands: ReaderDemands,
    /// Whether the read path has no fallback.
    pub strict: bool,
    pub direct: bool,
    pub ordered: bool,
    pub decode: Decode,
}

/// The parts of one run.
pub(super) struct Run {
    pub config: RunConfig,
    pub status: Arc<Status>,
    pub output: Arc<OutputQueue>,
    pub counters: Arc<Counters>,
    /// The chunks that are free, on a shelf for each reader.
    pub pool: Arc<ChunkPool>,
    pub descriptors: Arc<Descriptors>,
    pub intake: Intake,
    pub opener: Opener,
    pub fetches: Arc<Fetches>,
    pub landings: Arc<Landings>,
    pub flights: Arc<Flights>,
    pub collector: Collector,
    pub jobs: Arc<Jobs>,
}

impl Run {
    /// Joins the parts of a run that has `slots` slots and one chunk for each of `tokens`.
    pub fn new(
        config: RunConfig,
        source: Box<dyn Source>,
        jobs: &Arc<Jobs>,
        status: Arc<Status>,
        tokens: Vec<ChunkBuf>,
        slots: u32,
        descriptors: Arc<Descriptors>,
    ) -> Self {
        let output = Arc::new(OutputQueue::new(jobs.len()));
        let counters = Arc::new(Counters::default());
        let held = Arc::new(HeldRows::new(jobs.len()));
        let flights = Flights::new(Arc::clone(jobs), config.layout, Arc::clone(&status), slots);
        let flights = Arc::new(flights);
        let intake = Intake::new(
            source,
            Arc::clone(&status),
            Arc::clone(&output),
            Arc::clone(&held),
            Arc::clone(&descriptors),
            Cutting {
                chunk_bytes: config.layout.chunk,
                // One is hashed while the next is read.
                ahead: if config.layout.geometry.in_order {
                    u64::from(config.depth.max(2))
                } else {
                    u64::MAX
                },
                feeders: config.workers,
            },
        );
        let opener = Opener {
            read_path: config.read_path,
            device_range: config.demands.device_range.is_some(),
            strict: config.strict,
            direct: config.direct,
            descriptors: Arc::clone(&descriptors),
            counters: Arc::clone(&counters),
            status: Arc::clone(&status),
            unwritten: UnwrittenFifos::default(),
        };
        let order = |job| {
            let (output, held) = (Arc::clone(&output), Arc::clone(&held));
            RowOrder::new(job, config.ordered, output, held)
        };
        let collector = Collector::new(
            Arc::clone(jobs),
            Arc::clone(&flights),
            (0..jobs.len()).map(order).collect(),
            Arc::clone(&output),
            Arc::clone(&counters),
            Arc::clone(&status),
        );
        let fetches = Fetches::new(
            // The others are processed meanwhile.
            tokens.len() - tokens.len() / 4,
            Arc::clone(&counters),
        );
        Self {
            landings: Landings::new(Arc::clone(&fetches), Arc::clone(&status)),
            fetches,
            config,
            status,
            output,
            counters,
            pool: ChunkPool::new(tokens, config.workers),
            descriptors,
            intake,
            opener,
            flights,
            collector,
            jobs: Arc::clone(jobs),
        }
    }
}
