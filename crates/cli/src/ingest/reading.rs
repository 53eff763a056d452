//! Files and ranges of devices through the driver's slots, a part in each, which the kernel sums where it has landed.

use super::summing::Summing;
use crate::common::complain;
use crate::engine::parse_size;
use crate::progress::Shown;
use gristmill::jobs::digest::{write_row, DigestRows};
use gristmill::megakernel::protocol::{io, PipelineError};
use gristmill::megakernel::KernelError;
use gristmill::mill::{FileError, FileErrorKind, Progress};
use gristmill::source::{Entry, FileId, Item, Origin, Source};
use gristmill::uring::nvme::{DiskPlace, FileMap};
use gristmill::uring::reader::is_on_fuse;
use gristmill::uring::{open_without_waiting, NativeReadPath, NvmeGpuIngestDriver, NvmeNamespace};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// How long a wait for a list's next name goes on before it looks whether a signal has come.
const NAMES_WAIT: Duration = Duration::from_millis(50);

/// A range of a device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DeviceRange {
    start: u64,
    bytes: u64,
}

/// `START,LEN`, each as [`parse_size`] takes it.
pub(super) fn parse_range(text: &str) -> Result<DeviceRange, String> {
    let (start, bytes) = text
        .split_once(',')
        .ok_or("not a range; write START,LEN in bytes, such as 0,32M")?;
    let range = DeviceRange {
        start: parse_size(start)? as u64,
        bytes: parse_size(bytes)? as u64,
    };
    if range.bytes == 0 || range.start.checked_add(range.bytes).is_none() {
        return Err("a range of no bytes, or beyond every device; write START,LEN".into());
    }
    Ok(range)
}

/// What is read, and how it was opened.
enum Target {
    File {
        /// Where all of its bytes lay when it was opened, where the driver reads past the file system.
        map: Option<FileMap>,
    },
    /// A namespace, from this byte on, in blocks of so many.
    Device { start: u64, block: u64 },
}

/// A file that is being read.
struct Reading {
    path: PathBuf,
    file: Arc<File>,
    target: Target,
    bytes: u64,
    /// Where the next part begins.
    next: u64,
    in_flight: u32,
    sum: Sum,
    /// The failure with the lowest offset.
    failure: Option<(u64, String)>,
}

impl Reading {
    fn fail(&mut self, offset: u64, reason: String) {
        if self.failure.as_ref().is_none_or(|(at, _)| offset < *at) {
            self.failure = Some((offset, reason));
        }
    }

    /// Whether there is a part to read.
    fn goes_on(&self) -> bool {
        self.failure.is_none() && self.next < self.bytes
    }
}

/// A CRC-32C of parts that come in any order.
#[derive(Default)]
struct Sum {
    crc: u32,
    /// Bytes that are in it.
    bytes: u64,
    /// The sum and the length of parts that lie behind a gap, by offset.
    waiting: BTreeMap<u64, (u32, usize)>,
}

impl Sum {
    fn add(&mut self, offset: u64, crc: u32, len: usize) {
        self.waiting.insert(offset, (crc, len));
        while let Some((crc, len)) = self.waiting.remove(&self.bytes) {
            self.crc = crc32c::crc32c_combine(self.crc, crc, len);
            self.bytes += len as u64;
        }
    }
}

/// What a slot is being filled with.
#[derive(Clone, Copy)]
struct Part {
    /// The file's number.
    file: u64,
    offset: u64,
    len: u32,
}

/// Who watches, and may want an end.
pub(super) struct User {
    pub(super) shown: Shown,
    pub(super) progress: Arc<Progress>,
    /// Set when an end is wanted.
    pub(super) stop: Arc<AtomicBool>,
}

/// The files that go through a driver, one behind the other, as many parts at once as there are slots.
pub(super) struct Ingest<'a, 'b> {
    driver: NvmeGpuIngestDriver<'a>,
    kernel: Summing,
    source: Box<dyn Source>,
    range: Option<DeviceRange>,
    rows: DigestRows,
    output: &'b mut dyn Write,
    user: User,
    /// Files of which something is to be read or in flight, by number.
    files: BTreeMap<u64, Reading>,
    /// The file that is being cut.
    current: Option<u64>,
    /// By slot.
    parts: Vec<Option<Part>>,
    /// Rows of files that are done, and nothing for those that failed, waiting for those before them.
    done: BTreeMap<u64, Option<Vec<u8>>>,
    /// Files whose rows were written, or that failed.
    told: u64,
    /// Files that were opened, or could not be.
    pub(super) listed: u64,
    /// Files and places that failed.
    pub(super) failures: u64,
    /// How writing the rows went.
    pub(super) written: std::io::Result<()>,
}

