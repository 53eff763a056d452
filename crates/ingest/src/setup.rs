//! Sets up rings: which setup flags the kernel accepts, why it refuses, and the one call that enters a ring.
//!
//! Every ring of this crate is used by one thread, so it asks for `SINGLE_ISSUER` and `DEFER_TASKRUN` (the kernel then
//! does completion work only when that thread enters it), then for `COOP_TASKRUN`, then for nothing. Linux 5.11 is the
//! oldest kernel accepted: waits need its timeout argument.

use gristmill_protocol::PipelineError;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{cqueue, squeue, EnterFlags, IoUring};
use std::io;
use std::time::Duration;

/// The setup flags that a ring was made with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SetupFlags {
    /// `IORING_SETUP_SINGLE_ISSUER` (Linux 6.0): one thread submits.
    pub single_issuer: bool,
    /// `IORING_SETUP_DEFER_TASKRUN` (Linux 6.1): completion work waits until that thread asks for it.
    pub defer_taskrun: bool,
    /// `IORING_SETUP_COOP_TASKRUN` (Linux 5.19): completion work does not interrupt the thread.
    pub coop_taskrun: bool,
    /// `IORING_SETUP_SUBMIT_ALL` (Linux 5.18): one bad entry does not stop the entries after it.
    pub submit_all: bool,
}

const NONE: SetupFlags = SetupFlags {
    single_issuer: false,
    defer_taskrun: false,
    coop_taskrun: false,
    submit_all: false,
};

/// The combinations to try, from the most flags to none.
const LADDER: [SetupFlags; 4] = [
    SetupFlags {
        single_issuer: true,
        defer_taskrun: true,
        submit_all: true,
        ..NONE
    },
    SetupFlags {
        coop_taskrun: true,
        submit_all: true,
        ..NONE
    },
    SetupFlags {
        submit_all: true,
        ..NONE
    },
    NONE,
];

/// The largest number of entries that this crate asks for. The kernel's own limit is 32,768.
pub(crate) const MAX_ENTRIES: u32 = 4096;

/// Makes a ring of at least `entries` submission entries. A `disabled` ring accepts no submissions until the thread
/// that will use it has called [`enable`].
///
/// # Errors
/// [`PipelineError::IoUringSyscall`] with the kernel's errno, and advice on how to change that.
pub(crate) fn build<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    entries: u32,
    disabled: bool,
) -> Result<(IoUring<S, C>, SetupFlags), PipelineError> {
    let entries = entries.clamp(1, MAX_ENTRIES).next_power_of_two();
    let mut refusal = libc::EINVAL;
    for flags in LADDER {
        let mut builder = IoUring::<S, C>::builder();
        builder.setup_clamp();
        if flags.single_issuer {
            builder.setup_single_issuer();
        }
        if flags.defer_taskrun {
            builder.setup_defer_taskrun();
        }
        if flags.coop_taskrun {
            builder.setup_coop_taskrun();
        }
        if flags.defer_taskrun || flags.coop_taskrun {
            builder.setup_taskrun_flag();
        }
        if flags.submit_all {
            builder.setup_submit_all();
        }
        if disabled {
            builder.setup_r_disabled();
        }
        match builder.build(entries) {
            Ok(ring) if ring.params().is_feature_ext_arg() && ring.params().is_feature_nodrop() => {
                return Ok((ring, flags));
            }
            Ok(_) => return Err(refused("io_uring_setup", libc::ENOSYS)),
            Err(error) => refusal = errno_of(&error),
        }
        if refusal != libc::EINVAL {
            break;
        }
    }
    Err(refused("io_uring_setup", refusal))
}

/// Starts a ring that was made disabled; the calling thread becomes its only user.
pub(crate) fn enable(ring: &IoUring) -> Result<(), PipelineError> {
    ring.submitter()
        .register_enable_rings()
        .map_err(|error| refused("io_uring_register(ENABLE_RINGS)", errno_of(&error)))
}

/// The errno of an error that came from a system call.
pub(crate) fn errno_of(error: &io::Error) -> i32 {
    error.raw_os_error().unwrap_or(libc::EIO)
}

