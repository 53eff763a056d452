//! An object store on loopback that fails as it is told: the part of S3 that readers use (GET and HEAD with ranges and
//! If-Match, ListObjectsV2 in pages, errors with codes), and an HTTP server with and without ranges.
//!
//! That the answers are S3's own is checked elsewhere, against a server that others wrote. This one is for what a real
//! server does not do on demand: 503s, bodies that end early, objects that change in between, stalls.

mod content;
mod http;

use http::{Answer, Body};
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

pub use content::{Content, Fault};
pub use http::Request;

/// The access key that the store knows, and the secret that tests give with it.
pub const ACCESS_KEY: &str = "AKIATESTKEY";
/// The secret key, which must be seen nowhere. The store does not compare it.
pub const SECRET_KEY: &str = "s3cr3t-of-the-test";

/// An object.
#[derive(Debug, Clone)]
struct Stored {
    content: Content,
    version: u64,
}

/// How objects are given whose key begins so, without regard to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Ranges and an ETag.
    Usual,
    /// Ranges, and a weak ETag.
    Weak,
    /// No ranges and no ETag.
    Whole,
    /// As `Whole`, and in HTTP's chunks, so that no length is told.
    Chunked,
}

type Fails = dyn Fn(&Request, u64) -> Fault + Send + Sync;

struct State {
    objects: Mutex<BTreeMap<String, Stored>>,
    manners: Mutex<Vec<(String, Manner)>>,
    fails: Mutex<Arc<Fails>>,
    /// Requests for each object so far.
    asked: Mutex<BTreeMap<String, u64>>,
    requests: AtomicU64,
    inflight: AtomicU64,
    most: AtomicU64,
    conditions: AtomicU64,
    page: AtomicU64,
    stopped: AtomicBool,
}

