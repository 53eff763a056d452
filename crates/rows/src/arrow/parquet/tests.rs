use super::thread::{spawn, Body};
use super::*;
use crate::arrow::BatchBuilder;
use crate::{Field, TableReader, Value};
use parquet::arrow::arrow_writer::{
    InMemoryPageStore, PageKey, PageStore, PageStoreArgs, PageStoreFactory,
};
use parquet::errors::Result as ParquetResult;
use std::io::Seek;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

const ROWS: u64 = 36_000;

/// Ends row groups in the middle of batches, and after each few batches.
const FULL: Full = Full {
    rows: 5000,
    bytes: 256 << 10,
};

fn schema() -> Schema {
    let fields = [
        Field::new("path", Kind::Path, ""),
        Field::new("offset", Kind::U64, "").distinct(),
        Field::new("text", Kind::Text, "").nullable(),
        Field::new("bytes", Kind::Bytes, "").nullable().distinct(),
    ];
    Schema::new("test", 1, "", fields)
}

/// Calls with each row of a table.
fn rows(count: u64, mut each: impl FnMut(&[Value<'_>]) -> io::Result<()>) -> io::Result<()> {
    for row in 0..count {
        let path = format!("{}\n", row / 7000);
        let noise = row
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .to_le_bytes()
            .repeat(1 + row as usize % 8);
        let text = match row % 3 {
            0 => Value::Null,
            _ => Value::Bytes(&noise[..row as usize % 3]),
        };
        // The groups of the second half end by their bytes.
        let bytes = match row < count / 2 {
            true => Value::Null,
            false => Value::Bytes(&noise),
        };
        each(&[
            Value::Bytes(path.as_bytes()),
            Value::U64(3 * row),
            text,
            bytes,
        ])?;
    }
    Ok(())
}

fn no_thread(_: Body) -> io::Result<JoinHandle<Encoder>> {
    Err(io::ErrorKind::WouldBlock.into())
}

fn never(_: Body) -> io::Result<JoinHandle<Encoder>> {
    panic!("a thread, where none is needed");
}

fn writer<W: Write + Send>(output: W, pages: Pages, spawn: Spawn) -> ParquetWriter<W> {
    let options = ArrowWriterOptions::new()
        .with_properties(properties(&schema()))
        .with_page_store_factory(Arc::new(pages));
    let batches = Arc::clone(BatchBuilder::small(&schema()).schema());
    ParquetWriter::with(&batches, output, options, FULL, spawn).unwrap()
}

fn add<W: Write + Send>(file: &mut ParquetWriter<W>, count: u64) -> io::Result<()> {
    let mut batch = BatchBuilder::small(&schema());
    rows(count, |row| batch.add(row, |batch| file.write(batch)))?;
    batch.end(|batch| file.write_last(batch))
}

fn table(output: impl Write + Send, pages: Pages, count: u64, spawn: Spawn) -> io::Result<()> {
    let mut file = writer(output, pages, spawn);
    add(&mut file, count)?;
    file.finish(vec![("key", "value".to_owned())])
}

/// Where pages wait for their row group's end.
#[derive(Debug, Clone, Default)]
struct Pages {
    /// As many references as there are pages' owners.
    taken: Arc<AtomicUsize>,
    /// The number of the page that fails, and how.
    fails: Option<(usize, Failure)>,
}

#[derive(Debug, Clone, Copy)]
enum Failure {
    Error,
    Panic,
}

struct Store(Pages, InMemoryPageStore);

impl PageStoreFactory for Pages {
    fn create(&self, _: &PageStoreArgs<'_>) -> ParquetResult<Box<dyn PageStore>> {
        Ok(Box::new(Store(self.clone(), InMemoryPageStore::default())))
    }
}

impl PageStore for Store {
    fn put(&mut self, value: bytes::Bytes) -> ParquetResult<PageKey> {
        let taken = self.0.taken.fetch_add(1, Ordering::Relaxed);
        match self.0.fails {
            Some((at, Failure::Error)) if at == taken => {
                Err(ParquetError::General("no page".to_owned()))
            }
            Some((at, Failure::Panic)) if at == taken => panic!("page {at}"),
            _ => self.1.put(value),
        }
    }

    fn take(&mut self, key: PageKey) -> ParquetResult<bytes::Bytes> {
        self.1.take(key)
    }

    fn memory_size(&self) -> usize {
        self.1.memory_size()
    }
}

/// Takes some bytes, and no more.
struct Broken(usize);

impl Write for Broken {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.min(bytes.len()) {
            0 => Err(io::Error::new(io::ErrorKind::StorageFull, "full")),
            taken => {
                self.0 -= taken;
                Ok(taken)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_table_is_the_same_by_a_thread_and_without_one() {
    for count in [0, 1, 4096, 4097, ROWS] {
        let (mut alone, mut first, mut second) = (Vec::new(), Vec::new(), Vec::new());
        table(&mut alone, Pages::default(), count, no_thread).unwrap();
        table(&mut first, Pages::default(), count, spawn).unwrap();
        table(&mut second, Pages::default(), count, spawn).unwrap();
        assert!(first == alone, "{count} rows differ");
        assert!(second == first, "{count} rows differ from run to run");

        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&first).unwrap();
        let reader = parquet::file::reader::FileReader::metadata;
        let read =
            parquet::file::serialized_reader::SerializedFileReader::new(file.try_clone().unwrap())
                .unwrap();
        let groups: Vec<_> = reader(&read)
            .row_groups()
            .iter()
            .map(|group| group.num_rows())
            .collect();
        assert!(
            groups.iter().all(|&rows| 0 < rows && rows <= 5000),
            "{groups:?}"
        );
        if count == ROWS {
            let by_rows = groups.iter().filter(|&&rows| rows == 5000).count();
            assert!(by_rows >= 2 && groups.len() >= by_rows + 3, "{groups:?}");
        }

        file.rewind().unwrap();
        let table = TableReader::open(file).unwrap();
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        let text = |row: &[Value<'_>]| format!("{row:?}");
        rows(count, |row| {
            // Bytes that are not UTF-8 are written in a readable form.
            expected.push(text(&[row[0], row[1], row[3]]));
            Ok(())
        })
        .unwrap();
        table
            .read(&schema(), |row| {
                found.push(text(&[row[0], row[1], row[3]]));
                Ok(())
            })
            .unwrap();
        assert!(found == expected, "{count} rows are read as others");
    }
}

#[test]
fn a_table_of_less_than_a_batch_needs_no_thread() {
    table(Vec::new(), Pages::default(), 4000, never).unwrap();
}

#[test]
fn an_output_that_fails_is_told_and_ends_the_thread() {
    let mut whole = Vec::new();
    table(&mut whole, Pages::default(), ROWS, spawn).unwrap();
    for part in 0..5 {
        for spawn in [spawn as Spawn, no_thread] {
            let pages = Pages::default();
            let mut file = writer(Broken(4 + whole.len() * part / 5), pages.clone(), spawn);
            let error = match add(&mut file, ROWS) {
                Err(error) => {
                    // What has failed goes on failing, and takes nothing more.
                    assert!(add(&mut file, 5000).is_err());
                    assert!(file.finish(Vec::new()).is_err());
                    error
                }
                Ok(()) => file.finish(Vec::new()).unwrap_err(),
            };
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
            assert_eq!(Arc::strong_count(&pages.taken), 1, "the thread goes on");
        }
    }
}

#[test]
fn an_encoder_that_fails_is_told_and_ends_the_thread() {
    let count = Pages::default();
    table(io::sink(), count.clone(), ROWS, spawn).unwrap();
    let count = count.taken.load(Ordering::Relaxed);
    for at in [0, 1, count / 2, count - 1] {
        for failure in [Failure::Error, Failure::Panic] {
            let pages = Pages {
                fails: Some((at, failure)),
                ..Pages::default()
            };
            // The last row group ends on the caller's thread, whose panics are its own.
            if matches!(failure, Failure::Panic) && at == count - 1 {
                continue;
            }
            let error = table(io::sink(), pages.clone(), ROWS, spawn).unwrap_err();
            let text = error.to_string();
            match failure {
                Failure::Error => assert!(text.contains("no page"), "{text}"),
                Failure::Panic => assert!(text.contains(&format!("panicked: page {at}")), "{text}"),
            }
            assert_eq!(Arc::strong_count(&pages.taken), 1, "the thread goes on");
        }
    }
}

#[test]
fn a_writer_that_is_dropped_ends_its_thread() {
    for count in [0, 4096, 3 * 4096, ROWS] {
        let pages = Pages::default();
        let mut output = Vec::new();
        let mut file = writer(&mut output, pages.clone(), spawn);
        add(&mut file, count).unwrap();
        drop(file);
        assert_eq!(Arc::strong_count(&pages.taken), 1, "the thread goes on");
    }
}
