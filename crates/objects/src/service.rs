//! What is between `object_store` and the network: it counts the requests of each fetch, and sees how they end.

use super::describe;
use http::header::AUTHORIZATION;
use http::{HeaderValue, StatusCode};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
    ReqwestConnector,
};
use object_store::ClientOptions;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Arc;

/// The requests of one fetch, which carry this as an extension.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    sent: AtomicU64,
    failed: AtomicU64,
    slowed: AtomicBool,
}

impl Tally {
    /// Requests that were sent, and how many of them repeated one that had failed.
    pub fn counts(&self) -> (u64, u64) {
        let sent = self.sent.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        (sent, failed.min(sent.saturating_sub(1)))
    }

    /// Whether the store asked for fewer requests, or did not answer in time.
    pub fn slowed(&self) -> bool {
        self.slowed.load(Ordering::Relaxed)
    }

    /// Counts a failure that was seen in a response's body.
    pub fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    fn ended(&self, result: &Result<HttpResponse, HttpError>) {
        let (failed, slowed) = match result {
            Ok(response) => {
                let status = response.status();
                let slow = [
                    StatusCode::TOO_MANY_REQUESTS,
                    StatusCode::SERVICE_UNAVAILABLE,
                ];
                let slowed = slow.contains(&status);
                let late = status == StatusCode::REQUEST_TIMEOUT;
                (slowed || late || status.is_server_error(), slowed)
            }
            Err(error) => (true, error.kind() == HttpErrorKind::Timeout),
        };
        if failed {
            self.failed();
        }
        if slowed {
            self.slowed.store(true, Ordering::Relaxed);
        }
    }
}

/// A client. Where the system has no certificate of an authority, it trusts none, as a store by http needs none.
pub(crate) fn connect(options: &ClientOptions) -> object_store::Result<HttpClient> {
    let connector = ReqwestConnector::default();
    match connector.connect(options) {
        Err(error)
            if describe::lacks_authorities(&error) && describe::named_authorities().is_none() =>
        {
            connector.connect(&options.clone().with_no_system_certificates(true))
        }
        connected => connected,
    }
}

/// Connects the clients of stores.
#[derive(Debug, Default)]
pub(crate) struct Connector {
    /// The client to use; a new one if there is none.
    pub client: Option<HttpClient>,
    /// What each request is to carry.
    pub authorization: Option<HeaderValue>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = match &self.client {
            Some(client) => client.clone(),
            None => connect(options)?,
        };
        Ok(HttpClient::new(Counting {
            client,
            authorization: self.authorization.clone(),
        }))
    }
}

/// An error that the next attempt would meet, too, as one of a kind that is not retried.
fn lasting(error: HttpError) -> HttpError {
    match describe::lasts(&error) {
        true => HttpError::new(HttpErrorKind::Unknown, error),
        false => error,
    }
}

#[derive(Debug)]
struct Counting {
    client: HttpClient,
    authorization: Option<HeaderValue>,
}

#[async_trait::async_trait]
impl HttpService for Counting {
    async fn call(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let tally = request.extensions().get::<Arc<Tally>>().cloned();
        if let Some(tally) = &tally {
            tally.sent.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(authorization) = &self.authorization {
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let result = self.client.execute(request).await.map_err(lasting);
        if let Some(tally) = &tally {
            tally.ended(&result);
        }
        result
    }
}