impl<'a, 'b> Ingest<'a, 'b> {
    pub(super) fn new(
        driver: NvmeGpuIngestDriver<'a>,
        kernel: Summing,
        source: Box<dyn Source>,
        range: Option<DeviceRange>,
        rows: DigestRows,
        output: &'b mut dyn Write,
        user: User,
    ) -> Self {
        let slots = driver.slot_count();
        Ingest {
            driver,
            kernel,
            source,
            range,
            rows,
            output,
            user,
            files: BTreeMap::new(),
            current: None,
            parts: vec![None; slots],
            done: BTreeMap::new(),
            told: 0,
            listed: 0,
            failures: 0,
            written: Ok(()),
        }
    }

    /// The driver and the kernel, which have nothing of each other's any more once all was read.
    pub(super) fn into_parts(self) -> (NvmeGpuIngestDriver<'a>, Summing) {
        (self.driver, self.kernel)
    }

    /// Reads everything, or what was begun when the user wants an end. Failures of files are told as they happen, rows come
    /// in the source's order.
    ///
    /// # Errors
    /// Where the driver or the kernel itself fails.
    pub(super) fn run(&mut self) -> Result<(), KernelError> {
        let (mut landed, mut failed) = (Vec::new(), Vec::new());
        loop {
            self.fill();
            if self.parts.iter().all(Option::is_none) {
                return Ok(());
            }
            self.driver.poll_outcomes_into(&mut landed, &mut failed)?;
            let mut progress = !landed.is_empty() || !failed.is_empty();
            for read in failed.drain(..) {
                self.ended(read.slot, Err(read.error));
            }
            self.lend()?;
            progress |= self.take_back()?;
            // Reads of cached bytes are done by this thread when they are handed over: it waits only where there is
            // nothing to hand over, for the kernel if it has something, which it has done soon.
            if progress {
                continue;
            }
            if self.kernel.is_idle() {
                self.driver.wait_for_completion()?;
            } else {
                self.kernel.wait()?;
            }
        }
    }

    /// Submits parts until every slot has one.
    fn fill(&mut self) {
        let slots = u32::try_from(self.parts.len()).unwrap_or(u32::MAX);
        for slot in 0..slots {
            if self.parts.get(slot as usize).is_none_or(Option::is_some) {
                continue;
            }
            // Where a read is refused, the slot is still free for the next.
            while let Some(part) = self.next_part() {
                match self.submit(slot, part) {
                    Ok(()) => break,
                    Err(error) => {
                        self.fail(part, &error);
                        self.settle(part.file);
                    }
                }
            }
        }
    }

    /// The next part of the file that is being cut, or of the next one.
    fn next_part(&mut self) -> Option<Part> {
        loop {
            if self.written.is_err() || self.user.stop.load(Ordering::Relaxed) {
                return None;
            }
            let current = self
                .current
                .and_then(|id| Some((id, self.files.get_mut(&id)?)));
            if let Some((id, file)) = current.filter(|(_, file)| file.goes_on()) {
                let left = file.bytes - file.next;
                let len = left.min(self.driver.slot_bytes() as u64);
                let part = Part {
                    file: id,
                    offset: file.next,
                    len: u32::try_from(len).unwrap_or(u32::MAX),
                };
                file.next += u64::from(part.len);
                return Some(part);
            }
            self.current = None;
            match self.source.next_item()? {
                Item::Error { path, reason } => self.tell(path, None, reason),
                Item::Starved { path, reason } => {
                    // What is read gives its descriptors back; with nothing open it fails.
                    if !self.files.is_empty() {
                        return None;
                    }
                    let _told = self.source.give_up();
                    self.tell(Some(path), None, reason);
                }
                Item::Later => {
                    // What is being read goes on meanwhile.
                    if !self.files.is_empty() {
                        return None;
                    }
                    self.source.wait(NAMES_WAIT);
                }
                Item::Notice(text) => self.user.shown.aside(|| complain(&text)),
                Item::Entry(entry) => self.begin(entry),
            }
        }
    }

    fn begin(&mut self, entry: Entry) {
        let id = self.listed;
        self.listed += 1;
        match self.open(&entry) {
            Ok(reading) => {
                self.files.insert(id, reading);
                self.current = Some(id);
                // A file without bytes has no part that would end it.
                self.settle(id);
            }
            Err(reason) => {
                self.tell(Some(entry.path), None, reason);
                self.finish(id, None);
            }
        }
    }

