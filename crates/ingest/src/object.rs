//! Objects: bytes that lie in a store which is asked by requests, and not on a file system.
//!
//! This is the seam between what reads files and what talks to stores: traits, and no network. `gristmill-objects`
//! implements them for S3, Google Cloud Storage, Azure and HTTP. A fetch is asked for by a reader and done on a thread of
//! the store's. It gives the bytes in order to a [`Sink`], which owns the memory that they land in, so that no memory is
//! lent to another thread.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What one fetch took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// Requests that were sent.
    pub sent: u64,
    /// How many of them were sent because an earlier one had failed.
    pub retried: u64,
    /// Whether the store asked for fewer requests (429, 503), or did not answer in time.
    pub slowed: bool,
}

/// What is known of an object after a fetch that brought all the bytes it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// The object's size in bytes, if the store tells it.
    pub size: Option<u64>,
    /// Whether ranges can be fetched in any order. If not, each fetch must begin where the last ended.
    pub in_ranges: bool,
    /// Whether the object ends with the bytes that were fetched.
    pub end: bool,
}

/// Why a fetch brought fewer bytes than it should, in one line without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchError {
    /// Why, and what to do.
    pub reason: String,
    /// Whether the object is known from a listing alone, and is not there: a placeholder of a directory, or deleted since.
    pub placeholder: bool,
}

/// Takes the bytes of one fetch.
pub trait Sink: Send {
    /// Takes the bytes that follow those of the last call. False: it has room for no more, and the fetch may end.
    fn put(&mut self, bytes: &[u8]) -> bool;

    /// Takes the end of the fetch. A sink that is dropped without this belongs to a fetch that was cancelled.
    fn end(self: Box<Self>, result: Result<Fetched, FetchError>, requests: Requests);
}

/// A fetch in flight. Dropping this cancels it: its sink is dropped soon after.
pub struct Fetching(Option<Box<dyn FnOnce() + Send>>);

impl Fetching {
    /// A fetch that `cancel` cancels, which may be called after the fetch has ended.
    pub fn new(cancel: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(cancel)))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if let Some(cancel) = self.0.take() {
            cancel();
        }
    }
}

impl fmt::Debug for Fetching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fetching")
    }
}

/// An object of a store.
pub trait Object: fmt::Debug + Send + Sync {
    /// The size in bytes, where a listing has told it.
    fn size(&self) -> Option<u64>;

    /// The URL by which another process finds it, where that is not the name that rows show: with user, password and
    /// query, which may be secrets.
    fn whole_url(&self) -> Option<PathBuf> {
        None
    }

    /// Begins to fetch these bytes, or as many of them as the object has. The first fetch must have ended before others
    /// begin: it fixes the version that all bring bytes of.
    fn fetch(&self, range: Range<u64>, sink: Box<dyn Sink>) -> Fetching;
}

/// A shared [`Object`]. Two are equal if they are the same.
#[derive(Debug, Clone)]
pub struct ObjectRef(pub Arc<dyn Object>);

impl PartialEq for ObjectRef {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for ObjectRef {}

/// The next item of a [`Listing`].
#[derive(Debug)]
pub enum Listed {
    /// An object.
    Object {
        /// Its URL, as rows show it: without user, password and query.
        name: PathBuf,
        /// The object.
        object: ObjectRef,
        /// How many bytes of the name are the prefix that was listed; `None` for an object that was named itself.
        below: Option<usize>,
    },
    /// Something could not be listed.
    Failed {
        /// The URL that was to be listed, as rows show it.
        name: PathBuf,
        /// Why, and what to do, in one line without secrets.
        reason: String,
    },
    /// Nothing yet.
    Later,
    /// No more.
    End,
}

/// The objects that a URL names.
pub trait Listing: Send {
    /// The next of them.
    fn next(&mut self) -> Listed;

    /// Waits until there is something else than [`Listed::Later`], or for `timeout`. Returns whether there is.
    fn wait(&mut self, timeout: Duration) -> bool;
}

/// What a URL may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// One object, unless the URL ends with `/`.
    Objects,
    /// An object or, where none has the name, all objects below it.
    ObjectsOrPrefixes,
}

/// The stores that URLs lead to.
pub trait Stores: fmt::Debug + Send + Sync {
    /// The objects that a URL names, for which [`is_url`] is true. Nothing is asked for before the listing is.
    ///
    /// # Errors
    /// A line without secrets: why the URL is not one, or its store cannot be set up.
    fn open(&self, url: &Path, names: Names) -> Result<Box<dyn Listing>, String>;
}

/// The schemes of URLs that stores read.
const SCHEMES: [&str; 6] = ["s3", "s3a", "gs", "az", "http", "https"];

/// The scheme of a name, if it has one that is known, and what follows `://`.
fn scheme(name: &Path) -> Option<(String, &[u8])> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = name.as_os_str().as_bytes();
    let at = bytes.iter().take(6).position(|&byte| byte == b':')?;
    let rest = bytes.get(at..)?.strip_prefix(b"://")?;
    let scheme = std::str::from_utf8(&bytes[..at]).ok()?;
    Some((scheme.to_ascii_lowercase(), rest))
}

/// Whether a name is a URL of a store: `s3://`, `s3a://`, `gs://`, `az://`, `http://` or `https://`. A file of that name
/// is named by `./s3://...`.
pub fn is_url(name: &Path) -> bool {
    scheme(name).is_some_and(|(scheme, _)| SCHEMES.contains(&scheme.as_str()))
}

