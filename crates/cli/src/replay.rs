//! `gristmill replay`: runs a recorded run again, and compares its results word by word.

use super::engine::{workers, BackendArgs};
use super::{advice, messages, signals, stdout};
use gristmill::megakernel::log::Difference;
use gristmill::megakernel::protocol::opcode;
use gristmill::megakernel::RingLogReader;
use gristmill::replay::{Replay, SlotName};
use gristmill::PipelineError;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Flags of `gristmill replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The ring log that --record has written
    log: PathBuf,

    #[command(flatten)]
    backend: BackendArgs,

    /// The number of worker threads, at most 256. 0 means one for each core.
    #[arg(
        short = 'j',
        long = "workers",
        visible_alias = "threads",
        value_name = "NUM",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(0..=256)
    )]
    workers: u16,

    /// Write nothing if every slot has the same results.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs `gristmill replay`.
///
/// # Errors
/// A message, if the command cannot start.
pub fn run(args: &ReplayArgs) -> Result<ExitCode, String> {
    let shown = args.log.display();
    let file = File::open(&args.log)
        .map_err(|error| format!("{shown}: {error}; name a file that --record has written"))?;
    let of_log = |error: PipelineError| format!("{shown}: {error}");
    let mut log = RingLogReader::new(BufReader::with_capacity(256 << 10, signals::Input(file)))
        .map_err(|error| match &error {
            PipelineError::Decode { offset: 0, .. } => {
                format!("{shown}: {error} (--record writes ring logs)")
            }
            _ => of_log(error),
        })?;
    let backend = args.backend.open()?.backend;
    let stop = signals::watch()?;
    let report = Replay::new(&*backend)
        .workers(workers(args.workers.into()))
        .stop_at(&stop)
        .run(&mut log)
        .map_err(|error| format!("{shown}: {}", advice::kernel(&error)))?;
    for lost in &report.told {
        messages::complain(&lost.to_string());
    }
    if report.lost > 0 {
        messages::complain(&format!(
            "{} of {} slots could not be replayed: their bytes are not what was recorded",
            report.lost,
            log.slots()
        ));
    }
    if let Some(damage) = &report.damage {
        messages::complain(&of_log(damage.clone()));
    }
    let mut rows = String::new();
    if let Some((slot, difference)) = &report.first {
        rows += &format!("{}\n", told(slot, difference));
    }
    let (slots, read) = (report.slots, log.slots());
    let verdict = match report.differing {
        0 if slots == 0 => "nothing was replayed".into(),
        0 if slots < read => format!("the same: {slots} of {read} slots"),
        0 => format!("the same: {slots} slots"),
        differing => format!("different: {differing} of {slots} slots"),
    };
    if read == 0 && report.damage.is_none() && !report.stopped {
        messages::complain(&format!(
            "{shown}: the log holds no slots, so that there is nothing to compare; record a run that reads something"
        ));
    }
    rows += &format!(
        "{verdict}, {} bytes, recorded on {}, replayed on {}\n",
        report.bytes,
        log.about().backend,
        backend.name()
    );
    if args.quiet && report.differing == 0 {
        rows.clear();
    }
    stdout::written(stdout::open()?.write_all(rows.as_bytes()))?;
    if report.stopped {
        messages::tell_interrupted();
        return Ok(ExitCode::from(signals::code().unwrap_or(130)));
    }
    Ok(ExitCode::from(if !report.is_whole() || slots == 0 {
        2
    } else {
        u8::from(report.differing > 0)
    }))
}

/// What a slot has left otherwise than when it was recorded.
pub fn told(slot: &SlotName, difference: &Difference) -> String {
    let Difference {
        word,
        index,
        left,
        right,
    } = difference;
    let slot = name(slot);
    format!("{slot}: {word} {index}: recorded {left:#x}, replayed {right:#x}")
}

/// A slot in words: its number, its opcode, and where its bytes are.
fn name(slot: &SlotName) -> String {
    let what = match opcode::name(slot.opcode) {
        "tenant" => "a program",
        name => name,
    };
    let place = match &slot.place {
        // Control characters are escaped, as in `complain`, so that a name breaks no line.
        Some((path, offset)) => {
            let path = gristmill::jobs::names::escaped(path).1;
            format!("{}: offset {offset}", String::from_utf8_lossy(&path))
        }
        None => "bytes in the log".into(),
    };
    format!("slot {} ({what}, {place})", slot.number)
}
