//! A range of an object, of one version.
//!
//! The first fetch fixes the version: its size and, where the store tells it, its ETag. Every later request demands that
//! ETag (`If-Match`), and every answer is compared with it, for servers that do not look at the demand. Where a server has
//! weak ETags or none, the time of the last change stands in for it. So bytes of two versions never come together.
//!
//! A body that ends early is asked for again from where it ended: by `object_store` where it can, else here.

use super::describe::{self, CHANGED};
use super::location::Kind;
use super::service::Tally;
use super::whole::Whole;
use futures_util::StreamExt;
use gristmill_ingest::object::{FetchError, Fetched, Fetching, Object, Requests, Sink};
use object_store::client::HttpClient;
use object_store::path::Path as Key;
use object_store::{GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use tokio::runtime::Handle;
use url::Url;

/// How often the rest of a body that ended early is asked for.
const MOST_RESUMED: u32 = 4;

/// Where an object lies.
#[derive(Clone)]
pub(crate) struct Place {
    pub kind: Kind,
    pub store: Arc<dyn ObjectStore>,
    pub key: Key,
    /// Of an HTTP server: what fetches the object where the server does not support range requests.
    pub whole: Option<(HttpClient, Url)>,
    /// The URL as it was given, where rows do not show all of it.
    pub given: Option<PathBuf>,
}

/// What a listing has told of an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    pub size: u64,
}

/// The version of an object that is read.
#[derive(Debug, PartialEq)]
struct Version {
    size: u64,
    etag: Option<String>,
    modified: i64,
}

impl Version {
    fn of(meta: &ObjectMeta) -> Self {
        Self {
            size: meta.size,
            etag: meta.e_tag.clone(),
            modified: meta.last_modified.timestamp_micros(),
        }
    }

    /// Whether an answer is of this version.
    fn is(&self, meta: &ObjectMeta) -> bool {
        let found = Self::of(meta);
        match (&self.etag, &found.etag) {
            (Some(ours), Some(theirs)) => ours == theirs && self.size == found.size,
            _ => *self == found,
        }
    }

    /// The ETag to demand. A weak one matches nothing.
    fn demanded(&self) -> Option<String> {
        let etag = self.etag.as_ref()?;
        (!etag.starts_with("W/")).then(|| etag.clone())
    }
}

/// What is known of an object, and how it is asked for.
struct Remote {
    place: Place,
    known: Option<Known>,
    version: OnceLock<Version>,
    whole: Whole,
    handle: Handle,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remote")
    }
}

fn failed(reason: impl Into<String>) -> FetchError {
    FetchError {
        reason: reason.into(),
        placeholder: false,
    }
}

impl Remote {
    fn told(&self, error: &object_store::Error) -> FetchError {
        failed(describe::store(error, self.place.kind))
    }

    /// Asks for a range, or for the size alone. The version is fixed by the first answer, and compared with all others.
    async fn ask(
        &self,
        range: Option<Range<u64>>,
        tally: &Arc<Tally>,
    ) -> Result<GetResult, object_store::Error> {
        let mut options = GetOptions {
            head: range.is_none(),
            range: range.map(GetRange::Bounded),
            if_match: self.version.get().and_then(Version::demanded),
            ..GetOptions::default()
        };
        options.extensions.insert(Arc::clone(tally));
        self.place.store.get_opts(&self.place.key, options).await
    }

    /// Whether an answer is of the version that is read.
    fn check(&self, meta: &ObjectMeta) -> Result<u64, FetchError> {
        let version = self.version.get_or_init(|| Version::of(meta));
        match version.is(meta) {
            true => Ok(version.size),
            false => Err(failed(CHANGED)),
        }
    }

    async fn run(
        &self,
        range: Range<u64>,
        sink: &mut dyn Sink,
        tally: &Arc<Tally>,
    ) -> Result<Fetched, FetchError> {
        if self.whole.has_begun() {
            return self.whole(range, sink, tally).await;
        }
        let first = self.version.get().is_none();
        if first && self.known.is_some_and(|known| known.size == 0) {
            // A listing has placeholders of directories as objects without bytes, under names that lead nowhere.
            match self.ask(None, tally).await {
                Err(object_store::Error::NotFound { .. }) => {
                    return Err(FetchError {
                        reason: "it is not there any more".into(),
                        placeholder: true,
                    });
                }
                Err(error) => return Err(self.told(&error)),
                Ok(found) if found.meta.size == 0 => return self.empty(&found.meta),
                Ok(_) => {}
            }
        }
        let (mut at, mut end) = (range.start, range.end);
        let mut size = self.version.get().map(|version| version.size);
        let mut resumed = 0;
        loop {
            if size.is_some_and(|size| at >= end.min(size)) {
                break;
            }
            let found = match self.ask(Some(at..end), tally).await {
                Ok(found) => found,
                Err(error) if self.version.get().is_none() => {
                    return self.without_ranges(error, range, sink, tally).await;
                }
                Err(error) => return Err(self.told(&error)),
            };
            let whole = self.check(&found.meta)?;
            size = Some(whole);
            end = end.min(whole);
            if found.range != (at..end) {
                return Err(failed(
                    "the store returned another range than the requested one",
                ));
            }
            let ended = self.pump(found, &mut at, end, sink).await?;
            if at < end {
                // It ended early, with an error or without.
                if resumed == MOST_RESUMED {
                    return Err(failed(ended));
                }
                resumed += 1;
                tally.failed();
            }
        }
        let size = size.unwrap_or(end);
        Ok(Fetched {
            size: Some(size),
            in_ranges: true,
            end: end >= size,
        })
    }

