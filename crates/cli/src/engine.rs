//! The flags that say how files are read and where the kernel runs.

use super::advice;
use super::size::parse_size;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gristmill::decode::Decode;
use gristmill::megakernel::backend::{self, BackendName, SelectedBackend};
use gristmill::mill::Mill;
use gristmill::uring::reader::{ReadPath, ReadPathChoice};

/// How files are read and where the kernel runs.
#[derive(Debug, Clone, clap::Args)]
pub struct EngineArgs {
    /// The number of worker threads, each with a reader of its own. 0 means one for each core.
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

    /// How bytes are read into memory: `registered` (io_uring), `positioned` (pread), `passthrough` (NVMe commands for
    /// the blocks of files on ext4 or XFS, bypassing the page cache), `peer` (O_DIRECT, into --peer-memory), or `auto`:
    /// io_uring, and pread where io_uring is refused. A file that passthrough or peer cannot read is a failure;
    /// `gristmill doctor FILE` shows why.
    #[arg(long, value_name = "PATH", default_value = "auto", value_parser = read_path_parser(READ_PATHS))]
    pub read_path: ReadPathChoice,

    /// Put chunks into the peer memory of the PCI device at this address, such as 0000:03:00.0; `gristmill doctor`
    /// lists devices with peer memory. The kernel accesses it over the bus, so it must run on the CPU: --backend auto
    /// then means cpu. Choose a read path into peer memory: peer, passthrough, or positioned, which copies by the CPU.
    /// --workers, --depth and --chunk-size determine how much memory is needed. If the device is removed during the
    /// run, SIGBUS ends the process.
    #[arg(long, value_name = "ADDRESS")]
    pub peer_memory: Option<String>,

    /// The chunk size in bytes, such as 256K or 2M. The default is 1M for digest by crc32c and for scan -c, whose
    /// result for a chunk is a single number, and 512K otherwise.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub chunk_size: Option<usize>,

    /// The maximum number of reads in flight for each worker.
    #[arg(long, value_name = "NUM", default_value_t = gristmill::mill::DEFAULT_DEPTH)]
    pub depth: u32,

    /// The memory limit for chunks and their records, such as 256M. The default is 1G, or a quarter of the available
    /// memory if that is less. If more would be needed, first each worker gets fewer chunks, then the run gets fewer
    /// workers, and --stats reports that.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<usize>,

    /// Bypass the page cache with O_DIRECT, where the file system allows it.
    #[arg(long)]
    pub direct: bool,
}

/// Where the kernel runs.
#[derive(Debug, Clone, clap::Args)]
pub struct BackendArgs {
    /// Where the kernel runs: `cpu` (threads), `opencl`, `cuda`, or `auto`: a CUDA GPU if one is available, else an
    /// OpenCL GPU, else threads. `gristmill doctor` lists the available ones.
    #[arg(long, value_name = "NAME", default_value = "auto")]
    backend: BackendChoice,

    /// The device of --backend opencl or cuda, by its number in `gristmill doctor`. The default is the first that can
    /// run the kernel, GPUs first.
    #[arg(long, value_name = "N")]
    device: Option<usize>,
}

/// Back ends by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BackendChoice {
    /// The best available one.
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
    /// A message that says why it is not available.
    pub fn open(&self) -> Result<SelectedBackend, String> {
        let name = match self.backend {
            BackendChoice::Auto => BackendName::Auto,
            BackendChoice::Cpu => BackendName::Cpu,
            BackendChoice::Opencl => BackendName::OpenCl,
            BackendChoice::Cuda => BackendName::Cuda,
        };
        backend::open(name, self.device).map_err(|error| advice::kernel(&error))
    }

    /// The back end that was asked for, for chunks that are read by this path into peer memory at this address, if one
    /// is given: only the processor's threads see that memory, so `auto` then means them.
    ///
    /// # Errors
    /// A message, if it is not available or does not see that memory, or if the path has no memory to read into.
    pub fn open_for(
        &self,
        path: ReadPathChoice,
        peer_memory: Option<&str>,
    ) -> Result<SelectedBackend, String> {
        check_peer_memory(path, peer_memory)?;
        match peer_memory {
            None => self.open(),
            Some(_) => self.open_cpu(
                "--peer-memory: a kernel on that device does not see the memory of another; use --backend cpu",
            ),
        }
    }

    /// The processor's threads, which `auto` means, too, where nothing else will do.
    ///
    /// # Errors
    /// `refusal`, if another back end was asked for.
    fn open_cpu(&self, refusal: &str) -> Result<SelectedBackend, String> {
        match self.backend {
            BackendChoice::Auto | BackendChoice::Cpu => self.open_named(),
            BackendChoice::Opencl | BackendChoice::Cuda => Err(refusal.to_owned()),
        }
    }

    /// The back end that was asked for by its name; `auto` means the processor's threads.
    ///
    /// # Errors
    /// A message that says why it is not available.
    fn open_named(&self) -> Result<SelectedBackend, String> {
        match self.backend {
            BackendChoice::Auto => {
                let cpu = Self {
                    backend: BackendChoice::Cpu,
                    ..self.clone()
                };
                let opened = cpu.open()?;
                Ok(SelectedBackend {
                    why: "the default, as a device would do a part of this at most".into(),
                    ..opened
                })
            }
            _ => self.open(),
        }
    }
}

