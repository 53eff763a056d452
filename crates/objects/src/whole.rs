//! Objects of servers that know no ranges: one GET, whose body is taken in order, as far as each fetch asks for.
//!
//! Between fetches the body waits, and with it the server. What has come cannot be asked for again, so a body that breaks
//! off is an error; only requests that brought no byte yet are repeated.

use super::describe;
use super::location::Kind;
use super::service::Tally;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::StreamExt;
use gristmill_ingest::object::{Fetched, Sink};
use gristmill_ring::lock;
use http::header::CONTENT_LENGTH;
use object_store::client::{HttpClient, HttpError, HttpRequest, HttpRequestBody};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use url::Url;

/// How often the request is sent at most, and the wait before it is sent again, which doubles.
const MOST_SENT: u32 = 6;
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The body of the one GET.
struct Body {
    /// The offset of the first byte that was not taken.
    at: u64,
    /// Bytes that have come beyond what was asked for.
    left: Bytes,
    more: BoxStream<'static, Result<Bytes, HttpError>>,
    /// The size that the server has told.
    size: Option<u64>,
}

/// An object that is fetched by one GET.
#[derive(Default)]
pub(crate) struct Whole {
    begun: AtomicBool,
    body: Mutex<Option<Body>>,
}

impl Whole {
    /// Whether its GET was sent.
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// Gives the next bytes to the sink, up to the end of `range`, which must begin where the last one ended.
    ///
    /// # Errors
    /// A line without secrets.
    pub async fn take(
        &self,
        client: &HttpClient,
        url: &Url,
        range: Range<u64>,
        sink: &mut dyn Sink,
        tally: &Arc<Tally>,
    ) -> Result<Fetched, String> {
        let kept = lock(&self.body).take();
        let mut body = match kept {
            Some(body) => body,
            None if range.start == 0 => {
                let body = begin(client, url, tally).await?;
                self.begun.store(true, Ordering::Release);
                body
            }
            None => return Err(
                "its server does not support range requests, and it was read up to another offset"
                    .into(),
            ),
        };
        if body.at != range.start {
            return Err(
                "its server does not support range requests, and these bytes are not the next ones"
                    .into(),
            );
        }
        let mut end = false;
        while body.at < range.end {
            if body.left.is_empty() {
                match body.more.next().await {
                    Some(Ok(bytes)) => body.left = bytes,
                    Some(Err(error)) => {
                        let why = describe::client(&error);
                        return Err(format!(
                            "{why}; its server does not support range requests, so the read cannot be resumed"
                        ));
                    }
                    None => {
                        end = true;
                        break;
                    }
                }
                continue;
            }
            let room = usize::try_from(range.end - body.at).unwrap_or(usize::MAX);
            let bytes = body.left.split_to(room.min(body.left.len()));
            body.at += bytes.len() as u64;
            if !sink.put(&bytes) {
                return Err("there is no room for the requested bytes".into());
            }
        }
        end |= body.size == Some(body.at);
        if end && body.size.is_some_and(|size| size != body.at) {
            return Err(
                "its bytes end early; its server does not support range requests, so the read cannot be resumed".into(),
            );
        }
        let fetched = Fetched {
            size: if end { Some(body.at) } else { body.size },
            in_ranges: false,
            end,
        };
        *lock(&self.body) = Some(body);
        Ok(fetched)
    }
}

/// Sends the GET, again where the server is busy.
async fn begin(client: &HttpClient, url: &Url, tally: &Arc<Tally>) -> Result<Body, String> {
    let mut wait = FIRST_WAIT;
    let mut sent = 0;
    loop {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = (url.as_str().parse()).map_err(|_| "its URL is not an HTTP URL")?;
        request.extensions_mut().insert(Arc::clone(tally));
        sent += 1;
        let last = sent == MOST_SENT;
        match client.execute(request).await {
            Ok(response) if response.status().is_success() => {
                let size = response.headers().get(CONTENT_LENGTH);
                let size = size.and_then(|size| size.to_str().ok()?.parse().ok());
                return Ok(Body {
                    at: 0,
                    left: Bytes::new(),
                    more: response.into_body().bytes_stream(),
                    size,
                });
            }
            Ok(response) => {
                let status = response.status();
                let busy = status.is_server_error() || status.as_u16() == 429;
                if last || !busy {
                    return Err(describe::refused(status.as_u16(), "", Kind::Http));
                }
            }
            Err(error) if last || describe::lasts(&error) => return Err(describe::client(&error)),
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
}
