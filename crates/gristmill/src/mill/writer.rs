//! The caller's thread of a run: it writes rows, tells errors, and looks after the kernel and the caller's wish to stop.

use super::report::FileError;
use super::run::Run;
use super::Control;
use crate::jobs::Job;
use gristmill_megakernel::{Kernel, KernelError};
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How writing the rows went.
pub(super) struct Written {
    pub bytes: u64,
    pub time: Duration,
    pub result: io::Result<()>,
}

impl<J: Job> Run<J> {
    /// The kernel runs no more: ends the run with what was done, and says why.
    fn break_off(&self, error: KernelError) {
        let reason = format!("{error}; files that are not finished or not named are left undone");
        if !self.broken.swap(true, Ordering::AcqRel) {
            self.control.kernel_failed(error);
            self.fail(FileError {
                path: None,
                offset: None,
                reason,
                notice: false,
            });
            self.wake();
        }
    }

    /// Writes rows and reports errors until the run is over, or until the kernel has failed; on the caller's thread.
    pub fn pump_output(
        &self,
        kernel: &Kernel,
        output: &mut dyn Write,
        control: &Control,
    ) -> Written {
        let mut written = Written {
            bytes: 0,
            time: Duration::ZERO,
            result: Ok(()),
        };
        let mut rows = Vec::new();
        loop {
            if let Some(error) = kernel.failure() {
                self.break_off(error);
            }
            if self.control.stopped() {
                kernel.cancel();
            }
            let (errors, finished) = self.outbox.take(&mut rows);
            for error in &errors {
                control.report(error);
            }
            if !rows.is_empty() && written.result.is_ok() {
                let began = Instant::now();
                written.result = output.write_all(&rows).and_then(|()| output.flush());
                written.time += began.elapsed();
                if written.result.is_ok() {
                    written.bytes += rows.len() as u64;
                } else {
                    self.outbox.close();
                    control.stop();
                }
            }
            if !rows.is_empty() || !errors.is_empty() {
                self.outbox.written(&mut rows);
                // There is room for more.
                self.wake();
            }
            if finished {
                return written;
            }
        }
    }
}
