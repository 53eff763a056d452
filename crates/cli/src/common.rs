//! What commands share: their flags for sources and the engine, how they run a job, and how they end.

use super::advice;
use super::outputs::{self, Replaces};
use super::progress::{Estimate, Shown};
use super::report;
use super::signals::{self, Output};
use gristmill::jobs::Job;
use gristmill::megakernel::backend::{self, BackendName, Opened};
use gristmill::megakernel::log::MAGIC;
use gristmill::mill::{Control, Mill, RunReport};
use gristmill::source::{self, FileId, FileList, Source, Stdin, Tree};
use gristmill::uring::reader::ReadPathChoice;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Which files `digest` and `stats` read.
#[derive(Debug, Clone, clap::Args)]
pub struct SourceArgs {
    /// Files and directories to read; every file in a directory is. `-`, or no path at all, is standard input.
    paths: Vec<PathBuf>,

    /// Read the names of files from this file, one a line; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "files0_from"])]
    files_from: Option<PathBuf>,

    /// Read the names of files from this file, each ended by a NUL, as `find -print0` writes them; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with = "paths")]
    files0_from: Option<PathBuf>,

    /// Read only files that match this glob, or with a leading `!` that do not. May be given several times.
    #[arg(short = 'g', long, value_name = "GLOB", allow_hyphen_values = true)]
    glob: Vec<String>,

    /// Pass over what `scan` passes over: hidden files, and what ignore files name.
    #[arg(long)]
    ignore: bool,

    /// Follow symbolic links.
    #[arg(short = 'L', long)]
    follow: bool,

    /// The order of files: `path`, or `none` for files as they finish.
    #[arg(long, value_name = "SORTBY", default_value = "none")]
    sort: Sort,
}

/// The order of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Sort {
    /// As files finish.
    None,
    /// By path.
    Path,
}

impl SourceArgs {
    /// Whether standard input is among what is read, which can be read once.
    pub fn is_stream(&self) -> bool {
        let stdin = Path::new("-");
        match self.files_from.as_ref().or(self.files0_from.as_ref()) {
            Some(list) => list == stdin,
            None => self.paths.is_empty() || self.paths.iter().any(|path| path == stdin),
        }
    }

    /// Whether files come by path.
    pub fn sorted(&self) -> bool {
        self.sort == Sort::Path
    }

    fn tree(&self) -> Tree {
        let tree = Tree::new(self.paths.iter().cloned())
            .hidden(!self.ignore)
            .ignore_files(self.ignore)
            .follow(self.follow)
            .sorted(self.sorted());
        self.glob.iter().fold(tree, |tree, glob| tree.glob(glob))
    }

    /// The source.
    ///
    /// # Errors
    /// What cannot be opened or parsed, in words.
    pub fn source(&self) -> Result<Box<dyn Source>, String> {
        if let Some(list) = file_list(self.files_from.as_deref(), self.files0_from.as_deref())? {
            return Ok(Box::new(list));
        }
        if self.paths.is_empty() {
            return Ok(Box::new(Stdin::new()));
        }
        Ok(Box::new(
            self.tree().walk().map_err(|error| advice::glob(&error))?,
        ))
    }

    /// What a progress display may count beforehand.
    pub fn estimate(&self) -> Option<Estimate> {
        let countable = self.files_from.is_none()
            && self.files0_from.is_none()
            && !self.paths.is_empty()
            && !self.paths.iter().any(|path| path == Path::new("-"));
        countable.then(|| Estimate::new(self.tree()))
    }
}

/// The list of names that --files-from or --files0-from gives; `None` where neither is there.
///
/// # Errors
/// Where the list cannot be opened, in words.
pub fn file_list(lines: Option<&Path>, nul: Option<&Path>) -> Result<Option<FileList>, String> {
    let Some(list) = lines.or(nul) else {
        return Ok(None);
    };
    let names = FileList::live(signals::list(list)?);
    Ok(Some(names.nul(nul.is_some())))
}