    /// Opens what is to be read, and sees whether the driver's path can take it.
    fn open(&self, entry: &Entry) -> Result<Reading, String> {
        if entry.origin == Origin::Stdin {
            return Err("standard input has no place to read from; name a file".into());
        }
        let path = self.driver.read_path();
        let words = |error: std::io::Error| error.to_string();
        let flags = match path {
            NativeReadPath::PeerRead => libc::O_DIRECT,
            _ => 0,
        };
        let opened = match &entry.root {
            // Not blocking: what was a file may be a FIFO now.
            Some(root) => root.open_listed(&entry.path, flags | libc::O_NONBLOCK | libc::O_NOCTTY),
            None => open_without_waiting(&entry.path, flags),
        };
        let file = opened.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) if path == NativeReadPath::PeerRead => {
                "its file system refuses O_DIRECT, which reads into peer memory need".into()
            }
            _ => error.to_string(),
        })?;
        let metadata = file.metadata().map_err(words)?;
        if FileId::of_redirected_stdout()
            .is_some_and(|rows| FileId::of(&file).is_ok_and(|id| id == rows))
        {
            return Err("standard output goes there; read another file, or write elsewhere".into());
        }
        let (target, bytes) = match self.range {
            Some(range) => (device(&file, range, self.driver.slot_bytes())?, range.bytes),
            None if !metadata.is_file() => {
                let fix = "name files, or give --device-range for a device /dev/ng*";
                return Err(format!("it is no regular file; {fix}"));
            }
            None => {
                let size = metadata.len();
                let direct = path == NativeReadPath::PeerRead;
                if is_on_fuse(&file) {
                    return Err(
                        "it lies on a FUSE file system, of which io_uring may read bytes twice; read it with digest"
                            .into(),
                    );
                }
                // Files of /proc and the like say 0 and have bytes.
                if size == 0 && !direct && file.read_at(&mut [0], 0).map_err(words)? > 0 {
                    return Err("it does not tell its size; read it with digest".into());
                }
                let past = path == NativeReadPath::GpuDirectNvmePassthrough && size > 0;
                let map = if past {
                    DiskPlace::of(&file).map_err(|error| error.to_string())?;
                    let map = FileMap::read(&file, 0, size);
                    Some(map.map_err(|error| error.to_string())?)
                } else {
                    None
                };
                (Target::File { map }, size)
            }
        };
        Ok(Reading {
            path: entry.path.clone(),
            file: Arc::new(file),
            target,
            bytes,
            next: 0,
            in_flight: 0,
            sum: Sum::default(),
            failure: None,
        })
    }

    fn submit(&mut self, slot: u32, part: Part) -> Result<(), PipelineError> {
        let Some(reading) = self.files.get_mut(&part.file) else {
            return Ok(());
        };
        let file = &reading.file;
        match reading.target {
            Target::File { .. } => {
                self.driver
                    .submit_file_range(file, part.offset, part.len, slot, slot)?;
            }
            Target::Device { start, block } => {
                let lba = (start + part.offset) / block;
                let blocks = u64::from(part.len) / block;
                let blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
                self.driver.submit_blocks(file, lba, blocks, slot, slot)?;
            }
        }
        reading.in_flight += 1;
        if let Some(state) = self.parts.get_mut(slot as usize) {
            *state = Some(part);
        }
        Ok(())
    }

    /// The device's side of the queue: what has landed goes to the kernel.
    fn lend(&mut self) -> Result<(), PipelineError> {
        while let Some(landing) =
            io::take_landing(self.driver.megakernel_io_queue_mut().as_mut_bytes())?
        {
            let slot = landing.mapped_slot;
            if landing.byte_count == 0 {
                io::recycle(
                    self.driver.megakernel_io_queue_mut().as_mut_bytes(),
                    landing.slot_idx,
                )?;
                self.ended(slot, Ok((0, 0)));
            } else {
                let chunk = self.driver.lend(slot)?;
                self.kernel.submit(chunk, landing.byte_count)?;
            }
        }
        Ok(())
    }

    /// The device's side of the queue: what the kernel has summed is free for the next read. Whether there was anything.
    fn take_back(&mut self) -> Result<bool, PipelineError> {
        let mut any = false;
        while let Some(summed) = self.kernel.poll() {
            any = true;
            let slot = summed.chunk.index();
            self.driver
                .take_back(summed.chunk)
                .map_err(|(_chunk, error)| error)?;
            io::recycle(self.driver.megakernel_io_queue_mut().as_mut_bytes(), slot)?;
            self.user
                .progress
                .bytes
                .fetch_add(u64::from(summed.bytes), Ordering::Relaxed);
            self.ended(slot, summed.crc.map(|crc| (crc, summed.bytes)));
        }
        Ok(any)
    }

    /// Takes the end of a slot's read: sum and length of what landed, or why it failed.
    fn ended(&mut self, slot: u32, result: Result<(u32, u32), PipelineError>) {
        let part = self.parts.get_mut(slot as usize).and_then(Option::take);
        let Some(part) = part else {
            return;
        };
        if let Some(file) = self.files.get_mut(&part.file) {
            file.in_flight -= 1;
            match &result {
                Ok((crc, bytes)) if *bytes == part.len => {
                    file.sum.add(part.offset, *crc, part.len as usize);
                }
                Ok((_, bytes)) => {
                    let end = part.offset + u64::from(*bytes);
                    file.fail(end, "it became shorter while it was read".into());
                }
                Err(_) => {}
            }
        }
        if let Err(error) = result {
            self.fail(part, &error);
        }
        self.settle(part.file);
    }

    /// Notes the failure of a part, by its place in the file.
    fn fail(&mut self, part: Part, error: &PipelineError) {
        let Some(file) = self.files.get_mut(&part.file) else {
            return;
        };
        match error {
            // The place on the disk, of a command.
            PipelineError::Read {
                path,
                offset,
                reason,
                ..
            } if path.starts_with("/dev/ng") => {
                file.fail(part.offset, format!("{path} at offset {offset}: {reason}"));
            }
            PipelineError::Read { offset, reason, .. } => file.fail(*offset, reason.clone()),
            other => file.fail(part.offset, other.to_string()),
        }
    }

    /// Ends a file of which nothing is in flight, and nothing left to read.
    fn settle(&mut self, id: u64) {
        let over = |file: &Reading| file.in_flight == 0 && !file.goes_on();
        if !self.files.get(&id).is_some_and(over) {
            return;
        }
        let Some(mut file) = self.files.remove(&id) else {
            return;
        };
        if let Target::File { map: Some(map) } = &file.target {
            // Each part was seen to be unchanged while it was read; this is for the time between them.
            if file.failure.is_none() && !map.is_unchanged(&file.file) {
                file.fail(
                    0,
                    "it changed while it was read past the file system".into(),
                );
            }
        }
        let row = match file.failure {
            Some((offset, reason)) => {
                self.tell(Some(file.path), Some(offset), reason);
                None
            }
            None => {
                let mut row = Vec::new();
                write_row(self.rows, &file.path, file.sum.crc, file.bytes, &mut row);
                Some(row)
            }
        };
        self.finish(id, row);
    }

    /// Writes what is done, in the source's order.
    fn finish(&mut self, id: u64, row: Option<Vec<u8>>) {
        self.user.progress.files.fetch_add(1, Ordering::Relaxed);
        self.done.insert(id, row);
        while let Some(row) = self.done.remove(&self.told) {
            self.told += 1;
            if let (Some(row), Ok(())) = (row, &self.written) {
                let Self { user, output, .. } = self;
                self.written = user.shown.aside(|| output.write_all(&row));
            }
        }
    }

    fn tell(&mut self, path: Option<PathBuf>, offset: Option<u64>, reason: String) {
        self.failures += 1;
        let error = FileError {
            path,
            offset,
            kind: FileErrorKind::Read { reason },
        };
        self.user.shown.aside(|| complain(&error.to_string()));
    }
}

