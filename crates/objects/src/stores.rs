//! A client for each bucket, set up from the environment, and the runtime that all requests are made by.

use super::describe;
use super::fetch::{Place, RemoteObject};
use super::listing::{Directory, One, Prefix};
use super::location::{HttpLocation, Kind, Location};
use super::service::{self, Connector};
use gristmill_ingest::object::{Listing, Names, ObjectRef, Stores};
use gristmill_ring::lock;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{HttpClient, HttpConnector};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as Key;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::runtime::{Handle, Runtime};

/// How long a store may give no byte before a request counts as failed.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// The most threads that make requests.
const MOST_THREADS: usize = 8;

/// A list of hosts that need no proxy as one of all names and all addresses, if `*` is in it.
fn excepting_all(list: &str) -> Option<String> {
    let mut hosts = list.split(',');
    let all = hosts.any(|host| host.trim() == "*");
    all.then(|| "*,0.0.0.0/0,::/0".to_owned())
}

/// The threads that make requests.
#[derive(Debug)]
struct Requesters(Option<Runtime>);

impl Drop for Requesters {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A resolver that hangs is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Stores, whose clients are set up from variables as they are used first: `AWS_*`, `GOOGLE_*` and `AZURE_*`, as the crate
/// `object_store` reads them, the proxies that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name, and the authorities
/// of certificates in the file `SSL_CERT_FILE` and the directory `SSL_CERT_DIR`, or those of the system.
pub struct ObjectStores {
    variables: Vec<(String, String)>,
    requesters: OnceLock<Result<Requesters, String>>,
    /// The client of each bucket.
    buckets: Mutex<HashMap<(Kind, String), Arc<dyn ObjectStore>>>,
    /// The client of HTTP servers.
    http: OnceLock<Result<HttpClient, String>>,
}

impl std::fmt::Debug for ObjectStores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ObjectStores")
    }
}

impl ObjectStores {
    /// Stores that are set up from the environment of the process, as it is now.
    pub fn from_env() -> Arc<Self> {
        let variables = std::env::vars_os();
        let text = variables.filter_map(|(name, value)| {
            // What is no UTF-8 is refused as what is not ASCII, and not passed over.
            let value = value.to_string_lossy().into_owned();
            Some((name.into_string().ok()?, value))
        });
        Self::with_variables(text)
    }

    /// Stores that are set up from these variables. Proxies are taken from the environment of the process.
    pub fn with_variables(variables: impl IntoIterator<Item = (String, String)>) -> Arc<Self> {
        Arc::new(Self {
            variables: variables.into_iter().collect(),
            requesters: OnceLock::new(),
            buckets: Mutex::default(),
            http: OnceLock::new(),
        })
    }

    /// Where requests are made.
    fn handle(&self) -> Result<Handle, String> {
        let begun = self.requesters.get_or_init(|| {
            // Where another part of the process has chosen one already, that one is used.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads((cores / 2).clamp(1, MOST_THREADS))
                .thread_name("gristmill-fetch")
                .enable_io()
                .enable_time()
                .build()
                .map(|runtime| Requesters(Some(runtime)))
                .map_err(|error| format!("the threads that make requests: {error}"))
        });
        match begun {
            Ok(Requesters(Some(runtime))) => Ok(runtime.handle().clone()),
            Ok(Requesters(None)) => Err("the threads that make requests have ended".into()),
            Err(error) => Err(error.clone()),
        }
    }

