//! The state of a file that has been opened, before its first read.

use super::decoders::converter;
use crate::decode::TextDecoding;
use crate::mill::descriptors::ran_out;
use crate::mill::kind::FileKind;
use crate::mill::opener::{is_passed_over, Attempt, Opened};
use crate::mill::piece::{Handle, OpenFile};
use crate::mill::run::Run;
use crate::mill::status::Status;
use crate::source::{Entry, FileFacts, Found, Origin};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};

/// The state of a file, or `None` where it cannot be read now: then it has been refused, passed over or deferred.
pub(super) fn begin(run: &Run, attempt: Attempt) -> Option<Arc<OpenFile>> {
    let Attempt {
        entry,
        opened,
        permit,
        then,
    } = attempt;
    let Opened {
        handle,
        kind,
        told,
        found,
    } = match opened {
        Ok(opened) => opened,
        Err(error) if is_passed_over(&entry, &error) => {
            run.collector.pass_over(&entry);
            return None;
        }
        Err(error) if ran_out(&error) && run.descriptors.worth_waiting(then) => {
            run.intake.defer(entry, then);
            return None;
        }
        Err(error) => {
            run.collector.refuse(&entry, error.into());
            return None;
        }
    };
    let base = match base(run, &entry, &handle, kind, found, told) {
        Ok(base) => base,
        Err(error) => {
            run.collector.refuse(&entry, error.into());
            return None;
        }
    };
    let named = (entry.origin != Origin::Stdin).then_some(entry.path.as_path());
    let converter = match run.config.decode.of_file(named) {
        None => OnceLock::new(),
        Some(decoding) => match converter(run, decoding, &handle, kind, Vec::new(), None) {
            Ok(converter) => OnceLock::from(Mutex::new(converter)),
            Err(error) => {
                run.collector.refuse(&entry, error);
                return None;
            }
        },
    };
    let in_order = kind == FileKind::Stream || converter.get().is_some();
    Some(Arc::new(OpenFile {
        entry,
        facts: match &handle {
            Handle::File(file) => FileFacts::new(found, Arc::clone(file)),
            Handle::Object(_) => FileFacts::default(),
        }
        .of_run(Arc::<Status>::clone(&run.status)),
        handle,
        raw: kind,
        fetched: OnceLock::new(),
        arrived: AtomicU64::new(0),
        converter,
        base,
        seen: AtomicU64::new(0),
        next: AtomicU64::new(u64::from(!in_order)),
        limit: AtomicU64::new(match in_order {
            false => base + run.config.layout.chunk as u64,
            true => u64::MAX,
        }),
        // A part whose file has lost the bytes before it since then has shrunk, too.
        size: AtomicU64::new(if base > 0 { told } else { 0 }),
        told,
        position: AtomicU64::new(0),
        tail: Mutex::default(),
        done: AtomicU64::new(0),
        finished: AtomicBool::new(false),
        _permit: permit.opened(),
    }))
}

/// Where the first chunk of a file begins.
fn base(
    run: &Run,
    entry: &Entry,
    handle: &Handle,
    kind: FileKind,
    found: Option<Found>,
    told: u64,
) -> io::Result<u64> {
    let Some(part) = &entry.part else {
        return Ok(0);
    };
    let (Handle::File(file), FileKind::Positioned) = (handle, kind) else {
        return Err(io::Error::other(
            "only parts of regular files can be read, and it is not one",
        ));
    };
    let decode = &run.config.decode;
    if decode.compressed || decode.text != TextDecoding::Bytes {
        return Err(io::Error::other(
            "a part of a file cannot be decoded; read the whole file, or its bytes as they are",
        ));
    }
    let from = (run.jobs.part_from(file, part, found, told)?).min(part.begin);
    Ok(from - from % run.config.layout.chunk as u64)
}
