//! Manifests that are objects of stores.
//!
//! Their formats are read from places that are known from their ends, so an object is fetched into a file first. Memory
//! holds no more of it than the network does.

use super::error::{ManifestError, ManifestErrorKind};
use super::read::read_file;
use super::table::Manifest;
use gristmill_ingest::object::{
    shown_name, FetchError, Fetched, Listed, Names, ObjectRef, Requests, Sink, Stores,
};
use std::fs::File;
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::mpsc::{sync_channel, SyncSender};
use std::time::Duration;

/// The bytes that a request asks for.
const RANGE: u64 = 16 << 20;

/// How long a listing is waited for at a time.
const WAIT: Duration = Duration::from_secs(1);

impl Manifest {
    /// Reads a manifest that is an object, through an empty file that keeps its bytes meanwhile: give one without a name.
    /// `sharing` is as [`Gather::sharing`](super::Gather::sharing). `None` if the URL is no object, and others lie below it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and what keeps the object from being fetched.
    pub fn fetch(
        stores: &dyn Stores,
        url: &Path,
        file: File,
        sharing: bool,
    ) -> Result<Option<Self>, ManifestError> {
        let read = || {
            let Some(object) = object(stores, url)? else {
                return Ok(None);
            };
            let mut file = fetch(&object, file)?;
            file.rewind()?;
            read_file(file, sharing).map(Some)
        };
        read().map_err(|kind| ManifestError {
            path: shown_name(url),
            kind,
        })
    }
}

/// The object of this URL.
fn object(stores: &dyn Stores, url: &Path) -> Result<Option<ObjectRef>, ManifestErrorKind> {
    let failed = |reason: String| {
        // The error is told of the URL.
        let start = format!("{}: ", shown_name(url).display());
        let reason = reason.strip_prefix(&start).unwrap_or(&reason).to_owned();
        ManifestErrorKind::Fetch { reason }
    };
    let listing = stores.open(url, Names::ObjectsOrPrefixes);
    let mut listing = listing.map_err(failed)?;
    loop {
        match listing.next() {
            Listed::Object {
                object,
                below: None,
                ..
            } => return Ok(Some(object)),
            Listed::Object { .. } | Listed::End => return Ok(None),
            Listed::Failed { reason, .. } => return Err(failed(reason)),
            Listed::Later => drop(listing.wait(WAIT)),
        }
    }
}

/// Fetches an object into a file, range by range.
fn fetch(object: &ObjectRef, mut file: File) -> Result<File, ManifestErrorKind> {
    let mut at = 0;
    loop {
        let (sender, ended) = sync_channel(1);
        let sink = Kept {
            file: file.try_clone()?,
            failed: None,
            ended: sender,
        };
        let fetching = object.0.fetch(at..at + RANGE, Box::new(sink));
        // A fetch that goes without its end has been broken off.
        let fetched = ended.recv().unwrap_or_else(|_| {
            Err(ManifestErrorKind::Fetch {
                reason: "its fetch was broken off".into(),
            })
        })?;
        drop(fetching);
        let end = file.stream_position()?;
        if fetched.end || end == at {
            return Ok(file);
        }
        at = end;
    }
}

/// Takes bytes into a file.
struct Kept {
    file: File,
    failed: Option<std::io::Error>,
    ended: SyncSender<Result<Fetched, ManifestErrorKind>>,
}

impl Sink for Kept {
    fn put(&mut self, bytes: &[u8]) -> bool {
        match self.file.write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                self.failed = Some(error);
                false
            }
        }
    }

    fn end(self: Box<Self>, result: Result<Fetched, FetchError>, _: Requests) {
        let result = match self.failed {
            Some(error) => Err(ManifestErrorKind::Keep(error)),
            None => result.map_err(|error| ManifestErrorKind::Fetch {
                reason: error.reason,
            }),
        };
        // Nobody waits where the fetch was cancelled.
        let _ = self.ended.send(result);
    }
}