/// A description of a read's errno: the system's text and, if the block layer gives the errno a special meaning
/// (`blk_errors` in Linux's `block/blk-core.c`), also that. An ordinary read through the page cache reports such an
/// errno as EIO.
pub(crate) fn words_for(errno: i32) -> String {
    let meant = match errno {
        libc::ENODATA => ": the disk reports a medium error",
        libc::EREMOTEIO => ": the disk, or the way from it to this memory, cannot do this",
        libc::ENOLINK => ": the way to the disk has failed",
        libc::EILSEQ => ": the bytes do not agree with their protection",
        _ => "",
    };
    format!("{}{meant}", io::Error::from_raw_os_error(errno))
}

/// An io_uring call that failed, with what to do about it.
pub(crate) fn refused(syscall: &'static str, errno: i32) -> PipelineError {
    PipelineError::IoUringSyscall {
        syscall,
        errno,
        fix: fix_for(errno),
    }
}

fn fix_for(errno: i32) -> &'static str {
    match errno {
        libc::EPERM | libc::EACCES => {
            "allow io_uring: set sysctl kernel.io_uring_disabled to 0, and permit system calls 425 to 427 in the \
             container's seccomp profile"
        }
        libc::ENOSYS => {
            "use Linux 5.11 or later with CONFIG_IO_URING, outside of sandboxes that hide io_uring (gVisor, seccomp)"
        }
        libc::ENOMEM => {
            "raise the memory-lock limit (ulimit -l), or ask for less: a smaller depth, fewer or smaller slots"
        }
        libc::EMFILE | libc::ENFILE => "raise the limit on open files (ulimit -n)",
        libc::EFAULT => {
            "memory of a device's BAR cannot be registered: read into it by O_DIRECT or by NVMe passthrough; it must be \
             backed by p2pdma pages"
        }
        libc::EEXIST => "use a ring on the thread that made it, and on no other",
        libc::EINVAL => "use Linux 5.11 or later",
        _ => "read with positioned reads instead, and report the errno",
    }
}

/// The result of one `io_uring_enter`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entered {
    /// The kernel took this many submission entries.
    Took(u32),
    /// A signal arrived before anything happened.
    Interrupted,
    /// The wait ended without a completion.
    TimedOut,
    /// The kernel has no room or no memory at the moment, with the errno: reap, wait, and try again.
    Busy(i32),
    /// The ring cannot be used any more.
    Failed(i32),
}

/// Enters the kernel once: submits what the submission queue holds (if `submit`), and waits for `want` completions,
/// for `timeout` at most.
pub(crate) fn enter<S: squeue::EntryMarker, C: cqueue::EntryMarker>(
    ring: &mut IoUring<S, C>,
    submit: bool,
    want: u32,
    timeout: Option<Duration>,
) -> Entered {
    let (queued, attention) = {
        let queue = ring.submission();
        (queue.len(), queue.taskrun() || queue.cq_overflow())
    };
    let to_submit = if submit {
        u32::try_from(queued).unwrap_or(u32::MAX)
    } else {
        0
    };
    let mut flags = EnterFlags::empty();
    if want > 0 || attention || to_submit == 0 {
        flags |= EnterFlags::GETEVENTS;
    }
    let result = match timeout {
        Some(timeout) => {
            let timespec = Timespec::from(timeout);
            let arguments = SubmitArgs::new().timespec(&timespec);
            flags |= EnterFlags::EXT_ARG;
            // SAFETY: `arguments` is the structure that EXT_ARG announces. It and the timespec to which it points live
            // until the call returns. The entries that the kernel takes were pushed under the rules of
            // `SubmissionQueue::push`; the code that pushes them proves that.
            unsafe {
                ring.submitter()
                    .enter(to_submit, want, flags.bits(), Some(&arguments))
            }
        }
        // SAFETY: no argument is passed, so none can be wrong. For the entries, the same holds as above.
        None => unsafe {
            ring.submitter()
                .enter::<libc::sigset_t>(to_submit, want, flags.bits(), None)
        },
    };
    match result {
        Ok(taken) => Entered::Took(u32::try_from(taken).unwrap_or(u32::MAX)),
        Err(error) => match errno_of(&error) {
            libc::EINTR => Entered::Interrupted,
            libc::ETIME => Entered::TimedOut,
            errno @ (libc::EAGAIN | libc::EBUSY | libc::ENOMEM) => Entered::Busy(errno),
            errno => Entered::Failed(errno),
        },
    }
}