/// How files are read and where the kernel runs.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// Worker threads, each with a reader of its own. 0 is one for each core.
    #[arg(
        short = 'j',
        long = "workers",
        visible_alias = "threads",
        value_name = "NUM",
        default_value_t = 0
    )]
    pub workers: usize,

    #[command(flatten)]
    pub backend: BackendArgs,

    /// How bytes come into memory: `registered` (io_uring), `positioned` (pread), `passthrough` (NVMe commands for the
    /// blocks of files on ext4 or XFS, past the page cache), `peer` (O_DIRECT, into --peer-memory), or `auto`: io_uring,
    /// and pread where it is refused. What passthrough or peer cannot read is a failure; `gristmill doctor FILE` tells why.
    #[arg(long, value_name = "PATH", default_value = "auto")]
    pub read_path: ReadPathArg,

    /// Let chunks lie in the peer memory of the PCI device at this address, such as 0000:03:00.0; `gristmill doctor` lists
    /// them. The kernel looks at them over the bus, so it must be on the processor: --backend auto is cpu then. Name a read
    /// path that goes there: peer, passthrough, or positioned, which is a copy by the processor. --workers, --depth and
    /// --chunk-size say how much is needed. If the device is removed meanwhile, SIGBUS ends the process.
    #[arg(long, value_name = "ADDRESS")]
    pub peer_memory: Option<String>,

    /// Bytes in a chunk, such as 256K or 2M. By default 1M for digest and scan -c, whose result for a chunk is one number, and
    /// 512K elsewhere.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub chunk_size: Option<usize>,

    /// Reads in flight at most, for each worker.
    #[arg(long, value_name = "NUM", default_value_t = gristmill::mill::DEFAULT_DEPTH)]
    pub depth: u32,

    /// Memory for chunks and their records at most, such as 256M. By default 1G, or a quarter of the memory that there is
    /// where that is less. Where more would be needed, each worker gets fewer chunks, then there are fewer workers, and
    /// --stats says so.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<usize>,

    /// Read past the page cache, with O_DIRECT, where the file system allows it.
    #[arg(long)]
    pub direct: bool,
}

/// Where the kernel runs.
#[derive(Debug, Clone, clap::Args)]
pub struct BackendArgs {
    /// Where the kernel runs: `cpu` (threads), `opencl`, `cuda`, or `auto`: CUDA if there is a GPU for it, else an OpenCL
    /// GPU, else threads. `gristmill doctor` lists what there is.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: BackendChoice,

    /// The device of --backend opencl or cuda, by its number in `gristmill doctor`. Without it the first that can run the
    /// kernel, GPUs first.
    #[arg(long, value_name = "N")]
    device: Option<usize>,
}

/// Back ends by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BackendChoice {
    /// The best there is.
    Auto,
    /// Worker threads.
    Cpu,
    /// An OpenCL device.
    Opencl,
    /// An NVIDIA GPU.
    Cuda,
}

impl BackendArgs {
    /// The back end that was asked for.
    ///
    /// # Errors
    /// Why it is not available, in words.
    pub fn open(&self) -> Result<Opened, String> {
        let name = match self.backend {
            BackendChoice::Auto => BackendName::Auto,
            BackendChoice::Cpu => BackendName::Cpu,
            BackendChoice::Opencl => BackendName::OpenCl,
            BackendChoice::Cuda => BackendName::Cuda,
        };
        backend::open(name, self.device).map_err(|error| error.to_string())
    }

    /// The back end that was asked for, for chunks in the peer memory of a PCI device: only the processor's threads see that
    /// memory, so `auto` means them.
    ///
    /// # Errors
    /// Where another was asked for, in words.
    pub fn open_beside_peer_memory(&self) -> Result<Opened, String> {
        match self.backend {
            BackendChoice::Auto => Self {
                backend: BackendChoice::Cpu,
                ..self.clone()
            }
            .open(),
            BackendChoice::Cpu => self.open(),
            BackendChoice::Opencl | BackendChoice::Cuda => Err(
                "--peer-memory: a kernel on that device does not see the memory of another; use --backend cpu".into(),
            ),
        }
    }
}

/// Read paths by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ReadPathArg {
    /// io_uring, and positioned reads where it is refused.
    Auto,
    /// io_uring.
    Registered,
    /// Positioned reads.
    Positioned,
    /// NVMe Read commands.
    Passthrough,
    /// O_DIRECT reads into peer memory.
    Peer,
}

