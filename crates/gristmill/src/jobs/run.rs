//! Running a VIR0 program over files.
//!
//! The device runs the program over each chunk; this job, the host's half, merges the accumulators of a file's chunks
//! and puts its records in order. A file's records are written while it is read, and its accumulators when it has
//! ended.
//!
//! ```
//! use gristmill::jobs::run::{RunJob, RunRows};
//! use gristmill::mill::{Control, Mill};
//! use gristmill::program::Program;
//! use gristmill::source::Tree;
//! use std::sync::Arc;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let program = Program::from_source(
//!     "capitals.vasm",
//!     "
//!     .acc capitals sum
//!     .arg first = 'A'
//!         arg  r4, first
//!         each r1, 1
//!           ld8 r2, r1
//!           sub r2, r2, r4
//!           ltu r3, r2, 26
//!           acc capitals, r3
//!         end
//!     ",
//! )?;
//! let job = Arc::new(RunJob::builder(program).rows(RunRows::Json).build()?);
//! let mut rows = Vec::new();
//! let mill = Mill::builder().workers(1).build()?;
//! mill.run(Tree::new(["Cargo.toml"]).walk()?, Arc::clone(&job), &mut rows, &Control::default())?;
//! assert!(job.total().accs[0] > 0);
//! # Ok(())
//! # }
//! ```

mod shown;
mod table;

pub use table::run_schema;

use super::names;
use super::{FileEnd, Flow, Geometry, Job, LandedChunk, SlotPlace};
use crate::program::Program;
use crate::setters::setters;
use crate::source::{Entry, FileFacts};
use gristmill_megakernel::vir0::{Fault, FaultKind, Record, Show, Shown, Verified};
use gristmill_megakernel::{Kernel, ProgramTable, StreamJob};
use gristmill_protocol::program::{decode_acc, ProgramArgs, ProgramRecord, PROGRAM_ARGS};
use gristmill_protocol::{fault, PipelineError};
use gristmill_ring::lock;
use gristmill_rows::Schema;
use serde_json::json;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// What is written for each file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RunRows {
    /// `path:offset:value` for each record, then `path: name value` for each accumulator, scaled and with units as the
    /// program says. Elements of arrays are written only if a value was added to them.
    #[default]
    Text,
    /// A JSON object for each record, and one with the accumulators. Values are whole numbers; beside them stands how the
    /// program says that they are shown.
    Json,
    /// A row with the accumulators, below that of [`RunJob::aligned_heading`], for people. Records are not written.
    Aligned,
    /// Rows of a table, as [`RowWriter`](gristmill_rows::RowWriter) writes them: its columns are [`RunJob::schema`]'s.
    Table,
    /// Nothing.
    None,
}

/// Why the arguments of a program are not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArgumentError {
    /// The program does not have it.
    #[error("the program has no argument {name}; it has: {}", listed(known))]
    Unknown {
        /// Its name.
        name: String,
        /// The arguments that the program has.
        known: Vec<String>,
    },
    /// The program needs it, and it was not given.
    #[error("the program needs its argument {name}; give it a value")]
    Missing {
        /// Its name.
        name: String,
    },
    /// A table of its accumulators would be too wide.
    #[error("a table would have a column for each of {columns} accumulators, and has at most {}; write text or JSON", shown::MAX_COLUMNS)]
    TooWide {
        /// The number of accumulators.
        columns: usize,
    },
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

impl From<ArgumentError> for PipelineError {
    fn from(error: ArgumentError) -> Self {
        PipelineError::Backend(error.to_string())
    }
}

/// Settings of a [`RunJob`].
#[derive(Debug, Clone)]
pub struct RunJobBuilder {
    program: Program,
    args: BTreeMap<String, u32>,
    rows: RunRows,
    max_chunk: usize,
    sums: bool,
}

impl RunJobBuilder {
    /// Gives an argument of the program.
    #[must_use]
    pub fn arg(mut self, name: impl Into<String>, value: u32) -> Self {
        self.args.insert(name.into(), value);
        self
    }