    /// Gives the bytes of a body to the sink. Returns why the body ended, if it was early.
    async fn pump(
        &self,
        found: GetResult,
        at: &mut u64,
        end: u64,
        sink: &mut dyn Sink,
    ) -> Result<String, FetchError> {
        let mut body = found.into_stream();
        while let Some(bytes) = body.next().await {
            let bytes = match bytes {
                Ok(bytes) => bytes,
                Err(error @ object_store::Error::Precondition { .. }) => {
                    return Err(self.told(&error));
                }
                Err(error) => return Ok(describe::store(&error, self.place.kind)),
            };
            *at += bytes.len() as u64;
            if *at > end {
                return Err(failed("the store returned more bytes than requested"));
            }
            if !sink.put(&bytes) {
                return Err(failed("there is no room for the requested bytes"));
            }
        }
        Ok("its bytes end early, again and again; try later".into())
    }

    fn empty(&self, meta: &ObjectMeta) -> Result<Fetched, FetchError> {
        self.check(meta)?;
        Ok(Fetched {
            size: Some(0),
            in_ranges: true,
            end: true,
        })
    }

    /// Goes on after a refused first request: the object may be empty, or its server may know no ranges.
    async fn without_ranges(
        &self,
        error: object_store::Error,
        range: Range<u64>,
        sink: &mut dyn Sink,
        tally: &Arc<Tally>,
    ) -> Result<Fetched, FetchError> {
        let status = describe::status(&error);
        if status == Some(416) && range.start == 0 {
            if let Ok(found) = self.ask(None, tally).await {
                if found.meta.size == 0 {
                    return self.empty(&found.meta);
                }
            }
        }
        // An answer in ranges that makes no sense has no status, as has one with all bytes.
        if self.place.whole.is_some() && matches!(status, None | Some(416)) && !is_transport(&error)
        {
            return self.whole(range, sink, tally).await;
        }
        Err(self.told(&error))
    }

    async fn whole(
        &self,
        range: Range<u64>,
        sink: &mut dyn Sink,
        tally: &Arc<Tally>,
    ) -> Result<Fetched, FetchError> {
        let Some((client, url)) = &self.place.whole else {
            return Err(failed("the store does not support range requests"));
        };
        let taken = self.whole.take(client, url, range, sink, tally).await;
        taken.map_err(failed)
    }
}

/// Whether a request failed on its way.
fn is_transport(error: &object_store::Error) -> bool {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<object_store::client::HttpError>() {
            return true;
        }
        next = error.source();
    }
    false
}

/// An object of a store, which its fetches share.
#[derive(Debug)]
pub(crate) struct RemoteObject(Arc<Remote>);

impl RemoteObject {
    /// The object at `place`, of which a listing may have told something. Nothing is asked for yet.
    pub fn new(place: Place, known: Option<Known>, handle: Handle) -> Arc<Self> {
        Arc::new(Self(Arc::new(Remote {
            place,
            known,
            version: OnceLock::new(),
            whole: Whole::default(),
            handle,
        })))
    }
}

impl Object for RemoteObject {
    fn size(&self) -> Option<u64> {
        self.0.known.map(|known| known.size)
    }

    fn whole_url(&self) -> Option<PathBuf> {
        self.0.place.given.clone()
    }

    fn fetch(&self, range: Range<u64>, sink: Box<dyn Sink>) -> Fetching {
        let remote = Arc::clone(&self.0);
        let task = async move {
            let (mut sink, tally) = (sink, Arc::new(Tally::default()));
            let result = remote.run(range, &mut *sink, &tally).await;
            let (sent, retried) = tally.counts();
            let requests = Requests {
                sent,
                retried,
                slowed: tally.slowed(),
            };
            sink.end(result, requests);
        };
        let task = self.0.handle.spawn(task).abort_handle();
        Fetching::new(move || task.abort())
    }
}