    /// The variables that begin so, but for `without`, with their names in small letters, too.
    fn variables<'a>(
        &'a self,
        start: &'static str,
        without: Option<&'a str>,
    ) -> impl Iterator<Item = (String, &'a str, &'a str)> {
        let ours = self.variables.iter();
        let ours = ours.filter(move |(name, _)| {
            name.starts_with(start) && without.is_none_or(|without| without != name)
        });
        ours.map(|(name, value)| (name.to_ascii_lowercase(), name.as_str(), value.as_str()))
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a proxy is set for this kind of store alone.
    fn has_own_proxy(&self, kind: Kind) -> bool {
        let own = format!("{}PROXY_URL", kind.variables());
        self.variable(&own).is_some()
    }

    /// Timeouts by progress: a request may take as long as bytes come.
    fn options(&self, kind: Kind) -> ClientOptions {
        let options = ClientOptions::new()
            .with_timeout_disabled()
            .with_read_timeout(READ_TIMEOUT);
        let mut listed = ["NO_PROXY", "no_proxy"].into_iter();
        let list = listed.find_map(|name| std::env::var(name).ok());
        match list.as_deref().and_then(excepting_all) {
            // The client takes `*` for all names, and for no address. A proxy that is given to it takes the place of those
            // of the environment, and this one is for no host.
            Some(all) if !self.has_own_proxy(kind) => options
                .with_proxy_url("http://localhost")
                .with_proxy_excludes(all),
            _ => options,
        }
    }

    fn retries(&self, kind: Kind) -> RetryConfig {
        let mut config = RetryConfig::default();
        let attempts = self
            .variable("AWS_MAX_ATTEMPTS")
            .filter(|_| kind == Kind::S3);
        if let Some(attempts) = attempts.and_then(|attempts| attempts.parse::<usize>().ok()) {
            config.max_retries = attempts.max(1) - 1;
        }
        config
    }

    /// What went wrong when a client was set up. What it says of that is not shown, as it may hold parts of values: the
    /// variable without which it can be set up is named.
    fn unset(&self, kind: Kind, bucket: &str, error: &object_store::Error) -> String {
        if let Some(reason) = describe::set_up(error, kind) {
            return reason;
        }
        let start = kind.variables();
        let names = self.variables(start, None).map(|(_, name, _)| name);
        let bare = kind.bare_variable();
        let bare = bare.filter(|name| self.variable(name).is_some());
        let wrong: Vec<&str> = names
            .chain(bare)
            .filter(|name| match self.built(kind, bucket, Some(name)) {
                Ok(_) => true,
                // Then it is missing.
                Err(error) => describe::set_up(&error, kind).is_some(),
            })
            .collect();
        match &*wrong {
            [] => format!(
                "its client cannot be set up; check the variables {start}*{}",
                describe::well_known(kind)
            ),
            wrong => format!(
                "its client cannot be set up with the value of {}{}",
                wrong.join(" and "),
                describe::value_of(wrong)
            ),
        }
    }

    /// The client of a bucket.
    fn bucket(&self, kind: Kind, bucket: &str) -> Result<Arc<dyn ObjectStore>, String> {
        let mut buckets = lock(&self.buckets);
        let place = (kind, bucket.to_owned());
        if let Some(known) = buckets.get(&place) {
            return Ok(Arc::clone(known));
        }
        for (key, name, value) in self.variables(kind.variables(), None) {
            describe::check_value(kind, &key, value).map_err(|wrong| format!("{name} {wrong}"))?;
        }
        let built = self.built(kind, bucket, None);
        let store = built.map_err(|error| self.unset(kind, bucket, &error))?;
        buckets.insert(place, Arc::clone(&store));
        Ok(store)
    }

    /// A client that is set up without this variable.
    fn built(
        &self,
        kind: Kind,
        bucket: &str,
        without: Option<&str>,
    ) -> object_store::Result<Arc<dyn ObjectStore>> {
        let bare = kind.bare_variable().filter(|name| without != Some(name));
        let bare = bare.and_then(|name| self.variable(name));
        let own_proxy = self.has_own_proxy(kind);
        let variables = || {
            let ours = self.variables(kind.variables(), without);
            // The list of a proxy that is not set would take the place of that of the proxy for no host.
            let ours = ours.filter(|(key, ..)| own_proxy || !key.ends_with("_proxy_excludes"));
            ours.map(|(key, _, value)| {
                let all = key
                    .ends_with("_proxy_excludes")
                    .then(|| excepting_all(value));
                let value = all.flatten().map_or(Cow::Borrowed(value), Cow::Owned);
                (key, value)
            })
        };
        // The variables come last, so that they set timeouts, too.
        let (options, retry) = (self.options(kind), self.retries(kind));
        let connector = Connector::default();
        Ok(match kind {
            Kind::S3 => {
                let mut builder = AmazonS3Builder::new()
                    .with_client_options(options)
                    .with_http_connector(connector)
                    .with_retry(retry);
                for (key, value) in variables() {
                    if let Ok(key) = key.parse() {
                        builder = builder.with_config(key, &*value);
                    }
                }
                Arc::new(builder.with_bucket_name(bucket).build()?)
            }
            Kind::Google => {
                let mut builder = GoogleCloudStorageBuilder::new()
                    .with_client_options(options)
                    .with_http_connector(connector)
                    .with_retry(retry);
                if let Some(path) = bare {
                    builder = builder.with_service_account_path(path);
                }
                for (key, value) in variables() {
                    if let Ok(key) = key.parse() {
                        builder = builder.with_config(key, &*value);
                    }
                }
                Arc::new(builder.with_bucket_name(bucket).build()?)
            }
            Kind::Azure | Kind::Http => {
                let mut builder = MicrosoftAzureBuilder::new()
                    .with_client_options(options)
                    .with_http_connector(connector)
                    .with_retry(retry);
                if let Some(endpoint) = bare {
                    builder = builder.with_msi_endpoint(endpoint);
                }
                for (key, value) in variables() {
                    if let Ok(key) = key.parse() {
                        builder = builder.with_config(key, &*value);
                    }
                }
                Arc::new(builder.with_container_name(bucket).build()?)
            }
        })
    }

    /// The client of HTTP servers.
    fn http_client(&self) -> Result<HttpClient, String> {
        let connected = self.http.get_or_init(|| {
            let options = self.options(Kind::Http).with_allow_http(true);
            let client = service::connect(&options);
            client.map_err(|error| {
                let told = describe::set_up(&error, Kind::Http);
                told.unwrap_or_else(|| {
                    "its client cannot be set up; check SSL_CERT_FILE and SSL_CERT_DIR".into()
                })
            })
        });
        connected.clone()
    }

    fn http_object(
        &self,
        location: HttpLocation,
        given: &Path,
    ) -> Result<(String, ObjectRef), String> {
        let HttpLocation {
            url,
            shown,
            authorization,
        } = location;
        let told = |reason: String| format!("{shown}: {reason}");
        let handle = self.handle().map_err(told)?;
        let connector = Connector {
            client: Some(self.http_client().map_err(told)?),
            authorization,
        };
        let options = self.options(Kind::Http).with_allow_http(true);
        let client = connector.connect(&options);
        let client = client.map_err(|error| told(describe::store(&error, Kind::Http)))?;
        let store = HttpBuilder::new()
            .with_url(url.as_str())
            .with_client_options(options)
            .with_http_connector(connector)
            .with_retry(self.retries(Kind::Http))
            .build()
            .map_err(|error| told(describe::store(&error, Kind::Http)))?;
        let place = Place {
            kind: Kind::Http,
            store: Arc::new(store),
            // The client's URL is the object's, with its query.
            key: Key::default(),
            whole: Some((client, url)),
            given: Some(given.to_owned()).filter(|given| given.as_os_str() != shown.as_str()),
        };
        let object = RemoteObject::new(place, None, handle);
        Ok((shown, ObjectRef(object)))
    }
}