    setters! {
        /// What is written for each file. Default: text.
        rows(rows: RunRows) { rows = rows }

        /// The largest chunk size, in bytes, rounded down to a multiple of the program's alignment. Default: the
        /// largest that the program takes.
        max_chunk(bytes: usize) { max_chunk = bytes }

        /// Whether the checksum of each file's answer is kept, for [`RunJob::sums`]. Default: no.
        sums(yes: bool) { sums = yes }
    }

    /// Checks the arguments.
    ///
    /// # Errors
    /// [`ArgumentError`] for an argument that the program does not have, one that it needs and was not given, or a
    /// table that would be too wide.
    pub fn build(self) -> Result<RunJob, ArgumentError> {
        let declared = &self.program.verified().program().args;
        let known = |name: &String| declared.iter().any(|arg| arg.name == *name);
        if let Some(unknown) = self.args.keys().find(|name| !known(name)) {
            return Err(ArgumentError::Unknown {
                name: unknown.clone(),
                known: declared.iter().map(|arg| arg.name.clone()).collect(),
            });
        }
        let columns = self.program.verified().program().acc_count();
        if self.rows == RunRows::Aligned && columns > shown::MAX_COLUMNS {
            return Err(ArgumentError::TooWide { columns });
        }
        let mut args = [0; PROGRAM_ARGS];
        for (value, arg) in args.iter_mut().zip(declared) {
            *value = self
                .args
                .get(&arg.name)
                .copied()
                .or(arg.default)
                .ok_or_else(|| ArgumentError::Missing {
                    name: arg.name.clone(),
                })?;
        }
        let total = RunTotal {
            files: 0,
            bytes: 0,
            accs: self.program.verified().program().fresh_accs(),
        };
        Ok(RunJob {
            program: self.program.verified().clone(),
            args,
            rows: self.rows,
            max_chunk: self.max_chunk,
            opcode: OnceLock::new(),
            columns: OnceLock::new(),
            total: Mutex::new(total),
            sums: self.sums.then(Mutex::default),
        })
    }
}

/// The combined accumulators of several files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTotal {
    /// Files that were read to their end.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The accumulators of all arrays, in order.
    pub accs: Vec<u64>,
}

/// A program over files.
#[derive(Debug)]
pub struct RunJob {
    program: Verified,
    args: [u32; PROGRAM_ARGS],
    rows: RunRows,
    max_chunk: usize,
    /// The opcode to which the kernel has bound the program.
    opcode: OnceLock<u32>,
    /// The columns of aligned rows, once there are any.
    columns: OnceLock<shown::Columns>,
    total: Mutex<RunTotal>,
    sums: Option<Mutex<BTreeMap<PathBuf, u32>>>,
}

/// What a run remembers of a file.
#[derive(Debug)]
pub struct RunFile {
    entry: Arc<Entry>,
    accs: Vec<u64>,
    /// Records that records of a later chunk may still precede, as pairs of file position and value.
    held: Vec<(u64, u32)>,
    sum: u32,
}

impl RunJob {
    /// A builder for a program with its arguments' defaults, writing text.
    pub fn builder(program: Program) -> RunJobBuilder {
        RunJobBuilder {
            program,
            args: BTreeMap::new(),
            rows: RunRows::default(),
            max_chunk: usize::MAX,
            sums: false,
        }
    }

    /// The columns of a table of the rows: [`run_schema`] of the program.
    #[must_use]
    pub fn schema(&self) -> Schema {
        run_schema(self.program.program())
    }

    /// The accumulators of all files that were read to their end.
    pub fn total(&self) -> RunTotal {
        let total = lock(&self.total);
        total.clone()
    }