/// Takes the names of these read paths.
pub fn read_path_parser<const N: usize>(
    paths: [ReadPathChoice; N],
) -> impl TypedValueParser<Value = ReadPathChoice> {
    PossibleValuesParser::new(paths.map(ReadPathChoice::name))
        .try_map(|name| name.parse::<ReadPathChoice>())
}

/// The read paths that a mill takes.
const READ_PATHS: [ReadPathChoice; 5] = [
    ReadPathChoice::Auto,
    ReadPathChoice::Only(ReadPath::RegisteredMappedRead),
    ReadPathChoice::Only(ReadPath::PositionedRead),
    ReadPathChoice::Only(ReadPath::GpuDirectNvmePassthrough),
    ReadPathChoice::Only(ReadPath::PeerRead),
];

/// Checks that peer memory was given if the read path needs it.
///
/// # Errors
/// A message that names the missing flag.
fn check_peer_memory(path: ReadPathChoice, memory: Option<&str>) -> Result<(), String> {
    if path != ReadPathChoice::Only(ReadPath::PeerRead) || memory.is_some() {
        return Ok(());
    }
    Err(
        "--read-path peer needs memory to read into; give --peer-memory and the address of a device that `gristmill \
         doctor` lists"
            .into(),
    )
}

impl EngineArgs {
    /// The number of worker threads; by default one for each core.
    pub fn threads(&self) -> usize {
        workers(self.workers)
    }

    /// The mill that these flags describe.
    ///
    /// # Errors
    /// A message about a value out of range.
    pub fn mill(&self, ordered: bool) -> Result<Mill, String> {
        self.mill_that_decodes(ordered, Decode::default())
    }

    /// The mill that these flags describe, which decodes files so.
    ///
    /// # Errors
    /// A message about a value out of range.
    pub fn mill_that_decodes(&self, ordered: bool, decode: Decode) -> Result<Mill, String> {
        let backend = (self.backend).open_for(self.read_path, self.peer_memory.as_deref())?;
        self.mill_on(backend, ordered, decode)
    }

    /// The mill that these flags describe, which decodes files so, for a job that runs on the processor's threads alone:
    /// `auto` means them.
    ///
    /// # Errors
    /// `refusal`, if another back end was asked for, or a message about a value out of range.
    pub fn mill_on_cpu(
        &self,
        ordered: bool,
        decode: Decode,
        refusal: &str,
    ) -> Result<Mill, String> {
        check_peer_memory(self.read_path, self.peer_memory.as_deref())?;
        let backend = self.backend.open_cpu(refusal)?;
        self.mill_on(backend, ordered, decode)
    }

    /// The mill that these flags describe, which decodes files so, for a job of which a device does a part and the host the
    /// rest: a device runs it if it is named, and `auto` means the processor's threads.
    ///
    /// # Errors
    /// A message about a back end that is not available, or a value out of range.
    pub fn mill_shared(&self, ordered: bool, decode: Decode) -> Result<Mill, String> {
        let backend = match self.peer_memory.as_deref() {
            Some(address) => self.backend.open_for(self.read_path, Some(address))?,
            None => {
                check_peer_memory(self.read_path, None)?;
                self.backend.open_named()?
            }
        };
        self.mill_on(backend, ordered, decode)
    }

    fn mill_on(
        &self,
        backend: SelectedBackend,
        ordered: bool,
        decode: Decode,
    ) -> Result<Mill, String> {
        let builder = Mill::builder()
            .backend(backend)
            .workers(self.workers)
            .depth(self.depth)
            .direct(self.direct)
            .read_path(self.read_path)
            .ordered(ordered)
            .decode(decode);
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

/// The number of workers that -j asks for: 0 means one for each core.
pub fn workers(asked: usize) -> usize {
    match asked {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        workers => workers,
    }
}