impl EngineArgs {
    /// Worker threads, where they were not said one for each core.
    pub fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        }
    }

    /// The mill that these flags describe.
    ///
    /// # Errors
    /// A value out of range, in words.
    pub fn mill(&self, ordered: bool) -> Result<Mill, String> {
        let backend = match self.peer_memory {
            Some(_) => self.backend.open_beside_peer_memory()?,
            None => self.backend.open()?,
        };
        let builder = Mill::builder()
            .backend(backend)
            .workers(self.workers)
            .depth(self.depth)
            .direct(self.direct)
            .read_path(match self.read_path {
                ReadPathArg::Auto => ReadPathChoice::Auto,
                ReadPathArg::Registered => ReadPathChoice::Registered,
                ReadPathArg::Positioned => ReadPathChoice::Positioned,
                ReadPathArg::Passthrough => ReadPathChoice::Passthrough,
                ReadPathArg::Peer => ReadPathChoice::Peer,
            })
            .ordered(ordered);
        let builder = match self.chunk_size {
            Some(bytes) => builder.chunk_bytes(bytes),
            None => builder,
        };
        let builder = match self.memory {
            Some(bytes) => builder.memory(bytes),
            None => builder,
        };
        let builder = match &self.peer_memory {
            Some(address) => builder.peer_memory(address),
            None => builder,
        };
        builder.build().map_err(|error| advice::mill(&error))
    }
}

/// Workers as -j gives them: 0 is one for each core.
pub fn workers(asked: u16) -> usize {
    match usize::from(asked) {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}

/// A size in bytes, with K, M or G for powers of 1,024.
pub fn parse_size(text: &str) -> Result<usize, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 10),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 20),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "not a size; write a number of bytes, such as 262144 or 256K".into())
}

/// What a run tells beside its rows.
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// End with the path that was taken, on standard error: back end, read path, bytes by call, queue depth, time by
    /// stage. The manual explains each line.
    #[arg(long)]
    pub stats: bool,

    /// Show no progress. It is shown on a terminal only, and only when a run takes more than a second.
    #[arg(long)]
    pub no_progress: bool,

    /// Record every slot that runs and its results in this file, which `gristmill replay` runs again. It is created, or
    /// takes the place of an earlier log; any other file is left as it is. The run does not read it. A slot, which is a
    /// chunk of a file, takes 160 bytes, the file's path, and
    /// its results: 1,024 bytes for `stats`, 8 for each record of `scan` and `run` and each accumulator. Standard input
    /// and FIFOs, which cannot be read again, are kept in it whole.
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
}

/// Lets the process open as many files as its hard limit allows: the soft one is low for the sake of programs that use
/// `select`. How many a run has open follows from it.
pub fn raise_descriptor_limit() {
    use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    // Where that is refused, the soft limit stands, and a run keeps within it.
    let _ = setrlimit(Resource::Nofile, wanted);
}

/// How a command ended, short of its own answer.
#[derive(Debug)]
pub struct Ended {
    /// The run's report.
    pub report: RunReport,
    /// Whether something failed, and was told.
    pub failed: bool,
    /// Whether the user ended it.
    pub interrupted: bool,
    /// Whether the reader of standard output went away.
    pub unread: bool,
}

impl Ended {
    /// The exit code: 2 for failures, after a signal 128 and its number (130 for SIGINT), else what the command found.
    pub fn code(&self, answer: u8) -> ExitCode {
        if self.interrupted {
            ExitCode::from(signals::code().unwrap_or(130))
        } else if self.failed {
            ExitCode::from(2)
        } else {
            ExitCode::from(answer)
        }
    }
}

/// Standard output, unbuffered, so that its errors are seen. A signal ends a wait for its reader. Where the process was
/// started without one, each write fails.
///
/// # Errors
/// In words, where there is no standard output.
pub fn stdout() -> Result<Output, String> {
    let stdout = match gristmill_stdio::check(gristmill_stdio::Stream::Out) {
        Ok(()) => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        // What is open for reading alone answers a write as what is closed does.
        Err(_) => File::open("/dev/null"),
    };
    stdout
        .map(Output::new)
        .map_err(|error| format!("standard output: {error}; open it, or redirect it to /dev/null"))
}

/// What became of writing to standard output. That nobody reads any more is no failure: the command ends quietly.
///
/// # Errors
/// Other failures, in words.
pub fn written(result: io::Result<()>) -> Result<(), String> {
    match result {
        Ok(()) => Ok(()),
        // Nobody took it by the time a signal came, which is told by the exit code.
        Err(error)
            if error.kind() == io::ErrorKind::BrokenPipe || source::Ended::is_said_by(&error) =>
        {
            Ok(())
        }
        Err(error) => Err(format!(
            "standard output: {error}; what was not written is lost"
        )),
    }
}

