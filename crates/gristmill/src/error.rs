//! What can go wrong with a file of a run, or with the run itself.

use crate::source::ReplacedByLink;
use gristmill_megakernel::KernelError;
use gristmill_protocol::PipelineError;
use std::path::PathBuf;
use std::sync::Arc;

/// A file, or a place in the source, that failed; or a notice, which is not a failure.
#[derive(Debug, Clone)]
pub struct FileError {
    /// The path, where one is known.
    pub path: Option<PathBuf>,
    /// The offset in the file, in bytes; `None` where reading had not begun.
    pub offset: Option<u64>,
    /// The name of the job that failed, where a run has several and the others are not affected.
    pub job: Option<Arc<str>>,
    /// What happened. Its `Display` says what the user can do, if anything.
    pub kind: FileErrorKind,
}

impl FileError {
    /// An error without an offset in the file.
    pub fn new(path: Option<PathBuf>, kind: FileErrorKind) -> Self {
        Self {
            path,
            offset: None,
            job: None,
            kind,
        }
    }

    /// Whether this is only a notice, and not a failure.
    pub fn is_notice(&self) -> bool {
        matches!(self.kind, FileErrorKind::Notice { .. })
    }
}

impl std::fmt::Display for FileError {
    /// `PATH: offset N: JOB: reason`, without the parts that are not known. A path is shown as it is: the program that
    /// prints it escapes what breaks a line.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "{}: ", path.display())?;
        }
        if let Some(offset) = self.offset {
            write!(f, "offset {offset}: ")?;
        }
        if let Some(job) = &self.job {
            write!(f, "{job}: ")?;
        }
        self.kind.fmt(f)
    }
}

/// What happened to a file, or to the run.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FileErrorKind {
    /// The source could not list this: a directory that cannot be opened, or a line that is not a name.
    #[error("{reason}")]
    Listing {
        /// Why, and what to do.
        reason: String,
    },
    /// The file could not be opened.
    #[error("{reason}")]
    Open {
        /// The system's error number, positive; `None` where the mill itself refused.
        errno: Option<i32>,
        /// Why.
        reason: String,
    },
    /// The file, or a directory on the way to it, has been replaced by a symbolic link, and links are not followed.
    #[error("{ReplacedByLink}")]
    ReplacedByLink,
    /// The file could not be read further.
    #[error("{reason}")]
    Read {
        /// Why.
        reason: String,
    },
    /// The file would have to be decompressed or decoded on the processor, but the read path has no fallback.
    #[error("it would have to be {what} on the CPU, which this read path does not support; choose another")]
    NotDecoded {
        /// What would have to be done: `decompressed` or `decoded`.
        what: &'static str,
    },
    /// The file is shorter than it was when its first chunk was read.
    #[error("the file shrank while it was read: it had {size} bytes")]
    Shrank {
        /// Its size then, in bytes.
        size: u64,
    },
    /// A program has more records of one block than it declares.
    #[error(
        "more records than the program declares in one block of {block_bytes} bytes; declare more, or a smaller align"
    )]
    TooManyRecords {
        /// The block's size in bytes.
        block_bytes: usize,
    },
    /// The job's opcode faulted, and [`Job::fault`](crate::jobs::Job::fault) says why.
    #[error("{reason}")]
    Fault {
        /// Why, and what to do.
        reason: String,
    },
    /// An opcode whose records overflowed asks to be resumed at a byte that is no further than where it was last
    /// resumed.
    #[error("the kernel goes on where it has been before; please report this")]
    ResumedInPlace,
    /// The job's own code panicked.
    #[error("the job panicked; its message says where, please report it to the job's author")]
    JobPanicked,
    /// A reader panicked, and the run ended early.
    #[error(
        "a reader panicked, and the run ended early; its message says where, please report it"
    )]
    ReaderPanicked,
    /// The kernel failed, and the run ended early.
    #[error("{0}; files that are unfinished or not yet listed were not processed")]
    KernelFailed(KernelError),
    /// The kernel had failed before the end of this file was reached.
    #[error("not read further, as the kernel had failed; run again for it")]
    Unfinished,
    /// The kernel, or a reader, refused the file's chunk.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// A message that is not a failure, such as a bad pattern in an ignore file.
    #[error("{text}")]
    Notice {
        /// What.
        text: String,
    },
}

impl From<std::io::Error> for FileErrorKind {
    /// An open that failed.
    fn from(error: std::io::Error) -> Self {
        if error
            .get_ref()
            .is_some_and(|error| error.is::<ReplacedByLink>())
        {
            return FileErrorKind::ReplacedByLink;
        }
        FileErrorKind::Open {
            errno: error.raw_os_error(),
            reason: error.to_string(),
        }
    }
}
