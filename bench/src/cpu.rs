//! Processor time.

use nix::sys::resource::{getrusage, UsageWho};

/// The processor time used so far, in seconds, by this process or thread, or by all children that the process has waited for.
pub fn cpu_seconds(of: UsageWho) -> Result<f64, String> {
    let usage = getrusage(of).map_err(|error| error.to_string())?;
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    Ok(seconds(usage.user_time()) + seconds(usage.system_time()))
}