impl Stores for ObjectStores {
    fn open(&self, url: &Path, names: Names) -> Result<Box<dyn Listing>, String> {
        let (kind, scheme, bucket, key) = match Location::of(url)? {
            Location::Http(location) => {
                let (shown, object) = self.http_object(*location, url)?;
                return Ok(Box::new(One::new(shown.into(), object)));
            }
            Location::Key {
                kind,
                scheme,
                bucket,
                key,
            } => (kind, scheme, bucket, key),
        };
        let told = |reason: String| format!("{scheme}://{bucket}/{key}: {reason}");
        let handle = self.handle().map_err(told)?;
        // A client of `object_store` is made within its runtime.
        let entered = handle.enter();
        let store = self.bucket(kind, &bucket).map_err(told)?;
        drop(entered);
        let is_prefix = key.is_empty() || key.ends_with('/');
        let bare = key.strip_suffix('/').unwrap_or(&key);
        let parsed = Key::parse(bare).map_err(|_| {
            told(
                "its key has an empty part, or one that is `.` or `..`; such keys cannot be read"
                    .into(),
            )
        })?;
        let place = Place {
            kind,
            store,
            key: parsed,
            whole: None,
            given: None,
        };
        if !is_prefix && names == Names::Objects {
            let name = PathBuf::from(format!("{scheme}://{bucket}/{key}"));
            let object = ObjectRef(RemoteObject::new(place, None, handle));
            return Ok(Box::new(One::new(name, object)));
        }
        let directory = Directory {
            root: format!("{scheme}://{bucket}/"),
            name: PathBuf::from(format!("{scheme}://{bucket}/{key}")),
            place,
            or_object: !is_prefix,
        };
        Ok(Box::new(Prefix::new(directory, handle)))
    }
}

#[cfg(test)]
mod tests;
