//! The errors of a kernel, by kind.
//!
//! Each message says what failed, on which device, and what to do. It names no command-line flag: code that matches on
//! the kind can tell its user how to do that.

use crate::backend::device::DeviceInfo;
use gristmill_protocol::PipelineError;
use std::io;
use std::sync::Arc;

/// An error of a kernel, of a back end or of a ring log.
///
/// When converted to a [`PipelineError`], an [`InvalidConfig`](Self::InvalidConfig) becomes an `InvalidArgument`, a
/// [`Pipeline`](Self::Pipeline) becomes the error that it holds, and every other error becomes a `Backend` with its
/// message.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// An API has no driver that loads, or its driver finds no device.
    #[error("{api}: {why}; {fix}")]
    NoDevice {
        /// The API: `CUDA` or `OpenCL`.
        api: &'static str,
        /// What is missing.
        why: String,
        /// What to install.
        fix: &'static str,
    },
    /// A device number was given, but no back end that has devices.
    #[error("a device of no back end was chosen; name the back end of the device, or leave the device out")]
    NoDevicesToChoose,
    /// There is no device with this number.
    #[error("there is no {api} device {number}: there are {count}; choose a lower number")]
    NoSuchDevice {
        /// The API.
        api: &'static str,
        /// The requested number.
        number: usize,
        /// The number of devices.
        count: usize,
    },
    /// A device cannot run the kernel.
    #[error("{api} device {number} ({device}) cannot run the kernel: {why}; choose another device or another back end")]
    Refused {
        /// The API.
        api: &'static str,
        /// The device's number.
        number: usize,
        /// Its name.
        device: String,
        /// Why it cannot.
        why: String,
    },
    /// A call of a device's driver failed.
    #[error("{api}: {call} failed{}: {cause}; look at the driver's messages (dmesg), or use another back end", on(device))]
    Driver {
        /// The API.
        api: &'static str,
        /// The call, or a description if several calls were needed.
        call: &'static str,
        /// The device's name, if a device was already chosen.
        device: Option<String>,
        /// The driver's error number, if it gave one.
        code: Option<i32>,
        /// The reason for the failure, as the driver reports it.
        cause: String,
    },
    /// A device, or its host, has too little memory.
    #[error("{api}: {call} failed{}: there is no room for {bytes} bytes; use fewer or smaller chunks, or another back end", on(device))]
    OutOfMemory {
        /// The API.
        api: &'static str,
        /// The call.
        call: &'static str,
        /// The device's name.
        device: Option<String>,
        /// The requested number of bytes.
        bytes: usize,
    },
    /// A device that runs the kernel has stopped making progress. Slots that were in flight will not complete.
    #[error("{device} ({backend}) has given no sign of life for {seconds} s while {in_flight} slots were in flight; look at the driver's messages (dmesg), or use another back end")]
    DeviceLost {
        /// The back end.
        backend: &'static str,
        /// The device's name.
        device: String,
        /// The number of seconds during which nothing moved.
        seconds: u64,
        /// The number of slots that were published and had not completed.
        in_flight: u32,
    },
    /// A device was asked to leave the kernel, but did not.
    #[error("{device} ({backend}) did not leave the kernel, and gave no sign of life for {seconds} s; {threads} threads are left behind")]
    DeviceStuck {
        /// The back end.
        backend: &'static str,
        /// The device's name.
        device: String,
        /// The number of seconds during which nothing moved.
        seconds: u64,
        /// The number of threads of this process that still wait for the device.
        threads: usize,
    },
    /// A device cannot do something that the processor's threads can do.
    #[error("{what}; {fix}, or use the back end `cpu`")]
    Unsupported {
        /// What a device cannot do, and why.
        what: &'static str,
        /// What to do instead.
        fix: &'static str,
    },
    /// A device would run a number of workers that the kernel does not support.
    #[error("{device} would run {workers} workers, and 1 to {most} are possible; use another number of workers")]
    Workers {
        /// The device's name.
        device: String,
        /// The number of workers that it would run.
        workers: u32,
        /// The largest possible number.
        most: usize,
    },
    /// The environment asks for a vector unit that this processor does not have.
    #[error("{0}")]
    VectorUnit(String),
    /// A setting that is never valid.
    #[error("invalid argument: {what}: {fix}")]
    InvalidConfig {
        /// The invalid setting.
        what: &'static str,
        /// The advice on what to set instead.
        fix: &'static str,
    },
    /// The system cannot start another thread.
    #[error("cannot start {thread}: {cause}; use fewer workers")]
    Thread {
        /// The name of the thread.
        thread: String,
        /// Why the system refused it.
        #[source]
        cause: Arc<io::Error>,
    },
    /// Threads of the kernel panicked, and no slot could be blamed for it.
    #[error("{threads} ended in a panic outside of a slot; please report this")]
    Panicked {
        /// The names of the threads.
        threads: String,
    },
    /// A set of patterns is too large to search for.
    #[error("the patterns cannot be compiled: {0}; use fewer or shorter ones")]
    Patterns(String),
    /// A program cannot be written into a ring log.
    #[error("the program to record: {0}")]
    RecordProgram(String),
    /// A ring log cannot be written.
    #[error("the ring log cannot be written: {0}; what it holds so far can be replayed; record elsewhere for the rest")]
    WriteLog(#[source] Arc<io::Error>),
    /// A ring log cannot be read.
    #[error("the ring log: offset {offset}: {cause}; check what it is stored on")]
    ReadLog {
        /// The offset up to which the log was read, in bytes.
        offset: u64,
        /// The reason why it cannot be read further.
        #[source]
        cause: Arc<io::Error>,
    },
    /// An error of the ring or of the protocol.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// ` on DEVICE`, where the device is known.
fn on(device: &Option<String>) -> String {
    device
        .as_ref()
        .map_or_else(String::new, |device| format!(" on {device}"))
}

impl KernelError {
    /// The same error, with the device's name.
    pub(crate) fn on(mut self, info: &DeviceInfo) -> Self {
        if let Self::Driver { device, .. } | Self::OutOfMemory { device, .. } = &mut self {
            device.get_or_insert_with(|| info.name.clone());
        }
        self
    }
}

impl From<KernelError> for PipelineError {
    fn from(error: KernelError) -> Self {
        match error {
            KernelError::InvalidConfig { what, fix } => Self::InvalidArgument { what, fix },
            KernelError::Pipeline(error) => error,
            other => Self::Backend(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_device_once_it_is_known_and_become_what_callers_match() {
        let info = DeviceInfo {
            backend: "cuda",
            name: "a GPU".into(),
            driver: String::new(),
            details: String::new(),
        };
        let full = KernelError::OutOfMemory {
            api: "CUDA",
            call: "cuMemAlloc",
            device: None,
            bytes: 64,
        };
        let text = full.clone().on(&info).to_string();
        assert!(
            text.starts_with("CUDA: cuMemAlloc failed on a GPU: there is no room for 64 bytes;")
        );
        assert!(full.to_string().contains("cuMemAlloc failed: "));
        let told = PipelineError::from(full.on(&info));
        assert!(matches!(told, PipelineError::Backend(told) if told == text));

        let (what, fix) = ("a setting", "another");
        let invalid = PipelineError::from(KernelError::InvalidConfig { what, fix });
        let same = PipelineError::InvalidArgument { what, fix };
        assert_eq!(invalid.to_string(), same.to_string());
        assert!(matches!(invalid, PipelineError::InvalidArgument { .. }));
        let same = PipelineError::from(KernelError::from(same));
        assert!(matches!(same, PipelineError::InvalidArgument { .. }));
    }
}