/// A store, which ends when it is dropped.
pub struct Store {
    state: Arc<State>,
    address: SocketAddr,
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty store.
    ///
    /// # Panics
    /// If there is no loopback.
    #[must_use]
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let address = listener.local_addr().expect("its address");
        let none: Arc<Fails> = Arc::new(|_: &Request, _| Fault::None);
        let state = Arc::new(State {
            objects: Mutex::default(),
            manners: Mutex::default(),
            fails: Mutex::new(none),
            asked: Mutex::default(),
            requests: AtomicU64::new(0),
            inflight: AtomicU64::new(0),
            most: AtomicU64::new(0),
            conditions: AtomicU64::new(0),
            page: AtomicU64::new(1000),
            stopped: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&accepting);
                let Ok(stream) = stream else { continue };
                let serve = move || state.serve(&stream);
                // Each connection has a thread of its own, so a stall holds up no other.
                let _ = std::thread::Builder::new()
                    .stack_size(256 << 10)
                    .spawn(serve);
            }
        });
        Self { state, address }
    }

    /// Where it listens: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables that lead a client to it.
    #[must_use]
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_ALLOW_HTTP", "true".into()),
            ("AWS_REGION", "us-east-1".into()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.into()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.into()),
        ]
    }

    /// Stores an object under `BUCKET/KEY`.
    pub fn put(&self, name: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.put_content(name, Content::Bytes(Arc::new(bytes.into())));
    }

    /// Stores an object.
    pub fn put_content(&self, name: impl Into<String>, content: Content) {
        self.state.store(&name.into(), content);
    }

    /// Gives objects whose name begins with `prefix` in this manner.
    pub fn give(&self, prefix: &str, manner: Manner) {
        locked(&self.state.manners).push((prefix.into(), manner));
    }

    /// Lists so many objects in a page.
    pub fn page(&self, objects: u64) {
        self.state.page.store(objects, Ordering::Relaxed);
    }

    /// Fails requests as `fails` says, which is given each request and how many there were for its path before.
    pub fn fails(&self, fails: impl Fn(&Request, u64) -> Fault + Send + Sync + 'static) {
        *locked(&self.state.fails) = Arc::new(fails);
        locked(&self.state.asked).clear();
    }

    /// Requests so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::Relaxed)
    }

    /// Requests so far that demanded an ETag.
    #[must_use]
    pub fn conditions(&self) -> u64 {
        self.state.conditions.load(Ordering::Relaxed)
    }

    /// The most requests that were being answered at a time.
    #[must_use]
    pub fn most_at_a_time(&self) -> u64 {
        self.state.most.load(Ordering::Relaxed)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.state.stopped.store(true, Ordering::Relaxed);
        // The thread that accepts sees it with the next connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn store(&self, name: &str, content: Content) {
        let mut objects = locked(&self.objects);
        let version = objects.get(name).map_or(1, |old| old.version + 1);
        objects.insert(name.to_owned(), Stored { content, version });
    }

    fn serve(&self, stream: &TcpStream) {
        let mut connection = http::Connection::new(stream);
        while let Some(request) = connection.request() {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let inflight = self.inflight.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(inflight, Ordering::Relaxed);
            let (answer, fault) = self.answer(&request);
            let goes_on = connection.answer(&request, &answer, &fault, &self.stopped);
            self.inflight.fetch_sub(1, Ordering::Relaxed);
            if !goes_on {
                break;
            }
        }
    }

    fn answer(&self, request: &Request) -> (Answer, Fault) {
        let before = {
            let mut asked = locked(&self.asked);
            let asked = asked.entry(request.path.clone()).or_default();
            std::mem::replace(asked, *asked + 1)
        };
        let fails = Arc::clone(&locked(&self.fails));
        let fault = fails(request, before);
        if let Fault::Status(status, code) = fault {
            return (Answer::error(status, code), Fault::None);
        }
        if let Fault::Replace(bytes) | Fault::ReplaceUnseen(bytes) = &fault {
            let content = Content::Bytes(Arc::new(bytes.clone()));
            self.store(&request.path, content);
        }
        let manners = locked(&self.manners);
        let manner = manners
            .iter()
            .find(|(prefix, _)| request.path.starts_with(prefix));
        let manner = manner.map_or(Manner::Usual, |(_, manner)| *manner);
        drop(manners);
        (self.usual(request, manner, &fault), fault)
    }

    fn usual(&self, request: &Request, manner: Manner, fault: &Fault) -> Answer {
        // Plain HTTP has no such header.
        if let Some(authorization) = request.header("authorization") {
            let known = format!("Credential={ACCESS_KEY}/");
            if authorization.starts_with("AWS4") && !authorization.contains(&known) {
                return Answer::error(403, "InvalidAccessKeyId");
            }
        }
        let (bucket, key) = request.path.split_once('/').unwrap_or((&request.path, ""));
        let objects = locked(&self.objects);
        if key.is_empty() {
            let start = format!("{bucket}/");
            if !objects.keys().any(|name| name.starts_with(&start)) {
                return Answer::error(404, "NoSuchBucket");
            }
            return self.list(&objects, &start, request);
        }
        let Some(stored) = objects.get(&request.path) else {
            return Answer::error(404, "NoSuchKey");
        };
        let stored = stored.clone();
        drop(objects);
        let size = stored.content.len();
        let etag = format!("\"{}-{}\"", stored.version, size);
        let (etag, ranges) = match manner {
            Manner::Usual => (Some(etag), true),
            Manner::Weak => (Some(format!("W/{etag}")), true),
            Manner::Whole | Manner::Chunked => (None, false),
        };
        if let Some(demanded) = request.header("if-match") {
            self.conditions.fetch_add(1, Ordering::Relaxed);
            let unseen = matches!(fault, Fault::ReplaceUnseen(_));
            if etag.as_deref() != Some(demanded) && !unseen {
                return Answer::error(412, "PreconditionFailed");
            }
        }
        let range = request.range().filter(|_| ranges);
        let (from, to) = range.unwrap_or((0, size));
        if range.is_some() && from >= size {
            return Answer::error(416, "InvalidRange");
        }
        let to = to.min(size);
        let mut headers = vec![("Last-Modified", "Sun, 01 Jan 2023 00:00:00 GMT".to_owned())];
        headers.extend(etag.map(|etag| ("ETag", etag)));
        if range.is_some() {
            headers.push(("Content-Range", format!("bytes {from}-{}/{size}", to - 1)));
        }
        Answer {
            status: if range.is_some() { 206 } else { 200 },
            headers,
            body: Body::Of(stored.content, from..to),
            chunked: manner == Manner::Chunked,
        }
    }

    fn list(&self, objects: &BTreeMap<String, Stored>, start: &str, request: &Request) -> Answer {
        let parameter = |name: &str| request.parameter(name).unwrap_or_default();
        let prefix = format!("{start}{}", parameter("prefix"));
        let after = format!("{start}{}", parameter("continuation-token"));
        let page = usize::try_from(self.page.load(Ordering::Relaxed)).unwrap_or(usize::MAX);
        let all = objects.range(prefix.clone()..);
        let all = all.take_while(|(name, _)| name.starts_with(&prefix));
        let mut all = all.filter(|(name, _)| **name > after || after == start);
        let mut xml = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
        let mut last = None;
        for (name, stored) in all.by_ref().take(page) {
            let key = escaped(&name[start.len()..]);
            xml += &format!(
                "<Contents><Key>{key}</Key><LastModified>2023-01-01T00:00:00.000Z</LastModified>\
                 <ETag>&quot;{}-{}&quot;</ETag><Size>{}</Size></Contents>",
                stored.version,
                stored.content.len(),
                stored.content.len()
            );
            last = Some(key);
        }
        match last.filter(|_| all.next().is_some()) {
            Some(last) => {
                xml += &format!(
                    "<IsTruncated>true</IsTruncated><NextContinuationToken>{last}</NextContinuationToken>"
                );
            }
            None => xml += "<IsTruncated>false</IsTruncated>",
        }
        Answer::of(200, xml + "</ListBucketResult>")
    }
}

/// A text as XML has it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