    /// The row of the total.
    pub fn total_row(&self) -> Vec<u8> {
        let total = self.total();
        let program = self.program.program();
        let name = format!("total of {} files", total.files);
        match self.rows {
            RunRows::Json => {
                let mut row = shown::accs_json(program, &total.accs);
                row["type"] = json!("total");
                row["files"] = json!(total.files);
                row["bytes"] = json!(total.bytes);
                format!("{row}\n").into_bytes()
            }
            RunRows::Aligned => self.columns().row(program, name.as_bytes(), &total.accs),
            RunRows::Text | RunRows::Table | RunRows::None => {
                let mut rows = Vec::new();
                shown::accs_text(program, name.as_bytes(), &total.accs, &mut rows);
                rows
            }
        }
    }

    /// The first row above [aligned](RunRows::Aligned) ones: the names of the columns.
    pub fn aligned_heading(&self) -> Vec<u8> {
        self.columns().heading()
    }

    fn columns(&self) -> &shown::Columns {
        let columns = || shown::Columns::new(self.program.program());
        self.columns.get_or_init(columns)
    }

    /// The CRC-32C of each file's answer, for all files that were read to their end; empty unless
    /// [`RunJobBuilder::sums`] asked for it.
    pub fn sums(&self) -> BTreeMap<PathBuf, u32> {
        self.sums
            .as_ref()
            .map_or_else(BTreeMap::new, |sums| lock(sums).clone())
    }

    /// Writes the rows of records whose place is certain: those before `end`, or all.
    fn release(&self, file: &mut RunFile, end: Option<u64>, rows: &mut Vec<u8>) {
        let certain = file
            .held
            .partition_point(|(position, _)| end.is_none_or(|end| *position < end));
        let show = self.program.program().show(Shown::Records);
        for (position, value) in file.held.drain(..certain) {
            if self.sums.is_some() {
                let bytes = [position.to_le_bytes().as_slice(), &value.to_le_bytes()].concat();
                file.sum = crc32c::crc32c_append(file.sum, &bytes);
            }
            match self.rows {
                RunRows::Text => {
                    // The row needs no mark: a name with a backslash is always escaped.
                    rows.extend(names::escaped(&file.entry.path).1);
                    let value = shown::value(show, value.into());
                    rows.extend(format!(":{position}:{value}\n").as_bytes());
                }
                RunRows::Json => {
                    let mut row = json!({
                        "type": "record",
                        "path": names::json(&file.entry.path),
                        "offset": position,
                        "value": value,
                    });
                    let scaled = |show: &Show| json!(show.number(value.into()));
                    if let Some(beside) = shown::json(show, &scaled) {
                        row["shown"] = beside;
                    }
                    rows.extend(format!("{row}\n").as_bytes());
                }
                RunRows::Table => {
                    let path = file.entry.path.as_os_str().as_bytes();
                    let accumulators = self.program.program().accs.len();
                    table::record(path, position, value, accumulators, rows);
                }
                RunRows::Aligned | RunRows::None => {}
            }
        }
    }
}

impl Job for RunJob {
    type File = RunFile;

    fn stream_job(&self) -> Option<StreamJob> {
        None
    }

    fn opcode(&self) -> u32 {
        self.opcode.get().copied().unwrap_or(0)
    }

    fn prepare(&self, kernel: &Kernel) -> Result<(), PipelineError> {
        let tenant = kernel.tenants().tenant(0)?;
        let opcode = kernel.programs().load(&tenant, self.program.clone())?;
        self.opcode
            .set(opcode)
            .map_err(|_| PipelineError::InvalidArgument {
                what: "a job that has run before",
                fix: "make a new job for each run",
            })
    }

    fn geometry(&self) -> Geometry {
        let program = self.program.program();
        let align = program.align as usize;
        Geometry {
            before: program.before.into(),
            after: program.after.into(),
            align,
            max_chunk: self.max_chunk.clamp(align, program.chunk as usize),
            split: true,
            in_order: false,
        }
    }

    fn record_words(&self) -> u32 {
        let words = ProgramTable::words_needed(self.program.program());
        u32::try_from(words).unwrap_or(u32::MAX)
    }

