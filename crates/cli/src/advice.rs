//! Advice on errors of the library, in terms of the command line's flags.

use gristmill::jobs::run::ArgumentError;
use gristmill::jobs::scan::{ScanError, ScanErrorKind};
use gristmill::jobs::sweep::SweepError;
use gristmill::megakernel::KernelError;
use gristmill::mill::{FileError, FileErrorKind, MillError, Setting};
use gristmill::program::ProgramError;
use gristmill::source::GlobError;
use std::fmt::Display;

/// An error, followed by the flags that help, in brackets.
fn with(error: &dyn Display, flags: &str) -> String {
    format!("{error} ({flags})")
}

/// Why a run could not start.
pub fn mill(error: &MillError) -> String {
    let flags = match error {
        MillError::PeerMemoryFull { .. } => "--workers, --depth, --chunk-size",
        MillError::Setting(setting) => match setting {
            Setting::ChunkBytes => "--chunk-size",
            Setting::Depth => "--depth",
            Setting::Workers => "--workers",
            Setting::DirectPassthrough | Setting::DirectUnaligned | Setting::PeerMemoryDirect => {
                "--direct"
            }
            Setting::BlocksUnaligned
            | Setting::PeerMemoryWithoutPath
            | Setting::DeviceRangeByOtherPath => "--read-path",
            Setting::PeerMemoryOnDevice => "--backend cpu",
            _ => return error.to_string(),
        },
        MillError::Kernel(failure) => return of_kernel(error, failure),
        _ => return error.to_string(),
    };
    with(error, flags)
}

/// Why the kernel could not be launched, or why it ended.
pub fn kernel(error: &KernelError) -> String {
    of_kernel(error, error)
}

/// An error whose cause is this one of the kernel.
fn of_kernel(error: impl Display, cause: &KernelError) -> String {
    kernel_flags(cause).map_or_else(|| error.to_string(), |flags| with(&error, flags))
}

fn kernel_flags(error: &KernelError) -> Option<&'static str> {
    match error {
        KernelError::Driver { .. }
        | KernelError::OutOfMemory { .. }
        | KernelError::DeviceLost { .. }
        | KernelError::DeviceStuck { .. }
        | KernelError::NoDevice { .. }
        | KernelError::Unsupported { .. } => Some("--backend cpu runs without a device"),
        KernelError::Refused { .. } => Some(
            "--device chooses another, which `gristmill doctor` lists; --backend cpu runs without one",
        ),
        KernelError::NoSuchDevice { .. } => Some("`gristmill doctor` lists the devices"),
        KernelError::NoDevicesToChoose => Some("such as --backend opencl"),
        KernelError::Thread { .. } | KernelError::Workers { .. } => Some("--workers"),
        _ => None,
    }
}

/// What happened to a file.
pub fn file(error: &FileError) -> String {
    match &error.kind {
        FileErrorKind::ReplacedByLink => with(error, "-L follows links"),
        FileErrorKind::NotDecoded { .. } => with(error, "--read-path auto or positioned"),
        FileErrorKind::KernelFailed(failure) => of_kernel(error, failure),
        _ => error.to_string(),
    }
}

/// Whether an error is about opening, listing or reading files, rather than about the run.
pub fn is_about_reading(error: &FileError) -> bool {
    matches!(
        error.kind,
        FileErrorKind::Listing { .. }
            | FileErrorKind::Open { .. }
            | FileErrorKind::ReplacedByLink
            | FileErrorKind::Read { .. }
            | FileErrorKind::NotDecoded { .. }
            | FileErrorKind::Shrank { .. }
            | FileErrorKind::Notice { .. }
    )
}

/// Why a matching line is not shown.
pub fn scan(error: &ScanError) -> String {
    match error.kind {
        ScanErrorKind::LongLineUnsearched { .. } => with(error, "--max-line; -F"),
        ScanErrorKind::LineOfStreamUnsearched | ScanErrorKind::LineUnsearched(_) => {
            with(error, "-F")
        }
        ScanErrorKind::ManyRows { .. } => with(error, "--max-line; --column without --vimgrep"),
        ScanErrorKind::FileTooLarge { .. }
        | ScanErrorKind::StreamTooLarge { .. }
        | ScanErrorKind::ManyRowsOfFile { .. } => with(error, "--max-multiline"),
        ScanErrorKind::LongContext { .. } => with(error, "--max-line; -A, -B or -C"),
        ScanErrorKind::ContextOfStream => with(error, "-A, -B or -C"),
        ScanErrorKind::ContextForgotten { .. } => with(error, "-B or -C; --passthru"),
        ScanErrorKind::LongReplacement { .. } => with(error, "--max-line"),
        ScanErrorKind::LongLine { .. } => with(error, "--max-line; -c, -l or --all"),
        ScanErrorKind::LineOfStream | ScanErrorKind::LineLost(_) => with(error, "-c, -l or --all"),
        _ => error.to_string(),
    }
}

/// A pattern that is not searched for in the rest of a file.
pub fn sweep(error: &SweepError) -> String {
    with(error, "--max-match")
}

/// Why patterns are refused together.
pub fn set_memory(error: &impl std::fmt::Display) -> String {
    with(error, "--set-memory")
}

/// Why the arguments of a program are not accepted.
pub fn argument(error: &ArgumentError) -> String {
    match error {
        ArgumentError::Missing { name } => with(error, &format!("--arg {name}=VALUE")),
        _ => error.to_string(),
    }
}

/// Why a glob is not accepted.
pub fn glob(error: &GlobError) -> String {
    with(error, "-g, --iglob")
}

/// Why a program could not be loaded; in several lines if the error shows a place in a text.
pub fn program(error: &ProgramError) -> String {
    match error {
        ProgramError::Outside(_) => format!("{error}\n  allow its directory with --allow-include"),
        _ => error.to_string(),
    }
}