/// The blocks of a namespace that a range of bytes is, to be read in slots of so many bytes.
fn device(file: &File, range: DeviceRange, slot_bytes: usize) -> Result<Target, String> {
    let namespace = NvmeNamespace::of(file.as_raw_fd()).map_err(|error| error.to_string())?;
    let block = u64::from(namespace.block_bytes);
    let capacity = namespace.blocks.saturating_mul(block);
    if !range.start.is_multiple_of(block) || !range.bytes.is_multiple_of(block) {
        return Err(format!(
            "the range is not in whole blocks; make START and LEN multiples of {block}"
        ));
    }
    if !(slot_bytes as u64).is_multiple_of(block) {
        return Err(format!(
            "slots of {slot_bytes} bytes do not hold whole blocks of {block}; give --slot-size a multiple of it"
        ));
    }
    if range.start + range.bytes > capacity {
        return Err(format!(
            "the range ends at {} and namespace {} has {capacity} bytes; end inside it",
            range.start + range.bytes,
            namespace.id
        ));
    }
    Ok(Target::Device {
        start: range.start,
        block,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_in_any_order_have_the_sum_of_the_whole() {
        let bytes: Vec<u8> = (0..100_u8).collect();
        let mut sum = Sum::default();
        for range in [30..70, 0..1, 70..100, 1..30] {
            let part = &bytes[range.clone()];
            sum.add(range.start as u64, crc32c::crc32c(part), part.len());
        }
        assert_eq!((sum.crc, sum.bytes), (crc32c::crc32c(&bytes), 100));
    }

    #[test]
    fn ranges_are_two_sizes() {
        let range = |start, bytes| Ok(DeviceRange { start, bytes });
        assert_eq!(parse_range("0,512"), range(0, 512));
        assert_eq!(parse_range("1M,32K"), range(1 << 20, 32 << 10));
        for text in ["", "1", "1,", ",1", "1,0", "-1,5", "18446744073709551615,1"] {
            assert!(parse_range(text).is_err(), "{text}");
        }
    }
}