/// Tells an error on standard error, in one line whatever the names in it hold.
pub fn complain(error: &str) {
    let mut line = String::with_capacity(error.len());
    for character in error.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {line}");
}

/// Tells an error that shows a place in a text, in several lines: of names in it, nothing breaks a line.
pub fn complain_in_lines(error: &str) {
    // Nothing can be done where standard error is closed.
    let _ = writeln!(io::stderr(), "gristmill: {error}");
}

/// Says that a signal has ended a command.
pub fn tell_interrupted() {
    complain("interrupted: what was done so far is above");
}

/// What a run writes.
#[derive(Default)]
struct Outputs {
    log: Option<File>,
    /// Its files, and whether they are empty ones to whoever reads them.
    written: Vec<(FileId, bool)>,
}

/// Opens the log, if one is wanted, and tells the source of it.
fn open_outputs(path: Option<&Path>, source: &mut impl Source) -> Result<Outputs, String> {
    let mut all = Outputs::default();
    if let Some(file) = FileId::of_redirected_stdout() {
        let empty = stdout()?.is_empty();
        all.written.push((file, empty));
    }
    let Some(path) = path else {
        return Ok(all);
    };
    let shown = path.display();
    let own = Replaces::Own {
        magic: &MAGIC,
        name: "a ring log",
    };
    let opened = outputs::open(path, own, |file| {
        source
            .written(file)
            .map(|named| named.display().to_string())
    });
    let log = opened.map_err(|why| format!("{shown}: {why}; record to another file"))?;
    let file = FileId::of(&log).map_err(|error| format!("{shown}: {error}"))?;
    // One that was there has been told of already; a new one has not.
    source.written(file);
    all.written.push((file, false));
    all.log = Some(log);
    Ok(all)
}

/// Runs a job: a signal ends it early, progress is shown, failures are told.
///
/// # Errors
/// Where the run cannot start, in words.
pub fn run<J: Job + 'static>(
    mill: &Mill,
    mut source: impl Source + 'static,
    job: Arc<J>,
    output: &mut dyn Write,
    args: &ReportArgs,
    estimate: Option<Estimate>,
) -> Result<Ended, String> {
    let outputs = open_outputs(args.record.as_deref(), &mut source)?;
    let mut control = Control::with_stop(signals::watch()?);
    for (file, empty) in outputs.written {
        control = control.writing(file, empty);
    }
    if let Some(log) = outputs.log {
        control = control.record(Output::new(log));
    }
    let shown = Shown::start(control.progress(), estimate, !args.no_progress);
    let told = shown.clone();
    let control = control.on_error(move |error| {
        told.aside(|| complain(&advice::file(error)));
    });
    let mut output = shown.writer(output);
    let result = mill.run(source, job, &mut output, &control);
    shown.finish();
    let report = result.map_err(|error| advice::mill(&error))?;
    let mut failed = report.failures > 0;
    let mut unread = false;
    let mut given_up = false;
    if let Err(error) = &report.output {
        unread = error.kind() == io::ErrorKind::BrokenPipe;
        given_up = source::Ended::is_said_by(error);
        if !unread && !given_up {
            failed = true;
            complain(&format!(
                "standard output: {error}; what was not written is lost"
            ));
        }
    }
    if let (Err(error), Some(path)) = (&report.record, &args.record) {
        failed = true;
        complain(&format!("{}: {error}", path.display()));
    }
    if args.stats {
        // Nothing can be done where standard error is closed.
        let _ = io::stderr().write_all(report::text(&report).as_bytes());
    }
    let interrupted = given_up || report.stopped && report.output.is_ok() && report.record.is_ok();
    if given_up {
        complain("interrupted: rows that nobody took are lost");
    } else if interrupted {
        tell_interrupted();
    }
    Ok(Ended {
        report,
        failed,
        interrupted,
        unread,
    })
}

/// Ends a command whose last rows are its own: writes them, and tells when that fails.
pub fn write_last(output: &mut dyn Write, rows: &[u8], ended: &mut Ended) {
    if ended.unread || ended.report.output.is_err() {
        return;
    }
    let result = output.write_all(rows).and_then(|()| output.flush());
    ended.unread = result.is_err();
    if let Err(error) = written(result) {
        ended.unread = false;
        ended.failed = true;
        complain(&error);
    }
}