/// A name as rows show it: a URL of a store without user, password, query and fragment, and a `file://` URL as its path.
/// Any other name is given as it is. What cannot be told from a secret is shown as `...`.
pub fn shown_name(name: &Path) -> PathBuf {
    if let Some(Ok(path)) = path_of_url(name) {
        return path;
    }
    match scheme(name) {
        Some((scheme, rest)) if scheme == "file" || SCHEMES.contains(&scheme.as_str()) => {
            shown_url(&scheme, rest)
        }
        _ => name.to_owned(),
    }
}

/// A URL as rows show it, by its scheme and what follows.
fn shown_url(scheme: &str, rest: &[u8]) -> PathBuf {
    let rest = String::from_utf8_lossy(rest);
    let (place, path) = match rest.find(['/', '?', '#']) {
        Some(at) => rest.split_at(at),
        None => (&*rest, ""),
    };
    let is_http = scheme.starts_with("http");
    let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let is_host = match is_http {
        true => host.ends_with(']') || port.bytes().all(|byte| byte.is_ascii_digit()),
        false => user.is_empty() && !host.contains(':'),
    };
    if !is_host {
        return PathBuf::from(format!("{scheme}://..."));
    }
    // A key may have these characters. A signed URL has a value in its query.
    let end = path.find(['?', '#']);
    let end = end.filter(|end| is_http || path[*end..].contains('='));
    let path = &path[..end.unwrap_or(path.len())];
    if !is_http {
        return PathBuf::from(format!("{scheme}://{host}{path}"));
    }
    // Rows have the one form of a host, without the scheme's own port.
    let host = host.to_ascii_lowercase();
    let port = if scheme == "http" { ":80" } else { ":443" };
    let host = host.strip_suffix(port).unwrap_or(&host);
    let path = if path.is_empty() { "/" } else { path };
    PathBuf::from(format!("{scheme}://{host}{path}"))
}

/// The path that a `file://` URL names; `None` for any other name.
///
/// # Errors
/// A line with the URL, so far as it holds no secret, if it is one of another host.
pub fn path_of_url(name: &Path) -> Option<Result<PathBuf, String>> {
    use std::os::unix::ffi::OsStringExt;
    let (scheme, rest) = scheme(name).filter(|(scheme, _)| scheme == "file")?;
    let path = rest.strip_prefix(b"localhost").unwrap_or(rest);
    if path.first() != Some(&b'/') {
        return Some(Err(format!(
            "{}: a file URL names a file of this machine, as file:///path",
            shown_url(&scheme, rest).display()
        )));
    }
    Some(Ok(PathBuf::from(std::ffi::OsString::from_vec(decoded(
        path,
    )))))
}

/// Bytes whose percent-escapes are undone. What is no escape stays.
fn decoded(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| (*bytes.get(at)? as char).to_digit(16);
    let (mut all, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let escaped = digit(at + 1).zip(digit(at + 2)).filter(|_| byte == b'%');
        let escaped = escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok());
        all.push(escaped.unwrap_or(byte));
        at += if escaped.is_some() { 3 } else { 1 };
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_from_paths() {
        for url in [
            "s3://b/k",
            "S3://b",
            "gs://b/",
            "az://c/k",
            "https://h/p",
            "http://h",
        ] {
            assert!(is_url(Path::new(url)), "{url}");
        }
        for path in [
            "s3:/b/k",
            "./s3://b",
            "ftp://h/p",
            "a/s3://b",
            "s3",
            "",
            "file:///x",
            "://",
        ] {
            assert!(!is_url(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn names_are_shown_without_secrets() {
        for (name, expected) in [
            (
                "https://u:s3cr3t@h:80/p?sig=s3cr3t#s3cr3t",
                "https://h:80/p",
            ),
            ("HTTPS://H?s3cr3t", "https://h/"),
            ("https://Host.example:443/f", "https://host.example/f"),
            ("http://h:80", "http://h/"),
            ("http://h:443/p", "http://h:443/p"),
            ("http://u@[::1]/p", "http://[::1]/p"),
            ("https://u:s3/cr3t@h/p", "https://..."),
            ("s3://AKIA:s3cr3t@b/k", "s3://..."),
            ("s3://AKIA:s3cr3t/k", "s3://..."),
            ("az://c/k?sv=2024&sig=s3cr3t", "az://c/k"),
            ("S3A://b/a?b#c/", "s3a://b/a?b#c/"),
            ("file:///a%20b", "/a b"),
            ("file://u:s3cr3t@h/a", "file://..."),
            ("file://h/a?sig=s3cr3t", "file://h/a"),
            ("./s3://a?b", "./s3://a?b"),
            ("a/b?c=d", "a/b?c=d"),
        ] {
            assert_eq!(shown_name(Path::new(name)), Path::new(expected), "{name}");
        }
    }

    #[test]
    fn file_urls_are_paths() {
        let path = |url: &str| path_of_url(Path::new(url));
        assert_eq!(path("file:///a%20b/%c3%bc%"), Some(Ok("/a b/ü%".into())));
        assert_eq!(path("file://localhost/a"), Some(Ok("/a".into())));
        for (url, told) in [
            ("file://other/a", "file://other/a: a file URL"),
            ("file://u:s3cr3t@other/a", "file://...: a file URL"),
        ] {
            let why = path(url).unwrap().unwrap_err();
            assert!(why.starts_with(told), "{why}");
        }
        assert_eq!(path("/a"), None);
        assert_eq!(path("s3://b/k"), None);
    }
}