    fn args(
        &self,
        place: &SlotPlace,
    ) -> Result<[u32; gristmill_protocol::ARGS_PER_SLOT], PipelineError> {
        let args = ProgramArgs {
            chunk: place.chunk,
            after: place.after,
            start: place.start,
            len: place.len,
            offset: place.offset,
            args: self.args,
        };
        args.encode().ok_or(PipelineError::InvalidArgument {
            what: "more chunks than a program's slot can name",
            fix: "use fewer workers or a smaller depth",
        })
    }

    fn fault(&self, word: u32) -> Option<String> {
        let kind = match fault::reason(word) {
            fault::SCRATCH_INDEX => FaultKind::Scratch,
            fault::ACC_INDEX => FaultKind::Acc,
            _ => return None,
        };
        let found = Fault {
            kind,
            instruction: fault::detail(word).into(),
        };
        Some(format!(
            "{} (tenant 0); correct the program; other files are not affected",
            found.describe(self.program.program())
        ))
    }

    fn open(&self, entry: &Arc<Entry>, _: &FileFacts) -> RunFile {
        RunFile {
            entry: Arc::clone(entry),
            accs: self.program.program().fresh_accs(),
            held: Vec::new(),
            sum: 0,
        }
    }

    fn chunk(&self, file: &mut RunFile, chunk: &LandedChunk<'_>, rows: &mut Vec<u8>) -> Flow {
        let program = self.program.program();
        let word = |index: usize| chunk.records.word(index);
        let accs: Vec<u64> = (0..program.acc_count())
            .map(|index| decode_acc(word, index))
            .collect();
        program.merge_accs(&mut file.accs, &accs);
        for index in 0..chunk.records.len() as usize {
            let ProgramRecord { position, value } = ProgramRecord::decode(word, accs.len(), index);
            let record = Record { position, value };
            let position = record.file_position(chunk.offset);
            file.held.push((position, record.value));
        }
        file.held.sort_unstable();
        // The next chunk may have records for bytes before its own, as far back as its halo reaches.
        let end = chunk.offset + chunk.bytes.len() as u64;
        self.release(file, Some(end.saturating_sub(program.before.into())), rows);
        Flow::Continue
    }

    fn close(&self, mut file: RunFile, end: &FileEnd, rows: &mut Vec<u8>) -> Flow {
        // Records that were found stay valid however the file ended, but accumulators of a part of a file would
        // mislead.
        self.release(&mut file, None, rows);
        let FileEnd::Complete { bytes } = *end else {
            return Flow::Continue;
        };
        let program = self.program.program();
        let name = || names::escaped(&file.entry.path).1;
        match self.rows {
            RunRows::Text => shown::accs_text(program, &name(), &file.accs, rows),
            RunRows::Aligned => rows.extend(self.columns().row(program, &name(), &file.accs)),
            RunRows::Json => {
                let mut row = shown::accs_json(program, &file.accs);
                row["type"] = json!("file");
                row["path"] = names::json(&file.entry.path);
                row["bytes"] = json!(bytes);
                rows.extend(format!("{row}\n").as_bytes());
            }
            RunRows::Table => {
                let arrays = (0..=u8::MAX).zip(&self.program.program().accs);
                let values = arrays.map(|(number, array)| {
                    let range = self.program.acc_range(number);
                    (array, file.accs.get(range).unwrap_or_default())
                });
                let path = file.entry.path.as_os_str().as_bytes();
                table::file(path, bytes, values, rows);
            }
            RunRows::None => {}
        }
        if let Some(sums) = &self.sums {
            let sum = file.accs.iter().fold(file.sum, |sum, acc| {
                crc32c::crc32c_append(sum, &acc.to_le_bytes())
            });
            let mut sums = lock(sums);
            sums.insert(file.entry.path.clone(), sum);
        }
        let mut total = lock(&self.total);
        total.files += 1;
        total.bytes += bytes;
        self.program
            .program()
            .merge_accs(&mut total.accs, &file.accs);
        Flow::Continue
    }
}
