//! A pool of chunks, to which chunks return when they are dropped.

use crate::chunk::ChunkBuf;
use crate::sync::{lock, Arc, Mutex};

/// Free chunks on numbered shelves, such as one for each reader.
///
/// A chunk that was [taken](ChunkPool::take) returns to its shelf when it is dropped, wherever that happens: in a
/// reader whose ring failed, on an error path, or in an unused value. So no path can lose a chunk, and a pool runs
/// empty only because its chunks are in use. Two kinds of chunks do not return: those that the kernel may still write
/// into (their owner is leaked on purpose), and those that a worker still reads.
pub struct ChunkPool {
    shelves: Box<[Mutex<Vec<ChunkBuf>>]>,
}

/// Where a chunk returns to.
#[derive(Clone)]
pub(crate) struct Home {
    pool: Arc<ChunkPool>,
    shelf: usize,
}

impl Home {
    pub(crate) fn put_back(&self, chunk: ChunkBuf) {
        if let Some(shelf) = self.pool.shelves.get(self.shelf) {
            lock(shelf).push(chunk);
        }
    }
}

impl ChunkPool {
    /// A pool of these chunks, dealt to `shelves` shelves in runs of neighbours; a shelf gives its lowest chunk first.
    pub fn new(chunks: Vec<ChunkBuf>, shelves: usize) -> Arc<Self> {
        let shelves = shelves.max(1);
        let each = chunks.len().div_ceil(shelves).max(1);
        let mut dealt: Vec<Vec<ChunkBuf>> = (0..shelves).map(|_| Vec::new()).collect();
        for (index, chunk) in chunks.into_iter().enumerate() {
            if let Some(shelf) = dealt.get_mut(index / each) {
                shelf.push(chunk);
            }
        }
        // A shelf is a stack, so the lowest chunks are used again and again, and the others stay untouched.
        for shelf in &mut dealt {
            shelf.reverse();
        }
        Arc::new(Self {
            shelves: dealt.into_iter().map(Mutex::new).collect(),
        })
    }

    /// A free chunk of a shelf, which returns there when it is dropped; `None` while all are in use.
    pub fn take(self: &Arc<Self>, shelf: usize) -> Option<ChunkBuf> {
        let mut chunk = lock(self.shelves.get(shelf)?).pop()?;
        chunk.set_home(Home {
            pool: Arc::clone(self),
            shelf,
        });
        Some(chunk)
    }

    /// Chunks that are free now, on all shelves together.
    pub fn free(&self) -> usize {
        self.shelves.iter().map(|shelf| lock(shelf).len()).sum()
    }
}

impl std::fmt::Debug for ChunkPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "ChunkPool({} free, on {} shelves)",
            self.free(),
            self.shelves.len()
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::ChunkMemory;

    #[test]
    fn a_chunk_returns_to_its_shelf_from_wherever_it_is_dropped() {
        let (memory, chunks) = ChunkMemory::map(4, 4096).unwrap();
        let pool = ChunkPool::new(chunks, 2);
        let taken: Vec<ChunkBuf> = std::iter::from_fn(|| pool.take(1)).collect();
        assert_eq!(
            taken.iter().map(ChunkBuf::index).collect::<Vec<_>>(),
            [2, 3]
        );
        assert_eq!(pool.free(), 2);
        assert!(pool.take(1).is_none() && pool.take(2).is_none());

        let [free, lent] = <[ChunkBuf; 2]>::try_from(taken).unwrap();
        drop(free);
        drop(lent.lend());
        assert_eq!(pool.free(), 4);

        // A chunk that was lent and taken back still knows its home.
        let chunk = pool.take(0).unwrap().lend().reclaim().unwrap();
        assert_eq!((chunk.index(), pool.free()), (0, 3));
        drop(chunk);
        assert_eq!(pool.free(), 4);

        // A chunk in its pool is not lent, so a device cannot borrow it.
        assert!(memory.borrow_chunk(0).is_none());
    }

    #[test]
    fn a_chunk_that_a_worker_reads_does_not_return() {
        let (memory, chunks) = ChunkMemory::map(1, 4096).unwrap();
        let pool = ChunkPool::new(chunks, 1);
        let lent = pool.take(0).unwrap().lend();
        let reading = memory.borrow_chunk(0).unwrap();
        drop(lent);
        assert_eq!(pool.free(), 0);
        assert!(reading.iter().all(|&byte| byte == 0));
        drop(reading);
        assert_eq!(pool.free(), 0);
    }
}
